/* device.c: owns the choice of a device by name, and what is common to all: buffers and the list of devices. */
#include "alloc.h"
#include "backend.h"
#include "cpu/cpu_backend.h"
#include "env.h"
#include "log.h"
#include "op.h"
#include "os.h"
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

/* What there is: every Vulkan device, then "cpu" and "reference". */
typedef struct device_list {
    tuff_device_properties *devices;
    size_t count;
    char problem[256];   /* why there is no Vulkan device */
    tuff_device *vulkan; /* that has looked; becomes a device or is destroyed. NULL without Vulkan */
} device_list;

static tuff_status look_for_vulkan(device_list *list, bool validation, tuff_device_properties **out_devices,
                                   size_t *out_count)
{
#if TUFF_WITH_VULKAN
    return tuff__vk_open(validation, &list->vulkan, out_devices, out_count, list->problem);
#else
    (void)validation;
    *out_devices = NULL;
    *out_count = 0;
    snprintf(list->problem, sizeof list->problem, "this build of tuff has no Vulkan");
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

static void list_close(device_list *list)
{
    tuff__free(list->devices);
    tuff_device_destroy(list->vulkan);
}

static tuff_status list_open(device_list *list, bool validation)
{
    tuff_device_properties *vulkan = NULL;
    size_t count = 0;
    *list = (device_list){0};
    TUFF_TRY(look_for_vulkan(list, validation, &vulkan, &count));
    list->devices = tuff__calloc(count + 2, sizeof *list->devices);
    if (!list->devices) {
        tuff__free(vulkan);
        list_close(list);
        return tuff__fail_memory("device list", (count + 2) * sizeof *list->devices);
    }
    if (count)
        memcpy(list->devices, vulkan, count * sizeof *vulkan);
    tuff__free(vulkan);
    list->devices[count] = tuff__cpu_properties(TUFF_BACKEND_CPU, 0);
    list->devices[count + 1] = tuff__cpu_properties(TUFF_BACKEND_REFERENCE, 0);
    mark_default(list->devices, count);
    list->count = count + 2;
    return TUFF_SUCCESS;
}

/* -- the choice --------------------------------------------------------------------------------------------------- */

/* tolower is the locale's: in Turkish the small I is none. */
static char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

/* Whether `part` occurs in `text`, in any case. */
static bool contains(const char *text, const char *part)
{
    const size_t length = strlen(part);
    for (; *text; text++) {
        size_t i = 0;
        while (i < length && text[i] && lower(text[i]) == lower(part[i]))
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

/* TUFF_DEVICE names what NULL takes: that one is marked, or none. */
static void mark_named(device_list *list, const char *name)
{
    tuff_device_properties *named = NULL;
    for (size_t i = 0; i < list->count && !named; i++)
        if (answers_to(&list->devices[i], name))
            named = &list->devices[i];
    for (size_t i = 0; i < list->count; i++) {
        tuff_device_properties *device = &list->devices[i];
        const bool taken = device == named && device->usable;
        if (taken || device->is_default)
            snprintf(device->reason, sizeof device->reason, "%s: TUFF_DEVICE is '%.200s'",
                     taken ? "taken by default" : "left out", name);
        device->is_default = taken;
    }
}

tuff_status tuff_device_list(tuff_device_properties **out_devices, size_t *out_count, char out_vulkan_problem[256])
{
    device_list list;
    *out_devices = NULL;
    *out_count = 0;
    TUFF_TRY(list_open(&list, false));
    if (tuff__env()->device)
        mark_named(&list, tuff__env()->device);
    if (out_vulkan_problem)
        memcpy(out_vulkan_problem, list.problem, sizeof list.problem);
    *out_devices = list.devices;
    *out_count = list.count;
    list.devices = NULL;
    list_close(&list);
    for (size_t i = 0; i < *out_count; i++)
        if ((*out_devices)[i].backend == TUFF_BACKEND_CPU)
            tuff__cpu_name_library(&(*out_devices)[i]);
    return TUFF_SUCCESS;
}

static tuff_status no_such_device(const char *name, const device_list *list)
{
    char found[512] = "";
    const char *problem = list->problem;
    for (size_t i = 0; i < list->count; i++) {
        const tuff_device_properties *device = &list->devices[i];
        const size_t used = strlen(found);
        if (device->backend == TUFF_BACKEND_VULKAN)
            snprintf(found + used, sizeof found - used, "vulkan:%u (%s), ", device->vulkan_index, device->name);
        else
            snprintf(found + used, sizeof found - used, "%s%s", device->name, i + 1 < list->count ? ", " : "");
    }
    if (!strcmp(name, "vulkan") && !problem[0])
        problem = "a software Vulkan device is taken only by number or by name";
    return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "device '%s': no such device; found %s%s%s", name, found,
                      problem[0] ? "; " : "", problem);
}

static tuff_status create_listed(device_list *list, const tuff_device_properties *properties,
                                 const tuff_device_create_info *info, bool keep_statistics, tuff_device **out_device)
{
#if TUFF_WITH_VULKAN
    if (properties->backend == TUFF_BACKEND_VULKAN) {
        if (!properties->usable)
            return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "device '%s': %s", properties->name, properties->reason);
        tuff_device *device = list->vulkan;
        list->vulkan = NULL;
        TUFF_TRY(tuff__vk_become(device, properties->vulkan_index, keep_statistics));
        *out_device = device;
        return TUFF_SUCCESS;
    }
#endif
    (void)list;
    (void)keep_statistics;
    return tuff__cpu_device_create(properties->backend, info, out_device);
}

/* The CPUs need no look at Vulkan, whose loader may take longer than the work. */
static tuff_status create_by_name(const char *name, const tuff_device_create_info *info, bool keep_statistics,
                                  tuff_device **out_device)
{
    if (name && !strcmp(name, "cpu"))
        return tuff__cpu_device_create(TUFF_BACKEND_CPU, info, out_device);
    if (name && !strcmp(name, "reference"))
        return tuff__cpu_device_create(TUFF_BACKEND_REFERENCE, info, out_device);
    device_list list;
    TUFF_TRY(list_open(&list, info->enable_validation));
    const tuff_device_properties *found = NULL;
    for (size_t i = 0; i < list.count && !found; i++)
        if (name ? answers_to(&list.devices[i], name) : list.devices[i].is_default)
            found = &list.devices[i];
    const tuff_status status = found ? create_listed(&list, found, info, keep_statistics, out_device)
                                     : no_such_device(name ? name : "", &list);
    list_close(&list);
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

static void lower_range(tuff_device *device, uint64_t range)
{
    if (range >= device->target.max_storage_buffer_range)
        return;
    device->target.max_storage_buffer_range = range;
    device->properties.max_storage_buffer_range = range;
}

tuff_status tuff__device_create(const tuff_device_create_info *info, bool keep_statistics, tuff_device **out_device)
{
    tuff_device_create_info wanted = {0};
    *out_device = NULL;
    if (info)
        wanted = *info;
    TUFF_TRY(find_variant(wanted.kernel_variant, &wanted.kernel_variant));
    const char *name = wanted.device && wanted.device[0] ? wanted.device : tuff__env()->device;
    TUFF_TRY(create_by_name(name, &wanted, keep_statistics, out_device));
    tuff_device *device = *out_device;
    device->checks = tuff__env()->check;
    device->dump_dir = tuff__env()->dump;
    device->target.kernel_variant = wanted.kernel_variant;
    if (wanted.max_storage_buffer_range)
        lower_range(device, wanted.max_storage_buffer_range);
    const tuff_status status = tuff__mutex_create(&device->mutex);
    if (status != TUFF_SUCCESS) {
        tuff_device_destroy(device);
        *out_device = NULL;
        return status;
    }
    tuff__log(TUFF_LOG_INFO, "device: %s (%s)", device->properties.name, device->properties.driver);
    return TUFF_SUCCESS;
}

tuff_status tuff_device_create(const tuff_device_create_info *info, tuff_device **out_device)
{
    return tuff__device_create(info, false, out_device);
}

void tuff_device_destroy(tuff_device *device)
{
    if (!device)
        return;
    tuff__mutex *mutex = device->mutex;
    tuff__prover_destroy(device->prover);
    device->backend->device_destroy(device);
    tuff__mutex_destroy(mutex);
}

static _Thread_local char this_thread; /* whose address tells the threads apart */

void tuff__device_lock(tuff_device *device)
{
    if (!device->mutex)
        return;
    if (atomic_load(&device->holder) != &this_thread) {
        tuff__mutex_lock(device->mutex);
        atomic_store(&device->holder, &this_thread);
    }
    device->lock_depth++;
}

void tuff__device_unlock(tuff_device *device)
{
    if (!device->mutex || --device->lock_depth > 0)
        return;
    atomic_store(&device->holder, NULL);
    tuff__mutex_unlock(device->mutex);
}

const tuff_device_properties *tuff_device_get_properties(const tuff_device *device)
{
    return &device->properties;
}

/* -- buffers ------------------------------------------------------------------------------------------------------ */

tuff_status tuff_buffer_create(tuff_device *device, uint64_t size, tuff_buffer **out_buffer)
{
    *out_buffer = NULL;
    TUFF_TRY(tuff__check_given(device, "buffer: device"));
    if (size == 0)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "buffer: size is 0, wanted at least 1 byte");
    tuff__device_lock(device);
    const tuff_status status = device->backend->buffer_create(device, size, TUFF__MEMORY_DEVICE, out_buffer);
    tuff__device_unlock(device);
    return status;
}

void tuff_buffer_destroy(tuff_buffer *buffer)
{
    if (!buffer)
        return;
    tuff_device *device = buffer->device;
    tuff__device_lock(device);
    device->backend->buffer_destroy(buffer);
    tuff__device_unlock(device);
}

static tuff_status check_span(const tuff_buffer *buffer, uint64_t offset, const void *data, size_t size)
{
    TUFF_TRY(tuff__check_given(data, "buffer: data"));
    if (offset <= buffer->size && size <= buffer->size - offset)
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "buffer: %zu bytes from %llu reach beyond its %llu bytes", size,
                      (unsigned long long)offset, (unsigned long long)buffer->size);
}

tuff_status tuff_buffer_write(tuff_buffer *buffer, uint64_t offset, const void *data, size_t size)
{
    TUFF_TRY(check_span(buffer, offset, data, size));
    tuff__device_lock(buffer->device);
    const tuff_status status = buffer->device->backend->buffer_write(buffer, offset, data, size);
    tuff__device_unlock(buffer->device);
    return status;
}

tuff_status tuff_buffer_read(tuff_buffer *buffer, uint64_t offset, void *data, size_t size)
{
    TUFF_TRY(check_span(buffer, offset, data, size));
    tuff__device_lock(buffer->device);
    const tuff_status status = buffer->device->backend->buffer_read(buffer, offset, data, size);
    tuff__device_unlock(buffer->device);
    return status;
}
