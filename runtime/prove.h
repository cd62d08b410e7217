/*
 * prove.h: which rung of the kernel ladder runs an operator on a device. Reported support is not proof: a rung is taken
 * once it has agreed with the reference on that very device and driver, and was not clearly slower than another. The
 * verdicts are kept in the cache folder, by device, limits, driver, tuff and shaders; one device object at a time,
 * among all processes, makes proofs for them.
 */
#ifndef TUFF_RUNTIME_PROVE_H
#define TUFF_RUNTIME_PROVE_H

#include "op.h"

typedef struct tuff__prover tuff__prover;

typedef enum tuff__verdict {
    TUFF__VERDICT_UNKNOWN = 0,
    TUFF__VERDICT_PROVEN = 1,
    TUFF__VERDICT_WRONG = 2,       /* disagreed with the reference, could not be made, or lost the device */
    TUFF__VERDICT_SLOWER = 3,      /* right, but another is taken, for its speed as a rule */
    TUFF__VERDICT_UNSUPPORTED = 4, /* not meant for this kind of device */
    TUFF__VERDICT_UNNEEDED = 5,    /* on a processor, where a higher rung is proven */
    TUFF__VERDICT_PENDING = 6,     /* its proof began and has not ended: it runs now, or its process was killed */
} tuff__verdict;

/* One row of `tuff devices`. */
typedef struct tuff__prover_row {
    const char *op, *variant;
    tuff__verdict verdict;
    double seconds;    /* of the timed proof; 0: not timed */
    uint32_t attempts; /* proofs that began and never ended; 0 once one has */
    char reason[192];
} tuff__prover_row;

/* Among the proven of an operator's rungs, lowest first, the highest that no other clearly beats; the other proven ones
 * become SLOWER. False where none is proven. */
bool tuff__prover_choose(tuff__prover_row *rows, uint32_t count, uint32_t *out_chosen);

/* Sets call->variant, proving the operator's rungs first where that was never done on this device. Without variants, or
 * on a CPU execution, there is nothing to choose. */
tuff_status tuff__prove_variant(tuff_device *device, tuff_op_call *call);

/* After the failure to make a graph's program: the highest rung of `op` that is right on the device and is none of
 * `refused` (bit v: variant v). Proves one where it must. Where there is none, or the caller insists on a rung, the
 * last error's words stand, with FEATURE_NOT_PRESENT. */
tuff_status tuff__prove_other(tuff_device *device, const tuff_op_desc *op, uint32_t refused, uint32_t *out_variant);

/* Proves every operator that has variants. *out_rows (free with tuff__free) lists all verdicts. */
tuff_status tuff__prove_all(tuff_device *device, tuff__prover_row **out_rows, size_t *out_count);

const char *tuff__verdict_name(tuff__verdict verdict);
void tuff__prover_destroy(tuff__prover *prover); /* accepts NULL */

#endif
