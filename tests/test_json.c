/* test_json.c: limits and refusals of the reader, the getters' words, and that what is written reads back. */
#include "../runtime/io/file.h"
#include "../runtime/io/json.h"

#include "check_cjson.h"
#include "check_file.h"

#include <math.h>
#include <stdlib.h>

static tuff__json *parse(const char *text)
{
    tuff__json *json = NULL;
    if (tuff__json_parse("config.json", text, strlen(text), NULL, &json) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    return json;
}

static void refuse_bytes(const char *text, size_t size, const char *part)
{
    tuff__json *json = NULL;
    tuff__check_failed(tuff__json_parse("config.json", text, size, NULL, &json), TUFF_ERROR_INVALID_FILE, part);
    assert_null(json);
}

static void refuse(const char *text, const char *part)
{
    refuse_bytes(text, strlen(text), part);
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

static void test_refuses_what_is_not_json(void **state)
{
    (void)state;
    refuse("", "config.json: is empty");
    refuse(" ", "not valid JSON");
    refuse("{\"a\": 1,\n \"b\" 2}", "config.json: line 2, column 6: not valid JSON");
    refuse("{\"a\": 1} x", "line 1, column 10: text after the end");
    refuse("{\"a\": 1", "not valid JSON");
    refuse("[1, 2", "not valid JSON");
    refuse("\"open", "a string that never ends");
    refuse("\"open\\", "a string that never ends");
    refuse("\"\\", "a string that never ends");
    refuse("\"", "a string that never ends");
    refuse("[\"a\tb\"]", "line 1, column 4: a control character");
    refuse("[\"a\\u0000b\"]", "a NUL character");
    refuse("[\"\\ud800\"]", "not valid JSON");
    refuse("[\"\xC3\x28\"]", "line 1, column 3: not valid UTF-8");
    refuse("[\"\xED\xA0\x80\"]", "not valid UTF-8");
    refuse("[\"\xF4\x90\x80\x80\"]", "not valid UTF-8");
    refuse("[\"\xC0\xAF\"]", "not valid UTF-8");
    refuse_bytes("[\0]", 3, "a NUL byte");
    refuse("NaN", "not valid JSON");
    refuse("{", "line 1, column 1: not valid JSON");
    refuse("{,}", "line 1, column 2: not valid JSON");
    refuse("{\"a\" : 1, }", "line 1, column 11: not valid JSON");
    refuse("[1, ]", "line 1, column 5: not valid JSON");
    refuse("[1}", "line 1, column 3: not valid JSON");
    refuse("[truth]", "line 1, column 2: not valid JSON");
    refuse("[-]", "line 1, column 3: not valid JSON");
    refuse("[1e+]", "line 1, column 5: not valid JSON");
    refuse("[\"ab\\x\"]", "line 1, column 5: not valid JSON");
    refuse("[\"\\u12g4\"]", "line 1, column 3: \\u without four hexadecimal digits");
    refuse("[\"\\u12", "line 1, column 3: \\u without four");
    refuse("[\"\\ud800\\u0041\"]", "line 1, column 3: not valid JSON");
    refuse("[\"\\udc00\"]", "line 1, column 3: not valid JSON");
    refuse("\xEF\xBB\xBF", "not valid JSON");
}

static void test_limits(void **state)
{
    (void)state;
    char text[300];
    tuff__json *json = NULL;
    memset(text, '[', sizeof text);
    refuse_bytes(text, sizeof text, "line 1, column 101: nested too deeply");
    memset(text, '{', sizeof text);
    refuse_bytes(text, sizeof text, "nested too deeply");
    const tuff__json_limits few = {.max_size = 10, .max_values = 4};
    tuff__check_failed(tuff__json_parse("x", "[1,2,3,4]", 9, &few, &json), TUFF_ERROR_INVALID_FILE, "more values");
    assert_int_equal(tuff__json_parse("x", "[1,2,3]", 7, &few, &json), TUFF_SUCCESS);
    tuff__json_destroy(json);
    tuff__check_failed(tuff__json_parse("x", "[1,2,3,4  ]", 11, &few, &json), TUFF_ERROR_INVALID_FILE,
                       "11 bytes of JSON, more than the 10");
    /* Brackets and commas inside strings are text. */
    memset(text, '[', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    assert_int_equal(tuff__json_parse("x", text, sizeof text, NULL, &json), TUFF_SUCCESS);
    tuff__json_destroy(json);
}

static void test_load(void **state)
{
    (void)state;
    tuff__json *json = NULL;
    tuff__check_write_text(tuff__check_path("a.json"), "{\"model_type\": \"bert\"}\n");
    assert_int_equal(tuff__json_load(tuff__check_path("a.json"), NULL, &json), TUFF_SUCCESS);
    const char *type = NULL;
    assert_int_equal(tuff__json_string(json, json->root, "model_type", &type), TUFF_SUCCESS);
    assert_string_equal(type, "bert");
    tuff__json_destroy(json);
    tuff__check_failed(tuff__json_load(tuff__check_path("none.json"), NULL, &json), TUFF_ERROR_IO, "none.json: cannot");
    tuff__json_destroy(NULL);
}

static void test_getters(void **state)
{
    (void)state;
    tuff__json *json = parse("{\"i\": 12, \"d\": 1e-12, \"s\": \"gelu\", \"b\": true, \"o\": {\"x\": 1}, \"a\": [1, 2],"
                             "\"n\": null, \"big\": 1e30, \"half\": 0.5, \"twice\": 1, \"twice\": 2, \"inf\": 1e999}");
    const cJSON *root = json->root, *value = NULL;
    int64_t integer = 0;
    double number = 0;
    bool flag = false;
    const char *text = NULL;
    assert_int_equal(tuff__json_int(json, root, "i", 1, 100, &integer), TUFF_SUCCESS);
    assert_int_equal(integer, 12);
    assert_int_equal(tuff__json_int(json, root, "twice", 0, 10, &integer), TUFF_SUCCESS);
    assert_int_equal(integer, 2);
    assert_int_equal(tuff__json_number(json, root, "d", &number), TUFF_SUCCESS);
    assert_true(number == 1e-12);
    assert_int_equal(tuff__json_string(json, root, "s", &text), TUFF_SUCCESS);
    assert_string_equal(text, "gelu");
    assert_int_equal(tuff__json_bool(json, root, "b", &flag), TUFF_SUCCESS);
    assert_true(flag);
    assert_int_equal(tuff__json_object(json, root, "o", &value), TUFF_SUCCESS);
    assert_int_equal(tuff__json_int(json, value, "x", 0, 10, &integer), TUFF_SUCCESS);
    assert_int_equal(tuff__json_array(json, root, "a", &value), TUFF_SUCCESS);
    assert_int_equal(cJSON_GetArraySize(value), 2);

    const tuff_status bad = TUFF_ERROR_INVALID_FILE;
    tuff__check_failed(tuff__json_int(json, root, "none", 1, 9, &integer), bad,
                       "config.json: has no 'none', wanted a whole number from 1 to 9");
    tuff__check_failed(tuff__json_int(json, root, "i", 1, 9, &integer), bad, "'i' is the number 12, wanted");
    tuff__check_failed(tuff__json_int(json, root, "half", 0, 9, &integer), bad, "'half' is the number 0.5");
    tuff__check_failed(tuff__json_int(json, root, "big", INT64_MIN, INT64_MAX, &integer), bad, "'big' is the number");
    tuff__check_failed(tuff__json_int(json, root, "s", 0, 9, &integer), bad, "'s' is the string \"gelu\", wanted");
    tuff__check_failed(tuff__json_number(json, root, "inf", &number), bad, "wanted a finite number");
    tuff__check_failed(tuff__json_string(json, root, "n", &text), bad, "'n' is null, wanted a string");
    tuff__check_failed(tuff__json_bool(json, root, "o", &flag), bad, "'o' is an object, wanted true or false");
    tuff__check_failed(tuff__json_object(json, root, "a", &value), bad, "'a' is an array, wanted an object");
    tuff__check_failed(tuff__json_array(json, root, "b", &value), bad, "'b' is true, wanted an array");
    assert_int_equal(integer, 1); /* failures leave the value alone */

    assert_int_equal(tuff__json_int_or(json, root, "none", 1, 9, -1, &integer), TUFF_SUCCESS);
    assert_int_equal(integer, -1);
    assert_int_equal(tuff__json_string_or(json, root, "n", "default", &text), TUFF_SUCCESS);
    assert_string_equal(text, "default");
    assert_int_equal(tuff__json_bool_or(json, root, "none", false, &flag), TUFF_SUCCESS);
    assert_false(flag);
    assert_int_equal(tuff__json_number_or(json, root, "half", 3, &number), TUFF_SUCCESS);
    assert_true(number == 0.5);
    assert_int_equal(tuff__json_object_or(json, root, "n", NULL, &value), TUFF_SUCCESS);
    assert_null(value);
    tuff__check_failed(tuff__json_array_or(json, root, "s", NULL, &value), bad, "wanted an array");
    tuff__json_destroy(json);
}

/* -- an application with the same cJSON ------------------------------------------------------------------------- */

static void test_hooks_stay(void **state)
{
    (void)state;
    cJSON *document = cJSON_Parse("{\"theirs\": [1, 2]}");
    tuff__json *json = parse("{\"ours\": \"text\"}");
    cJSON_Delete(document); /* aborted when the hooks had been changed meanwhile */
    document = cJSON_Parse("[3]");
    tuff__json_destroy(json);
    assert_true(tuff__check_cjson_blocks > 0);
    cJSON_Delete(document);
    assert_int_equal(tuff__check_cjson_blocks, 0);
}

/* cJSON does not say whether the text is at fault or the memory: we do. */
static void test_hooks_run_out_of_memory(void **state)
{
    (void)state;
    static const char text[] =
        "\xEF\xBB\xBF {\"a\": [-0.5e+3, 20, {}, [ ]], \"\\ud83d\\ude00\\n\": [true, false, null]}\n";
    tuff_status status = TUFF_ERROR_OUT_OF_HOST_MEMORY;
    for (uint64_t n = 1; status != TUFF_SUCCESS; n++) {
        tuff__json *json = NULL;
        assert_true(n < 100);
        tuff__check_cjson_calls = 0;
        tuff__check_cjson_fails_at = n;
        status = tuff__json_parse("config.json", text, sizeof text - 1, NULL, &json);
        if (status != TUFF_SUCCESS)
            tuff__check_failed(status, TUFF_ERROR_OUT_OF_HOST_MEMORY, "config.json");
        refuse("{\"a\": [true, 20, tru]}", "config.json: line 1, column 18: not valid JSON");
        tuff__json_destroy(json);
        assert_int_equal(tuff__check_cjson_blocks, 0);
    }
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

static void check_text(tuff__json_writer *writer, const char *wanted)
{
    char *text = NULL;
    size_t length = 0;
    assert_int_equal(tuff__json_finish_text(writer, &text, &length), TUFF_SUCCESS);
    assert_string_equal(text, wanted);
    assert_int_equal(length, strlen(wanted));
    tuff__free(text);
}

static void write_sample(tuff__json_writer *writer)
{
    tuff__json_begin_object(writer);
    tuff__json_key(writer, "a");
    tuff__json_begin_array(writer);
    tuff__json_write_int(writer, -1);
    tuff__json_write_bool(writer, true);
    tuff__json_write_null(writer);
    tuff__json_end_array(writer);
    tuff__json_key(writer, "empty");
    tuff__json_begin_object(writer);
    tuff__json_end_object(writer);
    tuff__json_key(writer, "s");
    tuff__json_write_string(writer, "x");
    tuff__json_end_object(writer);
}

static void test_layout(void **state)
{
    (void)state;
    tuff__json_writer writer = {0};
    write_sample(&writer);
    check_text(&writer, "{\"a\": [-1, true, null], \"empty\": {}, \"s\": \"x\"}");
    writer.indent = 2;
    write_sample(&writer);
    check_text(&writer, "{\n  \"a\": [\n    -1,\n    true,\n    null\n  ],\n  \"empty\": {},\n  \"s\": \"x\"\n}");
    assert_int_equal(writer.indent, 2);
    tuff__json_begin_array(&writer);
    tuff__json_writer_discard(&writer);
}

static void test_escapes(void **state)
{
    (void)state;
    tuff__json_writer writer = {0};
    tuff__json_write_string(&writer, "\"\\/\b\f\n\r\t\x01\x7F \xED\x95\x9C\xF0\x9F\x98\x80");
    check_text(&writer, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7F \xED\x95\x9C\xF0\x9F\x98\x80\"");
    tuff__json_write_string(&writer, "a\xFF\xE2\x82z"); /* what is not UTF-8 is replaced, byte by byte */
    check_text(&writer, "\"a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\"");
    tuff__json_write_string_n(&writer, "\0b", 2);
    check_text(&writer, "\"\\u0000b\"");
    tuff__json_write_string(&writer, "");
    check_text(&writer, "\"\"");
}

static void test_numbers(void **state)
{
    (void)state;
    tuff__json_writer writer = {0};
    tuff__json_begin_array(&writer);
    tuff__json_write_int(&writer, INT64_MIN);
    tuff__json_write_double(&writer, 0.1);
    tuff__json_write_double(&writer, 1.0 / 3.0);
    tuff__json_write_double(&writer, 5e-05);
    tuff__json_write_double(&writer, 2.0);
    tuff__json_write_double(&writer, -0.0);
    tuff__json_write_double(&writer, 1e300);
    tuff__json_write_float(&writer, 0.1f);
    tuff__json_write_float(&writer, 16777216.0f);
    tuff__json_write_double(&writer, (double)NAN);
    tuff__json_write_float(&writer, -INFINITY);
    tuff__json_end_array(&writer);
    check_text(&writer, "[-9223372036854775808, 0.1, 0.3333333333333333, 5e-05, 2.0, -0.0, 1e+300, 0.1, 16777216.0, "
                        "null, null]");
}

static void test_numbers_read_back(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525u + 1013904223u;
        const uint32_t bits = seed ^ seed >> 13;
        float value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        tuff__json_writer writer = {0};
        char *text = NULL;
        tuff__json_write_float(&writer, value);
        assert_int_equal(tuff__json_finish_text(&writer, &text, NULL), TUFF_SUCCESS);
        tuff__json *json = parse(text);
        assert_true((float)json->root->valuedouble == value);
        tuff__json_destroy(json);
        tuff__free(text);
        tuff__json_write_double(&writer, (double)value * 1.1);
        assert_int_equal(tuff__json_finish_text(&writer, &text, NULL), TUFF_SUCCESS);
        json = parse(text);
        assert_true(json->root->valuedouble == (double)value * 1.1);
        tuff__json_destroy(json);
        tuff__free(text);
    }
}

static void test_value_is_copied(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\": [1, -2.5, \"\xED\x95\x9C\\n\", {\"b\": null}], \"c\": false, \"d\": 9007199254740992}";
    tuff__json *json = parse(text);
    tuff__json_writer writer = {0};
    tuff__json_write_value(&writer, json->root);
    check_text(&writer, text);
    tuff__json_destroy(json);
}

static void test_lines(void **state)
{
    (void)state;
    tuff__json_writer writer = {0};
    FILE *file = tuff__file_open(tuff__check_path("log.jsonl"), "wb");
    assert_non_null(file);
    for (int step = 1; step <= 2; step++) {
        tuff__json_begin_object(&writer);
        tuff__json_key(&writer, "step");
        tuff__json_write_int(&writer, step);
        tuff__json_end_object(&writer);
        assert_int_equal(tuff__json_finish_line(&writer, file, "log.jsonl"), TUFF_SUCCESS);
    }
    tuff__check_content(tuff__check_path("log.jsonl"), "{\"step\": 1}\n{\"step\": 2}\n"); /* flushed line by line */
    fclose(file);
    file = tuff__file_open("/dev/full", "wb");
    if (file) {
        tuff__json_write_int(&writer, 1);
        tuff__check_failed(tuff__json_finish_line(&writer, file, "log.jsonl"), TUFF_ERROR_IO,
                           "log.jsonl: cannot write: No space left on device");
        fclose(file);
    }
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": [1, 2, \"three\"], \"b\": {\"c\": null}}";
    tuff_status status = TUFF_ERROR_OUT_OF_HOST_MEMORY;
    for (uint64_t n = 1; status != TUFF_SUCCESS; n++) {
        tuff__json *json = NULL;
        tuff__json_writer writer = {0};
        char *copy = NULL;
        assert_true(n < 100);
        tuff__alloc_fail_at(n);
        status = tuff__json_parse("x", text, sizeof text - 1, NULL, &json);
        if (status == TUFF_SUCCESS) {
            tuff__json_write_value(&writer, json->root);
            status = tuff__json_finish_text(&writer, &copy, NULL);
        }
        tuff__alloc_fail_at(0);
        if (status == TUFF_SUCCESS)
            assert_string_equal(copy, text);
        else
            assert_int_equal(status, TUFF_ERROR_OUT_OF_HOST_MEMORY);
        tuff__free(copy);
        tuff__json_destroy(json);
    }
}

/* -- whole files -------------------------------------------------------------------------------------------------- */

static void test_file_is_written_whole_or_not(void **state)
{
    (void)state;
    const char *path = tuff__check_path("whole");
    assert_int_equal(tuff__file_write(path, "first", 5), TUFF_SUCCESS);
    tuff__file_writer writer;
    assert_int_equal(tuff__file_writer_open(&writer, path), TUFF_SUCCESS);
    char *aside = tuff__strdup(writer.aside);
    assert_non_null(aside);
    assert_int_equal(tuff__file_writer_write(&writer, "sec", 3), TUFF_SUCCESS);
    tuff__check_content(path, "first");
    tuff__file_writer_abort(&writer);
    tuff__check_content(path, "first");
    assert_false(tuff__file_exists(aside));
    tuff__free(aside);
    assert_int_equal(tuff__file_copy(path, tuff__check_path("copy")), TUFF_SUCCESS);
    tuff__check_content(tuff__check_path("copy"), "first");
    tuff__check_failed(tuff__file_write(tuff__check_path("none/file"), "x", 1), TUFF_ERROR_IO, "No such file");
    tuff__check_failed(tuff__file_write(tuff__check_folder, "x", 1), TUFF_ERROR_IO, "is a folder");
    FILE *file = NULL;
    tuff__check_failed(tuff__stream_open(tuff__check_folder, &file), TUFF_ERROR_IO, "cannot open");
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(tuff__stream_open(path, &file), TUFF_SUCCESS);
    tuff__check_failed(tuff__stream_read(file, "whole", 4, &text, &size), TUFF_ERROR_INVALID_FILE, "more than the 4");
    fclose(file);
}

/* A link stays a link, and a pipe (as /dev/null and /dev/stdout) is written to, never replaced by a file. */
static void test_file_in_the_place_of_others(void **state)
{
    (void)state;
    char command[400], text[4];
    snprintf(
        command, sizeof command,
        "cd '%s' && mkdir deep && echo old >deep/file && ln -s deep/file link && ln -s deep/none waits && mkfifo pipe",
        tuff__check_folder);
    if (system(command) != 0)
        skip();
    assert_int_equal(tuff__file_write(tuff__check_path("link"), "new", 3), TUFF_SUCCESS);
    tuff__check_content(tuff__check_path("deep/file"), "new");
    assert_int_equal(tuff__file_write(tuff__check_path("waits"), "newer", 5), TUFF_SUCCESS);
    tuff__check_content(tuff__check_path("deep/none"), "newer");
    FILE *pipe = tuff__file_open(tuff__check_path("pipe"), "r+b"); /* both ends, so that nobody waits */
    assert_non_null(pipe);
    tuff__file_writer writer;
    assert_int_equal(tuff__file_writer_open(&writer, tuff__check_path("pipe")), TUFF_SUCCESS);
    assert_null(writer.aside);
    tuff__file_writer_abort(&writer);
    assert_int_equal(tuff__file_write(tuff__check_path("pipe"), "text", 4), TUFF_SUCCESS);
    assert_int_equal(fread(text, 1, sizeof text, pipe), sizeof text);
    assert_memory_equal(text, "text", sizeof text);
    fclose(pipe);
    snprintf(command, sizeof command, "cd '%s' && test -L link && test -L waits && test -p pipe", tuff__check_folder);
    assert_int_equal(system(command), 0);
}

static int create_folder(void **state)
{
    (void)state;
    return tuff__check_folder_create("test_json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: the library has had no chance yet to set hooks of its own. */
        cmocka_unit_test_setup_teardown(test_hooks_stay, tuff__check_cjson_set_hooks, tuff__check_cjson_clear_hooks),
        cmocka_unit_test_setup_teardown(test_hooks_run_out_of_memory, tuff__check_cjson_set_hooks,
                                        tuff__check_cjson_clear_hooks),
        cmocka_unit_test(test_refuses_what_is_not_json),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_read_back),
        cmocka_unit_test(test_value_is_copied),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_file_is_written_whole_or_not),
        cmocka_unit_test(test_file_in_the_place_of_others),
    };
    return cmocka_run_group_tests(tests, create_folder, tuff__check_folder_remove);
}
