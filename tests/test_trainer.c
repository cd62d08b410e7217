/*
 * test_trainer.c: training against PyTorch's stored run (golden/train, made by make_training.py beside it), and the
 * promises of tuff_train_text_classification: equal runs give equal files, accumulation and filled-up batches change
 * nothing but rounding, failures leave an earlier output alone. On the device that TUFF_DEVICE names, and on the
 * reference.
 */
#include "../runtime/backend.h"
#include "../runtime/env.h"
#include "../runtime/io/file.h"
#include "../runtime/io/json.h"

#include "check_checkpoint.h"
#include "check_device.h"
#include "check_file.h"
#include "tuff/tokenizer.h"
#include "tuff/train.h"

#include <math.h>
#include <stdlib.h>

#define GOLDEN TUFF_TEST_DIR "/golden/train/"

static tuff_device *device; /* under test */

/* A path in the test's folder that lives as long as the program. */
static const char *path_of(const char *name)
{
    static char paths[64][256];
    static unsigned count;
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(paths[i], tuff__check_path(name)))
            return paths[i];
    assert_true(count < 64);
    snprintf(paths[count], sizeof paths[count], "%s", tuff__check_path(name));
    return paths[count++];
}

/* Small and quick, on the golden folder's model and rows. */
static tuff_training_arguments golden_arguments(const char *output_dir)
{
    return (tuff_training_arguments){
        .model = GOLDEN "initial",
        .train_file = GOLDEN "train.tsv",
        .text_column = "first",
        .text_pair_column = "second",
        .label_column = "class",
        .output_dir = output_dir,
        .per_device_train_batch_size = 4,
        .max_steps = 10,
        .warmup_steps = 3,
        .train_sampling_strategy = TUFF_TRAIN_SAMPLING_SEQUENTIAL,
        .trainer = {.learning_rate = 2e-3, .weight_decay = 0.01, .max_grad_norm = 0.7},
        .logging_steps = 1,
    };
}

static void train(const tuff_training_arguments *arguments, tuff_training_result *out_result)
{
    tuff_training_result result;
    if (tuff_train_text_classification(device, arguments, out_result ? out_result : &result) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
}

static void refuse(const tuff_training_arguments *arguments, tuff_status status, const char *part)
{
    tuff__check_failed(tuff_train_text_classification(device, arguments, NULL), status, part);
}

/* -- against PyTorch ---------------------------------------------------------------------------------------------- */

/* Line `line` of a log, and one number of it. */
static double log_number(const char *path, size_t line, const char *key)
{
    tuff__mapped_file file;
    tuff__json *json = NULL;
    double value = NAN;
    assert_int_equal(tuff__file_map(path, &file), TUFF_SUCCESS);
    const char *at = (const char *)file.data, *end = at + file.size;
    for (size_t i = 0; i < line; i++) {
        at = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(at);
        at++;
    }
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    assert_non_null(stop);
    assert_int_equal(tuff__json_parse(path, at, (size_t)(stop - at), NULL, &json), TUFF_SUCCESS);
    if (tuff__json_number(json, json->root, key, &value) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    tuff__json_destroy(json);
    tuff__file_unmap(&file);
    return value;
}

/* Norm of the difference of two tensors over the norm of the second. */
static double tensor_distance(const tuff__checkpoint *a, const tuff__checkpoint *b, const char *name)
{
    const tuff__safetensors_entry *x = tuff__check_find(a, name), *y = tuff__check_find(b, name);
    assert_non_null(x);
    assert_non_null(y);
    const size_t count = (size_t)x->count;
    assert_int_equal(x->count, y->count);
    float *values = calloc(2 * count, sizeof *values), *wanted = values + count;
    assert_non_null(values);
    assert_int_equal(tuff__safetensors_read_f32(x, values), TUFF_SUCCESS);
    assert_int_equal(tuff__safetensors_read_f32(y, wanted), TUFF_SUCCESS);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)values[i] - (double)wanted[i]) * ((double)values[i] - (double)wanted[i]);
        norm += (double)wanted[i] * (double)wanted[i];
    }
    free(values);
    return sqrt(difference) / sqrt(norm);
}

/* The largest relative distance of one figure over the ten steps. */
static double log_distance(const char *path, const char *key)
{
    double largest = 0;
    for (size_t step = 0; step < 10; step++) {
        const double got = log_number(path, step, key), wanted = log_number(GOLDEN "expected/log.jsonl", step, key);
        const double distance = fabs(got - wanted) / fabs(wanted);
        largest = distance <= largest ? largest : distance; /* keeps a NaN */
    }
    return largest;
}

/* Every figure and parameter stays as near to PyTorch's float64 run as PyTorch's float32 run does, within a factor
 * of 8. */
