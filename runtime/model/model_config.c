/*
 * model_config.c: owns the reading and writing of config.json. Every key is one that is read here, one known to change
 * nothing, or one that is refused by name: a model that is half understood gives wrong numbers, not an error.
 */
#include "model_config.h"

#include <float.h>
#include <string.h>

enum { MAX_HEAD_SIZE = 256, MAX_LABELS = 1 << 20 };

/* -- which keys may be there -------------------------------------------------------------------------------------- */

/* Keys that read_* below take their values from. */
static const char *const read_keys[] = {
    "model_type",
    "architectures",
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "pad_token_id",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "layer_norm_eps",
    "initializer_range",
    "problem_type",
    "num_labels",
    "id2label",
    "label2id",
    "dtype",
    "torch_dtype",
};

/* Keys that change nothing in an encoder without a language-model head: how outputs are returned, how text is
 * generated, who wrote the file. `pooler_*` and `directionality` come from Google's first releases and are read by no
 * program; `_num_labels` was written beside id2label before transformers 4, and id2label counts; `sbert_*` and
 * `sentence_transformers` are for another program's scores. */
static const char *const harmless_keys[] = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_commit_hash",
    "_name_or_path",
    "_num_labels",
    "attn_implementation",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "decoder_start_token_id",
    "directionality",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "eos_token_ids",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "language",
    "length_penalty",
    "max_length",
    "min_length",
    "name",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
    "prefix",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "sbert_ce_default_activation_function",
    "sentence_transformers",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tie_word_embeddings",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "use_bfloat16",
    "use_cache",
    "use_return_dict",
    "xla_device",
};

/* Keys that change the computation unless they say no: false, null, or nothing in the brackets. */
static const char *const negative_keys[] = {
    "add_cross_attention", "cross_attention_hidden_size", "is_decoder", "is_encoder_decoder",
    "pruned_heads",        "quantization_config",
};

static bool contains(const char *const *keys, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}
#define CONTAINS(keys, key) contains(keys, sizeof(keys) / sizeof *(keys), key)

static tuff_status check_keys(const tuff__json *json)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json->root)
    {
        const char *key = item->string;
        if (CONTAINS(read_keys, key) || CONTAINS(harmless_keys, key))
            continue;
        if (CONTAINS(negative_keys, key)) {
            const bool empty = (cJSON_IsObject(item) || cJSON_IsArray(item)) && !item->child;
            if (!cJSON_IsFalse(item) && !cJSON_IsNull(item) && !empty)
                return tuff__json_fail_value(json, key, item, "false, null or nothing: the rest is not supported");
        } else if (strcmp(key, "position_embedding_type") == 0) {
            if (!cJSON_IsString(item) || strcmp(item->valuestring, "absolute") != 0)
                return tuff__json_fail_value(json, key, item, "\"absolute\"");
        } else {
            return tuff__fail(TUFF_ERROR_INVALID_FILE,
                              "%s: the key '%s' is not known and may change what the model computes", json->name, key);
        }
    }
    return TUFF_SUCCESS;
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

static tuff_status copy_string(tuff__model_config *config, const char *text, const char **out_copy)
{
    *out_copy = tuff__arena_strdup(&config->arena, text);
    return *out_copy ? TUFF_SUCCESS : tuff__fail_memory("model configuration", strlen(text) + 1);
}

