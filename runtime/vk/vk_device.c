/*
 * vk_device.c: owns what tuff knows of a Vulkan device, which one is taken, and making and destroying it. Each limit,
 * quirk and choice is decided here, once, with its reason.
 */
#include "vk_device.h"

#include "../alloc.h"
#include "../env.h"
#include "../log.h"
#include "vk_backend.h"
#include "vk_memory.h"
#include "vk_pipeline.h"
#include "vk_quirks.h"

#include <stdio.h>
#include <string.h>

/* -- facts -------------------------------------------------------------------------------------------------------- */

static tuff_status list_extensions(const tuff__vk_instance *instance, VkPhysicalDevice physical,
                                   VkExtensionProperties **out_extensions, uint32_t *out_count)
{
    *out_count = 0;
    TUFF_TRY_VK(instance->vkEnumerateDeviceExtensionProperties(physical, NULL, out_count, NULL));
    *out_extensions = tuff__calloc(*out_count + 1, sizeof **out_extensions);
    if (!*out_extensions)
        return tuff__fail_memory("the list of device extensions", *out_count * sizeof **out_extensions);
    VkResult result = instance->vkEnumerateDeviceExtensionProperties(physical, NULL, out_count, *out_extensions);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE) {
        tuff__free(*out_extensions);
        return tuff__vk_fail(result, "vkEnumerateDeviceExtensionProperties(");
    }
    return TUFF_SUCCESS;
}

typedef struct device_query {
    const tuff__vk_instance *instance;
    VkExtensionProperties *extensions;
    uint32_t extension_count;
    tuff__vk_facts *facts;
    tuff_device_properties *out;
    VkDriverId driver_id;
    const char *refusal; /* why a quirk forbids the device; NULL: none does */
    bool announce;       /* the device is about to be used: its quirks are logged */
} device_query;

static bool has_extension(const device_query *query, const char *name)
{
    for (uint32_t i = 0; i < query->extension_count; i++)
        if (!strcmp(query->extensions[i].extensionName, name))
            return true;
    return false;
}

/* Core in `version`, or there as an extension. */
static bool offers(const device_query *query, uint32_t version, const char *extension)
{
    return query->facts->api_version >= version || has_extension(query, extension);
}

/* Puts `structure` at the head of the chain of a *2 query. */
static void chain(void **head, void *structure)
{
    ((VkBaseOutStructure *)structure)->pNext = *head;
    *head = structure;
}

static void query_limits(device_query *query)
{
    tuff__vk_facts *facts = query->facts;
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties maintenance3 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
    VkPhysicalDeviceMaintenance4Properties maintenance4 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES};
    VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceProperties2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    chain(&all.pNext, &subgroup);
    chain(&all.pNext, &id);
    chain(&all.pNext, &maintenance3);
    if (offers(query, VK_API_VERSION_1_3, VK_KHR_MAINTENANCE_4_EXTENSION_NAME))
        chain(&all.pNext, &maintenance4);
    if (offers(query, VK_API_VERSION_1_2, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME))
        chain(&all.pNext, &driver);
    query->instance->vkGetPhysicalDeviceProperties2(facts->physical, &all);
    facts->max_memory_allocation_size = maintenance3.maxMemoryAllocationSize;
    facts->max_buffer_size = maintenance4.maxBufferSize ? maintenance4.maxBufferSize : UINT64_MAX;
    query->out->subgroup_size = subgroup.subgroupSize ? subgroup.subgroupSize : 1;
    query->driver_id = driver.driverID;
    memcpy(query->out->uuid, id.deviceUUID, sizeof query->out->uuid);
    const uint32_t version = facts->properties.driverVersion;
    if (driver.driverName[0] != '\0')
        snprintf(query->out->driver, sizeof query->out->driver, "%.120s %.120s", driver.driverName, driver.driverInfo);
    else
        snprintf(query->out->driver, sizeof query->out->driver, "version %u.%u.%u", VK_API_VERSION_MAJOR(version),
                 VK_API_VERSION_MINOR(version), VK_API_VERSION_PATCH(version));
}

