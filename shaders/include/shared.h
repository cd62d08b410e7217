/* shared.h: lets one header declare push constants for C and for GLSL. */
#ifndef TUFF_SHADERS_SHARED_H
#define TUFF_SHADERS_SHARED_H

#ifdef TUFF_GLSL
#define tuff_uint uint
#define tuff_int int
#define tuff_float float
#else
#include <stdint.h>
typedef uint32_t tuff_uint;
typedef int32_t tuff_int;
typedef float tuff_float;
#endif

#endif
