/* check_device.h: the device under test. */
#ifndef TUFF_TESTS_CHECK_DEVICE_H
#define TUFF_TESTS_CHECK_DEVICE_H

#include "check.h"
#include "env.h"
#include "op.h"

#include <stdio.h>
#include <string.h>

/* Opens the device of `info`; without a name there the one of TUFF_DEVICE, else "cpu". Returns 0, or the code to leave
 * the program with: TUFF__SKIPPED only where this machine has no such device. A driver's error, a refused setting or
 * too little memory is a failure; and CTest takes a skipped test for one where the build was told that the device is
 * there (TUFF_TESTS_REQUIRE_VULKAN). */
static inline int tuff__check_open_device(const tuff_device_create_info *info, tuff_device **out_device)
{
    tuff_device_create_info wanted = info ? *info : (tuff_device_create_info){0};
    if (!wanted.device)
        wanted.device = tuff__env()->device ? tuff__env()->device : "cpu";
    const tuff_status status = tuff_device_create(&wanted, out_device);
    if (status == TUFF_SUCCESS)
        return 0;
    const bool absent = status == TUFF_ERROR_FEATURE_NOT_PRESENT;
    printf("%s: %s\n", absent ? "skipped" : "device", tuff_last_error());
    return absent ? TUFF__SKIPPED : 1;
}

/* Whether the device was told to run a rung that is not meant for its kind; it may refuse. */
static inline bool tuff__check_insists_in_vain(const tuff_op_desc *op, const tuff__target *target)
{
    for (uint32_t v = 0; v < op->variant_count && target->kernel_variant; v++)
        if (!strcmp(op->variants[v].name, target->kernel_variant))
            return !op->variants[v].supported(target);
    return false;
}

#endif
