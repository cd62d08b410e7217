/* train_report.h: the training log drawn as one self-contained HTML page. */
#ifndef TUFF_RUNTIME_TRAIN_REPORT_H
#define TUFF_RUNTIME_TRAIN_REPORT_H

#include "metrics.h"
#include "train_log.h"

typedef struct tuff__train_report {
    const char *title;
    const tuff__train_log *log;
    const tuff__metrics *metrics; /* of the weights saved; NULL: not evaluated */
    const char *const *labels;    /* [metrics->label_count] */
} tuff__train_report;

/* Loss, learning rate and evaluation over the steps, and the confusion matrix, to a new file at `path`. */
tuff_status tuff__train_report_save(const tuff__train_report *report, const char *path);

#endif
