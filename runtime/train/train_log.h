/* train_log.h: what training has logged so far, kept in memory and written as log.jsonl. */
#ifndef TUFF_RUNTIME_TRAIN_LOG_H
#define TUFF_RUNTIME_TRAIN_LOG_H

#include "../status.h"

#include <stdio.h>

typedef struct tuff__log_entry {
    bool evaluation; /* else a training step */
    uint64_t step;   /* updates done */
    double epoch;    /* passes over the training rows done, with their fraction */
    double loss;
    double grad_norm, learning_rate; /* of training steps */
    double accuracy, macro_f1;       /* of evaluations */
} tuff__log_entry;

typedef struct tuff__train_log {
    tuff__log_entry *entries;
    size_t count, capacity;
} tuff__train_log;

tuff_status tuff__train_log_append(tuff__train_log *log, const tuff__log_entry *entry);
void tuff__train_log_destroy(tuff__train_log *log); /* accepts a zeroed one */

/* One JSON object on a line, with the keys of transformers' log_history: loss, grad_norm, learning_rate, epoch, step;
 * or eval_loss, eval_accuracy, eval_f1, epoch, step. No time is written, so that equal runs give equal files. */
tuff_status tuff__log_entry_write(const tuff__log_entry *entry, FILE *file, const char *path);
/* All entries to a new file at `path`, on the disk when it returns. */
tuff_status tuff__train_log_save(const tuff__train_log *log, const char *path);

#endif
