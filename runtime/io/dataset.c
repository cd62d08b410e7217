/*
 * dataset.c: owns how files become tables of texts. It knows nothing of labels, splits or tokens.
 *
 * The file is kept whole in memory; the cells of CSV, TSV and plain lines are unquoted in place and point into it.
 */
#include "dataset.h"

#include "../alloc.h"
#include "../log.h"
#include "../os.h"
#include "file.h"
#include "json.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

/* More columns than any real table has; bounds the work that a hostile header can ask for. */
enum { MAX_COLUMNS = 4096 };

typedef struct cell {
    size_t offset, length; /* in table->text; offset SIZE_MAX: no text */
    uint32_t column;       /* JSON rows name their keys in any order, and not all of them */
} cell;

typedef struct row {
    size_t first, count; /* cells */
    size_t line;
} row;

typedef struct column {
    char *name;
    size_t seen_row; /* JSON: the row (from 1) whose cell `seen_cell` is this column's */
    size_t seen_cell;
} column;

struct tuff__table {
    char *path;
    tuff__table_format format;
    char *text; /* NUL-terminated cells */
    size_t size, capacity;
    cell *cells;
    size_t cell_count, cell_capacity;
    row *rows;
    size_t row_count, row_capacity;
    column *columns;
    size_t column_count, column_capacity;
};

/* -- building ----------------------------------------------------------------------------------------------------- */

static tuff_status add_column(tuff__table *table, const char *name, size_t length)
{
    if (table->column_count == MAX_COLUMNS)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: more than %d columns", table->path, MAX_COLUMNS);
    void *columns = table->columns;
    TUFF_TRY(tuff__grow(&columns, &table->column_capacity, table->column_count, sizeof *table->columns, table->path));
    table->columns = columns;
    char *copy = tuff__strndup(name, length);
    if (!copy)
        return tuff__fail_memory(table->path, length);
    table->columns[table->column_count++] = (column){.name = copy};
    return TUFF_SUCCESS;
}

static tuff_status add_row(tuff__table *table, size_t line)
{
    void *rows = table->rows;
    TUFF_TRY(tuff__grow(&rows, &table->row_capacity, table->row_count, sizeof *table->rows, table->path));
    table->rows = rows;
    table->rows[table->row_count++] = (row){.first = table->cell_count, .line = line};
    return TUFF_SUCCESS;
}

/* Adds a cell to the last row. */
static tuff_status add_cell(tuff__table *table, uint32_t column_index, size_t offset, size_t length)
{
    void *cells = table->cells;
    TUFF_TRY(tuff__grow(&cells, &table->cell_capacity, table->cell_count, sizeof *table->cells, table->path));
    table->cells = cells;
    table->cells[table->cell_count++] = (cell){.offset = offset, .length = length, .column = column_index};
    table->rows[table->row_count - 1].count++;
    return TUFF_SUCCESS;
}

/* -- CSV and TSV -------------------------------------------------------------------------------------------------- */

typedef struct csv_reader {
    tuff__table *table;
    char delimiter;
    bool quotes; /* whether a quote that begins a field quotes it */
    bool has_header;
    size_t at, line;
    size_t spanning_line; /* where the first field over several lines begins; 0: there is none */
} csv_reader;

static bool ends_line(char character)
{
    return character == '\n' || character == '\r';
}

/* Steps over one line end, if one is there. */
static void skip_line_end(csv_reader *reader)
{
    const char *text = reader->table->text;
    if (reader->at == reader->table->size || !ends_line(text[reader->at]))
        return;
    const bool pair = text[reader->at] == '\r' && reader->at + 1 < reader->table->size && text[reader->at + 1] == '\n';
    reader->at += pair ? 2 : 1;
    reader->line++;
}

