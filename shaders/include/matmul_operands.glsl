// matmul_operands.glsl: a and b of the matmul kernels, each declared twice at its binding: element by element, and in
// fours where the sizes allow it (`vectors`).
#define BIAS_BINDING 2
#include "include/matmul.glsl"

layout(set = 0, binding = 0) readonly restrict buffer A { float a[]; };
layout(set = 0, binding = 1) readonly restrict buffer B { float b[]; };
layout(set = 0, binding = 0) readonly restrict buffer AFours { vec4 a_fours[]; };
layout(set = 0, binding = 1) readonly restrict buffer BFours { vec4 b_fours[]; };
