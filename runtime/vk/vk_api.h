/*
 * vk_api.h: Vulkan through volk, the only include of either. volk's functions and function pointers are global and
 * carry Vulkan's own names; volk_names.h, made by the build, puts "tuff__" in front of each, so that an application may
 * link libtuff.a beside a Vulkan loader or a volk of its own.
 */
#ifndef TUFF_RUNTIME_VK_API_H
#define TUFF_RUNTIME_VK_API_H

#include "volk_names.h"

#include <volk.h>

#endif
