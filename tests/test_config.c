/* test_config.c: config.json as transformers writes it is read in full; what is missing, wrong or unknown is refused by
 * name; what is written reads back. */
#include "model/model_config.h"

#include "check_cjson.h"
#include "check_file.h"

#include <stdio.h>

/* A whole configuration; tests change one line of it. */
static const char *const base_lines[] = {
    "\"model_type\": \"bert\"",
    "\"architectures\": [\"BertForSequenceClassification\"]",
    "\"vocab_size\": 100",
    "\"hidden_size\": 24",
    "\"num_hidden_layers\": 2",
    "\"num_attention_heads\": 3",
    "\"intermediate_size\": 40",
    "\"max_position_embeddings\": 64",
    "\"type_vocab_size\": 2",
    "\"pad_token_id\": 0",
    "\"hidden_act\": \"gelu\"",
    "\"hidden_dropout_prob\": 0.1",
    "\"attention_probs_dropout_prob\": 0.2",
    "\"classifier_dropout\": null",
    "\"layer_norm_eps\": 1e-12",
    "\"initializer_range\": 0.02",
    "\"torch_dtype\": \"float16\"",
    "\"id2label\": {\"1\": \"b\", \"0\": \"a\"}",
    "\"label2id\": {\"a\": 0, \"b\": 1}",
    "\"transformers_version\": \"4.8.2\"",
    "\"use_cache\": true",
    "\"gradient_checkpointing\": false",
};
enum { LINE_COUNT = sizeof base_lines / sizeof *base_lines };

/* The base without the line of `key`, with `line` (NULL: none) added. */
static void make_text(char *text, size_t size, const char *key, const char *line)
{
    size_t length = (size_t)snprintf(text, size, "{");
    for (size_t i = 0; i < LINE_COUNT; i++)
        if (!key || strncmp(base_lines[i] + 1, key, strlen(key)) != 0 || base_lines[i][1 + strlen(key)] != '"')
            length += (size_t)snprintf(text + length, size - length, "%s%s", length > 1 ? ", " : "", base_lines[i]);
    snprintf(text + length, size - length, "%s%s}", line ? ", " : "", line ? line : "");
}

static tuff_status parse(const char *key, const char *line, tuff__model_config *config)
{
    char text[4096];
    make_text(text, sizeof text, key, line);
    return tuff__model_config_parse("config.json", text, strlen(text), config);
}

static void test_fields(void **state)
{
    (void)state;
    tuff__model_config config;
    assert_int_equal(parse(NULL, NULL, &config), TUFF_SUCCESS);
    const tuff_model_config *fields = &config.fields;
    assert_string_equal(fields->model_type, "bert");
    assert_string_equal(fields->architecture, "BertForSequenceClassification");
    assert_int_equal(fields->vocab_size, 100);
    assert_int_equal(fields->hidden_size, 24);
    assert_int_equal(fields->num_hidden_layers, 2);
    assert_int_equal(fields->num_attention_heads, 3);
    assert_int_equal(fields->intermediate_size, 40);
    assert_int_equal(fields->max_position_embeddings, 64);
    assert_int_equal(fields->type_vocab_size, 2);
    assert_int_equal(fields->pad_token_id, 0);
    assert_int_equal(fields->hidden_act, TUFF_ACTIVATION_GELU);
    assert_true(fields->hidden_dropout_prob == 0.1f && fields->attention_probs_dropout_prob == 0.2f);
    assert_true(fields->classifier_dropout == 0.1f); /* null: hidden_dropout_prob */
    assert_true(fields->layer_norm_eps == 1e-12f && fields->initializer_range == 0.02f);
    assert_int_equal(fields->problem_type, TUFF_PROBLEM_TYPE_DEFAULT);
    assert_int_equal(fields->num_labels, 2);
    assert_string_equal(fields->labels[0], "a");
    assert_string_equal(fields->labels[1], "b");
    assert_string_equal(fields->dtype, "float16");
    tuff__model_config_destroy(&config);
}

