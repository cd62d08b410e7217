/* test_dataset.c: what each format gives, as Python's csv and json give it, and what is refused by line. */
#include "../runtime/io/dataset.h"

#include "check_file.h"

static tuff__table *parse_bytes(const char *text, size_t size, tuff__table_format format)
{
    tuff__table *table = NULL;
    char *exact = tuff__malloc(size); /* no NUL behind: a sanitizer sees one byte over */
    assert_non_null(exact);
    memcpy(exact, text, size);
    const tuff_status status = tuff__table_parse("data", exact, size, format, &table);
    tuff__free(exact);
    if (status != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    return table;
}

static tuff__table *parse(const char *text, tuff__table_format format)
{
    return parse_bytes(text, strlen(text), format);
}

/* Columns, then the cells of all rows, each followed by '|'; rows by '\n'. NULL cells are "(none)". */
static void check(tuff__table *table, const char *wanted)
{
    static char text[4096];
    size_t used = 0;
    for (size_t column = 0; column < tuff__table_column_count(table); column++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s|", tuff__table_column_name(table, column));
    for (size_t row = 0; row < tuff__table_row_count(table); row++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "\n");
        for (size_t column = 0; column < tuff__table_column_count(table); column++) {
            size_t length = 0;
            const char *cell = tuff__table_cell(table, row, column, &length);
            assert_int_equal(length, cell ? strlen(cell) : 0);
            used += (size_t)snprintf(text + used, sizeof text - used, "%s|", cell ? cell : "(none)");
        }
    }
    assert_string_equal(text, wanted);
    tuff__table_destroy(table);
}

static void refuse_bytes(const char *text, size_t size, tuff__table_format format, const char *part)
{
    tuff__table *table = NULL;
    tuff__check_failed(tuff__table_parse("data", text, size, format, &table), TUFF_ERROR_INVALID_FILE, part);
    assert_null(table);
}

static void refuse(const char *text, tuff__table_format format, const char *part)
{
    refuse_bytes(text, strlen(text), format, part);
}

/* -- CSV and TSV -------------------------------------------------------------------------------------------------- */

static void test_csv(void **state)
{
    (void)state;
    check(parse("text,label\na,1\nb,2\n", TUFF__TABLE_CSV), "text|label|\na|1|\nb|2|");
    check(parse("text,label\r\na,1\r\nb,2", TUFF__TABLE_CSV), "text|label|\na|1|\nb|2|");
    check(parse("text,label\ra,1\rb,2\r", TUFF__TABLE_CSV), "text|label|\na|1|\nb|2|");
    check(parse("\xEF\xBB\xBFtext\nx\n", TUFF__TABLE_CSV), "text|\nx|");
    check(parse("a,b\n,\n\n\nx,\n", TUFF__TABLE_CSV), "a|b|\n||\nx||"); /* empty lines are no rows */
    check(parse("a\n\"\"\n", TUFF__TABLE_CSV), "a|\n|");
    check(parse("a,b\n\"x, y\",\"say \"\"hi\"\"\"\n", TUFF__TABLE_CSV), "a|b|\nx, y|say \"hi\"|");
    check(parse("\"a\",\"b\"\n\"1\n2\",\"3\r\n4\"\n", TUFF__TABLE_CSV), "a|b|\n1\n2|3\r\n4|");
    check(parse("a,b\n\"x\"y,z \"q\"\n", TUFF__TABLE_CSV), "a|b|\nxy|z \"q\"|"); /* lenient, as Python's csv */
    check(parse("a,b\n\"x\"\"\"\"\",\"\"\n", TUFF__TABLE_CSV), "a|b|\nx\"\"||");
    check(parse("a,b\n x , y \n", TUFF__TABLE_CSV), "a|b|\n x | y |"); /* blanks are text */
    check(parse("\xED\x95\x9C,b\n\xF0\x9F\x98\x80,\xC3\xA9\n", TUFF__TABLE_CSV),
          "\xED\x95\x9C|b|\n\xF0\x9F\x98\x80|\xC3\xA9|");
    check(parse("a,b\n1,2\n3,", TUFF__TABLE_CSV), "a|b|\n1|2|\n3||");
}

static void test_tsv(void **state)
{
    (void)state;
    check(parse("a\tb\n1, 2\t3\n", TUFF__TABLE_TSV), "a|b|\n1, 2|3|");
    check(parse("a\tb\n\"x\ty\"\t\"\"\"q\"\"\"\n", TUFF__TABLE_TSV), "a|b|\nx\ty|\"q\"|");
    check(parse("a\tb\n5\" pipe\t\"quoted\" then not\n", TUFF__TABLE_TSV), "a|b|\n5\" pipe|quoted then not|");
    check(parse("a\tb\n\t\n", TUFF__TABLE_TSV), "a|b|\n||");
}

static void count_warning(void *user, tuff_log_level level, const char *message)
{
    int *count = user;
    *count += level == TUFF_LOG_WARNING && strstr(message, "data: line 2: a quoted field goes on over several lines");
}

static void test_tsv_without_quoting(void **state)
{
    (void)state;
    static const char text[] = "id\ttext\n1\t\"so he said\n2\tfine\" he said\n";
    int warnings = 0;
    tuff_set_log(count_warning, &warnings);
    check(parse(text, TUFF__TABLE_TSV_RAW), "id|text|\n1|\"so he said|\n2|fine\" he said|");
    assert_int_equal(warnings, 0);
    check(parse(text, TUFF__TABLE_TSV), "id|text|\n1|so he said\n2\tfine he said|");
    assert_int_equal(warnings, 1);
    tuff_set_log(NULL, NULL);
}

static void test_csv_lines(void **state)
{
    (void)state;
    tuff__table *table = parse("a,b\r\n\r\n\"x\r\ny\nz\",1\r\n2,3\n", TUFF__TABLE_CSV);
    assert_int_equal(tuff__table_row_count(table), 2);
    assert_int_equal(tuff__table_line(table, 0), 3);
    assert_int_equal(tuff__table_line(table, 1), 6);
    assert_string_equal(tuff__table_line_word(table), "line");
    tuff__table_destroy(table);
}

static void test_csv_refuses(void **state)
{
    (void)state;
    refuse("", TUFF__TABLE_CSV, "data: is empty");
    refuse("\xEF\xBB\xBF", TUFF__TABLE_CSV, "data: is empty");
    refuse("\n\n", TUFF__TABLE_CSV, "data: has no rows");
    refuse("a,b\n", TUFF__TABLE_CSV, "data: has no rows below its header");
    refuse("a,b\n1,2\n\n3\n", TUFF__TABLE_CSV, "data: line 4: has 1 fields, but the header has 2");
    refuse("a,b\n1,2,3\n", TUFF__TABLE_CSV, "data: line 2: has 3 fields, but the header has 2");
    refuse("a,b\n1,\"2\n3\n4", TUFF__TABLE_CSV, "data: line 2: a quoted field begins here and is never closed");
    refuse("a,b\n1,\"", TUFF__TABLE_CSV, "line 2: a quoted field begins here");
    refuse("a\nok\nb\xFF\n", TUFF__TABLE_CSV, "data: line 3: not valid UTF-8 (byte 0xFF)");
    refuse("a\r\nok\r\n\xEA\xB0", TUFF__TABLE_CSV, "data: line 3: not valid UTF-8 (byte 0xEA)");
    refuse_bytes("a\nb\0c\n", 6, TUFF__TABLE_CSV, "data: line 2: has a NUL byte");
    static char wide[10000];
    memset(wide, ',', sizeof wide);
    refuse_bytes(wide, sizeof wide, TUFF__TABLE_CSV, "more than 4096 columns");
}

/* -- JSON --------------------------------------------------------------------------------------------------------- */

static void test_json_lines(void **state)
{
    (void)state;
    check(parse("{\"text\": \"a\\n\\ud55c\", \"label\": 3}\n\n{\"text\": \"b\", \"label\": -0.5}\r\n",
                TUFF__TABLE_JSON_LINES),
          "text|label|\na\n\xED\x95\x9C|3|\nb|-0.5|");
    check(parse("{\"a\": true, \"b\": null}\n{\"b\": \"x\", \"a\": false, \"c\": [1]}", TUFF__TABLE_JSON_LINES),
          "a|b|c|\ntrue|(none)|(none)|\nfalse|x|(none)|");
    check(parse("{\"a\": 1, \"a\": \"last\"}", TUFF__TABLE_JSON_LINES), "a|\nlast|");
    refuse("{\"a\": 1}\n{\"a\": }\n", TUFF__TABLE_JSON_LINES, "data: line 2, column 7: not valid JSON");
    refuse("{\"a\": 1}\n[1]\n", TUFF__TABLE_JSON_LINES, "data: line 2: is not a JSON object");
    refuse("{\"a\": 1} {\"a\": 2}\n", TUFF__TABLE_JSON_LINES, "text after the end of the JSON value");
    refuse("{\"a\": \"x\\u0000y\"}\n", TUFF__TABLE_JSON_LINES, "a NUL character");
    refuse(" \n", TUFF__TABLE_JSON_LINES, "data: has no rows");
}

static void test_json_array(void **state)
{
    (void)state;
    check(parse("[{\"a\": \"x\", \"b\": 1},\n {\"a\": \"y\", \"b\": 2}]\n", TUFF__TABLE_JSON), "a|b|\nx|1|\ny|2|");
    refuse("{\"a\": 1}", TUFF__TABLE_JSON, "is not a JSON array of objects (one object a line is the format jsonl)");
    refuse("[{\"a\": 1}, 2]", TUFF__TABLE_JSON, "data: item 2: is not a JSON object");
    refuse("[]", TUFF__TABLE_JSON, "data: has no rows");
    refuse("[{\"a\": 1}", TUFF__TABLE_JSON, "not valid JSON");
}

/* A number is the text it is written as: no digit is lost, and two that a double cannot tell apart stay two. */
static void test_json_numbers(void **state)
{
    (void)state;
    check(parse("{\"a\": 9007199254740993}\n{\"a\": 9007199254740992}\n{\"a\":-12345678901234567890}\n",
                TUFF__TABLE_JSON_LINES),
          "a|\n9007199254740993|\n9007199254740992|\n-12345678901234567890|");
    check(parse("{\"a\": 1e400, \"b\": 1.0}\n{\"a\": 0.10,\"b\":1E-5}\n", TUFF__TABLE_JSON_LINES),
          "a|b|\n1e400|1.0|\n0.10|1E-5|");
    /* those in texts, keys and nested values are others */
    check(parse("{\"a 1\": \"7 \\\" 8\", \"b\": [2, {\"c\": 3}], \"b2\": {\"d\": [4]}, \"e\\\\\": 5.50, \"f\": 6}",
                TUFF__TABLE_JSON_LINES),
          "a 1|b|b2|e\\|f|\n7 \" 8|(none)|(none)|5.50|6|");
    check(parse("[{\"a\": 1.0, \"b\": [9]}, {\"a\": [1], \"b\": 2.0},\n{\"b\": 4, \"a\": 3, \"a\": 5.0}]",
                TUFF__TABLE_JSON),
          "a|b|\n1.0|(none)|\n(none)|2.0|\n5.0|4|");
}

/* -- plain lines -------------------------------------------------------------------------------------------------- */

static void test_lines(void **state)
{
    (void)state;
    check(parse("one\n\ntwo, \"3\"\t4\r\n", TUFF__TABLE_LINES), "text|\none|\n|\ntwo, \"3\"\t4\r|");
    check(parse("one\ntwo", TUFF__TABLE_LINES), "text|\none|\ntwo|");
    check(parse("\n", TUFF__TABLE_LINES), "text|\n|");
    check(parse("\n\n", TUFF__TABLE_LINES), "text|\n|\n|");
    check(parse("\xEF\xBB\xBFx", TUFF__TABLE_LINES), "text|\nx|");
    refuse("", TUFF__TABLE_LINES, "data: is empty");
    refuse("a\n\xC0\x80\n", TUFF__TABLE_LINES, "line 2: not valid UTF-8");
}

/* -- columns and opening ------------------------------------------------------------------------------------------ */

static void test_column(void **state)
{
    (void)state;
    size_t column = 9;
    tuff__table *table = parse("title,label,twice,twice\na,1,2,3\n", TUFF__TABLE_CSV);
    assert_int_equal(tuff__table_column(table, "label", &column), TUFF_SUCCESS);
    assert_int_equal(column, 1);
    tuff__check_failed(tuff__table_column(table, "text", &column), TUFF_ERROR_INVALID_FILE,
                       "data: has no column 'text', only 'title', 'label', 'twice', 'twice'");
    tuff__check_failed(tuff__table_column(table, "twice", &column), TUFF_ERROR_INVALID_FILE,
                       "data: has two columns named 'twice'");
    tuff__table_destroy(table);
    table = parse("{\"a\": 1, \"b\": 2}\n\n{\"a\": null}\n", TUFF__TABLE_JSON_LINES);
    tuff__check_failed(tuff__table_column(table, "a", &column), TUFF_ERROR_INVALID_FILE,
                       "data: line 3: 'a' is missing, null, an array or an object, wanted a text or a number");
    tuff__check_failed(tuff__table_column(table, "b", &column), TUFF_ERROR_INVALID_FILE,
                       "data: line 3: 'b' is missing");
    tuff__table_destroy(table);
}

static void test_many_columns_are_listed_in_part(void **state)
{
    (void)state;
    char text[2048] = "";
    size_t column = 0;
    for (int i = 0; i < 300; i++)
        strcat(text, "\xED\x95\x9C,");
    strcat(text, "z\n");
    for (int i = 0; i < 300; i++)
        strcat(text, ",");
    tuff__table *table = parse(text, TUFF__TABLE_CSV);
    tuff__check_failed(tuff__table_column(table, "none", &column), TUFF_ERROR_INVALID_FILE, "...");
    tuff__table_destroy(table);
}

static void test_open(void **state)
{
    (void)state;
    tuff__table *table = NULL;
    static const struct {
        const char *name, *text, *wanted;
    } files[] = {
        {"a.csv", "x,y\n1,2\n", "x|y|\n1|2|"},        {"a.TSV", "x\ty\n1\t2\n", "x|y|\n1|2|"},
        {"a.jsonl", "{\"x\": 1}\n", "x|\n1|"},        {"a.json", "[{\"x\": 1}]", "x|\n1|"},
        {"a.txt", "x,y\n1,2\n", "text|\nx,y|\n1,2|"}, {"noextension", "x\n", "text|\nx|"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        tuff__check_write_text(tuff__check_path(files[i].name), files[i].text);
        if (tuff__table_open(tuff__check_path(files[i].name), TUFF__TABLE_AUTO, &table) != TUFF_SUCCESS)
            fail_msg("%s", tuff_last_error());
        assert_string_equal(tuff__table_path(table), tuff__check_path(files[i].name));
        check(table, files[i].wanted);
    }
    assert_int_equal(tuff__table_open(tuff__check_path("a.txt"), TUFF__TABLE_CSV, &table), TUFF_SUCCESS);
    check(table, "x|y|\n1|2|");
    tuff__check_failed(tuff__table_open(tuff__check_path("none.csv"), TUFF__TABLE_AUTO, &table), TUFF_ERROR_IO,
                       "none.csv: cannot open: No such file");
    tuff__check_failed(tuff__table_open(tuff__check_folder, TUFF__TABLE_AUTO, &table), TUFF_ERROR_IO,
                       "cannot open: Is a directory");
    tuff__check_write_text(tuff__check_path("empty.csv"), "");
    tuff__check_failed(tuff__table_open(tuff__check_path("empty.csv"), TUFF__TABLE_AUTO, &table),
                       TUFF_ERROR_INVALID_FILE, "empty.csv: is empty");
    tuff__table_format format = TUFF__TABLE_AUTO;
    assert_int_equal(tuff__table_format_parse("jsonl", &format), TUFF_SUCCESS);
    assert_int_equal(format, TUFF__TABLE_JSON_LINES);
    tuff__check_failed(tuff__table_format_parse("xlsx", &format), TUFF_ERROR_INVALID_ARGUMENT,
                       "'xlsx' is not a format");
    tuff__table_destroy(NULL);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tuff__table_format format;
    } tables[] = {{"a,b\n1,2\n\"3\",4\n", TUFF__TABLE_CSV},
                  {"{\"a\": 1}\n{\"b\": \"x\"}\n", TUFF__TABLE_JSON_LINES},
                  {"[{\"a\": true}]", TUFF__TABLE_JSON},
                  {"a\nb\n", TUFF__TABLE_LINES}};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        tuff_status status = TUFF_ERROR_OUT_OF_HOST_MEMORY;
        for (uint64_t n = 1; status != TUFF_SUCCESS; n++) {
            tuff__table *table = NULL;
            assert_true(n < 200);
            tuff__alloc_fail_at(n);
            status = tuff__table_parse("data", tables[i].text, strlen(tables[i].text), tables[i].format, &table);
            tuff__alloc_fail_at(0);
            if (status != TUFF_SUCCESS)
                assert_int_equal(status, TUFF_ERROR_OUT_OF_HOST_MEMORY);
            tuff__table_destroy(table);
        }
    }
}

static int create_folder(void **state)
{
    (void)state;
    return tuff__check_folder_create("test_dataset");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_tsv),
        cmocka_unit_test(test_tsv_without_quoting),
        cmocka_unit_test(test_csv_lines),
        cmocka_unit_test(test_csv_refuses),
        cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_json_array),
        cmocka_unit_test(test_json_numbers),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_column),
        cmocka_unit_test(test_many_columns_are_listed_in_part),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, create_folder, tuff__check_folder_remove);
}
