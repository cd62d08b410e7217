# tuff_embed_shaders(OUT kernel.comp...): one SPIR-V module a kernel, as C arrays, in the table that vk_spirv.h declares.
set(TUFF_SHADER_DIR ${CMAKE_CURRENT_SOURCE_DIR}/shaders)
set(TUFF_SPIRV_BINARY_DIR ${CMAKE_CURRENT_BINARY_DIR}/shaders)

function(tuff_embed_shaders out)
  file(GLOB includes CONFIGURE_DEPENDS ${TUFF_SHADER_DIR}/*.h ${TUFF_SHADER_DIR}/include/*)
  set(arrays "")
  set(includes_text "")
  set(rows "")
  file(MAKE_DIRECTORY ${TUFF_SPIRV_BINARY_DIR})
  foreach(kernel ${ARGN})
    get_filename_component(name ${kernel} NAME_WE)
    set(spirv ${TUFF_SPIRV_BINARY_DIR}/${name}.f32.spv)
    set(array ${TUFF_SPIRV_BINARY_DIR}/${name}.f32.inc)
    if(TUFF_SPIRV_DIR)
      set(spirv ${TUFF_SPIRV_DIR}/${name}.f32.spv)
      if(NOT EXISTS ${spirv})
        message(FATAL_ERROR "TUFF_SPIRV_DIR holds no ${name}.f32.spv; `tuff kernels --write DIR` of this version makes it")
      endif()
    else()
      add_custom_command(OUTPUT ${spirv} DEPENDS ${kernel} ${includes} VERBATIM
        COMMAND ${TUFF_GLSLANG} --quiet -V --target-env vulkan1.1 -DTUFF_GLSL=1 -DTUFF_F32=1 -I${TUFF_SHADER_DIR}
                -o ${spirv} ${kernel}
        COMMENT "Compiling ${name}.comp")
    endif()
    add_custom_command(OUTPUT ${array} DEPENDS ${spirv} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/EmbedFile.cmake VERBATIM
      COMMAND ${CMAKE_COMMAND} -DINPUT=${spirv} -DOUTPUT=${array} -DNAME=${name}
              -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/EmbedFile.cmake
      COMMENT "Embedding ${name}.f32.spv")
    # The allowance stands beside the kernel: "// spill_allowance: 0". A changed kernel is read again.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kernel})
    file(STRINGS ${kernel} allowance REGEX "spill_allowance: *[0-9]+" LIMIT_COUNT 1)
    string(REGEX REPLACE ".*spill_allowance: *([0-9]+).*" "\\1" allowance "${allowance}")
    if(NOT allowance)
      set(allowance 0)
    endif()
    list(APPEND arrays ${array})
    string(APPEND includes_text "#include \"${array}\"\n")
    string(APPEND rows "    {.name = \"${name}\", .words = spirv_${name}, .word_count = sizeof spirv_${name} / 4, "
                       ".spill_allowance = ${allowance}},\n")
  endforeach()
  set(table ${TUFF_SPIRV_BINARY_DIR}/shader_table.c)
  file(CONFIGURE OUTPUT ${table} @ONLY CONTENT
"/* Made by EmbedShaders.cmake. */
#include \"${CMAKE_CURRENT_SOURCE_DIR}/runtime/vk/vk_spirv.h\"

${includes_text}
const tuff__shader tuff__shaders[] = {
${rows}};
const size_t tuff__shader_count = sizeof tuff__shaders / sizeof tuff__shaders[0];
")
  set_source_files_properties(${table} PROPERTIES OBJECT_DEPENDS "${arrays}")
  set(${out} ${table} PARENT_SCOPE)
endfunction()
