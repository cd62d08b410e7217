/*
 * json.c: owns how JSON text becomes values within limits, and how values become text.
 *
 * It knows no file's keys: which are wanted, and what they mean, is the business of whoever reads them.
 */
#include "json.h"

#include "../os.h"
#include "file.h"
#include "json_syntax.h"
#include "utf8.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- reading ------------------------------------------------------------------------------------------------------ */

static const double max_exact_int = 9007199254740992.0; /* 2^53: every whole number up to it is a double */

static tuff__json_limits limits_or_default(const tuff__json_limits *limits)
{
    tuff__json_limits result = limits ? *limits : (tuff__json_limits){0};
    if (result.max_size == 0)
        result.max_size = (size_t)256 << 20;
    if (result.max_values == 0)
        result.max_values = (size_t)8 << 20;
    if (result.max_depth == 0)
        result.max_depth = 100;
    if (result.first_line == 0)
        result.first_line = 1;
    return result;
}

static tuff_status parse_text(tuff__json *json, const char *text, size_t size, size_t first_line)
{
    const char *end = text;
    json->root = cJSON_ParseWithLengthOpts(text, size, &end, false);
    if (!json->root)
        return tuff__json_fail_refused(json->name, text, size, first_line);
    /* cJSON itself looks for trailing text only where a NUL ends it, which a file has not. */
    for (size_t at = (size_t)(end - text); at < size; at++)
        if (text[at] != ' ' && text[at] != '\t' && text[at] != '\r' && text[at] != '\n')
            return tuff__json_fail_at(json->name, text, first_line, at, "text after the end of the JSON value");
    return TUFF_SUCCESS;
}

tuff_status tuff__json_parse(const char *name, const char *text, size_t size, const tuff__json_limits *limits,
                             tuff__json **out_json)
{
    *out_json = NULL;
    const tuff__json_limits bounds = limits_or_default(limits);
    if (size == 0)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: is empty, expected JSON", name);
    TUFF_TRY(tuff__json_check_text(name, text, size, &bounds));
    tuff__json *json = tuff__calloc(1, sizeof *json);
    if (!json)
        return tuff__fail_memory(name, sizeof *json);
    json->name = tuff__strdup(name);
    void *locale = tuff__c_locale_begin();
    const tuff_status status =
        json->name ? parse_text(json, text, size, bounds.first_line) : tuff__fail_memory(name, strlen(name) + 1);
    tuff__c_locale_end(locale);
    if (status != TUFF_SUCCESS) {
        tuff__json_destroy(json);
        return status;
    }
    *out_json = json;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_load(const char *path, const tuff__json_limits *limits, tuff__json **out_json)
{
    *out_json = NULL;
    tuff__mapped_file file;
    TUFF_TRY(tuff__file_map(path, &file));
    const tuff_status status = tuff__json_parse(path, (const char *)file.data, file.size, limits, out_json);
    tuff__file_unmap(&file);
    return status;
}

void tuff__json_destroy(tuff__json *json)
{
    if (!json)
        return;
    cJSON_Delete(json->root);
    tuff__free(json->name);
    tuff__free(json);
}

const cJSON *tuff__json_find(const cJSON *object, const char *key)
{
    const cJSON *found = NULL;
    if (!cJSON_IsObject(object))
        return NULL;
    for (const cJSON *item = object->child; item; item = item->next)
        if (strcmp(item->string, key) == 0)
            found = item;
    return found;
}

bool tuff__json_is_int(const cJSON *value, int64_t *out_value)
{
    if (!cJSON_IsNumber(value) || !(fabs(value->valuedouble) <= max_exact_int) ||
        value->valuedouble != floor(value->valuedouble))
        return false;
    *out_value = (int64_t)value->valuedouble;
    return true;
}

tuff_status tuff__json_fail_value(const tuff__json *json, const char *key, const cJSON *value, const char *wanted)
{
    const char *kind = cJSON_IsArray(value)    ? "an array"
                       : cJSON_IsObject(value) ? "an object"
                       : cJSON_IsNull(value)   ? "null"
                       : cJSON_IsTrue(value)   ? "true"
                                               : "false";
    if (!value)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: has no '%s', wanted %s", json->name, key, wanted);
    if (cJSON_IsNumber(value))
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' is the number %.17g, wanted %s", json->name, key,
                          value->valuedouble, wanted);
    if (cJSON_IsString(value))
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' is the string \"%.60s%s\", wanted %s", json->name, key,
                          value->valuestring, strlen(value->valuestring) > 60 ? "..." : "", wanted);
    return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' is %s, wanted %s", json->name, key, kind, wanted);
}

