/*
 * vk_recorder.h: dispatches as operators record them, and the only callers of vkCmd*.
 *
 * Recording has two steps, so that all pipelines of a program are known before the first command is: operators append
 * to a list; once their pipelines are made, ranges of the list are encoded into command buffers, as often as wanted.
 */
#ifndef TUFF_RUNTIME_VK_RECORDER_H
#define TUFF_RUNTIME_VK_RECORDER_H

#include "../recorder.h"
#include "vk_pipeline.h"

typedef struct tuff__vk_dispatch {
    const tuff_op_call *call;
    tuff__vk_pipeline *pipeline;
    VkDescriptorSet set;
    uint32_t group_count[3];
    uint32_t binding_count, push_constants_size;
    tuff__slice bindings[TUFF__MAX_BINDINGS];
    uint32_t push_constants[32];
} tuff__vk_dispatch;

struct tuff__recorder {
    tuff__vk_device *device;
    tuff__vk_dispatch *dispatches;
    size_t count, capacity;
    VkDescriptorPool pool;
};

/* `recorder` is zeroed but for `device`; destroy accepts it so. */
void tuff__vk_recorder_destroy(tuff__recorder *recorder);
/* After the last dispatch: makes the pipelines and writes the descriptors. */
tuff_status tuff__vk_recorder_finish(tuff__recorder *recorder);
/* Encodes dispatches [first, last) with the barriers they need; adds the number of barriers to *out_barriers. What came
 * before is visible to them, and what they write is visible to the host and to copies afterwards. `clock` (null: none):
 * its queries 0 and 1 receive the timestamps before the first dispatch and after the last. */
tuff_status tuff__vk_recorder_encode(const tuff__recorder *recorder, size_t first, size_t last,
                                     VkCommandBuffer commands, VkQueryPool clock, uint32_t *out_barriers);

/* One copy, or clearing a whole buffer to zero, as a complete command buffer to be sent once. */
tuff_status tuff__vk_record_copy(tuff__vk_device *device, VkCommandBuffer commands, VkBuffer from, VkBuffer to,
                                 const VkBufferCopy *region);
tuff_status tuff__vk_record_clear(tuff__vk_device *device, VkCommandBuffer commands, VkBuffer buffer);

#endif
