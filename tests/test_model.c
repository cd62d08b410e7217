/* test_model.c: random BERTs of unlike shapes against transformers' numbers; broken folders refused in a sentence;
 * saved folders load to the same bits. On the reference and on the device that TUFF_DEVICE names (default: the CPU
 * device). */
#include "io/checkpoint.h"
#include "model/session.h"

#include "check_device.h"
#include "check_golden.h"
#include "env.h"
#include "tuff/tokenizer.h"

#include <stdlib.h>

static tuff_device *devices[2];
static size_t device_count;

/* -- golden ------------------------------------------------------------------------------------------------------- */

typedef struct golden_run {
    const cJSON *rows; /* what is wanted of each sequence */
    const char *what;
    size_t seen;
    double allowed;
} golden_run;

static tuff_status compare_row(void *user, size_t index, const float *values, size_t rows, size_t columns)
{
    golden_run *run = user;
    assert_int_equal(rows, 1);
    tuff__golden_compare(run->what, index, values, columns, cJSON_GetArrayItem(run->rows, (int)index), run->allowed);
    run->seen++;
    return TUFF_SUCCESS;
}

/* Of last_hidden_state only sequence 0 is stored, a row a token. */
static tuff_status compare_tokens(void *user, size_t index, const float *values, size_t rows, size_t columns)
{
    golden_run *run = user;
    for (size_t row = 0; index == 0 && row < rows; row++)
        tuff__golden_compare(run->what, row, values + row * columns, columns, cJSON_GetArrayItem(run->rows, (int)row),
                             run->allowed);
    run->seen++;
    return TUFF_SUCCESS;
}

enum { MAX_SEQUENCES = 8, MAX_TOKENS = 64 };

typedef struct golden_input {
    int32_t ids[MAX_SEQUENCES][MAX_TOKENS], types[MAX_SEQUENCES][MAX_TOKENS];
    tuff__sequence sequences[MAX_SEQUENCES];
    size_t count;
} golden_input;

static void read_ints(const cJSON *array, int32_t *out_values)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array) *out_values++ = item->valueint;
}

static void read_input(const tuff__json *golden, golden_input *input)
{
    const cJSON *item;
    memset(input, 0, sizeof *input);
    cJSON_ArrayForEach(item, tuff__json_find(golden->root, "sequences"))
    {
        const size_t i = input->count++;
        const cJSON *ids = tuff__json_find(item, "input_ids");
        read_ints(ids, input->ids[i]);
        read_ints(tuff__json_find(item, "token_type_ids"), input->types[i]);
        input->sequences[i] = (tuff__sequence){
            .input_ids = input->ids[i],
            .token_type_ids = input->types[i],
            .length = (uint32_t)cJSON_GetArraySize(ids),
        };
    }
}

/* The golden rows of an output, where the file has them. */
static void check_output(const tuff_model *model, const tuff__json *golden, const golden_input *input,
                         tuff__session_output output, const char *key, uint32_t batch_size)
{
    const cJSON *rows = tuff__json_find(golden->root, key);
    if (!rows)
        return;
    char what[1024];
    tuff__session *session = NULL;
    const tuff__session_info info = {.output = output, .batch_size = batch_size};
    snprintf(what, sizeof what, "%s: %s on %s, batches of %u", golden->name, key,
             tuff_device_get_properties(model->device)->name, batch_size);
    golden_run run = {.rows = rows, .what = what, .allowed = 1e-5};
    assert_int_equal(tuff__session_create(model, &info, &session), TUFF_SUCCESS);
    if (tuff__session_run(session, input->sequences, 0, input->count,
                          output == TUFF__SESSION_LAST_HIDDEN_STATE ? compare_tokens : compare_row,
                          &run) != TUFF_SUCCESS)
        fail_msg("%s: %s", what, tuff_last_error());
    assert_int_equal(run.seen, input->count);
    tuff__session_destroy(session);
}

static const char *const golden_names[] = {
    "gelu_head20", "relu_head12_f16", "silu_head96_bf16", "gelu_new_head33_shards", "tanh_head6_body",
};
enum { GOLDEN_COUNT = sizeof golden_names / sizeof *golden_names };

