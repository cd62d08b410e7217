/*
 * matmul_vk.c: owns how a matrix product becomes dispatches: which kernel, how k is split where the result is too small
 * to fill a device, and how a product whose tensors exceed a binding, or whose arithmetic would hold a slow device for
 * too long, is cut into parts that do not.
 */
#include "matmul.h"

#include "../recorder.h"
#include "rung.h"
#include "window.h"

#include "../../shaders/matmul.h"

/* -- kernels ------------------------------------------------------------------------------------------------------ */

typedef struct kernel {
    const char *shader;
    int64_t tile_m, tile_n;
} kernel;

enum { VARIANT_T0 = 0, VARIANT_T1 = 1, VARIANT_T0C = 2 };

const tuff__variant tuff__matmul_variants[TUFF__MATMUL_VARIANT_COUNT] = {
    [VARIANT_T0] = {"t0", tuff__rung_t0},
    [VARIANT_T1] = {"t1", tuff__rung_t1},
    [VARIANT_T0C] = {"t0c", tuff__rung_t0c},
};

static int64_t tile_count(const kernel *k, int64_t batch, int64_t m, int64_t n)
{
    return batch * tuff__divide_up(m, k->tile_m) * tuff__divide_up(n, k->tile_n);
}

/* Enough workgroups for the widest devices at hand (some 130 compute units). */
enum { MANY_TILES = 128 };

static kernel choose_kernel(const tuff_op_call *call, const tuff__matmul_sizes *s)
{
    static const kernel t0 = {"matmul_t0", 32, 32}, t1 = {"matmul_t1", 128, 128}, t1_64 = {"matmul_t1_64", 64, 64},
                        t0c = {"matmul_t0c", 16, 64};
    if (call->variant == VARIANT_T0C)
        return t0c;
    if (call->variant == VARIANT_T0)
        return t0;
    /* The larger tile keeps 64 sums. */
    return call->target->few_registers || tile_count(&t1, s->batch, s->m, s->n) < MANY_TILES ? t1_64 : t1;
}

/* -- splitting k -------------------------------------------------------------------------------------------------- */

/* A weight's gradient sums over all tokens and gives a small result: a few tiles, each with a long k. Then k is cut
 * into pieces of workgroups of their own, whose partial sums a second kernel adds in order. */
enum { SPLIT_DEPTH = 256, MAX_SPLITS = 16, STEP_K = 16 };

static int64_t split_depth(const kernel *k, const tuff__matmul_sizes *s)
{
    const int64_t tiles = tile_count(k, s->batch, s->m, s->n);
    int64_t splits = tuff__divide_up(MANY_TILES, tiles);
    splits = tuff__min_i64(splits, tuff__min_i64(MAX_SPLITS, s->k / SPLIT_DEPTH));
    return splits <= 1 ? s->k : tuff__divide_up(tuff__divide_up(s->k, splits), STEP_K) * STEP_K;
}

static int64_t elements_of(const tuff_op_call *call, uint32_t input)
{
    return tuff_shape_count(&call->inputs[input].shape);
}

/* How k is split for this call, its size where it is not; a product that must be cut into parts is
 * not split as well. */
static int64_t planned_split(const tuff_op_call *call, const tuff__target *target, const tuff__matmul_sizes *s)
{
    if (call->variant == VARIANT_T0C) /* a CPU has few threads */
        return s->k;
    const kernel k = choose_kernel(call, s);
    const int64_t depth = split_depth(&k, s), splits = tuff__divide_up(s->k, depth);
    const int64_t limit = tuff__window_limit(target), result = s->batch * s->m * s->n;
    const bool whole = elements_of(call, TUFF__MATMUL_A) <= limit && elements_of(call, TUFF__MATMUL_B) <= limit &&
                       result <= limit / splits && s->batch * splits <= target->max_workgroup_count[2];
    return whole ? depth : s->k;
}

uint64_t tuff__matmul_workspace(const tuff_op_call *call, const tuff__target *target)
{
    if (target->backend != TUFF_BACKEND_VULKAN)
        return 0;
    const tuff__matmul_sizes s = tuff__matmul_sizes_of(call);
    const int64_t splits = tuff__divide_up(s.k, planned_split(call, target, &s));
    return splits > 1 ? (uint64_t)(s.batch * splits * s.m * s.n) * sizeof(float) : 0;
}

/* -- parts -------------------------------------------------------------------------------------------------------- */

