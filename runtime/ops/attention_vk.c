/*
 * attention_vk.c: owns how attention becomes dispatches. Where a tensor exceeds a binding, whole batches are taken a
 * few at a time; where a single batch exceeds it, windows of queries meet windows of keys in order, each continuing
 * from what the one before left in the outputs: o with lse is a complete state of the online softmax, and gradients are
 * sums. Where the arithmetic would hold a slow device for too long, batches and the outputs' rows are cut as well, and
 * what is summed over stays whole: the result is that of the uncut operator, bit by bit.
 */
#include "attention.h"

#include "rung.h"
#include "window.h"

#include "../../shaders/attention.h"

/* -- windows ------------------------------------------------------------------------------------------------------ */

typedef struct window {
    int64_t batch, batches, q, q_count, k, k_count;
} window;

/* The largest window from the origin that fits the bindings. */
static tuff_status fit_bindings(const tuff_op_call *call, const tuff__attention_sizes *s, window *out)
{
    const int64_t limit = tuff__window_limit(call->target);
    const int64_t largest = tuff__max_i64(tuff__max_i64(s->tq, s->tk) * s->channels, 2 * s->heads * s->tq);
    *out = (window){
        .batches = tuff__min_i64(s->batch, call->target->max_workgroup_count[2]), .q_count = s->tq, .k_count = s->tk};
    if (largest <= limit) {
        out->batches = tuff__min_i64(out->batches, limit / largest);
        return TUFF_SUCCESS;
    }
    const int64_t rows = limit / s->channels / 4 * 4; /* the random words of four keys stay together */
    if (rows == 0)
        return tuff__fail_window(call, "four rows", 4 * s->channels);
    if (2 * s->heads * s->tq > limit)
        return tuff__fail_window(call, "one batch's log-sum-exp and its delta", 2 * s->heads * s->tq);
    out->batches = 1;
    out->q_count = tuff__min_i64(s->tq, rows);
    out->k_count = tuff__min_i64(s->tk, rows);
    return TUFF_SUCCESS;
}

enum { ROWS_STEP = 64 }; /* whole tiles, and the next window starts at TUFF__ALIGNMENT */

/* The largest window that fits the bindings and the time of a dispatch: for the latter the keys are cut where
 * `keys_outer`, the queries elsewhere. */
static tuff_status first_window(const tuff_op_call *call, const tuff__attention_sizes *s, bool keys_outer, window *out)
{
    TUFF_TRY(fit_bindings(call, s, out));
    const double flops = tuff__op_flops(call) / (double)s->batch * ((double)out->q_count / (double)s->tq) *
                         ((double)out->k_count / (double)s->tk); /* of one batch */
    int64_t *rows = keys_outer ? &out->k_count : &out->q_count;
    out->batches = tuff__rows_per_dispatch(call->target, out->batches, flops, 1);
    if (out->batches == 1)
        *rows = tuff__rows_per_dispatch(call->target, *rows, flops / (double)*rows, ROWS_STEP);
    return TUFF_SUCCESS;
}

/* Moves on: the inner side fastest (keys, or queries where `keys_outer`), then the outer, then batches. False past the
 * last. `step` is a full window. */
static bool next_window(window *w, const window *step, const tuff__attention_sizes *s, bool keys_outer)
{
    int64_t *inner = keys_outer ? &w->q : &w->k, *outer = keys_outer ? &w->k : &w->q;
    *inner += keys_outer ? step->q_count : step->k_count;
    if (*inner >= (keys_outer ? s->tq : s->tk)) {
        *inner = 0;
        *outer += keys_outer ? step->k_count : step->q_count;
    }
    if (*outer >= (keys_outer ? s->tk : s->tq)) {
        *outer = 0;
        w->batch += step->batches;
    }
    w->batches = tuff__min_i64(step->batches, s->batch - w->batch);
    w->q_count = tuff__min_i64(step->q_count, s->tq - w->q);
    w->k_count = tuff__min_i64(step->k_count, s->tk - w->k);
    return w->batch < s->batch;
}