static void query_features(device_query *query)
{
    VkPhysicalDevice16BitStorageFeatures storage16 = {.sType =
                                                          VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
    VkPhysicalDeviceShaderFloat16Int8Features float16 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES};
    VkPhysicalDeviceBufferDeviceAddressFeatures address = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR};
    VkPhysicalDeviceFeatures2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
    chain(&all.pNext, &storage16);
    if (offers(query, VK_API_VERSION_1_2, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME))
        chain(&all.pNext, &float16);
    if (offers(query, VK_API_VERSION_1_2, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME))
        chain(&all.pNext, &address);
    if (has_extension(query, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME))
        chain(&all.pNext, &executable);
    query->instance->vkGetPhysicalDeviceFeatures2(query->facts->physical, &all);
    query->out->storage_buffer_16bit = storage16.storageBuffer16BitAccess;
    query->out->shader_float16 = float16.shaderFloat16;
    query->out->buffer_device_address = address.bufferDeviceAddress;
    query->facts->executable_properties = executable.pipelineExecutableInfo;
    query->facts->memory_budget = has_extension(query, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    query->facts->portability_subset = has_extension(query, "VK_KHR_portability_subset");
}

static void query_memory(device_query *query)
{
    const VkPhysicalDeviceMemoryProperties *memory = &query->facts->memory;
    tuff_device_properties *out = query->out;
    for (uint32_t i = 0; i < memory->memoryHeapCount; i++)
        if ((memory->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) &&
            memory->memoryHeaps[i].size > out->memory_size)
            out->memory_size = memory->memoryHeaps[i].size;
    const VkMemoryPropertyFlags shared = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    bool mappable = false;
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++)
        mappable = mappable || (memory->memoryTypes[i].propertyFlags & shared) == shared;
    /* A discrete GPU may show all its memory through a window (resizable BAR), but the host reads it slowly. */
    out->unified_memory =
        mappable && (out->type == TUFF_DEVICE_TYPE_INTEGRATED_GPU || out->type == TUFF_DEVICE_TYPE_CPU);
}