static tuff_status read_names(tuff__model_config *config, const tuff__json *json)
{
    tuff_model_config *fields = &config->fields;
    const cJSON *architectures = NULL;
    const char *model_type, *text;
    TUFF_TRY(tuff__json_string(json, json->root, "model_type", &model_type));
    if (strcmp(model_type, "bert") != 0)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: model_type '%s' is not supported, wanted bert", json->name,
                          model_type);
    TUFF_TRY(copy_string(config, model_type, &fields->model_type));
    TUFF_TRY(tuff__json_array_or(json, json->root, "architectures", NULL, &architectures));
    if (architectures && architectures->child) {
        if (!cJSON_IsString(architectures->child))
            return tuff__json_fail_value(json, "architectures", architectures->child, "an array of strings");
        TUFF_TRY(copy_string(config, architectures->child->valuestring, &fields->architecture));
    }
    /* transformers 4 writes torch_dtype, transformers 5 dtype. It tells what the files hold, and they tell it too. */
    TUFF_TRY(tuff__json_string_or(json, json->root, "torch_dtype", NULL, &text));
    TUFF_TRY(tuff__json_string_or(json, json->root, "dtype", text, &text));
    return text ? copy_string(config, text, &fields->dtype) : TUFF_SUCCESS;
}

static tuff_status read_sizes(const tuff__json *json, tuff_model_config *fields)
{
    const cJSON *root = json->root;
    TUFF_TRY(tuff__json_int(json, root, "vocab_size", 1, INT32_MAX, &fields->vocab_size));
    TUFF_TRY(tuff__json_int(json, root, "hidden_size", 1, 1 << 16, &fields->hidden_size));
    TUFF_TRY(tuff__json_int(json, root, "num_hidden_layers", 1, 1 << 12, &fields->num_hidden_layers));
    TUFF_TRY(tuff__json_int(json, root, "num_attention_heads", 1, 1 << 16, &fields->num_attention_heads));
    TUFF_TRY(tuff__json_int(json, root, "intermediate_size", 1, 1 << 20, &fields->intermediate_size));
    TUFF_TRY(tuff__json_int(json, root, "max_position_embeddings", 1, 1 << 20, &fields->max_position_embeddings));
    TUFF_TRY(tuff__json_int(json, root, "type_vocab_size", 1, 1 << 16, &fields->type_vocab_size));
    /* 0 is BertConfig's own default, and no result depends on it: padding is never looked at. */
    fields->pad_token_id = -1;
    const cJSON *pad = tuff__json_find(root, "pad_token_id");
    if (!pad)
        fields->pad_token_id = 0;
    else if (!cJSON_IsNull(pad))
        TUFF_TRY(tuff__json_int(json, root, "pad_token_id", 0, fields->vocab_size - 1, &fields->pad_token_id));
    if (fields->hidden_size % fields->num_attention_heads != 0)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: hidden_size %lld is not a multiple of num_attention_heads %lld",
                          json->name, (long long)fields->hidden_size, (long long)fields->num_attention_heads);
    if (fields->hidden_size / fields->num_attention_heads > MAX_HEAD_SIZE)
        return tuff__fail(TUFF_ERROR_INVALID_FILE,
                          "%s: hidden_size %lld over num_attention_heads %lld gives heads of %lld, wanted at most %d",
                          json->name, (long long)fields->hidden_size, (long long)fields->num_attention_heads,
                          (long long)(fields->hidden_size / fields->num_attention_heads), MAX_HEAD_SIZE);
    return TUFF_SUCCESS;
}

static tuff_status read_activation(const tuff__json *json, tuff_activation *out_activation)
{
    /* transformers' ACT2FN: its several spellings of one formula. */
    static const struct {
        const char *name;
        tuff_activation activation;
    } rows[] = {
        {"gelu", TUFF_ACTIVATION_GELU},
        {"gelu_python", TUFF_ACTIVATION_GELU},
        {"gelu_new", TUFF_ACTIVATION_GELU_TANH},
        {"gelu_pytorch_tanh", TUFF_ACTIVATION_GELU_TANH},
        {"gelu_python_tanh", TUFF_ACTIVATION_GELU_TANH},
        {"gelu_fast", TUFF_ACTIVATION_GELU_TANH},
        {"gelu_accurate", TUFF_ACTIVATION_GELU_TANH},
        {"silu", TUFF_ACTIVATION_SILU},
        {"swish", TUFF_ACTIVATION_SILU},
        {"tanh", TUFF_ACTIVATION_TANH},
        {"relu", TUFF_ACTIVATION_RELU},
    };
    const char *name = "gelu"; /* BertConfig's default */
    if (tuff__json_find(json->root, "hidden_act"))
        TUFF_TRY(tuff__json_string(json, json->root, "hidden_act", &name));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *out_activation = rows[i].activation;
            return TUFF_SUCCESS;
        }
    }
    return tuff__json_fail_value(json, "hidden_act", tuff__json_find(json->root, "hidden_act"),
                                 "one of gelu, gelu_new, gelu_pytorch_tanh, silu, tanh, relu");
}

