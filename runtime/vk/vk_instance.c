/* vk_instance.c: owns finding the Vulkan loader, VkInstance, and the count of validation messages. */
#include "vk_instance.h"

#include "../alloc.h"
#include "../log.h"
#include "../os.h"

#include <stdio.h>
#include <string.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

static tuff__once loader_once = TUFF__ONCE_INIT;
static VkResult loader_result;
static tuff__mutex
    *loader_mutex; /* guards volk's one global that tuff__vk_load_device needs; lives as long as the process */

static void find_loader(void)
{
    loader_result = volkInitialize();
    if (loader_result == VK_SUCCESS && tuff__mutex_create(&loader_mutex) != TUFF_SUCCESS)
        loader_result = VK_ERROR_OUT_OF_HOST_MEMORY;
}

const char *tuff__vk_result_name(VkResult result)
{
    static const struct {
        VkResult result;
        const char *name;
    } names[] = {
#define NAME(name) {name, #name}
        NAME(VK_SUCCESS),
        NAME(VK_NOT_READY),
        NAME(VK_TIMEOUT),
        NAME(VK_INCOMPLETE),
        NAME(VK_ERROR_OUT_OF_HOST_MEMORY),
        NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY),
        NAME(VK_ERROR_INITIALIZATION_FAILED),
        NAME(VK_ERROR_DEVICE_LOST),
        NAME(VK_ERROR_MEMORY_MAP_FAILED),
        NAME(VK_ERROR_LAYER_NOT_PRESENT),
        NAME(VK_ERROR_EXTENSION_NOT_PRESENT),
        NAME(VK_ERROR_FEATURE_NOT_PRESENT),
        NAME(VK_ERROR_INCOMPATIBLE_DRIVER),
        NAME(VK_ERROR_TOO_MANY_OBJECTS),
        NAME(VK_ERROR_FRAGMENTED_POOL),
        NAME(VK_ERROR_UNKNOWN),
        NAME(VK_ERROR_OUT_OF_POOL_MEMORY),
        NAME(VK_ERROR_INVALID_SHADER_NV),
#undef NAME
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].result == result)
            return names[i].name;
    return "an unknown VkResult";
}

static tuff_status status_of(VkResult result)
{
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return TUFF_ERROR_OUT_OF_HOST_MEMORY;
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_FRAGMENTED_POOL:
        return TUFF_ERROR_OUT_OF_DEVICE_MEMORY;
    case VK_ERROR_DEVICE_LOST:
        return TUFF_ERROR_DEVICE_LOST;
    default:
        return TUFF_ERROR_FEATURE_NOT_PRESENT;
    }
}

tuff_status tuff__vk_fail(VkResult result, const char *call)
{
    /* "table->vkCreateFence(...)" reads best as "vkCreateFence". */
    const char *name = strstr(call, "vk");
    for (const char *next = name; next && next < strchr(call, '('); next = strstr(next + 1, "vk"))
        name = next;
    const int length = name ? (int)strcspn(name, "(") : 0;
    return tuff__fail(status_of(result), "vulkan: %.*s: the driver answered %s (%d)", length, name ? name : "",
                      tuff__vk_result_name(result), (int)result);
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    (void)severity;
    tuff__vk_instance *instance = user;
    if (types & VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT) {
        atomic_fetch_add(&instance->validation_messages, 1);
        tuff__log(TUFF_LOG_ERROR, "vulkan: validation: %s", data->pMessage);
    }
    return VK_FALSE;
}

static bool has_extension(const VkExtensionProperties *extensions, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(extensions[i].extensionName, name))
            return true;
    return false;
}

/* Whether `layer` (NULL: the loader and the drivers) offers the instance extension. */
static bool instance_offers(const char *layer, const char *name)
{
    uint32_t count = 0;
    if (vkEnumerateInstanceExtensionProperties(layer, &count, NULL) != VK_SUCCESS || count == 0)
        return false;
    VkExtensionProperties *extensions = tuff__calloc(count, sizeof *extensions);
    const bool found = extensions && vkEnumerateInstanceExtensionProperties(layer, &count, extensions) >= 0 &&
                       has_extension(extensions, count, name);
    tuff__free(extensions);
    return found;
}

static bool layer_present(const char *name)
{
    uint32_t count = 0;
    if (vkEnumerateInstanceLayerProperties(&count, NULL) != VK_SUCCESS || count == 0)
        return false;
    VkLayerProperties *layers = tuff__calloc(count, sizeof *layers);
    bool found = false;
    if (layers && vkEnumerateInstanceLayerProperties(&count, layers) >= 0)
        for (uint32_t i = 0; i < count; i++)
            found = found || !strcmp(layers[i].layerName, name);
    tuff__free(layers);
    return found;
}

static PFN_vkVoidFunction load(const tuff__vk_instance *instance, const char *name)
{
    return vkGetInstanceProcAddr(instance->handle, name);
}