static void compare_with_golden(const char *folder)
{
    tuff__checkpoint *got, *wanted;
    char path[256], line[256], name[200];
    snprintf(path, sizeof path, "%s/log.jsonl", folder);
    assert_int_equal(tuff__checkpoint_open(folder, &got), TUFF_SUCCESS);
    assert_int_equal(tuff__checkpoint_open(GOLDEN "expected", &wanted), TUFF_SUCCESS);
    FILE *file = tuff__file_open(GOLDEN "expected/distances.txt", "rb");
    assert_non_null(file);
    size_t count = 0, failed = 0;
    double most = 0;
    while (fgets(line, sizeof line, file)) {
        double theirs;
        assert_int_equal(sscanf(line, "%199s %lf", name, &theirs), 2);
        const bool logged = !strcmp(name, "loss") || !strcmp(name, "grad_norm");
        const double ours = logged ? log_distance(path, name) : tensor_distance(got, wanted, name);
        if (!(ours <= 8 * theirs)) {
            print_error("%s: %.3g from PyTorch's float64 run, its float32 run %.3g\n", name, ours, theirs);
            failed++;
        }
        most = fmax(most, ours / theirs);
        count++;
    }
    print_message("%s: %zu figures and parameters, at most %.2f times PyTorch's float32 distance\n", folder, count,
                  most);
    fclose(file);
    tuff__checkpoint_destroy(got);
    tuff__checkpoint_destroy(wanted);
    assert_int_equal(failed, 0);
    assert_int_equal(count, 41);
}

static void test_golden(void **state)
{
    (void)state;
    const char *output = path_of("golden");
    tuff_training_result result;
    const tuff_training_arguments arguments = golden_arguments(output);
    train(&arguments, &result);
    assert_int_equal(result.steps, 10);
    assert_false(result.evaluated);
    compare_with_golden(output);
    for (size_t step = 0; step < 10; step++) {
        assert_true(log_number(path_of("golden/log.jsonl"), step, "step") == (double)step + 1);
        const double wanted = log_number(GOLDEN "expected/log.jsonl", step, "learning_rate");
        assert_true(fabs(log_number(path_of("golden/log.jsonl"), step, "learning_rate") - wanted) < 1e-18);
        assert_true(log_number(path_of("golden/log.jsonl"), step, "epoch") ==
                    log_number(GOLDEN "expected/log.jsonl", step, "epoch"));
    }
}

static void test_golden_on_the_reference(void **state)
{
    (void)state;
    tuff_device *tested = device;
    if (tuff_device_get_properties(tested)->backend == TUFF_BACKEND_VULKAN)
        skip(); /* the CPU's run of this program has it */
    assert_int_equal(tuff_device_create(&(tuff_device_create_info){.device = "reference"}, &device), TUFF_SUCCESS);
    const char *output = path_of("reference");
    const tuff_training_arguments arguments = golden_arguments(output);
    train(&arguments, NULL);
    compare_with_golden(output);
    tuff_device_destroy(device);
    device = tested;
}

/* -- what must not change a run ----------------------------------------------------------------------------------- */

/* Random order, dropout, evaluation: everything that could differ between two runs. */
static tuff_training_arguments lively_arguments(const char *output_dir)
{
    tuff_training_arguments arguments = golden_arguments(output_dir);
    arguments.train_sampling_strategy = TUFF_TRAIN_SAMPLING_RANDOM;
    arguments.trainer.dropout = 0.1;
    arguments.eval_file = arguments.train_file;
    arguments.max_steps = 0;
    arguments.num_train_epochs = 2;
    arguments.seed = 9;
    return arguments;
}

static void test_two_runs_give_equal_files(void **state)
{
    (void)state;
    static const char *const names[] = {"model.safetensors", "config.json", "log.jsonl", "log.html", "vocab.txt"};
    tuff_training_arguments first = lively_arguments(path_of("first"));
    train(&first, NULL);
    tuff_training_arguments second = lively_arguments(path_of("second"));
    train(&second, NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char a[256], b[256];
        snprintf(a, sizeof a, "%s/%s", first.output_dir, names[i]);
        snprintf(b, sizeof b, "%s/%s", second.output_dir, names[i]);
        tuff__check_equal_files(a, b);
    }
    second.seed = 10;
    train(&second, NULL);
    assert_true(log_number(path_of("first/log.jsonl"), 0, "loss") !=
                log_number(path_of("second/log.jsonl"), 0, "loss"));
}

/* While training, the log grows beside the output: never in a file that was there before. */
static void test_live_log_is_its_own(void **state)
{
    (void)state;
    char *live = tuff__asprintf("%s.log-%llu.jsonl", path_of("logged"), (unsigned long long)tuff__process_id());
    tuff_training_arguments arguments = golden_arguments(path_of("logged"));
    arguments.max_steps = 1;
    tuff__check_write_text(path_of("logged.log.jsonl"), "mine");
    train(&arguments, NULL);
    tuff__check_content(path_of("logged.log.jsonl"), "mine");
    assert_false(tuff__file_exists(live));
    tuff__check_write_text(live, "mine");
    refuse(&arguments, TUFF_ERROR_IO, ".jsonl: cannot write: File exists");
    tuff__check_content(live, "mine");
    tuff__free(live);
}

static void count_warning(void *user, tuff_log_level level, const char *message)
{
    unsigned *count = user;
    *count += level == TUFF_LOG_WARNING && strstr(message, "or was killed while it did: then remove ") &&
              strstr(message, "told.log-1x.jsonl");
}

