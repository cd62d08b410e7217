/*
 * json.h: JSON from outside, bounds-checked, and JSON to outside, escaped.
 *
 * Reading is cJSON behind three limits (bytes, nesting, values) and stricter than it: the text must be UTF-8 without
 * NUL bytes, without "\u0000" (strings here are C strings), and without anything after the value. Walk arrays and
 * objects with cJSON_ArrayForEach; take fields with the typed getters below, whose failures name file, key, found and
 * wanted.
 *
 * An application may use the same cJSON: its hooks are never set here. Nodes come from whatever they are.
 */
#ifndef TUFF_RUNTIME_IO_JSON_H
#define TUFF_RUNTIME_IO_JSON_H

#include "../alloc.h"
#include "../shape.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* -- reading ------------------------------------------------------------------------------------------------------ */

typedef struct tuff__json_limits {
    size_t max_size;    /* bytes of text; 0: 256 MiB */
    size_t max_values;  /* numbers, strings, arrays, ... in all, which bounds the memory taken; 0: 8 million */
    uint32_t max_depth; /* arrays and objects within each other; 0: 100 */
    size_t first_line;  /* the line of its file that the text begins in, for messages; 0: 1 */
} tuff__json_limits;

typedef struct tuff__json {
    cJSON *root; /* to be read only; dies with this object, as all that hangs on it */
    char *name;  /* what failures call it: the path */
} tuff__json;

/* `limits` may be NULL: the defaults. Errors: TUFF_ERROR_IO for a file that cannot be read; TUFF_ERROR_INVALID_FILE
 * with line and column for text that is not JSON, and for each limit. *out_json is NULL on failure. */
tuff_status tuff__json_load(const char *path, const tuff__json_limits *limits, tuff__json **out_json);
/* The text (not NUL-terminated) is borrowed for the call; `name` stands for the path in messages. */
tuff_status tuff__json_parse(const char *name, const char *text, size_t size, const tuff__json_limits *limits,
                             tuff__json **out_json);
void tuff__json_destroy(tuff__json *json); /* accepts NULL */

/* The value of `key`; NULL when `object` is NULL, no object, or has no such key. Of equal keys the last counts, as in
 * Python's json. */
const cJSON *tuff__json_find(const cJSON *object, const char *key);

/* Getters. `json` names the file in messages; `object` is json->root or something below it. Each fails with
 * TUFF_ERROR_INVALID_FILE, and leaves *out_value alone, for a value of another kind. A missing key or null is an error
 * in the plain form; in the `_or` form it gives `fallback`. */
tuff_status tuff__json_object(const tuff__json *json, const cJSON *object, const char *key, const cJSON **out_value);
tuff_status tuff__json_array(const tuff__json *json, const cJSON *object, const char *key, const cJSON **out_value);
/* The string is borrowed from `json`. */
tuff_status tuff__json_string(const tuff__json *json, const cJSON *object, const char *key, const char **out_value);
tuff_status tuff__json_bool(const tuff__json *json, const cJSON *object, const char *key, bool *out_value);
/* Finite. */
tuff_status tuff__json_number(const tuff__json *json, const cJSON *object, const char *key, double *out_value);
/* A whole number within [min, max] and within 2^53 of zero. (A tokenizer's "no limit" is written 1e30: take such a key
 * with tuff__json_number.) */
tuff_status tuff__json_int(const tuff__json *json, const cJSON *object, const char *key, int64_t min, int64_t max,
                           int64_t *out_value);

tuff_status tuff__json_object_or(const tuff__json *json, const cJSON *object, const char *key, const cJSON *fallback,
                                 const cJSON **out_value);
tuff_status tuff__json_array_or(const tuff__json *json, const cJSON *object, const char *key, const cJSON *fallback,
                                const cJSON **out_value);
tuff_status tuff__json_string_or(const tuff__json *json, const cJSON *object, const char *key, const char *fallback,
                                 const char **out_value);
tuff_status tuff__json_bool_or(const tuff__json *json, const cJSON *object, const char *key, bool fallback,
                               bool *out_value);
tuff_status tuff__json_number_or(const tuff__json *json, const cJSON *object, const char *key, double fallback,
                                 double *out_value);
