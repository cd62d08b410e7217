/*
 * graph.h: record operators once, compile for a device, replay.
 *
 * Building is sticky: a failed operator returns the tensor with id 0, operators fed with it return 0 too, and
 * tuff_graph_compile reports the first failure. Model code therefore reads like the equation. What is recorded after
 * compiling fails in the same way, and the next run reports it.
 *
 * Tensors are row-major and contiguous, of rank 0 to 4. Letters: B batch, T sequence, C hidden, H heads, D head size,
 * V vocabulary, N rows.
 */
#ifndef TUFF_GRAPH_H
#define TUFF_GRAPH_H

#include "tuff/device.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TUFF_MAX_RANK 4

typedef enum tuff_dtype {
    TUFF_F32 = 0,
    TUFF_F16 = 1,
    TUFF_BF16 = 2,
    TUFF_I32 = 3,
} tuff_dtype;

typedef struct tuff_shape {
    uint32_t rank;
    int64_t dims[TUFF_MAX_RANK]; /* dims[0] is the slowest; entries from rank on are 0 */
} tuff_shape;

typedef struct tuff_graph tuff_graph; /* recorded operators; owns every tensor it hands out */

typedef struct tuff_tensor {
    uint32_t id; /* value handle into one graph; 0 is "none" */
} tuff_tensor;

/* `device` is borrowed and must outlive the graph. */
TUFF_API tuff_status tuff_graph_create(tuff_device *device, tuff_graph **out_graph);
TUFF_API void tuff_graph_destroy(tuff_graph *graph);

/* -- tensors that come from outside ------------------------------------------------------------------------------- */

/* Written by the host before a run, with tuff_graph_write; keeps its content between runs. */
TUFF_API tuff_tensor tuff_graph_input(tuff_graph *graph, const char *name, tuff_dtype dtype, tuff_shape shape);
/* Lives in `buffer` (borrowed, and must outlive the graph) from byte `offset`, a multiple of 256. */
TUFF_API tuff_tensor tuff_graph_external(tuff_graph *graph, const char *name, tuff_dtype dtype, tuff_shape shape,
                                         tuff_buffer *buffer, uint64_t offset);
/* Makes the operator that produces `tensor` write it into `buffer` (borrowed, and must outlive the graph) from byte
 * `offset`, a multiple of 256. Where that is not possible a copy is appended: where the tensor lives elsewhere already,
 * or its operator, or one that reads it, uses that memory. Operators recorded after the one that writes read the new
 * content through every tensor there. Returns the tensor that lives there. */
TUFF_API tuff_tensor tuff_graph_bind(tuff_graph *graph, tuff_tensor tensor, tuff_buffer *buffer, uint64_t offset);

/* Names the operators that follow, for verification and dumps: "bert.encoder.layer.0". Scopes nest with '.'. */
TUFF_API void tuff_graph_scope_push(tuff_graph *graph, const char *name);
TUFF_API void tuff_graph_scope_pop(tuff_graph *graph);

TUFF_API tuff_shape tuff_tensor_shape(const tuff_graph *graph, tuff_tensor tensor); /* rank 0 for none */
TUFF_API tuff_dtype tuff_tensor_dtype(const tuff_graph *graph, tuff_tensor tensor);

#ifndef __cplusplus
/* TUFF_SHAPE(rows, columns); in C++ write tuff_shape{2, {rows, columns}}. */
#define TUFF_SHAPE(...)                                                                                                \
    ((tuff_shape){.rank = sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), .dims = {__VA_ARGS__}})
#endif
TUFF_API int64_t tuff_shape_count(const tuff_shape *shape); /* elements; 1 for rank 0 */

/* -- gradients ---------------------------------------------------------------------------------------------------- */

/* Appends the backward graph of the scalar `loss` [1]; out_gradients[i] has wrt[i]'s shape (zeros where the loss does
 * not depend on it). No gradient flows through integers: ids, labels, argmax. norm, adamw and the operators that
 * gradients are made of have none, and are FEATURE_NOT_PRESENT, by name, where the loss depends on wrt through one. */
TUFF_API void tuff_graph_backward(tuff_graph *graph, tuff_tensor loss, const tuff_tensor *wrt, size_t count,
                                  tuff_tensor *out_gradients);

