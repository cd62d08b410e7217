/* verification.h (internal): one verification under way, as verify.c (operators) and steps.c (whole steps) share it. */
#ifndef TUFF_RUNTIME_VERIFICATION_H
#define TUFF_RUNTIME_VERIFICATION_H

#include "../compare.h"
#include "tuff/train.h"
#include "verify.h"

typedef struct tuff__verification {
    tuff_device *device;
    const char *dir;
    tuff_verify_info info;
    tuff_verify_fn progress;
    void *user;
    tuff_verify_report *report;
    tuff_verify_phase phase;
    bool stopped;
    tuff_status status; /* of keeping records: memory */
    /* one synthetic batch */
    int32_t *input_ids, *token_type_ids, *lengths, *labels;
} tuff__verification;

/* Adds a record to the report and tells of it. False: nothing more is wanted, or v->status says why not. */
bool tuff__verification_keep(tuff__verification *v, tuff_verify_record record);
void tuff__verify_take(tuff_verify_record *record, const tuff__comparison *comparison);
tuff_batch tuff__verification_batch(const tuff__verification *v);
tuff_trainer_create_info tuff__verification_trainer(const tuff__verification *v);
uint64_t tuff__verification_random(uint64_t *state);

/* steps.c: several steps on the device beside the same steps on the reference. */
tuff_status tuff__verify_steps(tuff__verification *v);

#endif