static void check_golden(tuff_device *device, const char *name)
{
    static const struct {
        tuff__session_output output;
        const char *key;
    } outputs[] = {
        {TUFF__SESSION_LOGITS, "logits"},       {TUFF__SESSION_LAST_HIDDEN_STATE, "last_hidden_state_of_0"},
        {TUFF__SESSION_POOL_CLS, "pooled_cls"}, {TUFF__SESSION_POOL_MEAN, "pooled_mean"},
        {TUFF__SESSION_POOL_MAX, "pooled_max"},
    };
    static golden_input input;
    tuff_model *model = NULL;
    tuff__json *golden = tuff__golden_load(name);
    read_input(golden, &input);
    if (tuff_model_load(device, tuff__golden_folder(name), &model) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        check_output(model, golden, &input, outputs[i].output, outputs[i].key, 0);
        check_output(model, golden, &input, outputs[i].output, outputs[i].key, 3);
    }
    tuff_model_destroy(model);
    tuff__json_destroy(golden);
}

static void test_golden(void **state)
{
    (void)state;
    for (size_t d = 0; d < device_count; d++)
        for (size_t i = 0; i < GOLDEN_COUNT; i++)
            check_golden(devices[d], golden_names[i]);
}

/* pooler_output has no session output: read through a graph of its own. */
static void test_pooler(void **state)
{
    (void)state;
    static golden_input input;
    tuff__json *golden = tuff__golden_load("tanh_head6_body");
    read_input(golden, &input);
    for (size_t d = 0; d < device_count; d++) {
        tuff_model *model = NULL;
        tuff_graph *graph = NULL;
        tuff__model_graph *model_graph = NULL;
        tuff__model_inputs inputs;
        tuff__model_outputs outputs;
        float values[24];
        const int32_t length = (int32_t)input.sequences[0].length;
        assert_int_equal(tuff_model_load(devices[d], tuff__golden_folder("tanh_head6_body"), &model), TUFF_SUCCESS);
        assert_int_equal(tuff_graph_create(devices[d], &graph), TUFF_SUCCESS);
        assert_int_equal(tuff__model_graph_create(model, graph, NULL, &model_graph), TUFF_SUCCESS);
        tuff__model_make_inputs(graph, 1, length, &inputs);
        tuff__model_build(model_graph, &inputs, &outputs);
        assert_int_equal(outputs.logits.id, 0);
        if (tuff_graph_compile(graph, &outputs.pooler_output, 1) != TUFF_SUCCESS)
            fail_msg("%s", tuff_last_error());
        const size_t size = (size_t)length * sizeof(int32_t);
        assert_int_equal(tuff_graph_write(graph, inputs.input_ids, input.ids[0], size), TUFF_SUCCESS);
        assert_int_equal(tuff_graph_write(graph, inputs.token_type_ids, input.types[0], size), TUFF_SUCCESS);
        assert_int_equal(tuff_graph_write(graph, inputs.key_lengths, &length, sizeof length), TUFF_SUCCESS);
        assert_int_equal(tuff_graph_run(graph), TUFF_SUCCESS);
        assert_int_equal(tuff_graph_read(graph, outputs.pooler_output, values, sizeof values), TUFF_SUCCESS);
        tuff__golden_compare("pooler_output", 0, values, 24,
                             cJSON_GetArrayItem(tuff__json_find(golden->root, "pooler_output"), 0), 1e-5);
        tuff__model_graph_destroy(model_graph);
        tuff_graph_destroy(graph);
        tuff_model_destroy(model);
    }
    tuff__json_destroy(golden);
}

