/* metrics.h: what an evaluation counts: loss, confusion matrix, accuracy, macro F1. */
#ifndef TUFF_RUNTIME_METRICS_H
#define TUFF_RUNTIME_METRICS_H

#include "../status.h"

typedef struct tuff__metrics {
    size_t label_count;
    double label_smoothing;
    uint64_t *confusion; /* [label, prediction] rows */
    uint64_t row_count;
    double loss_sum;
} tuff__metrics;

/* Destroy in every case; a second create starts again from zero. `label_smoothing` is training's. */
tuff_status tuff__metrics_create(tuff__metrics *metrics, size_t label_count, double label_smoothing);
void tuff__metrics_destroy(tuff__metrics *metrics); /* accepts a zeroed one */

/* Adds `count` rows of logits [count, label_count]; a label of -100 is not counted, others are within range. */
void tuff__metrics_add(tuff__metrics *metrics, const float *logits, const int32_t *labels, size_t count);

/* Each 0 before any row was added. */
double tuff__metrics_loss(const tuff__metrics *metrics); /* mean of what training takes the mean of, in double */
double tuff__metrics_accuracy(const tuff__metrics *metrics);
/* The mean of 2·tp/(2·tp + fp + fn) over the labels that occur among labels or predictions: what scikit-learn's
 * f1_score(average="macro") gives. */
double tuff__metrics_macro_f1(const tuff__metrics *metrics);

#endif
