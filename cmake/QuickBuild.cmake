# The headers that most of a target's files read are parsed once: it halves the time a build takes.
# Each file still includes what it uses; `make lint` compiles without this.
set(VSEARCH_COMMON_HEADERS
  <algorithm> <array> <cstdint> <filesystem> <functional> <memory> <mutex> <optional> <span> <string>
  <string_view> <utility> <vector>)

# vsearch_quick_build(target): for what is not hot itself, as it calls the library for all that takes
# time. To optimise it takes the compiler longer than it ever saves.
function(vsearch_quick_build target)
  target_compile_options(${target} PRIVATE
    $<$<AND:$<CONFIG:Release>,$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>>:-O1>)
endfunction()

# vsearch_precompile(target [header...]): these, and the common ones.
function(vsearch_precompile target)
  target_precompile_headers(${target} PRIVATE ${VSEARCH_COMMON_HEADERS} ${ARGN})
endfunction()
