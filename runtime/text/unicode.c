/*
 * unicode.c: owns the character classes (tables read off the reference library) and the access to utf8proc. Where a
 * utf8proc knows more of Unicode than the reference does, the tables take that knowledge away, so that ids do not
 * depend on which utf8proc is installed.
 */
#include "unicode.h"

#include "unicode_tables.h"

#include <utf8proc.h>

enum {
    HANGUL_FIRST = 0xAC00,
    HANGUL_LAST = 0xD7A3,
    IDEOGRAPH_FIRST = 0x4E00,
    IDEOGRAPH_LAST = 0x9FFF,
    /* Below these a character is its own canonical, or compatible, decomposition. */
    CANONICAL_FIRST = 0xC0,
    COMPATIBLE_FIRST = 0xA0,
    LATER_FIRST = 0x0558, /* the least character in a table of later Unicode */
};

static bool in_ranges(uint32_t code, const tuff__code_range *ranges, size_t count)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (code > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && code >= ranges[low].first;
}

/* Most of Korean, Chinese and Japanese text: letters, and in none of the tables but that of words. */
static bool is_plain_letter(uint32_t code)
{
    return (code >= HANGUL_FIRST && code <= HANGUL_LAST) || (code >= IDEOGRAPH_FIRST && code <= IDEOGRAPH_LAST);
}

bool tuff__is_whitespace(uint32_t code)
{
    if (code < 0x80)
        return code == ' ' || (code >= '\t' && code <= '\r');
    return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool tuff__is_other(uint32_t code)
{
    if (code < 0x7F)
        return code < ' ' && code != '\t' && code != '\n' && code != '\r';
    return !is_plain_letter(code) && in_ranges(code, tuff__other_ranges, tuff__other_range_count);
}

bool tuff__is_nonspacing_mark(uint32_t code)
{
    return code >= 0x300 && !is_plain_letter(code) &&
           in_ranges(code, tuff__nonspacing_mark_ranges, tuff__nonspacing_mark_range_count);
}

bool tuff__is_mark(uint32_t code)
{
    return code >= 0x300 && !is_plain_letter(code) && in_ranges(code, tuff__mark_ranges, tuff__mark_range_count);
}

bool tuff__is_punctuation(uint32_t code)
{
    if (code < 0x80)
        return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') ||
               (code >= '{' && code <= '~');
    return !is_plain_letter(code) && in_ranges(code, tuff__punctuation_ranges, tuff__punctuation_range_count);
}

bool tuff__is_word(uint32_t code)
{
    return is_plain_letter(code) || in_ranges(code, tuff__word_ranges, tuff__word_range_count);
}

bool tuff__is_chinese(uint32_t code)
{
    if (code < 0x3400)
        return false;
    return (code >= 0x4E00 && code <= 0x9FFF) || (code >= 0x3400 && code <= 0x4DBF) ||
           (code >= 0x20000 && code <= 0x2A6DF) || (code >= 0x2A700 && code <= 0x2B73F) ||
           (code >= 0x2B740 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
           (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x2F800 && code <= 0x2FA1F);
}

static bool is_later_decomposition(uint32_t code)
{
    return code >= LATER_FIRST && !is_plain_letter(code) &&
           in_ranges(code, tuff__later_decomposition_ranges, tuff__later_decomposition_range_count);
}

size_t tuff__decompose(uint32_t code, bool compatible, uint32_t out_codes[TUFF__MAX_DECOMPOSITION])
{
    out_codes[0] = code;
    if (code < (compatible ? COMPATIBLE_FIRST : CANONICAL_FIRST) || is_later_decomposition(code))
        return 1;
    utf8proc_int32_t codes[TUFF__MAX_DECOMPOSITION];
    int boundary_class = 0;
    const int options = UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
    const utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)code, codes, TUFF__MAX_DECOMPOSITION,
                                                           (utf8proc_option_t)options, &boundary_class);
    if (count < 1 || count > TUFF__MAX_DECOMPOSITION)
        return 1;
    for (utf8proc_ssize_t i = 0; i < count; i++)
        out_codes[i] = (uint32_t)codes[i];
    return (size_t)count;
}

uint8_t tuff__combining_class(uint32_t code)
{
    if (code < 0x300 || is_plain_letter(code))
        return 0;
    if (in_ranges(code, tuff__later_class_ranges, tuff__later_class_range_count))
        return 0;
    return (uint8_t)utf8proc_get_property((utf8proc_int32_t)code)->combining_class;
}

bool tuff__compose(uint32_t first, uint32_t second, uint32_t *out_code)
{
    /* STABLE leaves out the compositions that Unicode excludes. */
    utf8proc_int32_t codes[2] = {(utf8proc_int32_t)first, (utf8proc_int32_t)second};
    const utf8proc_ssize_t count =
        utf8proc_normalize_utf32(codes, 2, (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    if (count != 1 || is_later_decomposition((uint32_t)codes[0]))
        return false;
    *out_code = (uint32_t)codes[0];
    return true;
}

size_t tuff__lowercase(uint32_t code, uint32_t out_codes[TUFF__MAX_LOWERCASE])
{
    out_codes[0] = code;
    if (code < 0x80) {
        if (code >= 'A' && code <= 'Z')
            out_codes[0] = code + ('a' - 'A');
        return 1;
    }
    if (is_plain_letter(code))
        return 1;
    if (code == 0x130) { /* I with dot above: the one small letter of two characters */
        out_codes[0] = 'i';
        out_codes[1] = 0x307;
        return 2;
    }
    if (code >= tuff__later_lowercase[0].first) {
        for (size_t i = 0; i < tuff__later_lowercase_count; i++)
            if (tuff__later_lowercase[i].first == code) {
                out_codes[0] = tuff__later_lowercase[i].last;
                return 1;
            }
    }
    out_codes[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
    return 1;
}

size_t tuff__utf8_decode(const char *bytes, uint32_t *out_code)
{
    const unsigned char *p = (const unsigned char *)bytes;
    if (p[0] < 0x80) {
        *out_code = p[0];
        return 1;
    }
    if (p[0] < 0xE0) {
        *out_code = (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
        return 2;
    }
    if (p[0] < 0xF0) {
        *out_code = (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
        return 3;
    }
    *out_code =
        (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 | (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
    return 4;
}

size_t tuff__utf8_encode(uint32_t code, char out_bytes[4])
{
    unsigned char *p = (unsigned char *)out_bytes;
    if (code < 0x80) {
        p[0] = (unsigned char)code;
        return 1;
    }
    if (code < 0x800) {
        p[0] = (unsigned char)(0xC0 | code >> 6);
        p[1] = (unsigned char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        p[0] = (unsigned char)(0xE0 | code >> 12);
        p[1] = (unsigned char)(0x80 | (code >> 6 & 0x3F));
        p[2] = (unsigned char)(0x80 | (code & 0x3F));
        return 3;
    }
    p[0] = (unsigned char)(0xF0 | code >> 18);
    p[1] = (unsigned char)(0x80 | (code >> 12 & 0x3F));
    p[2] = (unsigned char)(0x80 | (code >> 6 & 0x3F));
    p[3] = (unsigned char)(0x80 | (code & 0x3F));
    return 4;
}