/* What a killed run left beside the output is told, once, and stays. */
static void test_log_of_a_killed_run(void **state)
{
    (void)state;
    unsigned count = 0;
    tuff_training_arguments arguments = golden_arguments(path_of("told"));
    arguments.max_steps = 2;
    arguments.save_strategy = TUFF_INTERVAL_STEPS;
    arguments.save_steps = 1;
    tuff__check_write_text(path_of("told.log-1x.jsonl"), "mine");
    tuff_set_log(count_warning, &count);
    train(&arguments, NULL);
    tuff_set_log(NULL, NULL);
    assert_int_equal(count, 1);
    tuff__check_content(path_of("told.log-1x.jsonl"), "mine");
}

static void assert_near_folders(const char *a, const char *b, double allowed)
{
    tuff__checkpoint *x, *y;
    assert_int_equal(tuff__checkpoint_open(a, &x), TUFF_SUCCESS);
    assert_int_equal(tuff__checkpoint_open(b, &y), TUFF_SUCCESS);
    for (size_t i = 0; i < tuff__checkpoint_count(x); i++) {
        const char *name = tuff__checkpoint_entry(x, i)->name;
        const double distance = tensor_distance(x, y, name);
        /* A key bias's gradient is rounding alone, which AdamW makes as large as any other. */
        if (!strstr(name, "attention.self.key.bias") && !(distance <= allowed))
            fail_msg("%s: %g apart, allowed %g", name, distance, allowed);
    }
    tuff__checkpoint_destroy(x);
    tuff__checkpoint_destroy(y);
}

/* Two batches of 2 to an update are one of 4; the epoch's last update of 2 rows is one batch alone. */
static void test_gradient_accumulation(void **state)
{
    (void)state;
    const tuff_training_arguments whole = golden_arguments(path_of("whole"));
    tuff_training_arguments parts = golden_arguments(path_of("parts"));
    parts.per_device_train_batch_size = 2;
    parts.gradient_accumulation_steps = 2;
    train(&whole, NULL);
    train(&parts, NULL);
    assert_near_folders(whole.output_dir, parts.output_dir, 1e-5);
    for (size_t step = 0; step < 10; step++) {
        const double a = log_number(path_of("whole/log.jsonl"), step, "loss");
        const double b = log_number(path_of("parts/log.jsonl"), step, "loss");
        assert_true(fabs(a - b) <= 2e-6 * a);
    }
}

/* 26 rows in batches of 4, three to an update: 7 batches an epoch, of which the third update has one. Trainer's epochs
 * are (batches done)/7. */
static void test_epochs_of_accumulated_updates(void **state)
{
    (void)state;
    static const double wanted[] = {0.4286, 0.8571, 1, 1.4286, 1.8571, 2, 2.4286};
    tuff_training_arguments arguments = golden_arguments(path_of("epochs"));
    arguments.gradient_accumulation_steps = 3;
    arguments.max_steps = 7;
    train(&arguments, NULL);
    for (size_t step = 0; step < 7; step++)
        assert_true(log_number(path_of("epochs/log.jsonl"), step, "epoch") == wanted[step]);
}

/* -- one update --------------------------------------------------------------------------------------------------- */

static tuff_model *load_initial(void)
{
    tuff_model *model;
    assert_int_equal(tuff_model_load(device, GOLDEN "initial", &model), TUFF_SUCCESS);
    return model;
}

static const int32_t some_ids[3 * 6] = {2, 10, 11, 3, 0, 0, 2, 20, 3, 0, 0, 0, 2, 30, 31, 32, 33, 3};
static const int32_t some_lengths[3] = {4, 3, 6}, some_labels[3] = {0, 2, 1};