static void test_session_refuses(void **state)
{
    (void)state;
    tuff_model *model = NULL;
    tuff__session *session = NULL;
    golden_run run = {0};
    static const int32_t ids[64] = {5, 97}, negative[1] = {-1}, types[1] = {2};
    assert_int_equal(tuff_model_load(devices[0], tuff__golden_folder("tanh_head6_body"), &model), TUFF_SUCCESS);
    tuff__check_failed(tuff__session_create(model, &(tuff__session_info){.output = TUFF__SESSION_LOGITS}, &session),
                       TUFF_ERROR_INVALID_ARGUMENT, "without a head");
    assert_int_equal(tuff__session_create(model, &(tuff__session_info){.output = TUFF__SESSION_POOL_MEAN}, &session),
                     TUFF_SUCCESS);
    const struct {
        tuff__sequence sequence;
        const char *message;
    } rows[] = {
        {{.input_ids = ids, .length = 2}, "sequence 7 has the token id 97, the model's vocab_size is 97"},
        {{.input_ids = negative, .length = 1}, "token id -1"},
        {{.input_ids = ids, .token_type_ids = types, .length = 1}, "token type id 2"},
        {{.input_ids = ids, .length = 0}, "0 tokens, the model takes 1 to 33"},
        {{.input_ids = ids, .length = 34}, "34 tokens, the model takes 1 to 33"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        tuff__check_failed(tuff__session_run(session, &rows[i].sequence, 7, 1, compare_row, &run),
                           TUFF_ERROR_INVALID_ARGUMENT, rows[i].message);
    tuff__session_destroy(session);
    tuff_model_destroy(model);
}

/* -- broken folders ----------------------------------------------------------------------------------------------- */

static void expect_refused(const char *folder, tuff_status wanted, const char *message)
{
    tuff_model *model = NULL;
    tuff__check_failed(tuff_model_load(devices[0], folder, &model), wanted, message);
    assert_null(model);
}

/* Rewrites one key of a folder's config.json. */
static void change_config(const char *folder, const char *from, const char *to)
{
    char path[600], *text, *at, *changed;
    tuff__mapped_file file;
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(tuff__file_map(path, &file), TUFF_SUCCESS);
    text = tuff__strndup((const char *)file.data, file.size);
    tuff__file_unmap(&file);
    at = strstr(text, from);
    assert_non_null(at);
    *at = '\0';
    changed = tuff__asprintf("%s%s%s", text, to, at + strlen(from));
    tuff__check_write_text(path, changed);
    tuff__free(changed);
    tuff__free(text);
}

static void test_missing_files(void **state)
{
    (void)state;
    char path[600];
    expect_refused("no-such-folder", TUFF_ERROR_IO, "no-such-folder/config.json");
    const char *folder = tuff__golden_copy("gelu_head20", "no_weights");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(tuff__file_remove(path), TUFF_SUCCESS);
    expect_refused(folder, TUFF_ERROR_IO, folder);
    folder = tuff__golden_copy("gelu_new_head33_shards", "no_shard");
    snprintf(path, sizeof path, "%s/model-00002-of-00003.safetensors", folder);
    assert_int_equal(tuff__file_remove(path), TUFF_SUCCESS);
    expect_refused(folder, TUFF_ERROR_IO, "model-00002-of-00003.safetensors");
}

/* One parameter, present with and without the body's prefix: which of the two counts is not for tuff to say. */
static void test_parameter_twice(void **state)
{
    (void)state;
    static const float zeros[97 * 60];
    static const tuff__safetensors_item items[] = {
        {.name = "bert.embeddings.word_embeddings.weight", .shape = {.rank = 2, .dims = {97, 60}}, .data = zeros},
        {.name = "embeddings.word_embeddings.weight", .shape = {.rank = 2, .dims = {97, 60}}, .data = zeros},
    };
    char path[600];
    const char *folder = tuff__golden_copy("gelu_head20", "twice");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(tuff__safetensors_write(path, items, 2), TUFF_SUCCESS);
    expect_refused(folder, TUFF_ERROR_INVALID_FILE,
                   "'bert.embeddings.word_embeddings.weight' and 'embeddings.word_embeddings.weight' are the same "
                   "parameter");
}

static void test_truncated(void **state)
{
    (void)state;
    const char *folder = tuff__golden_copy("gelu_head20", "truncated");
    char path[600];
    tuff__mapped_file file;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(tuff__file_map(path, &file), TUFF_SUCCESS);
    unsigned char *bytes = tuff__malloc(file.size);
    const size_t size = file.size;
    memcpy(bytes, file.data, size);
    tuff__file_unmap(&file);
    tuff__check_write(path, bytes, size - 1);
    expect_refused(folder, TUFF_ERROR_INVALID_FILE, "model.safetensors");
    tuff__check_write(path, bytes, 100);
    expect_refused(folder, TUFF_ERROR_INVALID_FILE, "model.safetensors");
    tuff__check_write(path, bytes, 0);
    expect_refused(folder, TUFF_ERROR_INVALID_FILE, "model.safetensors");
    tuff__free(bytes);
}

static void test_wrong_configuration(void **state)
{
    (void)state;
    const char *folder = tuff__golden_copy("gelu_head20", "wrong_shape");
    change_config(folder, "\"intermediate_size\": 77", "\"intermediate_size\": 78");
    expect_refused(folder, TUFF_ERROR_INVALID_FILE, "intermediate.dense.weight");
    folder = tuff__golden_copy("gelu_head20", "more_layers");
    change_config(folder, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    expect_refused(folder, TUFF_ERROR_INVALID_FILE, "no tensor named 'encoder.layer.2.");
    folder = tuff__golden_copy("gelu_head20", "wrong_type");
    change_config(folder, "\"model_type\": \"bert\"", "\"model_type\": \"roberta\"");
    expect_refused(folder, TUFF_ERROR_INVALID_FILE, "model_type 'roberta' is not supported, wanted bert");
    folder = tuff__golden_copy("gelu_head20", "missing_key");
    change_config(folder, "\"hidden_size\": 60,", "");
    expect_refused(folder, TUFF_ERROR_INVALID_FILE, "'hidden_size'");
    folder = tuff__golden_copy("relu_head12_f16", "wrong_labels");
    change_config(folder, "\"vocab_size\": 61", "\"vocab_size\": 61, \"num_labels\": 3");
    expect_refused(folder, TUFF_ERROR_INVALID_FILE, "classifier.");
    folder = tuff__golden_copy("relu_head12_f16", "too_large");
    change_config(folder, "\"vocab_size\": 61", "\"vocab_size\": 2147483647");
    expect_refused(folder, TUFF_ERROR_INVALID_FILE, "word_embeddings.weight"); /* before any memory is taken */
}

/* -- heads, initialisation, saving -------------------------------------------------------------------------------- */

typedef struct warnings {
    char text[2048];
} warnings;

static void keep_warning(void *user, tuff_log_level level, const char *message)
{
    warnings *kept = user;
    const size_t used = strlen(kept->text);
    if (level == TUFF_LOG_WARNING)
        snprintf(kept->text + used, sizeof kept->text - used, "%s\n", message);
}

static void test_new_head(void **state)
{
    (void)state;
    warnings kept = {0};
    tuff_model *model = NULL;
    tuff_parameter_info info;
    const tuff_model_create_info create_info = {
        .head = TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION,
        .labels = (const char *const[]){"x", "y", "z"},
        .label_count = 3,
        .seed = 7,
    };
    tuff_set_log(keep_warning, &kept);
    assert_int_equal(tuff_model_create(devices[0], tuff__golden_folder("tanh_head6_body"), &create_info, &model),
                     TUFF_SUCCESS);
    assert_non_null(strstr(kept.text, "newly initialised"));
    assert_non_null(strstr(kept.text, "classifier.weight, classifier.bias"));
    assert_null(strstr(kept.text, "position_ids"));
    assert_int_equal(tuff_model_get_config(model)->num_labels, 3);
    size_t fresh = 0;
    for (size_t i = 0; i < tuff_model_parameter_tensor_count(model); i++) {
        tuff_model_get_parameter_info(model, i, &info);
        assert_int_equal(info.newly_initialized, strncmp(info.name, "classifier.", 11) == 0);
        assert_int_equal(strncmp(info.name, "bert.", 5) == 0, !info.newly_initialized);
        fresh += info.newly_initialized;
    }
    assert_int_equal(fresh, 2);
    tuff_model_destroy(model);
    /* a head of another size is replaced where the caller gives labels; a body leaves the head out, by name */
    kept.text[0] = '\0';
    assert_int_equal(tuff_model_create(devices[0], tuff__golden_folder("gelu_new_head33_shards"), &create_info, &model),
                     TUFF_SUCCESS);
    assert_non_null(strstr(kept.text, "has 4 labels, wanted 3, newly initialised (train the model before you trust "
                                      "it): classifier.weight, classifier.bias"));
    assert_null(strstr(kept.text, "not in the checkpoint"));
    tuff_model_destroy(model);
    /* one of as many labels is kept, which is said */
    kept.text[0] = '\0';
    assert_int_equal(tuff_model_create(devices[0], tuff__golden_folder("gelu_head20"), &create_info, &model),
                     TUFF_SUCCESS);
    assert_non_null(strstr(kept.text, "kept as they are under other labels"));
    tuff_model_destroy(model);
    kept.text[0] = '\0';
    assert_int_equal(tuff_model_create(devices[0], tuff__golden_folder("gelu_head20"),
                                       &(tuff_model_create_info){.head = TUFF_MODEL_HEAD_NONE}, &model),
                     TUFF_SUCCESS);
    assert_non_null(strstr(kept.text, "no place for them: classifier.bias, classifier.weight"));
    tuff_model_get_parameter_info(model, 0, &info);
    assert_string_equal(info.name, "embeddings.word_embeddings.weight");
    tuff_model_destroy(model);
    tuff_set_log(NULL, NULL);
}

static void read_all(const tuff_model *model, float *values, size_t size)
{
    assert_int_equal(size, (size_t)model->arena_count * sizeof(float));
    assert_int_equal(tuff_buffer_read(model->weights, 0, values, size), TUFF_SUCCESS);
}

/* Mean and deviation of a tensor of the model. */
static void moments(const tuff_model *model, const char *name, size_t count, double *mean, double *deviation)
{
    float *values = tuff__malloc(count * sizeof *values);
    double sum = 0, squares = 0;
    assert_int_equal(tuff_model_read_parameter(model, name, values, count * sizeof *values), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    *mean = sum / (double)count;
    *deviation = sqrt(squares / (double)count - *mean * *mean);
    tuff__free(values);
}

static void test_random_weights(void **state)
{
    (void)state;
    tuff_model *model = NULL, *same = NULL, *other = NULL;
    const char *folder = tuff__golden_folder("gelu_head20");
    tuff_model_create_info info = {.random_weights = true, .seed = 1};
    assert_int_equal(tuff_model_create(devices[0], folder, &info, &model), TUFF_SUCCESS);
    assert_int_equal(tuff_model_create(devices[device_count - 1], folder, &info, &same), TUFF_SUCCESS);
    info.seed = 2;
    assert_int_equal(tuff_model_create(devices[0], folder, &info, &other), TUFF_SUCCESS);
    const size_t size = (size_t)model->arena_count * sizeof(float);
    float *a = tuff__malloc(size), *b = tuff__malloc(size);
    read_all(model, a, size);
    read_all(same, b, size);
    assert_memory_equal(a, b, size);
    read_all(other, b, size);
    assert_memory_not_equal(a, b, size);
    double mean, deviation;
    moments(model, "bert.embeddings.word_embeddings.weight", 97 * 60, &mean, &deviation);
    assert_true(fabs(mean) < 0.001 && fabs(deviation / 0.02 - 1) < 0.05);
    moments(model, "bert.encoder.layer.1.output.LayerNorm.weight", 60, &mean, &deviation);
    assert_true(mean == 1 && deviation == 0);
    moments(model, "bert.encoder.layer.1.output.dense.bias", 60, &mean, &deviation);
    assert_true(mean == 0 && deviation == 0);
    for (size_t i = 0; i < 60; i++)
        assert_true(a[i] == 0); /* word 0 is the padding */
    tuff__free(a);
    tuff__free(b);
    tuff_model_destroy(model);
    tuff_model_destroy(same);
    tuff_model_destroy(other);
}

static void test_arena(void **state)
{
    (void)state;
    tuff_model *model = NULL;
    assert_int_equal(tuff_model_load(devices[0], tuff__golden_folder("gelu_head20"), &model), TUFF_SUCCESS);
    uint64_t end = 0, count = 0;
    for (size_t i = 0; i < model->parameter_count; i++) {
        const tuff__parameter *parameter = &model->parameters[i];
        const bool bias = strstr(parameter->name, ".bias") != NULL;
        assert_int_equal(parameter->decayed, !bias && !strstr(parameter->name, "LayerNorm"));
        assert_int_equal(parameter->decayed, parameter->offset < (uint64_t)model->decay_count * sizeof(float));
        assert_true(parameter->offset % 256 == 0 && parameter->offset >= end);
        assert_true(parameter->offset < end + 256);
        end = parameter->offset + tuff__parameter_size(parameter);
        count += (uint64_t)tuff_shape_count(&parameter->shape);
    }
    assert_true(end <= (uint64_t)model->arena_count * sizeof(float));
    assert_int_equal(count, tuff_model_parameter_count(model));
    float value = 0;
    tuff__check_failed(tuff_model_read_parameter(model, "x", &value, 4), TUFF_ERROR_INVALID_ARGUMENT,
                       "no parameter named 'x'");
    tuff__check_failed(tuff_model_write_parameter(model, "classifier.bias", &value, 4), TUFF_ERROR_INVALID_ARGUMENT,
                       "'classifier.bias' has 12 bytes");
    tuff_model_destroy(model);
}

static void test_save(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        tuff_model *model = NULL, *again = NULL;
        const char *folder = tuff__check_path("saved");
        tuff_tokenizer *tokenizer = NULL;
        assert_int_equal(tuff_model_load(devices[device_count - 1], tuff__golden_folder(golden_names[i]), &model),
                         TUFF_SUCCESS);
        if (i == 0)
            assert_int_equal(tuff_tokenizer_load(tuff__golden_folder(golden_names[i]), &tokenizer), TUFF_SUCCESS);
        if (tuff_model_save(model, tokenizer, folder) != TUFF_SUCCESS)
            fail_msg("%s", tuff_last_error());
        if (tuff_model_load(devices[0], folder, &again) != TUFF_SUCCESS)
            fail_msg("%s", tuff_last_error());
        const size_t size = (size_t)model->arena_count * sizeof(float);
        float *a = tuff__malloc(size), *b = tuff__malloc(size);
        read_all(model, a, size);
        read_all(again, b, size);
        assert_memory_equal(a, b, size);
        assert_int_equal(model->head, again->head);
        assert_int_equal(model->config.fields.num_labels, again->config.fields.num_labels);
        assert_string_equal(again->config.fields.dtype, "float32");
        tuff__free(a);
        tuff__free(b);
        tuff_tokenizer_destroy(tokenizer);
        tokenizer = NULL;
        if (i == 0)
            assert_int_equal(tuff_tokenizer_load(folder, &tokenizer), TUFF_SUCCESS);
        tuff_tokenizer_destroy(tokenizer);
        tuff_model_destroy(model);
        tuff_model_destroy(again);
    }
}

/* What a folder's earlier model left must not speak for the new one: transformers, and tuff, prefer tokenizer.json. */
static void test_save_over_another_model(void **state)
{
    (void)state;
    static const char *const stale[] = {"tokenizer.json", "special_tokens_map.json", "added_tokens.json",
                                        "modules.json",   "1_Pooling/config.json",   "sentence_bert_config.json"};
    char path[600];
    tuff_model *model = NULL;
    tuff_tokenizer *tokenizer = NULL;
    const char *source = tuff__golden_folder("gelu_head20"), *folder = tuff__golden_copy("gelu_head20", "over");
    snprintf(path, sizeof path, "%s/1_Pooling", folder);
    assert_int_equal(tuff__directory_create(path), TUFF_SUCCESS);
    for (size_t i = 0; i < sizeof stale / sizeof *stale; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, stale[i]);
        tuff__check_write_text(path, "of another model");
    }
    snprintf(path, sizeof path, "%s/notes.txt", folder);
    tuff__check_write_text(path, "mine");
    assert_int_equal(tuff_model_load(devices[0], source, &model), TUFF_SUCCESS);
    assert_int_equal(tuff_model_save(model, NULL, folder), TUFF_SUCCESS);
    tuff__check_failed(tuff_tokenizer_load(folder, &tokenizer), TUFF_ERROR_INVALID_FILE, "tokenizer.json"); /* kept */
    assert_int_equal(tuff_tokenizer_load(source, &tokenizer), TUFF_SUCCESS);
    assert_int_equal(tuff_model_save(model, tokenizer, folder), TUFF_SUCCESS);
    tuff_tokenizer_destroy(tokenizer);
    for (size_t i = 0; i < sizeof stale / sizeof *stale; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, stale[i]);
        if (tuff__file_exists(path))
            fail_msg("%s is still there", path);
    }
    snprintf(path, sizeof path, "%s/notes.txt", folder);
    tuff__check_content(path, "mine");
    assert_int_equal(tuff_tokenizer_load(folder, &tokenizer), TUFF_SUCCESS);
    tuff_tokenizer_destroy(tokenizer);
    tuff_model_destroy(model);
}

static void test_describe(void **state)
{
    (void)state;
    tuff_model *model = NULL;
    tuff_memory_estimate estimate;
    float value;
    assert_int_equal(tuff_model_describe(tuff__golden_folder("gelu_head20"), &model), TUFF_SUCCESS);
    assert_int_equal(tuff_model_get_head(model), TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION);
    tuff_model_estimate_memory(model, 4, 16, true, &estimate);
    assert_int_equal(estimate.total, estimate.weights + estimate.gradients + estimate.optimizer + estimate.activations);
    assert_int_equal(estimate.optimizer, 2 * estimate.weights);
    tuff__check_failed(tuff_model_read_parameter(model, "classifier.bias", &value, 4), TUFF_ERROR_INVALID_ARGUMENT,
                       "described only");
    tuff__check_failed(tuff_model_save(model, NULL, tuff__check_path("described")), TUFF_ERROR_INVALID_ARGUMENT,
                       "described only");
    assert_false(tuff__is_directory(tuff__check_path("described")));
    tuff_model_destroy(model);
}

/* What info prints is at least what the planner places, and not much more. */
static void check_estimate(const tuff_model *model, int64_t batch_size, int64_t length, bool training)
{
    tuff_graph *graph = NULL;
    tuff__model_graph *model_graph = NULL;
    tuff__model_inputs inputs;
    tuff__model_outputs outputs;
    tuff_graph_statistics statistics;
    tuff_memory_estimate estimate;
    tuff_buffer *gradients = NULL;
    tuff_tensor *tensors = tuff__calloc(model->parameter_count + 1, sizeof *tensors);
    size_t count = 1;
    assert_int_equal(tuff_buffer_create(devices[0], (uint64_t)model->arena_count * sizeof(float), &gradients),
                     TUFF_SUCCESS);
    assert_int_equal(tuff_graph_create(devices[0], &graph), TUFF_SUCCESS);
    assert_int_equal(tuff__model_graph_create(model, graph, NULL, &model_graph), TUFF_SUCCESS);
    tuff__model_make_inputs(graph, batch_size, length, &inputs);
    if (training)
        inputs.step_parameters = tuff_graph_step_parameters(graph);
    tuff__model_build(model_graph, &inputs, &outputs);
    tensors[0] = outputs.logits;
    if (training) {
        const tuff_tensor labels = tuff_graph_input(graph, "labels", TUFF_I32, TUFF_SHAPE(batch_size));
        tensors[0] = tuff_cross_entropy(graph, outputs.logits, labels, 0);
        count += model->parameter_count;
        tuff_graph_backward(graph, tensors[0], model_graph->parameters, model->parameter_count, tensors + 1);
        for (size_t i = 1; i < count; i++)
            tensors[i] = tuff_graph_bind(graph, tensors[i], gradients, model->parameters[i - 1].offset);
    }
    if (tuff_graph_compile(graph, tensors, count) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    tuff_graph_get_statistics(graph, &statistics);
    tuff_model_estimate_memory(model, (uint32_t)batch_size, (uint32_t)length, training, &estimate);
    if (statistics.activation_size > estimate.activations ||
        (batch_size * length > 256 && 2 * statistics.activation_size < estimate.activations))
        fail_msg("%lld x %lld, training %d: planned %llu, estimated %llu", (long long)batch_size, (long long)length,
                 training, (unsigned long long)statistics.activation_size, (unsigned long long)estimate.activations);
    tuff__free(tensors);
    tuff__model_graph_destroy(model_graph);
    tuff_graph_destroy(graph);
    tuff_buffer_destroy(gradients);
}

static void test_estimate(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        const tuff_model_create_info info = {.head = TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION, .random_weights = true};
        tuff_model *model = NULL;
        assert_int_equal(tuff_model_create(devices[0], tuff__golden_folder(golden_names[i]), &info, &model),
                         TUFF_SUCCESS);
        for (int training = 0; training < 2; training++) {
            check_estimate(model, 1, 8, training);
            check_estimate(model, 4, 32, training);
            check_estimate(model, 16, 33, training);
        }
        tuff_model_destroy(model);
    }
}

static void test_find(void **state)
{
    (void)state;
    char *dir = NULL;
    assert_int_equal(tuff_model_find(tuff__golden_folder("gelu_head20"), &dir), TUFF_SUCCESS);
    assert_string_equal(dir, tuff__golden_folder("gelu_head20"));
    tuff_free(dir);
    tuff__check_failed(tuff_model_find("no-such-org/no-such-name", &dir), TUFF_ERROR_IO, "no-such-org/no-such-name");
    tuff__check_failed(tuff_model_find("../..no-such-folder/x/y", &dir), TUFF_ERROR_IO, "there is no such folder");
    assert_null(dir);
}

/* A cache as Hugging Face's tools lay it out: the snapshot's files are links to blobs. */
static void test_find_in_the_hub_cache(void **state)
{
    (void)state;
    char command[1600], *dir = NULL;
    const char *hub = tuff__check_path("home/hub");
    if (!tuff__env()->hf_hub_cache || strcmp(tuff__env()->hf_hub_cache, hub) != 0)
        skip(); /* the user's own was set before */
    snprintf(command, sizeof command,
             "mkdir -p '%s/models--org--name' && cd '%s/models--org--name' && mkdir -p refs blobs snapshots/0a1b && "
             "printf 0a1b >refs/main && cp '%s/config.json' blobs/c && cp '%s/model.safetensors' blobs/m && "
             "ln -s ../../blobs/c snapshots/0a1b/config.json && ln -s ../../blobs/m snapshots/0a1b/model.safetensors",
             hub, hub, tuff__golden_folder("gelu_head20"), tuff__golden_folder("gelu_head20"));
    if (system(command) != 0)
        skip();
    assert_int_equal(tuff_model_find("org/name", &dir), TUFF_SUCCESS);
    assert_non_null(strstr(dir, "home/hub/models--org--name/snapshots/0a1b"));
    tuff_model *model = NULL;
    assert_int_equal(tuff_model_load(devices[0], dir, &model), TUFF_SUCCESS);
    tuff_model_destroy(model);
    tuff_free(dir);
    tuff__check_failed(tuff_model_find("org/other", &dir), TUFF_ERROR_IO, "home/hub/models--org--other");
    snprintf(command, sizeof command, "HF_HUB_CACHE= HF_HOME='%s' " TUFF_COMMAND " info org/name >'%s' 2>&1",
             tuff__check_path("home"), tuff__check_path("said"));
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_pooler),
        cmocka_unit_test(test_session_refuses),
        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_parameter_twice),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_wrong_configuration),
        cmocka_unit_test(test_new_head),
        cmocka_unit_test(test_random_weights),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_save),
        cmocka_unit_test(test_save_over_another_model),
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_estimate),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_find_in_the_hub_cache),
    };
    if (tuff__check_folder_create("test_model") != 0)
        return 1;
    tuff__environment_default("HF_HUB_CACHE", tuff__check_path("home/hub")); /* before env.c reads it */
    for (; device_count < 2; device_count++) {
        const tuff_device_create_info info = {.device = device_count == 0 ? "reference" : NULL};
        const int unopened = tuff__check_open_device(&info, &devices[device_count]);
        if (unopened)
            return tuff__check_folder_remove(NULL) != 0 ? 1 : unopened;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tuff__check_folder_remove(NULL);
    tuff_device_destroy(devices[0]);
    tuff_device_destroy(devices[1]);
    return failed;
}