/* The fields of `config` that differ from the base's, as "name value; " each. */
static const char *changes(const tuff_model_config *config)
{
    static char text[256];
    tuff__model_config base;
    assert_int_equal(parse(NULL, NULL, &base), TUFF_SUCCESS);
    const tuff_model_config *b = &base.fields;
    size_t length = 0;
    text[0] = '\0';
#define CHANGE(differs, ...)                                                                                           \
    if (differs)                                                                                                       \
    length += (size_t)snprintf(text + length, sizeof text - length, __VA_ARGS__)
    CHANGE(config->pad_token_id != b->pad_token_id, "pad_token_id %d; ", (int)config->pad_token_id);
    CHANGE(config->hidden_act != b->hidden_act, "hidden_act %d; ", (int)config->hidden_act);
    CHANGE(!config->architecture, "no architecture; ");
    CHANGE(!config->dtype, "no dtype; ");
    CHANGE(config->dtype && strcmp(config->dtype, b->dtype) != 0, "dtype %s; ", config->dtype);
    CHANGE(config->num_labels != b->num_labels, "num_labels %d; ", (int)config->num_labels);
    CHANGE(strcmp(config->labels[0], b->labels[0]) != 0, "label %s; ", config->labels[0]);
    CHANGE(config->problem_type != b->problem_type, "problem_type %d; ", (int)config->problem_type);
    CHANGE(config->hidden_dropout_prob != b->hidden_dropout_prob, "hidden_dropout_prob; ");
    CHANGE(config->initializer_range != b->initializer_range, "initializer_range; ");
    CHANGE(config->attention_probs_dropout_prob != b->attention_probs_dropout_prob, "attention_probs_dropout_prob %g; ",
           (double)config->attention_probs_dropout_prob);
    CHANGE(config->classifier_dropout != b->classifier_dropout, "classifier_dropout %g; ",
           (double)config->classifier_dropout);
    CHANGE(config->layer_norm_eps != b->layer_norm_eps, "layer_norm_eps %g; ", (double)config->layer_norm_eps);
#undef CHANGE
    tuff__model_config_destroy(&base);
    return text;
}

