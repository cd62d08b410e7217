/* schedule.c: owns what depends on a step's number alone. It knows no model and no device. */
#include "schedule.h"

#include "../ops/philox.h"

#include <math.h>

static const char *const names[] = {
    [TUFF_LR_SCHEDULER_LINEAR] = "linear",
    [TUFF_LR_SCHEDULER_COSINE] = "cosine",
    [TUFF_LR_SCHEDULER_CONSTANT] = "constant",
    [TUFF_LR_SCHEDULER_CONSTANT_WITH_WARMUP] = "constant_with_warmup",
};

const char *tuff__lr_scheduler_name(tuff_lr_scheduler_type type)
{
    return (size_t)type < sizeof names / sizeof names[0] ? names[type] : NULL;
}

/* The share of the peak rate when `done` of `steps` steps after the warm-up are done. */
static double decay(tuff_lr_scheduler_type type, double done, double steps)
{
    const double pi = 3.14159265358979323846;
    switch (type) {
    case TUFF_LR_SCHEDULER_LINEAR:
        return fmax(0.0, (steps - done) / fmax(1.0, steps));
    case TUFF_LR_SCHEDULER_COSINE:
        return fmax(0.0, 0.5 * (1.0 + cos(pi * done / fmax(1.0, steps))));
    case TUFF_LR_SCHEDULER_CONSTANT:
    case TUFF_LR_SCHEDULER_CONSTANT_WITH_WARMUP:
        break;
    }
    return 1.0;
}

double tuff__schedule_rate(const tuff__schedule *schedule, uint64_t step)
{
    const double warmup = (double)schedule->warmup_steps;
    /* transformers' "constant" takes no notice of warmup_steps. */
    if (step < schedule->warmup_steps && schedule->type != TUFF_LR_SCHEDULER_CONSTANT)
        return schedule->learning_rate * ((double)step / warmup);
    return schedule->learning_rate *
           decay(schedule->type, (double)step - warmup, (double)schedule->total_steps - warmup);
}

uint64_t tuff__warmup_steps(double warmup_steps, double warmup_ratio, uint64_t total_steps)
{
    if (warmup_steps >= 1)
        return (uint64_t)warmup_steps;
    const double share = warmup_steps > 0 ? warmup_steps : warmup_ratio;
    return (uint64_t)ceil((double)total_steps * share);
}

tuff_step_parameters tuff__step_parameters(uint64_t seed, uint64_t step, double learning_rate, double beta1,
                                           double beta2)
{
    const double updates = (double)step + 1;
    return (tuff_step_parameters){
        .seed = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .step = (uint32_t)step,
        .learning_rate = (float)learning_rate,
        .bias_correction1 = (float)(1 - pow(beta1, updates)),
        .bias_correction2_sqrt = (float)sqrt(1 - pow(beta2, updates)),
    };
}

enum { ORDER_STREAM = 0x5244524F }; /* "ORDR": keeps these draws apart from dropout's, whose last word is small */

typedef struct draws {
    uint32_t key[2], counter[4], used; /* of the four words */
    tuff__philox_words words;
} draws;

static uint32_t next_word(draws *state)
{
    if (state->used == 4) {
        state->words = tuff__philox(state->counter, state->key);
        state->counter[0]++;
        state->used = 0;
    }
    return state->words.word[state->used++];
}

/* Uniform in [0, bound): the high half of word·bound, without the words that would favour some results. */
static uint32_t next_below(draws *state, uint32_t bound)
{
    uint64_t product = (uint64_t)next_word(state) * bound;
    if ((uint32_t)product < bound) {
        const uint32_t surplus = (uint32_t)(-bound) % bound;
        while ((uint32_t)product < surplus)
            product = (uint64_t)next_word(state) * bound;
    }
    return (uint32_t)(product >> 32);
}

void tuff__shuffled_rows(uint64_t seed, uint32_t epoch, uint32_t *rows, uint32_t count)
{
    draws state = {.key = {(uint32_t)seed, (uint32_t)(seed >> 32)}, .counter = {0, 0, epoch, ORDER_STREAM}, .used = 4};
    for (uint32_t i = 0; i < count; i++)
        rows[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        const uint32_t j = next_below(&state, i), last = rows[i - 1];
        rows[i - 1] = rows[j];
        rows[j] = last;
    }
}
