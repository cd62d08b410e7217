/* vk_volk.c: owns volk's code, compiled into the library so that nothing links against a Vulkan loader. volk.c lies
 * beside volk.h in every distribution of it. */
#define VOLK_IMPLEMENTATION
#include "vk_api.h"

/* ISO C wants a declaration in every translation unit. */
typedef int tuff__volk_is_compiled_here;