/* A number in [0, max]; `fallback`, BertConfig's own default, where a folder leaves it out. */
static tuff_status read_number(const tuff__json *json, const char *key, double fallback, double max, const char *wanted,
                               float *out_value)
{
    double value = fallback;
    if (tuff__json_find(json->root, key))
        TUFF_TRY(tuff__json_number(json, json->root, key, &value));
    if (!(value >= 0 && value <= max))
        return tuff__json_fail_value(json, key, tuff__json_find(json->root, key), wanted);
    *out_value = (float)value;
    return TUFF_SUCCESS;
}

/* A dropout of 1 would leave nothing. */
static tuff_status read_dropout(const tuff__json *json, const char *key, float *out_value)
{
    return read_number(json, key, 0.1, 1.0 - FLT_EPSILON, "a number of at least 0 and below 1", out_value);
}

static tuff_status read_numbers(const tuff__json *json, tuff_model_config *fields)
{
    TUFF_TRY(read_dropout(json, "hidden_dropout_prob", &fields->hidden_dropout_prob));
    TUFF_TRY(read_dropout(json, "attention_probs_dropout_prob", &fields->attention_probs_dropout_prob));
    TUFF_TRY(read_number(json, "layer_norm_eps", 1e-12, 1, "a number from 0 to 1", &fields->layer_norm_eps));
    TUFF_TRY(read_number(json, "initializer_range", 0.02, 100, "a number from 0 to 100", &fields->initializer_range));
    const cJSON *dropout = tuff__json_find(json->root, "classifier_dropout");
    fields->classifier_dropout = fields->hidden_dropout_prob;
    if (dropout && !cJSON_IsNull(dropout))
        TUFF_TRY(read_dropout(json, "classifier_dropout", &fields->classifier_dropout));
    return TUFF_SUCCESS;
}

static const char *const problem_type_names[] = {
    [TUFF_PROBLEM_TYPE_REGRESSION] = "regression",
    [TUFF_PROBLEM_TYPE_SINGLE_LABEL_CLASSIFICATION] = "single_label_classification",
    [TUFF_PROBLEM_TYPE_MULTI_LABEL_CLASSIFICATION] = "multi_label_classification",
};

static tuff_status read_problem_type(const tuff__json *json, tuff_problem_type *out_type)
{
    const char *name;
    TUFF_TRY(tuff__json_string_or(json, json->root, "problem_type", NULL, &name));
    if (!name)
        return TUFF_SUCCESS;
    for (size_t i = 1; i < sizeof problem_type_names / sizeof *problem_type_names; i++) {
        if (strcmp(problem_type_names[i], name) == 0) {
            *out_type = (tuff_problem_type)i;
            return TUFF_SUCCESS;
        }
    }
    return tuff__json_fail_value(json, "problem_type", tuff__json_find(json->root, "problem_type"),
                                 "regression, single_label_classification or multi_label_classification");
}