/* Copies the quoted part of a field down to *out, from behind its opening quote to behind its closing one. */
static tuff_status read_quoted(csv_reader *reader, size_t *out)
{
    tuff__table *table = reader->table;
    char *const text = table->text;
    const size_t first_line = reader->line;
    reader->at++;
    while (reader->at < table->size) {
        const char character = text[reader->at];
        if (character == '"') {
            const bool doubled = reader->at + 1 < table->size && text[reader->at + 1] == '"';
            if (!doubled) {
                reader->at++;
                if (reader->line != first_line && !reader->spanning_line)
                    reader->spanning_line = first_line;
                return TUFF_SUCCESS;
            }
            reader->at++;
        }
        reader->line += character == '\n' || (character == '\r' && text[reader->at + 1] != '\n');
        text[(*out)++] = text[reader->at++];
    }
    return tuff__fail(
        TUFF_ERROR_INVALID_FILE, "%s: line %zu: a quoted field begins here and is never closed%s", table->path,
        first_line, table->format == TUFF__TABLE_TSV ? " (a file written without quoting has the format tsv-raw)" : "");
}

/* Reads one field up to its delimiter, line end or the end of the text, and unquotes it in place. */
static tuff_status read_field(csv_reader *reader, size_t *out_offset, size_t *out_length)
{
    const tuff__table *table = reader->table;
    char *const text = table->text;
    const size_t offset = reader->at;
    size_t end = offset;
    if (reader->quotes && reader->at < table->size && text[reader->at] == '"')
        TUFF_TRY(read_quoted(reader, &end));
    while (reader->at < table->size && text[reader->at] != reader->delimiter && !ends_line(text[reader->at]))
        text[end++] = text[reader->at++];
    *out_offset = offset;
    *out_length = end - offset;
    return TUFF_SUCCESS;
}

static tuff_status check_field_count(const csv_reader *reader, size_t line, size_t count)
{
    if (count == reader->table->column_count)
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: line %zu: has %zu fields, but the header has %zu",
                      reader->table->path, line, count, reader->table->column_count);
}

/* Reads one record: the header's names become columns, each later one a row. */
static tuff_status read_record(csv_reader *reader)
{
    tuff__table *table = reader->table;
    const size_t line = reader->line;
    size_t count = 0;
    if (reader->has_header)
        TUFF_TRY(add_row(table, line));
    for (bool more = true; more; count++) {
        size_t offset = 0, length = 0;
        TUFF_TRY(read_field(reader, &offset, &length));
        const size_t end = reader->at;
        more = end < table->size && table->text[end] == reader->delimiter;
        if (more)
            reader->at++;
        else
            skip_line_end(reader);
        table->text[offset + length] = '\0'; /* only now: it may stand where the delimiter or line end stood */
        if (!reader->has_header)
            TUFF_TRY(add_column(table, table->text + offset, length));
        else if (count < table->column_count)
            TUFF_TRY(add_cell(table, (uint32_t)count, offset, length));
    }
    if (reader->has_header)
        return check_field_count(reader, line, count);
    reader->has_header = true;
    return TUFF_SUCCESS;
}

static tuff_status parse_csv(tuff__table *table, size_t start)
{
    csv_reader reader = {.table = table,
                         .delimiter = table->format == TUFF__TABLE_CSV ? ',' : '\t',
                         .quotes = table->format != TUFF__TABLE_TSV_RAW,
                         .at = start,
                         .line = 1};
    while (reader.at < table->size) {
        if (ends_line(table->text[reader.at]))
            skip_line_end(&reader);
        else
            TUFF_TRY(read_record(&reader));
    }
    if (reader.spanning_line && table->format == TUFF__TABLE_TSV)
        tuff__log(TUFF_LOG_WARNING,
                  "dataset: %s: line %zu: a quoted field goes on over several lines; if this file was written without "
                  "quoting, its format is tsv-raw",
                  table->path, reader.spanning_line);
    return TUFF_SUCCESS;
}

/* -- plain lines -------------------------------------------------------------------------------------------------- */

