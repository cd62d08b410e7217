/*
 * test_locale.c: what the library reads and writes while the application has a locale of its own. Its files are those
 * written in "C", byte by byte. Skipped where the system can make no such locale.
 */
#define _POSIX_C_SOURCE 200809L /* setenv, uselocale */

#include "../runtime/io/json.h"
#include "../runtime/train/train_report.h"
#include "tuff/verify.h"

#include "check.h"
#include "check_file.h"

#include <locale.h>
#include <stdlib.h>
#if defined(__APPLE__) || defined(__FreeBSD__)
#include <xlocale.h>
#endif

static const char model[] = TUFF_TEST_DIR "/golden/models/gelu_head20";

/* A comma, and U+066B, of two bytes. */
static const char *const locale_names[] = {"de_DE.UTF-8", "ps_AF.UTF-8"};

/* -- the locales -------------------------------------------------------------------------------------------------- */

/* With glibc they are made in the test's folder; other systems have them, or not. */
static void make_locales(void)
{
    char *folder = NULL, command[512];
    assert_int_equal(tuff__path_resolve(tuff__check_folder, &folder), TUFF_SUCCESS);
    for (size_t i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "localedef -i %.5s -f UTF-8 '%s/%s' >/dev/null 2>&1", locale_names[i], folder,
                 locale_names[i]);
        if (system(command) == 0)
            assert_int_equal(setenv("LOCPATH", folder, 1), 0);
    }
    tuff__free(folder);
}

static bool enter(const char *locale)
{
    char text[16];
    const bool entered = setlocale(LC_NUMERIC, locale) != NULL;
    snprintf(text, sizeof text, "%.1f", 0.5);
    return entered && strcmp(text, "0.5") != 0;
}

