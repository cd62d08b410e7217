/*
 * walk.h: runs a compiled graph operator by operator on its device, and each operator on the reference from the very
 * same inputs, read back from the device; then replays the graph as a whole and holds that against the walk, bit by
 * bit, so that barriers and shared memory are judged too.
 */
#ifndef TUFF_RUNTIME_WALK_H
#define TUFF_RUNTIME_WALK_H

#include "compare.h"
#include "graph.h"

typedef struct tuff__walk_record {
    const char *op;      /* "matmul"; "replay" for the whole graph */
    const char *variant; /* kernel rung, "" where there is one kernel */
    const char *label;   /* "bert.encoder.layer.0.attention" */
    uint32_t output;
    tuff_dtype dtype;
    tuff_shape shape;
    double seconds; /* of the operator on the device, alone; of a replay: host included */
    tuff__comparison comparison;
} tuff__walk_record;

/* `record` is valid for the call. Returning false ends the walk early. */
typedef bool (*tuff__walk_fn)(void *user, const tuff__walk_record *record);

/* In place of a run: the walk, which ends with the first result that is not right. FEATURE_NOT_PRESENT then says
 * operator, place, shape, device, element, what it has, what is wanted and allowed. */
tuff_status tuff__walk_check(tuff_graph *graph);

/* The graph's inputs must be written and its external memory be as before a run; both are as
 * after one run afterwards. */
tuff_status tuff__walk_graph(tuff_graph *graph, tuff__walk_fn visit, void *user);

#endif
