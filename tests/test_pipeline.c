/* test_pipeline.c: texts in, transformers' and sentence-transformers' answers out. On the device that TUFF_DEVICE names
 * (default: the CPU device). */
#include "check_device.h"
#include "check_golden.h"
#include "env.h"
#include "io/file.h"
#include "model/model.h"
#include "os.h"
#include "tuff/pipeline.h"

static tuff_device *device;

enum { MAX_TEXTS = 8 };

static size_t read_texts(const tuff__json *golden, tuff_text texts[MAX_TEXTS])
{
    const cJSON *item;
    size_t count = 0;
    cJSON_ArrayForEach(item, tuff__json_find(tuff__json_find(golden->root, "pipeline"), "texts"))
    {
        texts[count].data = item->valuestring;
        texts[count++].size = strlen(item->valuestring);
    }
    return count;
}

/* One text's labels in order, and their scores. */
static void check_scores(const tuff_label_score *scores, size_t top_k, const cJSON *wanted)
{
    for (size_t i = 0; i < top_k; i++) {
        const cJSON *item = cJSON_GetArrayItem(wanted, (int)i);
        assert_string_equal(scores[i].label, tuff__json_find(item, "label")->valuestring);
        const double score = tuff__json_find(item, "score")->valuedouble;
        if (!(fabs((double)scores[i].score - score) <= 1e-5))
            fail_msg("%s: got %.9g, want %.9g", scores[i].label, (double)scores[i].score, score);
    }
}

static void test_text_classification(void **state)
{
    (void)state;
    static const struct {
        tuff_function_to_apply function;
        const char *key;
        uint32_t top_k;
    } rows[] = {
        {TUFF_FUNCTION_DEFAULT, "softmax", 99},
        {TUFF_FUNCTION_SOFTMAX, "softmax", 2},
        {TUFF_FUNCTION_SIGMOID, "sigmoid", 3},
        {TUFF_FUNCTION_NONE, "none", 0},
    };
    tuff__json *golden = tuff__golden_load("gelu_head20");
    const cJSON *pipeline_golden = tuff__json_find(golden->root, "pipeline");
    tuff_text texts[MAX_TEXTS];
    const size_t count = read_texts(golden, texts);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        tuff_text_classification *pipeline = NULL;
        tuff_label_score scores[MAX_TEXTS * 3];
        const tuff_text_classification_info info = {.function_to_apply = rows[r].function, .top_k = rows[r].top_k};
        if (tuff_text_classification_create(device, tuff__golden_folder("gelu_head20"), &info, &pipeline) !=
            TUFF_SUCCESS)
            fail_msg("%s", tuff_last_error());
        const size_t top_k = tuff_text_classification_top_k(pipeline);
        assert_int_equal(top_k, rows[r].top_k > 3 ? 3 : rows[r].top_k ? rows[r].top_k : 1);
        if (tuff_text_classification_run(pipeline, texts, NULL, count, scores) != TUFF_SUCCESS)
            fail_msg("%s", tuff_last_error());
        for (size_t i = 0; i < count; i++)
            check_scores(scores + i * top_k, top_k,
                         cJSON_GetArrayItem(tuff__json_find(pipeline_golden, rows[r].key), (int)i));
        tuff_text_classification_destroy(pipeline);
    }
    tuff__json_destroy(golden);
}

/* A folder with a small model of random weights, golden's vocabulary, and that head. */
static void write_classifier(const char *folder, const char *problem_type, const char *labels, char config[1024])
{
    char path[600], vocabulary[600];
    tuff_model *model = NULL;
    snprintf(config, 1024,
             "{\"model_type\": \"bert\", \"architectures\": [\"BertForSequenceClassification\"], \"vocab_size\": 97,"
             " \"hidden_size\": 12, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"intermediate_size\": 16,"
             " \"hidden_act\": \"gelu\", \"max_position_embeddings\": 32, \"type_vocab_size\": 2,"
             " \"hidden_dropout_prob\": 0.1, \"attention_probs_dropout_prob\": 0.1, \"layer_norm_eps\": 1e-12,"
             " \"initializer_range\": 1, \"pad_token_id\": 0, \"problem_type\": %s, \"id2label\": {%s}}",
             problem_type, labels);
    if (tuff__model_create_from_text(device, "problem", config, &model) != TUFF_SUCCESS)
        fail_msg("%s: %s", config, tuff_last_error());
    assert_int_equal(tuff_model_save(model, NULL, folder), TUFF_SUCCESS);
    tuff_model_destroy(model);
    snprintf(path, sizeof path, "%s/vocab.txt", folder);
    snprintf(vocabulary, sizeof vocabulary, "%s/vocab.txt", tuff__golden_folder("gelu_head20"));
    assert_int_equal(tuff__file_copy(vocabulary, path), TUFF_SUCCESS);
}