static tuff_status parse_lines(tuff__table *table, size_t start)
{
    size_t line = 1;
    TUFF_TRY(add_column(table, "text", 4));
    for (size_t at = start; at < table->size; line++) {
        const char *end = memchr(table->text + at, '\n', table->size - at);
        const size_t length = end ? (size_t)(end - (table->text + at)) : table->size - at;
        TUFF_TRY(add_row(table, line));
        TUFF_TRY(add_cell(table, 0, at, length));
        table->text[at + length] = '\0';
        at += length + 1;
    }
    return TUFF_SUCCESS;
}

/* -- JSON --------------------------------------------------------------------------------------------------------- */

/* Copies a text behind those of the table, and a NUL behind it. */
static tuff_status keep_text(tuff__table *table, const char *text, size_t length, size_t *out_offset,
                             size_t *out_length)
{
    void *block = table->text;
    TUFF_TRY(tuff__grow(&block, &table->capacity, table->size + length, 1, table->path));
    table->text = block;
    memcpy(table->text + table->size, text, length);
    table->text[table->size + length] = '\0';
    *out_offset = table->size;
    *out_length = length;
    table->size += length + 1;
    return TUFF_SUCCESS;
}

/* Finds the numbers of JSON that has been parsed, one after the other, as the text spells them. A parsed number is a
 * double, in which 9007199254740993 is 9007199254740992: as labels those two are not the same. */
typedef struct number_reader {
    const char *text;
    size_t size, at;
    size_t depth;  /* arrays and objects around `at` */
    size_t wanted; /* the depth of the rows' own values: numbers further in belong to no cell */
} number_reader;

static size_t number_length(const number_reader *reader)
{
    size_t end = reader->at;
    while (end < reader->size && reader->text[end] && strchr("0123456789+-.eE", reader->text[end]))
        end++;
    return end - reader->at;
}

/* From an opening quote to the closing one. */
static void skip_string(number_reader *reader)
{
    for (reader->at++; reader->at < reader->size && reader->text[reader->at] != '"'; reader->at++)
        reader->at += reader->text[reader->at] == '\\';
}

/* The rows are walked in the order of the text, so the next number of the text is the one at hand. */
static const char *next_number(number_reader *reader, size_t *out_length)
{
    for (*out_length = 0; reader->at < reader->size; reader->at++) {
        const char character = reader->text[reader->at];
        if (character == '"') {
            skip_string(reader);
        } else if (character == '{' || character == '[') {
            reader->depth++;
        } else if (character == '}' || character == ']') {
            reader->depth--;
        } else if (reader->depth == reader->wanted && (character == '-' || (character >= '0' && character <= '9'))) {
            const char *number = reader->text + reader->at;
            *out_length = number_length(reader);
            reader->at += *out_length;
            return number;
        }
    }
    return "";
}

static tuff_status keep_value(tuff__table *table, const cJSON *value, number_reader *numbers, size_t *out_offset,
                              size_t *out_length)
{
    *out_offset = SIZE_MAX;
    *out_length = 0;
    if (cJSON_IsNumber(value)) {
        size_t length = 0;
        const char *spelling = next_number(numbers, &length);
        return keep_text(table, spelling, length, out_offset, out_length);
    }
    const char *text = cJSON_IsString(value)  ? value->valuestring
                       : cJSON_IsTrue(value)  ? "true"
                       : cJSON_IsFalse(value) ? "false"
                                              : NULL;
    return text ? keep_text(table, text, strlen(text), out_offset, out_length) : TUFF_SUCCESS;
}

/* The column of a key, new ones added. `guess` is where it is when all objects have the same keys in the same order. */
static tuff_status column_of_key(tuff__table *table, const char *key, size_t guess, size_t *out_column)
{
    *out_column = guess;
    if (guess < table->column_count && strcmp(table->columns[guess].name, key) == 0)
        return TUFF_SUCCESS;
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, key) == 0) {
            *out_column = i;
            return TUFF_SUCCESS;
        }
    *out_column = table->column_count;
    return add_column(table, key, strlen(key));
}

