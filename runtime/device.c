/* device.c: owns the choice of a device by name, and what is common to all: buffers and the list of devices. */
#include "alloc.h"
#include "backend.h"
#include "cpu/cpu_backend.h"
#include "env.h"
#include "log.h"
#include "op.h"
#include "prove.h"
#if TUFF_WITH_VULKAN
#include "vk/vk_device.h"
#endif

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tuff_free(void *block)
{
    tuff__free(block);
}

/* -- the list ----------------------------------------------------------------------------------------------------- */

static tuff_status enumerate_vulkan(tuff_device_properties **out_devices, size_t *out_count, char problem[256])
{
    *out_devices = NULL;
    *out_count = 0;
    problem[0] = '\0';
#if TUFF_WITH_VULKAN
    return tuff__vk_enumerate(out_devices, out_count, problem);
#else
    snprintf(problem, 256, "this build of tuff has no Vulkan");
    return TUFF_SUCCESS;
#endif
}

/* Marks the device that NULL takes: the first Vulkan device that enumeration named best, else the CPU. */
static void mark_default(tuff_device_properties *devices, size_t vulkan_count)
{
    for (size_t i = 0; i < vulkan_count; i++)
        if (devices[i].is_default)
            return;
    devices[vulkan_count].is_default = true;
}

tuff_status tuff_device_list(tuff_device_properties **out_devices, size_t *out_count, char out_vulkan_problem[256])
{
    char problem[256];
    tuff_device_properties *vulkan = NULL;
    size_t count = 0;
    *out_devices = NULL;
    *out_count = 0;
    TUFF_TRY(enumerate_vulkan(&vulkan, &count, problem));
    tuff_device_properties *devices = tuff__calloc(count + 2, sizeof *devices);
    if (!devices) {
        tuff__free(vulkan);
        return tuff__fail_memory("device list", (count + 2) * sizeof *devices);
    }
    if (count)
        memcpy(devices, vulkan, count * sizeof *devices);
    tuff__free(vulkan);
    devices[count] = tuff__cpu_properties(TUFF_BACKEND_CPU, 0);
    devices[count + 1] = tuff__cpu_properties(TUFF_BACKEND_REFERENCE, 0);
    mark_default(devices, count);
    if (out_vulkan_problem)
        memcpy(out_vulkan_problem, problem, sizeof problem);
    *out_devices = devices;
    *out_count = count + 2;
    return TUFF_SUCCESS;
}

/* -- the choice --------------------------------------------------------------------------------------------------- */

/* Whether `part` occurs in `text`, in any case. */
static bool contains(const char *text, const char *part)
{
    const size_t length = strlen(part);
    for (; *text; text++) {
        size_t i = 0;
        while (i < length && text[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == length)
            return true;
    }
    return length == 0;
}

/* "vulkan:N" */
static bool vulkan_number(const char *name, unsigned long long *out_number)
{
    char *end = NULL;
    if (strncmp(name, "vulkan:", 7) != 0 || !isdigit((unsigned char)name[7]))
        return false;
    *out_number = strtoull(name + 7, &end, 10);
    return *end == '\0';
}

static bool answers_to(const tuff_device_properties *device, const char *name)
{
    unsigned long long number = 0;
    if (!strcmp(name, "vulkan"))
        return device->backend == TUFF_BACKEND_VULKAN && device->is_default;
    if (vulkan_number(name, &number))
        return device->backend == TUFF_BACKEND_VULKAN && device->vulkan_index == number;
    if (!strcmp(name, "cpu") || !strcmp(name, "reference"))
        return !strcmp(name, device->name);
    return contains(device->name, name) || (device->backend == TUFF_BACKEND_VULKAN && contains(device->driver, name));
}

static tuff_status no_such_device(const char *name, const tuff_device_properties *devices, size_t count,
                                  const char *problem)
{
    char found[512] = "";
    for (size_t i = 0; i < count; i++) {
        const size_t used = strlen(found);
        if (devices[i].backend == TUFF_BACKEND_VULKAN)
            snprintf(found + used, sizeof found - used, "vulkan:%u (%s), ", devices[i].vulkan_index, devices[i].name);
        else
            snprintf(found + used, sizeof found - used, "%s%s", devices[i].name, i + 1 < count ? ", " : "");
    }
    if (!strcmp(name, "vulkan") && !problem[0])
        problem = "a software Vulkan device is taken only by number or by name";
    return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "device '%s': no such device; found %s%s%s", name, found,
                      problem[0] ? "; " : "", problem);
}

static tuff_status create_device(const tuff_device_properties *properties, const tuff_device_create_info *info,
                                 tuff_device **out_device)
{
#if TUFF_WITH_VULKAN
    if (properties->backend == TUFF_BACKEND_VULKAN) {
        if (!properties->usable)
            return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "device '%s': %s", properties->name, properties->reason);
        return tuff__vk_device_create(properties->vulkan_index, info, out_device);
    }
