/*
 * prove.h: which rung of the kernel ladder runs an operator on a device. Reported support is not proof: a rung is taken
 * once it has agreed with the reference on that very device, and beaten the rung below it.
 */
#ifndef TUFF_RUNTIME_PROVE_H
#define TUFF_RUNTIME_PROVE_H

#include "op.h"

typedef struct tuff__prover tuff__prover;

/* Sets call->variant. Without variants, or on a CPU execution, there is nothing to choose. */
tuff_status tuff__prove_variant(tuff_device *device, tuff_op_call *call);
void tuff__prover_destroy(tuff__prover *prover); /* accepts NULL */

#endif
