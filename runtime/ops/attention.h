/* attention.h: what the parts of the attention operators share: parameters, positions of the inputs, sizes, and which
 * keys a query sees. Letters: B batch, H heads, D head size, C = H·D, Tq queries, Tk keys. */
#ifndef TUFF_RUNTIME_ATTENTION_H
#define TUFF_RUNTIME_ATTENTION_H

#include "../op.h"
#include "philox.h"

/* Of all four operators. */
typedef struct tuff__attention_params {
    uint32_t num_attention_heads;
    bool causal;
    float scale;   /* the factor itself: tuff_attention has replaced the default */
    float dropout; /* 0 <= dropout < 1; above 0 the step parameters are wanted */
    uint32_t site;
} tuff__attention_params;

/* attention: q [B, Tq, C], k, v [B, Tk, C], key_lengths [B]?, step_parameters? -> o [B, Tq, C], lse [B, H, Tq]
 * attention_delta: o, do -> delta [B, H, Tq]
 * attention_backward_kv: q, k, v, do, lse, delta, key_lengths?, step_parameters? -> dk, dv
 * attention_backward_q: the same -> dq */
enum {
    TUFF__ATTENTION_Q = 0,
    TUFF__ATTENTION_K = 1,
    TUFF__ATTENTION_V = 2,
    TUFF__ATTENTION_LENGTHS = 3, /* forward */
    TUFF__ATTENTION_STEP = 4,
    TUFF__ATTENTION_DO = 3, /* backward */
    TUFF__ATTENTION_LSE = 4,
    TUFF__ATTENTION_DELTA = 5,
    TUFF__ATTENTION_BACKWARD_LENGTHS = 6,
    TUFF__ATTENTION_BACKWARD_STEP = 7,
    TUFF__ATTENTION_MAX_HEAD_SIZE = 256,
};

typedef struct tuff__attention_sizes {
    int64_t batch, heads, tq, tk, head_size, channels;
} tuff__attention_sizes;

/* From q and k, which stand first in all but attention_delta. */
tuff__attention_sizes tuff__attention_sizes_of(const tuff_op_call *call);
/* The position of key_lengths; step_parameters follow it. */
static inline uint32_t tuff__attention_lengths_input(const tuff_op_call *call)
{
    return call->op == &tuff__op_attention ? TUFF__ATTENTION_LENGTHS : TUFF__ATTENTION_BACKWARD_LENGTHS;
}

/* What the CPU executions read. */
typedef struct tuff__attention_mask {
    tuff__attention_sizes sizes;
    bool causal;
    const int32_t *lengths; /* NULL: all keys */
    uint32_t threshold;     /* of dropout; 0: none */
    float keep_scale;       /* 1/(1 - p) */
    uint32_t site, step, seed[2];
} tuff__attention_mask;

tuff__attention_mask tuff__attention_mask_of(const tuff_op_call *call);

/* Query i of batch b sees the keys [0, this). */
static inline int64_t tuff__attention_visible(const tuff__attention_mask *mask, int64_t b, int64_t i)
{
    int64_t visible = mask->sizes.tk;
    if (mask->lengths && mask->lengths[b] < visible)
        visible = mask->lengths[b];
    if (mask->causal && i + mask->sizes.tk - mask->sizes.tq + 1 < visible)
        visible = i + mask->sizes.tk - mask->sizes.tq + 1;
    return visible > 0 ? visible : 0;
}

/* The random words of keys 4·block .. 4·block + 3 for a row of scores: element index row·4·ceil(Tk/4) + key. */
TUFF__INLINE tuff__philox_words tuff__attention_words(const tuff__attention_mask *mask, int64_t b, int64_t h, int64_t i,
                                                      int64_t block)
{
    const int64_t row = (b * mask->sizes.heads + h) * mask->sizes.tq + i;
    return tuff__dropout_words((uint64_t)(row * ((mask->sizes.tk + 3) / 4) + block), mask->site, mask->step,
                               mask->seed);
}

/* attention_cpu.c */
uint64_t tuff__attention_cpu_workspace(const tuff_op_call *call, const tuff__target *target, int64_t matrices);
void tuff__attention_compute_fast(const tuff_op_call *call);
void tuff__attention_delta_compute_fast(const tuff_op_call *call);
void tuff__attention_backward_kv_compute_fast(const tuff_op_call *call);
void tuff__attention_backward_q_compute_fast(const tuff_op_call *call);

/* attention_vk.c */
uint64_t tuff__attention_vk_workspace(const tuff_op_call *call); /* of the backward operators */
tuff_status tuff__attention_record(const tuff_op_call *call, struct tuff__recorder *recorder);
tuff_status tuff__attention_delta_record(const tuff_op_call *call, struct tuff__recorder *recorder);
tuff_status tuff__attention_backward_kv_record(const tuff_op_call *call, struct tuff__recorder *recorder);
tuff_status tuff__attention_backward_q_record(const tuff_op_call *call, struct tuff__recorder *recorder);
enum { TUFF__ATTENTION_VARIANT_COUNT = 3, TUFF__ATTENTION_BACKWARD_VARIANT_COUNT = 2 };
extern const tuff__variant tuff__attention_variants[TUFF__ATTENTION_VARIANT_COUNT];
extern const tuff__variant tuff__attention_backward_variants[TUFF__ATTENTION_BACKWARD_VARIANT_COUNT]; /* kv and q */

#endif