static tuff_status add_object(tuff__table *table, const cJSON *object, number_reader *numbers, size_t line)
{
    if (!cJSON_IsObject(object))
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: %s %zu: is not a JSON object", table->path,
                          tuff__table_line_word(table), line);
    TUFF_TRY(add_row(table, line));
    size_t guess = 0;
    for (const cJSON *item = object->child; item; item = item->next, guess++) {
        size_t index = 0, offset = 0, length = 0;
        TUFF_TRY(column_of_key(table, item->string, guess, &index));
        TUFF_TRY(keep_value(table, item, numbers, &offset, &length));
        column *found = &table->columns[index];
        if (found->seen_row == table->row_count) { /* a key given twice: the last counts, as in Python */
            table->cells[found->seen_cell].offset = offset;
            table->cells[found->seen_cell].length = length;
            continue;
        }
        found->seen_row = table->row_count;
        found->seen_cell = table->cell_count;
        TUFF_TRY(add_cell(table, (uint32_t)index, offset, length));
    }
    return TUFF_SUCCESS;
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

static tuff_status add_json_line(tuff__table *table, const char *text, size_t length, size_t line)
{
    tuff__json *json = NULL;
    const tuff__json_limits limits = {.max_values = 1000000, .max_depth = 32, .first_line = line};
    TUFF_TRY(tuff__json_parse(table->path, text, length, &limits, &json));
    number_reader numbers = {.text = text, .size = length, .wanted = 1};
    const tuff_status status = add_object(table, json->root, &numbers, line);
    tuff__json_destroy(json);
    return status;
}

static tuff_status parse_json_lines(tuff__table *table, const char *text, size_t size)
{
    size_t line = 1;
    for (size_t at = 0; at < size; line++) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - (text + at)) : size - at;
        if (!is_blank(text + at, length))
            TUFF_TRY(add_json_line(table, text + at, length, line));
        at += length + 1;
    }
    return TUFF_SUCCESS;
}

static tuff_status parse_json_array(tuff__table *table, const char *text, size_t size)
{
    tuff__json *json = NULL;
    const tuff__json_limits limits = {.max_size = SIZE_MAX, .max_values = 100000000, .max_depth = 32};
    TUFF_TRY(tuff__json_parse(table->path, text, size, &limits, &json));
    tuff_status status = TUFF_SUCCESS;
    if (!cJSON_IsArray(json->root))
        status = tuff__fail(TUFF_ERROR_INVALID_FILE,
                            "%s: is not a JSON array of objects (one object a line is the format jsonl)", table->path);
    number_reader numbers = {.text = text, .size = size, .wanted = 2};
    size_t item_number = 1;
    for (const cJSON *item = json->root->child; item && status == TUFF_SUCCESS; item = item->next)
        status = add_object(table, item, &numbers, item_number++);
    tuff__json_destroy(json);
    return status;
}

/* The two JSON formats read the file from `text`, aside, and gather their cells in table->text. */
static tuff_status parse_json(tuff__table *table, size_t start)
{
    char *text = table->text;
    const size_t size = table->size;
    table->text = NULL;
    table->size = table->capacity = 0;
    const tuff_status status = table->format == TUFF__TABLE_JSON ? parse_json_array(table, text + start, size - start)
                                                                 : parse_json_lines(table, text + start, size - start);
    tuff__free(text);
    return status;
}

