/*
 * discrete_layer.c: a Vulkan layer that makes a software driver look like a small discrete GPU, so that the code for
 * one runs where there is none: device memory the host cannot map, heaps apart, the specification's smallest limits,
 * few registers, memory that comes filled with rubbish, and, on demand, a device that is lost or out of memory. It
 * hides every other device, and ends the process where the library oversteps what the device said it can do.
 *
 * Read at each call, so that a test may set them between devices; counted for each VkDevice from 1, 0 never:
 *   TUFF_LAYER_LOSE_AT=n        the n-th vkQueueSubmit loses the device
 *   TUFF_LAYER_LOSE_QUIETLY=1   ... but returns VK_SUCCESS: whoever waits for it learns of it
 *   TUFF_LAYER_NO_MEMORY_AT=n   from the n-th vkAllocateMemory on there is none
 * and for each VkInstance:
 *   TUFF_LAYER_TWICE=1          the device is there twice
 *   TUFF_LAYER_NO_EXTENSIONS=n  the n-th device of which the memory was asked fails to say its extensions; from 100 on
 *                               each does. (Mesa's own layer, which asks for extensions too, never asks for memory.)
 */
#include <vulkan/vulkan.h>

#include <vulkan/vk_layer.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STORAGE_RANGE = 1 << 27,
    ALIGNMENT = 256,
    VENDOR_ARM = 0x13B5,
    INVOCATIONS = 128,
    GROUPS = 65535,
    SHARED_MEMORY = 16384,
    ALLOCATIONS = 4096,
    RUBBISH = 0xA5,
};
static const VkDeviceSize LARGEST_ALLOCATION = 1u << 30, HEAP_SIZES[] = {1u << 30, 2u << 30, 64u << 20};

/* Type 0 is the device's own memory; 1 and 2 are the host's, the second through its caches; 3 is a window of the
 * device's that the host can write into. */
enum { HEAP_COUNT = 3, TYPE_COUNT = 4, OWN_TYPE = 0, WINDOW_TYPE = 3 };

static uint64_t number_of(const char *variable)
{
    const char *value = getenv(variable);
    return value ? strtoull(value, NULL, 10) : 0;
}

static void overstep(const char *what, uint64_t found, uint64_t allowed)
{
    fprintf(stderr, "discrete_layer: %s: %llu, allowed %llu\n", what, (unsigned long long)found,
            (unsigned long long)allowed);
    abort();
}

/* -- what was made, found again by the dispatch table that the loader puts first into each handle ----------------- */

#define INSTANCE_FUNCTIONS(X)                                                                                          \
    X(vkEnumeratePhysicalDevices)                                                                                      \
    X(vkEnumerateDeviceExtensionProperties)                                                                            \
    X(vkGetPhysicalDeviceProperties)                                                                                   \
    X(vkGetPhysicalDeviceProperties2)                                                                                  \
    X(vkGetPhysicalDeviceMemoryProperties)                                                                             \
    X(vkGetPhysicalDeviceMemoryProperties2)                                                                            \
    X(vkCreateDevice)

#define DEVICE_FUNCTIONS(X)                                                                                            \
    X(vkGetBufferMemoryRequirements)                                                                                   \
    X(vkAllocateMemory)                                                                                                \
    X(vkFreeMemory)                                                                                                    \
    X(vkMapMemory)                                                                                                     \
    X(vkUnmapMemory)                                                                                                   \
    X(vkUpdateDescriptorSets)                                                                                          \
    X(vkCmdDispatch)                                                                                                   \
    X(vkQueueSubmit)                                                                                                   \
    X(vkGetFenceStatus)                                                                                                \
    X(vkWaitForFences)

#define DECLARE(name) PFN_##name name;

typedef struct instance {
    struct instance *older;
    const void *key;
    VkInstance handle;
    PFN_vkGetInstanceProcAddr next;
    INSTANCE_FUNCTIONS(DECLARE)
    uint64_t asked_count; /* for memory, so far */
} instance;

typedef struct allocation {
    VkDeviceMemory memory;
    VkDeviceSize size;
    uint32_t type;
} allocation;

