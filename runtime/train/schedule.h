/* schedule.h: what a training step takes from its number: learning rate, bias corrections, order of the rows. */
#ifndef TUFF_RUNTIME_SCHEDULE_H
#define TUFF_RUNTIME_SCHEDULE_H

#include "../status.h"

#include "tuff/train.h"

typedef struct tuff__schedule {
    tuff_lr_scheduler_type type;
    double learning_rate; /* the peak */
    uint64_t warmup_steps, total_steps;
} tuff__schedule;

/* The rate of the update numbered `step` from 0, as transformers.optimization steps it. */
double tuff__schedule_rate(const tuff__schedule *schedule, uint64_t step);

/* TrainingArguments.get_warmup_steps: a value from 1 up counts steps, one below is a share of all steps, rounded up;
 * the older warmup_ratio is used where warmup_steps is 0. */
uint64_t tuff__warmup_steps(double warmup_steps, double warmup_ratio, uint64_t total_steps);

/* "linear", ...; NULL outside the enum. */
const char *tuff__lr_scheduler_name(tuff_lr_scheduler_type type);

/* The step parameters of update `step`: seed, number, rate and AdamW's bias corrections, these in double. */
tuff_step_parameters tuff__step_parameters(uint64_t seed, uint64_t step, double learning_rate, double beta1,
                                           double beta2);

/* Puts 0 ... count-1 into rows in the order of `epoch`: Fisher-Yates (Durstenfeld 1964), from the last place down, with
 * draws of Philox4x32-10 under the key (seed) at the counter (draw/4, 0, epoch, "ORDR"), each made uniform by rejection
 * (Lemire 2019). Equal on every machine. */
void tuff__shuffled_rows(uint64_t seed, uint32_t epoch, uint32_t *rows, uint32_t count);

#endif
