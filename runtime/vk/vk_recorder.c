/* vk_recorder.c: owns dispatch lists, the barriers between dispatches, and every vkCmd* call. */
#include "vk_recorder.h"

#include "../../shaders/fill.h"
#include "../alloc.h"
#include "../dtype.h"
#include "../shape.h"
#include "vk_memory.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* -- recording ---------------------------------------------------------------------------------------------------- */

static tuff_status fail(const tuff_op_call *call, const tuff__dispatch *dispatch, const char *what, uint64_t found,
                        uint64_t wanted)
{
    return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s: shader '%s': %s: found %llu, wanted %llu", call->op->name,
                      dispatch->shader, what, (unsigned long long)found, (unsigned long long)wanted);
}

static tuff_status check_slice(const tuff__vk_device *device, const tuff_op_call *call, const tuff__dispatch *dispatch,
                               uint32_t binding)
{
    const tuff__slice *slice = &dispatch->bindings[binding];
    const uint64_t range = device->base.target.max_storage_buffer_range;
    if (!slice->buffer || slice->size == 0)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s: shader '%s': binding %u has no memory", call->op->name,
                          dispatch->shader, binding);
    if (slice->buffer->device != &device->base)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s: shader '%s': binding %u lies on another device",
                          call->op->name, dispatch->shader, binding);
    if (slice->offset % TUFF__ALIGNMENT != 0)
        return fail(call, dispatch, "a binding's offset is not a multiple of the alignment", slice->offset,
                    TUFF__ALIGNMENT);
    if (slice->size > range)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT,
                          "%s: shader '%s': binding %u spans %llu bytes, %s allows %llu at once", call->op->name,
                          dispatch->shader, binding, (unsigned long long)slice->size, device->base.properties.name,
                          (unsigned long long)range);
    const uint64_t bytes = tuff__vk_buffer_of(slice->buffer)->bytes;
    if (slice->offset > bytes || slice->size > bytes - slice->offset)
        return fail(call, dispatch, "a binding ends outside its buffer", slice->offset + slice->size, bytes);
    return TUFF_SUCCESS;
}

static tuff_status check_dispatch(const tuff__vk_device *device, const tuff_op_call *call,
                                  const tuff__dispatch *dispatch, const tuff__vk_shader *shader)
{
    if (dispatch->push_constants_size > 0 && !dispatch->push_constants)
        return fail(call, dispatch, "push constants are missing", 0, dispatch->push_constants_size);
    for (uint32_t axis = 0; axis < 3; axis++) {
        const uint32_t limit = device->base.target.max_workgroup_count[axis];
        if (dispatch->group_count[axis] == 0 || dispatch->group_count[axis] > limit)
            return fail(call, dispatch, "a workgroup count is 0 or above the device's limit",
                        dispatch->group_count[axis], limit);
    }
    for (uint32_t i = 0; i < dispatch->binding_count; i++)
        if (shader->info.bindings >> i & 1)
            TUFF_TRY(check_slice(device, call, dispatch, i));
    return TUFF_SUCCESS;
}

tuff_status tuff__dispatch_record(tuff__recorder *recorder, const tuff_op_call *call, const tuff__dispatch *dispatch)
{
    tuff__vk_pipeline *pipeline = NULL;
    TUFF_TRY(tuff__vk_pipeline_find(recorder->device, call->op->name, dispatch, &pipeline));
    TUFF_TRY(check_dispatch(recorder->device, call, dispatch, pipeline->shader));
    TUFF_TRY(tuff__grow((void **)&recorder->dispatches, &recorder->capacity, recorder->count,
                        sizeof *recorder->dispatches, "the list of dispatches"));
    tuff__vk_dispatch *added = &recorder->dispatches[recorder->count++];
    *added = (tuff__vk_dispatch){
        .call = call,
        .pipeline = pipeline,
        .binding_count = dispatch->binding_count,
        .push_constants_size = dispatch->push_constants_size,
    };
    memcpy(added->group_count, dispatch->group_count, sizeof added->group_count);
    memcpy(added->bindings, dispatch->bindings, dispatch->binding_count * sizeof *dispatch->bindings);
    for (uint32_t i = 0; i < added->binding_count; i++) /* whole 32-bit words: buffers are padded to them */
        added->bindings[i].size = (added->bindings[i].size + 3) / 4 * 4;
    if (dispatch->push_constants_size > 0)
        memcpy(added->push_constants, dispatch->push_constants, dispatch->push_constants_size);
    return TUFF_SUCCESS;
}

