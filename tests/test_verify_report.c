/* test_verify_report.c: the three forms of a verification's report, for one with everything that is hard to write. */
#include "verify/verify.h"

#include "check_file.h"
#include "io/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;
    for (; (text = strstr(text, word)); text += strlen(word))
        count++;
    return count;
}

/* A made-up report with everything that is hard to write down. */
static tuff_verify_report *hard_report(void)
{
    static tuff_verify_record records[] = {
        {.op = "matmul",
         .variant = "t0",
         .label = "a<b>&\"c\"",
         .shape = {2, {2, 3}},
         .count = 6,
         .bad = 1,
         .worst = 4,
         .got = 1,
         .want = 2,
         .allowed = 1e-6,
         .ratio = 1e6,
         .max_abs_error = 1,
         .seconds = 0.5},
        {.op = "add", .variant = "", .label = "", .shape = {1, {7}}, .count = 7, .bad = 1, .got_nan = 1, .want_inf = 1},
        {.phase = TUFF_VERIFY_STEPS,
         .op = "loss",
         .variant = "",
         .label = "\x01 \xFF \xED\x95\x9C",
         .count = 1,
         .shape = {1, {1}}},
        {.op = "matmul", .variant = "t0", .label = "fine", .shape = {1, {5}}, .count = 5, .ratio = 0.25},
    };
    records[1].got = NAN;
    records[1].want = -INFINITY;
    records[1].ratio = INFINITY;
    tuff_verify_report *report = calloc(1, sizeof *report);
    assert_non_null(report);
    report->records = records;
    report->count = sizeof records / sizeof records[0];
    report->failures = 2;
    report->model = "models/<odd> & \xFE";
    snprintf(report->device.name, sizeof report->device.name, "a \"device\"");
    snprintf(report->device.driver, sizeof report->device.driver, "driver 1 & 2");
    return report;
}

static void test_json(void **state)
{
    (void)state;
    tuff_verify_report *report = hard_report();
    const char *path = tuff__check_path("report.json");
    tuff__json *json = NULL;
    assert_int_equal(tuff_verify_report_write(report, TUFF_VERIFY_JSON, path), TUFF_SUCCESS);
    assert_int_equal(tuff__json_load(path, NULL, &json), TUFF_SUCCESS);
    const cJSON *records = tuff__json_find(json->root, "records"), *odd = cJSON_GetArrayItem(records, 1);
    assert_int_equal(cJSON_GetArraySize(records), 4);
    assert_int_equal(tuff__json_find(json->root, "failures")->valueint, 2);
    assert_string_equal(tuff__json_find(cJSON_GetArrayItem(records, 0), "label")->valuestring, "a<b>&\"c\"");
    assert_string_equal(tuff__json_find(odd, "got")->valuestring, "NaN");
    assert_string_equal(tuff__json_find(odd, "want")->valuestring, "-Infinity");
    assert_string_equal(tuff__json_find(odd, "ratio")->valuestring, "Infinity");
    const cJSON *operators = tuff__json_find(json->root, "operators"), *matmul = cJSON_GetArrayItem(operators, 0);
    assert_int_equal(cJSON_GetArraySize(operators), 3);
    assert_int_equal(tuff__json_find(matmul, "records")->valueint, 2);
    assert_int_equal(tuff__json_find(matmul, "elements")->valueint, 11);
    assert_int_equal(tuff__json_find(matmul, "bad")->valueint, 1);
    tuff__json_destroy(json);
    free(report);
}

static void test_junit(void **state)
{
    (void)state;
    tuff_verify_report *report = hard_report();
    const char *path = tuff__check_path("report.xml");
    assert_int_equal(tuff_verify_report_write(report, TUFF_VERIFY_JUNIT, path), TUFF_SUCCESS);
    char *text = tuff__check_read_text(path);
    assert_non_null(strstr(text, "tests=\"4\" failures=\"2\""));
    assert_int_equal(count_of(text, "<testcase "), 4);
    assert_int_equal(count_of(text, "<failure "), 2);
    assert_int_equal(count_of(text, "</failure>"), 2);
    assert_non_null(strstr(text, "name=\"a&lt;b&gt;&amp;&quot;c&quot; matmul[0]\""));
    assert_non_null(strstr(text, "value=\"models/&lt;odd&gt; &amp; \xEF\xBF\xBD\""));
    assert_non_null(strstr(text, "\xEF\xBF\xBD \xEF\xBF\xBD \xED\x95\x9C loss[0]"));
    assert_null(strchr(text, '\x01'));
    assert_non_null(strstr(text, "1 of 6 out of tolerance, worst at [1, 1]: got 1, want 2"));
    assert_non_null(strstr(text, "on a &quot;device&quot;, driver 1 &amp; 2: 1 NaN"));
    tuff__free(text);
    free(report);
}

static void test_html(void **state)
{
    (void)state;
    tuff_verify_report *report = hard_report();
    const char *path = tuff__check_path("report.html");
    assert_int_equal(tuff_verify_report_write(report, TUFF_VERIFY_HTML, path), TUFF_SUCCESS);
    char *text = tuff__check_read_text(path);
    assert_non_null(strstr(text, "2 of 4 results on a &quot;device&quot; with driver 1 &amp; 2 disagree"));
    assert_int_equal(count_of(text, "<circle "), 4);
    assert_int_equal(count_of(text, "<svg "), 1);
    assert_int_equal(count_of(text, "<tr"), count_of(text, "</tr>"));
    assert_null(strstr(text, "http")); /* nothing from outside */
    assert_null(strstr(text, "cx=\"nan\""));
    assert_null(strstr(text, "cy=\"nan\""));
    assert_null(strstr(text, "cy=\"inf\""));
    tuff__free(text);
    report->count = 0; /* an empty one draws nothing and says so */
    report->failures = 0;
    assert_int_equal(tuff_verify_report_write(report, TUFF_VERIFY_HTML, path), TUFF_SUCCESS);
    text = tuff__check_read_text(path);
    assert_non_null(strstr(text, "Nothing was compared"));
    tuff__free(text);
    free(report);
}

/* A report that cannot be written leaves the earlier one. */
static void test_unwritable(void **state)
{
    (void)state;
    tuff_verify_report *report = hard_report();
    tuff__check_failed(tuff_verify_report_write(report, TUFF_VERIFY_JSON, tuff__check_path("none/report.json")),
                       TUFF_ERROR_IO, "none/report.json");
    const char *path = tuff__check_path("earlier.json");
    tuff__check_write_text(path, "earlier");
    tuff__alloc_fail_at(3);
    assert_int_not_equal(tuff_verify_report_write(report, TUFF_VERIFY_JSON, path), TUFF_SUCCESS);
    tuff__alloc_fail_at(0);
    tuff__check_content(path, "earlier");
    free(report);
}

static int create_folder(void **state)
{
    (void)state;
    return tuff__check_folder_create("test_verify_report");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_junit),
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_unwritable),
    };
    return cmocka_run_group_tests(tests, create_folder, tuff__check_folder_remove);
}
