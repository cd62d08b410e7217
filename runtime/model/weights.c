/*
 * weights.c: owns the way of a model's tensors between a checkpoint and the arena: names old and new, dtypes, what is
 * missing or has no place, random initialisation, and saving.
 */
#include "model.h"

#include "../io/checkpoint.h"
#include "../log.h"
#include "../ops/philox.h"
#include "../text/tokenizer_object.h"
#include "tuff/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* -- names for a warning ------------------------------------------------------------------------------------------ */

enum { NAMES_SIZE = 480, NAMES_SHOWN = 6 };

/* "a, b, c and 4 more" */
typedef struct name_list {
    char text[NAMES_SIZE];
    size_t length, count;
} name_list;

static void name_list_add(name_list *list, const char *name)
{
    if (list->count++ >= NAMES_SHOWN)
        return;
    const int length =
        snprintf(list->text + list->length, sizeof list->text - list->length, list->length ? ", %s" : "%s", name);
    if (length > 0)
        list->length += (size_t)length;
    if (list->length >= sizeof list->text)
        list->length = sizeof list->text - 1;
}

static void name_list_warn(const name_list *list, const char *dir, const char *what)
{
    if (list->count > NAMES_SHOWN)
        tuff__log(TUFF_LOG_WARNING, "model: %s: %s: %s and %zu more", dir, what, list->text, list->count - NAMES_SHOWN);
    else if (list->count)
        tuff__log(TUFF_LOG_WARNING, "model: %s: %s: %s", dir, what, list->text);
}

/* -- random initialisation ---------------------------------------------------------------------------------------- */

/* Keeps these draws apart from dropout's, which number their steps from 0. */
static const uint32_t initialization_step = UINT32_MAX;

/* Four normal(0, 1) numbers by Box and Muller's method from the words of one block; in double, so that every machine's
 * libm rounds to the same floats but for the rarest ties. */
static void draw_normals(uint64_t block, uint32_t site, const uint32_t seed[2], double normals[4])
{
    const double two_pi = 6.283185307179586476925286766559;
    const tuff__philox_words words = tuff__dropout_words(block, site, initialization_step, seed);
    for (int pair = 0; pair < 2; pair++) {
        const double u = ((double)words.word[2 * pair] + 1.0) / 4294967296.0; /* (0, 1] */
        const double angle = two_pi * ((double)words.word[2 * pair + 1] / 4294967296.0);
        const double radius = sqrt(-2.0 * log(u));
        normals[2 * pair] = radius * cos(angle);
        normals[2 * pair + 1] = radius * sin(angle);
    }
}

static void fill_normal(float *values, size_t count, double deviation, uint32_t site, uint64_t seed)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    double normals[4] = {0};
    for (size_t i = 0; i < count; i++) {
        if (i % 4 == 0)
            draw_normals(i / 4, site, key, normals);
        values[i] = (float)(deviation * normals[i % 4]);
    }
}

static tuff_status initialize_parameter(tuff_model *model, size_t index, uint64_t seed)
{
    tuff__parameter *parameter = &model->parameters[index];
    const tuff_model_config *config = &model->config.fields;
    const size_t count = (size_t)tuff_shape_count(&parameter->shape), size = count * sizeof(float);
    float *values = tuff__calloc(count, sizeof *values);
    if (!values)
        return tuff__fail_memory(parameter->name, size);
    if (parameter->initializer == TUFF__INITIALIZER_ONES)
        for (size_t i = 0; i < count; i++)
            values[i] = 1.0f;
    if (parameter->initializer == TUFF__INITIALIZER_NORMAL || parameter->initializer == TUFF__INITIALIZER_NORMAL_PADDED)
        fill_normal(values, count, (double)config->initializer_range, (uint32_t)index, seed);
    if (parameter->initializer == TUFF__INITIALIZER_NORMAL_PADDED && config->pad_token_id >= 0) {
        const size_t columns = (size_t)parameter->shape.dims[1];
        memset(values + (size_t)config->pad_token_id * columns, 0, columns * sizeof *values);
    }
    parameter->newly_initialized = true;
    const tuff_status status = tuff_buffer_write(model->weights, parameter->offset, values, size);
    tuff__free(values);
    return status;
}

static tuff_status allocate_weights(tuff_model *model)
{
    return tuff_buffer_create(model->device, (uint64_t)model->arena_count * sizeof(float), &model->weights);
}

