# The headers that most of a target's files read are parsed once: it halves the time a build takes.
# Each file still includes what it uses; `make lint` compiles without this.
set(VSEARCH_COMMON_HEADERS
  <algorithm> <array> <cstdint> <filesystem> <functional> <memory> <mutex> <optional> <span> <string>
  <string_view> <utility> <vector>)

# vsearch_quick_build(target): for what is not hot itself, as it calls the library for all that takes
# time. To optimise it takes the compiler longer than it ever saves, under sanitizers most of all.
function(vsearch_quick_build target)
  if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-O0>)
  else()
    target_compile_options(${target} PRIVATE
      $<$<AND:$<CONFIG:Release>,$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>>:-O1>)
  endif()
endfunction()

# vsearch_compile_alone(target source...): in a build that compiles several files as one
# (CMAKE_UNITY_BUILD, which halves the time once more) these stay by themselves: what is hot, so that
# what is inlined in it does not depend on its neighbours, and what a program may replace.
function(vsearch_compile_alone target)
  set_source_files_properties(${ARGN} TARGET_DIRECTORY ${target} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# vsearch_precompile(target [header...]): these, and the common ones.
function(vsearch_precompile target)
  target_precompile_headers(${target} PRIVATE ${VSEARCH_COMMON_HEADERS} ${ARGN})
endfunction()