/* [B, T, C]: rows [first, first + count) of the window's batches. */
static tuff__slice bind_rows(tuff__slice slice, const tuff__attention_sizes *s, const window *w, int64_t t,
                             int64_t first, int64_t count, uint32_t *out_base)
{
    const int64_t elements = ((w->batches - 1) * t + count) * s->channels;
    return tuff__window(slice, (w->batch * t + first) * s->channels, elements, out_base);
}

static tuff__slice bind_q(tuff__slice slice, const tuff__attention_sizes *s, const window *w, uint32_t *out_base)
{
    return bind_rows(slice, s, w, s->tq, w->q, w->q_count, out_base);
}

static tuff__slice bind_k(tuff__slice slice, const tuff__attention_sizes *s, const window *w, uint32_t *out_base)
{
    return bind_rows(slice, s, w, s->tk, w->k, w->k_count, out_base);
}

/* [B, H, Tq] */
static tuff__slice bind_lse(tuff__slice slice, const tuff__attention_sizes *s, const window *w, uint32_t *out_base)
{
    return tuff__window(slice, w->batch * s->heads * s->tq + w->q, (w->batches * s->heads - 1) * s->tq + w->q_count,
                        out_base);
}

/* -- dispatches --------------------------------------------------------------------------------------------------- */

typedef struct kernel {
    const char *shader;
    int64_t rows_of_threads; /* rows of invocations in a workgroup */
    uint32_t rows;           /* of an invocation */
} kernel;

static void describe(const tuff_op_call *call, const tuff__attention_sizes *s, const window *w, const kernel *k,
                     struct tuff_push_attention *push, tuff__dispatch *dispatch)
{
    const tuff__attention_params *params = call->params;
    const bool has_dropout = params->dropout > 0;
    *push = (struct tuff_push_attention){
        .tq = (uint32_t)s->tq,
        .tk = (uint32_t)s->tk,
        .channels = (uint32_t)s->channels,
        .heads = (uint32_t)s->heads,
        .first_q = (uint32_t)w->q,
        .q_count = (uint32_t)w->q_count,
        .first_k = (uint32_t)w->k,
        .k_count = (uint32_t)w->k_count,
        .first_batch = (uint32_t)w->batch,
        .scale = params->scale,
        .keep_scale = has_dropout ? tuff__dropout_scale(params->dropout) : 1,
        .threshold = has_dropout ? tuff__dropout_threshold(params->dropout) : 0,
        .site = params->site,
    };
    push->flags = (params->causal ? TUFF_ATTENTION_CAUSAL : 0) |
                  (tuff__call_has(call, tuff__attention_lengths_input(call)) ? TUFF_ATTENTION_LENGTHS : 0) |
                  (w->k + w->k_count == s->tk ? TUFF_ATTENTION_LAST : 0);
    *dispatch = (tuff__dispatch){
        .shader = k->shader,
        .push_constants = push,
        .push_constants_size = sizeof *push,
        .constants = {[TUFF_ATTENTION_HEAD_SIZE - 3] = (uint32_t)s->head_size,
                      [TUFF_ATTENTION_DROPOUT - 3] = has_dropout,
                      [TUFF_ATTENTION_ROWS - 3] = k->rows,
                      [TUFF_ATTENTION_FOURS - 3] = s->head_size % 4 == 0},
        .constant_count = TUFF_ATTENTION_FOURS - 3 + 1,
        .group_count = {1, (uint32_t)s->heads, (uint32_t)w->batches},
    };
    dispatch->bindings[0] = bind_q(call->inputs[TUFF__ATTENTION_Q].slice, s, w, &push->q_base);
    dispatch->bindings[1] = bind_k(call->inputs[TUFF__ATTENTION_K].slice, s, w, &push->k_base);
    dispatch->bindings[2] = bind_k(call->inputs[TUFF__ATTENTION_V].slice, s, w, &push->k_base);
}

