/* metrics.c: owns the counts of an evaluation. All sums are in double and in row order, so they repeat exactly. */
#include "metrics.h"

#include "../alloc.h"

#include <math.h>

tuff_status tuff__metrics_create(tuff__metrics *metrics, size_t label_count, double label_smoothing)
{
    tuff__metrics_destroy(metrics);
    uint64_t *confusion = tuff__calloc(label_count * label_count, sizeof *confusion);
    if (!confusion)
        return tuff__fail_memory("metrics", label_count * label_count * sizeof *confusion);
    *metrics = (tuff__metrics){.label_count = label_count, .label_smoothing = label_smoothing, .confusion = confusion};
    return TUFF_SUCCESS;
}

void tuff__metrics_destroy(tuff__metrics *metrics)
{
    tuff__free(metrics->confusion);
    *metrics = (tuff__metrics){0};
}

/* (1 - smoothing) of the label's -log p and smoothing of the mean of all labels', as in ops/cross_entropy.c. */
static double row_loss(const tuff__metrics *metrics, const float *logits, size_t label, size_t largest)
{
    double sum = 0, others = 0;
    for (size_t i = 0; i < metrics->label_count; i++) {
        const double below = (double)logits[i] - (double)logits[largest];
        sum += exp(below);
        others += below;
    }
    const double right = (double)logits[label] - (double)logits[largest], smoothing = metrics->label_smoothing;
    return log(sum) - (1 - smoothing) * right - smoothing * others / (double)metrics->label_count;
}

void tuff__metrics_add(tuff__metrics *metrics, const float *logits, const int32_t *labels, size_t count)
{
    const size_t label_count = metrics->label_count;
    for (size_t row = 0; row < count; row++, logits += label_count) {
        if (labels[row] < 0)
            continue;
        size_t largest = 0;
        for (size_t i = 1; i < label_count; i++)
            if (logits[i] > logits[largest])
                largest = i;
        const size_t label = (size_t)labels[row];
        metrics->confusion[label * label_count + largest]++;
        metrics->loss_sum += row_loss(metrics, logits, label, largest);
        metrics->row_count++;
    }
}

double tuff__metrics_loss(const tuff__metrics *metrics)
{
    return metrics->row_count ? metrics->loss_sum / (double)metrics->row_count : 0;
}

double tuff__metrics_accuracy(const tuff__metrics *metrics)
{
    uint64_t correct = 0;
    for (size_t i = 0; i < metrics->label_count; i++)
        correct += metrics->confusion[i * metrics->label_count + i];
    return metrics->row_count ? (double)correct / (double)metrics->row_count : 0;
}

double tuff__metrics_macro_f1(const tuff__metrics *metrics)
{
    const size_t label_count = metrics->label_count;
    double sum = 0;
    size_t occurring = 0;
    for (size_t i = 0; i < label_count; i++) {
        uint64_t labelled = 0, predicted = 0;
        for (size_t j = 0; j < label_count; j++) {
            labelled += metrics->confusion[i * label_count + j];
            predicted += metrics->confusion[j * label_count + i];
        }
        if (labelled + predicted == 0)
            continue;
        occurring++;
        sum += 2.0 * (double)metrics->confusion[i * label_count + i] / (double)(labelled + predicted);
    }
    return occurring ? sum / (double)occurring : 0;
}
