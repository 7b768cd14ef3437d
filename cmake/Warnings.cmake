# Our own code is held to these; third-party headers are SYSTEM includes.
function(vsearch_warnings target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-Wall -Wextra -Wpedantic -Wconversion
      -Wshadow -Wnon-virtual-dtor>
    # GCC 12 sees overlaps in std::string that are not there (GCC bug 105651, mended in 13).
    $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
    $<$<COMPILE_LANG_AND_ID:C,GNU,Clang,AppleClang>:-Wall -Wextra -Wpedantic -Wconversion
      -Wstrict-prototypes>)
endfunction()