tuff_status tuff__json_int_or(const tuff__json *json, const cJSON *object, const char *key, int64_t min, int64_t max,
                              int64_t fallback, int64_t *out_value);

/* A whole number within 2^53 of zero; for items of arrays. */
bool tuff__json_is_int(const cJSON *value, int64_t *out_value);

/* "config.json: 'hidden_act' is the string "swish", wanted one of gelu, relu": TUFF_ERROR_INVALID_FILE. `value` NULL:
 * "has no 'hidden_act', wanted ...". */
tuff_status tuff__json_fail_value(const tuff__json *json, const char *key, const cJSON *value, const char *wanted);

/* -- writing ------------------------------------------------------------------------------------------------------ */

/* Builds one JSON value in memory. Zero-initialise (and set `indent` for lines like Python's indent=2; 0 puts all on
 * one line, with ", " and ": " as Python does). A failed allocation sticks, and is reported by the `finish` functions.
 *
 *     tuff__json_writer writer = {0};
 *     tuff__json_begin_object(&writer);
 *     tuff__json_key(&writer, "step");
 *     tuff__json_write_int(&writer, step);
 *     tuff__json_end_object(&writer);
 *     status = tuff__json_finish_line(&writer, file, path); */
typedef struct tuff__json_writer {
    uint32_t indent;
    char *text; /* the JSON so far, NUL-terminated once anything was written; owned */
    size_t length, capacity;
    uint32_t depth;
    bool follows_value; /* a comma is due before the next value or key */
    bool follows_key;
    bool failed;
} tuff__json_writer;

void tuff__json_begin_object(tuff__json_writer *writer);
void tuff__json_end_object(tuff__json_writer *writer);
void tuff__json_begin_array(tuff__json_writer *writer);
void tuff__json_end_array(tuff__json_writer *writer);
void tuff__json_key(tuff__json_writer *writer, const char *key);
/* Escapes what JSON must have escaped; the rest, Korean and emoji included, stays as UTF-8. Bytes that are not UTF-8
 * become U+FFFD, so that what is written always reads back. */
void tuff__json_write_string(tuff__json_writer *writer, const char *text);
void tuff__json_write_string_n(tuff__json_writer *writer, const char *text, size_t length);
void tuff__json_write_int(tuff__json_writer *writer, int64_t value);
/* The fewest digits that read back to the same double, or the same float. NaN and infinities, which JSON cannot say,
 * become null. */
void tuff__json_write_double(tuff__json_writer *writer, double value);
void tuff__json_write_float(tuff__json_writer *writer, float value);
void tuff__json_write_bool(tuff__json_writer *writer, bool value);
void tuff__json_write_null(tuff__json_writer *writer);
/* A key and its value; a NULL string becomes null. */
void tuff__json_put_string(tuff__json_writer *writer, const char *key, const char *value);
void tuff__json_put_int(tuff__json_writer *writer, const char *key, int64_t value);
void tuff__json_put_count(tuff__json_writer *writer, const char *key, uint64_t value);
void tuff__json_put_double(tuff__json_writer *writer, const char *key, double value);
void tuff__json_put_float(tuff__json_writer *writer, const char *key, float value);
void tuff__json_put_bool(tuff__json_writer *writer, const char *key, bool value);
void tuff__json_put_shape(tuff__json_writer *writer, const char *key, const tuff_shape *shape);
/* A parsed value, whole. A double is what cJSON keeps of a number, so 1.0 comes back as 1. */
void tuff__json_write_value(tuff__json_writer *writer, const cJSON *value);

/* Both free the text and zero the writer (keeping `indent`), whatever they return. The line form writes one '\n'-ended
 * line to `file` and flushes, so that a log is whole after a kill; `path` is for messages. */
tuff_status tuff__json_finish_line(tuff__json_writer *writer, FILE *file, const char *path);
/* Hands the text over; free it with tuff__free. */
tuff_status tuff__json_finish_text(tuff__json_writer *writer, char **out_text, size_t *out_length);
/* Frees the text unwritten; accepts a zeroed writer. */
void tuff__json_writer_discard(tuff__json_writer *writer);

#endif