static void test_variants(void **state)
{
    (void)state;
    static const struct {
        const char *key, *line, *changes;
    } rows[] = {
        {"pad_token_id", NULL, ""},
        {"pad_token_id", "\"pad_token_id\": null", "pad_token_id -1; "},
        {"pad_token_id", "\"pad_token_id\": 7", "pad_token_id 7; "},
        {"architectures", NULL, "no architecture; "},
        {"architectures", "\"architectures\": null", "no architecture; "},
        {"torch_dtype", NULL, "no dtype; "},
        {"torch_dtype", "\"dtype\": \"bfloat16\"", "dtype bfloat16; "},
        {"id2label", NULL, "label LABEL_0; "},
        {"id2label", "\"num_labels\": 5", "num_labels 5; label LABEL_0; "},
        {NULL, "\"_num_labels\": 5", ""}, /* as transformers 4 and 5: id2label counts */
        {"classifier_dropout", NULL, ""},
        {"classifier_dropout", "\"classifier_dropout\": 0.3", "classifier_dropout 0.3; "},
        {"classifier_dropout", "\"classifier_dropout\": 0", "classifier_dropout 0; "},
        {"layer_norm_eps", NULL, ""},
        {"layer_norm_eps", "\"layer_norm_eps\": 1e-5", "layer_norm_eps 1e-05; "},
        {NULL, "\"position_embedding_type\": \"absolute\"", ""},
        {NULL, "\"is_decoder\": false, \"add_cross_attention\": false, \"pruned_heads\": {}", ""},
        {NULL, "\"problem_type\": \"multi_label_classification\"", "problem_type 3; "},
        {NULL, "\"problem_type\": null", ""},
        {NULL, "\"directionality\": \"bidi\", \"pooler_type\": \"first_token_transform\", \"_name_or_path\": \"x\"",
         ""},
        {NULL, "\"sbert_ce_default_activation_function\": \"torch.nn.modules.linear.Identity\", \"xla_device\": true",
         ""},
        {NULL, "\"sentence_transformers\": {\"version\": \"4.1.0\"}, \"eos_token_ids\": 0", ""},
        {"hidden_act", NULL, ""},
        {"hidden_dropout_prob", NULL, ""},
        {"initializer_range", NULL, ""},
        {"attention_probs_dropout_prob", NULL, "attention_probs_dropout_prob 0.1; "},
        {"hidden_act", "\"hidden_act\": \"gelu_python\"", ""},
        {"hidden_act", "\"hidden_act\": \"gelu_new\"", "hidden_act 2; "},
        {"hidden_act", "\"hidden_act\": \"gelu_pytorch_tanh\"", "hidden_act 2; "},
        {"hidden_act", "\"hidden_act\": \"gelu_python_tanh\"", "hidden_act 2; "},
        {"hidden_act", "\"hidden_act\": \"gelu_fast\"", "hidden_act 2; "},
        {"hidden_act", "\"hidden_act\": \"gelu_accurate\"", "hidden_act 2; "},
        {"hidden_act", "\"hidden_act\": \"silu\"", "hidden_act 3; "},
        {"hidden_act", "\"hidden_act\": \"swish\"", "hidden_act 3; "},
        {"hidden_act", "\"hidden_act\": \"tanh\"", "hidden_act 4; "},
        {"hidden_act", "\"hidden_act\": \"relu\"", "hidden_act 5; "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tuff__model_config config;
        const char *what = rows[i].line ? rows[i].line : rows[i].key;
        if (parse(rows[i].key, rows[i].line, &config) != TUFF_SUCCESS)
            fail_msg("%s: %s", what, tuff_last_error());
        if (strcmp(changes(&config.fields), rows[i].changes) != 0)
            fail_msg("%s: changes \"%s\", wanted \"%s\"", what, changes(&config.fields), rows[i].changes);
        tuff__model_config_destroy(&config);
    }
}

static void test_labels(void **state)
{
    (void)state;
    tuff__model_config config;
    assert_int_equal(parse("id2label", NULL, &config), TUFF_SUCCESS);
    assert_int_equal(config.fields.num_labels, 2);
    assert_string_equal(config.fields.labels[1], "LABEL_1");
    const char *const labels[] = {"정치", "b \"quoted\"", "c"};
    assert_int_equal(tuff__model_config_set_labels(&config, labels, 3), TUFF_SUCCESS);
    assert_string_equal(config.fields.labels[0], "정치");
    tuff__check_failed(tuff__model_config_set_labels(&config, labels, 0), TUFF_ERROR_INVALID_ARGUMENT, "0 labels");
    tuff__model_config_destroy(&config);
    assert_int_equal(parse("id2label", "\"num_labels\": 5", &config), TUFF_SUCCESS);
    assert_int_equal(config.fields.num_labels, 5);
    tuff__model_config_destroy(&config);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *line, *message;
    } rows[] = {
        {"model_type", NULL, "config.json: has no 'model_type'"},
        {"model_type", "\"model_type\": \"roberta\"",
         "config.json: model_type 'roberta' is not supported, wanted bert"},
        {"vocab_size", NULL, "'vocab_size'"},
        {"vocab_size", "\"vocab_size\": 0", "'vocab_size'"},
        {"vocab_size", "\"vocab_size\": \"100\"", "'vocab_size'"},
        {"vocab_size", "\"vocab_size\": 1e30", "'vocab_size'"},
        {"vocab_size", "\"vocab_size\": 100.5", "'vocab_size'"},
        {"hidden_size", NULL, "'hidden_size'"},
        {"hidden_size", "\"hidden_size\": 25", "hidden_size 25 is not a multiple of num_attention_heads 3"},
        {"hidden_size", "\"hidden_size\": 3000", "heads of 1000, wanted at most 256"},
        {"hidden_size", "\"hidden_size\": -24", "'hidden_size'"},
        {"num_hidden_layers", NULL, "'num_hidden_layers'"},
        {"num_hidden_layers", "\"num_hidden_layers\": 99999999", "'num_hidden_layers'"},
        {"num_attention_heads", NULL, "'num_attention_heads'"},
        {"intermediate_size", NULL, "'intermediate_size'"},
        {"max_position_embeddings", NULL, "'max_position_embeddings'"},
        {"type_vocab_size", NULL, "'type_vocab_size'"},
        {"hidden_act", "\"hidden_act\": null", "'hidden_act'"},
        {"hidden_act", "\"hidden_act\": \"mish\"", "'hidden_act'"},
        {"hidden_dropout_prob", "\"hidden_dropout_prob\": 1",
         "'hidden_dropout_prob' is the number 1, wanted a number of at least 0 and below 1"},
        {"attention_probs_dropout_prob", "\"attention_probs_dropout_prob\": -0.1", "'attention_probs_dropout_prob'"},
        {"layer_norm_eps", "\"layer_norm_eps\": null", "'layer_norm_eps'"},
        {"layer_norm_eps", "\"layer_norm_eps\": 2", "wanted a number from 0 to 1"},
        {"initializer_range", "\"initializer_range\": -1", "'initializer_range'"},
        {"classifier_dropout", "\"classifier_dropout\": \"x\"", "'classifier_dropout'"},
        {"pad_token_id", "\"pad_token_id\": 100", "'pad_token_id'"},
        {NULL, "\"position_embedding_type\": \"relative_key\"", "'position_embedding_type'"},
        {NULL, "\"is_decoder\": true", "'is_decoder'"},
        {NULL, "\"add_cross_attention\": true", "'add_cross_attention'"},
        {NULL, "\"pruned_heads\": {\"0\": [1]}", "'pruned_heads'"},
        {NULL, "\"quantization_config\": {\"bits\": 4}", "'quantization_config'"},
        {NULL, "\"embedding_size\": 12", "the key 'embedding_size' is not known"},
        {NULL, "\"auto_map\": {\"AutoModel\": \"x\"}", "the key 'auto_map' is not known"},
        {NULL, "\"problem_type\": \"ranking\"", "'problem_type'"},
        {"id2label", "\"id2label\": {\"0\": \"a\", \"2\": \"b\"}", "'id2label' has the id '2'"},
        {"id2label", "\"id2label\": {\"0\": \"a\", \"0\": \"b\"}", "'id2label' has the id '0'"},
        {"id2label", "\"id2label\": {\"00\": \"a\"}", "'id2label' has the id '00'"},
        {"id2label", "\"id2label\": {\"0\": 7}", "'id2label'"},
        {"id2label", "\"id2label\": {}", "'id2label' has 0 labels"},
        {NULL, "\"num_labels\": 3", "'id2label' has 2 labels, wanted 3"},
        {"architectures", "\"architectures\": [7]", "'architectures'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tuff__model_config config;
        tuff__check_failed(parse(rows[i].key, rows[i].line, &config), TUFF_ERROR_INVALID_FILE, rows[i].message);
        tuff__model_config_destroy(&config);
    }
}

static void test_not_an_object(void **state)
{
    (void)state;
    static const char *const texts[] = {"[]", "7", "\"bert\"", "", "{\"model_type\": \"bert\""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tuff__model_config config;
        tuff__check_failed(tuff__model_config_parse("config.json", texts[i], strlen(texts[i]), &config),
                           TUFF_ERROR_INVALID_FILE, "config.json");
        tuff__model_config_destroy(&config);
    }
}

static void test_write(void **state)
{
    (void)state;
    tuff__model_config config, again;
    char *text = NULL;
    size_t length = 0;
    const char *const labels[] = {"정치", "b \"quoted\"", "c"};
    assert_int_equal(parse(NULL, "\"task_specific_params\": {\"x\": [1, 2.5]}, \"dtype\": \"float16\"", &config),
                     TUFF_SUCCESS);
    assert_int_equal(tuff__model_config_set_labels(&config, labels, 3), TUFF_SUCCESS);
    config.fields.problem_type = TUFF_PROBLEM_TYPE_MULTI_LABEL_CLASSIFICATION;
    assert_int_equal(tuff__model_config_write(&config, "BertForSequenceClassification", true, &text, &length),
                     TUFF_SUCCESS);
    assert_int_equal(tuff__model_config_parse("again", text, length, &again), TUFF_SUCCESS);
    assert_int_equal(again.fields.num_labels, 3);
    assert_string_equal(again.fields.labels[0], "정치");
    assert_string_equal(again.fields.labels[1], "b \"quoted\"");
    assert_string_equal(again.fields.dtype, "float32");
    assert_int_equal(again.fields.problem_type, TUFF_PROBLEM_TYPE_MULTI_LABEL_CLASSIFICATION);
    assert_true(again.fields.layer_norm_eps == 1e-12f);
    assert_non_null(strstr(again.kept, "\"task_specific_params\": {\"x\": [1, 2.5]}"));
    assert_non_null(strstr(again.kept, "\"transformers_version\""));
    assert_null(strstr(again.kept, "\"dtype\"")); /* transformers 4 would not read it */
    tuff__free(text);
    tuff__model_config_destroy(&again);
    tuff__model_config_destroy(&config);
}

/* transformers 5 refuses a whole number without ".0" where its class says float. */
static void test_real_numbers_stay_real(void **state)
{
    (void)state;
    tuff__model_config config;
    char *text = NULL;
    size_t length = 0;
    assert_int_equal(parse("initializer_range", "\"initializer_range\": 1.0, \"_num_labels\": 2", &config),
                     TUFF_SUCCESS);
    assert_int_equal(tuff__model_config_write(&config, "BertForSequenceClassification", true, &text, &length),
                     TUFF_SUCCESS);
    assert_non_null(strstr(text, "\"initializer_range\": 1.0,"));
    assert_non_null(strstr(text, "\"classifier_dropout\": null,"));
    assert_non_null(strstr(text, "\"hidden_size\": 24,"));
    assert_null(strstr(text, "_num_labels")); /* it could contradict the new id2label */
    tuff__free(text);
    tuff__model_config_destroy(&config);
}

/* The application may set hooks of its own in cJSON between two calls. */
static void test_hooks_change(void **state)
{
    tuff__model_config before, after;
    char *text = NULL;
    size_t length = 0;
    assert_int_equal(parse(NULL, "\"_num_labels\": 2", &before), TUFF_SUCCESS);
    tuff__check_cjson_set_hooks(state);
    assert_int_equal(tuff__model_config_write(&before, "BertModel", false, &text, &length), TUFF_SUCCESS);
    tuff__model_config_destroy(&before);
    assert_int_equal(tuff__model_config_parse("config.json", text, length, &after), TUFF_SUCCESS);
    assert_int_equal(tuff__check_cjson_clear_hooks(state), 0);
    tuff__model_config_destroy(&after);
    tuff__free(text);
}

static void test_missing_file(void **state)
{
    (void)state;
    tuff__model_config config;
    tuff__check_failed(tuff__model_config_load("no-such-folder", &config), TUFF_ERROR_IO, "no-such-folder/config.json");
    tuff__model_config_destroy(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_not_an_object),
        cmocka_unit_test(test_real_numbers_stay_real),
        cmocka_unit_test(test_hooks_change),
        cmocka_unit_test(test_missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
