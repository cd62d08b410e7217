/*
 * cast.c: owns conversion between F32, F16 and BF16, to nearest even, and from I32 to F32. Exact to the bit on every
 * device: kernels work on integers, because drivers may flush subnormal halves or round their own way. The gradient is
 * cast back.
 */
#include "cast.h"

#include "../../shaders/cast.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"
#include "window.h"

#include <string.h>

_Static_assert((int)TUFF_CAST_F32 == (int)TUFF_F32 && (int)TUFF_CAST_F16 == (int)TUFF_F16 &&
                   (int)TUFF_CAST_BF16 == (int)TUFF_BF16 && (int)TUFF_CAST_I32 == (int)TUFF_I32,
               "the shader knows the dtypes by number");

enum { FLAT_GRAIN = 16384, PART_STEP = 128 /* elements after which 16-bit parts are aligned for a binding */ };

static tuff_status cast_infer(tuff_op_call *call)
{
    const tuff_dtype from = call->inputs[0].dtype, to = ((const tuff__cast_params *)call->params)->dtype;
    if ((uint32_t)to > TUFF_BF16 || (from == TUFF_I32 && to != TUFF_F32))
        return tuff__fail_shape(call, "from %s to %s; wanted between f32, f16 and bf16, or from i32 to f32",
                                tuff__dtype_name(from), (uint32_t)to <= TUFF_I32 ? tuff__dtype_name(to) : "no dtype");
    tuff__output_set(call, 0, to, call->inputs[0].shape);
    return TUFF_SUCCESS;
}

static float load(const tuff__operand *x, int64_t i)
{
    switch (x->dtype) {
    case TUFF_F16:
        return tuff__f16_to_f32(((const uint16_t *)x->data)[i]);
    case TUFF_BF16:
        return tuff__bf16_to_f32(((const uint16_t *)x->data)[i]);
    case TUFF_I32:
        return (float)((const int32_t *)x->data)[i];
    case TUFF_F32:
        break;
    }
    return ((const float *)x->data)[i];
}

static void store(const tuff__operand *y, int64_t i, float value)
{
    if (y->dtype == TUFF_F16)
        ((uint16_t *)y->data)[i] = tuff__f32_to_f16(value);
    else if (y->dtype == TUFF_BF16)
        ((uint16_t *)y->data)[i] = tuff__f32_to_bf16(value);
    else
        ((float *)y->data)[i] = value;
}

static void cast_compute(const tuff_op_call *call)
{
    const int64_t count = tuff_shape_count(&call->inputs[0].shape);
    for (int64_t i = 0; i < count; i++)
        store(&call->outputs[0], i, load(&call->inputs[0], i));
}

/* -- the CPU device: the same functions without branches ---------------------------------------------------------- */

TUFF__INLINE uint32_t f16_bits(uint32_t half)
{
    const uint32_t magnitude = (half & 0x7FFFu) << 13;
    /* The exponent moves by 112; multiplying does so for subnormals as well. */
    const uint32_t scaled = tuff__bits_of(tuff__float_of(magnitude) * 0x1p112f);
    return (half & 0x8000u) << 16 | (magnitude >= 0x0F800000u ? magnitude | 0x7F800000u : scaled);
}

