/* vk_cache.h: the driver's pipeline cache on the disk. */
#ifndef TUFF_RUNTIME_VK_CACHE_H
#define TUFF_RUNTIME_VK_CACHE_H

#include "vk_context.h"

/* Makes device->pipeline_cache, from the file of this device and driver where there is a sound one. */
tuff_status tuff__vk_cache_load(tuff__vk_device *device);
/* Writes the file where the cache has grown. A cache that cannot be written is a debug message, never a failure. */
void tuff__vk_cache_save(tuff__vk_device *device);

#endif