tuff_status tuff__model_random_weights(tuff_model *model, uint64_t seed)
{
    TUFF_TRY(allocate_weights(model));
    for (size_t i = 0; i < model->parameter_count; i++)
        TUFF_TRY(initialize_parameter(model, i, seed));
    return TUFF_SUCCESS;
}

/* -- loading ------------------------------------------------------------------------------------------------------ */

/* "LayerNorm.gamma" and "LayerNorm.beta", as TensorFlow's checkpoints call them, to today's names. */
static void modernize(char *key)
{
    static const struct {
        const char *old, *now;
    } rows[] = {{"LayerNorm.gamma", "LayerNorm.weight"}, {"LayerNorm.beta", "LayerNorm.bias"}};
    const size_t length = strlen(key);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t old = strlen(rows[i].old);
        if (length >= old && strcmp(key + length - old, rows[i].old) == 0) {
            /* Room for the longer new name was made by the caller. */
            memcpy(key + length - old, rows[i].now, strlen(rows[i].now) + 1);
            return;
        }
    }
}

/* The parameter that the checkpoint's `name` means, SIZE_MAX for none. */
static size_t resolve_name(const tuff_model *model, const char *name, size_t *hint, bool *out_ignored)
{
    char key[192];
    const size_t prefix_length = strlen(model->architecture->prefix);
    const bool prefixed = strncmp(name, model->architecture->prefix, prefix_length) == 0;
    const char *rest = prefixed ? name + prefix_length : name;
    *out_ignored = model->architecture->ignored(rest);
    if (*out_ignored || strlen(rest) + 2 > sizeof key)
        return SIZE_MAX;
    memcpy(key, rest, strlen(rest) + 1);
    modernize(key);
    const size_t index = tuff__model_find(model, key, hint);
    if (index != SIZE_MAX && prefixed && model->parameters[index].part == TUFF__PART_HEAD)
        return SIZE_MAX;
    return index;
}

/* A checkpoint held against a model: sources[i] is where parameter i comes from, NULL for one that is new. */
typedef struct match {
    tuff__checkpoint *checkpoint;
    const tuff__safetensors_entry **sources;
    name_list unexpected, missing;
    name_list resized; /* left out for their number of labels */
    int64_t found_labels, wanted_labels;
} match;

/* sources[i] becomes the entry that parameter i is read from. */
static tuff_status match_entries(const tuff_model *model, const tuff__checkpoint *checkpoint,
                                 const tuff__safetensors_entry **sources, name_list *unexpected)
{
    size_t hint = 0;
    for (size_t i = 0; i < tuff__checkpoint_count(checkpoint); i++) {
        const tuff__safetensors_entry *entry = tuff__checkpoint_entry(checkpoint, i);
        bool ignored = false;
        const size_t index = resolve_name(model, entry->name, &hint, &ignored);
        if (index == SIZE_MAX) {
            if (!ignored)
                name_list_add(unexpected, entry->name);
            continue;
        }
        if (sources[index])
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' and '%s' are the same parameter", entry->path,
                              sources[index]->name, entry->name);
        sources[index] = entry;
    }
    return TUFF_SUCCESS;
}

static tuff_status load_parameter(tuff_model *model, const tuff__parameter *parameter,
                                  const tuff__safetensors_entry *entry)
{
    const size_t size = (size_t)tuff__parameter_size(parameter);
    if (tuff__safetensors_is_native_f32(entry)) /* from the mapping, without a copy on the host */
        return tuff_buffer_write(model->weights, parameter->offset, entry->data, size);
    float *values = tuff__malloc(size);
    if (!values)
        return tuff__fail_memory(parameter->name, size);
    tuff_status status = tuff__safetensors_read_f32(entry, values);
    if (status == TUFF_SUCCESS)
        status = tuff_buffer_write(model->weights, parameter->offset, values, size);
    tuff__free(values);
    return status;
}

/* Whether the entry may be left out because the caller's labels ask for a head of another size. */
static bool must_reshape(const tuff__parameter *parameter, const tuff__safetensors_entry *entry, bool relabelled)
{
    return relabelled && parameter->part == TUFF__PART_HEAD && entry->rank == parameter->shape.rank &&
           entry->dims[0] != parameter->shape.dims[0];
}