/* -- compile and run ---------------------------------------------------------------------------------------------- */

/* Fuses, plans memory and makes the device's program. `outputs` stay readable after a run; operators that neither an
 * output nor an external tensor needs are dropped. Once per graph, whether it succeeds or not.
 * Errors: the first building error, or the device's. */
TUFF_API tuff_status tuff_graph_compile(tuff_graph *graph, const tuff_tensor *outputs, size_t count);
/* `size` is the tensor's size in bytes. What is written to an input that no operator reads is not kept, and reading it
 * is INVALID_ARGUMENT. */
TUFF_API tuff_status tuff_graph_write(tuff_graph *graph, tuff_tensor input, const void *data, size_t size);
/* Finished on return. Allocates nothing, but under TUFF_CHECK, and in the first run after one that took a GPU several
 * times as long as planned: that cuts the work into smaller submits, once, and may report OUT_OF_HOST_MEMORY; it can be
 * run again. */
TUFF_API tuff_status tuff_graph_run(tuff_graph *graph);
/* `size` as for tuff_graph_write. Before the first run an output is zeros, unless it lives in a buffer of the caller's.
 */
TUFF_API tuff_status tuff_graph_read(tuff_graph *graph, tuff_tensor tensor, void *data, size_t size);

typedef struct tuff_graph_statistics {
    uint32_t node_count, level_count, dispatch_count, barrier_count, submit_count;
    uint64_t activation_size; /* bytes planned for what operators produce */
    uint64_t activation_live; /* bytes of the largest set alive at one time: the lower bound of the above */
    uint64_t input_size, output_size, workspace_size;
    double flops;             /* of one run, as the operators count them */
    double last_run_seconds;  /* wall clock of the latest tuff_graph_run */
    double last_host_seconds; /* of it, the part in which the host did not wait for the device */
} tuff_graph_statistics;
TUFF_API void tuff_graph_get_statistics(const tuff_graph *graph, tuff_graph_statistics *out_statistics);

/* One operator of a compiled graph and what it costs. Strings live as long as the graph. */
typedef struct tuff_graph_profile_row {
    const char *op;      /* "matmul" */
    const char *variant; /* kernel rung, "" where there is one kernel */
    const char *label;   /* "bert.encoder.layer.0.attention" */
    tuff_dtype dtype;    /* of its first result, and the shape */
    tuff_shape shape;
    uint32_t level;      /* operators of one level may overlap in a run */
    double seconds;      /* alone on the device: median of the runs */
    double flops, bytes; /* as the operator counts them: what it must compute, read and write, once */
} tuff_graph_profile_row;
/* Runs a compiled graph `runs` times (0: 5) operator by operator, in the order of a run, each timed alone: by the
 * device's timestamps where it has a clock, else by the host's. Free *out_rows with tuff_free. External memory changes
 * as in as many runs. */
TUFF_API tuff_status tuff_graph_profile(tuff_graph *graph, uint32_t runs, tuff_graph_profile_row **out_rows,
                                        size_t *out_count);

/* Writes the compiled graph, an operator a line (dot false) or as Graphviz (dot true). */
TUFF_API tuff_status tuff_graph_dump(const tuff_graph *graph, const char *path, bool dot);

/* -- matrix product ----------------------------------------------------------------------------------------------- */

typedef enum tuff_activation {
    TUFF_ACTIVATION_NONE = 0,
    TUFF_ACTIVATION_GELU = 1,      /* x·Φ(x), Hendrycks & Gimpel 2016 */
    TUFF_ACTIVATION_GELU_TANH = 2, /* 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) */
    TUFF_ACTIVATION_SILU = 3,      /* x·σ(x) */
    TUFF_ACTIVATION_TANH = 4,
    TUFF_ACTIVATION_RELU = 5,
} tuff_activation;

typedef struct tuff_matmul_info {
    bool transpose_a;           /* a is [.., K, M]; default [.., M, K] */
    bool transpose_b;           /* b is [.., N, K]; default [.., K, N] */
    tuff_tensor bias;           /* [N], added to each row; default none */
    tuff_activation activation; /* after the bias; default none */
    tuff_tensor residual;       /* the shape of the result, added last; default none */
    float alpha;                /* multiplies the product, before the bias; default (0) means 1 */
} tuff_matmul_info;