/* A queue family for compute alone, which does not hold up the desktop; else the first that computes at all. */
static tuff_status query_queue(const device_query *query, bool *out_found)
{
    uint32_t count = 0;
    query->instance->vkGetPhysicalDeviceQueueFamilyProperties(query->facts->physical, &count, NULL);
    VkQueueFamilyProperties *families = tuff__calloc(count + 1, sizeof *families);
    if (!families)
        return tuff__fail_memory("the list of queue families", count * sizeof *families);
    query->instance->vkGetPhysicalDeviceQueueFamilyProperties(query->facts->physical, &count, families);
    *out_found = false;
    for (uint32_t i = count; i-- > 0;)
        if (families[i].queueCount > 0 && (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) {
            query->facts->queue_family = i;
            *out_found = true;
        }
    for (uint32_t i = count; i-- > 0;)
        if (families[i].queueCount > 0 && (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) &&
            !(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT))
            query->facts->queue_family = i;
    if (*out_found)
        query->facts->timestamp_bits = families[query->facts->queue_family].timestampValidBits;
    tuff__free(families);
    return TUFF_SUCCESS;
}

static void apply_quirks(device_query *query)
{
    const VkPhysicalDeviceProperties *properties = &query->facts->properties;
    const tuff__vk_quirk *quirk = NULL;
    while ((quirk = tuff__vk_quirk_next(quirk, properties->vendorID, query->driver_id, properties->driverVersion))) {
        tuff_device_properties *out = query->out;
        if (quirk->max_storage_buffer_range && quirk->max_storage_buffer_range < out->max_storage_buffer_range)
            out->max_storage_buffer_range = quirk->max_storage_buffer_range;
        if (quirk->max_memory_allocation_size &&
            quirk->max_memory_allocation_size < query->facts->max_memory_allocation_size)
            query->facts->max_memory_allocation_size = quirk->max_memory_allocation_size;
        if (quirk->refused && !query->refusal)
            query->refusal = quirk->reason;
        if (query->announce)
            tuff__log(TUFF_LOG_INFO, "vulkan: %s: avoided: %s (%s)", out->name, quirk->reason, quirk->reference);
    }
}

/* -- fitness and choice ------------------------------------------------------------------------------------------- */

/* Writes why the device cannot be used into `reason`; true if it can. The numbers are the specification's minimum,
 * but for buffers: it promises 4. */
static bool check_limits(const VkPhysicalDeviceLimits *limits, char reason[256])
{
    const struct {
        const char *name;
        uint64_t found, wanted;
    } rows[] = {
        {"maxStorageBufferRange", limits->maxStorageBufferRange, 1u << 27},
        {"maxPushConstantsSize", limits->maxPushConstantsSize, 128},
        {"maxComputeSharedMemorySize", limits->maxComputeSharedMemorySize, 16384},
        {"maxComputeWorkGroupInvocations", limits->maxComputeWorkGroupInvocations, 128},
        {"maxComputeWorkGroupSize[0]", limits->maxComputeWorkGroupSize[0], 128},
        {"maxComputeWorkGroupCount[0]", limits->maxComputeWorkGroupCount[0], 65535},
        {"maxComputeWorkGroupCount[1]", limits->maxComputeWorkGroupCount[1], 65535},
        {"maxComputeWorkGroupCount[2]", limits->maxComputeWorkGroupCount[2], 65535},
        {"maxPerStageDescriptorStorageBuffers", limits->maxPerStageDescriptorStorageBuffers, TUFF__VK_BUFFERS_NEEDED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].found < rows[i].wanted) {
            snprintf(reason, 256, "unusable: its %s is %llu, %llu is needed", rows[i].name,
                     (unsigned long long)rows[i].found, (unsigned long long)rows[i].wanted);
            return false;
        }
    if (limits->minStorageBufferOffsetAlignment > TUFF__ALIGNMENT) {
        snprintf(reason, 256, "unusable: its minStorageBufferOffsetAlignment is %llu, at most %d is allowed",
                 (unsigned long long)limits->minStorageBufferOffsetAlignment, TUFF__ALIGNMENT);
        return false;
    }
    return true;
}

/* Which devices are taken when none is named, the highest rank first; 0: never. */
static const struct {
    const char *words;
    uint32_t rank;
} type_rows[] = {
    [TUFF_DEVICE_TYPE_OTHER] = {"a device of unknown kind", 1},
    [TUFF_DEVICE_TYPE_INTEGRATED_GPU] = {"an integrated GPU", 3},
    [TUFF_DEVICE_TYPE_DISCRETE_GPU] = {"a discrete GPU", 4},
    [TUFF_DEVICE_TYPE_VIRTUAL_GPU] = {"a virtual GPU", 2},
    [TUFF_DEVICE_TYPE_CPU] = {"a software device", 0},
};

static tuff_device_type type_of(VkPhysicalDeviceType type)
{
    return type >= VK_PHYSICAL_DEVICE_TYPE_OTHER && type <= VK_PHYSICAL_DEVICE_TYPE_CPU ? (tuff_device_type)type
                                                                                        : TUFF_DEVICE_TYPE_OTHER;
}

static bool is_better(const tuff_device_properties *a, const tuff_device_properties *b)
{
    const uint32_t rank_a = type_rows[a->type].rank, rank_b = type_rows[b->type].rank;
    return rank_a != rank_b ? rank_a > rank_b : a->memory_size > b->memory_size;
}

static void choose_default(tuff_device_properties *devices, size_t count)
{
    tuff_device_properties *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (devices[i].usable && type_rows[devices[i].type].rank > 0 && (!best || is_better(&devices[i], best)))
            best = &devices[i];
    for (size_t i = 0; i < count; i++) {
        tuff_device_properties *device = &devices[i];
        if (!device->usable)
            continue;
        device->is_default = device == best;
        const char *words = type_rows[device->type].words;
        if (device == best)
            snprintf(device->reason, sizeof device->reason, "taken by default: %s, the best Vulkan device here", words);
        else if (type_rows[device->type].rank == 0)
            snprintf(device->reason, sizeof device->reason,
                     "left out: %s runs on the processor, slower than the CPU device; taken only by name or number",
                     words);
        else if (best)
            snprintf(device->reason, sizeof device->reason, "left out: %s; vulkan:%u is %s%s", words,
                     best->vulkan_index, type_rows[best->type].words,
                     best->type == device->type ? " with at least as much memory" : "");
    }
}

/* -- describing a device ------------------------------------------------------------------------------------------ */

static void describe_basics(device_query *query)
{
    const VkPhysicalDeviceProperties *properties = &query->facts->properties;
    const VkPhysicalDeviceLimits *limits = &properties->limits;
    tuff_device_properties *out = query->out;
    snprintf(out->name, sizeof out->name, "%.255s", properties->deviceName);
    out->backend = TUFF_BACKEND_VULKAN;
    out->type = type_of(properties->deviceType);
    out->api_version = properties->apiVersion;
    out->vendor_id = properties->vendorID;
    out->device_id = properties->deviceID;
    out->driver_version = properties->driverVersion;
    memcpy(out->pipeline_cache_uuid, properties->pipelineCacheUUID, sizeof out->pipeline_cache_uuid);
    out->max_storage_buffer_range = limits->maxStorageBufferRange;
    out->max_shared_memory_size = limits->maxComputeSharedMemorySize;
    out->max_workgroup_invocations = limits->maxComputeWorkGroupInvocations;
}

static tuff_status describe_rest(device_query *query)
{
    tuff_device_properties *out = query->out;
    TUFF_TRY(list_extensions(query->instance, query->facts->physical, &query->extensions, &query->extension_count));
    query_limits(query);
    query_features(query);
    tuff__free(query->extensions);
    query_memory(query);
    apply_quirks(query);
    out->max_memory_allocation_size = query->facts->max_memory_allocation_size;
    bool found = false;
    TUFF_TRY(query_queue(query, &found));
    out->usable = found && check_limits(&query->facts->properties.limits, out->reason);
    if (!found)
        snprintf(out->reason, sizeof out->reason, "unusable: it has no queue that computes");
    if (query->refusal) {
        out->usable = false;
        snprintf(out->reason, sizeof out->reason, "unusable: %.200s", query->refusal);
    }
    return TUFF_SUCCESS;
}

/* Everything that is known before a VkDevice is made. */
static tuff_status describe(const tuff__vk_instance *instance, VkPhysicalDevice physical, uint32_t index, bool announce,
                            tuff__vk_facts *facts, tuff_device_properties *out)
{
    *facts = (tuff__vk_facts){.physical = physical};
    *out = (tuff_device_properties){.vulkan_index = index};
    instance->vkGetPhysicalDeviceProperties(physical, &facts->properties);
    instance->vkGetPhysicalDeviceMemoryProperties(physical, &facts->memory);
    const uint32_t version = facts->properties.apiVersion;
    facts->api_version = version < instance->api_version ? version : instance->api_version;
    device_query query = {.instance = instance, .facts = facts, .out = out, .announce = announce};
    describe_basics(&query);
    if (version >= VK_API_VERSION_1_1)
        return describe_rest(&query);
    snprintf(out->driver, sizeof out->driver, "version 0x%08x", facts->properties.driverVersion);
    snprintf(out->reason, sizeof out->reason, "unusable: it speaks Vulkan %u.%u, 1.1 is needed",
             VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));
    return TUFF_SUCCESS;
}