static void test_pairs(void **state)
{
    (void)state;
    tuff__json *golden = tuff__golden_load("gelu_head20");
    tuff_text_classification *pipeline = NULL;
    tuff_label_score scores[3];
    const tuff_text text = {"the market", 10}, pair = {"the team wins", 13};
    assert_int_equal(tuff_text_classification_create(device, tuff__golden_folder("gelu_head20"),
                                                     &(tuff_text_classification_info){.top_k = 3}, &pipeline),
                     TUFF_SUCCESS);
    assert_int_equal(tuff_text_classification_run(pipeline, &text, &pair, 1, scores), TUFF_SUCCESS);
    check_scores(scores, 3, tuff__json_find(tuff__json_find(golden->root, "pipeline"), "pair"));
    tuff_text_classification_destroy(pipeline);
    tuff__json_destroy(golden);
}

/* More texts than one chunk or one batch, of mixed lengths: each is answered as when it is alone. */
static void test_many_texts(void **state)
{
    (void)state;
    enum { COUNT = 2100 };
    tuff__json *golden = tuff__golden_load("gelu_head20");
    tuff_text few[MAX_TEXTS];
    const size_t count = read_texts(golden, few);
    tuff_text *texts = tuff__calloc(COUNT, sizeof *texts);
    tuff_label_score *scores = tuff__calloc(COUNT * 3, sizeof *scores);
    tuff_text_classification *pipeline = NULL;
    for (size_t i = 0; i < COUNT; i++)
        texts[i] = few[i * 7 % count];
    const tuff_text_classification_info info = {.top_k = 3, .batch_size = 24};
    assert_int_equal(tuff_text_classification_create(device, tuff__golden_folder("gelu_head20"), &info, &pipeline),
                     TUFF_SUCCESS);
    assert_int_equal(tuff_text_classification_run(pipeline, texts, NULL, COUNT, scores), TUFF_SUCCESS);
    const cJSON *wanted = tuff__json_find(tuff__json_find(golden->root, "pipeline"), "softmax");
    for (size_t i = 0; i < COUNT; i++)
        check_scores(scores + i * 3, 3, cJSON_GetArrayItem(wanted, (int)(i * 7 % count)));
    assert_int_equal(tuff_text_classification_run(pipeline, texts, NULL, 0, scores), TUFF_SUCCESS);
    texts[COUNT - 1] = (tuff_text){"a\xff", 2};
    tuff__check_failed(tuff_text_classification_run(pipeline, texts, NULL, COUNT, scores), TUFF_ERROR_INVALID_ARGUMENT,
                       "text 2099: ");
    tuff_text_classification_destroy(pipeline);
    tuff__free(texts);
    tuff__free(scores);
    tuff__json_destroy(golden);
}