tuff_status tuff__fill_record(tuff__recorder *recorder, const tuff_op_call *call, tuff__slice slice, uint32_t word)
{
    const tuff__target *target = &recorder->device->base.target;
    const uint64_t most = target->max_storage_buffer_range / TUFF__ALIGNMENT * TUFF__ALIGNMENT;
    if (slice.size == 0 || slice.size % 4 != 0 || most == 0)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s: %llu bytes cannot be filled with 32-bit words",
                          call->op->name, (unsigned long long)slice.size);
    for (uint64_t first = 0; first < slice.size; first += most) {
        const uint64_t size = slice.size - first < most ? slice.size - first : most;
        const struct tuff_push_fill push = {.count = (uint32_t)(size / 4), .word = word};
        const tuff__dispatch dispatch = {
            .shader = "fill",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .local_size_x = 128,
            .group_count = {tuff__groups_for(target, (int64_t)(size / 4), 128), 1, 1},
            .bindings = {tuff__slice_part(slice, first, size)},
            .binding_count = 1,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

/* -- pipelines and descriptors ------------------------------------------------------------------------------------ */

static tuff_status make_pipelines(tuff__recorder *recorder)
{
    tuff__vk_pipeline **pipelines = tuff__malloc(recorder->count * sizeof(tuff__vk_pipeline *));
    if (!pipelines)
        return tuff__fail_memory("the list of pipelines", recorder->count * sizeof(tuff__vk_pipeline *));
    for (size_t i = 0; i < recorder->count; i++)
        pipelines[i] = recorder->dispatches[i].pipeline;
    const tuff_status status = tuff__vk_pipelines_make(recorder->device, pipelines, recorder->count);
    tuff__free(pipelines);
    return status;
}

static tuff_status create_pool(tuff__recorder *recorder)
{
    uint32_t descriptors = 0;
    for (size_t i = 0; i < recorder->count; i++)
        descriptors += recorder->dispatches[i].binding_count;
    const VkDescriptorPoolSize size = {
        .type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        .descriptorCount = descriptors ? descriptors : 1,
    };
    const VkDescriptorPoolCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
        .maxSets = (uint32_t)recorder->count,
        .poolSizeCount = 1,
        .pPoolSizes = &size,
    };
    TUFF_TRY_VK(recorder->device->table.vkCreateDescriptorPool(recorder->device->handle, &info, NULL, &recorder->pool));
    return TUFF_SUCCESS;
}

static tuff_status write_set(tuff__recorder *recorder, tuff__vk_dispatch *dispatch)
{
    const tuff__vk_device *device = recorder->device;
    const tuff__vk_shader *shader = dispatch->pipeline->shader;
    const VkDescriptorSetAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = recorder->pool,
        .descriptorSetCount = 1,
        .pSetLayouts = &shader->set_layout,
    };
    TUFF_TRY_VK(device->table.vkAllocateDescriptorSets(device->handle, &info, &dispatch->set));
    VkDescriptorBufferInfo buffers[TUFF__MAX_BINDINGS];
    VkWriteDescriptorSet writes[TUFF__MAX_BINDINGS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < dispatch->binding_count; i++) {
        if (!(shader->info.bindings >> i & 1))
            continue;
        const tuff__slice *slice = &dispatch->bindings[i];
        buffers[count] = (VkDescriptorBufferInfo){
            .buffer = tuff__vk_buffer_of(slice->buffer)->handle, .offset = slice->offset, .range = slice->size};
        writes[count] = (VkWriteDescriptorSet){
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstSet = dispatch->set,
            .dstBinding = i,
            .descriptorCount = 1,
            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .pBufferInfo = &buffers[count],
        };
        count++;
    }
    device->table.vkUpdateDescriptorSets(device->handle, count, writes, 0, NULL);
    return TUFF_SUCCESS;
}

tuff_status tuff__vk_recorder_finish(tuff__recorder *recorder)
{
    if (recorder->count == 0)
        return TUFF_SUCCESS;
    TUFF_TRY(make_pipelines(recorder));
    TUFF_TRY(create_pool(recorder));
    for (size_t i = 0; i < recorder->count; i++)
        TUFF_TRY(write_set(recorder, &recorder->dispatches[i]));
    return TUFF_SUCCESS;
}