static tuff_status load_functions(tuff__vk_instance *instance, bool debug_utils)
{
#define LOAD(name)                                                                                                     \
    instance->name = (PFN_##name)load(instance, #name);                                                                \
    if (!instance->name)                                                                                               \
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "vulkan: the loader has no " #name);
    TUFF_VK_INSTANCE_FUNCTIONS(LOAD)
    if (debug_utils) {
        TUFF_VK_DEBUG_FUNCTIONS(LOAD)
    }
#undef LOAD
    return TUFF_SUCCESS;
}

static const VkDebugUtilsMessengerCreateInfoEXT *messenger_info(tuff__vk_instance *instance,
                                                                VkDebugUtilsMessengerCreateInfoEXT *info)
{
    *info = (VkDebugUtilsMessengerCreateInfoEXT){
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = on_message,
        .pUserData = instance,
    };
    return info;
}

/* The loader's version, at most 1.3: a higher one adds nothing that tuff uses. */
static tuff_status choose_version(uint32_t *out_version)
{
    const uint32_t loader = volkGetInstanceVersion();
    if (loader < VK_API_VERSION_1_1)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "vulkan: the loader speaks version %u.%u, 1.1 is needed",
                          VK_API_VERSION_MAJOR(loader), VK_API_VERSION_MINOR(loader));
    *out_version = loader < VK_API_VERSION_1_3 ? loader : VK_API_VERSION_1_3;
    return TUFF_SUCCESS;
}

static tuff_status create_handle(tuff__vk_instance *instance, bool validation)
{
    const char *layers[1] = {VALIDATION_LAYER}, *extensions[3];
    uint32_t extension_count = 0;
    VkInstanceCreateFlags flags = 0;
    if (instance_offers(NULL, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)) { /* MoltenVK shows itself only then */
        extensions[extension_count++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
        flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    }
    if (validation)
        extensions[extension_count++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    const bool features = validation && instance_offers(VALIDATION_LAYER, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME);
    if (features)
        extensions[extension_count++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;
    static const VkValidationFeatureEnableEXT enables[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    VkDebugUtilsMessengerCreateInfoEXT messenger;
    const VkValidationFeaturesEXT validation_features = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
        .pNext = messenger_info(instance, &messenger), /* hears vkCreateInstance and vkDestroyInstance too */
        .enabledValidationFeatureCount = features ? 1 : 0,
        .pEnabledValidationFeatures = enables,
    };
    const VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "tuff",
        .pEngineName = "tuff",
        .apiVersion = instance->api_version,
    };
    const VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = !validation ? NULL
                 : features  ? (const void *)&validation_features
                             : (const void *)&messenger,
        .flags = flags,
        .pApplicationInfo = &application,
        .enabledLayerCount = validation ? 1 : 0,
        .ppEnabledLayerNames = layers,
        .enabledExtensionCount = extension_count,
        .ppEnabledExtensionNames = extensions,
    };
    const VkResult result = vkCreateInstance(&info, NULL, &instance->handle);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "vulkan: the loader found no driver on this machine");
    return result == VK_SUCCESS ? TUFF_SUCCESS : tuff__vk_fail(result, "vkCreateInstance(");
}

tuff_status tuff__vk_instance_create(bool validation, tuff__vk_instance *instance)
{
    tuff__call_once(&loader_once, find_loader);
    if (loader_result != VK_SUCCESS)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "vulkan: no Vulkan loader is installed on this machine");
    TUFF_TRY(choose_version(&instance->api_version));
    if (validation && !layer_present(VALIDATION_LAYER)) /* silence would pass for approval */
        return tuff__fail(
            TUFF_ERROR_FEATURE_NOT_PRESENT,
            "vulkan: validation was asked for (enable_validation or TUFF_VALIDATION), but the layer " VALIDATION_LAYER
            " is not installed");
    tuff_status status = create_handle(instance, validation);
    if (status == TUFF_SUCCESS)
        status = load_functions(instance, validation);
    if (status == TUFF_SUCCESS && validation) {
        VkDebugUtilsMessengerCreateInfoEXT info;
        const VkResult result = instance->vkCreateDebugUtilsMessengerEXT(
            instance->handle, messenger_info(instance, &info), NULL, &instance->messenger);
        if (result != VK_SUCCESS)
            status = tuff__vk_fail(result, "vkCreateDebugUtilsMessengerEXT(");
    }
    if (status != TUFF_SUCCESS)
        tuff__vk_instance_destroy(instance);
    return status;
}

void tuff__vk_instance_destroy(tuff__vk_instance *instance)
{
    if (!instance->handle)
        return;
    if (instance->messenger)
        instance->vkDestroyDebugUtilsMessengerEXT(instance->handle, instance->messenger, NULL);
    const PFN_vkDestroyInstance destroy = (PFN_vkDestroyInstance)load(instance, "vkDestroyInstance");
    if (destroy)
        destroy(instance->handle, NULL);
    instance->messenger = VK_NULL_HANDLE;
    instance->handle = VK_NULL_HANDLE;
}

void tuff__vk_load_device(const tuff__vk_instance *instance, VkDevice device, struct VolkDeviceTable *table)
{
    tuff__mutex_lock(loader_mutex);
    vkGetDeviceProcAddr = instance->vkGetDeviceProcAddr; /* what volkLoadDeviceTable asks */
    volkLoadDeviceTable(table, device);
    tuff__mutex_unlock(loader_mutex);
}
