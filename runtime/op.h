/*
 * op.h: what an operator is. One row in ops/ops.def and one tuff_op_desc in ops/<family>.c; the graph, the tape, the
 * backends, verification and the tests all read the same row.
 */
#ifndef TUFF_RUNTIME_OP_H
#define TUFF_RUNTIME_OP_H

#include "backend.h"
#include "dtype.h"
#include "shape.h"
#include "status.h"

enum { TUFF__MAX_INPUTS = 8, TUFF__MAX_OUTPUTS = 4 };

typedef enum tuff__op_id {
    TUFF__OP_NONE = 0, /* so that a zeroed node is no operator */
#define TUFF_OP(NAME, name, family) TUFF__OP_##NAME,
#include "ops/ops.def"
#undef TUFF_OP
    TUFF__OP_COUNT
} tuff__op_id;

/* One tensor as an operator meets it. */
typedef struct tuff__operand {
    tuff_dtype dtype;
    tuff_shape shape;
    void *data;        /* compute: host address, 64-byte aligned; else NULL. An absent optional input: NULL too */
    tuff__slice slice; /* record: where it lives */
    bool present;      /* false for an optional input that was not given */
} tuff__operand;

typedef struct tuff_op_call {
    const struct tuff_op_desc *op;
    const void *params; /* the struct the public function passed, or NULL */
    uint32_t input_count, output_count;
    tuff__operand inputs[TUFF__MAX_INPUTS], outputs[TUFF__MAX_OUTPUTS];
    const tuff__target *target;  /* NULL during infer */
    uint32_t variant;            /* index into op->variants */
    uint32_t level;              /* dependency level in the plan */
    uint64_t workspace_size;     /* bytes, from op->workspace */
    void *workspace;             /* compute_fast: host address */
    tuff__slice workspace_slice; /* record */
    struct tuff__pool *pool;     /* compute_fast: the CPU device's threads */
    const char *label;           /* "bert.encoder.layer.0.attention" */
} tuff_op_call;

/* A rung of the kernel ladder (blueprint, section 3), from the most portable up. */
typedef struct tuff__variant {
    const char *name;                              /* "t0" */
    bool (*supported)(const tuff__target *target); /* whether this kind of device is meant to run it */
} tuff__variant;

/* What a rung must get right on a device, and be timed on, before it is used there: proof.c fills F32 inputs with
 * normal numbers, I32 ones with 0 to 63. Small and awkward, and together through every kernel that a model's calls
 * would take the rung through: sizes that no tile divides, and sizes read four at a time; few tiles and many. */
typedef struct tuff__proof {
    tuff_shape inputs[TUFF__MAX_INPUTS]; /* rank 0: absent */
    uint32_t input_count;
    const void *params;
    size_t params_size;
    uint32_t integers; /* bit i: input i is I32 */
    bool timed; /* one large enough that a rung's speed shows, small enough for a software device: about 2^27 FLOP */
} tuff__proof;

/* What the gradient of one node is made from; see tape.c. */
typedef struct tuff__gradient {
    tuff_graph *graph;
    const void *params;
    uint32_t input_count, output_count;
    tuff_tensor inputs[TUFF__MAX_INPUTS];        /* of the forward node; id 0: absent */
    tuff_tensor outputs[TUFF__MAX_OUTPUTS];      /* of the forward node */
    tuff_tensor output_grads[TUFF__MAX_OUTPUTS]; /* id 0: that output does not reach the loss */
    bool wanted[TUFF__MAX_INPUTS];               /* whose gradients are asked for */
    tuff_tensor input_grads[TUFF__MAX_INPUTS];   /* to fill in; id 0: none flows */
} tuff__gradient;

struct tuff__recorder;

/* Which output is stored in an input's memory. Values of tuff_op_desc.alias. */
enum { TUFF__OWN = 0 }; /* its own memory; input i is written i + 1 */