void tuff__vk_recorder_destroy(tuff__recorder *recorder)
{
    if (recorder->pool && !recorder->device->hung)
        recorder->device->table.vkDestroyDescriptorPool(recorder->device->handle, recorder->pool, NULL);
    tuff__free(recorder->dispatches);
}

/* -- hazards ------------------------------------------------------------------------------------------------------ */

typedef struct access {
    const tuff_buffer *buffer;
    uint64_t begin, end;
    bool writes;
} access;

/* What dispatches since the latest barrier have touched. */
typedef struct hazard_list {
    access *accesses;
    size_t count, capacity;
} hazard_list;

static access access_of(const tuff__vk_dispatch *dispatch, uint32_t binding)
{
    const tuff__slice *slice = &dispatch->bindings[binding];
    return (access){
        .buffer = slice->buffer,
        .begin = slice->offset,
        .end = slice->offset + slice->size,
        .writes = dispatch->pipeline->shader->info.writable >> binding & 1,
    };
}

static bool conflicts(const hazard_list *hazards, const access *wanted)
{
    for (size_t i = 0; i < hazards->count; i++) {
        const access *earlier = &hazards->accesses[i];
        if ((earlier->writes || wanted->writes) && earlier->buffer == wanted->buffer && earlier->begin < wanted->end &&
            wanted->begin < earlier->end)
            return true;
    }
    return false;
}

/* Whether a barrier must precede the dispatch; notes what it touches. */
static tuff_status note_dispatch(hazard_list *hazards, const tuff__vk_dispatch *dispatch, bool *out_barrier)
{
    const uint32_t declared = dispatch->pipeline->shader->info.bindings;
    bool barrier = false;
    for (uint32_t i = 0; i < dispatch->binding_count && !barrier; i++) {
        const access wanted = access_of(dispatch, i);
        barrier = (declared >> i & 1) && conflicts(hazards, &wanted);
    }
    if (barrier)
        hazards->count = 0;
    for (uint32_t i = 0; i < dispatch->binding_count; i++) {
        if (!(declared >> i & 1))
            continue;
        TUFF_TRY(tuff__grow((void **)&hazards->accesses, &hazards->capacity, hazards->count, sizeof(access),
                            "the list of memory accesses"));
        hazards->accesses[hazards->count++] = access_of(dispatch, i);
    }
    *out_barrier = barrier;
    return TUFF_SUCCESS;
}

/* -- commands ----------------------------------------------------------------------------------------------------- */

static tuff_status begin(const tuff__vk_device *device, VkCommandBuffer commands, VkCommandBufferUsageFlags usage)
{
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO, .flags = usage};
    TUFF_TRY_VK(device->table.vkBeginCommandBuffer(commands, &info));
    return TUFF_SUCCESS;
}

/* One global barrier: drivers flush whole caches, so a list of buffers would only cost the host time. */
static void barrier(const tuff__vk_device *device, VkCommandBuffer commands, VkPipelineStageFlags before,
                    VkAccessFlags made, VkPipelineStageFlags after, VkAccessFlags seen)
{
    const VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = made, .dstAccessMask = seen};
    device->table.vkCmdPipelineBarrier(commands, before, after, 0, 1, &memory, 0, NULL, 0, NULL);
}

static const VkPipelineStageFlags COMPUTE = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
static const VkPipelineStageFlags TRANSFER = VK_PIPELINE_STAGE_TRANSFER_BIT;
static const VkAccessFlags SHADER_ACCESS = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
static const VkAccessFlags TRANSFER_ACCESS = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;

/* Orders what follows after every earlier command of the queue. What the host wrote before the submit is visible. */
static void barrier_from_earlier(const tuff__vk_device *device, VkCommandBuffer commands)
{
    barrier(device, commands, COMPUTE | TRANSFER, VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
            COMPUTE | TRANSFER, SHADER_ACCESS | TRANSFER_ACCESS);
}

