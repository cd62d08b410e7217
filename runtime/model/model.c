/*
 * model.c: owns a model's life, its table of parameters and their places in the arena, and graphs' views of them. It
 * reads no file (model_config.c, weights.c) and knows no architecture (bert.c).
 */
#include "model.h"

#include "../backend.h"
#include "../log.h"
#include "../op.h"

#include <string.h>

static const tuff__architecture *const architectures[] = {&tuff__bert};

/* -- parameters --------------------------------------------------------------------------------------------------- */

uint64_t tuff__parameter_size(const tuff__parameter *parameter)
{
    return (uint64_t)tuff_shape_count(&parameter->shape) * sizeof(float);
}

size_t tuff__model_find(const tuff_model *model, const char *key, size_t *hint)
{
    for (size_t i = 0; i < model->parameter_count; i++) {
        const size_t index = (*hint + i) % model->parameter_count;
        if (strcmp(model->parameters[index].key, key) == 0) {
            *hint = index;
            return index;
        }
    }
    return SIZE_MAX;
}

/* transformers' Trainer decays everything but biases and the parameters of LayerNorm. */
static bool is_decayed(const char *key)
{
    const size_t length = strlen(key);
    const bool bias = length >= 5 && strcmp(key + length - 5, ".bias") == 0;
    return !bias && !strstr(key, "LayerNorm.");
}

tuff_status tuff__model_declare(tuff_model *model, const char *key, tuff_shape shape, tuff__initializer initializer,
                                tuff__part part)
{
    const bool prefixed = part != TUFF__PART_HEAD && model->head != TUFF_MODEL_HEAD_NONE;
    const char *prefix = prefixed ? model->architecture->prefix : "";
    const size_t prefix_length = strlen(prefix), size = prefix_length + strlen(key) + 1;
    char *name = tuff__arena_alloc(&model->strings, size);
    if (!name)
        return tuff__fail_memory("parameter name", size);
    memcpy(name, prefix, prefix_length);
    memcpy(name + prefix_length, key, size - prefix_length);
    TUFF_TRY(tuff__grow((void **)&model->parameters, &model->parameter_capacity, model->parameter_count,
                        sizeof *model->parameters, "parameters"));
    if (!tuff__shape_valid(&shape))
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "model: '%s' would have more elements than tuff can address", name);
    model->parameters[model->parameter_count++] = (tuff__parameter){
        .name = name,
        .key = name + prefix_length,
        .shape = shape,
        .initializer = initializer,
        .part = part,
        .decayed = is_decayed(key),
    };
    return TUFF_SUCCESS;
}

/* Decayed parameters first, each group in the order of declaration; then their offsets. */
static tuff_status place_parameters(tuff_model *model)
{
    const size_t size = model->parameter_count * sizeof *model->parameters;
    tuff__parameter *placed = tuff__malloc(size);
    if (!placed)
        return tuff__fail_memory("parameters", size);
    size_t count = 0;
    uint64_t offset = 0;
    for (int group = 0; group < 2; group++) {
        for (size_t i = 0; i < model->parameter_count; i++) {
            if (model->parameters[i].decayed != (group == 0))
                continue;
            placed[count] = model->parameters[i];
            placed[count].offset = offset;
            offset += tuff__align_up(tuff__parameter_size(&placed[count]));
            count++;
        }
        if (group == 0)
            model->decay_count = (int64_t)(offset / sizeof(float));
    }
    model->arena_count = (int64_t)(offset / sizeof(float));
    tuff__free(model->parameters);
    model->parameters = placed;
    model->parameter_capacity = model->parameter_count;
    return TUFF_SUCCESS;
}

/* -- life --------------------------------------------------------------------------------------------------------- */

