/*
 * test_cli.c: the command itself, run as a user runs it: help, exit codes, what is refused and in which words, and that
 * no failure touches an earlier output. Exit codes: 0 done, 1 could not be done, 2 not understood.
 */
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

static char *read_text(const char *path)
{
    tuff__mapped_file file;
    if (tuff__file_map(path, &file) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    char *text = tuff__strndup((const char *)file.data, file.size);
    assert_non_null(text);
    tuff__file_unmap(&file);
    return text;
}

/* Runs `before` (shell words in front: limits, variables) and the command with `arguments`, both as sh takes them.
 * Returns the exit code, which the shell writes down: C's system() leaves its form to the system. */
static int run_after(const char *before, const char *arguments)
{
    char line[4096];
    const int length = snprintf(line, sizeof line, "(%s '%s' %s) >%s 2>%s </dev/null; echo $? >%s", before,
                                command_path, arguments, tuff__check_path("out"), tuff__check_path("err"),
                                tuff__check_path("code"));
    assert_true(length > 0 && (size_t)length < sizeof line);
    tuff__free(said);
    tuff__free(complained);
    said = complained = NULL;
    if (system(line) != 0)
        fail_msg("no shell runs: %s", line);
    said = read_text(tuff__check_path("out"));
    complained = read_text(tuff__check_path("err"));
    char *code = read_text(tuff__check_path("code"));
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
    check_refused("verify a --steps 2", 2, "--steps goes with --train");
    check_refused("verify a --train=yes", 2, "--train takes no value");
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
        char *text = read_text(tuff__check_path(starts[i][0]));
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

/* -- the environment ---------------------------------------------------------------------------------------------- */

/* What tuff --help prints, and the document with it. */
static void test_environment_table(void **state)
{
    (void)state;
    char *document = read_text(TUFF_TEST_DIR "/../docs/environment.md");
    size_t count = 0;
    check_done("--help");
    for (const tuff__env_row *row = tuff__env_rows(); row->name; row++, count++) {
        const char *line = words("| `%s` | %s | %s |\n", row->name, row->values, row->meaning);
        if (!strstr(document, line))
            fail_msg("docs/environment.md lacks %s", line);
        assert_non_null(strstr(said, words("  %-16s %s (%s)\n", row->name, row->meaning, row->values)));
    }
    size_t documented = 0;
    for (const char *at = document; (at = strstr(at, "| `TUFF_")); at++)
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
    char *text = read_text(tuff__check_path("dump/graph-1.txt"));
    char *dot = read_text(tuff__check_path("dump/graph-1.dot"));
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
    char *document = read_text(TUFF_TEST_DIR "/../docs/numerics.md");
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

/* -- models that are not in order --------------------------------------------------------------------------------- */

static const char *const model_files[] = {"config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"};

/* A copy of the model in the test's folder. */
static void copy_model(void)
{
    assert_int_equal(tuff__directory_create(tuff__check_path("model")), TUFF_SUCCESS);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(tuff__file_copy(words(MODEL "/%s", model_files[i]),
                                         tuff__check_path(words("model/%s", model_files[i]))),
                         TUFF_SUCCESS);
}

/* config.json with `from` replaced by `to`. */
static void edit_config(const char *from, const char *to)
{
    char *text = read_text(MODEL "/config.json"), *at = strstr(text, from);
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

/* -- devices ------------------------------------------------------------------------------------------------------ */

#define NO_VULKAN "VK_ICD_FILENAMES=/nonexistent VK_DRIVER_FILES=/nonexistent VK_LAYER_PATH=/nonexistent"

static void test_devices(void **state)
{
    (void)state;
    check_refused("run text-classification " MODEL " hello --device nonsense", 1, "nonsense");
    check_refused("run text-classification " MODEL " hello --device vulkan:4711", 1, "4711");
    check_refused_after(NO_VULKAN, "run text-classification " MODEL " hello --device vulkan", 1, "ulkan");
    assert_int_equal(run_after(NO_VULKAN, "run text-classification " MODEL " hello"), 0); /* the CPU device serves */
    assert_int_equal(run_after(NO_VULKAN, "devices"), 0);
    assert_non_null(strstr(said, "no Vulkan device: "));
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

    /* nothing of what was written aside is left: the folder holds its own files alone */
    char **names = NULL;
    size_t count = 0;
    assert_int_equal(tuff__directory_list(tuff__check_folder, &names, &count), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++) {
        if (strstr(names[i], ".tmp-") || strstr(names[i], ".tuff-"))
            fail_msg("%s is left", names[i]);
        tuff__free(names[i]);
    }
    tuff__free(names);
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

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define SANITIZED 1 /* whose shadow needs terabytes of addresses */
#else
#define SANITIZED 0
#endif

/* Less than the first buffers of that batch take, with small stacks so that it is the batch that has no room. */
#define LITTLE_MEMORY "ulimit -v 300000; ulimit -s 512; OPENBLAS_NUM_THREADS=1"

static void test_too_little_memory(void **state)
{
    (void)state;
    if (SANITIZED)
        skip();
    check_refused_after(LITTLE_MEMORY, "verify " MODEL " --device cpu --batch-size 4096 --sequence-length 64", 1,
                        "no memory for a buffer");
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
        cmocka_unit_test(test_help),          cmocka_unit_test(test_version),
        cmocka_unit_test(test_unknown),       cmocka_unit_test(test_values),
        cmocka_unit_test(test_verify),        cmocka_unit_test(test_allowance_table),
        cmocka_unit_test(test_bench_profile), cmocka_unit_test(test_environment_table),
        cmocka_unit_test(test_check_and_dump),
        cmocka_unit_test(test_broken_models), cmocka_unit_test(test_broken_tables),
        cmocka_unit_test(test_devices),       cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_full_output),   cmocka_unit_test(test_too_little_memory),
    };
    const int failed = cmocka_run_group_tests(tests, create_folder, tuff__check_folder_remove);
    tuff__free(said);
    tuff__free(complained);
    return failed;
}
