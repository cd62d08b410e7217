/* prove.c: owns the choice among an operator's kernel variants on one device. */
#include "prove.h"

#include "alloc.h"

#include <string.h>

struct tuff__prover {
    int unused;
};

tuff_status tuff__prove_variant(tuff_device *device, tuff_op_call *call)
{
    const tuff_op_desc *op = call->op;
    const tuff__target *target = &device->target;
    if (!op->variant_count || target->backend != TUFF_BACKEND_VULKAN)
        return TUFF_SUCCESS;
    bool any = false;
    for (uint32_t i = 0; i < op->variant_count; i++) {
        if (target->kernel_variant && !strcmp(op->variants[i].name, target->kernel_variant)) {
            call->variant = i;
            return TUFF_SUCCESS;
        }
        if (!op->variants[i].supported(target))
            continue;
        call->variant = i;
        any = true;
    }
    if (!any)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "%s: no kernel for device '%s'", op->name,
                          device->properties.name);
    return TUFF_SUCCESS;
}

void tuff__prover_destroy(tuff__prover *prover)
{
    tuff__free(prover);
}