static tuff_step_result one_step(uint32_t fill_up, const int32_t *labels, size_t count)
{
    tuff_model *model = load_initial();
    tuff_trainer *trainer;
    tuff_step_result result;
    const tuff_trainer_create_info info = {.total_steps = 5, .dropout = -1, .per_device_train_batch_size = fill_up};
    const tuff_batch batch = {
        .count = count, .max_length = 6, .input_ids = some_ids, .lengths = some_lengths, .labels = labels};
    assert_int_equal(tuff_trainer_create(model, &info, &trainer), TUFF_SUCCESS);
    if (tuff_trainer_step(trainer, &batch, 1, &result) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    assert_int_equal(result.step, 1);
    assert_true(result.learning_rate == 5e-5);
    tuff_trainer_destroy(trainer);
    tuff_model_destroy(model);
    return result;
}

static void test_rows_that_do_not_count(void **state)
{
    (void)state;
    static const int32_t two_of_three[3] = {0, 2, -100};
    const tuff_step_result two = one_step(0, some_labels, 2), filled = one_step(5, some_labels, 2);
    const tuff_step_result ignored = one_step(0, two_of_three, 3);
    assert_true(fabs(two.loss - filled.loss) <= 1e-6 * two.loss);
    assert_true(fabs(two.grad_norm - filled.grad_norm) <= 1e-5 * two.grad_norm);
    assert_true(fabs(two.loss - ignored.loss) <= 1e-6 * two.loss);
    assert_true(fabs(two.grad_norm - ignored.grad_norm) <= 1e-5 * two.grad_norm);
}

static void test_refused_batches(void **state)
{
    (void)state;
    static const int32_t bad_labels[3] = {0, 3, 1}, bad_lengths[3] = {4, 0, 6};
    tuff_model *model = load_initial();
    tuff_trainer *trainer;
    const tuff_trainer_create_info info = {.total_steps = 5};
    assert_int_equal(tuff_trainer_create(model, &info, &trainer), TUFF_SUCCESS);
    tuff_batch batch = {
        .count = 3, .max_length = 6, .input_ids = some_ids, .lengths = some_lengths, .labels = bad_labels};
    tuff__check_failed(tuff_trainer_step(trainer, &batch, 1, NULL), TUFF_ERROR_INVALID_ARGUMENT, "row 1 has label 3");
    batch.labels = some_labels;
    static const int32_t bad_ids[3 * 6] = {2, 10, 11, 3, -7, 0, 2, 4711, 3, 0, 0, 0, 2, 30, 31, 32, 33, 3};
    static const int32_t negative[3 * 6] = {2, 10, -1}, bad_types[3 * 6] = {0, 1, 0, 1, 9, 9, 0, 0, 2};
    batch.input_ids = bad_ids; /* -7 is behind the row's end */
    tuff__check_failed(tuff_trainer_step(trainer, &batch, 1, NULL), TUFF_ERROR_INVALID_ARGUMENT,
                       "row 1 of the batch has the token id 4711, the model's vocab_size is");
    batch.input_ids = negative;
    tuff__check_failed(tuff_trainer_step(trainer, &batch, 1, NULL), TUFF_ERROR_INVALID_ARGUMENT,
                       "row 0 of the batch has the token id -1");
    batch.input_ids = some_ids;
    batch.token_type_ids = bad_types;
    tuff__check_failed(tuff_trainer_step(trainer, &batch, 1, NULL), TUFF_ERROR_INVALID_ARGUMENT,
                       "row 1 of the batch has the token type id 2, the model's type_vocab_size is 2");
    batch.token_type_ids = NULL;
    batch.lengths = bad_lengths;
    tuff__check_failed(tuff_trainer_step(trainer, &batch, 1, NULL), TUFF_ERROR_INVALID_ARGUMENT,
                       "row 1 of the batch has 0 ids");
    tuff__check_failed(tuff_trainer_step(trainer, &batch, 0, NULL), TUFF_ERROR_INVALID_ARGUMENT, "at least 1 batch");
    tuff_trainer_destroy(trainer);
    trainer = NULL;
    tuff__check_failed(tuff_trainer_create(model, NULL, &trainer), TUFF_ERROR_INVALID_ARGUMENT, "needs total_steps");
    tuff__check_failed(tuff_trainer_create(model, &(tuff_trainer_create_info){.adam_beta2 = 1.5}, &trainer),
                       TUFF_ERROR_INVALID_ARGUMENT, "adam_beta2 is 1.5");
    assert_null(trainer);
    tuff_model_destroy(model);
    assert_int_equal(tuff_model_describe(GOLDEN "/initial", &model), TUFF_SUCCESS);
    tuff__check_failed(tuff_trainer_create(model, &info, &trainer), TUFF_ERROR_INVALID_ARGUMENT, "described only");
    tuff_model_destroy(model);
}

/* A weight that is no number is the file's fault, neither the learning rate's nor the device's. */
static void test_refused_weights(void **state)
{
    (void)state;
    static const char name[] = "bert.encoder.layer.1.output.dense.bias";
    tuff_model *model = load_initial();
    tuff_trainer *trainer = NULL;
    float values[24] = {0};
    values[5] = INFINITY;
    assert_int_equal(tuff_model_write_parameter(model, name, values, sizeof values), TUFF_SUCCESS);
    tuff__check_failed(tuff_trainer_create(model, &(tuff_trainer_create_info){.total_steps = 5}, &trainer),
                       TUFF_ERROR_INVALID_FILE, "'bert.encoder.layer.1.output.dense.bias' has inf at element 5 of 24");
    assert_null(trainer);
    tuff_model_destroy(model);
}

/* The reference makes a negative NaN of these weights, as the operations of x86 do; its sign means nothing. */
static void test_nan_has_no_sign(void **state)
{
    (void)state;
    tuff_device *reference = NULL;
    assert_int_equal(tuff_device_create(&(tuff_device_create_info){.device = "reference"}, &reference), TUFF_SUCCESS);
    tuff_training_arguments arguments = golden_arguments(path_of("nan"));
    arguments.per_device_train_batch_size = 8;
    arguments.warmup_steps = 0;
    arguments.train_sampling_strategy = TUFF_TRAIN_SAMPLING_RANDOM;
    arguments.seed = 42;
    arguments.trainer = (tuff_trainer_create_info){.learning_rate = 1e3};
    tuff__check_failed(tuff_train_text_classification(reference, &arguments, NULL), TUFF_ERROR_INVALID_ARGUMENT,
                       "gradient norm nan, wanted finite numbers");
    tuff_device_destroy(reference);
}

/* -- events ------------------------------------------------------------------------------------------------------- */

typedef struct event_counts {
    unsigned counts[7];
    uint64_t memory;
    double best_loss;
} event_counts;

static bool count_event(void *user, const tuff_training_event *event)
{
    event_counts *counts = user;
    counts->counts[event->type]++;
    counts->memory = event->memory.total;
    if (event->type == TUFF_TRAINING_EVALUATE && !(event->loss >= counts->best_loss))
        counts->best_loss = event->loss;
    assert_true(event->step <= event->total_steps);
    return true;
}

/* -- labels, weights, folders ------------------------------------------------------------------------------------- */

static void test_labels_of_the_file(void **state)
{
    (void)state;
    tuff__check_write_text(path_of("numbers.csv"),
                           "text,label\nba da,10\nbe,9\n\"bi, do\",-1\nfa,9\nfe fi,10\nfo,-1\n");
    tuff_training_arguments arguments = golden_arguments(path_of("numbers"));
    arguments.train_file = path_of("numbers.csv");
    arguments.text_column = arguments.text_pair_column = arguments.label_column = NULL;
    arguments.max_steps = 2;
    train(&arguments, NULL);
    tuff_model *model;
    assert_int_equal(tuff_model_load(device, arguments.output_dir, &model), TUFF_SUCCESS);
    const tuff_model_config *config = tuff_model_get_config(model);
    assert_int_equal(config->num_labels, 3);
    assert_string_equal(config->labels[0], "-1"); /* as numbers: by bytes 10 comes before 9 */
    assert_string_equal(config->labels[1], "9");
    assert_string_equal(config->labels[2], "10");
    assert_int_equal(config->problem_type, TUFF_PROBLEM_TYPE_SINGLE_LABEL_CLASSIFICATION);
    tuff_model_destroy(model);
}

static void test_refused_labels(void **state)
{
    (void)state;
    tuff_training_arguments arguments = golden_arguments(path_of("refused"));
    tuff__check_write_text(path_of("eval.tsv"), "first\tsecond\tclass\nba\tda\teins\nba\tda\tvier\n");
    arguments.eval_file = path_of("eval.tsv");
    refuse(&arguments, TUFF_ERROR_INVALID_FILE, "eval.tsv: line 3: the label 'vier'");
    arguments.eval_file = NULL;
    tuff__check_write_text(path_of("one.tsv"), "first\tsecond\tclass\nba\tda\tvier\nba\tda\tvier\n");
    arguments.train_file = path_of("one.tsv");
    refuse(&arguments, TUFF_ERROR_INVALID_FILE, "every row has the label 'vier'");
    tuff__check_write_text(path_of("empty.tsv"), "first\tsecond\tclass\nba\tda\teins\nba\tda\t\n");
    arguments.train_file = path_of("empty.tsv");
    refuse(&arguments, TUFF_ERROR_INVALID_FILE, "line 3: the label is empty");
    arguments.label_column = "topic";
    refuse(&arguments, TUFF_ERROR_INVALID_FILE, "topic");
    assert_false(tuff__file_exists(arguments.output_dir));
}

/* Rows of one label alone are enough for a head that knows others too; it keeps them all. */
static void test_one_of_the_labels(void **state)
{
    (void)state;
    tuff_training_arguments arguments = golden_arguments(path_of("one_label"));
    tuff__check_write_text(path_of("eins.tsv"), "first\tsecond\tclass\nba\tda\teins\nba\tda\teins\n");
    arguments.train_file = path_of("eins.tsv");
    arguments.max_steps = 1;
    train(&arguments, NULL);
    tuff_model *model;
    assert_int_equal(tuff_model_load(device, arguments.output_dir, &model), TUFF_SUCCESS);
    assert_int_equal(tuff_model_get_config(model)->num_labels, 3);
    assert_string_equal(tuff_model_get_config(model)->labels[2], "zwei");
    tuff_model_destroy(model);
}

/* The labels are those of all rows, however few of them are trained on. */
static void test_rows_left_out(void **state)
{
    (void)state;
    tuff__check_write_text(path_of("cut.csv"), "text,label\nba da,b\nbe,a\nfa,b\nfe fi,c\n");
    tuff_training_arguments arguments = golden_arguments(path_of("cut"));
    arguments.train_file = arguments.eval_file = path_of("cut.csv");
    arguments.text_column = arguments.text_pair_column = arguments.label_column = NULL;
    arguments.max_train_samples = 2;
    arguments.max_steps = 1;
    train(&arguments, NULL);
    tuff_model *model;
    assert_int_equal(tuff_model_load(device, arguments.output_dir, &model), TUFF_SUCCESS);
    assert_int_equal(tuff_model_get_config(model)->num_labels, 3);
    tuff_model_destroy(model);
}

/* A row that the tokenizer refuses is named by its line, though rows are encoded many at a time. */
static void test_named_rows(void **state)
{
    (void)state;
    enum { ROWS = 600, BAD = 521 };
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer_config.json"};
    assert_int_equal(tuff__directory_create(path_of("unknowing")), TUFF_SUCCESS);
    for (size_t i = 0; i < 3; i++) {
        char from[256], to[256];
        snprintf(from, sizeof from, GOLDEN "initial/%s", files[i]);
        snprintf(to, sizeof to, "%s/%s", path_of("unknowing"), files[i]);
        assert_int_equal(tuff__file_copy(from, to), TUFF_SUCCESS);
    }
    tuff__check_write_text(path_of("unknowing/vocab.txt"), "[PAD]\n[CLS]\n[SEP]\n[MASK]\nba\nda\n");
    FILE *file = tuff__file_open(path_of("rows.csv"), "wb");
    assert_non_null(file);
    fputs("text,label\n", file);
    for (int i = 0; i < ROWS; i++)
        fprintf(file, "%s,%s\n", i == BAD ? "ba zz" : i == 7 ? "\"ba\nda\"" : "ba da", i % 2 ? "eins" : "zwei");
    assert_int_equal(fclose(file), 0);
    tuff_training_arguments arguments = golden_arguments(path_of("unknown"));
    arguments.model = path_of("unknowing");
    arguments.train_file = path_of("rows.csv");
    arguments.text_column = arguments.text_pair_column = arguments.label_column = NULL;
    refuse(&arguments, TUFF_ERROR_INVALID_FILE, "rows.csv: line 524: tokenizer: a word is not in the vocabulary");
}

/* A table by any name, once its format is named; until then the sentence says how. */
static void test_format(void **state)
{
    (void)state;
    tuff__check_write_text(path_of("table.txt"), "text\tlabel\n\"ba da\ta\nbe\tb\nfa\ta\n");
    tuff_training_arguments arguments = golden_arguments(path_of("format"));
    arguments.train_file = path_of("table.txt");
    arguments.text_column = arguments.text_pair_column = arguments.label_column = NULL;
    arguments.max_steps = 1;
    refuse(&arguments, TUFF_ERROR_INVALID_FILE, "read as plain lines: for a table whose name does not end in");
    arguments.format = "tsv";
    refuse(&arguments, TUFF_ERROR_INVALID_FILE, "has the format tsv-raw");
    arguments.format = "tsv-raw";
    train(&arguments, NULL);
    arguments.format = "excel";
    refuse(&arguments, TUFF_ERROR_INVALID_ARGUMENT, "'excel' is not a format of a table");
}

/* The golden model without weights, with `from` in its config.json replaced by `to`. */
static const char *bare_model(const char *name, const char *from, const char *to)
{
    static const char *const files[] = {"config.json", "vocab.txt", "tokenizer_config.json"};
    char path[256], source[256];
    assert_int_equal(tuff__directory_create(path_of(name)), TUFF_SUCCESS);
    for (size_t i = 0; i < 3; i++) {
        snprintf(source, sizeof source, GOLDEN "initial/%s", files[i]);
        snprintf(path, sizeof path, "%s/%s", path_of(name), files[i]);
        assert_int_equal(tuff__file_copy(source, path), TUFF_SUCCESS);
    }
    tuff__mapped_file file;
    assert_int_equal(tuff__file_map(GOLDEN "initial/config.json", &file), TUFF_SUCCESS);
    char *text = tuff__strndup((const char *)file.data, file.size), *at = text ? strstr(text, from) : NULL;
    assert_non_null(at);
    char *edited = tuff__asprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_non_null(edited);
    snprintf(path, sizeof path, "%s/config.json", path_of(name));
    tuff__check_write_text(path, edited);
    tuff__free(edited);
    tuff__free(text);
    tuff__file_unmap(&file);
    return path_of(name);
}

/* What the model cannot be trained on is refused before anything is read or told, or at the table's line. */
static void test_refused_models(void **state)
{
    (void)state;
    event_counts counts = {.best_loss = HUGE_VAL};
    tuff_training_arguments arguments = golden_arguments(path_of("refused_models"));
    arguments.on_event = count_event;
    arguments.on_event_user = &counts;
    arguments.model = bare_model("one_type", "\"type_vocab_size\": 2", "\"type_vocab_size\": 1");
    refuse(&arguments, TUFF_ERROR_INVALID_FILE,
           "train.tsv: line 2: the pair of texts has the token type id 1, the model's type_vocab_size is 1");
    arguments.train_file = path_of("none.tsv");
    arguments.model = bare_model("regression", "\"single_label_classification\"", "\"regression\"");
    refuse(&arguments, TUFF_ERROR_FEATURE_NOT_PRESENT, "problem_type is regression");
    arguments.model = bare_model("multi", "\"single_label_", "\"multi_label_");
    refuse(&arguments, TUFF_ERROR_FEATURE_NOT_PRESENT, "problem_type is multi_label_classification");
    assert_int_equal(counts.counts[TUFF_TRAINING_MEMORY], 0);
}

static void test_from_a_config_alone(void **state)
{
    (void)state;
    tuff_training_arguments arguments = golden_arguments(path_of("random"));
    arguments.model = bare_model("bare", "", "");
    arguments.max_steps = 1;
    arguments.seed = 1;
    tuff_training_result one, other, again;
    train(&arguments, &one);
    train(&arguments, &again);
    arguments.seed = 2;
    train(&arguments, &other);
    assert_true(one.train_loss > 0.2 && one.train_loss < 5); /* around ln 3 */
    assert_true(one.train_loss == again.train_loss);
    assert_true(one.train_loss != other.train_loss);
    /* The golden folder has weights: they are only left aside when that is asked for. */
    arguments.model = GOLDEN "initial";
    train(&arguments, &one);
    arguments.random_weights = true;
    train(&arguments, &again);
    assert_true(one.train_loss != again.train_loss);
}

static void test_failures_leave_the_output_alone(void **state)
{
    (void)state;
    const char *output = path_of("kept");
    tuff_training_arguments arguments = golden_arguments(output);
    arguments.max_steps = 1;
    train(&arguments, NULL);
    const double before = log_number(path_of("kept/log.jsonl"), 0, "loss");
    arguments.max_steps = 10;
    arguments.warmup_steps = 0;
    arguments.trainer.learning_rate = 1e6;
    refuse(&arguments, TUFF_ERROR_INVALID_ARGUMENT, "wanted finite numbers");
    assert_true(log_number(path_of("kept/log.jsonl"), 0, "loss") == before);
    char *live = tuff__asprintf("%s.log-%llu.jsonl", output, (unsigned long long)tuff__process_id());
    assert_false(tuff__file_exists(live));
    tuff__free(live);
    /* Somebody's folder is not a model's. */
    assert_int_equal(tuff__directory_create(path_of("letters")), TUFF_SUCCESS);
    tuff__check_write_text(path_of("letters/letter.txt"), "dear");
    arguments.output_dir = path_of("letters");
    refuse(&arguments, TUFF_ERROR_INVALID_ARGUMENT, "letter.txt");
    tuff__check_content(path_of("letters/letter.txt"), "dear");
    arguments.output_dir = NULL;
    refuse(&arguments, TUFF_ERROR_INVALID_ARGUMENT, "output_dir is not given");
    arguments.output_dir = output;
    arguments.max_length = 33;
    refuse(&arguments, TUFF_ERROR_INVALID_ARGUMENT, "max_length is 33");
}

/* -- evaluation, events ------------------------------------------------------------------------------------------- */

/* 26 rows in batches of 4: 7 updates an epoch. */
static void test_evaluation_and_events(void **state)
{
    (void)state;
    event_counts counts = {.best_loss = HUGE_VAL};
    tuff_training_arguments arguments = lively_arguments(path_of("evaluated"));
    arguments.logging_steps = 4;
    arguments.eval_strategy = TUFF_INTERVAL_STEPS;
    arguments.eval_steps = 5;
    arguments.save_strategy = TUFF_INTERVAL_EPOCH;
    arguments.load_best_model_at_end = true;
    arguments.on_event = count_event;
    arguments.on_event_user = &counts;
    tuff_training_result result;
    train(&arguments, &result);
    assert_int_equal(result.steps, 14);
    assert_int_equal(counts.counts[TUFF_TRAINING_MEMORY], 1);
    assert_int_equal(counts.counts[TUFF_TRAINING_BEGIN], 1);
    assert_int_equal(counts.counts[TUFF_TRAINING_STEP], 14);
    assert_int_equal(counts.counts[TUFF_TRAINING_LOG], 4);      /* 4, 8, 12, 14 */
    assert_int_equal(counts.counts[TUFF_TRAINING_EVALUATE], 3); /* 5, 10, 14 */
    assert_int_equal(counts.counts[TUFF_TRAINING_SAVE], 2);     /* 7, 14 */
    assert_int_equal(counts.counts[TUFF_TRAINING_EVALUATE_ROW], 3 * 26);
    assert_true(result.complete && result.saved_steps == 14);
    assert_true(result.evaluated && result.eval_loss == counts.best_loss);
    assert_true(result.eval_accuracy > 0 && result.eval_accuracy <= 1);
    assert_true(tuff__file_exists(path_of("evaluated/log.html")));
    arguments.eval_file = NULL;
    refuse(&arguments, TUFF_ERROR_INVALID_ARGUMENT, "load_best_model_at_end needs");
    arguments.load_best_model_at_end = false;
    refuse(&arguments, TUFF_ERROR_INVALID_ARGUMENT, "eval_strategy is steps, which needs an eval_file");
}

typedef struct ending {
    tuff_training_event_type type;
    unsigned count; /* of that type, until the training is ended */
} ending;

static bool end_at(void *user, const tuff_training_event *event)
{
    ending *e = user;
    return event->type != e->type || --e->count > 0;
}

/* Ended early, a training leaves what it had saved, and nothing beside it. */
static void test_ended_by_an_event(void **state)
{
    (void)state;
    static const struct {
        ending at;
        uint64_t steps, saved_steps;
        bool complete;
    } rows[] = {
        {{TUFF_TRAINING_MEMORY, 1}, 0, 0, false},       {{TUFF_TRAINING_BEGIN, 1}, 0, 0, false},
        {{TUFF_TRAINING_STEP, 3}, 3, 2, false},         {{TUFF_TRAINING_LOG, 5}, 5, 4, false},
        {{TUFF_TRAINING_EVALUATE_ROW, 9}, 2, 0, false}, {{TUFF_TRAINING_EVALUATE, 2}, 4, 2, false},
        {{TUFF_TRAINING_SAVE, 1}, 2, 2, false},         {{TUFF_TRAINING_SAVE, 3}, 6, 6, true},
    };
    char *live = tuff__asprintf("%s.log-%llu.jsonl", path_of("ended"), (unsigned long long)tuff__process_id());
    char *aside = tuff__asprintf("%s.tmp-%llu", path_of("ended"), (unsigned long long)tuff__process_id());
    tuff_training_arguments arguments = golden_arguments(path_of("ended"));
    arguments.eval_file = arguments.train_file;
    arguments.max_steps = 6;
    arguments.eval_strategy = arguments.save_strategy = TUFF_INTERVAL_STEPS;
    arguments.eval_steps = arguments.save_steps = 2;
    arguments.on_event = end_at;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ending at = rows[i].at;
        tuff_training_result result;
        arguments.on_event_user = &at;
        train(&arguments, &result);
        assert_int_equal(result.steps, rows[i].steps);
        assert_int_equal(result.saved_steps, rows[i].saved_steps);
        assert_true(result.complete == rows[i].complete);
        assert_true(tuff__is_directory(arguments.output_dir) == (rows[i].saved_steps > 0));
        assert_false(tuff__file_exists(live) || tuff__is_directory(aside));
        assert_int_equal(tuff__directory_remove(arguments.output_dir), TUFF_SUCCESS);
    }
    tuff__free(live);
    tuff__free(aside);
}

