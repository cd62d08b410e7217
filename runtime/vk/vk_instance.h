/*
 * vk_instance.h: the Vulkan loader, found at run time, and one VkInstance with its functions and its validation layer.
 *
 * Each device and each listing has an instance of its own, so that nothing is shared between them.
 */
#ifndef TUFF_RUNTIME_VK_INSTANCE_H
#define TUFF_RUNTIME_VK_INSTANCE_H

#include "../status.h"

#include "vk_api.h"

#include <stdatomic.h>

/* Every instance function tuff calls. Held by the instance and not taken from volk's globals, which the latest instance
 * of the process overwrites. */
#define TUFF_VK_INSTANCE_FUNCTIONS(X)                                                                                  \
    X(vkDestroyInstance)                                                                                               \
    X(vkEnumeratePhysicalDevices)                                                                                      \
    X(vkGetPhysicalDeviceProperties)                                                                                   \
    X(vkGetPhysicalDeviceProperties2)                                                                                  \
    X(vkGetPhysicalDeviceFeatures2)                                                                                    \
    X(vkGetPhysicalDeviceMemoryProperties)                                                                             \
    X(vkGetPhysicalDeviceMemoryProperties2)                                                                            \
    X(vkGetPhysicalDeviceQueueFamilyProperties)                                                                        \
    X(vkEnumerateDeviceExtensionProperties)                                                                            \
    X(vkCreateDevice)                                                                                                  \
    X(vkGetDeviceProcAddr)

/* Of VK_EXT_debug_utils; NULL without it. */
#define TUFF_VK_DEBUG_FUNCTIONS(X)                                                                                     \
    X(vkCreateDebugUtilsMessengerEXT)                                                                                  \
    X(vkDestroyDebugUtilsMessengerEXT)                                                                                 \
    X(vkCmdBeginDebugUtilsLabelEXT)                                                                                    \
    X(vkCmdEndDebugUtilsLabelEXT)

typedef struct tuff__vk_instance {
    VkInstance handle;
    uint32_t api_version; /* what tuff asked for: the loader's, at most 1.3 */
    VkDebugUtilsMessengerEXT messenger;
    _Atomic uint64_t validation_messages; /* a driver may report from a thread of its own */
#define TUFF_VK_FUNCTION(name) PFN_##name name;
    TUFF_VK_INSTANCE_FUNCTIONS(TUFF_VK_FUNCTION)
    TUFF_VK_DEBUG_FUNCTIONS(TUFF_VK_FUNCTION)
#undef TUFF_VK_FUNCTION
} tuff__vk_instance;

/* FEATURE_NOT_PRESENT, saying why, on a machine without Vulkan, or without the validation layer where it is wanted.
 * `instance` is zeroed by the caller and must not move; destroy accepts it half built. */
tuff_status tuff__vk_instance_create(bool validation, tuff__vk_instance *instance);
void tuff__vk_instance_destroy(tuff__vk_instance *instance);

/* Fills `table` with the functions of `device`. */
void tuff__vk_load_device(const tuff__vk_instance *instance, VkDevice device, struct VolkDeviceTable *table);

const char *tuff__vk_result_name(VkResult result);
/* Reports a failed call by the text of the call and the result's name. */
tuff_status tuff__vk_fail(VkResult result, const char *call);

#define TUFF_TRY_VK(call)                                                                                              \
    do {                                                                                                               \
        const VkResult tuff_try_result_ = (call);                                                                      \
        if (tuff_try_result_ != VK_SUCCESS)                                                                            \
            return tuff__vk_fail(tuff_try_result_, #call);                                                             \
    } while (0)

#endif