typedef struct device {
    struct device *older;
    const void *key;
    PFN_vkGetDeviceProcAddr next;
    DEVICE_FUNCTIONS(DECLARE)
    uint32_t real_type; /* where the driver's memory really is */
    allocation allocations[ALLOCATIONS];
    uint64_t allocation_count, submit_count; /* so far */
    bool lost;
} device;

/* Only added to: an address that is used again is found at the newest. */
static _Atomic(instance *) instances;
static _Atomic(device *) devices;

static const void *key_of(const void *handle)
{
    return *(const void *const *)handle;
}

static instance *instance_of(const void *handle)
{
    instance *at = atomic_load(&instances);
    while (at->key != key_of(handle))
        at = at->older;
    return at;
}

static device *device_of(const void *handle)
{
    device *at = atomic_load(&devices);
    while (at->key != key_of(handle))
        at = at->older;
    return at;
}

/* -- properties --------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_physical(VkInstance handle, uint32_t *count, VkPhysicalDevice *out)
{
    const instance *of = instance_of(handle);
    VkPhysicalDevice all[16];
    uint32_t all_count = 16, found = 0;
    const VkResult result = of->vkEnumeratePhysicalDevices(handle, &all_count, all);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < all_count; i++) {
        VkPhysicalDeviceProperties properties;
        of->vkGetPhysicalDeviceProperties(all[i], &properties);
        if (properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_CPU)
            continue;
        for (uint64_t times = number_of("TUFF_LAYER_TWICE") ? 2 : 1; times > 0; times--, found++)
            if (out && found < *count)
                out[found] = all[i];
    }
    const bool cut = out && found > *count;
    *count = cut ? *count : found;
    return cut ? VK_INCOMPLETE : VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL enumerate_extensions(VkPhysicalDevice physical, const char *layer,
                                                           uint32_t *count, VkExtensionProperties *out)
{
    const instance *of = instance_of(physical);
    const uint64_t fails = number_of("TUFF_LAYER_NO_EXTENSIONS");
    if (of->asked_count && (of->asked_count == fails || fails >= 100))
        return VK_ERROR_INITIALIZATION_FAILED;
    return of->vkEnumerateDeviceExtensionProperties(physical, layer, count, out);
}

static void shrink_properties(VkPhysicalDeviceProperties *properties)
{
    VkPhysicalDeviceLimits *limits = &properties->limits;
    properties->vendorID = VENDOR_ARM; /* whose registers are few */
    properties->deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    limits->maxStorageBufferRange = STORAGE_RANGE;
    limits->minStorageBufferOffsetAlignment = ALIGNMENT;
    limits->nonCoherentAtomSize = ALIGNMENT;
    limits->maxMemoryAllocationCount = ALLOCATIONS;
    limits->maxComputeSharedMemorySize = SHARED_MEMORY;
    limits->maxComputeWorkGroupInvocations = INVOCATIONS;
    for (int i = 0; i < 3; i++) {
        limits->maxComputeWorkGroupCount[i] = GROUPS;
        limits->maxComputeWorkGroupSize[i] = i < 2 ? INVOCATIONS : 64;
    }
}

static VKAPI_ATTR void VKAPI_CALL get_properties(VkPhysicalDevice physical, VkPhysicalDeviceProperties *out)
{
    instance_of(physical)->vkGetPhysicalDeviceProperties(physical, out);
    shrink_properties(out);
}

static VKAPI_ATTR void VKAPI_CALL get_properties2(VkPhysicalDevice physical, VkPhysicalDeviceProperties2 *out)
{
    instance_of(physical)->vkGetPhysicalDeviceProperties2(physical, out);
    shrink_properties(&out->properties);
    for (VkBaseOutStructure *s = out->pNext; s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES)
            ((VkPhysicalDeviceMaintenance3Properties *)s)->maxMemoryAllocationSize = LARGEST_ALLOCATION;
}

