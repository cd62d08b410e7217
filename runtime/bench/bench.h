/*
 * bench.h: how fast a device runs operators and whole steps. Two measurements stand for the device's peak: FLOP/s of
 * the largest matrix product and bytes/s of a large copy; every other share is of these, not of a data sheet.
 */
#ifndef TUFF_RUNTIME_BENCH_H
#define TUFF_RUNTIME_BENCH_H

#include "../graph.h"

typedef struct tuff__bench_info {
    const char *filter; /* measure the cases whose name holds this; default: all */
    const char *model;  /* folder for the whole steps; default: models of two usual shapes with random weights */
} tuff__bench_info;

typedef struct tuff__bench_result {
    const char *name, *shape;   /* "matmul nt", "1024x384 · 384x1536"; valid for the call */
    bool step;                  /* a whole graph, else one operator */
    uint32_t runs;              /* measured, after the warm-up */
    double seconds, fastest;    /* median and least, wall clock, host included */
    double host_seconds;        /* median of the part in which the host did not wait; 0 on a CPU device */
    double flops, bytes;        /* of one run; bytes that the operators must read and write once */
    double flops_share, bytes_share; /* of the measured peaks */
    uint64_t activation_size, activation_live; /* planned, and the largest set alive at one time; of steps */
    uint32_t dispatch_count, submit_count;
} tuff__bench_result;

typedef struct tuff__bench_peak {
    double flops_per_second, bytes_per_second;
} tuff__bench_peak;

/* Called for each result. */
typedef void (*tuff__bench_fn)(void *user, const tuff__bench_result *result);

/* Measures the peaks, then every case. Errors: those of the device, of the model; INVALID_ARGUMENT when no case has the
 * name. */
tuff_status tuff__bench_run(tuff_device *device, const tuff__bench_info *info, tuff__bench_fn visit, void *user,
                            tuff__bench_peak *out_peak);

/* -- between the files of this folder ------------------------------------------------------------------------------ */

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
    double bytes; /* read and written, where that is not all of every tensor; default (0): it is */
} tuff__bench_case;

/* bench_cases.c: the table; the first two rows are the peaks. Ends with a NULL name. */
extern const tuff__bench_case tuff__bench_cases[];

/* bench.c: runs a compiled graph, after a warm-up, at least five times. */
tuff_status tuff__bench_measure(tuff_graph *graph, tuff__bench_result *result);

/* bench_steps.c: forward and training steps; `emit` completes a result and passes it on. */
typedef void (*tuff__bench_emit)(void *user, tuff__bench_result *result);
tuff_status tuff__bench_steps(tuff_device *device, const tuff__bench_info *info, tuff__bench_emit emit, void *user);
bool tuff__bench_wanted(const tuff__bench_info *info, const char *name);

#endif