static void test_embeddings(void **state)
{
    (void)state;
    tuff__json *golden = tuff__golden_load("tanh_head6_body");
    const cJSON *wanted = tuff__json_find(golden->root, "pipeline");
    tuff_text texts[MAX_TEXTS];
    tuff_features features[MAX_TEXTS];
    const size_t count = read_texts(golden, texts);
    tuff_feature_extraction *pipeline = NULL;
    if (tuff_feature_extraction_create(device, tuff__golden_folder("tanh_head6_body"), NULL, &pipeline) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    assert_int_equal(tuff_feature_extraction_pooling(pipeline), TUFF_POOLING_MEAN);
    assert_int_equal(tuff_feature_extraction_dimension(pipeline), 24);
    assert_int_equal(tuff_feature_extraction_run(pipeline, texts, NULL, count, features), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(features[i].rows, 1);
        tuff__golden_compare("embedding", i, features[i].values, 24,
                             cJSON_GetArrayItem(tuff__json_find(wanted, "embeddings"), (int)i), 2e-6);
        tuff_free(features[i].values);
    }
    tuff_feature_extraction_destroy(pipeline);
    /* every token, as transformers' pipeline gives them */
    const tuff_feature_extraction_info none = {.pooling = TUFF_POOLING_NONE};
    assert_int_equal(tuff_feature_extraction_create(device, tuff__golden_folder("tanh_head6_body"), &none, &pipeline),
                     TUFF_SUCCESS);
    assert_int_equal(tuff_feature_extraction_run(pipeline, &texts[1], NULL, 1, features), TUFF_SUCCESS);
    const cJSON *tokens = tuff__json_find(wanted, "tokens_of_text_1");
    assert_int_equal(features[0].rows, cJSON_GetArraySize(tokens));
    for (size_t row = 0; row < features[0].rows; row++)
        tuff__golden_compare("token", row, features[0].values + row * 24, 24, cJSON_GetArrayItem(tokens, (int)row),
                             1e-5);
    tuff_free(features[0].values);
    tuff_feature_extraction_destroy(pipeline);
    tuff__json_destroy(golden);
}

/* How scores are made where nobody says: by problem_type, and for one label by that. */
static void test_functions_of_problem_types(void **state)
{
    (void)state;
    static const struct {
        const char *problem_type, *labels;
        bool sums_to_one;
        tuff_function_to_apply same_as;
    } rows[] = {
        {"\"multi_label_classification\"", "\"0\": \"a\", \"1\": \"b\"", false, TUFF_FUNCTION_SIGMOID},
        {"\"single_label_classification\"", "\"0\": \"a\", \"1\": \"b\"", true, TUFF_FUNCTION_SOFTMAX},
        {"\"regression\"", "\"0\": \"a\"", false, TUFF_FUNCTION_NONE},
        {"null", "\"0\": \"a\"", false, TUFF_FUNCTION_SIGMOID},
        {"null", "\"0\": \"a\", \"1\": \"b\"", true, TUFF_FUNCTION_SOFTMAX},
    };
    const tuff_text text = {"the market is up", 16};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *folder = tuff__check_path("problem");
        char config[1024];
        write_classifier(folder, rows[i].problem_type, rows[i].labels, config);
        tuff_label_score scores[2][2] = {{{0}}};
        size_t top_k = 0;
        for (int chosen = 0; chosen < 2; chosen++) {
            tuff_text_classification *pipeline = NULL;
            const tuff_text_classification_info info = {
                .top_k = 2, .function_to_apply = chosen ? rows[i].same_as : TUFF_FUNCTION_DEFAULT};
            if (tuff_text_classification_create(device, folder, &info, &pipeline) != TUFF_SUCCESS)
                fail_msg("%s: %s", config, tuff_last_error());
            top_k = tuff_text_classification_top_k(pipeline);
            assert_int_equal(tuff_text_classification_run(pipeline, &text, NULL, 1, scores[chosen]), TUFF_SUCCESS);
            tuff_text_classification_destroy(pipeline);
        }
        for (size_t k = 0; k < top_k; k++)
            assert_true(scores[0][k].score == scores[1][k].score);
        const double sum = (double)scores[0][0].score + (double)scores[0][1].score;
        assert_int_equal(fabs(sum - 1) < 1e-6, rows[i].sums_to_one);
    }
}

/* Explicit settings outrank the folder's; a folder without modules.json gives tokens. */
static void test_pooling_choice(void **state)
{
    (void)state;
    static const struct {
        const char *folder;
        tuff_feature_extraction_info info;
        tuff_pooling wanted;
        bool unit;
    } rows[] = {
        {"tanh_head6_body", {.pooling = TUFF_POOLING_MAX}, TUFF_POOLING_MAX, false},
        {"tanh_head6_body", {.pooling = TUFF_POOLING_CLS, .normalize = TUFF_NORMALIZE_YES}, TUFF_POOLING_CLS, true},
        {"tanh_head6_body", {.normalize = TUFF_NORMALIZE_NO}, TUFF_POOLING_MEAN, false},
        {"tanh_head6_body", {.pooling = TUFF_POOLING_MEAN}, TUFF_POOLING_MEAN, true}, /* the folder's own, named */
        {"tanh_head6_body", {.pooling = TUFF_POOLING_MEAN, .normalize = TUFF_NORMALIZE_NO}, TUFF_POOLING_MEAN, false},
        {"tanh_head6_body", {.max_length = 4}, TUFF_POOLING_MEAN, true},
        {"gelu_head20", {.normalize = TUFF_NORMALIZE_DEFAULT}, TUFF_POOLING_NONE, false},
    };
    const tuff_text text = {"the market is up", 16};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tuff_feature_extraction *pipeline = NULL;
        tuff_features features;
        assert_int_equal(
            tuff_feature_extraction_create(device, tuff__golden_folder(rows[i].folder), &rows[i].info, &pipeline),
            TUFF_SUCCESS);
        assert_int_equal(tuff_feature_extraction_pooling(pipeline), rows[i].wanted);
        assert_int_equal(tuff_feature_extraction_run(pipeline, &text, NULL, 1, &features), TUFF_SUCCESS);
        assert_int_equal(features.rows, rows[i].wanted == TUFF_POOLING_NONE ? 6 : 1);
        double squares = 0;
        for (size_t j = 0; j < tuff_feature_extraction_dimension(pipeline); j++)
            squares += (double)features.values[j] * (double)features.values[j];
        assert_int_equal(fabs(squares - 1) < 1e-5, rows[i].unit);
        tuff_free(features.values);
        tuff_feature_extraction_destroy(pipeline);
    }
}