static void leave_out(match *m, const tuff__parameter *parameter, const tuff__safetensors_entry **source)
{
    name_list_add(&m->resized, parameter->name);
    m->found_labels = (*source)->dims[0];
    m->wanted_labels = parameter->shape.dims[0];
    *source = NULL;
}

/* Judges names and shapes before any memory is taken. Sources that are left out become NULL. */
static tuff_status check_sources(const tuff_model *model, bool relabelled, match *m)
{
    for (size_t i = 0; i < model->parameter_count; i++) {
        const tuff__parameter *parameter = &model->parameters[i];
        if (m->sources[i] && must_reshape(parameter, m->sources[i], relabelled))
            leave_out(m, parameter, &m->sources[i]);
        else if (m->sources[i])
            TUFF_TRY(tuff__safetensors_check_shape(m->sources[i], &parameter->shape));
        else if (parameter->part == TUFF__PART_BODY)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: no tensor named '%s', with or without '%s'",
                              tuff__checkpoint_path(m->checkpoint), parameter->key, model->architecture->prefix);
        else
            name_list_add(&m->missing, parameter->name);
    }
    return TUFF_SUCCESS;
}

static tuff_status load_all(tuff_model *model, const tuff__safetensors_entry *const *sources, uint64_t seed,
                            name_list *kept)
{
    TUFF_TRY(allocate_weights(model));
    for (size_t i = 0; i < model->parameter_count; i++) {
        if (sources[i]) {
            TUFF_TRY(load_parameter(model, &model->parameters[i], sources[i]));
            if (model->parameters[i].part == TUFF__PART_HEAD)
                name_list_add(kept, model->parameters[i].name);
            continue;
        }
        TUFF_TRY(initialize_parameter(model, i, seed));
    }
    return TUFF_SUCCESS;
}

static tuff_status match_open(const tuff_model *model, const char *dir, bool relabelled, match *m)
{
    TUFF_TRY(tuff__checkpoint_open(dir, &m->checkpoint));
    m->sources = tuff__calloc(model->parameter_count, sizeof *m->sources);
    if (!m->sources)
        return tuff__fail_memory("parameters", model->parameter_count * sizeof *m->sources);
    TUFF_TRY(match_entries(model, m->checkpoint, m->sources, &m->unexpected));
    return check_sources(model, relabelled, m);
}

static void match_close(match *m)
{
    tuff__free((void *)m->sources);
    tuff__checkpoint_destroy(m->checkpoint);
}

static void warn_of_match(const match *m, const char *dir)
{
    char resized[120];
    snprintf(resized, sizeof resized,
             "has %lld labels, wanted %lld, newly initialised (train the model before you trust it)",
             (long long)m->found_labels, (long long)m->wanted_labels);
    name_list_warn(&m->unexpected, dir, "left out, as this model has no place for them");
    name_list_warn(&m->missing, dir, "not in the checkpoint, newly initialised (train the model before you trust it)");
    name_list_warn(&m->resized, dir, resized);
}

tuff_status tuff__model_load_weights(tuff_model *model, const char *dir, bool relabelled, uint64_t seed)
{
    match m = {0};
    name_list kept = {0};
    tuff_status status = match_open(model, dir, relabelled, &m);
    if (status == TUFF_SUCCESS)
        status = load_all(model, m.sources, seed, &kept);
    if (status == TUFF_SUCCESS) {
        warn_of_match(&m, dir);
        if (relabelled)
            name_list_warn(&kept, dir, "kept as they are under other labels, of which there are as many");
    }
    match_close(&m);
    return status;
}

tuff_status tuff__model_check_weights(const tuff_model *model, const char *dir, size_t *out_missing)
{
    match m = {0};
    *out_missing = model->parameter_count;
    if (!tuff__checkpoint_has_weights(dir))
        return TUFF_SUCCESS;
    const tuff_status status = match_open(model, dir, false, &m);
    for (size_t i = 0; i < model->parameter_count && status == TUFF_SUCCESS; i++)
        *out_missing -= m.sources[i] != NULL;
    match_close(&m);
    return status;
}

/* -- what no device can make good --------------------------------------------------------------------------------- */

static tuff_status check_finite(const tuff_model *model, const tuff__parameter *parameter, float *values)
{
    const size_t count = (size_t)tuff_shape_count(&parameter->shape);
    TUFF_TRY(tuff_buffer_read(model->weights, parameter->offset, values, count * sizeof *values));
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return tuff__fail(TUFF_ERROR_INVALID_FILE,
                              "model: the parameter '%s' has %g at element %zu of %zu, wanted "
                              "finite numbers",
                              parameter->name, (double)values[i], i, count);
    return TUFF_SUCCESS;
}