static tuff_status choose_architecture(tuff_model *model, tuff_model_head head)
{
    const tuff_model_config *config = &model->config.fields;
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (strcmp(architectures[i]->model_type, config->model_type) == 0)
            model->architecture = architectures[i];
    if (!model->architecture)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "model: model_type '%s' has no builder", config->model_type);
    model->head = head;
    if (head != TUFF_MODEL_HEAD_DEFAULT)
        return TUFF_SUCCESS;
    const bool classifier =
        config->architecture && strcmp(config->architecture, model->architecture->classifier_class) == 0;
    model->head = classifier ? TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION : TUFF_MODEL_HEAD_NONE;
    return TUFF_SUCCESS;
}

/* Parameters and their places, once the configuration is read; no weights. */
static tuff_status place_model(tuff_model *model, const tuff_model_create_info *info)
{
    TUFF_TRY(tuff__check_enum((unsigned)info->head, TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION, "model: head"));
    TUFF_TRY(tuff__check_enum((unsigned)info->problem_type, TUFF_PROBLEM_TYPE_MULTI_LABEL_CLASSIFICATION,
                              "model: problem_type"));
    if (info->labels || info->label_count)
        TUFF_TRY(tuff__model_config_set_labels(&model->config, info->labels, info->label_count));
    if (info->problem_type != TUFF_PROBLEM_TYPE_DEFAULT)
        model->config.fields.problem_type = info->problem_type;
    TUFF_TRY(choose_architecture(model, info->head));
    TUFF_TRY(model->architecture->declare(model));
    return place_parameters(model);
}

static tuff_status lay_out_model(tuff_model *model, const char *dir, const tuff_model_create_info *info)
{
    TUFF_TRY(tuff__model_config_load(dir, &model->config));
    return place_model(model, info);
}

static tuff_status fill_model(tuff_model *model, const char *dir, const tuff_model_create_info *info)
{
    TUFF_TRY(lay_out_model(model, dir, info));
    if (info->random_weights)
        return tuff__model_random_weights(model, info->seed);
    return tuff__model_load_weights(model, dir, info->labels || info->label_count, info->seed);
}

tuff_status tuff_model_create(tuff_device *device, const char *dir, const tuff_model_create_info *info,
                              tuff_model **out_model)
{
    static const tuff_model_create_info defaults = {0};
    *out_model = NULL;
    TUFF_TRY(tuff__check_given(device, "model: device"));
    TUFF_TRY(tuff__check_given(dir, "model: dir"));
    tuff_model *model = tuff__calloc(1, sizeof *model);
    if (!model)
        return tuff__fail_memory("model", sizeof *model);
    model->device = device;
    const tuff_status status = fill_model(model, dir, info ? info : &defaults);
    if (status != TUFF_SUCCESS) {
        tuff_model_destroy(model);
        return status;
    }
    tuff__log(TUFF_LOG_INFO, "model: %s: %s, %llu parameters in %zu tensors", dir, model->config.fields.model_type,
              (unsigned long long)tuff_model_parameter_count(model), model->parameter_count);
    *out_model = model;
    return TUFF_SUCCESS;
}

tuff_status tuff_model_load(tuff_device *device, const char *dir, tuff_model **out_model)
{
    return tuff_model_create(device, dir, NULL, out_model);
}

static tuff_status fill_from_text(tuff_model *model, const char *name, const char *config)
{
    static const tuff_model_create_info defaults = {0};
    TUFF_TRY(tuff__model_config_parse(name, config, strlen(config), &model->config));
    TUFF_TRY(place_model(model, &defaults));
    return tuff__model_random_weights(model, 0);
}

tuff_status tuff__model_create_from_text(tuff_device *device, const char *name, const char *config,
                                         tuff_model **out_model)
{
    *out_model = NULL;
    tuff_model *model = tuff__calloc(1, sizeof *model);
    if (!model)
        return tuff__fail_memory("model", sizeof *model);
    model->device = device;
    const tuff_status status = fill_from_text(model, name, config);
    if (status != TUFF_SUCCESS) {
        tuff_model_destroy(model);
        return status;
    }
    *out_model = model;
    return TUFF_SUCCESS;
}