#endif
    return tuff__cpu_device_create(properties->backend, info, out_device);
}

/* The CPUs need no look at Vulkan, whose loader may take longer than the work. */
static tuff_status create_by_name(const char *name, const tuff_device_create_info *info, tuff_device **out_device)
{
    if (name && !strcmp(name, "cpu"))
        return tuff__cpu_device_create(TUFF_BACKEND_CPU, info, out_device);
    if (name && !strcmp(name, "reference"))
        return tuff__cpu_device_create(TUFF_BACKEND_REFERENCE, info, out_device);
    tuff_device_properties *devices = NULL;
    size_t count = 0;
    char problem[256] = "";
    TUFF_TRY(tuff_device_list(&devices, &count, problem));
    const tuff_device_properties *found = NULL;
    for (size_t i = 0; i < count && !found; i++)
        if (name ? answers_to(&devices[i], name) : devices[i].is_default)
            found = &devices[i];
    const tuff_status status =
        found ? create_device(found, info, out_device) : no_such_device(name ? name : "", devices, count, problem);
    tuff__free(devices);
    return status;
}

/* The operators' own spelling of a rung, which outlives the caller's; NULL and "" give NULL. */
static tuff_status find_variant(const char *wanted, const char **out_name)
{
    char known[128] = "";
    *out_name = NULL;
    if (!wanted || !wanted[0])
        return TUFF_SUCCESS;
    for (uint32_t id = 1; id < TUFF__OP_COUNT; id++) {
        const tuff_op_desc *op = tuff__op_desc((tuff__op_id)id);
        for (uint32_t v = 0; v < op->variant_count; v++) {
            char word[34];
            *out_name = op->variants[v].name;
            if (!strcmp(*out_name, wanted))
                return TUFF_SUCCESS;
            snprintf(word, sizeof word, " %.31s,", *out_name);
            if (!strstr(known, word))
                snprintf(known + strlen(known), sizeof known - strlen(known), "%s", word);
        }
    }
    return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "device: kernel_variant is '%s', wanted one of%s or none", wanted,
                      known);
}

tuff_status tuff_device_create(const tuff_device_create_info *info, tuff_device **out_device)
{
    tuff_device_create_info wanted = {0};
    *out_device = NULL;
    if (info)
        wanted = *info;
    TUFF_TRY(find_variant(wanted.kernel_variant, &wanted.kernel_variant));
    const char *name = wanted.device && wanted.device[0] ? wanted.device : tuff__env()->device;
    TUFF_TRY(create_by_name(name, &wanted, out_device));
    tuff_device *device = *out_device;
    tuff__target *target = &device->target;
    device->checks = tuff__env()->check;
    device->dump_dir = tuff__env()->dump;
    target->kernel_variant = wanted.kernel_variant;
    if (wanted.max_storage_buffer_range && wanted.max_storage_buffer_range < target->max_storage_buffer_range)
        target->max_storage_buffer_range = wanted.max_storage_buffer_range;
    tuff__log(TUFF_LOG_INFO, "device: %s (%s)", device->properties.name, device->properties.driver);
    return TUFF_SUCCESS;
}

void tuff_device_destroy(tuff_device *device)
{
    if (!device)
        return;
    tuff__prover_destroy(device->prover);
    device->backend->device_destroy(device);
}

const tuff_device_properties *tuff_device_get_properties(const tuff_device *device)
{
    return &device->properties;
}

/* -- buffers ------------------------------------------------------------------------------------------------------ */

tuff_status tuff_buffer_create(tuff_device *device, uint64_t size, tuff_buffer **out_buffer)
{
    *out_buffer = NULL;
    if (size == 0)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "buffer: size is 0, wanted at least 1 byte");
    return device->backend->buffer_create(device, size, TUFF__MEMORY_DEVICE, out_buffer);
}

void tuff_buffer_destroy(tuff_buffer *buffer)
{
    if (buffer)
        buffer->device->backend->buffer_destroy(buffer);
}

static tuff_status check_span(const tuff_buffer *buffer, uint64_t offset, size_t size)
{
    if (offset <= buffer->size && size <= buffer->size - offset)
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "buffer: %zu bytes from %llu reach beyond its %llu bytes", size,
                      (unsigned long long)offset, (unsigned long long)buffer->size);
}

tuff_status tuff_buffer_write(tuff_buffer *buffer, uint64_t offset, const void *data, size_t size)
{
    TUFF_TRY(check_span(buffer, offset, size));
    return buffer->device->backend->buffer_write(buffer, offset, data, size);
}

tuff_status tuff_buffer_read(tuff_buffer *buffer, uint64_t offset, void *data, size_t size)
{
    TUFF_TRY(check_span(buffer, offset, size));
    return buffer->device->backend->buffer_read(buffer, offset, data, size);
}
