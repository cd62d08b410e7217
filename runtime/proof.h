/* proof.h (internal): one rung proven, for prove.c. */
#ifndef TUFF_RUNTIME_PROOF_H
#define TUFF_RUNTIME_PROOF_H

#include "prove.h"

/* Takes the rung that the device's prover forces through all of the operator's proofs: verdict, seconds and reason. A
 * failure of the device itself is passed up; a refused pipeline is a verdict. */
tuff_status tuff__proof_run(tuff_device *device, const tuff_op_desc *op, tuff__prover_row *row);

#endif