/* -- opening ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    tuff__table_format format;
} formats[] = {{"csv", TUFF__TABLE_CSV},          {"tsv", TUFF__TABLE_TSV},           {"json", TUFF__TABLE_JSON},
               {"jsonl", TUFF__TABLE_JSON_LINES}, {"ndjson", TUFF__TABLE_JSON_LINES}, {"text", TUFF__TABLE_LINES},
               {"auto", TUFF__TABLE_AUTO},        {"tsv-raw", TUFF__TABLE_TSV_RAW}};
enum { FORMAT_COUNT = sizeof formats / sizeof formats[0] };

tuff_status tuff__table_format_parse(const char *name, tuff__table_format *out_format)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++)
        if (strcmp(formats[i].name, name) == 0) {
            *out_format = formats[i].format;
            return TUFF_SUCCESS;
        }
    return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                      "'%s' is not a format of a table, wanted auto, csv, tsv, tsv-raw, json, jsonl or text", name);
}

/* By extension, in any case of letters. */
static tuff__table_format format_of_path(const char *path)
{
    const char *dot = strrchr(path, '.');
    char extension[8] = "";
    for (size_t i = 0; dot && dot[i + 1] && i + 1 < sizeof extension; i++) {
        const char letter = dot[i + 1];
        extension[i] = letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
    }
    for (size_t i = 0; i < FORMAT_COUNT; i++)
        if (formats[i].format != TUFF__TABLE_AUTO && strcmp(formats[i].name, extension) == 0)
            return formats[i].format;
    return TUFF__TABLE_LINES;
}

static tuff_status check_bytes(const tuff__table *table)
{
    const size_t invalid = tuff__utf8_check(table->text, table->size);
    const char *nul = memchr(table->text, '\0', table->size);
    const size_t bad = nul && (size_t)(nul - table->text) < invalid ? (size_t)(nul - table->text) : invalid;
    if (bad == table->size)
        return TUFF_SUCCESS;
    size_t line = 1;
    for (size_t i = 0; i < bad; i++)
        line += table->text[i] == '\n' || (table->text[i] == '\r' && table->text[i + 1] != '\n');
    if (bad == invalid)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: line %zu: not valid UTF-8 (byte 0x%02X)", table->path, line,
                          (unsigned)(unsigned char)table->text[bad]);
    return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: line %zu: has a NUL byte, so this is not a text file", table->path,
                      line);
}

static tuff_status parse_table(tuff__table *table)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* byte order mark */
    TUFF_TRY(check_bytes(table));
    const size_t start = table->size >= 3 && memcmp(table->text, mark, 3) == 0 ? 3 : 0;
    if (table->size == start)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: is empty", table->path);
    switch (table->format) {
    case TUFF__TABLE_CSV:
    case TUFF__TABLE_TSV:
    case TUFF__TABLE_TSV_RAW:
        TUFF_TRY(parse_csv(table, start));
        break;
    case TUFF__TABLE_JSON_LINES:
    case TUFF__TABLE_JSON:
        TUFF_TRY(parse_json(table, start));
        break;
    case TUFF__TABLE_AUTO:
    case TUFF__TABLE_LINES:
        TUFF_TRY(parse_lines(table, start));
        break;
    }
    if (table->row_count == 0)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: has no rows%s", table->path,
                          table->column_count ? " below its header" : "");
    return TUFF_SUCCESS;
}

/* Takes `text` over, whatever it returns; it has a NUL behind its `size` bytes. */
static tuff_status open_text(const char *name, char *text, size_t size, tuff__table_format format,
                             tuff__table **out_table)
{
    tuff__table *table = tuff__calloc(1, sizeof *table);
    if (!table) {
        tuff__free(text);
        return tuff__fail_memory(name, sizeof *table);
    }
    table->text = text;
    table->size = size;
    table->format = format == TUFF__TABLE_AUTO ? format_of_path(name) : format;
    table->path = tuff__strdup(name);
    const tuff_status status = table->path ? parse_table(table) : tuff__fail_memory(name, strlen(name) + 1);
    if (status != TUFF_SUCCESS) {
        tuff__table_destroy(table);
        return status;
    }
    *out_table = table;
    return TUFF_SUCCESS;
}

