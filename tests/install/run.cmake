# Installs BUILD_DIR into WORK_DIR/prefix, moves the prefix (an installed package must not care where
# it lies), builds CONSUMER_DIR against it and runs what came out.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    string(JOIN " " command ${ARGV})
    message(FATAL_ERROR "failed (${status}): ${command}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
file(MAKE_DIRECTORY ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/first)
file(RENAME ${WORK_DIR}/first ${WORK_DIR}/prefix)
run(${CMAKE_COMMAND} -S ${CONSUMER_DIR} -B ${WORK_DIR}/build
  -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix
  -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER}
  -DCMAKE_C_FLAGS=${C_FLAGS} -DCMAKE_CXX_FLAGS=${CXX_FLAGS}
  -DEXPECT_TORCH=${WITH_TORCH})
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
run(${WORK_DIR}/build/consumer_cpp)
run(${WORK_DIR}/build/consumer_c)
# The installed tool finds the models installed with it.
if(WITH_TORCH AND EXISTS ${WORK_DIR}/prefix/share/vsearch/models/efficientnet-lite0.vsm.pt)
  execute_process(COMMAND ${WORK_DIR}/prefix/bin/vsx info efficientnet-lite0
    OUTPUT_VARIABLE model RESULT_VARIABLE status)
  if(NOT status EQUAL 0 OR NOT model MATCHES "${WORK_DIR}/prefix/share/vsearch/models/")
    message(FATAL_ERROR "the installed vsx does not find the installed models: ${model}")
  endif()
endif()
file(REMOVE_RECURSE ${WORK_DIR})
