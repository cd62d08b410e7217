/* vk_quirks.h: drivers that break their word, and what tuff does about it. */
#ifndef TUFF_RUNTIME_VK_QUIRKS_H
#define TUFF_RUNTIME_VK_QUIRKS_H

#include "vk_api.h"

#include <stdbool.h>

/* What a row changes. 0 or false: nothing. */
typedef struct tuff__vk_quirk {
    uint32_t vendor_id;                   /* 0: any */
    VkDriverId driver_id;                 /* 0: any */
    uint32_t first_version, last_version; /* of VkPhysicalDeviceProperties.driverVersion; last 0: no end is known */
    uint64_t max_storage_buffer_range;
    uint64_t max_memory_allocation_size;
    bool refused;          /* the device is not used */
    const char *reason;    /* what happens without the row */
    const char *reference; /* where the public can read about it */
} tuff__vk_quirk;

/* The rows that apply to a driver, in turn: pass NULL first, then the latest; NULL when there are no more. */
const tuff__vk_quirk *tuff__vk_quirk_next(const tuff__vk_quirk *latest, uint32_t vendor_id, VkDriverId driver_id,
                                          uint32_t driver_version);

#endif
