/*
 * json_syntax.c: owns what is looked at in JSON text besides cJSON: ahead of it, so that its recursion and its memory
 * are bounded; and behind it, to tell why it refused a text.
 */
#include "json_syntax.h"

#include "utf8.h"

#include <stdlib.h>
#include <string.h>

tuff_status tuff__json_fail_at(const char *name, const char *text, size_t first_line, size_t offset, const char *what)
{
    size_t line = first_line, start = 0;
    for (size_t i = 0; i < offset; i++)
        if (text[i] == '\n') {
            line++;
            start = i + 1;
        }
    return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: line %zu, column %zu: %s", name, line, offset - start + 1, what);
}

/* What "\uXXXX" at `at` stands for; -1 where there is none. */
static long code_unit(const char *text, size_t size, size_t at)
{
    char digits[5] = "";
    if (size - at < 6 || memcmp(text + at, "\\u", 2) != 0)
        return -1;
    memcpy(digits, text + at + 2, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

/* What cJSON lets through and a reader of its C strings must not meet. */
static const char *find_bad_string_byte(const char *text, size_t size, size_t *at)
{
    size_t i = *at + 1;
    for (; i < size && text[i] != '"'; i++) {
        *at = i;
        if ((unsigned char)text[i] < 0x20)
            return "a control character inside a string";
        if (text[i] != '\\')
            continue;
        const long code = code_unit(text, size, i);
        if (code == 0)
            return "a NUL character (\\u0000) inside a string";
        if (code < 0 && size - i >= 2 && text[i + 1] == 'u')
            return "\\u without four hexadecimal digits inside a string"; /* which cJSON would make a NUL */
        i++; /* whatever is escaped, a quote or a backslash included */
    }
    *at = i < size ? i : size - 1;
    return i < size ? NULL : "a string that never ends";
}

/* One pass over the text ahead of cJSON, so that its recursion and its memory are bounded before they are spent. */
tuff_status tuff__json_check_text(const char *name, const char *text, size_t size, const tuff__json_limits *limits)
{
    if (size > limits->max_size)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: %zu bytes of JSON, more than the %zu that are accepted", name,
                          size, limits->max_size);
    const size_t bad = tuff__utf8_check(text, size);
    if (bad < size)
        return tuff__json_fail_at(name, text, limits->first_line, bad, "not valid UTF-8");
    size_t values = 1, depth = 0;
    for (size_t i = 0; i < size; i++) {
        const char *what = NULL;
        switch (text[i]) {
        case '\0':
            what = "a NUL byte";
            break;
        case '"':
            what = find_bad_string_byte(text, size, &i);
            break;
        case '[':
        case '{':
            if (++depth > limits->max_depth)
                what = "nested too deeply";
            values++; /* its first item */
            break;
        case ']':
        case '}':
            depth -= depth > 0;
            break;
        case ',':
            values++;
            break;
        default:
            break;
        }
        if (what)
            return tuff__json_fail_at(name, text, limits->first_line, i, what);
        if (values > limits->max_values)
            return tuff__json_fail_at(name, text, limits->first_line, i, "more values than are accepted");
    }
    return TUFF_SUCCESS;
}

/* -- why cJSON refused a text ------------------------------------------------------------------------------------- */

/* Text that check_text let through, read by the grammar of RFC 8259: every string ends, and the nesting is bounded. */
typedef struct grammar {
    const char *text;
    size_t size, at;
    const char *fault; /* other words for what is wrong at `at`, or NULL */
} grammar;

enum { LONGEST_NUMBER = 63 }; /* in characters: what cJSON reads of one, at least */

/* The next byte that is not white space; 0 at the end. */
static char peek(grammar *g)
{
    while (g->at < g->size && strchr(" \t\r\n", g->text[g->at]))
        g->at++;
    return g->at < g->size ? g->text[g->at] : '\0';
}

static bool skip(grammar *g, const char *token)
{
    const size_t length = strlen(token);
    const bool there = g->size - g->at >= length && memcmp(g->text + g->at, token, length) == 0;
    g->at += there ? length : 0;
    return there;
}

static bool skip_escape(grammar *g)
{
    const long code = code_unit(g->text, g->size, g->at);
    const bool pair = code >= 0xD800 && code < 0xDC00;
    if (code < 0 ? !strchr("\"\\/bfnrt", g->text[g->at + 1]) : code >= 0xDC00 && code < 0xE000)
        return false;
    if (pair) {
        const long low = code_unit(g->text, g->size, g->at + 6);
        if (low < 0xDC00 || low >= 0xE000)
            return false;
    }
    g->at += code < 0 ? 2 : pair ? 12 : 6;
    return true;
}

static bool skip_string(grammar *g)
{
    g->at++;
    while (g->text[g->at] != '"')
        if (g->text[g->at] != '\\')
            g->at++;
        else if (!skip_escape(g))
            return false;
    g->at++;
    return true;
}

static bool skip_digits(grammar *g)
{
    const size_t begin = g->at;
    while (g->at < g->size && g->text[g->at] >= '0' && g->text[g->at] <= '9')
        g->at++;
    return g->at > begin;
}

static bool skip_number(grammar *g)
{
    const size_t begin = g->at;
    skip(g, "-");
    if (!skip(g, "0") && !skip_digits(g))
        return false;
    if (skip(g, ".") && !skip_digits(g))
        return false;
    if (skip(g, "e") || skip(g, "E")) {
        if (!skip(g, "+"))
            skip(g, "-");
        if (!skip_digits(g))
            return false;
    }
    if (g->at - begin > LONGEST_NUMBER)
        g->fault = "a number of more than 63 characters";
    return !g->fault;
}

static bool skip_value(grammar *g);

/* An array or an object, from its bracket on. */
static bool skip_items(grammar *g, char close)
{
    g->at++;
    char next = peek(g);
    if (next != close)
        do {
            if (close == '}') {
                if (peek(g) != '"' || !skip_string(g) || peek(g) != ':')
                    return false;
                g->at++;
            }
            if (!skip_value(g))
                return false;
            next = peek(g);
            g->at += next == ',';
        } while (next == ',');
    g->at += next == close;
    return next == close;
}

static bool skip_value(grammar *g)
{
    switch (peek(g)) {
    case '{':
        return skip_items(g, '}');
    case '[':
        return skip_items(g, ']');
    case '"':
        return skip_string(g);
    case 't':
        return skip(g, "true");
    case 'f':
        return skip(g, "false");
    case 'n':
        return skip(g, "null");
    default:
        return skip_number(g);
    }
}

/* cJSON says the same of a text that is not JSON and of memory that ran out, and which memory that is belongs to the
 * application: its hooks, if it has set any, serve us too. A text without a fault was refused for memory. */
tuff_status tuff__json_fail_refused(const char *name, const char *text, size_t size, size_t first_line)
{
    grammar g = {.text = text, .size = size};
    if (size > 4) /* cJSON takes a byte order mark before two bytes and more */
        skip(&g, "\xEF\xBB\xBF");
    if (skip_value(&g))
        return tuff__fail_memory(name, size);
    return tuff__json_fail_at(name, text, first_line, g.at < size ? g.at : size - 1,
                              g.fault ? g.fault : "not valid JSON");
}