static VKAPI_ATTR void VKAPI_CALL get_memory(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *out)
{
    instance_of(physical)->asked_count++;
    const VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    *out = (VkPhysicalDeviceMemoryProperties){
        .memoryTypeCount = TYPE_COUNT,
        .memoryTypes = {{VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0},
                        {host, 1},
                        {host | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 1},
                        {host | VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 2}},
        .memoryHeapCount = HEAP_COUNT,
        .memoryHeaps = {{HEAP_SIZES[0], VK_MEMORY_HEAP_DEVICE_LOCAL_BIT},
                        {HEAP_SIZES[1], 0},
                        {HEAP_SIZES[2], VK_MEMORY_HEAP_DEVICE_LOCAL_BIT}},
    };
}

static VKAPI_ATTR void VKAPI_CALL get_memory2(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties2 *out)
{
    instance_of(physical)->vkGetPhysicalDeviceMemoryProperties2(physical, out);
    get_memory(physical, &out->memoryProperties);
    for (VkBaseOutStructure *s = out->pNext; s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT)
            for (int i = 0; i < HEAP_COUNT; i++) {
                ((VkPhysicalDeviceMemoryBudgetPropertiesEXT *)s)->heapBudget[i] = HEAP_SIZES[i];
                ((VkPhysicalDeviceMemoryBudgetPropertiesEXT *)s)->heapUsage[i] = 0;
            }
}

/* -- memory ------------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR void VKAPI_CALL get_requirements(VkDevice handle, VkBuffer buffer, VkMemoryRequirements *out)
{
    device_of(handle)->vkGetBufferMemoryRequirements(handle, buffer, out);
    out->memoryTypeBits = (1u << TYPE_COUNT) - 1;
    out->alignment = out->alignment > ALIGNMENT ? out->alignment : ALIGNMENT;
}

static uint32_t heap_of(uint32_t type)
{
    return type == OWN_TYPE ? 0 : type == WINDOW_TYPE ? 2 : 1;
}

/* A place for one more allocation, where its heap has room for it. */
static allocation *find_room(device *d, uint32_t type, VkDeviceSize size)
{
    VkDeviceSize used = 0;
    allocation *room = NULL;
    for (uint32_t i = 0; i < ALLOCATIONS; i++) {
        allocation *a = &d->allocations[i];
        if (a->memory && heap_of(a->type) == heap_of(type))
            used += a->size;
        if (!a->memory && !room)
            room = a;
    }
    return size <= HEAP_SIZES[heap_of(type)] - used ? room : NULL;
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice handle, const VkMemoryAllocateInfo *info,
                                               const VkAllocationCallbacks *callbacks, VkDeviceMemory *out)
{
    device *d = device_of(handle);
    const uint64_t none_from = number_of("TUFF_LAYER_NO_MEMORY_AT");
    if (info->allocationSize > LARGEST_ALLOCATION)
        overstep("bytes of an allocation", info->allocationSize, LARGEST_ALLOCATION);
    allocation *room = find_room(d, info->memoryTypeIndex, info->allocationSize);
    d->allocation_count++;
    if (!room || (none_from && d->allocation_count >= none_from))
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    VkMemoryAllocateInfo real = *info;
    real.memoryTypeIndex = d->real_type;
    const VkResult result = d->vkAllocateMemory(handle, &real, callbacks, out);
    if (result != VK_SUCCESS)
        return result;
    *room = (allocation){*out, info->allocationSize, info->memoryTypeIndex};
    void *bytes = NULL;
    if (d->vkMapMemory(handle, *out, 0, VK_WHOLE_SIZE, 0, &bytes) == VK_SUCCESS) {
        memset(bytes, RUBBISH, (size_t)info->allocationSize);
        d->vkUnmapMemory(handle, *out);
    }
    return VK_SUCCESS;
}

static allocation *allocation_of(device *d, VkDeviceMemory memory)
{
    for (uint32_t i = 0; i < ALLOCATIONS; i++)
        if (d->allocations[i].memory == memory)
            return &d->allocations[i];
    return NULL;
}

static VKAPI_ATTR void VKAPI_CALL free_memory(VkDevice handle, VkDeviceMemory memory,
                                              const VkAllocationCallbacks *callbacks)
{
    device *d = device_of(handle);
    if (memory)
        allocation_of(d, memory)->memory = VK_NULL_HANDLE;
    d->vkFreeMemory(handle, memory, callbacks);
}