/* out[batch .. + batches][m .. + m_count][n .. + n_count] over [k .. + k_count) */
typedef struct part {
    int64_t batch, m, n, k, batches, m_count, n_count, k_count;
} part;

typedef struct span {
    int64_t first, count; /* elements */
} span;

static span span_of(int64_t row, int64_t rows, int64_t column, int64_t columns, int64_t ld)
{
    return (span){row * ld + column, (rows - 1) * ld + columns};
}

typedef struct part_spans {
    span a, b, out; /* within one batch */
} part_spans;

static part_spans spans_of(const tuff__matmul_params *params, const tuff__matmul_sizes *s, const part *p)
{
    return (part_spans){
        .a = params->transpose_a ? span_of(p->k, p->k_count, p->m, p->m_count, s->m)
                                 : span_of(p->m, p->m_count, p->k, p->k_count, s->k),
        .b = params->transpose_b ? span_of(p->n, p->n_count, p->k, p->k_count, s->k)
                                 : span_of(p->k, p->k_count, p->n, p->n_count, s->n),
        .out = span_of(p->m, p->m_count, p->n, p->n_count, s->n),
    };
}

/* Half of a count, kept a multiple of what tiles and vectors like while it is large. */
static int64_t halve(int64_t count)
{
    return count > 128 ? tuff__divide_up(count / 2, 64) * 64 : tuff__divide_up(count, 2);
}

/* Halves the rows that a span runs over, or, when it is one row, its columns. */
static void shrink(int64_t *rows, int64_t *columns)
{
    int64_t *count = *rows > 1 ? rows : columns;
    *count = halve(*count);
}

enum { TILES_STEP = 128 }; /* a multiple of every kernel's tile, so that no part but the last has ragged ones */

/* Makes the part short enough for one dispatch. k stays whole: the sums are those of the uncut product, bit by bit. */
static void shorten(const tuff__target *target, part *p)
{
    const double column = 2.0 * (double)p->k_count;
    p->batches = tuff__rows_per_dispatch(target, p->batches, column * (double)p->m_count * (double)p->n_count, 1);
    if (p->batches > 1)
        return;
    p->m_count = tuff__rows_per_dispatch(target, p->m_count, column * (double)p->n_count, TILES_STEP);
    p->n_count = tuff__rows_per_dispatch(target, p->n_count, column * (double)p->m_count, TILES_STEP);
}

/* The largest part from the origin that fits the bindings, the grid and the time of a dispatch. One element always
 * does. */
static part first_part(const tuff_op_call *call, const tuff__matmul_sizes *s, const kernel *k)
{
    const tuff__matmul_params *params = call->params;
    const tuff__target *target = call->target;
    const int64_t limit = tuff__window_limit(target);
    part p = {.batches = tuff__min_i64(s->batch, target->max_workgroup_count[2]),
              .m_count = tuff__min_i64(s->m, k->tile_m * target->max_workgroup_count[1]),
              .n_count = tuff__min_i64(s->n, k->tile_n * target->max_workgroup_count[0]),
              .k_count = s->k};
    for (;;) {
        const part_spans spans = spans_of(params, s, &p);
        if (spans.out.count > limit)
            shrink(&p.m_count, &p.n_count);
        else if (spans.a.count > limit)
            params->transpose_a ? shrink(&p.k_count, &p.m_count) : shrink(&p.m_count, &p.k_count);
        else if (spans.b.count > limit)
            params->transpose_b ? shrink(&p.n_count, &p.k_count) : shrink(&p.k_count, &p.n_count);
        else
            break;
    }
    const part_spans spans = spans_of(params, s, &p);
    const int64_t strides[] = {s->a_batch_stride, s->b_batch_stride, s->m * s->n};
    const int64_t counts[] = {spans.a.count, spans.b.count, spans.out.count};
    for (int i = 0; i < 3; i++)
        if (strides[i])
            p.batches = tuff__min_i64(p.batches, (limit - counts[i]) / strides[i] + 1);
    shorten(target, &p);
    return p;
}

/* Binds a span of a batched operand. */
static tuff__slice bind_span(tuff__slice slice, span within, const part *p, int64_t batch_stride, uint32_t *out_base)
{
    return tuff__window(slice, p->batch * batch_stride + within.first, (p->batches - 1) * batch_stride + within.count,
                        out_base);
}

/* Whether an operand may be read in fours: all it steps by, and where it starts and ends, are multiples of four. */
static bool in_fours(uint32_t base, int64_t fast_count, int64_t ld, int64_t batch_stride)
{
    return base % 4 == 0 && fast_count % 4 == 0 && ld % 4 == 0 && batch_stride % 4 == 0;
}