/* The loss of an evaluation is what training lowers: of the same rows and weights it is the same number. */
static void test_evaluation_smooths_labels(void **state)
{
    (void)state;
    tuff_training_arguments arguments = golden_arguments(path_of("smoothed"));
    arguments.eval_file = arguments.train_file;
    arguments.per_device_train_batch_size = 26;
    arguments.max_steps = 1;
    arguments.trainer.dropout = -1;
    arguments.trainer.learning_rate = 1e-30; /* the weights stay */
    arguments.trainer.label_smoothing = 0.3;
    train(&arguments, NULL);
    const double loss = log_number(path_of("smoothed/log.jsonl"), 0, "loss");
    assert_true(fabs(log_number(path_of("smoothed/log.jsonl"), 1, "eval_loss") - loss) <= 1e-6 * loss);
    arguments.trainer.label_smoothing = 0;
    train(&arguments, NULL);
    assert_true(fabs(log_number(path_of("smoothed/log.jsonl"), 0, "loss") - loss) > 1e-4 * loss);
}

/* The need is told and judged before anything is taken of the device. */
static void test_memory(void **state)
{
    (void)state;
    event_counts counts = {.best_loss = HUGE_VAL};
    tuff_training_arguments arguments = golden_arguments(path_of("memory"));
    arguments.max_steps = 1;
    arguments.on_event = count_event;
    arguments.on_event_user = &counts;
    train(&arguments, NULL);
    const uint64_t there = device->properties.memory_size, alone = counts.memory;
    assert_true(alone > 100000 && alone < there);
    device->properties.memory_size = alone;
    train(&arguments, NULL);
    device->properties.memory_size = alone - 1;
    refuse(&arguments, TUFF_ERROR_OUT_OF_DEVICE_MEMORY, "lower per_device_train_batch_size (now 4) or max_length");
    device->properties.memory_size = alone;
    arguments.gradient_accumulation_steps = 2; /* one more buffer of gradients */
    refuse(&arguments, TUFF_ERROR_OUT_OF_DEVICE_MEMORY, "MiB are missing");
    device->properties.memory_size = there;
}

