/*
 * vk_cache.c: owns the pipeline cache file: <cache>/pipelines/<pipelineCacheUUID>-<driver version>.bin.
 *
 * Drivers check such data loosely, and some crash on damaged files: so it carries a header and a checksum of tuff's
 * own, and is written aside and renamed. Losing it costs compile time, nothing else.
 */
#include "vk_cache.h"

#include "../alloc.h"
#include "../env.h"
#include "../hash.h"
#include "../log.h"
#include "../os.h"

#include <stdio.h>
#include <string.h>

static const char MAGIC[8] = {'t', 'u', 'f', 'f', 'p', 'i', 'p', '1'};

typedef struct cache_header {
    char magic[8];
    uint64_t size, checksum; /* of the driver's data, which follows */
    uint32_t vendor_id, device_id, driver_version, driver_abi;
    uint8_t uuid[VK_UUID_SIZE];
} cache_header;

static cache_header header_for(const tuff__vk_device *device, const void *data, size_t size)
{
    const VkPhysicalDeviceProperties *properties = &device->facts.properties;
    cache_header header = {
        .size = size,
        .checksum = tuff__hash(TUFF__HASH_START, data, size),
        .vendor_id = properties->vendorID,
        .device_id = properties->deviceID,
        .driver_version = properties->driverVersion,
        .driver_abi = sizeof(void *),
    };
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    memcpy(header.uuid, properties->pipelineCacheUUID, sizeof header.uuid);
    return header;
}

/* NULL where there is no place for caches, or no memory for its name. Free with tuff__free. */
static char *pipeline_folder(void)
{
    char *caches = tuff__cache_folder();
    char *folder = caches ? tuff__asprintf("%s/pipelines", caches) : NULL;
    tuff__free(caches);
    return folder;
}

static char *cache_path(const tuff__vk_device *device, const char *folder)
{
    char uuid[2 * VK_UUID_SIZE + 1];
    for (size_t i = 0; i < VK_UUID_SIZE; i++)
        snprintf(uuid + 2 * i, 3, "%02x", device->facts.properties.pipelineCacheUUID[i]);
    return tuff__asprintf("%s/%s-%08x.bin", folder, uuid, device->facts.properties.driverVersion);
}

static tuff_status create_cache(tuff__vk_device *device, const void *data, size_t size)
{
    const VkPipelineCacheCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = size, .pInitialData = data};
    TUFF_TRY_VK(device->table.vkCreatePipelineCache(device->handle, &info, NULL, &device->pipeline_cache));
    return TUFF_SUCCESS;
}

/* The driver's data within a sound file of this very device and driver; NULL otherwise. */
static const unsigned char *check_file(const tuff__vk_device *device, const tuff__mapped_file *file, size_t *out_size)
{
    if (file->size < sizeof(cache_header))
        return NULL;
    cache_header found;
    memcpy(&found, file->data, sizeof found);
    const unsigned char *data = file->data + sizeof found;
    const size_t size = file->size - sizeof found;
    if (found.size != size)
        return NULL;
    const cache_header wanted = header_for(device, data, size);
    if (memcmp(&found, &wanted, sizeof found) != 0)
        return NULL;
    *out_size = size;
    return data;
}

tuff_status tuff__vk_cache_load(tuff__vk_device *device)
{
    char *folder = pipeline_folder(), *path = folder ? cache_path(device, folder) : NULL;
    tuff__mapped_file file = {0};
    const unsigned char *data = NULL;
    if (path && tuff__file_exists(path) && tuff__file_map(path, &file) == TUFF_SUCCESS) {
        data = check_file(device, &file, &device->pipeline_cache_size);
        if (!data)
            tuff__log(TUFF_LOG_DEBUG, "vulkan: %s is damaged or of another driver and is left unread", path);
    }
    tuff_status status = data ? create_cache(device, data, device->pipeline_cache_size) : TUFF_ERROR_IO;
    if (status != TUFF_SUCCESS) {
        device->pipeline_cache_size = 0;
        status = create_cache(device, NULL, 0);
    }
    tuff__file_unmap(&file);
    tuff__free(path);
    tuff__free(folder);
    return status;
}

static tuff_status write_file(const tuff__vk_device *device, const char *path, const void *data, size_t size)
{
    const cache_header header = header_for(device, data, size);
    FILE *file = tuff__file_open(path, "wb");
    if (!file)
        return tuff__fail(TUFF_ERROR_IO, "%s: cannot be written", path);
    tuff_status status = TUFF_SUCCESS;
    if (fwrite(&header, sizeof header, 1, file) != 1 || fwrite(data, 1, size, file) != size)
        status = tuff__fail(TUFF_ERROR_IO, "%s: cannot be written", path);
    if (fclose(file) != 0 && status == TUFF_SUCCESS)
        status = tuff__fail(TUFF_ERROR_IO, "%s: cannot be written", path);
    return status;
}

static tuff_status replace_file(const tuff__vk_device *device, const void *data, size_t size)
{
    char *folder = pipeline_folder();
    if (!folder)
        return tuff__fail(TUFF_ERROR_IO, "there is no folder for caches");
    char *path = cache_path(device, folder);
    /* Several devices of several processes may save at one time. */
    char *aside = path ? tuff__asprintf("%s.%llx.%llx", path, (unsigned long long)tuff__process_id(),
                                        (unsigned long long)(uintptr_t)device)
                       : NULL;
    tuff_status status = aside ? tuff__directory_create(folder) : tuff__fail_memory("a file name", 0);
    if (status == TUFF_SUCCESS) {
        status = write_file(device, aside, data, size);
        if (status == TUFF_SUCCESS)
            status = tuff__file_rename(aside, path);
        if (status != TUFF_SUCCESS)
            (void)tuff__file_remove(aside);
    }
    tuff__free(aside);
    tuff__free(path);
    tuff__free(folder);
    return status;
}

void tuff__vk_cache_save(tuff__vk_device *device)
{
    size_t size = 0;
    if (!device->pipeline_cache || device->lost ||
        device->table.vkGetPipelineCacheData(device->handle, device->pipeline_cache, &size, NULL) != VK_SUCCESS ||
        size <= device->pipeline_cache_size)
        return;
    void *data = tuff__malloc(size);
    if (data &&
        device->table.vkGetPipelineCacheData(device->handle, device->pipeline_cache, &size, data) == VK_SUCCESS &&
        replace_file(device, data, size) != TUFF_SUCCESS)
        tuff__log(TUFF_LOG_DEBUG, "vulkan: the pipeline cache was not saved: %s", tuff_last_error());
    tuff__free(data);
}