static uint32_t epilogue_of(const tuff_op_call *call, const tuff__matmul_sizes *s, const part *p)
{
    uint32_t bits = p->k > 0 ? TUFF_MATMUL_ADD_RESULT : 0;
    if (p->k + p->k_count == s->k) {
        bits |= tuff__call_has(call, TUFF__MATMUL_BIAS) ? TUFF_MATMUL_ADD_BIAS : 0;
        bits |= tuff__call_has(call, TUFF__MATMUL_RESIDUAL) ? TUFF_MATMUL_ADD_RESIDUAL : 0;
    }
    return bits;
}

typedef struct part_dispatch {
    struct tuff_push_matmul push;
    tuff__slice a, b, bias, residual, out;
    uint32_t epilogue, activation, vectors;
} part_dispatch;

static part_dispatch describe_part(const tuff_op_call *call, const tuff__matmul_sizes *s, const part *p)
{
    const tuff__matmul_params *params = call->params;
    const part_spans spans = spans_of(params, s, p);
    const int64_t lda = params->transpose_a ? s->m : s->k, ldb = params->transpose_b ? s->k : s->n;
    part_dispatch d = {
        .push = {.m = (uint32_t)p->m_count,
                 .n = (uint32_t)p->n_count,
                 .k = (uint32_t)p->k_count,
                 .lda = (uint32_t)lda,
                 .ldb = (uint32_t)ldb,
                 .ldc = (uint32_t)s->n,
                 .a_batch = (uint32_t)s->a_batch_stride,
                 .b_batch = (uint32_t)s->b_batch_stride,
                 .c_batch = (uint32_t)(s->m * s->n),
                 .splits = 1,
                 .split_k = (uint32_t)p->k_count,
                 .alpha = params->alpha},
        .epilogue = epilogue_of(call, s, p),
    };
    d.activation = p->k + p->k_count == s->k ? (uint32_t)params->activation : 0;
    d.a = bind_span(call->inputs[TUFF__MATMUL_A].slice, spans.a, p, s->a_batch_stride, &d.push.a_base);
    d.b = bind_span(call->inputs[TUFF__MATMUL_B].slice, spans.b, p, s->b_batch_stride, &d.push.b_base);
    d.out = bind_span(call->outputs[0].slice, spans.out, p, s->m * s->n, &d.push.c_base);
    d.bias = d.residual = d.a; /* never touched unless the epilogue says so */
    if (d.epilogue & TUFF_MATMUL_ADD_BIAS)
        d.bias = tuff__window(call->inputs[TUFF__MATMUL_BIAS].slice, p->n, p->n_count, &d.push.bias_base);
    if (d.epilogue & TUFF_MATMUL_ADD_RESIDUAL)
        d.residual =
            bind_span(call->inputs[TUFF__MATMUL_RESIDUAL].slice, spans.out, p, s->m * s->n, &d.push.residual_base);
    if (in_fours(d.push.a_base, params->transpose_a ? p->m_count : p->k_count, lda, s->a_batch_stride))
        d.vectors |= 1;
    if (in_fours(d.push.b_base, params->transpose_b ? p->k_count : p->n_count, ldb, s->b_batch_stride))
        d.vectors |= 2;
    return d;
}

/* -- dispatches --------------------------------------------------------------------------------------------------- */

static void set_constants(tuff__dispatch *dispatch, const tuff__matmul_params *params, const part_dispatch *d)
{
    const uint32_t constants[] = {
        [TUFF_MATMUL_TRANSPOSE_A - 3] = params->transpose_a,
        [TUFF_MATMUL_TRANSPOSE_B - 3] = params->transpose_b,
        [TUFF_MATMUL_EPILOGUE - 3] = d->epilogue,
        [TUFF_MATMUL_ACTIVATION - 3] = d->activation,
        [TUFF_MATMUL_VECTORS - 3] = d->vectors,
    };
    dispatch->constant_count = sizeof constants / sizeof constants[0];
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        dispatch->constants[i] = constants[i];
}