static tuff_status list_physical(const tuff__vk_instance *instance, VkPhysicalDevice **out_list, uint32_t *out_count)
{
    *out_count = 0;
    TUFF_TRY_VK(instance->vkEnumeratePhysicalDevices(instance->handle, out_count, NULL));
    *out_list = tuff__calloc(*out_count + 1, sizeof **out_list);
    if (!*out_list)
        return tuff__fail_memory("the list of devices", *out_count * sizeof **out_list);
    const VkResult result = instance->vkEnumeratePhysicalDevices(instance->handle, out_count, *out_list);
    if (result == VK_SUCCESS || result == VK_INCOMPLETE)
        return TUFF_SUCCESS;
    tuff__free(*out_list);
    return tuff__vk_fail(result, "vkEnumeratePhysicalDevices(");
}

/* A device that its driver cannot describe is left out: another may serve. */
static tuff_status describe_all(const tuff__vk_instance *instance, const VkPhysicalDevice *physical, uint32_t count,
                                tuff_device_properties *devices, size_t *out_count)
{
    tuff_status failure = TUFF_SUCCESS;
    tuff__vk_facts facts;
    *out_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const tuff_status status = describe(instance, physical[i], i, false, &facts, &devices[*out_count]);
        if (status == TUFF_ERROR_OUT_OF_HOST_MEMORY)
            return status;
        if (status == TUFF_SUCCESS) {
            (*out_count)++;
            continue;
        }
        failure = status;
        tuff__log(TUFF_LOG_WARNING, "vulkan: vulkan:%u is left out: %s", i, tuff_last_error());
    }
    return *out_count ? TUFF_SUCCESS : failure;
}