/* a·b: [.., M, N]. Leading dimensions are batches and must be equal; where b has rank 2 it serves every batch of a.
 * NULL `info` means all defaults. */
TUFF_API tuff_tensor tuff_matmul(tuff_graph *graph, tuff_tensor a, tuff_tensor b, const tuff_matmul_info *info);

/* -- attention ---------------------------------------------------------------------------------------------------- */

typedef struct tuff_attention_info {
    uint32_t num_attention_heads; /* H; C = H·D, D from 1 to 256 */
    bool causal;                  /* query i sees keys j <= i + Tk - Tq */
    tuff_tensor key_lengths;      /* [B] I32: keys j < key_lengths[b] are seen; default: all */
    float scale;                  /* default (0) means 1/√D */
    float dropout;                /* of the probabilities; needs step_parameters; default 0 */
    tuff_tensor step_parameters;  /* as for tuff_dropout */
} tuff_attention_info;

/* softmax(scale·q·kᵀ + mask)·v per head, Vaswani et al. 2017 eq. 1, computed without the Tq×Tk matrix (Dao et al.
 * 2022). q [B, Tq, C], k and v [B, Tk, C]; the result is [B, Tq, C]. A query that sees no key gives zeros. */
TUFF_API tuff_tensor tuff_attention(tuff_graph *graph, tuff_tensor q, tuff_tensor k, tuff_tensor v,
                                    const tuff_attention_info *info);

/* -- normalisation, activation ------------------------------------------------------------------------------------ */

/* (s - mean(s))/√(var(s) + eps)·weight + bias over the last dimension, Ba et al. 2016; s = x, or x + residual where
 * `residual` is not none. var divides by C. */
TUFF_API tuff_tensor tuff_layer_norm(tuff_graph *graph, tuff_tensor x, tuff_tensor residual, tuff_tensor weight,
                                     tuff_tensor bias, float eps);
TUFF_API tuff_tensor tuff_gelu(tuff_graph *graph, tuff_tensor x);
TUFF_API tuff_tensor tuff_gelu_tanh(tuff_graph *graph, tuff_tensor x);
TUFF_API tuff_tensor tuff_silu(tuff_graph *graph, tuff_tensor x);
TUFF_API tuff_tensor tuff_tanh(tuff_graph *graph, tuff_tensor x);
TUFF_API tuff_tensor tuff_relu(tuff_graph *graph, tuff_tensor x);
/* Any of the above by value; NONE returns x. */
TUFF_API tuff_tensor tuff_activate(tuff_graph *graph, tuff_tensor x, tuff_activation activation);

/* -- embedding, regularisation, loss ------------------------------------------------------------------------------ */

/* table [V, C], ids [..] I32 -> [.., C]. An id outside [0, V) gives a row of zeros and takes no gradient. */
TUFF_API tuff_tensor tuff_embedding(tuff_graph *graph, tuff_tensor table, tuff_tensor ids);

/* What changes from step to step, read by the operators from one small input: I32 [8], written each run. */
typedef struct tuff_step_parameters {
    uint32_t seed[2];            /* key of the Philox generator */
    uint32_t step;               /* counts updates from 0; separates the steps' random numbers */
    float learning_rate;         /* of this update */
    float bias_correction1;      /* 1 - beta1^(step + 1), computed in double */
    float bias_correction2_sqrt; /* √(1 - beta2^(step + 1)), computed in double */
    uint32_t reserved[2];
} tuff_step_parameters;
TUFF_API tuff_tensor tuff_graph_step_parameters(tuff_graph *graph); /* the graph's one input of that kind */

/* Zeroes each element with probability p and scales the rest by 1/(1-p). Random numbers: Philox4x32-10 (Salmon et al.
 * 2011) at the counter (low word of element/4, site, step, high word of element/4) under the seed, word element%4, kept
 * where word >= p·2³²; `site` is a number that each dropout of a graph, attention's too, gets in turn, from 0. Equal on
 * every device; the backward pass regenerates it. */
TUFF_API tuff_tensor tuff_dropout(tuff_graph *graph, tuff_tensor x, float p, tuff_tensor step_parameters);

/* Mean over the rows whose label is not ignore_index (-100) of -log softmax(logits)[label], with label smoothing as
 * PyTorch defines it. logits [N, V], labels [N] I32 -> [1]. No counted row: 0, where PyTorch gives NaN. A label outside
 * [0, V) other than -100 counts as ignored. */
