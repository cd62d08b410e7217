/*
 * test_cli.c: the command itself, run as a user runs it: help, exit codes, what is refused and in which words, and that
 * no failure touches an earlier output. Exit codes: 0 done, 1 could not be done, 2 not understood.
 */
#include "check_device.h"
#include "check_file.h"
#include "env.h"
#include "io/file.h"
#include "io/json.h"
#include "tuff/tuff.h"

#include <math.h>
#include <stdlib.h>

#define MODEL TUFF_TEST_DIR "/golden/models/gelu_head20"
#define TRAINING TUFF_TEST_DIR "/golden/train"

static const char command_path[] = TUFF_COMMAND;

static const char *const commands[] = {
#undef TUFF_COMMAND
#define TUFF_COMMAND(name, meaning) #name,
#include "../apps/tuff/commands.def"
#undef TUFF_COMMAND
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

/* -- running ------------------------------------------------------------------------------------------------------ */

/* What the latest run said. */
static char *said, *complained;

/* Runs `before` (shell words in front: limits, variables) and the command with `arguments`, both as sh takes them.
 * Returns the exit code, which the shell writes down: C's system() leaves its form to the system. */
static int run_after(const char *before, const char *arguments)
{
    char line[4096];
    const int length =
        snprintf(line, sizeof line, "(%s '%s' %s) >%s 2>%s </dev/null; echo $? >%s", before, command_path, arguments,
                 tuff__check_path("out"), tuff__check_path("err"), tuff__check_path("code"));
    assert_true(length > 0 && (size_t)length < sizeof line);
    tuff__free(said);
    tuff__free(complained);
    said = complained = NULL;
    if (system(line) != 0)
        fail_msg("no shell runs: %s", line);
    said = tuff__check_read_text(tuff__check_path("out"));
    complained = tuff__check_read_text(tuff__check_path("err"));
    char *code = tuff__check_read_text(tuff__check_path("code"));
    const int value = atoi(code);
    tuff__free(code);
    return value;
}

static int run(const char *arguments)
{
    return run_after("", arguments);
}

static size_t line_count(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

/* What was complained about after the warnings. */
static const char *failure(void)
{
    static const char warning[] = "tuff: warning: ";
    const char *text = complained;
    while (!strncmp(text, warning, sizeof warning - 1) && strchr(text, '\n'))
        text = strchr(text, '\n') + 1;
    return text;
}

/* The run ended with `code`, in one sentence that says `part`. */
static void check_refused_after(const char *before, const char *arguments, int code, const char *part)
{
    const int found = run_after(before, arguments);
    if (found != code || line_count(failure()) != 1 || strncmp(failure(), "tuff", 4) != 0 || !strstr(failure(), part))
        fail_msg("tuff %s\n  left with %d, wanted %d and one sentence with \"%s\"; said: %s", arguments, found, code,
                 part, complained);
}

static void check_refused(const char *arguments, int code, const char *part)
{
    check_refused_after("", arguments, code, part);
}

static void check_done(const char *arguments)
{
    if (run(arguments) != 0)
        fail_msg("tuff %s\n  left with an error: %s", arguments, complained);
}

/* printf into one of four buffers. */
static const char *words(const char *format, ...) TUFF_PRINTF(1, 2);
static const char *words(const char *format, ...)
{
    static char texts[4][2048];
    static unsigned next;
    char *text = texts[next++ % 4];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof texts[0], format, list);
    va_end(list);
    return text;
}

/* -- the command line --------------------------------------------------------------------------------------------- */

static void test_help(void **state)
{
    (void)state;
    check_done("--help");
    for (int i = 0; i < COMMAND_COUNT; i++)
        assert_non_null(strstr(said, words("  %s ", commands[i])));
    for (int i = 0; i < COMMAND_COUNT; i++) {
        check_done(words("%s --help", commands[i]));
        assert_ptr_equal(strstr(said, words("Usage: tuff %s", commands[i])), said);
        assert_string_equal(complained, "");
        assert_non_null(strstr(said, ".\n")); /* a sentence */
    }
    assert_int_equal(run(""), 2);
    assert_string_equal(said, "");
    assert_non_null(strstr(complained, "Usage: tuff COMMAND"));
}

static void test_version(void **state)
{
    (void)state;
    check_done("--version");
    assert_string_equal(said, words("tuff %s\n", tuff_version()));
}

static void test_unknown(void **state)
{
    (void)state;
    check_refused("tran", 2, "the nearest is train");
    check_refused("--verison", 2, "there is no option '--verison'; the nearest is --version");
    check_refused("xxxxxxxxxxxxxxxxx", 2, "there is no command 'xxxxxxxxxxxxxxxxx'");
    check_refused("train --per_device_train_batch_sise 3", 2, "the nearest is --per-device-train-batch-size");
    check_refused("verify m --trian", 2, "the nearest is --train");
    check_refused("verify -x m", 2, "options begin with two dashes");
    for (int i = 0; i < COMMAND_COUNT; i++)
        check_refused(words("%s --qqqqqqqqqqqqqqqqqqqqqqqqqqqq", commands[i]), 2, "there is no option --qqqq");
}

static void test_values(void **state)
{
    (void)state;
    check_refused("verify", 2, "usage: tuff verify MODEL");
    check_refused("verify a b", 2, "'b' is one argument too many");
    check_refused("verify a --steps", 2, "--steps wants a value");
    check_refused("verify a --steps 0", 2, "wanted a whole number between 1 and 1000");
    check_refused("verify a --steps 1.5", 2, "--steps is '1.5'");
    check_refused("tokenize a b --max-length 0", 2, "a whole number between 1 and 1048576");
    check_refused("verify " MODEL " --device cpu --sequence-length 51", 1, "takes at most 50 tokens");
    check_refused("verify a --steps 2", 2, "--steps goes with --train");
    check_refused("verify a --train=yes", 2, "--train is 'yes', wanted true, false or no value");
    check_refused("devices --json yes", 2, "'yes' is one argument too many");
    check_refused("bench --filter no-such-case --device cpu", 1, "'no-such-case'");
    check_refused("verify no/such/folder --device cpu", 1, "no/such/folder");
}

/* -- verify ------------------------------------------------------------------------------------------------------- */

static void test_verify(void **state)
{
    (void)state;
    check_done(words("verify " MODEL " --train --steps 1 --device cpu --json %s --junit %s --html %s",
                     tuff__check_path("v.json"), tuff__check_path("v.xml"), tuff__check_path("v.html")));
    assert_non_null(strstr(said, "agree with the CPU reference"));
    assert_ptr_equal(strstr(said, "memory needed on cpu: "), said);
    assert_non_null(strstr(said, "attention_backward_q"));
    static const char *const starts[][2] = {{"v.json", "{"}, {"v.xml", "<?xml"}, {"v.html", "<!DOCTYPE html>"}};
    for (size_t i = 0; i < 3; i++) {
        char *text = tuff__check_read_text(tuff__check_path(starts[i][0]));
        assert_int_equal(strncmp(text, starts[i][1], strlen(starts[i][1])), 0);
        tuff__free(text);
    }
    check_refused("verify " TUFF_TEST_DIR "/golden/models/tanh_head6_body --train --device cpu", 1, "head");
}

/* -- bench -------------------------------------------------------------------------------------------------------- */

static void test_bench_profile(void **state)
{
    (void)state;
    check_done(words("bench --device cpu --model " MODEL " --filter inference --profile --trace %s",
                     tuff__check_path("trace.json")));
    assert_non_null(strstr(said, " x layer_norm"));
    assert_non_null(strstr(said, "roofline"));
    tuff__json *trace = NULL;
    assert_int_equal(tuff__json_load(tuff__check_path("trace.json"), NULL, &trace), TUFF_SUCCESS);
    const cJSON *events = cJSON_GetObjectItemCaseSensitive(trace->root, "traceEvents"), *event;
    double end = 0; /* in microseconds: operators stand end to end */
    int operators = 0;
    cJSON_ArrayForEach(event, events)
    {
        if (strcmp(cJSON_GetObjectItemCaseSensitive(event, "ph")->valuestring, "X") != 0)
            continue;
        const double begin = cJSON_GetObjectItemCaseSensitive(event, "ts")->valuedouble;
        assert_true(fabs(begin - end) <= 1e-6 * (1 + end));
        end = begin + cJSON_GetObjectItemCaseSensitive(event, "dur")->valuedouble;
        operators++;
    }
    assert_true(operators > 20 && end > 0);
    tuff__json_destroy(trace);
    check_refused("bench --device cpu --model " MODEL " --filter inference --trace no/such/folder/t.json", 1,
                  "no/such/folder/t.json");
    check_refused("bench --device cpu --model " TUFF_TEST_DIR "/golden/models/tanh_head6_body --filter training", 1,
                  "no sequence classification head");
}

/* -- kernels ------------------------------------------------------------------------------------------------------ */

static void test_kernels(void **state)
{
    (void)state;
    check_refused("kernels --device cpu", 1, TUFF_WITH_VULKAN ? "runs no pipelines" : "has no Vulkan");
    tuff_device *device = NULL;
    const int unopened = tuff__check_open_device(&(tuff_device_create_info){.device = "vulkan:0"}, &device);
    tuff_device_destroy(device);
    if (unopened == TUFF__SKIPPED)
        skip();
    check_refused("kernels --write no/such --filter cast", 2, "--write goes without --filter");
    check_refused("kernels --device vulkan:0 --filter no-such-kernel", 1, "'no-such-kernel'");
    assert_int_equal(run_after("TUFF_LOG=debug", "kernels --device vulkan:0 --filter cast"), 0);
    assert_ptr_equal(strstr(said, "cast "), said);
    assert_non_null(strstr(said, ": 7 pipelines of 1 graph, 0 failed\n"));
    assert_int_equal(line_count(said), 8);
    assert_non_null(strstr(complained, "making the pipeline of shader 'cast' (local size 0, constants 0, 1)"));
    check_done("kernels --device vulkan:0 --filter matmul_t0 --quiet"); /* t0c on a processor */
    assert_int_equal(line_count(said), 1);
}

/* -- the environment ---------------------------------------------------------------------------------------------- */

/* What tuff --help prints, and the document with it. */
static void test_environment_table(void **state)
{
    (void)state;
    char *document = tuff__check_read_text(TUFF_TEST_DIR "/../docs/environment.md");
    size_t count = 0;
    check_done("--help");
    for (const tuff__env_row *row = tuff__env_rows(); row->name; row++, count++) {
        const char *line = words("| `%s` | %s | %s |\n", row->name, row->values, row->meaning);
        if (!strstr(document, line))
            fail_msg("docs/environment.md lacks %s", line);
        assert_non_null(strstr(said, words("  %-16s %s (%s)\n", row->name, row->meaning, row->values)));
    }
    size_t documented = 0;
    for (const char *at = document; (at = strstr(at, "\n| `")); at++)
        documented++;
    assert_int_equal(documented, count);
    tuff__free(document);
}

static void test_check_and_dump(void **state)
{
    (void)state;
    const char *command = "run text-classification " MODEL " hello --device cpu";
    check_done(command);
    char *plain = tuff__strdup(said);
    assert_int_equal(run_after(words("TUFF_CHECK=1 TUFF_DUMP=%s", tuff__check_path("dump")), command), 0);
    assert_string_equal(said, plain); /* it diagnoses: the answer is the same */
    tuff__free(plain);
    char *text = tuff__check_read_text(tuff__check_path("dump/graph-1.txt"));
    char *dot = tuff__check_read_text(tuff__check_path("dump/graph-1.dot"));
    assert_non_null(strstr(text, "bert.encoder.layer.1.attention.self"));
    assert_int_equal(strncmp(dot, "digraph tuff {", 14), 0);
    tuff__free(text);
    tuff__free(dot);
    assert_false(tuff__file_exists(tuff__check_path("dump/graph-2.txt")));
    assert_int_equal(run_after(words("TUFF_DUMP=%s", tuff__check_path("dump")), command), 0);
    assert_true(tuff__file_exists(tuff__check_path("dump/graph-2.txt")));
}

/* The table in docs/numerics.md is the one that the operators have. */
static void test_allowance_table(void **state)
{
    (void)state;
    check_done("verify --allowances");
    char *document = tuff__check_read_text(TUFF_TEST_DIR "/../docs/numerics.md");
    for (char *line = said; *line;) { /* line by line: the document may go on in any way */
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        if (!strstr(document, line))
            fail_msg("docs/numerics.md lacks \"%s\": put what `tuff verify --allowances` prints there", line);
        line = end + 1;
    }
    tuff__free(document);
}

/* -- what it answers ---------------------------------------------------------------------------------------------- */

#define EMBEDDER TUFF_TEST_DIR "/golden/models/tanh_head6_body"

/* Line `index` of what was said, as JSON; destroy it. */
static tuff__json *said_json(size_t index)
{
    const char *at = said;
    for (size_t i = 0; i < index; i++) {
        at = strchr(at, '\n');
        assert_non_null(at);
        at++;
    }
    tuff__json *json = NULL;
    const char *end = strchr(at, '\n');
    assert_non_null(end);
    if (tuff__json_parse("standard output", at, (size_t)(end - at), NULL, &json) != TUFF_SUCCESS)
        fail_msg("%s: %.*s", tuff_last_error(), (int)(end - at), at);
    return json;
}

static void check_numbers(const tuff__json *json, const char *key, const char *wanted)
{
    char found[256] = "";
    const cJSON *item;
    cJSON_ArrayForEach(item, tuff__json_find(json->root, key))
        snprintf(found + strlen(found), sizeof found - strlen(found), "%d ", item->valueint);
    assert_string_equal(found, wanted);
}

static void test_tokenize_json(void **state)
{
    (void)state;
    assert_int_equal(tuff__directory_create(tuff__check_path("words")), TUFF_SUCCESS);
    tuff__check_write_text(tuff__check_path("words/vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nab\n##c\nd\n");
    check_done(words("tokenize %s 'abc d' --text-pair 'D x' --json", tuff__check_path("words")));
    assert_int_equal(line_count(said), 1);
    tuff__json *json = said_json(0);
    check_numbers(json, "input_ids", "2 5 6 7 3 7 1 3 ");
    check_numbers(json, "token_type_ids", "0 0 0 0 0 1 1 1 ");
    check_numbers(json, "attention_mask", "1 1 1 1 1 1 1 1 ");
    const cJSON *offsets = tuff__json_find(json->root, "offset_mapping"), *piece = cJSON_GetArrayItem(offsets, 2);
    assert_int_equal(cJSON_GetArraySize(offsets), 8);
    assert_int_equal(cJSON_GetArrayItem(piece, 0)->valueint, 2);
    assert_int_equal(cJSON_GetArrayItem(piece, 1)->valueint, 3);
    tuff__json_destroy(json);
    tuff__check_write_text(tuff__check_path("raw.tsv"), "text\tn\n\"ab\t1\nd\t2\n");
    check_done(words("tokenize %s --file %s --format tsv-raw --json --no-special-tokens", tuff__check_path("words"),
                     tuff__check_path("raw.tsv")));
    json = said_json(0);
    check_numbers(json, "input_ids", "1 5 ");
    tuff__json_destroy(json);
}

/* The answer to text `index` is that of the command's argument `text`, to the last digit. */
static void check_answer(const char *arguments, size_t index, const char *text)
{
    char *file_answers = tuff__strdup(said);
    assert_non_null(file_answers);
    const char *line = file_answers;
    for (size_t i = 0; i < index; i++)
        line = strchr(line, '\n') + 1;
    check_done(words("%s '%s'", arguments, text));
    if (strncmp(line, said, strlen(said)) != 0)
        fail_msg("text %zu: %.80s, alone: %s", index, line, said);
    tuff__free(said);
    said = file_answers;
}

static void test_run_files(void **state)
{
    (void)state;
    check_done("run text-classification " MODEL " --device cpu --json true"); /* a text, not the flag's word */
    assert_int_equal(line_count(said), 1);
    static const char run_one[] = "run text-classification " MODEL " --device cpu --batch-size 1 --json";
    static const struct {
        const char *name, *content, *options;
    } files[] = {
        {"lines.txt", "the market\n\nhello, you\n", ""},
        {"table.csv", "n,title\n1,the market\n2,\n3,\"hello, you\"\n", "--text-column title"},
        {"table.jsonl", "{\"title\": \"the market\"}\n{\"title\": \"\"}\n{\"title\": \"hello, you\"}\n",
         "--text-column title"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        tuff__check_write_text(tuff__check_path(files[i].name), files[i].content);
        check_done(words("%s --file %s %s", run_one, tuff__check_path(files[i].name), files[i].options));
        assert_int_equal(line_count(said), 3);
        for (size_t k = 0; k < 3; k++) {
            tuff__json *json = said_json(k);
            const cJSON *best = cJSON_GetArrayItem(json->root, 0);
            assert_int_equal(cJSON_GetArraySize(json->root), 1);
            assert_true(tuff__json_find(best, "label")->valuestring[0] != '\0');
            assert_true(tuff__json_find(best, "score")->valuedouble > 1.0 / 3);
            tuff__json_destroy(json);
        }
        check_answer(run_one, 0, "the market");
        check_answer(run_one, 1, "");
        check_answer(run_one, 2, "hello, you");
    }
    tuff__check_write_text(tuff__check_path("pairs.csv"), "text,second\nthe market,the team wins\nthe market,\n");
    check_done(words("%s --file %s --text-pair-column second --top-k 3", run_one, tuff__check_path("pairs.csv")));
    tuff__json *pair = said_json(0), *golden = NULL;
    assert_int_equal(tuff__json_load(MODEL "/golden.json", NULL, &golden), TUFF_SUCCESS);
    const cJSON *wanted = tuff__json_find(tuff__json_find(golden->root, "pipeline"), "pair");
    for (int i = 0; i < 3; i++) {
        const cJSON *one = cJSON_GetArrayItem(pair->root, i), *other = cJSON_GetArrayItem(wanted, i);
        assert_string_equal(tuff__json_find(one, "label")->valuestring, tuff__json_find(other, "label")->valuestring);
        assert_true(fabs(tuff__json_find(one, "score")->valuedouble - tuff__json_find(other, "score")->valuedouble) <
                    1e-5);
    }
    tuff__json_destroy(pair);
    tuff__json_destroy(golden);
}

/* Every number of the embedding, with the digits that tell it from its neighbours. */
static void test_run_embeddings(void **state)
{
    (void)state;
    tuff_device *device = NULL;
    tuff_feature_extraction *pipeline = NULL;
    tuff_features features;
    const tuff_text text = {"the market is up", 16};
    assert_int_equal(tuff_device_create(&(tuff_device_create_info){.device = "cpu"}, &device), TUFF_SUCCESS);
    assert_int_equal(tuff_feature_extraction_create(device, EMBEDDER, NULL, &pipeline), TUFF_SUCCESS);
    assert_int_equal(tuff_feature_extraction_run(pipeline, &text, NULL, 1, &features), TUFF_SUCCESS);
    for (int named = 0; named < 3; named++) { /* the folder's pooling, the same by name, and without its Normalize */
        check_done(words("run feature-extraction " EMBEDDER " 'the market is up' --device cpu --json %s",
                         named == 2 ? "--no-normalize"
                         : named    ? "--pooling mean"
                                    : ""));
        tuff__json *json = said_json(0);
        assert_int_equal(cJSON_GetArraySize(json->root), 24);
        double squares = 0;
        for (int i = 0; i < 24; i++) {
            const double value = cJSON_GetArrayItem(json->root, i)->valuedouble;
            assert_true(named == 2 || (float)value == features.values[i]);
            squares += value * value;
        }
        assert_int_equal(fabs(squares - 1) < 1e-5, named != 2);
        tuff__json_destroy(json);
    }
    tuff_free(features.values);
    tuff_feature_extraction_destroy(pipeline);
    tuff_device_destroy(device);
}

/* Options that would change nothing. */
static void test_options_that_cannot_apply(void **state)
{
    (void)state;
    tuff__check_write_text(tuff__check_path("some.csv"), "text,label\na,x\nb,y\n");
    char train[300]; /* with the second names */
    snprintf(train, sizeof train, "train --model-name-or-path m --train_file %s --output o",
             tuff__check_path("some.csv"));
    check_refused("run text-classification m a --pooling mean", 2, "are feature-extraction's");
    check_refused("run text-classification m a --no-normalize", 2, "are feature-extraction's");
    check_refused("run feature-extraction m a --top-k 2", 2, "are text-classification's");
    check_refused("run feature-extraction m a --function-to-apply none", 2, "are text-classification's");
    check_refused("run feature-extraction m a --normalize --no-normalize", 2, "are both given");
    check_refused("run text-classification m a --text-pair-column b", 2, "how --file is read");
    check_refused("run text-classification m a --format csv", 2, "how --file is read");
    check_refused("tokenize m a --text-column b", 2, "how --file is read");
    check_refused("tokenize m --file f --text-pair a --text-pair-column b", 2, "wanted one of them");
    check_refused(words("%s --eval-steps 3", train), 2, "--eval-steps goes with --eval-strategy steps");
    check_refused(words("%s --save-steps 3 --save-strategy epoch", train), 2, "goes with --save-strategy steps");
    check_refused(words("%s --metric-for-best-model f1", train), 2, "goes with --load-best-model-at-end");
    check_refused(words("%s --eval-strategy epoch --device cpu", train), 1, "which needs an eval_file");
}

/* -- what it trains ----------------------------------------------------------------------------------------------- */

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

/* Every tag that opens closes, in order; void elements and what SVG closes itself apart. */
static void check_well_formed(const char *html)
{
    char open[16][16];
    size_t depth = 0;
    for (const char *at = strchr(html, '<'); at; at = strchr(at + 1, '<')) {
        const bool closes = at[1] == '/';
        const char *name = at + 1 + closes, *end = strchr(at, '>');
        const size_t length = strcspn(name, " />");
        assert_non_null(end);
        if (at[1] == '!' || end[-1] == '/' || (length == 4 && !strncmp(name, "meta", 4)))
            continue;
        assert_true(length > 0 && length < 16 && depth < 16);
        if (!closes) {
            snprintf(open[depth++], sizeof open[0], "%.*s", (int)length, name);
            continue;
        }
        assert_true(depth > 0);
        depth--;
        if (strlen(open[depth]) != length || strncmp(open[depth], name, length) != 0)
            fail_msg("</%.*s> closes <%s>", (int)length, name, open[depth]);
    }
    assert_int_equal(depth, 0);
}

#define LEARN                                                                                                          \
    "train --model " TRAINING "/initial --train " TRAINING "/train.tsv --eval " TRAINING "/train.tsv "                 \
    "--text_column first --text-pair-column second --label_column class --device cpu --max_steps 4 "                   \
    "--per_device_train_batch_size 4 --logging_steps 1 --eval_strategy steps --eval_steps 2 "

/* A number of the first line of a trained folder's log. */
static double first_of_log(const char *folder, const char *key)
{
    tuff__json *json = NULL;
    char *log = tuff__check_read_text(tuff__check_path(words("%s/log.jsonl", folder)));
    double value = 0;
    assert_int_equal(tuff__json_parse("log", log, strcspn(log, "\n"), NULL, &json), TUFF_SUCCESS);
    assert_int_equal(tuff__json_number(json, json->root, key, &value), TUFF_SUCCESS);
    tuff__json_destroy(json);
    tuff__free(log);
    return value;
}

static void learn(const char *folder, const char *options)
{
    check_done(words(LEARN "%s --output_dir %s", options, tuff__check_path(folder)));
}

static void test_train(void **state)
{
    (void)state;
    learn("one", "--seed 3");
    assert_ptr_equal(strstr(said, "memory needed on cpu: "), said);
    assert_non_null(strstr(said, "trained 4 updates"));
    assert_int_equal(count_of(said, "eval_loss"), 3); /* two evaluations and the result */
    learn("same", "--seed=3");
    learn("other", "--seed 4");
    assert_true(first_of_log("one", "loss") == first_of_log("same", "loss"));
    assert_true(first_of_log("one", "loss") != first_of_log("other", "loss"));
    /* 0 is a 0, not "the default" */
    learn("clipped", "--seed 3 --max_grad_norm 1e-12 --learning_rate 1e-3");
    learn("free", "--seed 3 --max_grad_norm 0 --learning_rate 1e-3");
    assert_true(first_of_log("free", "grad_norm") == first_of_log("clipped", "grad_norm"));
    tuff__mapped_file a, b;
    assert_int_equal(tuff__file_map(tuff__check_path("free/model.safetensors"), &a), TUFF_SUCCESS);
    assert_int_equal(tuff__file_map(tuff__check_path("clipped/model.safetensors"), &b), TUFF_SUCCESS);
    assert_true(a.size == b.size && memcmp(a.data, b.data, a.size) != 0);
    tuff__file_unmap(&a);
    tuff__file_unmap(&b);
    learn("dropped", "--seed 3 --dropout 0.5");
    learn("kept", "--seed 3 --dropout 0"); /* this model's config.json has 0 too */
    assert_true(first_of_log("kept", "loss") == first_of_log("one", "loss"));
    assert_true(first_of_log("dropped", "loss") != first_of_log("one", "loss"));
    /* flags with a word, as transformers' HfArgumentParser has them: 26 rows in batches of 4 */
    learn("left_out", "--dataloader-drop-last True --load-best-model-at-end false");
    learn("left_in", "--dataloader-drop-last=false");
    assert_true(first_of_log("left_out", "epoch") == 0.1667);
    assert_true(first_of_log("left_in", "epoch") == 0.1429);

    char *page = tuff__check_read_text(tuff__check_path("one/log.html"));
    check_well_formed(page);
    assert_int_equal(count_of(page, "<svg "), 3); /* loss, evaluation, learning rate */
    const char *curve = strstr(page, "<polyline"), *points = curve ? strstr(curve, "points=\"") : NULL;
    assert_non_null(points);
    const char *stop = strchr(points + 8, '"');
    size_t logged = 0;
    for (const char *at = points + 8; at < stop; at++)
        logged += *at == ',';
    assert_int_equal(logged, 4);
    assert_null(strstr(page, "nan"));
    const char *matrix = strstr(page, "<table>");
    assert_non_null(matrix);
    assert_int_equal(count_of(matrix, "<td"), 9); /* 3 labels */
    unsigned long rows = 0;
    for (const char *at = matrix; (at = strstr(at, "<td")); at++)
        rows += strtoul(strchr(at, '>') + 1, NULL, 10);
    assert_int_equal(rows, 26);
    tuff__free(page);
}

/* -- models that are not in order --------------------------------------------------------------------------------- */

static const char *const model_files[] = {"config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"};

/* A copy of the model in the test's folder. */
static void copy_model(void)
{
    assert_int_equal(tuff__directory_create(tuff__check_path("model")), TUFF_SUCCESS);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(
            tuff__file_copy(words(MODEL "/%s", model_files[i]), tuff__check_path(words("model/%s", model_files[i]))),
            TUFF_SUCCESS);
}

/* config.json with `from` replaced by `to`. */
static void edit_config(const char *from, const char *to)
{
    char *text = tuff__check_read_text(MODEL "/config.json"), *at = strstr(text, from);
    assert_non_null(at);
    char *edited = tuff__asprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_non_null(edited);
    tuff__check_write_text(tuff__check_path("model/config.json"), edited);
    tuff__free(edited);
    tuff__free(text);
}

static void check_model_refused(const char *part)
{
    check_refused(words("run text-classification %s hello --device cpu", tuff__check_path("model")), 1, part);
    assert_string_equal(said, "");
}

static void test_broken_models(void **state)
{
    (void)state;
    copy_model();
    check_done(words("run text-classification %s hello --device cpu", tuff__check_path("model")));

    tuff__mapped_file whole;
    assert_int_equal(tuff__file_map(MODEL "/model.safetensors", &whole), TUFF_SUCCESS);
    tuff__check_write(tuff__check_path("model/model.safetensors"), whole.data, whole.size / 2);
    tuff__file_unmap(&whole);
    check_model_refused("model.safetensors");
    tuff__check_write_text(tuff__check_path("model/model.safetensors"), "");
    check_model_refused("model.safetensors");
    assert_int_equal(tuff__file_remove(tuff__check_path("model/model.safetensors")), TUFF_SUCCESS);
    check_model_refused("model.safetensors");

    copy_model();
    edit_config("\"intermediate_size\": ", "\"intermediate_size\": 1");
    check_model_refused("intermediate.dense");
    edit_config("\"model_type\": \"bert\"", "\"model_type\": \"mamba9\"");
    check_model_refused("mamba9");
    tuff__check_write_text(tuff__check_path("model/config.json"), "");
    check_model_refused("config.json");
    tuff__check_write_text(tuff__check_path("model/config.json"), "{\"model_type\": \"\xFF\"}");
    check_model_refused("config.json");
    copy_model();
    tuff__check_write_text(tuff__check_path("model/vocab.txt"), "[UNK]\n\xFF\xFE\n");
    check_model_refused("vocab.txt");
}

static void check_info(const char *weights, int missing)
{
    check_done(words("info %s", tuff__check_path("model")));
    if (!strstr(said, words("\nweights           %s", weights)))
        fail_msg("wanted weights '%s', said: %s", weights, said);
    check_done(words("info %s --json", tuff__check_path("model")));
    assert_non_null(strstr(said, words("\"missing_tensors\": %d,", missing)));
}

static void test_info(void **state)
{
    (void)state;
    copy_model();
    check_info("all there", 0);
    /* a body's weights under a classifier's configuration */
    assert_int_equal(tuff__file_copy(TUFF_TEST_DIR "/golden/models/tanh_head6_body/model.safetensors",
                                     tuff__check_path("model/model.safetensors")),
                     TUFF_SUCCESS);
    char *config = tuff__check_read_text(TUFF_TEST_DIR "/golden/models/tanh_head6_body/config.json");
    char *at = strstr(config, "\"BertModel\"");
    assert_non_null(at);
    char *edited = tuff__asprintf("%.*s\"BertForSequenceClassification\"%s", (int)(at - config), config, at + 11);
    tuff__check_write_text(tuff__check_path("model/config.json"), edited);
    tuff__free(edited);
    tuff__free(config);
    check_info("55 tensors of 57", 2);
    tuff__check_write_text(tuff__check_path("model/model.safetensors"), "");
    check_refused(words("info %s", tuff__check_path("model")), 1, "model.safetensors");
    assert_string_equal(said, "");
    assert_int_equal(tuff__file_remove(tuff__check_path("model/model.safetensors")), TUFF_SUCCESS);
    check_info("none", 57);
}

/* -- tables and texts that are not in order ----------------------------------------------------------------------- */

#define TRAIN_ARGUMENTS "--device cpu --max-steps 1 --per-device-train-batch-size 2 --task text-classification "

static const char *train_words(const char *train, const char *eval)
{
    return words("train " TRAIN_ARGUMENTS "--model " TRAINING "/initial --train %s %s %s --output-dir %s",
                 tuff__check_path(train), eval ? "--eval" : "", eval ? tuff__check_path(eval) : "",
                 tuff__check_path("trained"));
}

/* The output of an earlier run: whatever fails, it stays. */
static void check_earlier_output(void)
{
    tuff__check_content(tuff__check_path("trained/config.json"), "earlier");
}

static void test_broken_tables(void **state)
{
    (void)state;
    assert_int_equal(tuff__directory_create(tuff__check_path("trained")), TUFF_SUCCESS);
    tuff__check_write_text(tuff__check_path("trained/config.json"), "earlier");
    tuff__check_write_text(tuff__check_path("good.csv"), "text,label\none,a\ntwo,b\nthree,a\n");
    tuff__check_write_text(tuff__check_path("label.csv"), "text,label\none,a\ntwo,zebra\n");
    tuff__check_write_text(tuff__check_path("empty.csv"), "");
    tuff__check_write_text(tuff__check_path("column.csv"), "sentence,label\none,a\n");
    tuff__check_write_text(tuff__check_path("bytes.csv"), "text,label\n\xFF\xFE,a\n");
    check_refused(train_words("good.csv", "label.csv"), 1, "zebra");
    assert_non_null(strstr(complained, "label.csv: line 3"));
    check_refused(train_words("empty.csv", NULL), 1, "empty.csv");
    check_refused(train_words("column.csv", NULL), 1, "text");
    check_refused(train_words("bytes.csv", NULL), 1, "UTF-8");
    check_refused(train_words("missing.csv", NULL), 1, "missing.csv");
    check_earlier_output();
    tuff__check_write_text(tuff__check_path("bytes.txt"), "fine\n\xFF\n");
    check_refused(words("run text-classification " MODEL " --device cpu --file %s", tuff__check_path("bytes.txt")), 1,
                  "UTF-8");
}

/* A text that the tokenizer refuses is named by its line, however the texts were put together on the way. */
static void test_named_lines(void **state)
{
    (void)state;
    enum { LINES = 1500, BAD = 1299 };
    char lines[300], model[300];
    copy_model();
    tuff__check_write_text(tuff__check_path("model/vocab.txt"), "[PAD]\n[CLS]\n[SEP]\n[MASK]\nba\nda\n");
    snprintf(lines, sizeof lines, "%s", tuff__check_path("many.csv"));
    snprintf(model, sizeof model, "%s", tuff__check_path("model"));
    FILE *file = tuff__file_open(lines, "wb");
    assert_non_null(file);
    fputs("text\n", file);
    for (int i = 0; i < LINES; i++)
        fputs(i == BAD ? "zz\n" : "ba\n", file);
    assert_int_equal(fclose(file), 0);
    static const char part[] = "many.csv: line 1301: tokenizer: a word is not in the vocabulary";
    check_refused(words("run text-classification %s --device cpu --file %s", model, lines), 1, part);
    check_refused(words("run feature-extraction %s --pooling cls --device cpu --file %s", model, lines), 1, part);
    check_refused(words("tokenize %s --file %s", model, lines), 1, part);
    check_refused(words("tokenize %s ba zz", model), 1, "text 2: tokenizer: a word");
    check_refused(words("run text-classification %s ba zz --device cpu", model), 1, "text 2: tokenizer: a word");
    tuff__check_write_text(tuff__check_path("table.txt"), "text,label\nba,a\n");
    check_refused(
        words("train --model %s --train %s --output-dir o --device cpu", model, tuff__check_path("table.txt")), 1,
        "name the format (--format)");
}

/* -- devices ------------------------------------------------------------------------------------------------------ */

#define NO_VULKAN "VK_ICD_FILENAMES=/nonexistent VK_DRIVER_FILES=/nonexistent VK_LAYER_PATH=/nonexistent"

static void test_devices(void **state)
{
    (void)state;
    check_refused("run text-classification " MODEL " hello --device nonsense", 1, "nonsense");
    check_refused("run text-classification " MODEL " hello --device vulkan:4711", 1, "4711");
    check_refused("run text-classification " MODEL " hello --device vulkan:4294967296", 1, "4294967296");
    check_refused_after(NO_VULKAN, "run text-classification " MODEL " hello --device vulkan", 1, "ulkan");
    assert_int_equal(run_after(NO_VULKAN, "run text-classification " MODEL " hello"), 0); /* the CPU device serves */
    assert_int_equal(run_after(NO_VULKAN, "devices"), 0);
    assert_non_null(strstr(said, "no Vulkan device: "));
    assert_int_equal(run_after("TUFF_DEVICE=reference", "devices"), 0);
    assert_non_null(strstr(said, "* reference"));
    assert_non_null(strstr(said, "left out: TUFF_DEVICE is 'reference'"));
    assert_int_equal(run_after("TUFF_DEVICE=nonsense", "devices"), 0);
    assert_non_null(strstr(said, "TUFF_DEVICE=nonsense names no device here"));
}

/* Processes that start together on a device new to them take the same kernels, which one of them proves for all. */
static void test_devices_proven_at_once(void **state)
{
    (void)state;
    if (run("devices --prove --device vulkan:0"))
        skip();
    const char *prove = "devices --prove --device vulkan:0";
    const char *others = words("export TUFF_CACHE_DIR='%s'; for i in 1 2; do '%s' %s >'%s'$i 2>&1 & done;",
                               tuff__check_path("new-cache"), command_path, prove, tuff__check_path("other"));
    assert_int_equal(run_after(others, words("%s && wait", prove)), 0);
    if (strstr(complained, "never ended"))
        fail_msg("%s", complained);
    for (int i = 1; i <= 2; i++) {
        char *text = tuff__check_read_text(tuff__check_path(i == 1 ? "other1" : "other2"));
        if (!strstr(text, said))
            fail_msg("one process says:\n%s\nanother:\n%s", said, text);
        tuff__free(text);
    }
}

/* -- what is written aside ---------------------------------------------------------------------------------------- */

/* Nothing of it is left: the folder holds its own files alone. */
static void check_nothing_aside(void)
{
    char **names = NULL;
    size_t count = 0;
    assert_int_equal(tuff__directory_list(tuff__check_folder, &names, &count), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++) {
        if (strstr(names[i], ".tmp-") || strstr(names[i], ".tuff-") || strstr(names[i], ".log-"))
            fail_msg("%s is left", names[i]);
        tuff__free(names[i]);
    }
    tuff__free(names);
}

#define ENDLESS "--max-steps 100000000 --logging-steps 5 "

/* Ended once it has begun to log; $p is its process. (By SIGTERM, as a shell may start what goes on in the background
 * with SIGINT ignored.) */
static int train_until_ended(const char *options)
{
    const char *log = words("%s.log-$p.jsonl", tuff__check_path("trained"));
    return run(words("%s " ENDLESS "%s & p=$!; while kill -0 $p && [ ! -s %s ]; do sleep 0.05; done; kill $p; wait $p",
                     train_words("good.csv", NULL), options, log));
}

static void test_interrupted(void **state)
{
    (void)state;
    assert_int_equal(tuff__directory_remove(tuff__check_path("trained")), TUFF_SUCCESS);
    tuff__check_write_text(tuff__check_path("good.csv"), "text,label\none,a\ntwo,b\nthree,a\n");
    assert_int_equal(train_until_ended(""), 128 + 15);
    assert_non_null(strstr(failure(), "tuff train: interrupted after "));
    assert_non_null(strstr(failure(), "nothing was saved, "));
    assert_false(tuff__is_directory(tuff__check_path("trained")));
    check_nothing_aside();
    assert_int_equal(train_until_ended("--save-strategy steps --save-steps 3"), 128 + 15);
    assert_non_null(strstr(failure(), "trained has what was saved after "));
    assert_true(tuff__file_exists(tuff__check_path("trained/model.safetensors")));
    check_nothing_aside();
}

/* Training goes on without a reader. */
static void test_closed_pipe(void **state)
{
    (void)state;
    assert_int_equal(tuff__directory_remove(tuff__check_path("trained")), TUFF_SUCCESS);
    assert_int_equal(run(words("%s | :", train_words("good.csv", NULL))), 0);
    assert_true(tuff__file_exists(tuff__check_path("trained/model.safetensors")));
    check_nothing_aside();
}

/* -- a disk that is full ------------------------------------------------------------------------------------------ */

/* Files end after some KiB; the signal that says so is ignored, as a full disk sends none. */
#define SMALL_DISK "trap '' XFSZ; ulimit -f 8;"

static void test_full_disk(void **state)
{
    (void)state;
    assert_int_equal(tuff__directory_create(tuff__check_path("trained")), TUFF_SUCCESS);
    tuff__check_write_text(tuff__check_path("trained/config.json"), "earlier");
    tuff__check_write_text(tuff__check_path("good.csv"), "text,label\none,a\ntwo,b\nthree,a\n");
    assert_int_equal(run_after(SMALL_DISK, train_words("good.csv", NULL)), 1);
    assert_non_null(strstr(complained, "cannot write"));
    check_earlier_output();

    tuff__check_write_text(tuff__check_path("v.json"), "earlier");
    assert_int_equal(
        run_after(SMALL_DISK, words("verify " MODEL " --device cpu --json %s", tuff__check_path("v.json"))), 1);
    assert_non_null(strstr(complained, "v.json: cannot write"));
    tuff__check_content(tuff__check_path("v.json"), "earlier");
    check_nothing_aside();
}

/* Standard output that takes nothing is an error too: a pipeline must not believe an empty answer. */
static void test_full_output(void **state)
{
    (void)state;
    if (!tuff__file_exists("/dev/full"))
        skip();
    static const char *const rows[] = {"run text-classification " MODEL " hello --device cpu --json",
                                       "verify " MODEL " --device cpu", "devices --json", "info " MODEL};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (run(words("%s >/dev/full", rows[i])) != 1)
            fail_msg("tuff %s to a full device left with 0", rows[i]);
}

/* -- too little memory -------------------------------------------------------------------------------------------- */

/* Less than the first buffers of that batch take, with small stacks so that it is the batch that has no room. */
#define LITTLE_MEMORY "ulimit -v 300000; ulimit -s 512; OPENBLAS_NUM_THREADS=1"

static void test_too_little_memory(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    check_refused_after(LITTLE_MEMORY, "verify " MODEL " --device cpu --batch-size 4096 --sequence-length 50", 1,
                        "no memory for ");
    /* Where the matrix library would have no room it is left out: it would wait for memory without end. */
    for (int kib = 60000; kib <= 220000; kib += 40000) {
        if (run_after(words("ulimit -v %d; ulimit -s 512; timeout 60", kib),
                      "run text-classification " MODEL " hello --device cpu"))
            fail_msg("tuff with %d KiB of addresses: %s", kib, complained);
        assert_non_null(strstr(said, "hello"));
    }
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

static int create_folder(void **state)
{
    (void)state;
    return tuff__check_folder_create("test_cli");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_allowance_table),
        cmocka_unit_test(test_bench_profile),
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_environment_table),
        cmocka_unit_test(test_check_and_dump),
        cmocka_unit_test(test_tokenize_json),
        cmocka_unit_test(test_run_files),
        cmocka_unit_test(test_run_embeddings),
        cmocka_unit_test(test_train),
        cmocka_unit_test(test_options_that_cannot_apply),
        cmocka_unit_test(test_broken_models),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_broken_tables),
        cmocka_unit_test(test_named_lines),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_devices_proven_at_once),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_closed_pipe),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_full_output),
        cmocka_unit_test(test_too_little_memory),
    };
    const int failed = cmocka_run_group_tests(tests, create_folder, tuff__check_folder_remove);
    tuff__free(said);
    tuff__free(complained);
    return failed;
}
