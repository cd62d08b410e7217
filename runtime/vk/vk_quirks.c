/*
 * vk_quirks.c: owns the table of driver quirks. A row needs a public report. What tuff does everywhere needs none: no
 * 16-bit arithmetic, no subgroup operations (miscompiled by Adreno's driver; wrong values on AMD under MoltenVK,
 * ggml-org/llama.cpp#20029), no indexed uniform buffers, no float atomics, short submits, a check of every VkResult.
 */
#include "vk_quirks.h"

enum { VENDOR_AMD = 0x1002, VENDOR_QUALCOMM = 0x5143 };

static const tuff__vk_quirk quirks[] = {
    {
        .vendor_id = VENDOR_QUALCOMM,
        .driver_id = VK_DRIVER_ID_QUALCOMM_PROPRIETARY,
        .max_storage_buffer_range = 1u << 27,
        .reason = "a binding above 128 MiB loses the device",
        .reference = "tetherto/qvac-fabric-llm.cpp README; ggml-vulkan.cpp, maxStorageBufferRange for Adreno",
    },
    {
        .vendor_id = VENDOR_AMD,
        .driver_id = VK_DRIVER_ID_AMD_OPEN_SOURCE,
        .max_memory_allocation_size = 1u << 31,
        .reason = "a buffer above 2 GiB is refused",
        .reference = "GPUOpen-Drivers/AMDVLK#413",
    },
    {
        .driver_id = VK_DRIVER_ID_MOLTENVK,
        .last_version = 10299,
        .refused = true,
        .reason = "MoltenVK before 1.3 ignores specialization constants that size arrays; a newer one is needed",
        .reference = "KhronosGroup/MoltenVK#2423, fixed by #2441",
    },
};

/* Rows for one driver of a vendor apply where the driver does not tell which it is (VK_KHR_driver_properties came later
 * than Vulkan 1.1). */
static bool applies(const tuff__vk_quirk *quirk, uint32_t vendor_id, VkDriverId driver_id, uint32_t version)
{
    if (quirk->vendor_id == 0 && driver_id == 0)
        return false;
    return (quirk->vendor_id == 0 || quirk->vendor_id == vendor_id) &&
           (quirk->driver_id == 0 || driver_id == 0 || quirk->driver_id == driver_id) &&
           version >= quirk->first_version && (quirk->last_version == 0 || version <= quirk->last_version);
}

const tuff__vk_quirk *tuff__vk_quirk_next(const tuff__vk_quirk *latest, uint32_t vendor_id, VkDriverId driver_id,
                                          uint32_t driver_version)
{
    const tuff__vk_quirk *end = quirks + sizeof quirks / sizeof quirks[0];
    for (const tuff__vk_quirk *quirk = latest ? latest + 1 : quirks; quirk < end; quirk++)
        if (applies(quirk, vendor_id, driver_id, driver_version))
            return quirk;
    return NULL;
}
