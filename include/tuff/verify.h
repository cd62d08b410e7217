/*
 * verify.h: proof that a device computes what the CPU reference computes, for every operator of a model, forward and
 * backward, and for whole training steps.
 *
 * Each operator runs on the device and on the reference from the same inputs, which are read back from the device;
 * every element of every result is judged by the operator's allowance (docs/numerics.md). Then the graph is replayed as
 * a whole and must give the same bits. With `train`, the same is done to a training step, and several steps on the
 * device are held against the same steps on the reference: loss, gradient norm, every gradient, every parameter; unless
 * an operator has already disagreed, which makes every step wrong.
 */
#ifndef TUFF_VERIFY_H
#define TUFF_VERIFY_H

#include "tuff/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tuff_verify_info {
    bool train;               /* the training step too; needs a classification head */
    uint32_t steps;           /* optimizer steps held against the reference; default (0): 3 */
    uint32_t batch_size;      /* default (0): 3 */
    uint32_t sequence_length; /* default (0): 20, or max_position_embeddings where that is less */
    uint64_t seed;            /* of the token ids, lengths, labels, dropout and weights the folder lacks; default 0 */
} tuff_verify_info;

typedef enum tuff_verify_phase {
    TUFF_VERIFY_FORWARD = 0,  /* operators of inference */
    TUFF_VERIFY_TRAINING = 1, /* operators of a training step */
    TUFF_VERIFY_STEPS = 2,    /* whole steps: op is "loss", "grad_norm", "gradient" or "parameter" */
} tuff_verify_phase;

/* One result of one operator. Strings live as long as the report. */
typedef struct tuff_verify_record {
    tuff_verify_phase phase;
    const char *op;      /* "matmul"; "replay" for the graph as a whole */
    const char *variant; /* kernel rung, "" where there is one kernel */
    const char *label;   /* "bert.encoder.layer.0.attention", or the parameter's name */
    uint32_t output;     /* which of the operator's results */
    tuff_dtype dtype;
    tuff_shape shape;
    uint64_t count, bad; /* elements judged; those out of their allowance */
    uint64_t undecided; /* elements not judged: of a "parameter", whose gradients were rounding alone; of all records of
                     steps, where the model amplifies rounding too much */
    uint64_t worst;     /* flat index of the worst element */
    double got, want, allowed; /* of the worst element */
    double ratio;              /* its error over its allowance: right while at most 1 */
    double max_abs_error;
    double sensitivity; /* of whole steps, where it was asked: how far the reference's own result moved when each weight
                           was moved by one unit in its last place; 64 times that is allowed besides */
    uint64_t got_nan, want_nan, got_inf, want_inf;
    double seconds; /* the device's, of this operator alone, host included */
} tuff_verify_record;

typedef struct tuff_verify_report tuff_verify_report;

/* Progress: called after each record; may be NULL. Returning false ends the verification early. */
typedef bool (*tuff_verify_fn)(void *user, const tuff_verify_record *record);

/* Loads the model folder `dir` on `device` (and, with train, on the reference) and verifies. A disagreement is no
 * failure of this function: ask the report. Errors are those of loading and of the device, and INVALID_FILE naming a
 * parameter that is not finite; OUT_OF_DEVICE_MEMORY, before anything is taken, where the computed need is more. */
TUFF_API tuff_status tuff_verify_model(tuff_device *device, const char *dir, const tuff_verify_info *info,
                                       tuff_verify_fn progress, void *user, tuff_verify_report **out_report);
TUFF_API void tuff_verify_report_destroy(tuff_verify_report *report);
TUFF_API size_t tuff_verify_report_count(const tuff_verify_report *report);
TUFF_API const tuff_verify_record *tuff_verify_report_record(const tuff_verify_report *report, size_t index);
TUFF_API size_t tuff_verify_report_failures(const tuff_verify_report *report); /* records with bad > 0 */
TUFF_API bool tuff_verify_report_complete(const tuff_verify_report *report);   /* false: progress ended it early */
/* "3 of 2570 out of tolerance, worst at [1, 4, 256]: got 0, want 1.18, allowed 1.3e-06" */
TUFF_API void tuff_verify_record_text(const tuff_verify_record *record, char text[256]);

typedef enum tuff_verify_format {
    TUFF_VERIFY_JSON = 0,
    TUFF_VERIFY_JUNIT = 1, /* JUnit XML: a test case a record */
    TUFF_VERIFY_HTML = 2,  /* one self-contained page */
} tuff_verify_format;
/* Writes the whole file or none. */
TUFF_API tuff_status tuff_verify_report_write(const tuff_verify_report *report, tuff_verify_format format,
                                              const char *path);

#ifdef __cplusplus
}
#endif

#endif