static tuff_status record_product(const tuff_op_call *call, tuff__recorder *recorder, const kernel *k, const part *p,
                                  const part_dispatch *d)
{
    tuff__dispatch dispatch = {
        .shader = k->shader,
        .push_constants = &d->push,
        .push_constants_size = sizeof d->push,
        .group_count = {(uint32_t)tuff__divide_up(p->n_count, k->tile_n),
                        (uint32_t)tuff__divide_up(p->m_count, k->tile_m), (uint32_t)p->batches * d->push.splits},
        .bindings = {d->a, d->b, d->bias, d->residual, d->out},
        .binding_count = 5,
    };
    set_constants(&dispatch, call->params, d);
    return tuff__dispatch_record(recorder, call, &dispatch);
}

static tuff_status record_reduce(const tuff_op_call *call, tuff__recorder *recorder, const part *p, part_dispatch *d)
{
    const int64_t count = p->batches * p->m_count * p->n_count;
    d->push.a_batch = (uint32_t)count;
    tuff__dispatch dispatch = {
        .shader = "matmul_reduce",
        .push_constants = &d->push,
        .push_constants_size = sizeof d->push,
        .local_size_x = 64,
        .group_count = {tuff__groups_for(call->target, count, 64), 1, 1},
        .bindings = {call->workspace_slice, d->bias, d->residual, d->out},
        .binding_count = 4,
    };
    set_constants(&dispatch, call->params, d);
    return tuff__dispatch_record(recorder, call, &dispatch);
}

/* Partial sums [batch][split][m][n], as many splits of a batch at a time as one dispatch may do, then their sum. */
static tuff_status record_split(const tuff_op_call *call, tuff__recorder *recorder, const kernel *k,
                                const tuff__matmul_sizes *s, int64_t depth)
{
    const part whole = {.batches = s->batch, .m_count = s->m, .n_count = s->n, .k_count = s->k};
    const int64_t splits = tuff__divide_up(s->k, depth), result = s->m * s->n;
    const double flops = 2.0 * (double)result * (double)depth;
    const bool all = tuff__rows_per_dispatch(call->target, s->batch * splits, flops, 1) == s->batch * splits;
    const int64_t step = all ? splits : tuff__rows_per_dispatch(call->target, splits, flops, 1);
    for (part p = whole; p.batch < s->batch; p.batch += p.batches) {
        p.batches = all ? s->batch : 1;
        for (int64_t first = 0; first < splits; first += step) {
            const int64_t count = tuff__min_i64(step, splits - first);
            p.k = first * depth;
            p.k_count = tuff__min_i64(count * depth, s->k - p.k);
            part_dispatch sums = describe_part(call, s, &p);
            sums.push.splits = (uint32_t)count;
            sums.push.split_k = (uint32_t)depth;
            sums.epilogue = TUFF_MATMUL_PARTIAL;
            sums.activation = 0;
            sums.out = tuff__window(call->workspace_slice, (p.batch * splits + first) * result,
                                    p.batches * count * result, &sums.push.c_base);
            TUFF_TRY(record_product(call, recorder, k, &p, &sums));
        }
    }
    part_dispatch d = describe_part(call, s, &whole);
    d.push.splits = (uint32_t)splits;
    d.push.split_k = (uint32_t)depth;
    return record_reduce(call, recorder, &whole, &d);
}

/* Moves to the next part, k fastest so that its sums are added in order; false past the last. `step` is the size of a
 * full part. */
static bool next_part(part *p, const part *step, const tuff__matmul_sizes *s)
{
    p->k += step->k_count;
    if (p->k >= s->k) {
        p->k = 0;
        p->n += step->n_count;
    }
    if (p->n >= s->n) {
        p->n = 0;
        p->m += step->m_count;
    }
    if (p->m >= s->m) {
        p->m = 0;
        p->batch += step->batches;
    }
    p->batches = tuff__min_i64(step->batches, s->batch - p->batch);
    p->m_count = tuff__min_i64(step->m_count, s->m - p->m);
    p->n_count = tuff__min_i64(step->n_count, s->n - p->n);
    p->k_count = tuff__min_i64(step->k_count, s->k - p->k);
    return p->batch < s->batch;
}

tuff_status tuff__matmul_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const tuff__matmul_sizes s = tuff__matmul_sizes_of(call);
    const kernel k = choose_kernel(call, &s);
    const int64_t depth = planned_split(call, call->target, &s);
    if (depth < s.k)
        return record_split(call, recorder, &k, &s, depth);
    const part step = first_part(call, &s, &k);
    part p = step;
    do {
        const part_dispatch d = describe_part(call, &s, &p);
        TUFF_TRY(record_product(call, recorder, &k, &p, &d));
    } while (next_part(&p, &step, &s));
    return TUFF_SUCCESS;
}
