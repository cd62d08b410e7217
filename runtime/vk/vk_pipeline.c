/*
 * vk_pipeline.c: owns shaders, pipelines and their making on several threads. A driver may take seconds for a large
 * kernel and may refuse one; each failure names the shader and its constants.
 */
#include "vk_pipeline.h"

#include "../alloc.h"
#include "../env.h"
#include "../log.h"
#include "../os.h"
#include "vk_cache.h"

#include <stdio.h>
#include <string.h>

/* -- shaders ------------------------------------------------------------------------------------------------------ */

static tuff_status check_shader(const tuff__vk_device *device, const tuff__vk_shader *shader)
{
    const char *name = shader->source->name;
    uint32_t count = 0;
    for (uint32_t bindings = shader->info.bindings; bindings; bindings &= bindings - 1)
        count++;
    const uint32_t limit = device->facts.properties.limits.maxPerStageDescriptorStorageBuffers;
    if (count > limit)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "shader '%s': it binds %u buffers, %s allows %u", name, count,
                          device->base.properties.name, limit);
    if (shader->binding_count > TUFF__MAX_BINDINGS)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "shader '%s': a binding is above %d", name,
                          TUFF__MAX_BINDINGS - 1);
    return TUFF_SUCCESS;
}

/* Reads the shader's SPIR-V when it is first asked for. */
static tuff_status find_shader(tuff__vk_device *device, const char *op, const char *name, tuff__vk_shader **out_shader)
{
    size_t index = 0;
    while (index < tuff__shader_count && strcmp(tuff__shaders[index].name, name) != 0)
        index++;
    if (index == tuff__shader_count)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "%s: this build has no shader '%s'", op, name);
    tuff__vk_shader *shader = &device->shaders[index];
    *out_shader = shader;
    if (shader->source)
        return TUFF_SUCCESS;
    const tuff__shader *source = &tuff__shaders[index];
    tuff__vk_shader fresh = {.source = source};
    TUFF_TRY(tuff__spirv_reflect(source->name, source->words, source->word_count, &fresh.info));
    while (fresh.binding_count < TUFF__SPIRV_MAX_BINDINGS && fresh.info.bindings >> fresh.binding_count)
        fresh.binding_count++;
    TUFF_TRY(check_shader(device, &fresh));
    *shader = fresh;
    return TUFF_SUCCESS;
}

static tuff_status create_set_layout(tuff__vk_device *device, tuff__vk_shader *shader)
{
    VkDescriptorSetLayoutBinding bindings[TUFF__MAX_BINDINGS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < shader->binding_count; i++)
        if (shader->info.bindings >> i & 1)
            bindings[count++] = (VkDescriptorSetLayoutBinding){
                .binding = i,
                .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                .descriptorCount = 1,
                .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
            };
    const VkDescriptorSetLayoutCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = count, .pBindings = bindings};
    TUFF_TRY_VK(device->table.vkCreateDescriptorSetLayout(device->handle, &info, NULL, &shader->set_layout));
    return TUFF_SUCCESS;
}

/* Layout and module, in steps that may be taken up again after a failure. */
static tuff_status prepare_shader(tuff__vk_device *device, tuff__vk_shader *shader)
{
    if (!shader->set_layout)
        TUFF_TRY(create_set_layout(device, shader));
    const VkPushConstantRange range = {
        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .offset = 0, .size = shader->info.push_constants_size};
    const VkPipelineLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .setLayoutCount = 1,
        .pSetLayouts = &shader->set_layout,
        .pushConstantRangeCount = range.size > 0 ? 1 : 0,
        .pPushConstantRanges = &range,
    };
    if (!shader->layout)
        TUFF_TRY_VK(device->table.vkCreatePipelineLayout(device->handle, &layout, NULL, &shader->layout));
    const VkShaderModuleCreateInfo module = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = shader->source->word_count * sizeof(uint32_t),
        .pCode = shader->source->words,
    };
    if (!shader->module)
        TUFF_TRY_VK(device->table.vkCreateShaderModule(device->handle, &module, NULL, &shader->module));
    return TUFF_SUCCESS;
}