/* Whether `key` is there and not null: what the `_or` getters ask before they read. */
static bool has_value(const cJSON *object, const char *key)
{
    const cJSON *value = tuff__json_find(object, key);
    return value && !cJSON_IsNull(value);
}

tuff_status tuff__json_object(const tuff__json *json, const cJSON *object, const char *key, const cJSON **out_value)
{
    const cJSON *value = tuff__json_find(object, key);
    if (!cJSON_IsObject(value))
        return tuff__json_fail_value(json, key, value, "an object");
    *out_value = value;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_array(const tuff__json *json, const cJSON *object, const char *key, const cJSON **out_value)
{
    const cJSON *value = tuff__json_find(object, key);
    if (!cJSON_IsArray(value))
        return tuff__json_fail_value(json, key, value, "an array");
    *out_value = value;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_string(const tuff__json *json, const cJSON *object, const char *key, const char **out_value)
{
    const cJSON *value = tuff__json_find(object, key);
    if (!cJSON_IsString(value))
        return tuff__json_fail_value(json, key, value, "a string");
    *out_value = value->valuestring;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_bool(const tuff__json *json, const cJSON *object, const char *key, bool *out_value)
{
    const cJSON *value = tuff__json_find(object, key);
    if (!cJSON_IsBool(value))
        return tuff__json_fail_value(json, key, value, "true or false");
    *out_value = cJSON_IsTrue(value);
    return TUFF_SUCCESS;
}

tuff_status tuff__json_number(const tuff__json *json, const cJSON *object, const char *key, double *out_value)
{
    const cJSON *value = tuff__json_find(object, key);
    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble))
        return tuff__json_fail_value(json, key, value, "a finite number");
    *out_value = value->valuedouble;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_int(const tuff__json *json, const cJSON *object, const char *key, int64_t min, int64_t max,
                           int64_t *out_value)
{
    const cJSON *value = tuff__json_find(object, key);
    int64_t number = 0;
    if (!tuff__json_is_int(value, &number) || number < min || number > max) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld", (long long)min, (long long)max);
        return tuff__json_fail_value(json, key, value, wanted);
    }
    *out_value = number;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_object_or(const tuff__json *json, const cJSON *object, const char *key, const cJSON *fallback,
                                 const cJSON **out_value)
{
    if (has_value(object, key))
        return tuff__json_object(json, object, key, out_value);
    *out_value = fallback;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_array_or(const tuff__json *json, const cJSON *object, const char *key, const cJSON *fallback,
                                const cJSON **out_value)
{
    if (has_value(object, key))
        return tuff__json_array(json, object, key, out_value);
    *out_value = fallback;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_string_or(const tuff__json *json, const cJSON *object, const char *key, const char *fallback,
                                 const char **out_value)
{
    if (has_value(object, key))
        return tuff__json_string(json, object, key, out_value);
    *out_value = fallback;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_bool_or(const tuff__json *json, const cJSON *object, const char *key, bool fallback,
                               bool *out_value)
{
    if (has_value(object, key))
        return tuff__json_bool(json, object, key, out_value);
    *out_value = fallback;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_number_or(const tuff__json *json, const cJSON *object, const char *key, double fallback,
                                 double *out_value)
{
    if (has_value(object, key))
        return tuff__json_number(json, object, key, out_value);
    *out_value = fallback;
    return TUFF_SUCCESS;
}

tuff_status tuff__json_int_or(const tuff__json *json, const cJSON *object, const char *key, int64_t min, int64_t max,
                              int64_t fallback, int64_t *out_value)
{
    if (has_value(object, key))
        return tuff__json_int(json, object, key, min, max, out_value);
    *out_value = fallback;
    return TUFF_SUCCESS;
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

static void append(tuff__json_writer *writer, const char *bytes, size_t length)
{
    void *text = writer->text;
    if (!writer->failed)
        writer->failed = tuff__grow(&text, &writer->capacity, writer->length + length, 1, "JSON text") != TUFF_SUCCESS;
    if (writer->failed)
        return;
    writer->text = text;
    memcpy(writer->text + writer->length, bytes, length);
    writer->length += length;
    writer->text[writer->length] = '\0'; /* tuff__grow made index `length` valid */
}

static void append_text(tuff__json_writer *writer, const char *text)
{
    append(writer, text, strlen(text));
}

static void append_new_line(tuff__json_writer *writer)
{
    append_text(writer, "\n");
    for (uint32_t i = 0; i < writer->depth * writer->indent; i++)
        append_text(writer, " ");
}

/* What stands between the value before and the one to come. */
static void separate(tuff__json_writer *writer)
{
    if (writer->follows_key) {
        writer->follows_key = false;
        return;
    }
    if (writer->follows_value)
        append_text(writer, writer->indent ? "," : ", ");
    if (writer->indent && writer->depth)
        append_new_line(writer);
}

static void write_token(tuff__json_writer *writer, const char *token)
{
    separate(writer);
    append_text(writer, token);
    writer->follows_value = true;
}

static void begin(tuff__json_writer *writer, const char *bracket)
{
    separate(writer);
    append_text(writer, bracket);
    writer->depth++;
    writer->follows_value = false;
}

static void end(tuff__json_writer *writer, const char *bracket)
{
    assert(writer->depth > 0 && !writer->follows_key);
    writer->depth--;
    if (writer->indent && writer->follows_value)
        append_new_line(writer);
    append_text(writer, bracket);
    writer->follows_value = true;
}

void tuff__json_begin_object(tuff__json_writer *writer)
{
    begin(writer, "{");
}

void tuff__json_end_object(tuff__json_writer *writer)
{
    end(writer, "}");
}

void tuff__json_begin_array(tuff__json_writer *writer)
{
    begin(writer, "[");
}

void tuff__json_end_array(tuff__json_writer *writer)
{
    end(writer, "]");
}

/* One character that JSON wants escaped, or one byte that is not UTF-8. */
static void append_escaped(tuff__json_writer *writer, char character)
{
    static const char codes[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    for (const char *code = codes; *code; code += 2)
        if (code[0] == character) {
            const char escape[2] = {'\\', code[1]};
            append(writer, escape, sizeof escape);
            return;
        }
    char escape[8];
    snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)character);
    append_text(writer, (unsigned char)character < 0x20 ? escape : "\xEF\xBF\xBD");
}

static void append_quoted(tuff__json_writer *writer, const char *text, size_t length)
{
    append_text(writer, "\"");
    size_t at = 0;
    while (at < length) {
        const size_t valid_end = at + tuff__utf8_check(text + at, length - at);
        for (size_t plain = at; at < valid_end; plain = ++at) {
            while (at < valid_end && (unsigned char)text[at] >= 0x20 && text[at] != '"' && text[at] != '\\')
                at++;
            append(writer, text + plain, at - plain);
            if (at == valid_end)
                break;
            append_escaped(writer, text[at]);
        }
        if (at < length)
            append_escaped(writer, text[at++]);
    }
    append_text(writer, "\"");
}

void tuff__json_key(tuff__json_writer *writer, const char *key)
{
    separate(writer);
    append_quoted(writer, key, strlen(key));
    append_text(writer, ": ");
    writer->follows_key = true;
}

void tuff__json_write_string_n(tuff__json_writer *writer, const char *text, size_t length)
{
    separate(writer);
    append_quoted(writer, text, length);
    writer->follows_value = true;
}

void tuff__json_write_string(tuff__json_writer *writer, const char *text)
{
    tuff__json_write_string_n(writer, text, strlen(text));
}

void tuff__json_write_int(tuff__json_writer *writer, int64_t value)
{
    char token[32];
    snprintf(token, sizeof token, "%lld", (long long)value);
    write_token(writer, token);
}

/* A whole number gets ".0", as in Python, so that it reads back as a float there. */
static void write_real(tuff__json_writer *writer, char *token, size_t size)
{
    const size_t length = strlen(token);
    if (!strpbrk(token, ".e") && length + 2 < size)
        memcpy(token + length, ".0", 3);
    write_token(writer, token);
}

void tuff__json_write_double(tuff__json_writer *writer, double value)
{
    char token[40];
    if (!isfinite(value)) {
        tuff__json_write_null(writer);
        return;
    }
    void *locale = tuff__c_locale_begin();
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(token, sizeof token, "%.*g", digits, value);
        if (strtod(token, NULL) == value)
            break;
    }
    tuff__c_locale_end(locale);
    write_real(writer, token, sizeof token);
}

void tuff__json_write_float(tuff__json_writer *writer, float value)
{
    char token[40];
    if (!isfinite(value)) {
        tuff__json_write_null(writer);
        return;
    }
    void *locale = tuff__c_locale_begin();
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(token, sizeof token, "%.*g", digits, (double)value);
        if (strtof(token, NULL) == value)
            break;
    }
    tuff__c_locale_end(locale);
    write_real(writer, token, sizeof token);
}

void tuff__json_write_bool(tuff__json_writer *writer, bool value)
{
    write_token(writer, value ? "true" : "false");
}

void tuff__json_write_null(tuff__json_writer *writer)
{
    write_token(writer, "null");
}

void tuff__json_put_string(tuff__json_writer *writer, const char *key, const char *value)
{
    tuff__json_key(writer, key);
    if (value)
        tuff__json_write_string(writer, value);
    else
        tuff__json_write_null(writer);
}

void tuff__json_put_int(tuff__json_writer *writer, const char *key, int64_t value)
{
    tuff__json_key(writer, key);
    tuff__json_write_int(writer, value);
}

void tuff__json_put_count(tuff__json_writer *writer, const char *key, uint64_t value)
{
    tuff__json_put_int(writer, key, (int64_t)value);
}

void tuff__json_put_double(tuff__json_writer *writer, const char *key, double value)
{
    tuff__json_key(writer, key);
    tuff__json_write_double(writer, value);
}

void tuff__json_put_float(tuff__json_writer *writer, const char *key, float value)
{
    tuff__json_key(writer, key);
    tuff__json_write_float(writer, value);
}

void tuff__json_put_bool(tuff__json_writer *writer, const char *key, bool value)
{
    tuff__json_key(writer, key);
    tuff__json_write_bool(writer, value);
}

void tuff__json_put_shape(tuff__json_writer *writer, const char *key, const tuff_shape *shape)
{
    tuff__json_key(writer, key);
    tuff__json_begin_array(writer);
    for (uint32_t i = 0; i < shape->rank; i++)
        tuff__json_write_int(writer, shape->dims[i]);
    tuff__json_end_array(writer);
}

void tuff__json_write_value(tuff__json_writer *writer, const cJSON *value)
{
    int64_t number = 0;
    if (cJSON_IsObject(value) || cJSON_IsArray(value)) {
        const bool object = cJSON_IsObject(value);
        begin(writer, object ? "{" : "[");
        for (const cJSON *item = value->child; item; item = item->next) {
            if (object)
                tuff__json_key(writer, item->string);
            tuff__json_write_value(writer, item);
        }
        end(writer, object ? "}" : "]");
    } else if (cJSON_IsString(value)) {
        tuff__json_write_string(writer, value->valuestring);
    } else if (tuff__json_is_int(value, &number)) {
        tuff__json_write_int(writer, number);
    } else if (cJSON_IsNumber(value)) {
        tuff__json_write_double(writer, value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        tuff__json_write_bool(writer, cJSON_IsTrue(value));
    } else {
        tuff__json_write_null(writer);
    }
}

void tuff__json_writer_discard(tuff__json_writer *writer)
{
    tuff__free(writer->text);
    *writer = (tuff__json_writer){.indent = writer->indent};
}

tuff_status tuff__json_finish_line(tuff__json_writer *writer, FILE *file, const char *path)
{
    append_text(writer, "\n");
    tuff_status status = TUFF_SUCCESS;
    errno = 0;
    if (writer->failed)
        status = tuff__fail_memory(path, writer->capacity);
    else if (fwrite(writer->text, 1, writer->length, file) != writer->length || fflush(file) != 0)
        status = tuff__fail_write(path);
    tuff__json_writer_discard(writer);
    return status;
}

tuff_status tuff__json_finish_text(tuff__json_writer *writer, char **out_text, size_t *out_length)
{
    *out_text = NULL;
    append(writer, "", 0);
    tuff_status status = TUFF_SUCCESS;
    if (writer->failed) {
        status = tuff__fail_memory("JSON text", writer->capacity);
    } else {
        *out_text = writer->text;
        if (out_length)
            *out_length = writer->length;
        writer->text = NULL;
    }
    tuff__json_writer_discard(writer);
    return status;
}
