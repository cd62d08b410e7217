/* shared.h: lets one header declare push constants for C and for GLSL. */
#ifndef TUFF_SHADERS_SHARED_H
#define TUFF_SHADERS_SHARED_H

#ifdef TUFF_GLSL
#define tuff_uint uint
#define tuff_int int
#define tuff_float float
#define TUFF_PUSH_CONSTANTS(name)
#else
#include <stdint.h>
typedef uint32_t tuff_uint;
typedef int32_t tuff_int;
typedef float tuff_float;
/* Behind each struct tuff_push_<name>: 128 bytes is what every device has. */
#define TUFF_PUSH_CONSTANTS(name) _Static_assert(sizeof(struct tuff_push_##name) <= 128, "more than 128 bytes");
#endif

#endif