/* -- finding ------------------------------------------------------------------------------------------------------ */

static tuff_status mismatch(const char *op, const char *shader, const char *what, uint32_t found, uint32_t wanted)
{
    return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "%s: shader '%s' has %u %s, the operator gives %u", op, shader,
                      wanted, what, found);
}

/* Holds the dispatch against what the SPIR-V declares and the device allows. */
static tuff_status check_dispatch(const tuff__vk_device *device, const char *op, const tuff__dispatch *dispatch,
                                  const tuff__vk_shader *shader)
{
    const tuff__spirv_info *info = &shader->info;
    if (dispatch->binding_count != shader->binding_count)
        return mismatch(op, dispatch->shader, "bindings", dispatch->binding_count, shader->binding_count);
    if (dispatch->push_constants_size != info->push_constants_size)
        return mismatch(op, dispatch->shader, "bytes of push constants", dispatch->push_constants_size,
                        info->push_constants_size);
    if (dispatch->constant_count > TUFF__MAX_CONSTANTS)
        return mismatch(op, dispatch->shader, "specialization constants at most", dispatch->constant_count,
                        TUFF__MAX_CONSTANTS);
    const uint32_t given = ((1u << dispatch->constant_count) - 1u) << 3 | 7u;
    if (info->specialization_ids & ~given)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT,
                          "%s: shader '%s' has specialization constants above the %u that the operator gives", op,
                          dispatch->shader, dispatch->constant_count);
    if (dispatch->local_size_x != 0 && dispatch->local_size_x != info->local_size[0] && !info->local_size_x_specialized)
        return mismatch(op, dispatch->shader, "as a fixed local_size_x", dispatch->local_size_x, info->local_size[0]);
    const uint64_t x = dispatch->local_size_x ? dispatch->local_size_x : info->local_size[0];
    const uint64_t invocations = x * info->local_size[1] * info->local_size[2];
    if (invocations > device->base.target.max_workgroup_invocations ||
        x > device->facts.properties.limits.maxComputeWorkGroupSize[0])
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT,
                          "%s: shader '%s' wants workgroups of %llu invocations, %s allows %u", op, dispatch->shader,
                          (unsigned long long)invocations, device->base.properties.name,
                          device->base.target.max_workgroup_invocations);
    return TUFF_SUCCESS;
}

static bool is_wanted(const tuff__vk_pipeline *pipeline, const tuff__vk_shader *shader, const tuff__dispatch *dispatch)
{
    return pipeline->shader == shader && pipeline->local_size_x == dispatch->local_size_x &&
           pipeline->constant_count == dispatch->constant_count &&
           !memcmp(pipeline->constants, dispatch->constants, dispatch->constant_count * sizeof(uint32_t));
}

tuff_status tuff__vk_pipeline_find(tuff__vk_device *device, const char *op, const tuff__dispatch *dispatch,
                                   tuff__vk_pipeline **out_pipeline)
{
    tuff__vk_shader *shader = NULL;
    TUFF_TRY(find_shader(device, op, dispatch->shader, &shader));
    TUFF_TRY(check_dispatch(device, op, dispatch, shader));
    for (size_t i = 0; i < device->pipeline_count; i++) {
        *out_pipeline = device->pipelines[i];
        if (is_wanted(*out_pipeline, shader, dispatch))
            return TUFF_SUCCESS;
    }
    TUFF_TRY(tuff__grow((void **)&device->pipelines, &device->pipeline_capacity, device->pipeline_count,
                        sizeof *device->pipelines, "the list of pipelines"));
    tuff__vk_pipeline *pipeline = tuff__calloc(1, sizeof *pipeline);
    if (!pipeline)
        return tuff__fail_memory("a pipeline", sizeof *pipeline);
    pipeline->shader = shader;
    pipeline->local_size_x = dispatch->local_size_x;
    pipeline->constant_count = dispatch->constant_count;
    memcpy(pipeline->constants, dispatch->constants, dispatch->constant_count * sizeof(uint32_t));
    device->pipelines[device->pipeline_count++] = pipeline;
    *out_pipeline = pipeline;
    return TUFF_SUCCESS;
}

