# cmake --install: headers, both libraries, the command, tuffConfig.cmake and tuff.pc.
include(CMakePackageConfigHelpers)

install(TARGETS tuff_shared EXPORT tuffTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS tuff_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET tuff_command)
  install(TARGETS tuff_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/tuff DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT tuffTargets NAMESPACE tuff:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tuff)

file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/tuffConfig.cmake.in
"@PACKAGE_INIT@
include(\${CMAKE_CURRENT_LIST_DIR}/tuffTargets.cmake)
if(NOT TARGET tuff::tuff)
  add_library(tuff::tuff ALIAS tuff::shared)
endif()
check_required_components(tuff)
")
configure_package_config_file(${CMAKE_CURRENT_BINARY_DIR}/tuffConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/tuffConfig.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tuff)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/tuffConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tuffConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/tuffConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tuff)

file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/tuff.pc @ONLY CONTENT
"prefix=@CMAKE_INSTALL_PREFIX@
libdir=\${prefix}/@CMAKE_INSTALL_LIBDIR@
includedir=\${prefix}/@CMAKE_INSTALL_INCLUDEDIR@

Name: tuff
Description: @PROJECT_DESCRIPTION@
Version: @PROJECT_VERSION@
Libs: -L\${libdir} -ltuff
Libs.private: -lcjson -lutf8proc -lm -lpthread -ldl
Cflags: -I\${includedir}
")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tuff.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
