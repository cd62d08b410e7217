# cmake --install: headers, both libraries, the command, tuffConfig.cmake and tuff.pc.
include(CMakePackageConfigHelpers)

install(TARGETS tuff_shared tuff_static EXPORT tuffTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET tuff_command)
  install(TARGETS tuff_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/tuff DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT tuffTargets NAMESPACE tuff:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tuff)

# tuff::tuff is the shared library; tuff::static needs what the library itself needs.
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/tuffConfig.cmake.in
"@PACKAGE_INIT@
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(\${CMAKE_CURRENT_LIST_DIR}/tuffTargets.cmake)
if(NOT TARGET tuff::tuff)
  add_library(tuff::tuff ALIAS tuff::shared)
endif()
find_library(tuff_cjson cjson)
find_library(tuff_utf8proc utf8proc)
if(tuff_cjson AND tuff_utf8proc)
  set_property(TARGET tuff::static APPEND PROPERTY INTERFACE_LINK_LIBRARIES \${tuff_cjson} \${tuff_utf8proc}
               Threads::Threads \${CMAKE_DL_LIBS} \$<\$<BOOL:\${UNIX}>:m>)
endif()
check_required_components(tuff)
")
configure_package_config_file(${CMAKE_CURRENT_BINARY_DIR}/tuffConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/tuffConfig.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tuff)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/tuffConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tuffConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/tuffConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/tuff)

# The prefix is found from where tuff.pc lies, so that an installed tree can be moved.
set(TUFF_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
if(NOT IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR} AND NOT IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
  file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  set(TUFF_PC_PREFIX "\${pcfiledir}/${up}")
endif()
foreach(kind LIBDIR INCLUDEDIR)
  set(TUFF_PC_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
  if(IS_ABSOLUTE ${CMAKE_INSTALL_${kind}})
    set(TUFF_PC_${kind} ${CMAKE_INSTALL_${kind}})
  endif()
endforeach()
# What libtuff.a needs is no "Requires.private", which would ask the shared library's users for files of cJSON and utf8proc.
set(TUFF_PC_PRIVATE "")
foreach(library ${TUFF_cJSON_LIBRARY} ${TUFF_utf8proc_LIBRARY})
  cmake_path(GET library PARENT_PATH folder)
  if(NOT folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
    string(APPEND TUFF_PC_PRIVATE "-L${folder} ")
  endif()
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/tuff.pc @ONLY CONTENT
"prefix=@TUFF_PC_PREFIX@
libdir=@TUFF_PC_LIBDIR@
includedir=@TUFF_PC_INCLUDEDIR@

Name: tuff
Description: @PROJECT_DESCRIPTION@
Version: @PROJECT_VERSION@
Libs: -L\${libdir} -ltuff
Libs.private: @TUFF_PC_PRIVATE@-lcjson -lutf8proc -lm -lpthread -ldl
Cflags: -I\${includedir}
")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tuff.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