/* -- making ------------------------------------------------------------------------------------------------------- */

/* "64, 64, 8" */
static const char *constants_text(const tuff__vk_pipeline *pipeline, char text[128])
{
    text[0] = '\0';
    size_t used = 0;
    for (uint32_t i = 0; i < pipeline->constant_count && used < 110; i++)
        used += (size_t)snprintf(text + used, 128 - used, i ? ", %u" : "%u", pipeline->constants[i]);
    return text;
}

/* Runs on any thread: touches nothing but `pipeline`. */
static VkResult make(const tuff__vk_device *device, tuff__vk_pipeline *pipeline)
{
    uint32_t values[1 + TUFF__MAX_CONSTANTS];
    VkSpecializationMapEntry entries[1 + TUFF__MAX_CONSTANTS];
    uint32_t count = 0;
    if (pipeline->local_size_x != 0) {
        entries[count] = (VkSpecializationMapEntry){.constantID = 0, .offset = 0, .size = sizeof(uint32_t)};
        values[count++] = pipeline->local_size_x;
    }
    for (uint32_t i = 0; i < pipeline->constant_count; i++) {
        entries[count] = (VkSpecializationMapEntry){
            .constantID = 3 + i, .offset = count * (uint32_t)sizeof(uint32_t), .size = sizeof(uint32_t)};
        values[count++] = pipeline->constants[i];
    }
    const VkSpecializationInfo specialization = {
        .mapEntryCount = count, .pMapEntries = entries, .dataSize = count * sizeof(uint32_t), .pData = values};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = device->keep_statistics ? (VkPipelineCreateFlags)VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0,
        .stage =
            {
                .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = pipeline->shader->module,
                .pName = "main",
                .pSpecializationInfo = &specialization,
            },
        .layout = pipeline->shader->layout,
    };
    const VkResult result = device->table.vkCreateComputePipelines(device->handle, device->pipeline_cache, 1, &info,
                                                                   NULL, &pipeline->handle);
    if (result == VK_SUCCESS && !pipeline->handle)
        return VK_ERROR_UNKNOWN; /* some drivers answer success and give nothing */
    return result;
}

/* The list that threads work off together. */
typedef struct work_list {
    const tuff__vk_device *device;
    tuff__vk_pipeline **pipelines;
    size_t count, next;
    tuff__mutex *mutex;
    bool told; /* which one is being made, so this thread makes them all: the last line tells what a driver died of */
} work_list;

static void make_told(const work_list *work, tuff__vk_pipeline *pipeline)
{
    char text[128];
    tuff__log(TUFF_LOG_DEBUG, "vulkan: making the pipeline of shader '%s' (local size %u, constants %s)",
              pipeline->shader->source->name, pipeline->local_size_x, constants_text(pipeline, text));
    const double start = tuff__clock_seconds();
    pipeline->result = make(work->device, pipeline);
    tuff__log(TUFF_LOG_DEBUG, "vulkan: made in %.3f s", tuff__clock_seconds() - start);
}

static void work_off(void *user)
{
    work_list *work = user;
    for (;;) {
        tuff__mutex_lock(work->mutex);
        const size_t mine = work->next++;
        tuff__mutex_unlock(work->mutex);
        if (mine >= work->count)
            return;
        if (work->told)
            make_told(work, work->pipelines[mine]);
        else
            work->pipelines[mine]->result = make(work->device, work->pipelines[mine]);
    }
}