tuff_status tuff__model_check_finite(const tuff_model *model)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        if (tuff__parameter_size(&model->parameters[i]) > largest)
            largest = tuff__parameter_size(&model->parameters[i]);
    float *values = tuff__malloc((size_t)largest);
    if (!values)
        return tuff__fail_memory("weights", (size_t)largest);
    tuff_status status = TUFF_SUCCESS;
    for (size_t i = 0; i < model->parameter_count && status == TUFF_SUCCESS; i++)
        status = check_finite(model, &model->parameters[i], values);
    tuff__free(values);
    return status;
}

/* -- saving ------------------------------------------------------------------------------------------------------- */

static tuff_status save_config(const tuff_model *model, tuff__checkpoint_save *save)
{
    const bool classifies = model->head == TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION;
    char *text = NULL;
    size_t length = 0;
    TUFF_TRY(tuff__model_config_write(
        &model->config, classifies ? model->architecture->classifier_class : model->architecture->body_class,
        classifies, &text, &length));
    const tuff_status status = tuff__checkpoint_save_text(save, "config.json", text, length);
    tuff__free(text);
    return status;
}

static tuff_status save_weights(const tuff_model *model, tuff__checkpoint_save *save)
{
    const size_t size = (size_t)model->arena_count * sizeof(float);
    float *arena = tuff__malloc(size);
    tuff__safetensors_item *items = tuff__calloc(model->parameter_count, sizeof *items);
    tuff_status status = TUFF_SUCCESS;
    if (!arena || !items)
        status = tuff__fail_memory("weights", size);
    else
        status = tuff_buffer_read(model->weights, 0, arena, size);
    for (size_t i = 0; status == TUFF_SUCCESS && i < model->parameter_count; i++) {
        const tuff__parameter *parameter = &model->parameters[i];
        items[i] = (tuff__safetensors_item){
            .name = parameter->name,
            .dtype = TUFF_F32,
            .shape = parameter->shape,
            .data = arena + parameter->offset / sizeof(float),
        };
    }
    if (status == TUFF_SUCCESS)
        status = tuff__checkpoint_save_tensors(save, "model.safetensors", items, model->parameter_count);
    tuff__free(items);
    tuff__free(arena);
    return status;
}

/* What an earlier model in the folder says of itself must not be read beside the new one: sentence-transformers' files,
 * and, where the new tokenizer comes along, all that a tokenizer is read from. */
static tuff_status drop_old_files(const tuff_tokenizer *tokenizer, tuff__checkpoint_save *save)
{
    static const char *const sentence_files[] = {"modules.json", "sentence_bert_config.json",
                                                 "config_sentence_transformers.json", "1_Pooling", "2_Normalize"};
    for (size_t i = 0; i < sizeof sentence_files / sizeof *sentence_files; i++)
        TUFF_TRY(tuff__checkpoint_save_drop(save, sentence_files[i]));
    for (size_t i = 0; tokenizer && i < TUFF__SAVED_FILE_COUNT; i++)
        TUFF_TRY(tuff__checkpoint_save_drop(save, tuff__tokenizer_file_names[i]));
    return TUFF_SUCCESS;
}

tuff_status tuff__model_save_files(const tuff_model *model, const tuff_tokenizer *tokenizer,
                                   tuff__checkpoint_save *save)
{
    if (!model->weights)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "model: described only, it has no weights");
    TUFF_TRY(drop_old_files(tokenizer, save));
    TUFF_TRY(save_config(model, save));
    TUFF_TRY(save_weights(model, save));
    return tokenizer ? tuff_tokenizer_save(tokenizer, tuff__checkpoint_save_folder(save)) : TUFF_SUCCESS;
}

tuff_status tuff_model_save(const tuff_model *model, const tuff_tokenizer *tokenizer, const char *dir)
{
    tuff__checkpoint_save *save = NULL;
    tuff_status status = tuff__checkpoint_save_begin(dir, &save);
    if (status == TUFF_SUCCESS)
        status = tuff__model_save_files(model, tokenizer, save);
    if (status == TUFF_SUCCESS)
        status = tuff__checkpoint_save_commit(save);
    tuff__checkpoint_save_destroy(save);
    return status;
}