/* "0", "1", ... without signs, spaces or leading zeros; -1 for anything else. */
static int64_t parse_label_index(const char *text)
{
    int64_t value = 0;
    const size_t length = strlen(text);
    if (length == 0 || length > 9 || (text[0] == '0' && length > 1))
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/* id2label's values in the order of their ids into `labels` (cleared, `count` entries). */
static tuff_status order_labels(const tuff__json *json, const cJSON *id2label, size_t count, const char **labels)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, id2label)
    {
        const int64_t index = parse_label_index(item->string);
        if (!cJSON_IsString(item))
            return tuff__json_fail_value(json, "id2label", item, "a string for each id");
        if (index < 0 || index >= (int64_t)count || labels[index])
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: 'id2label' has the id '%s', wanted each of 0 to %zu once",
                              json->name, item->string, count - 1);
        labels[index] = item->valuestring;
    }
    return TUFF_SUCCESS;
}

static tuff_status read_labels(tuff__model_config *config, const tuff__json *json)
{
    const cJSON *id2label, *label2id;
    int64_t num_labels = 0;
    TUFF_TRY(tuff__json_object_or(json, json->root, "id2label", NULL, &id2label));
    TUFF_TRY(tuff__json_object_or(json, json->root, "label2id", NULL, &label2id));
    TUFF_TRY(tuff__json_int_or(json, json->root, "num_labels", 1, MAX_LABELS, 0, &num_labels));
    if (!id2label) /* transformers leaves id2label out where it is its own default: two labels */
        return tuff__model_config_set_labels(config, NULL, num_labels ? (size_t)num_labels : 2);
    const size_t count = (size_t)cJSON_GetArraySize(id2label);
    if (count < 1 || count > MAX_LABELS || (num_labels && (size_t)num_labels != count))
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: 'id2label' has %zu labels, wanted %lld", json->name, count,
                          (long long)(num_labels ? num_labels : 1));
    const char **labels = tuff__calloc(count, sizeof *labels);
    if (!labels)
        return tuff__fail_memory("label names", count * sizeof *labels);
    tuff_status status = order_labels(json, id2label, count, labels);
    if (status == TUFF_SUCCESS)
        status = tuff__model_config_set_labels(config, labels, count);
    tuff__free(labels);
    return status;
}

static tuff_status read_values(tuff__model_config *config, const tuff__json *json)
{
    if (!cJSON_IsObject(json->root))
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: is not a JSON object", json->name);
    TUFF_TRY(read_names(config, json));
    TUFF_TRY(read_sizes(json, &config->fields));
    TUFF_TRY(read_activation(json, &config->fields.hidden_act));
    TUFF_TRY(read_numbers(json, &config->fields));
    TUFF_TRY(read_problem_type(json, &config->fields.problem_type));
    TUFF_TRY(read_labels(config, json));
    return check_keys(json);
}

/* What is kept is text, no tree of cJSON's: the application may set cJSON's hooks anew while the model lives. */
static tuff_status read_all(tuff__model_config *config, tuff__json *json)
{
    tuff_status status = read_values(config, json);
    if (status == TUFF_SUCCESS) {
        tuff__json_writer writer = {0};
        tuff__json_write_value(&writer, json->root);
        status = tuff__json_finish_text(&writer, &config->kept, NULL);
    }
    tuff__json_destroy(json);
    return status;
}

/* config.json files are a few kB; one with a label for every class of a large taxonomy is a few MB. */
static const tuff__json_limits limits = {.max_size = (size_t)64 << 20, .max_values = (size_t)4 << 20, .max_depth = 32};

tuff_status tuff__model_config_load(const char *dir, tuff__model_config *out_config)
{
    *out_config = (tuff__model_config){0};
    char *path = tuff__asprintf("%s/config.json", dir);
    if (!path)
        return tuff__fail_memory("path", strlen(dir));
    tuff__json *json = NULL;
    const tuff_status status = tuff__json_load(path, &limits, &json);
    tuff__free(path);
    return status == TUFF_SUCCESS ? read_all(out_config, json) : status;
}

tuff_status tuff__model_config_parse(const char *name, const char *text, size_t size, tuff__model_config *out_config)
{
    *out_config = (tuff__model_config){0};
    tuff__json *json = NULL;
    TUFF_TRY(tuff__json_parse(name, text, size, &limits, &json));
    return read_all(out_config, json);
}