/* This thread works too; a thread that cannot be made is not missed. */
static tuff_status run_threads(work_list *work)
{
    enum { MOST_THREADS = 16 };
    TUFF_TRY(tuff__mutex_create(&work->mutex));
    tuff__thread *threads[MOST_THREADS];
    uint32_t count = 0;
    const uint32_t processors = tuff__cpu_count();
    while (!work->told && count < MOST_THREADS && count + 1 < processors && count + 1 < work->count &&
           tuff__thread_create(work_off, work, &threads[count]) == TUFF_SUCCESS)
        count++;
    work_off(work);
    for (uint32_t i = 0; i < count; i++)
        tuff__thread_join(threads[i]);
    tuff__mutex_destroy(work->mutex);
    return TUFF_SUCCESS;
}

static tuff_status check_results(const tuff__vk_device *device, const work_list *work)
{
    for (size_t i = 0; i < work->count; i++) {
        char text[128];
        const tuff__vk_pipeline *pipeline = work->pipelines[i];
        if (pipeline->result == VK_SUCCESS)
            continue;
        return tuff__fail(pipeline->result == VK_ERROR_OUT_OF_HOST_MEMORY ? TUFF_ERROR_OUT_OF_HOST_MEMORY
                                                                          : TUFF_ERROR_FEATURE_NOT_PRESENT,
                          "vulkan: %s refused the pipeline of shader '%s' (local size %u, constants %s): %s",
                          device->base.properties.name, pipeline->shader->source->name, pipeline->local_size_x,
                          constants_text(pipeline, text), tuff__vk_result_name(pipeline->result));
    }
    return TUFF_SUCCESS;
}

static void copy_statistic(tuff__vk_statistic *to, const VkPipelineExecutableStatisticKHR *from)
{
    snprintf(to->name, sizeof to->name, "%.63s", from->name);
    switch (from->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        to->value = from->value.b32;
        break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        to->value = (double)from->value.i64;
        break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        to->value = (double)from->value.u64;
        break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR:
        to->value = from->value.f64;
        break;
    default:
        to->value = 0;
        break;
    }
}

/* A pipeline without statistics is not an error: many drivers tell nothing. */
static tuff_status read_statistics(tuff__vk_device *device, tuff__vk_pipeline *pipeline)
{
    const VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline->handle};
    uint32_t executables = 0;
    if (device->table.vkGetPipelineExecutablePropertiesKHR(device->handle, &info, &executables, NULL) != VK_SUCCESS ||
        executables == 0)
        return TUFF_SUCCESS;
    const VkPipelineExecutableInfoKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline->handle, .executableIndex = 0};
    VkPipelineExecutableStatisticKHR *found = tuff__calloc(TUFF__VK_MAX_STATISTICS, sizeof *found);
    pipeline->statistics = tuff__calloc(TUFF__VK_MAX_STATISTICS, sizeof *pipeline->statistics);
    if (!found || !pipeline->statistics) {
        tuff__free(found);
        return tuff__fail_memory("pipeline statistics", TUFF__VK_MAX_STATISTICS * sizeof *found);
    }
    for (uint32_t i = 0; i < TUFF__VK_MAX_STATISTICS; i++)
        found[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    uint32_t count = TUFF__VK_MAX_STATISTICS;
    const VkResult result =
        device->table.vkGetPipelineExecutableStatisticsKHR(device->handle, &executable, &count, found);
    if (result == VK_SUCCESS || result == VK_INCOMPLETE)
        for (; pipeline->statistic_count < count; pipeline->statistic_count++)
            copy_statistic(&pipeline->statistics[pipeline->statistic_count], &found[pipeline->statistic_count]);
    tuff__free(found);
    return TUFF_SUCCESS;
}

static tuff_status make_listed(tuff__vk_device *device, work_list *work)
{
    for (size_t i = 0; i < work->count; i++)
        TUFF_TRY(prepare_shader(device, (tuff__vk_shader *)work->pipelines[i]->shader));
    TUFF_TRY(run_threads(work));
    TUFF_TRY(check_results(device, work));
    for (size_t i = 0; i < work->count && device->keep_statistics; i++)
        TUFF_TRY(read_statistics(device, work->pipelines[i]));
    return TUFF_SUCCESS;
}

