/* dtype.h: element types and the exact conversions between them. */
#ifndef TUFF_RUNTIME_DTYPE_H
#define TUFF_RUNTIME_DTYPE_H

#include "tuff/graph.h"

size_t tuff__dtype_size(tuff_dtype dtype);
const char *tuff__dtype_name(tuff_dtype dtype); /* "f32" */

/* Exact both ways where possible; to 16 bits rounds to nearest even, keeps infinities and NaN (made quiet). */
float tuff__f16_to_f32(uint16_t bits);
uint16_t tuff__f32_to_f16(float value);
float tuff__bf16_to_f32(uint16_t bits);
uint16_t tuff__f32_to_bf16(float value);

#endif