static VKAPI_ATTR VkResult VKAPI_CALL map(VkDevice handle, VkDeviceMemory memory, VkDeviceSize offset,
                                          VkDeviceSize size, VkMemoryMapFlags flags, void **out)
{
    device *d = device_of(handle);
    if (allocation_of(d, memory)->type == OWN_TYPE)
        overstep("memory was mapped that the host cannot reach, of type", OWN_TYPE, 1);
    return d->vkMapMemory(handle, memory, offset, size, flags, out);
}

/* -- commands ----------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR void VKAPI_CALL update_sets(VkDevice handle, uint32_t count, const VkWriteDescriptorSet *writes,
                                              uint32_t copy_count, const VkCopyDescriptorSet *copies)
{
    for (uint32_t i = 0; i < count; i++) {
        if (writes[i].pBufferInfo->range > STORAGE_RANGE)
            overstep("bytes of a binding", writes[i].pBufferInfo->range, STORAGE_RANGE);
        if (writes[i].pBufferInfo->offset % ALIGNMENT)
            overstep("a binding's offset, modulo its alignment", writes[i].pBufferInfo->offset % ALIGNMENT, 0);
    }
    device_of(handle)->vkUpdateDescriptorSets(handle, count, writes, copy_count, copies);
}

static VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z)
{
    const uint32_t most = x > y ? (x > z ? x : z) : (y > z ? y : z);
    if (most > GROUPS)
        overstep("workgroups of a dispatch", most, GROUPS);
    device_of(commands)->vkCmdDispatch(commands, x, y, z);
}

static VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue queue, uint32_t count, const VkSubmitInfo *batches, VkFence fence)
{
    device *d = device_of(queue);
    const uint64_t lose_at = number_of("TUFF_LAYER_LOSE_AT");
    const bool quiet = !d->lost && number_of("TUFF_LAYER_LOSE_QUIETLY");
    if (++d->submit_count == lose_at)
        d->lost = true;
    if (d->lost)
        return quiet ? VK_SUCCESS : VK_ERROR_DEVICE_LOST;
    return d->vkQueueSubmit(queue, count, batches, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL fence_status(VkDevice handle, VkFence fence)
{
    const device *d = device_of(handle);
    return d->lost ? VK_ERROR_DEVICE_LOST : d->vkGetFenceStatus(handle, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_for_fences(VkDevice handle, uint32_t count, const VkFence *fences,
                                                      VkBool32 all, uint64_t timeout)
{
    const device *d = device_of(handle);
    return d->lost ? VK_ERROR_DEVICE_LOST : d->vkWaitForFences(handle, count, fences, all, timeout);
}

/* -- creation ----------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
                                                      const VkAllocationCallbacks *callbacks, VkInstance *out)
{
    VkLayerInstanceCreateInfo *link = (VkLayerInstanceCreateInfo *)(uintptr_t)info->pNext;
    while (link->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO || link->function != VK_LAYER_LINK_INFO)
        link = (VkLayerInstanceCreateInfo *)(uintptr_t)link->pNext;
    const PFN_vkGetInstanceProcAddr next = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    const PFN_vkCreateInstance create = (PFN_vkCreateInstance)next(NULL, "vkCreateInstance");
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    instance *made = calloc(1, sizeof *made);
    const VkResult result = made ? create(info, callbacks, out) : VK_ERROR_OUT_OF_HOST_MEMORY;
    if (result != VK_SUCCESS) {
        free(made);
        return result;
    }
    made->key = key_of(*out);
    made->handle = *out;
    made->next = next;
#define LOAD(name) made->name = (PFN_##name)next(*out, #name);
    INSTANCE_FUNCTIONS(LOAD)
#undef LOAD
    made->older = atomic_load(&instances);
    while (!atomic_compare_exchange_weak(&instances, &made->older, made))
        ;
    return VK_SUCCESS;
}

static uint32_t mappable_type(const instance *of, VkPhysicalDevice physical)
{
    VkPhysicalDeviceMemoryProperties memory;
    of->vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    uint32_t type = 0;
    while (type < memory.memoryTypeCount &&
           !(memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT))
        type++;
    return type;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *callbacks, VkDevice *out)
{
    const instance *of = instance_of(physical);
    VkLayerDeviceCreateInfo *link = (VkLayerDeviceCreateInfo *)(uintptr_t)info->pNext;
    while (link->sType != VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO || link->function != VK_LAYER_LINK_INFO)
        link = (VkLayerDeviceCreateInfo *)(uintptr_t)link->pNext;
    const PFN_vkGetInstanceProcAddr next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    const PFN_vkGetDeviceProcAddr next = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    const PFN_vkCreateDevice create = (PFN_vkCreateDevice)next_instance(of->handle, "vkCreateDevice");
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    device *made = calloc(1, sizeof *made);
    const VkResult result = made ? create(physical, info, callbacks, out) : VK_ERROR_OUT_OF_HOST_MEMORY;
    if (result != VK_SUCCESS) {
        free(made);
        return result;
    }
    made->key = key_of(*out);
    made->next = next;
    made->real_type = mappable_type(of, physical);
#define LOAD(name) made->name = (PFN_##name)next(*out, #name);
    DEVICE_FUNCTIONS(LOAD)
#undef LOAD
    made->older = atomic_load(&devices);
    while (!atomic_compare_exchange_weak(&devices, &made->older, made))
        ;
    return VK_SUCCESS;
}

/* -- what the loader asks for ------------------------------------------------------------------------------------- */