tuff_status tuff__vk_pipelines_make(tuff__vk_device *device, tuff__vk_pipeline *const *pipelines, size_t count)
{
    work_list work = {.device = device, .told = tuff__env()->log_level == TUFF_LOG_DEBUG};
    work.pipelines = tuff__malloc(count * sizeof(tuff__vk_pipeline *));
    tuff_status status = TUFF_SUCCESS;
    if (!work.pipelines)
        status = tuff__fail_memory("the list of pipelines to make", count * sizeof(tuff__vk_pipeline *));
    for (size_t i = 0; i < count && status == TUFF_SUCCESS; i++)
        if (!pipelines[i]->handle && !pipelines[i]->pending) {
            pipelines[i]->pending = true;
            work.pipelines[work.count++] = pipelines[i];
        }
    const double start = tuff__clock_seconds();
    if (status == TUFF_SUCCESS && work.count > 0)
        status = make_listed(device, &work);
    if (work.count > 0)
        tuff__log(TUFF_LOG_DEBUG, "vulkan: %zu pipelines made in %.3f s", work.count, tuff__clock_seconds() - start);
    for (size_t i = 0; i < work.count; i++)
        work.pipelines[i]->pending = false;
    tuff__free(work.pipelines);
    return status;
}

/* -- lifetime ----------------------------------------------------------------------------------------------------- */

tuff_status tuff__vk_pipelines_init(tuff__vk_device *device)
{
    device->shaders = tuff__calloc(tuff__shader_count, sizeof *device->shaders);
    if (!device->shaders)
        return tuff__fail_memory("the list of shaders", tuff__shader_count * sizeof *device->shaders);
    return tuff__vk_cache_load(device);
}

void tuff__vk_pipelines_destroy(tuff__vk_device *device)
{
    const bool reachable = !device->hung;
    if (reachable)
        tuff__vk_cache_save(device);
    for (size_t i = 0; i < device->pipeline_count; i++) {
        if (reachable && device->pipelines[i]->handle)
            device->table.vkDestroyPipeline(device->handle, device->pipelines[i]->handle, NULL);
        tuff__free(device->pipelines[i]->statistics);
        tuff__free(device->pipelines[i]);
    }
    tuff__free(device->pipelines);
    for (size_t i = 0; reachable && device->shaders && i < tuff__shader_count; i++) {
        const tuff__vk_shader *shader = &device->shaders[i];
        if (shader->module)
            device->table.vkDestroyShaderModule(device->handle, shader->module, NULL);
        if (shader->layout)
            device->table.vkDestroyPipelineLayout(device->handle, shader->layout, NULL);
        if (shader->set_layout)
            device->table.vkDestroyDescriptorSetLayout(device->handle, shader->set_layout, NULL);
    }
    tuff__free(device->shaders);
    if (reachable && device->pipeline_cache)
        device->table.vkDestroyPipelineCache(device->handle, device->pipeline_cache, NULL);
}

size_t tuff__vk_pipeline_count(const tuff_device *device)
{
    return tuff__vk_device_of(device)->pipeline_count;
}

tuff__vk_pipeline_report tuff__vk_pipeline_get(const tuff_device *device, size_t index)
{
    const tuff__vk_pipeline *pipeline = tuff__vk_device_of(device)->pipelines[index];
    return (tuff__vk_pipeline_report){
        .shader = pipeline->shader->source->name,
        .local_size_x = pipeline->local_size_x,
        .constants = pipeline->constants,
        .constant_count = pipeline->constant_count,
        .spill_allowance = pipeline->shader->source->spill_allowance,
        .failure = pipeline->result == VK_SUCCESS ? NULL : tuff__vk_result_name(pipeline->result),
        .statistics = pipeline->statistics,
        .statistic_count = pipeline->statistic_count,
    };
}

bool tuff__vk_shader_get(size_t index, const char **out_name, const uint32_t **out_words, size_t *out_word_count)
{
    if (index >= tuff__shader_count)
        return false;
    *out_name = tuff__shaders[index].name;
    *out_words = tuff__shaders[index].words;
    *out_word_count = tuff__shaders[index].word_count;
    return true;
}