/* The first `words` of an optional input; where it is not there some other memory, which is never touched. */
static tuff__slice optional(const tuff_op_call *call, uint32_t input, int64_t words)
{
    const bool there = tuff__call_has(call, input);
    return tuff__slice_part(call->inputs[there ? input : TUFF__ATTENTION_LSE].slice, 0,
                            there ? (uint64_t)words * sizeof(uint32_t) : sizeof(uint32_t));
}

static uint32_t groups(int64_t rows, const kernel *k)
{
    const int64_t tile = k->rows_of_threads * k->rows;
    return (uint32_t)tuff__divide_up(rows, tile);
}

/* At most 16 sums an invocation, where 16 invocations share a row of this many elements: with 32, Adreno 6xx and
 * Apple's compilers spill registers. Where registers are few, half of both rows and sums, while there is more than one
 * row. */
static uint32_t rows_for(const tuff__target *target, int64_t elements)
{
    const uint32_t rows = elements <= 64 ? 4 : elements <= 128 ? 2 : 1;
    return target->few_registers && rows > 1 ? rows / 2 : rows;
}

enum { FORWARD_T0 = 0, FORWARD_T1 = 1, FORWARD_T0C = 2, BACKWARD_T0 = 0, BACKWARD_T0C = 1 };

/* Its 16 scores an invocation want registers. */
static bool is_for_t1(const tuff__target *target)
{
    return tuff__rung_t1(target) && !target->few_registers;
}

const tuff__variant tuff__attention_variants[TUFF__ATTENTION_VARIANT_COUNT] = {
    [FORWARD_T0] = {"t0", tuff__rung_t0},
    [FORWARD_T1] = {"t1", is_for_t1},
    [FORWARD_T0C] = {"t0c", tuff__rung_t0c},
};

const tuff__variant tuff__attention_backward_variants[TUFF__ATTENTION_BACKWARD_VARIANT_COUNT] = {
    [BACKWARD_T0] = {"t0", tuff__rung_t0},
    [BACKWARD_T0C] = {"t0c", tuff__rung_t0c},
};

/* Up to which head size the kernels that unroll over it pay: beyond, a CPU driver compiles for seconds. */
enum { LANES_HEAD_SIZE = 64 };

/* Up to which head size 16 invocations keep the sums of a key's dk and dv. */
enum { WIDE_HEAD_SIZE = 128 };

static kernel lanes_kernel(const char *shader)
{
    return (kernel){.shader = shader, .rows_of_threads = 16, .rows = 1};
}

static kernel tiled_kernel(const tuff_op_call *call, const char *shader, int64_t elements)
{
    return (kernel){.shader = shader, .rows_of_threads = 8, .rows = rows_for(call->target, elements)};
}

static kernel forward_kernel(const tuff_op_call *call, int64_t head_size)
{
    if (call->variant == FORWARD_T0C && head_size <= LANES_HEAD_SIZE)
        return lanes_kernel("attention_t0c");
    if (call->variant == FORWARD_T1)
        return (kernel){.shader = "attention_t1", .rows_of_threads = 16, .rows = rows_for(call->target, head_size)};
    return tiled_kernel(call, "attention_t0", head_size);
}

tuff_status tuff__attention_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    const kernel k = forward_kernel(call, s.head_size);
    window step;
    TUFF_TRY(first_window(call, &s, false, &step));
    window w = step;
    do {
        struct tuff_push_attention push;
        tuff__dispatch dispatch;
        describe(call, &s, &w, &k, &push, &dispatch);
        dispatch.group_count[0] = groups(w.q_count, &k);
        push.flags |= w.k > 0 ? TUFF_ATTENTION_CONTINUES : 0;
        dispatch.bindings[3] =
            tuff__call_has(call, TUFF__ATTENTION_LENGTHS)
                ? tuff__window(call->inputs[TUFF__ATTENTION_LENGTHS].slice, w.batch, w.batches, &push.lengths_base)
                : dispatch.bindings[1]; /* never touched */
        dispatch.bindings[4] = tuff__call_has(call, TUFF__ATTENTION_STEP) ? call->inputs[TUFF__ATTENTION_STEP].slice
                                                                          : dispatch.bindings[1];
        dispatch.bindings[5] = bind_q(call->outputs[0].slice, &s, &w, &push.q_base);
        dispatch.bindings[6] = bind_lse(call->outputs[1].slice, &s, &w, &push.row_base);
        dispatch.binding_count = 7;
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    } while (next_window(&w, &step, &s, false));
    return TUFF_SUCCESS;
}

