/*
 * bench.h: how fast a device runs operators and whole steps. Two measurements stand for the device's peak: FLOP/s of
 * the largest matrix product and bytes/s of a large copy; every other share is of these, not of a data sheet.
 */
#ifndef TUFF_RUNTIME_BENCH_H
#define TUFF_RUNTIME_BENCH_H

#include "../graph.h"
#include "../io/json.h"

typedef struct tuff__bench_info {
    const char *filter; /* measure the cases whose name holds this; default: all */
    const char *model;  /* folder for the whole steps; default: models of two usual shapes with random weights */
    bool profile;       /* time the operators of the whole steps one by one, too */
} tuff__bench_info;

typedef struct tuff__bench_peak {
    double flops_per_second, bytes_per_second;
} tuff__bench_peak;

typedef struct tuff__bench_result {
    const char *name, *shape;        /* "matmul nt", "1024x384 · 384x1536"; valid for the call */
    bool step;                       /* a whole graph, else one operator */
    uint32_t runs;                   /* measured, after the warm-up */
    double seconds, fastest;         /* median and least, wall clock, host included */
    double host_seconds;             /* median of the part in which the host did not wait; 0 on a CPU device */
    double flops, bytes;             /* of one run; bytes that the operators must read and write once */
    double flops_share, bytes_share; /* of the measured peaks */
    uint64_t activation_size, activation_live; /* planned, and the largest set alive at one time; of steps */
    uint32_t dispatch_count, submit_count;
    const tuff__bench_peak *peak;
    tuff_graph_profile_row *rows; /* of a step, where `profile` was asked for; valid for the call */
    size_t row_count;
} tuff__bench_result;

/* Called for each result; a failure ends the measuring. */
typedef tuff_status (*tuff__bench_fn)(void *user, const tuff__bench_result *result);

/* Measures the peaks, then every case. Errors: those of the device, of the model; INVALID_ARGUMENT when no case has the
 * name. */
tuff_status tuff__bench_run(tuff_device *device, const tuff__bench_info *info, tuff__bench_fn visit, void *user,
                            tuff__bench_peak *out_peak);

/* -- bench_profile.c ---------------------------------------------------------------------------------------------- */

/* How much of its roofline an operator reaches (Williams et al. 2009): the time that the peaks leave it at the least,
 * for its arithmetic or its bytes, over the time it takes. */
double tuff__bench_roofline(const tuff__bench_peak *peak, double flops, double bytes, double seconds);

/* The rows of equal operator, kernel, shape and cost. */
typedef struct tuff__bench_kind {
    const tuff_graph_profile_row *row; /* the first of them */
    size_t count;
    double seconds; /* of all */
} tuff__bench_kind;
/* The kinds of a result's rows, those that take most time first. Free *out_kinds with tuff__free. */
tuff_status tuff__bench_kinds(const tuff__bench_result *result, tuff__bench_kind **out_kinds, size_t *out_count);

/* A timeline that browsers open (Perfetto, chrome://tracing): a thread a step, its operators end to end. `trace` is
 * zeroed at first; `thread` counts from 1. finish writes the whole file or none; tuff__json_writer_discard ends
 * without. */
void tuff__bench_trace_begin(tuff__json_writer *trace, const tuff_device_properties *device);
void tuff__bench_trace_add(tuff__json_writer *trace, int64_t thread, const tuff__bench_result *result);
tuff_status tuff__bench_trace_finish(tuff__json_writer *trace, const char *path);

/* -- between the files of this folder ----------------------------------------------------------------------------- */

/* One input of an operator: uniform in [mean - scale, mean + scale), or for I32 in [0, high); I32 with high 0 are step
 * parameters. */
typedef struct tuff__bench_input {
    tuff_shape shape;
    tuff_dtype dtype;
    float mean, scale; /* scale default (0): 1 */
    int32_t high;
    bool absent;
} tuff__bench_input;

typedef struct tuff__bench_case {
    const char *name, *shape;
    tuff__op_id op;
    const void *params;
    size_t params_size;
    tuff__bench_input inputs[TUFF__MAX_INPUTS];
    uint32_t input_count;
} tuff__bench_case;

/* bench_cases.c: the table; the first two rows are the peaks. Ends with a NULL name. */
extern const tuff__bench_case tuff__bench_cases[];

/* bench.c: runs a compiled graph, after a warm-up, at least five times. */
tuff_status tuff__bench_measure(tuff_graph *graph, tuff__bench_result *result);

/* bench_steps.c: forward and training steps; `emit` completes a result and passes it on. */
typedef tuff_status (*tuff__bench_emit)(void *user, tuff__bench_result *result);
tuff_status tuff__bench_steps(tuff_device *device, const tuff__bench_info *info, tuff__bench_emit emit, void *user);
bool tuff__bench_wanted(const tuff__bench_info *info, const char *name);

#endif
