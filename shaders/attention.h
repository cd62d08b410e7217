/* attention.h: push constants and specialization constants of the attention kernels, for C and GLSL. */
#ifndef TUFF_SHADERS_ATTENTION_H
#define TUFF_SHADERS_ATTENTION_H

#include "include/shared.h"

/* One dispatch: some batches, a window of queries and a window of keys. Bases count elements from a binding's start to
 * the window's first. */
struct tuff_push_attention {
    tuff_uint tq, tk;   /* all queries and keys: what masks and random numbers count by */
    tuff_uint channels; /* elements from one row to the next */
    tuff_uint heads;
    tuff_uint first_q, q_count; /* the window */
    tuff_uint first_k, k_count;
    tuff_uint first_batch;
    tuff_uint q_base, k_base; /* of q, do, o, dq; of k, v, dk, dv: equal shapes, equal windows */
    tuff_uint row_base;       /* of lse [B, H, Tq], or of the pairs that attention_pack made of it */
    tuff_uint lengths_base;   /* of key_lengths */
    tuff_float scale, keep_scale;
    tuff_uint threshold, site; /* of dropout */
    tuff_uint flags;           /* TUFF_ATTENTION_CAUSAL, ... */
};
TUFF_PUSH_CONSTANTS(attention)

struct tuff_push_attention_delta {
    tuff_uint tq, channels, heads, head_size;
    tuff_uint q_count, batches; /* queries of a batch in the window; more than one batch has them all */
    tuff_uint q_base, row_base; /* of o and do; of delta */
};
TUFF_PUSH_CONSTANTS(attention_delta)

struct tuff_push_attention_pack {
    tuff_uint count;      /* pairs */
    tuff_uint mark_count; /* 0 where an earlier dispatch has written them */
    tuff_uint tk, has_lengths, has_step;
};
TUFF_PUSH_CONSTANTS(attention_pack)
#define TUFF_ATTENTION_FIRST_LENGTH 4u /* in marks: three step parameters and a word of padding come before */

/* Bits of flags. What changes no loop is not a specialization constant: each of those is a pipeline to compile. */
#define TUFF_ATTENTION_CAUSAL 1u
#define TUFF_ATTENTION_LENGTHS 2u   /* key_lengths are given */
#define TUFF_ATTENTION_CONTINUES 4u /* sums start from what an earlier window left in the outputs */
#define TUFF_ATTENTION_LAST 8u      /* forward: no further window of keys follows */

/* Ids of specialization constants. */
#define TUFF_ATTENTION_HEAD_SIZE 3
#define TUFF_ATTENTION_DROPOUT 4
#define TUFF_ATTENTION_ROWS 5        /* rows of an invocation */
#define TUFF_ATTENTION_FOURS 6       /* t0c: rows may be read four elements at a time */
#define TUFF_ATTENTION_DELTA_LANES 3 /* attention_delta: invocations that share a head of a query */

#endif