tuff_status tuff_model_describe(const char *dir, tuff_model **out_model)
{
    return tuff__model_describe(dir, NULL, out_model);
}

tuff_status tuff__model_describe(const char *dir, const tuff_model_create_info *info, tuff_model **out_model)
{
    static const tuff_model_create_info defaults = {0};
    *out_model = NULL;
    TUFF_TRY(tuff__check_given(dir, "model: dir"));
    tuff_model *model = tuff__calloc(1, sizeof *model);
    if (!model)
        return tuff__fail_memory("model", sizeof *model);
    const tuff_status status = lay_out_model(model, dir, info ? info : &defaults);
    if (status != TUFF_SUCCESS) {
        tuff_model_destroy(model);
        return status;
    }
    *out_model = model;
    return TUFF_SUCCESS;
}

void tuff_model_destroy(tuff_model *model)
{
    if (!model)
        return;
    tuff_buffer_destroy(model->weights);
    tuff__free(model->parameters);
    tuff__arena_destroy(&model->strings);
    tuff__model_config_destroy(&model->config);
    tuff__free(model);
}

/* -- what a model says about itself ------------------------------------------------------------------------------- */

const tuff_model_config *tuff_model_get_config(const tuff_model *model)
{
    return &model->config.fields;
}

tuff_model_head tuff_model_get_head(const tuff_model *model)
{
    return model->head;
}

uint64_t tuff_model_parameter_count(const tuff_model *model)
{
    uint64_t count = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        count += (uint64_t)tuff_shape_count(&model->parameters[i].shape);
    return count;
}

void tuff_model_estimate_memory(const tuff_model *model, uint32_t batch_size, uint32_t sequence_length, bool training,
                                tuff_memory_estimate *out_estimate)
{
    const uint64_t arena = (uint64_t)model->arena_count * sizeof(float);
    *out_estimate = (tuff_memory_estimate){
        .weights = arena,
        .gradients = training ? arena : 0,
        .optimizer = training ? 2 * arena : 0,
        .activations = model->architecture->activation_size(model, batch_size, sequence_length, training),
    };
    out_estimate->total =
        out_estimate->weights + out_estimate->gradients + out_estimate->optimizer + out_estimate->activations;
}

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

tuff_status tuff__memory_check(const tuff_device *device, const tuff_memory_estimate *estimate, const char *what,
                               const char *lower)
{
    const uint64_t there = device->properties.memory_size;
    if (there == 0 || estimate->total <= there) /* 0: the system does not say */
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_OUT_OF_DEVICE_MEMORY,
                      "%s needs %.1f MiB (weights %.1f, gradients %.1f, AdamW %.1f, activations %.1f), %s has %.1f MiB,"
                      " %.1f MiB are missing: lower %s",
                      what, mebibytes(estimate->total), mebibytes(estimate->weights), mebibytes(estimate->gradients),
                      mebibytes(estimate->optimizer), mebibytes(estimate->activations), device->properties.name,
                      mebibytes(there), mebibytes(estimate->total - there), lower);
}

size_t tuff_model_parameter_tensor_count(const tuff_model *model)
{
    return model->parameter_count;
}

void tuff_model_get_parameter_info(const tuff_model *model, size_t index, tuff_parameter_info *out_info)
{
    *out_info = (tuff_parameter_info){0};
    if (index >= model->parameter_count)
        return;
    const tuff__parameter *parameter = &model->parameters[index];
    *out_info = (tuff_parameter_info){
        .name = parameter->name,
        .shape = parameter->shape,
        .decayed = parameter->decayed,
        .newly_initialized = parameter->newly_initialized,
    };
}

static tuff_status check_weights(const tuff_model *model)
{
    return model->weights ? TUFF_SUCCESS
                          : tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "model: described only, it has no weights");
}