static tuff_status enumerate(const tuff__vk_instance *instance, tuff_device_properties **out_devices, size_t *out_count)
{
    VkPhysicalDevice *physical = NULL;
    uint32_t count = 0;
    TUFF_TRY(list_physical(instance, &physical, &count));
    tuff_device_properties *devices = tuff__calloc((size_t)count + 1, sizeof *devices);
    tuff_status status =
        devices ? TUFF_SUCCESS : tuff__fail_memory("the list of devices", ((size_t)count + 1) * sizeof *devices);
    if (devices)
        status = describe_all(instance, physical, count, devices, out_count);
    tuff__free(physical);
    if (status != TUFF_SUCCESS) {
        *out_count = 0;
        tuff__free(devices);
        return status;
    }
    choose_default(devices, *out_count);
    *out_devices = devices;
    return TUFF_SUCCESS;
}

/* -- creation ----------------------------------------------------------------------------------------------------- */

static tuff_status create_handle(tuff__vk_device *device)
{
    const char *extensions[3];
    uint32_t count = 0;
    if (device->facts.portability_subset) /* the specification wants it enabled wherever it is offered */
        extensions[count++] = "VK_KHR_portability_subset";
    if (device->facts.memory_budget)
        extensions[count++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
    if (device->keep_statistics)
        extensions[count++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    const VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE,
    };
    static const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = device->facts.queue_family,
        .queueCount = 1,
        .pQueuePriorities = &priority,
    };
    const VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = device->keep_statistics ? &statistics : NULL,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queue,
        .enabledExtensionCount = count,
        .ppEnabledExtensionNames = extensions,
    };
    TUFF_TRY_VK(device->instance.vkCreateDevice(device->facts.physical, &info, NULL, &device->handle));
    tuff__vk_load_device(&device->instance, device->handle, &device->table);
    device->table.vkGetDeviceQueue(device->handle, device->facts.queue_family, 0, &device->queue);
    const VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
        .queueFamilyIndex = device->facts.queue_family,
    };
    TUFF_TRY_VK(device->table.vkCreateCommandPool(device->handle, &pool, NULL, &device->command_pool));
    return TUFF_SUCCESS;
}

/* An invocation of Arm's and of Broadcom's GPUs has 64 registers of 32 bits, and no Vulkan query tells (Arm GPU
 * Datasheet; Mesa, src/broadcom/compiler). */
static bool has_few_registers(uint32_t vendor_id)
{
    enum { VENDOR_ARM = 0x13B5, VENDOR_BROADCOM = 0x14E4 };
    return vendor_id == VENDOR_ARM || vendor_id == VENDOR_BROADCOM;
}

static void set_target(tuff__vk_device *device)
{
    const VkPhysicalDeviceLimits *limits = &device->facts.properties.limits;
    const tuff_device_properties *properties = &device->base.properties;
    device->base.target = (tuff__target){
        .backend = TUFF_BACKEND_VULKAN,
        .thread_count = 1,
        .software = properties->type == TUFF_DEVICE_TYPE_CPU,
        .few_registers = has_few_registers(properties->vendor_id),
        .max_storage_buffer_range = properties->max_storage_buffer_range,
        .max_shared_memory_size = properties->max_shared_memory_size,
        .max_workgroup_invocations = properties->max_workgroup_invocations,
        .max_workgroup_count = {limits->maxComputeWorkGroupCount[0], limits->maxComputeWorkGroupCount[1],
                                limits->maxComputeWorkGroupCount[2]},
        .max_dispatch_flops = tuff__vk_max_dispatch_flops(properties->type),
    };
}

