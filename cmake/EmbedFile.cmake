# cmake -DINPUT=x.spv -DOUTPUT=x.inc -DNAME=x -P EmbedFile.cmake: the words of a SPIR-V module as a C array.
file(READ ${INPUT} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR rest "${digits} % 8")
if(digits EQUAL 0 OR NOT rest EQUAL 0)
  message(FATAL_ERROR "${INPUT}: not a whole number of 32-bit words")
endif()
string(REGEX REPLACE "([0-9a-f][0-9a-f])([0-9a-f][0-9a-f])([0-9a-f][0-9a-f])([0-9a-f][0-9a-f])" "0x\\4\\3\\2\\1,"
       words "${hex}")
string(REGEX REPLACE "(0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,)"
       "\\1\n    " words "${words}")
file(WRITE ${OUTPUT} "/* Made by EmbedFile.cmake. */
static const uint32_t spirv_${NAME}[] = {
    ${words}
};
")