/* -- threads ------------------------------------------------------------------------------------------------------ */

typedef struct embedder {
    tuff__thread *thread;
    tuff_status status;
    float numbers[8][64];
} embedder;

/* Loads a pipeline of its own and embeds different batches again and again. */
static void embed(void *user)
{
    embedder *e = user;
    static const char text[] = "the quick brown fox jumps over the lazy dog";
    tuff_feature_extraction *pipeline = NULL;
    e->status = tuff_feature_extraction_create(device, tuff__golden_folder("gelu_head20"), NULL, &pipeline);
    for (size_t i = 0; i < 8 && e->status == TUFF_SUCCESS; i++) {
        const tuff_text one = {.data = text, .size = 9 + 4 * i};
        tuff_features features = {0};
        e->status = tuff_feature_extraction_run(pipeline, &one, NULL, 1, &features);
        if (e->status == TUFF_SUCCESS)
            memcpy(e->numbers[i], features.values, tuff_feature_extraction_dimension(pipeline) * sizeof(float));
        tuff_free(features.values);
    }
    tuff_feature_extraction_destroy(pipeline);
}

/* Threads that share a device get what one alone gets. */
static void test_threads_share_a_device(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    static embedder alone, together[THREADS];
    embed(&alone);
    assert_int_equal(alone.status, TUFF_SUCCESS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(tuff__thread_create(embed, &together[i], &together[i].thread), TUFF_SUCCESS);
    for (int i = 0; i < THREADS; i++)
        tuff__thread_join(together[i].thread);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(together[i].status, TUFF_SUCCESS);
        assert_memory_equal(together[i].numbers, alone.numbers, sizeof alone.numbers);
    }
}

static void test_refused(void **state)
{
    (void)state;
    tuff_text_classification *classification = NULL;
    tuff_feature_extraction *extraction = NULL;
    tuff_features features = {0};
    tuff__check_failed(tuff_text_classification_create(device, tuff__golden_folder("gelu_head20"),
                                                       &(tuff_text_classification_info){.max_length = 51},
                                                       &classification),
                       TUFF_ERROR_INVALID_ARGUMENT, "max_length 51 is more than the model's 50 positions");
    assert_null(classification);
    tuff__check_failed(
        tuff_text_classification_create(device, tuff__golden_folder("relu_head12_f16"), NULL, &classification),
        TUFF_ERROR_IO, "tokenizer"); /* the folder has none */
    assert_int_equal(tuff_feature_extraction_create(device, tuff__golden_folder("tanh_head6_body"), NULL, &extraction),
                     TUFF_SUCCESS);
    const tuff_text text = {"a\xff", 2};
    tuff__check_failed(tuff_feature_extraction_run(extraction, &text, NULL, 1, &features), TUFF_ERROR_INVALID_ARGUMENT,
                       "UTF-8");
    assert_null(features.values);
    tuff_feature_extraction_destroy(extraction);
}

