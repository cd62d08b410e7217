/* vk_queue.c: owns vkQueueSubmit, fences, and the decision that a device is lost. */
#include "vk_queue.h"

#include "../alloc.h"
#include "../os.h"

/* A driver's watchdog fires after 2 to 60 seconds; beyond that nothing but the work itself may take time, which may be
 * several times as long as planned before the plan is corrected. */
static const double GPU_PATIENCE_SECONDS = 60, CPU_PATIENCE_SECONDS = 3600, PATIENCE_FACTOR = 8;
/* A fence round trip costs 42 µs on a desktop GPU; polling this long hides the wake-up of the thread. A software device
 * computes on the very processors that would poll. */
static const double SPIN_SECONDS = 100e-6;

static tuff_status lose(tuff__vk_device *device, const char *how)
{
    device->lost = true;
    return tuff__fail(TUFF_ERROR_DEVICE_LOST,
                      "vulkan: %s was lost (%s); the driver's watchdog, its memory or the driver itself gave up: "
                      "destroy the device and try smaller batches or another device",
                      device->base.properties.name, how);
}

/* Loses a device that may still be at work: what it works on is left behind. */
static tuff_status abandon(tuff__vk_device *device, const char *how)
{
    device->hung = true;
    return lose(device, how);
}

static tuff_status submit_result(tuff__vk_device *device, VkResult result, bool in_flight)
{
    if (result == VK_ERROR_DEVICE_LOST)
        return lose(device, "vkQueueSubmit answered VK_ERROR_DEVICE_LOST");
    if (result != VK_SUCCESS && in_flight) /* no fence will tell when the submits before this one are done */
        return abandon(device, "vkQueueSubmit took one part of the work and refused the next");
    return result == VK_SUCCESS ? TUFF_SUCCESS : tuff__vk_fail(result, "vkQueueSubmit(");
}

tuff_status tuff__vk_submit(tuff__vk_device *device, const VkCommandBuffer *commands, uint32_t count,
                            const VkSemaphore *chain, VkFence fence)
{
    if (device->lost)
        return lose(device, "it was lost before");
    static const VkPipelineStageFlags wait_stage =
        VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    VkSubmitInfo batches[TUFF__VK_BATCHES_PER_SUBMIT];
    for (uint32_t first = 0; first < count; first += TUFF__VK_BATCHES_PER_SUBMIT) {
        const uint32_t part = count - first < TUFF__VK_BATCHES_PER_SUBMIT ? count - first : TUFF__VK_BATCHES_PER_SUBMIT;
        for (uint32_t i = 0; i < part; i++) {
            const uint32_t at = first + i;
            batches[i] = (VkSubmitInfo){
                .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                .waitSemaphoreCount = at > 0 ? 1 : 0,
                .pWaitSemaphores = at > 0 ? &chain[at - 1] : NULL,
                .pWaitDstStageMask = &wait_stage,
                .commandBufferCount = 1,
                .pCommandBuffers = &commands[at],
                .signalSemaphoreCount = at + 1 < count ? 1 : 0,
                .pSignalSemaphores = at + 1 < count ? &chain[at] : NULL,
            };
        }
        const bool last = first + part == count;
        const VkResult result =
            device->table.vkQueueSubmit(device->queue, part, batches, last ? fence : VK_NULL_HANDLE);
        TUFF_TRY(submit_result(device, result, first > 0));
    }
    return TUFF_SUCCESS;
}

static VkResult spin(tuff__vk_device *device, VkFence fence)
{
    const double start = tuff__clock_seconds();
    VkResult result = VK_NOT_READY;
    while (result == VK_NOT_READY && tuff__clock_seconds() - start < SPIN_SECONDS)
        result = device->table.vkGetFenceStatus(device->handle, fence);
    return result == VK_NOT_READY ? VK_TIMEOUT : result;
}

double tuff__vk_patience(const tuff__vk_device *device, double planned_seconds)
{
    return (device->base.target.software ? CPU_PATIENCE_SECONDS : GPU_PATIENCE_SECONDS) +
           PATIENCE_FACTOR * planned_seconds;
}

tuff_status tuff__vk_wait(tuff__vk_device *device, VkFence fence, double planned_seconds)
{
    const uint64_t second = 1000000000;
    const bool software = device->base.target.software;
    const double patience = tuff__vk_patience(device, planned_seconds);
    const double start = tuff__clock_seconds();
    VkResult result = software ? VK_TIMEOUT : spin(device, fence);
    while (result == VK_TIMEOUT) {
        if (tuff__clock_seconds() - start > patience)
            return abandon(device, "it did not answer in time");
        result = device->table.vkWaitForFences(device->handle, 1, &fence, VK_TRUE, second);
    }
    if (result == VK_ERROR_DEVICE_LOST)
        return lose(device, "waiting for it gave VK_ERROR_DEVICE_LOST");
    if (result != VK_SUCCESS)
        return abandon(device, tuff__vk_result_name(result));
    TUFF_TRY_VK(device->table.vkResetFences(device->handle, 1, &fence));
    return TUFF_SUCCESS;
}

tuff_status tuff__vk_fence_create(tuff__vk_device *device, VkFence *out_fence)
{
    const VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    TUFF_TRY_VK(device->table.vkCreateFence(device->handle, &info, NULL, out_fence));
    return TUFF_SUCCESS;
}

tuff_status tuff__vk_commands_create(tuff__vk_device *device, uint32_t count, VkCommandBuffer *out_commands)
{
    const VkCommandBufferAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = device->command_pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = count,
    };
    TUFF_TRY_VK(device->table.vkAllocateCommandBuffers(device->handle, &info, out_commands));
    return TUFF_SUCCESS;
}