TUFF_API tuff_tensor tuff_cross_entropy(tuff_graph *graph, tuff_tensor logits, tuff_tensor labels,
                                        float label_smoothing);

/* -- elementwise -------------------------------------------------------------------------------------------------- */

/* b is broadcast to a's shape as in NumPy: dimensions are matched from the last, 1 or missing repeats. */
TUFF_API tuff_tensor tuff_add(tuff_graph *graph, tuff_tensor a, tuff_tensor b);
TUFF_API tuff_tensor tuff_mul(tuff_graph *graph, tuff_tensor a, tuff_tensor b);
TUFF_API tuff_tensor tuff_scale(tuff_graph *graph, tuff_tensor x, float factor);
/* Between F32, F16, BF16 (round to nearest even) and from I32 to F32. */
TUFF_API tuff_tensor tuff_cast(tuff_graph *graph, tuff_tensor x, tuff_dtype dtype);

/* -- layout ------------------------------------------------------------------------------------------------------- */

TUFF_API tuff_tensor tuff_full(tuff_graph *graph, tuff_shape shape, float value); /* F32, every element `value` */
TUFF_API tuff_tensor tuff_copy(tuff_graph *graph, tuff_tensor x);
TUFF_API tuff_tensor tuff_reshape(tuff_graph *graph, tuff_tensor x, tuff_shape shape); /* a view: costs nothing */
/* result.dims[i] = x.dims[permutation[i]]; PyTorch's permute. */
TUFF_API tuff_tensor tuff_transpose(tuff_graph *graph, tuff_tensor x, const uint32_t *permutation);
/* Indices [start, start + length) of dimension dim. */
TUFF_API tuff_tensor tuff_slice(tuff_graph *graph, tuff_tensor x, uint32_t dim, int64_t start, int64_t length);
/* 1 to 6 tensors that differ in dimension dim alone. */
TUFF_API tuff_tensor tuff_concat(tuff_graph *graph, const tuff_tensor *tensors, size_t count, uint32_t dim);
/* Repeats dimension dim, of size 1, `length` times. */
TUFF_API tuff_tensor tuff_expand(tuff_graph *graph, tuff_tensor x, uint32_t dim, int64_t length);

/* -- reduction over dimension dim, which is kept with size 1 ------------------------------------------------------ */

TUFF_API tuff_tensor tuff_sum(tuff_graph *graph, tuff_tensor x, uint32_t dim);
TUFF_API tuff_tensor tuff_mean(tuff_graph *graph, tuff_tensor x, uint32_t dim);
TUFF_API tuff_tensor tuff_max(tuff_graph *graph, tuff_tensor x, uint32_t dim);    /* gradient to the first maximum */
TUFF_API tuff_tensor tuff_argmax(tuff_graph *graph, tuff_tensor x, uint32_t dim); /* I32, the first maximum */

/* -- optimizer ---------------------------------------------------------------------------------------------------- */

/* √Σx² -> [1], by an ordered reduction. */
TUFF_API tuff_tensor tuff_norm(tuff_graph *graph, tuff_tensor x);

typedef struct tuff_adamw_info {
    float beta1, beta2;          /* default (0): 0.9, 0.999 */
    float eps;                   /* default (0): 1e-8 */
    float weight_decay;          /* default 0 */
    int64_t decay_count;         /* elements [0, decay_count) are decayed, the rest are not */
    float max_grad_norm;         /* gradients are scaled by min(1, max_grad_norm/(norm + 1e-6)); 0: not */
    tuff_tensor norm;            /* [1], the gradients' global norm; none where max_grad_norm is 0 */
    tuff_tensor step_parameters; /* as for tuff_dropout; must be given */
} tuff_adamw_info;

/* Loshchilov & Hutter 2019, algorithm 2, as PyTorch steps it. All of param, gradient, m, v are external F32 [N]; param,
 * m and v are updated in place. Returns the updated param. */
TUFF_API tuff_tensor tuff_adamw(tuff_graph *graph, tuff_tensor param, tuff_tensor gradient, tuff_tensor m,
                                tuff_tensor v, const tuff_adamw_info *info);

#ifdef __cplusplus
}
#endif

#endif