tuff_status tuff__table_open(const char *path, tuff__table_format format, tuff__table **out_table)
{
    *out_table = NULL;
    const bool standard_input = strcmp(path, "-") == 0;
    const char *name = standard_input ? "standard input" : path;
    FILE *file = standard_input ? stdin : NULL;
    char *text = NULL;
    size_t size = 0;
    if (!standard_input)
        TUFF_TRY(tuff__stream_open(path, &file));
    const tuff_status status = tuff__stream_read(file, name, SIZE_MAX / 4, &text, &size);
    if (!standard_input)
        fclose(file);
    TUFF_TRY(status);
    return open_text(name, text, size, format, out_table);
}

tuff_status tuff__table_parse(const char *name, const char *text, size_t size, tuff__table_format format,
                              tuff__table **out_table)
{
    *out_table = NULL;
    char *copy = tuff__strndup(text, size);
    if (!copy)
        return tuff__fail_memory(name, size);
    return open_text(name, copy, size, format, out_table);
}

void tuff__table_destroy(tuff__table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->column_count; i++)
        tuff__free(table->columns[i].name);
    tuff__free(table->columns);
    tuff__free(table->rows);
    tuff__free(table->cells);
    tuff__free(table->text);
    tuff__free(table->path);
    tuff__free(table);
}

/* -- asking ------------------------------------------------------------------------------------------------------- */

size_t tuff__table_row_count(const tuff__table *table)
{
    return table->row_count;
}

size_t tuff__table_column_count(const tuff__table *table)
{
    return table->column_count;
}

const char *tuff__table_column_name(const tuff__table *table, size_t column_index)
{
    return table->columns[column_index].name;
}

const char *tuff__table_path(const tuff__table *table)
{
    return table->path;
}

size_t tuff__table_line(const tuff__table *table, size_t row_index)
{
    return table->rows[row_index].line;
}

const char *tuff__table_line_word(const tuff__table *table)
{
    return table->format == TUFF__TABLE_JSON ? "item" : "line";
}

static tuff_status fail_no_column(const tuff__table *table, const char *name)
{
    char found[400] = "";
    size_t length = 0;
    for (size_t i = 0; i < table->column_count && length < sizeof found - 1; i++) {
        const int wanted =
            snprintf(found + length, sizeof found - length, "%s'%s'", i ? ", " : "", table->columns[i].name);
        length += wanted > 0 ? (size_t)wanted : 0;
    }
    const bool cut = length >= sizeof found;
    if (cut) { /* no half character at the end */
        length = tuff__utf8_check(found, sizeof found - 1);
        found[length] = '\0';
    }
    const bool lines = table->format == TUFF__TABLE_LINES;
    return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: has no column '%s', only %s%s%s", table->path, name, found,
                      cut ? "..." : "",
                      lines ? ", as it is read as plain lines: for a table whose name does not end in .csv, .tsv, "
                              ".jsonl or .json, name the format (--format)"
                            : "");
}

tuff_status tuff__table_column(const tuff__table *table, const char *name, size_t *out_column)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i].name, name) != 0)
            continue;
        if (found != SIZE_MAX)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: has two columns named '%s'", table->path, name);
        found = i;
    }
    if (found == SIZE_MAX)
        return fail_no_column(table, name);
    for (size_t i = 0; i < table->row_count; i++)
        if (!tuff__table_cell(table, i, found, NULL))
            return tuff__fail(TUFF_ERROR_INVALID_FILE,
                              "%s: %s %zu: '%s' is missing, null, an array or an object, wanted a text or a number",
                              table->path, tuff__table_line_word(table), table->rows[i].line, name);
    *out_column = found;
    return TUFF_SUCCESS;
}

const char *tuff__table_cell(const tuff__table *table, size_t row_index, size_t column_index, size_t *out_length)
{
    const row *found = &table->rows[row_index];
    const cell *cells = table->cells + found->first;
    size_t i = column_index;
    if (i >= found->count || cells[i].column != column_index)
        for (i = 0; i < found->count && cells[i].column != column_index; i++)
            continue;
    const bool missing = i == found->count || cells[i].offset == SIZE_MAX;
    if (out_length)
        *out_length = missing ? 0 : cells[i].length;
    return missing ? NULL : table->text + cells[i].offset;
}