static tuff_status find_parameter(const tuff_model *model, const char *name, size_t size,
                                  const tuff__parameter **out_parameter)
{
    for (size_t i = 0; i < model->parameter_count; i++) {
        if (strcmp(model->parameters[i].name, name) != 0)
            continue;
        *out_parameter = &model->parameters[i];
        if (tuff__parameter_size(*out_parameter) == size)
            return TUFF_SUCCESS;
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "model: '%s' has %llu bytes, the caller's buffer %zu", name,
                          (unsigned long long)tuff__parameter_size(*out_parameter), size);
    }
    return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "model: no parameter named '%s'", name);
}

tuff_status tuff_model_read_parameter(const tuff_model *model, const char *name, float *data, size_t size)
{
    const tuff__parameter *parameter = NULL;
    TUFF_TRY(check_weights(model));
    TUFF_TRY(find_parameter(model, name, size, &parameter));
    return tuff_buffer_read(model->weights, parameter->offset, data, size);
}

tuff_status tuff_model_write_parameter(tuff_model *model, const char *name, const float *data, size_t size)
{
    const tuff__parameter *parameter = NULL;
    TUFF_TRY(check_weights(model));
    TUFF_TRY(find_parameter(model, name, size, &parameter));
    return tuff_buffer_write(model->weights, parameter->offset, data, size);
}

/* -- graphs that use a model -------------------------------------------------------------------------------------- */

tuff_status tuff__model_graph_create(const tuff_model *model, tuff_graph *graph, tuff_buffer *weights,
                                     tuff__model_graph **out_model_graph)
{
    *out_model_graph = NULL;
    if (!weights)
        TUFF_TRY(check_weights(model));
    tuff__model_graph *model_graph = tuff__calloc(1, sizeof *model_graph);
    tuff_tensor *parameters = tuff__calloc(model->parameter_count, sizeof *parameters);
    if (!model_graph || !parameters) {
        tuff__free(model_graph);
        tuff__free(parameters);
        return tuff__fail_memory("model graph", model->parameter_count * sizeof *parameters);
    }
    *model_graph = (tuff__model_graph){
        .model = model,
        .graph = graph,
        .weights = weights ? weights : model->weights,
        .parameters = parameters,
    };
    *out_model_graph = model_graph;
    return TUFF_SUCCESS;
}

void tuff__model_graph_destroy(tuff__model_graph *model_graph)
{
    if (!model_graph)
        return;
    tuff__free(model_graph->parameters);
    tuff__free(model_graph);
}

tuff_tensor tuff__model_parameter(tuff__model_graph *model_graph, const char *key)
{
    const size_t index = tuff__model_find(model_graph->model, key, &model_graph->last);
    if (index == SIZE_MAX) {
        tuff__graph_set_error(model_graph->graph,
                              tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "model: no parameter named '%s'", key));
        return (tuff_tensor){0};
    }
    const tuff__parameter *parameter = &model_graph->model->parameters[index];
    if (!model_graph->parameters[index].id)
        model_graph->parameters[index] = tuff_graph_external(model_graph->graph, parameter->name, TUFF_F32,
                                                             parameter->shape, model_graph->weights, parameter->offset);
    return model_graph->parameters[index];
}

void tuff__model_make_inputs(tuff_graph *graph, int64_t batch_size, int64_t sequence_length,
                             tuff__model_inputs *out_inputs)
{
    const tuff_shape tokens = TUFF_SHAPE(batch_size, sequence_length);
    *out_inputs = (tuff__model_inputs){
        .batch_size = batch_size,
        .sequence_length = sequence_length,
        .input_ids = tuff_graph_input(graph, "input_ids", TUFF_I32, tokens),
        .token_type_ids = tuff_graph_input(graph, "token_type_ids", TUFF_I32, tokens),
        .key_lengths = tuff_graph_input(graph, "key_lengths", TUFF_I32, TUFF_SHAPE(batch_size)),
    };
}

void tuff__model_build(tuff__model_graph *model_graph, const tuff__model_inputs *inputs,
                       tuff__model_outputs *out_outputs)
{
    *out_outputs = (tuff__model_outputs){0};
    model_graph->model->architecture->build(model_graph, inputs, out_outputs);
}