static void barrier_to_host(const tuff__vk_device *device, VkCommandBuffer commands)
{
    barrier(device, commands, COMPUTE | TRANSFER, VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
            VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
}

/* "matmul [2, 128, 384] bert.encoder.layer.0": what a validation message or a capture tool shows. */
static void label(const tuff__vk_device *device, VkCommandBuffer commands, const tuff_op_call *call)
{
    char text[256], shape[TUFF__SHAPE_TEXT] = "";
    if (call->output_count > 0)
        tuff__shape_text(&call->outputs[0].shape, shape);
    const char *dtype = call->output_count > 0 ? tuff__dtype_name(call->outputs[0].dtype) : "";
    snprintf(text, sizeof text, "%s %s %s %s", call->op->name, dtype, shape, call->label ? call->label : "");
    const VkDebugUtilsLabelEXT info = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_LABEL_EXT, .pLabelName = text};
    device->instance.vkCmdBeginDebugUtilsLabelEXT(commands, &info);
}

static void encode_dispatch(const tuff__vk_device *device, VkCommandBuffer commands, const tuff__vk_dispatch *dispatch,
                            VkPipeline *bound)
{
    const tuff__vk_shader *shader = dispatch->pipeline->shader;
    const bool labels = device->instance.vkCmdBeginDebugUtilsLabelEXT != NULL;
    if (labels)
        label(device, commands, dispatch->call);
    if (*bound != dispatch->pipeline->handle)
        device->table.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch->pipeline->handle);
    *bound = dispatch->pipeline->handle;
    if (shader->info.bindings)
        device->table.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, shader->layout, 0, 1,
                                              &dispatch->set, 0, NULL);
    if (dispatch->push_constants_size > 0)
        device->table.vkCmdPushConstants(commands, shader->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                         dispatch->push_constants_size, dispatch->push_constants);
    device->table.vkCmdDispatch(commands, dispatch->group_count[0], dispatch->group_count[1], dispatch->group_count[2]);
    if (labels)
        device->instance.vkCmdEndDebugUtilsLabelEXT(commands);
}

static tuff_status encode_range(const tuff__recorder *recorder, size_t first, size_t last, VkCommandBuffer commands,
                                hazard_list *hazards, uint32_t *out_barriers)
{
    const tuff__vk_device *device = recorder->device;
    VkPipeline bound = VK_NULL_HANDLE;
    for (size_t i = first; i < last; i++) {
        bool needed = false;
        TUFF_TRY(note_dispatch(hazards, &recorder->dispatches[i], &needed));
        if (needed) {
            barrier(device, commands, COMPUTE, VK_ACCESS_SHADER_WRITE_BIT, COMPUTE, SHADER_ACCESS);
            (*out_barriers)++;
        }
        encode_dispatch(device, commands, &recorder->dispatches[i], &bound);
    }
    return TUFF_SUCCESS;
}

tuff_status tuff__vk_recorder_encode(const tuff__recorder *recorder, size_t first, size_t last,
                                     VkCommandBuffer commands, VkQueryPool clock, uint32_t *out_barriers)
{
    assert(first <= last && last <= recorder->count);
    const tuff__vk_device *device = recorder->device;
    hazard_list hazards = {0};
    TUFF_TRY(begin(device, commands, 0));
    if (clock)
        device->table.vkCmdResetQueryPool(commands, clock, 0, 2);
    barrier_from_earlier(device, commands);
    if (clock)
        device->table.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, clock, 0);
    const tuff_status status = encode_range(recorder, first, last, commands, &hazards, out_barriers);
    tuff__free(hazards.accesses);
    if (clock)
        device->table.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, clock, 1);
    barrier_to_host(device, commands);
    TUFF_TRY_VK(device->table.vkEndCommandBuffer(commands)); /* after a failure too: only then may it be begun again */
    return status;
}

tuff_status tuff__vk_record_copy(tuff__vk_device *device, VkCommandBuffer commands, VkBuffer from, VkBuffer to,
                                 const VkBufferCopy *region)
{
    TUFF_TRY(begin(device, commands, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT));
    barrier_from_earlier(device, commands);
    device->table.vkCmdCopyBuffer(commands, from, to, 1, region);
    barrier_to_host(device, commands);
    TUFF_TRY_VK(device->table.vkEndCommandBuffer(commands));
    return TUFF_SUCCESS;
}

tuff_status tuff__vk_record_clear(tuff__vk_device *device, VkCommandBuffer commands, VkBuffer buffer)
{
    TUFF_TRY(begin(device, commands, VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT));
    barrier_from_earlier(device, commands);
    device->table.vkCmdFillBuffer(commands, buffer, 0, VK_WHOLE_SIZE, 0);
    barrier_to_host(device, commands);
    TUFF_TRY_VK(device->table.vkEndCommandBuffer(commands));
    return TUFF_SUCCESS;
}