typedef struct entry {
    const char *name;
    PFN_vkVoidFunction function;
} entry;

#define EXPORT __attribute__((visibility("default")))
EXPORT VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL tuff_layer_vkGetInstanceProcAddr(VkInstance handle, const char *name);
EXPORT VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL tuff_layer_vkGetDeviceProcAddr(VkDevice handle, const char *name);

static PFN_vkVoidFunction find(const entry *entries, const char *name)
{
    while (entries->name && strcmp(entries->name, name) != 0)
        entries++;
    return entries->function;
}

/* The formatter takes the braces of initialisers for blocks. */
/* clang-format off */
#define ENTRY(name, function) {name, (PFN_vkVoidFunction)(function)}
/* clang-format on */

static PFN_vkVoidFunction find_of_device(const char *name)
{
    static const entry entries[] = {
        ENTRY("vkGetDeviceProcAddr", tuff_layer_vkGetDeviceProcAddr),
        ENTRY("vkGetBufferMemoryRequirements", get_requirements),
        ENTRY("vkAllocateMemory", allocate),
        ENTRY("vkFreeMemory", free_memory),
        ENTRY("vkMapMemory", map),
        ENTRY("vkUpdateDescriptorSets", update_sets),
        ENTRY("vkCmdDispatch", dispatch),
        ENTRY("vkQueueSubmit", submit),
        ENTRY("vkGetFenceStatus", fence_status),
        ENTRY("vkWaitForFences", wait_for_fences),
        {NULL, NULL},
    };
    return find(entries, name);
}

PFN_vkVoidFunction VKAPI_CALL tuff_layer_vkGetDeviceProcAddr(VkDevice handle, const char *name)
{
    const PFN_vkVoidFunction own = find_of_device(name);
    return own ? own : device_of(handle)->next(handle, name);
}

PFN_vkVoidFunction VKAPI_CALL tuff_layer_vkGetInstanceProcAddr(VkInstance handle, const char *name)
{
    static const entry entries[] = {
        ENTRY("vkGetInstanceProcAddr", tuff_layer_vkGetInstanceProcAddr),
        ENTRY("vkCreateInstance", create_instance),
        ENTRY("vkEnumeratePhysicalDevices", enumerate_physical),
        ENTRY("vkEnumerateDeviceExtensionProperties", enumerate_extensions),
        ENTRY("vkGetPhysicalDeviceProperties", get_properties),
        ENTRY("vkGetPhysicalDeviceProperties2", get_properties2),
        ENTRY("vkGetPhysicalDeviceMemoryProperties", get_memory),
        ENTRY("vkGetPhysicalDeviceMemoryProperties2", get_memory2),
        ENTRY("vkCreateDevice", create_device),
        {NULL, NULL},
    };
    PFN_vkVoidFunction own = find(entries, name);
    if (!own)
        own = find_of_device(name);
    return own || !handle ? own : instance_of(handle)->next(handle, name);
}