tuff_status tuff__attention_delta_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    window step;
    TUFF_TRY(first_window(call, &s, false, &step));
    step.k_count = s.tk; /* there are no keys */
    const uint32_t lanes = tuff__row_lanes(call->target, s.head_size);
    window w = step;
    do {
        struct tuff_push_attention_delta push = {
            .tq = (uint32_t)s.tq,
            .channels = (uint32_t)s.channels,
            .heads = (uint32_t)s.heads,
            .head_size = (uint32_t)s.head_size,
            .q_count = (uint32_t)w.q_count,
            .batches = (uint32_t)w.batches,
        };
        tuff__dispatch dispatch = {
            .shader = "attention_delta",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .constants = {[TUFF_ATTENTION_DELTA_LANES - 3] = lanes},
            .constant_count = 1,
            .group_count = {tuff__groups_for(call->target, w.batches * w.q_count * s.heads, TUFF__ROW_GROUP / lanes), 1,
                            1},
            .bindings = {bind_q(call->inputs[0].slice, &s, &w, &push.q_base),
                         bind_q(call->inputs[1].slice, &s, &w, &push.q_base),
                         bind_lse(call->outputs[0].slice, &s, &w, &push.row_base)},
            .binding_count = 3,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    } while (next_window(&w, &step, &s, false));
    return TUFF_SUCCESS;
}

/* -- what the backward kernels read of queries and batches: attention_pack.comp ----------------------------------- */

static int64_t pair_count(const tuff__attention_sizes *s)
{
    return s->batch * s->heads * s->tq;
}

/* Bytes; the marks follow. */
static uint64_t pairs_size(const tuff__attention_sizes *s)
{
    return tuff__align_up((uint64_t)pair_count(s) * 2 * sizeof(float));
}

static uint64_t marks_size(const tuff__attention_sizes *s)
{
    return ((uint64_t)s->batch + TUFF_ATTENTION_FIRST_LENGTH) * sizeof(uint32_t);
}

uint64_t tuff__attention_vk_workspace(const tuff_op_call *call)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    return pairs_size(&s) + marks_size(&s);
}

static tuff__slice marks_of(const tuff_op_call *call, const tuff__attention_sizes *s)
{
    return tuff__slice_part(call->workspace_slice, pairs_size(s), marks_size(s));
}

