/* vk_pipeline.h: compute pipelines, made on first use, several at a time, and kept on the disk between runs. */
#ifndef TUFF_RUNTIME_VK_PIPELINE_H
#define TUFF_RUNTIME_VK_PIPELINE_H

#include "../recorder.h"
#include "vk_context.h"

/* One embedded shader on this device; the Vulkan objects come with the first pipeline that needs them. */
struct tuff__vk_shader {
    const tuff__shader *source; /* NULL until first used */
    tuff__spirv_info info;
    uint32_t binding_count; /* the highest binding + 1 */
    VkShaderModule module;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
};

struct tuff__vk_pipeline {
    const tuff__vk_shader *shader;
    uint32_t local_size_x, constant_count;
    uint32_t constants[TUFF__MAX_CONSTANTS];
    VkPipeline handle; /* null until made */
    bool pending;      /* in the list being made */
    VkResult result;   /* of the latest attempt; VK_SUCCESS before the first */
    tuff__vk_statistic *statistics;
    uint32_t statistic_count;
};

/* Reads the cache of earlier runs. Never fails for the file's sake. */
tuff_status tuff__vk_pipelines_init(tuff__vk_device *device);
/* Writes the cache, if it has grown, and destroys everything. */
void tuff__vk_pipelines_destroy(tuff__vk_device *device);

/* The pipeline a dispatch wants, not yet made perhaps. Fails when the dispatch and the SPIR-V disagree. `op` is for the
 * message. */
tuff_status tuff__vk_pipeline_find(tuff__vk_device *device, const char *op, const tuff__dispatch *dispatch,
                                   tuff__vk_pipeline **out_pipeline);
/* Makes those that are not made yet, on as many threads as there are processors. The list may repeat itself. */
tuff_status tuff__vk_pipelines_make(tuff__vk_device *device, tuff__vk_pipeline *const *pipelines, size_t count);

#endif