/* modules.json and 1_Pooling/config.json that ask for what tuff does not do. */
static void test_modules(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text, *message; /* message NULL: accepted */
    } rows[] = {
        {"modules.json", "[{\"type\": \"sentence_transformers.models.Dense\", \"path\": \"2_Dense\"}]", "'type'"},
        {"modules.json", "[{\"type\": \"x.Pooling\", \"path\": \"../1_Pooling\"}]", "'path'"},
        {"modules.json", "{}", "not a JSON array"},
        {"modules.json", "[{\"type\": \"x.Pooling\", \"path\": \"p\"}]", "p/config.json"},
        {"modules.json",
         "[{\"type\": \"a.b.Transformer\", \"path\": \"\"}, {\"type\": \"a.Pooling\", \"path\": \"1\"}]", NULL},
        {"1/config.json", "{\"pooling_mode_mean_tokens\": true, \"pooling_mode_cls_token\": true}", "concatenation"},
        {"1/config.json", "{\"pooling_mode_lasttoken\": true}", "'pooling_mode_lasttoken' is not supported"},
        {"1/config.json", "{\"pooling_mode_mean_tokens\": false}", "names no pooling mode"},
        {"1/config.json", "{\"pooling_mode\": \"lasttoken\"}", "'pooling_mode'"},
        {"1/config.json", "{\"pooling_mode\": \"max\"}", NULL},
        {"sentence_bert_config.json", "{\"max_seq_length\": 0.5}", "'max_seq_length'"},
        {"sentence_bert_config.json", "{\"do_lower_case\": true}", "'do_lower_case'"},
        {"sentence_bert_config.json", "{}", NULL},
    };
    const char *folder = tuff__golden_copy("tanh_head6_body", "modules");
    char path[600];
    snprintf(path, sizeof path, "%s/1", folder);
    assert_int_equal(tuff__directory_create(path), TUFF_SUCCESS);
    snprintf(path, sizeof path, "%s/1/config.json", folder);
    tuff__check_write_text(path, "{\"pooling_mode_cls_token\": true}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tuff_feature_extraction *pipeline = NULL;
        snprintf(path, sizeof path, "%s/%s", folder, rows[i].file);
        tuff__check_write_text(path, rows[i].text);
        const tuff_status status = tuff_feature_extraction_create(device, folder, NULL, &pipeline);
        if (!rows[i].message && status != TUFF_SUCCESS)
            fail_msg("%s: %s", rows[i].text, tuff_last_error());
        if (rows[i].message)
            tuff__check_failed(status, status == TUFF_ERROR_IO ? TUFF_ERROR_IO : TUFF_ERROR_INVALID_FILE,
                               rows[i].message);
        tuff_feature_extraction_destroy(pipeline);
    }
}

/* -- the n-th allocation fails, for every n ----------------------------------------------------------------------- */

static tuff_status embed_once(void)
{
    tuff_feature_extraction *pipeline = NULL;
    tuff_features features = {0};
    const tuff_text text = {"the market is up", 16};
    tuff_status status =
        tuff_feature_extraction_create(device, tuff__golden_folder("tanh_head6_body"), NULL, &pipeline);
    if (status == TUFF_SUCCESS)
        status = tuff_feature_extraction_run(pipeline, &text, NULL, 1, &features);
    tuff_free(features.values);
    tuff_feature_extraction_destroy(pipeline);
    return status;
}

static tuff_status classify_once(void)
{
    tuff_text_classification *pipeline = NULL;
    tuff_label_score score;
    const tuff_text text = {"the market is up", 16};
    tuff_status status = tuff_text_classification_create(device, tuff__golden_folder("gelu_head20"), NULL, &pipeline);
    if (status == TUFF_SUCCESS)
        status = tuff_text_classification_run(pipeline, &text, NULL, 1, &score);
    tuff_text_classification_destroy(pipeline);
    return status;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    tuff_status (*const runs[])(void) = {embed_once, classify_once};
    if (tuff_device_get_properties(device)->backend == TUFF_BACKEND_VULKAN)
        return; /* drivers allocate on threads of their own */
    for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
        tuff__alloc_fail_at(0);
        assert_int_equal(runs[r](), TUFF_SUCCESS);
        const uint64_t count = tuff__alloc_count();
        for (uint64_t n = 1; n <= count; n++) {
            tuff__alloc_fail_at(n);
            const tuff_status status = runs[r]();
            tuff__alloc_fail_at(0);
            if (status != TUFF_SUCCESS && /* an optimisation that was left out */
                status != TUFF_ERROR_OUT_OF_HOST_MEMORY && status != TUFF_ERROR_OUT_OF_DEVICE_MEMORY)
                fail_msg("allocation %llu of %llu: %s: %s", (unsigned long long)n, (unsigned long long)count,
                         tuff_status_name(status), tuff_last_error());
        }
        assert_int_equal(runs[r](), TUFF_SUCCESS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_classification),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_many_texts),
        cmocka_unit_test(test_embeddings),
        cmocka_unit_test(test_pooling_choice),
        cmocka_unit_test(test_threads_share_a_device),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_modules),
        cmocka_unit_test(test_functions_of_problem_types),
        cmocka_unit_test(test_out_of_memory),
    };
    const int unopened = tuff__check_open_device(NULL, &device);
    if (unopened)
        return unopened;
    if (tuff__check_folder_create("test_pipeline") != 0)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tuff__check_folder_remove(NULL);
    tuff_device_destroy(device);
    return failed;
}