TUFF__INLINE uint32_t f16_of_bits(uint32_t bits)
{
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    const uint32_t normal = (magnitude + 0xFFFu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
    /* Adding 1/2 leaves the units of 2^-24, rounded to nearest even, in the low bits. */
    const uint32_t subnormal = tuff__bits_of(tuff__float_of(magnitude) + 0.5f) - 0x3F000000u;
    const uint32_t nan = 0x7E00u | (magnitude >> 13 & 0x3FFu);
    const uint32_t finite = magnitude < 0x38800000u ? subnormal : normal;
    const uint32_t ordered = magnitude >= 0x477FF000u ? 0x7C00u : finite;
    return (bits >> 16 & 0x8000u) | (magnitude > 0x7F800000u ? nan : ordered);
}

TUFF__INLINE uint32_t bf16_of_bits(uint32_t bits)
{
    const uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
    return (bits & 0x7FFFFFFFu) > 0x7F800000u ? bits >> 16 | 0x40u : rounded;
}

typedef struct cast_arrays {
    const void *x;
    void *y;
} cast_arrays;

#define CAST_RANGE(name, from, to, value)                                                                              \
    TUFF__SIMD static void name(void *user, int64_t first, int64_t last)                                               \
    {                                                                                                                  \
        const from *restrict in = ((const cast_arrays *)user)->x;                                                      \
        to *restrict out = ((const cast_arrays *)user)->y;                                                             \
        for (int64_t i = first; i < last; i++) {                                                                       \
            const from x = in[i];                                                                                      \
            out[i] = (value);                                                                                          \
        }                                                                                                              \
    }

CAST_RANGE(f32_to_f16, uint32_t, uint16_t, (uint16_t)f16_of_bits(x))
CAST_RANGE(f32_to_bf16, uint32_t, uint16_t, (uint16_t)bf16_of_bits(x))
CAST_RANGE(f16_to_f32, uint16_t, uint32_t, f16_bits(x))
CAST_RANGE(f16_to_bf16, uint16_t, uint16_t, (uint16_t)bf16_of_bits(f16_bits(x)))
CAST_RANGE(bf16_to_f32, uint16_t, uint32_t, (uint32_t)x << 16)
CAST_RANGE(bf16_to_f16, uint16_t, uint16_t, (uint16_t)f16_of_bits((uint32_t)x << 16))
CAST_RANGE(i32_to_f32, int32_t, float, (float)x)
CAST_RANGE(same_32, uint32_t, uint32_t, x)
CAST_RANGE(same_16, uint16_t, uint16_t, x)

static void cast_compute_fast(const tuff_op_call *call)
{
    static const tuff__pool_range_task tasks[4][3] = {
        [TUFF_F32] = {same_32, f32_to_f16, f32_to_bf16},
        [TUFF_F16] = {f16_to_f32, same_16, f16_to_bf16},
        [TUFF_BF16] = {bf16_to_f32, bf16_to_f16, same_16},
        [TUFF_I32] = {i32_to_f32},
    };
    cast_arrays arrays = {.x = call->inputs[0].data, .y = call->outputs[0].data};
    tuff__pool_run_range(call->pool, tuff_shape_count(&call->inputs[0].shape), FLAT_GRAIN,
                         tasks[call->inputs[0].dtype][call->outputs[0].dtype], &arrays);
}

static tuff_status cast_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t count = tuff_shape_count(&call->inputs[0].shape);
    const int64_t limit = (int64_t)(call->target->max_storage_buffer_range / 4);
    const int64_t part = count <= limit ? count : limit / PART_STEP * PART_STEP;
    for (int64_t first = 0; first < count; first += part) {
        const int64_t n = tuff__min_i64(part, count - first);
        const struct tuff_push_cast push = {.count = (uint32_t)n};
        const tuff__dispatch dispatch = {
            .shader = "cast",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .constants = {(uint32_t)call->inputs[0].dtype, (uint32_t)call->outputs[0].dtype},
            .constant_count = 2,
            .group_count = {tuff__groups_for(call->target, (n + 1) / 2, 128), 1, 1},
            .bindings = {tuff__slice_rows(&call->inputs[0], first, n, tuff__dtype_size(call->inputs[0].dtype)),
                         tuff__slice_rows(&call->outputs[0], first, n, tuff__dtype_size(call->outputs[0].dtype))},
            .binding_count = 2,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

static void cast_differentiate(tuff__gradient *g)
{
    g->input_grads[0] = tuff_cast(g->graph, g->output_grads[0], tuff_tensor_dtype(g->graph, g->inputs[0]));
}

const tuff_op_desc tuff__op_cast = {
    .name = "cast",
    .input_count = 1,
    .output_count = 1,
    .in_order = true,
    .infer = cast_infer,
    .compute = cast_compute,
    .compute_fast = cast_compute_fast,
    .record = cast_record,
    .backward = cast_differentiate,
};

tuff_tensor tuff_cast(tuff_graph *graph, tuff_tensor x, tuff_dtype dtype)
{
    const tuff__cast_params params = {.dtype = dtype};
    if (x.id && tuff_tensor_dtype(graph, x) == dtype)
        return x;
    return tuff__graph_add(graph, TUFF__OP_CAST, &params, sizeof params, &x, 1, NULL);
}