typedef struct tuff_op_desc {
    const char *name;
    uint8_t input_count, output_count; /* the most it takes */
    uint8_t optional_inputs;           /* how many of the last inputs may be absent */
    uint8_t alias[TUFF__MAX_OUTPUTS];  /* 0: own memory; i + 1: updates input i in place */
    bool view;                         /* output 0 is input 0's memory under another shape: nothing runs */
    bool in_order; /* copies, choices, integers: the very bits, where arithmetic may flush subnormal numbers to zero */
    /* Error allowed in element i, in units of 2^-23·(|want[i]| + magnitude[i]); see docs/numerics.md. 0: equal bits. */
    float allowance;
    /* Checks inputs and params, sets outputs[].dtype and .shape. Reports with tuff__fail_shape and _value. */
    tuff_status (*infer)(tuff_op_call *call);
    /* Bytes of scratch that record or compute_fast want on this target; NULL: none. Not called for the reference. */
    uint64_t (*workspace)(const tuff_op_call *call, const tuff__target *target);
    void (*compute)(const tuff_op_call *call);                                        /* CPU reference */
    void (*compute_fast)(const tuff_op_call *call);                                   /* CPU device; NULL: compute */
    tuff_status (*record)(const tuff_op_call *call, struct tuff__recorder *recorder); /* Vulkan dispatches */
    void (*backward)(tuff__gradient *gradient); /* appends ops; NULL: no gradient; failures stick to the graph */
    double (*flops)(const tuff_op_call *call);  /* NULL: one per output element */
    double (*bytes)(const tuff_op_call *call);  /* read and written once; NULL: all of every input and output */
    /* Fills in what bounds the terms of each element of `output`, from the inputs' data; NULL: max |want| for all. */
    void (*magnitude)(const tuff_op_call *call, uint32_t output, float *out_magnitude);
    const tuff__variant *variants; /* NULL: one kernel for all */
    uint32_t variant_count;
    const tuff__proof *proofs; /* with variants only */
    uint32_t proof_count;
} tuff_op_desc;

#define TUFF_OP(NAME, name, family) extern const tuff_op_desc tuff__op_##name;
#include "ops/ops.def"
#undef TUFF_OP

const tuff_op_desc *tuff__op_desc(tuff__op_id id);
tuff__op_id tuff__op_id_of(const tuff_op_desc *op);
double tuff__op_flops(const tuff_op_call *call);
double tuff__op_bytes(const tuff_op_call *call);
/* The kernel rung that the call runs on `device`, "" where there is one kernel: only Vulkan has a ladder. */
const char *tuff__call_variant(const tuff_device *device, const tuff_op_call *call);

/* "matmul: a is [2, 3], b is [4, 5]: ..." with status SHAPE_MISMATCH; the operator's name is put in front. */
tuff_status tuff__fail_shape(const tuff_op_call *call, const char *format, ...) TUFF_PRINTF(2, 3);
/* The same with INVALID_ARGUMENT: a number out of its range, or an input that another setting calls for. */
tuff_status tuff__fail_value(const tuff_op_call *call, const char *format, ...) TUFF_PRINTF(2, 3);

/* Helpers that infer functions share. */
tuff_status tuff__check_dtype(const tuff_op_call *call, uint32_t input, tuff_dtype dtype);
void tuff__output_like(tuff_op_call *call, uint32_t output, uint32_t input); /* same dtype and shape */
void tuff__output_set(tuff_op_call *call, uint32_t output, tuff_dtype dtype, tuff_shape shape);
bool tuff__call_has(const tuff_op_call *call, uint32_t input); /* an optional input is there */

/* -- how the public functions add a node: graph.c ----------------------------------------------------------------- */

/* Adds a node; params is copied. An id 0 among the inputs means "absent" where the operator allows it; elsewhere it, or
 * a failed infer, makes all outputs 0 and sticks. Returns output 0; all outputs go to out_outputs (output_count
 * entries, may be NULL). */
tuff_tensor tuff__graph_add(tuff_graph *graph, tuff__op_id op, const void *params, size_t params_size,
                            const tuff_tensor *inputs, uint32_t input_count, tuff_tensor *out_outputs);
/* A number that differs between the random operators of a graph. */
uint32_t tuff__graph_next_site(tuff_graph *graph);
/* Records a building error that the caller reported with tuff__fail; the first one is kept. */
void tuff__graph_set_error(tuff_graph *graph, tuff_status status);
/* tuff__check_given for a function that records; false where its answer is now the graph's error. */
bool tuff__graph_given(tuff_graph *graph, const void *pointer, const char *what);

#endif