static tuff_status pack(const tuff_op_call *call, const tuff__attention_sizes *s, tuff__recorder *recorder)
{
    const int64_t all = pair_count(s), limit = tuff__window_limit(call->target) / 2 / ROWS_STEP * ROWS_STEP;
    const int64_t marks = (int64_t)(marks_size(s) / sizeof(uint32_t));
    if (marks > tuff__window_limit(call->target))
        return tuff__fail_window(call, "the key lengths", marks);
    for (int64_t first = 0; first < all; first += limit) {
        const int64_t count = tuff__min_i64(limit, all - first);
        const uint64_t begin = (uint64_t)first * sizeof(float), size = (uint64_t)count * sizeof(float);
        const struct tuff_push_attention_pack push = {
            .count = (uint32_t)count,
            .mark_count = first == 0 ? (uint32_t)marks : 0,
            .tk = (uint32_t)s->tk,
            .has_lengths = tuff__call_has(call, TUFF__ATTENTION_BACKWARD_LENGTHS),
            .has_step = tuff__call_has(call, TUFF__ATTENTION_BACKWARD_STEP),
        };
        const tuff__dispatch dispatch = {
            .shader = "attention_pack",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .group_count = {tuff__groups_for(call->target, tuff__max_i64(count, marks), TUFF__ROW_GROUP), 1, 1},
            .bindings = {tuff__slice_part(call->inputs[TUFF__ATTENTION_LSE].slice, begin, size),
                         tuff__slice_part(call->inputs[TUFF__ATTENTION_DELTA].slice, begin, size),
                         optional(call, TUFF__ATTENTION_BACKWARD_LENGTHS, s->batch),
                         optional(call, TUFF__ATTENTION_BACKWARD_STEP, 8),
                         tuff__slice_part(call->workspace_slice, 2 * begin, 2 * size), marks_of(call, s)},
            .binding_count = 6,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

static void bind_gradients(const tuff_op_call *call, const tuff__attention_sizes *s, const window *w,
                           struct tuff_push_attention *push, tuff__dispatch *dispatch)
{
    const int64_t first = w->batch * s->heads * s->tq + w->q, count = (w->batches * s->heads - 1) * s->tq + w->q_count;
    dispatch->bindings[3] = bind_q(call->inputs[TUFF__ATTENTION_DO].slice, s, w, &push->q_base);
    dispatch->bindings[4] = tuff__window(call->workspace_slice, 2 * first, 2 * count, &push->row_base);
    dispatch->bindings[5] = marks_of(call, s);
    push->row_base /= 2; /* pairs */
}

static kernel backward_kv_kernel(const tuff_op_call *call, int64_t head_size)
{
    if (call->variant == BACKWARD_T0C && head_size <= LANES_HEAD_SIZE)
        return lanes_kernel("attention_backward_kv_t0c");
    if (head_size > WIDE_HEAD_SIZE)
        return (kernel){.shader = "attention_backward_kv_wide", .rows_of_threads = 4, .rows = 1};
    return tiled_kernel(call, "attention_backward_kv", 2 * head_size); /* two sums an element */
}

static kernel backward_q_kernel(const tuff_op_call *call, int64_t head_size)
{
    if (call->variant == BACKWARD_T0C && head_size <= LANES_HEAD_SIZE)
        return lanes_kernel("attention_backward_q_t0c");
    return tiled_kernel(call, "attention_backward_q", head_size);
}

/* dk and dv where `keys_outer`, dq elsewhere: gradients of the outer side's rows, summed over the inner. */
static tuff_status record_backward(const tuff_op_call *call, const tuff__attention_sizes *s, const kernel *k,
                                   bool keys_outer, tuff__recorder *recorder)
{
    window step;
    TUFF_TRY(first_window(call, s, keys_outer, &step));
    TUFF_TRY(pack(call, s, recorder));
    window w = step;
    do {
        struct tuff_push_attention push;
        tuff__dispatch dispatch;
        describe(call, s, &w, k, &push, &dispatch);
        bind_gradients(call, s, &w, &push, &dispatch);
        dispatch.group_count[0] = groups(keys_outer ? w.k_count : w.q_count, k);
        push.flags |= (keys_outer ? w.q : w.k) > 0 ? TUFF_ATTENTION_CONTINUES : 0;
        if (keys_outer) {
            dispatch.bindings[6] = bind_k(call->outputs[0].slice, s, &w, &push.k_base);
            dispatch.bindings[7] = bind_k(call->outputs[1].slice, s, &w, &push.k_base);
        } else {
            dispatch.bindings[6] = bind_q(call->outputs[0].slice, s, &w, &push.q_base);
        }
        dispatch.binding_count = keys_outer ? 8 : 7;
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    } while (next_window(&w, &step, s, keys_outer));
    return TUFF_SUCCESS;
}

tuff_status tuff__attention_backward_kv_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    const kernel k = backward_kv_kernel(call, s.head_size);
    return record_backward(call, &s, &k, true, recorder);
}

tuff_status tuff__attention_backward_q_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    const kernel k = backward_q_kernel(call, s.head_size);
    return record_backward(call, &s, &k, false, recorder);
}
