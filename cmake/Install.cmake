# What `cmake --install` lays down, and the package that find_package(vsearch) finds.
include(CMakePackageConfigHelpers)

set(vsearch_targets vsearch_core vsearch_c)
if(VSEARCH_WITH_TORCH)
  list(APPEND vsearch_targets vsearch_torch)
endif()
install(TARGETS ${vsearch_targets} EXPORT vsearch_targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT vsearch_targets NAMESPACE vsearch::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vsearch)

install(DIRECTORY include/vsearch DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES capi/include/vsearch_c.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/vsearch/models
  FILES_MATCHING PATTERN "*.vsm.pt" PATTERN "README.md")
if(TARGET vsx)
  install(TARGETS vsx RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

configure_package_config_file(cmake/vsearchConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/vsearchConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vsearch)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/vsearchConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/vsearchConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/vsearchConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vsearch)
