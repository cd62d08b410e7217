/* vk_queue.h: sending work to the device's queue and waiting for it, without ever hanging. */
#ifndef TUFF_RUNTIME_VK_QUEUE_H
#define TUFF_RUNTIME_VK_QUEUE_H

#include "vk_context.h"

/* More than these go in several submits. */
enum { TUFF__VK_BATCHES_PER_SUBMIT = 64 };
/* `count` command buffers, each in a batch of its own that waits for the one before: a driver's watchdog times batches.
 * `chain` holds count - 1 binary semaphores (NULL when count is 1). */
tuff_status tuff__vk_submit(tuff__vk_device *device, const VkCommandBuffer *commands, uint32_t count,
                            const VkSemaphore *chain, VkFence fence);
/* Waits for the fence and resets it. `planned_seconds` is how long the work should take. DEVICE_LOST when the device is
 * lost or does not answer. */
tuff_status tuff__vk_wait(tuff__vk_device *device, VkFence fence, double planned_seconds);
/* How long that waits for an answer. */
double tuff__vk_patience(const tuff__vk_device *device, double planned_seconds);

tuff_status tuff__vk_fence_create(tuff__vk_device *device, VkFence *out_fence);
tuff_status tuff__vk_commands_create(tuff__vk_device *device, uint32_t count, VkCommandBuffer *out_commands);

#endif
