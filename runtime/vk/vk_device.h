/*
 * vk_device.h: Vulkan devices as the rest of the runtime sees them; no Vulkan header is needed to read it.
 */
#ifndef TUFF_RUNTIME_VK_DEVICE_H
#define TUFF_RUNTIME_VK_DEVICE_H

#include "../backend.h"

/* A device object that has only looked around: it holds the Vulkan instance and has seen all devices, in the loader's
 * order (free *out_devices with tuff__free). One instance serves both the list and the device that is chosen from it:
 * making one costs milliseconds, and drivers are rarely tried with a second. On a machine without Vulkan *out_device is
 * NULL, there are no devices and `problem` says why; else `problem` is empty, but where there is no device. */
tuff_status tuff__vk_open(bool validation, tuff_device **out_device, tuff_device_properties **out_devices,
                          size_t *out_count, char problem[256]);

/* Makes that object the device with that number, or destroys it where that fails. `keep_statistics`: the driver is
 * asked to keep those of every pipeline. */
tuff_status tuff__vk_become(tuff_device *device, uint32_t vulkan_index, bool keep_statistics);

/* What validation layers have said about this device and its instance so far. */
uint64_t tuff__vk_validation_messages(const tuff_device *device);

/* -- what `tuff kernels` prints ----------------------------------------------------------------------------------- */

enum { TUFF__VK_MAX_STATISTICS = 48 };

typedef struct tuff__vk_statistic {
    char name[64]; /* as the driver calls it */
    double value;
} tuff__vk_statistic;

typedef struct tuff__vk_pipeline_report {
    const char *shader;
    uint32_t local_size_x; /* 0: the shader's own */
    const uint32_t *constants;
    uint32_t constant_count;
    uint32_t spill_allowance;
    const char *failure; /* name of the VkResult with which the driver refused it; NULL: it was made, or never tried */
    const tuff__vk_statistic *statistics; /* none where the driver does not tell */
    uint32_t statistic_count;
} tuff__vk_pipeline_report;

/* The pipelines asked for so far, in order. */
size_t tuff__vk_pipeline_count(const tuff_device *device);
tuff__vk_pipeline_report tuff__vk_pipeline_get(const tuff_device *device, size_t index);

/* Every shader the build embeds; false past the last. */
bool tuff__vk_shader_get(size_t index, const char **out_name, const uint32_t **out_words, size_t *out_word_count);

#endif