static int setup(void **state)
{
    (void)state;
    return tuff__check_folder_create("test_trainer");
}

static int teardown(void **state)
{
    return tuff__check_folder_remove(state);
}

int main(void)
{
    const int unopened = tuff__check_open_device(NULL, &device);
    if (unopened)
        return unopened;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_golden_on_the_reference),
        cmocka_unit_test(test_two_runs_give_equal_files),
        cmocka_unit_test(test_gradient_accumulation),
        cmocka_unit_test(test_epochs_of_accumulated_updates),
        cmocka_unit_test(test_rows_that_do_not_count),
        cmocka_unit_test(test_refused_batches),
        cmocka_unit_test(test_refused_weights),
        cmocka_unit_test(test_nan_has_no_sign),
        cmocka_unit_test(test_labels_of_the_file),
        cmocka_unit_test(test_refused_labels),
        cmocka_unit_test(test_one_of_the_labels),
        cmocka_unit_test(test_refused_models),
        cmocka_unit_test(test_from_a_config_alone),
        cmocka_unit_test(test_live_log_is_its_own),
        cmocka_unit_test(test_log_of_a_killed_run),
        cmocka_unit_test(test_failures_leave_the_output_alone),
        cmocka_unit_test(test_evaluation_and_events),
        cmocka_unit_test(test_ended_by_an_event),
        cmocka_unit_test(test_evaluation_smooths_labels),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_rows_left_out),
        cmocka_unit_test(test_named_rows),
        cmocka_unit_test(test_format),
    };
    const int failed = cmocka_run_group_tests(tests, setup, teardown);
    tuff_device_destroy(device);
    return failed;
}