void tuff__model_config_destroy(tuff__model_config *config)
{
    if (!config)
        return;
    tuff__free(config->kept);
    tuff__arena_destroy(&config->arena);
    *config = (tuff__model_config){0};
}

tuff_status tuff__model_config_set_labels(tuff__model_config *config, const char *const *labels, size_t count)
{
    if (count < 1 || count > MAX_LABELS)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "model: %zu labels, wanted 1 to %d", count, MAX_LABELS);
    const char **copies = tuff__arena_alloc(&config->arena, count * sizeof *copies);
    if (!copies)
        return tuff__fail_memory("label names", count * sizeof *copies);
    for (size_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "LABEL_%zu", i);
        TUFF_TRY(copy_string(config, labels ? labels[i] : text, &copies[i]));
    }
    config->fields.labels = copies;
    config->fields.num_labels = (int64_t)count;
    return TUFF_SUCCESS;
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

static void write_labels(tuff__json_writer *writer, const tuff_model_config *fields)
{
    char index[32];
    tuff__json_key(writer, "id2label");
    tuff__json_begin_object(writer);
    for (int64_t i = 0; i < fields->num_labels; i++) {
        snprintf(index, sizeof index, "%lld", (long long)i);
        tuff__json_put_string(writer, index, fields->labels[i]);
    }
    tuff__json_end_object(writer);
    tuff__json_key(writer, "label2id");
    tuff__json_begin_object(writer);
    for (int64_t i = 0; i < fields->num_labels; i++) {
        tuff__json_put_int(writer, fields->labels[i], i);
    }
    tuff__json_end_object(writer);
    if (fields->problem_type != TUFF_PROBLEM_TYPE_DEFAULT) {
        tuff__json_put_string(writer, "problem_type", problem_type_names[fields->problem_type]);
    }
}

/* The file's own keys, but for those that are written anew. */
static void write_kept(tuff__json_writer *writer, const cJSON *root, bool with_labels)
{
    static const char *const label_keys[] = {"_num_labels", "id2label", "label2id", "num_labels", "problem_type"};
    /* A whole number keeps its ".0": transformers 5 refuses an int where its class says float. */
    static const char *const real_keys[] = {"hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout",
                                            "layer_norm_eps", "initializer_range"};
    static const char *const replaced_keys[] = {"architectures", "dtype", "torch_dtype"};
    const cJSON *item;
    cJSON_ArrayForEach(item, root)
    {
        if (CONTAINS(replaced_keys, item->string) || (with_labels && CONTAINS(label_keys, item->string)) ||
            item != tuff__json_find(root, item->string))
            continue;
        tuff__json_key(writer, item->string);
        if (CONTAINS(real_keys, item->string) && cJSON_IsNumber(item))
            tuff__json_write_double(writer, item->valuedouble);
        else
            tuff__json_write_value(writer, item);
    }
}

tuff_status tuff__model_config_write(const tuff__model_config *config, const char *architecture, bool with_labels,
                                     char **out_text, size_t *out_length)
{
    tuff__json *json = NULL;
    *out_text = NULL;
    TUFF_TRY(tuff__json_parse("config.json", config->kept, strlen(config->kept), NULL, &json));
    tuff__json_writer writer = {.indent = 2};
    tuff__json_begin_object(&writer);
    tuff__json_key(&writer, "architectures");
    tuff__json_begin_array(&writer);
    tuff__json_write_string(&writer, architecture);
    tuff__json_end_array(&writer);
    write_kept(&writer, json->root, with_labels);
    tuff__json_destroy(json);
    if (with_labels)
        write_labels(&writer, &config->fields);
    /* The one spelling that transformers 4 and 5 both read. */
    tuff__json_put_string(&writer, "torch_dtype", "float32");
    tuff__json_end_object(&writer);
    return tuff__json_finish_text(&writer, out_text, out_length);
}