/* Describes the wanted device and checks that it can be used. */
static tuff_status select_physical(tuff__vk_device *device, uint32_t index)
{
    VkPhysicalDevice *physical = NULL;
    uint32_t count = 0;
    TUFF_TRY(list_physical(&device->instance, &physical, &count));
    tuff_status status = TUFF_SUCCESS;
    if (index < count)
        status = describe(&device->instance, physical[index], index, true, &device->facts, &device->base.properties);
    else
        status = tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "vulkan:%u: there is no such device, this machine has %u",
                            index, count);
    tuff__free(physical);
    TUFF_TRY(status);
    tuff_device_properties *properties = &device->base.properties;
    if (!properties->usable)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "vulkan:%u: %s is %s", index, properties->name,
                          properties->reason);
    snprintf(properties->reason, sizeof properties->reason, "in use: %s", type_rows[properties->type].words);
    return TUFF_SUCCESS;
}

static void device_destroy(tuff_device *base)
{
    tuff__vk_device *device = tuff__vk_device_of(base);
    if (device->handle) {
        tuff__vk_memory_destroy(device);
        tuff__vk_pipelines_destroy(device);
        if (!device->hung) {
            if (device->command_pool)
                device->table.vkDestroyCommandPool(device->handle, device->command_pool, NULL);
            device->table.vkDestroyDevice(device->handle, NULL);
        }
    }
    if (!device->hung) /* a device that still runs keeps its instance, and both are left behind */
        tuff__vk_instance_destroy(&device->instance);
    tuff__free(device);
}

static const tuff__backend vk_backend = {
    .device_destroy = device_destroy,
    .buffer_create = tuff__vk_buffer_create,
    .buffer_destroy = tuff__vk_buffer_destroy,
    .buffer_write = tuff__vk_buffer_write,
    .buffer_read = tuff__vk_buffer_read,
    .program_create = tuff__vk_program_create,
    .program_destroy = tuff__vk_program_destroy,
    .program_run = tuff__vk_program_run,
    .program_run_call = tuff__vk_program_run_call,
    .program_statistics = tuff__vk_program_statistics,
};

/* -- opening, and becoming a device ------------------------------------------------------------------------------- */

static tuff_status open_instance(tuff__vk_device *device, bool validation, tuff_device_properties **out_devices,
                                 size_t *out_count)
{
    TUFF_TRY(tuff__vk_instance_create(validation || tuff__env()->validation, &device->instance));
    return enumerate(&device->instance, out_devices, out_count);
}

tuff_status tuff__vk_open(bool validation, tuff_device **out_device, tuff_device_properties **out_devices,
                          size_t *out_count, char problem[256])
{
    *out_device = NULL;
    *out_devices = NULL;
    *out_count = 0;
    problem[0] = '\0';
    tuff__vk_device *device = tuff__calloc(1, sizeof *device);
    if (!device)
        return tuff__fail_memory("a Vulkan device", sizeof *device);
    device->base.backend = &vk_backend;
    device->time_scale = 1;
    const tuff_status status = open_instance(device, validation, out_devices, out_count);
    if (status == TUFF_SUCCESS) {
        *out_device = &device->base;
        if (*out_count == 0)
            snprintf(problem, 256, "vulkan: the loader found no device on this machine");
        return TUFF_SUCCESS;
    }
    device_destroy(&device->base);
    if (status == TUFF_ERROR_OUT_OF_HOST_MEMORY)
        return status;
    snprintf(problem, 256, "%.255s", tuff_last_error()); /* no Vulkan is an answer, not a failure */
    return TUFF_SUCCESS;
}

static tuff_status become(tuff__vk_device *device, uint32_t index, bool keep_statistics)
{
    TUFF_TRY(select_physical(device, index));
    device->keep_statistics = keep_statistics && device->facts.executable_properties;
    set_target(device);
    TUFF_TRY(create_handle(device));
    TUFF_TRY(tuff__vk_pipelines_init(device));
    const tuff_device_properties *properties = &device->base.properties;
    tuff__log(TUFF_LOG_INFO, "vulkan: vulkan:%u is %s, driver %s", index, properties->name, properties->driver);
    return TUFF_SUCCESS;
}

tuff_status tuff__vk_become(tuff_device *device, uint32_t vulkan_index, bool keep_statistics)
{
    const tuff_status status = become(tuff__vk_device_of(device), vulkan_index, keep_statistics);
    if (status != TUFF_SUCCESS)
        device_destroy(device);
    return status;
}

uint64_t tuff__vk_validation_messages(const tuff_device *device)
{
    return atomic_load(&tuff__vk_device_of(device)->instance.validation_messages);
}
