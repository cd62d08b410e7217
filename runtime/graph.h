/* graph.h (internal): what a graph holds, shared by graph.c (records), tape.c (differentiates), fuse.c (rewrites),
 * overlap.c (what shares memory), plan.c (places) and walk.c (walks). */
#ifndef TUFF_RUNTIME_GRAPH_H
#define TUFF_RUNTIME_GRAPH_H

#include "alloc.h"
#include "op.h"
#include "tuff/graph.h"

#define TUFF__NO_NODE UINT32_MAX /* a macro, because an enumerator is an int */

typedef enum tuff__value_kind {
    TUFF__VALUE_INTERMEDIATE = 0, /* planned memory */
    TUFF__VALUE_INPUT = 1,        /* host-written memory that keeps its content between runs */
    TUFF__VALUE_EXTERNAL = 2,     /* the caller's buffer */
} tuff__value_kind;

typedef struct tuff__value {
    tuff_dtype dtype;
    tuff_shape shape;
    tuff__value_kind kind; /* of the root; views and in-place results share it */
    uint32_t root;         /* the value whose memory this is: itself, or what it views or updates */
    uint32_t producer;     /* node index, or TUFF__NO_NODE */
    uint32_t producer_output;
    const char *name;  /* of inputs and externals, else NULL */
    bool is_output;    /* of roots: stays readable after a run */
    tuff__slice slice; /* of roots: external from the start, the rest once planned */
} tuff__value;

typedef struct tuff__node {
    tuff__op_id op;
    const void *params;
    uint32_t input_count, output_count;
    uint32_t inputs[TUFF__MAX_INPUTS], outputs[TUFF__MAX_OUTPUTS]; /* value ids; input 0: absent */
    const char *label;
    bool dropped;            /* by fusing, or because nothing needs it */
    uint32_t level, variant; /* of the kernel ladder */
} tuff__node;

/* Memory for activations in which several graphs of one device take turns: what a run leaves there is gone with the
 * next run of another graph. */
typedef struct tuff__shared_arenas {
    tuff_buffer **buffers;
    size_t count, capacity;
    void (*give_back)(void *user); /* destroys the graphs that use it, because a buffer makes way for a larger one */
    void *user;
} tuff__shared_arenas;

struct tuff_graph {
    tuff_device *device;
    tuff__shared_arenas *shared_arenas; /* set before compiling; NULL: activations of its own */
    tuff__arena arena;
    tuff__value *values; /* values[0] stands for "none" */
    size_t value_count, value_capacity;
    tuff__node *nodes;
    size_t node_count, node_capacity;
    char scope[256];
    uint16_t scope_starts[16]; /* where each pushed name begins */
    size_t scope_depth;
    tuff_status error; /* the first building error, with its words */
    char error_text[1024];
    uint32_t next_site;
    uint32_t step_parameters; /* value id, 0 before it is asked for */
    bool is_proof;            /* of a kernel, which may be wrong: not checked, not dumped */
    /* compiled */
    bool compiling; /* compile was called, whatever came of it: what it did to the nodes cannot be done twice */
    bool compiled;
    tuff_op_call *calls;  /* in execution order */
    uint32_t *call_nodes; /* the node of each call */
    size_t call_count;
    tuff_buffer **buffers; /* the arenas that plan.c filled */
    size_t buffer_count;
    tuff__program *program;
    tuff_graph_statistics statistics;
};

static inline uint64_t tuff__value_size(const tuff__value *value)
{
    return (uint64_t)tuff_shape_count(&value->shape) * tuff__dtype_size(value->dtype);
}

/* overlap.c. Whether two ranges share a byte. */
bool tuff__slices_overlap(const tuff__slice *a, const tuff__slice *b);
/* Whether one of the nodes first to last writes where `value` lies, other than the value itself: who reads it after
 * them finds something else there. */
bool tuff__graph_changes(const tuff_graph *graph, size_t first, size_t last, uint32_t value);
/* Whether `root`, a node's result, must not be written to `slice`: the node reads or writes something else there, or
 * one that reads `root` writes there. No kernel stores where it loads from. */
bool tuff__graph_collides(const tuff_graph *graph, uint32_t root, const tuff__slice *slice);

/* plan.c: marks the nodes that neither an output nor external memory needs. */
tuff_status tuff__graph_drop_unneeded(tuff_graph *graph);

/* fuse.c: rewrites matmul → activation and matmul → add into epilogues where the value between has one reader. */
void tuff__graph_fuse(tuff_graph *graph);

/* plan.c: assigns levels and order, places every value; fills calls, buffers, statistics. */
tuff_status tuff__graph_plan(tuff_graph *graph);
/* Gives back what tuff__graph_plan made, all or a part: it may be called again. */
void tuff__graph_unplan(tuff_graph *graph);
/* plan.c. After the graphs that use them. */
void tuff__shared_arenas_destroy(tuff__shared_arenas *arenas);

/* One run of the program, timed; tuff_graph_run without TUFF_CHECK. */
tuff_status tuff__graph_replay(tuff_graph *graph);
/* dump.c: writes both forms into `dir`, under the first number that is free there. */
tuff_status tuff__graph_dump_into(const tuff_graph *graph, const char *dir);

/* Operator call of a node, without memory: what infer, workspace and fusing look at. */
void tuff__graph_describe(const tuff_graph *graph, const tuff__node *node, tuff_op_call *out_call);

/* Sorts the values. profile.c */
double tuff__median(double *values, size_t count);

/* The public handle of a value id, and back; a foreign or stale handle gives NULL. */
tuff__value *tuff__graph_value(const tuff_graph *graph, tuff_tensor tensor);

/* Where a value lives once compiled: its root's slice cut to its size. */
tuff__slice tuff__value_slice(const tuff_graph *graph, uint32_t id);

#endif