/* The application finds its locale as it was. */
static void leave(void)
{
    char text[16];
    snprintf(text, sizeof text, "%.1f", 0.5);
    assert_string_not_equal(text, "0.5");
    assert_true(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
    assert_non_null(setlocale(LC_NUMERIC, "C"));
}

/* -- reading and writing JSON ------------------------------------------------------------------------------------- */

static void test_json(void **state)
{
    static const char text[] = "{\"a\": 0.5, \"b\": [-1.25e-3, 3]}";
    tuff__json *json = NULL;
    tuff__json_writer writer = {0};
    char *written = NULL;
    double value = 0;
    assert_true(enter(*state));
    if (tuff__json_parse("text", text, strlen(text), NULL, &json) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    assert_int_equal(tuff__json_number(json, json->root, "a", &value), TUFF_SUCCESS);
    assert_true(value == 0.5);
    assert_true(tuff__json_find(json->root, "b")->child->valuedouble == -1.25e-3);
    tuff__json_begin_array(&writer);
    tuff__json_write_double(&writer, 0.1);
    tuff__json_write_double(&writer, 3);
    tuff__json_write_float(&writer, 1.5e-9f);
    tuff__json_end_array(&writer);
    assert_int_equal(tuff__json_finish_text(&writer, &written, NULL), TUFF_SUCCESS);
    assert_string_equal(written, "[0.1, 3.0, 1.5e-09]");
    tuff__free(written);
    tuff__json_destroy(json);
    leave();
}

/* -- files -------------------------------------------------------------------------------------------------------- */

/* Loading a model, and verifying it; the report in all its forms. */
static void test_verify_reports(void **state)
{
    static const tuff_verify_info info = {.train = true, .steps = 1, .batch_size = 2, .sequence_length = 9};
    tuff_device *device = NULL;
    tuff_verify_report *report = NULL;
    assert_int_equal(tuff_device_create(&(tuff_device_create_info){.device = "cpu"}, &device), TUFF_SUCCESS);
    assert_true(enter(*state));
    if (tuff_verify_model(device, model, &info, NULL, NULL, &report) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    assert_int_equal(tuff_verify_report_failures(report), 0);
    leave();
    for (int format = TUFF_VERIFY_JSON; format <= TUFF_VERIFY_HTML; format++) {
        const char *path = tuff__check_path("verify"), *plain = tuff__check_path("verify-c");
        assert_int_equal(tuff_verify_report_write(report, (tuff_verify_format)format, plain), TUFF_SUCCESS);
        assert_true(enter(*state));
        assert_int_equal(tuff_verify_report_write(report, (tuff_verify_format)format, path), TUFF_SUCCESS);
        leave();
        tuff__check_equal_files(path, plain);
    }
    tuff_verify_report_destroy(report);
    tuff_device_destroy(device);
}

static void save_training(const tuff__train_report *report, const char *page, const char *log)
{
    assert_int_equal(tuff__train_report_save(report, page), TUFF_SUCCESS);
    assert_int_equal(tuff__train_log_save(report->log, log), TUFF_SUCCESS);
}

static void test_training_reports(void **state)
{
    static const float logits[] = {0.5f, -0.25f, 1.5f, 0.125f};
    static const int32_t labels[] = {0, 1};
    static const char *const names[] = {"no", "yes"};
    tuff__train_log log = {0};
    tuff__metrics metrics = {0};
    for (uint64_t step = 1; step < 6; step++) {
        const tuff__log_entry entry = {.evaluation = step == 5,
                                       .step = step,
                                       .epoch = 0.3 * (double)step,
                                       .loss = 1.0 / (double)step,
                                       .grad_norm = 0.75,
                                       .learning_rate = 5e-5 / (double)step,
                                       .accuracy = 0.55,
                                       .macro_f1 = 0.45};
        assert_int_equal(tuff__train_log_append(&log, &entry), TUFF_SUCCESS);
    }
    assert_int_equal(tuff__metrics_create(&metrics, 2, 0), TUFF_SUCCESS);
    tuff__metrics_add(&metrics, logits, labels, 2);
    const tuff__train_report report = {.title = "test", .log = &log, .metrics = &metrics, .labels = names};
    save_training(&report, tuff__check_path("log-c.html"), tuff__check_path("log-c.jsonl"));
    assert_true(enter(*state));
    save_training(&report, tuff__check_path("log.html"), tuff__check_path("log.jsonl"));
    leave();
    tuff__check_equal_files(tuff__check_path("log.html"), tuff__check_path("log-c.html"));
    tuff__check_equal_files(tuff__check_path("log.jsonl"), tuff__check_path("log-c.jsonl"));
    tuff__metrics_destroy(&metrics);
    tuff__train_log_destroy(&log);
}

static void test_dump(void **state)
{
    tuff_device *device = NULL;
    tuff_graph *graph = NULL;
    assert_int_equal(tuff_device_create(&(tuff_device_create_info){.device = "cpu"}, &device), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_create(device, &graph), TUFF_SUCCESS);
    const tuff_tensor x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(7, 9));
    const tuff_tensor y = tuff_gelu(graph, x);
    assert_int_equal(tuff_graph_compile(graph, &y, 1), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_dump(graph, tuff__check_path("dump-c"), false), TUFF_SUCCESS);
    assert_true(enter(*state));
    assert_int_equal(tuff_graph_dump(graph, tuff__check_path("dump"), false), TUFF_SUCCESS);
    leave();
    tuff__check_equal_files(tuff__check_path("dump"), tuff__check_path("dump-c"));
    tuff_graph_destroy(graph);
    tuff_device_destroy(device);
}

int main(void)
{
    int failed = 0, skipped = 0;
    if (tuff__check_folder_create("test_locale") != 0)
        return 1;
    make_locales();
    for (size_t i = 0; i < 2; i++) {
        void *name = (void *)(uintptr_t)locale_names[i];
        const struct CMUnitTest tests[] = {
            cmocka_unit_test_prestate(test_json, name),
            cmocka_unit_test_prestate(test_verify_reports, name),
            cmocka_unit_test_prestate(test_training_reports, name),
            cmocka_unit_test_prestate(test_dump, name),
        };
        if (!enter(name)) {
            printf("skipped: there is no locale %s here, and no localedef with its sources\n", locale_names[i]);
            skipped = TUFF__SKIPPED;
            continue;
        }
        leave();
        failed += cmocka_run_group_tests_name(locale_names[i], tests, NULL, NULL);
    }
    failed += tuff__check_folder_remove(NULL) != 0;
    return failed ? failed : skipped;
}
