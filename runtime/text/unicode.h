/*
 * unicode.h: what a character is, as the `tokenizers` library sees it: its classes, decompositions and small letters.
 * A character is a code point, uint32_t.
 */
#ifndef TUFF_RUNTIME_TEXT_UNICODE_H
#define TUFF_RUNTIME_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool tuff__is_whitespace(uint32_t code);      /* Unicode's White_Space */
bool tuff__is_other(uint32_t code);           /* category C but \t, \n, \r: controls, formats, private use */
bool tuff__is_nonspacing_mark(uint32_t code); /* category Mn */
bool tuff__is_mark(uint32_t code);            /* category M */
bool tuff__is_punctuation(uint32_t code);     /* ASCII punctuation ('$' and '^' too) and category P */
bool tuff__is_word(uint32_t code);            /* \w of a regular expression */
bool tuff__is_chinese(uint32_t code);         /* CJK ideographs, BERT's list of blocks */

enum { TUFF__MAX_DECOMPOSITION = 18, TUFF__MAX_LOWERCASE = 2 }; /* U+FDFA; U+0130 */

/* The full decomposition, canonical or compatible; the count of characters, at least 1. */
size_t tuff__decompose(uint32_t code, bool compatible, uint32_t out_codes[TUFF__MAX_DECOMPOSITION]);
uint8_t tuff__combining_class(uint32_t code);
/* The canonical composition of two characters; false when there is none. */
bool tuff__compose(uint32_t first, uint32_t second, uint32_t *out_code);
/* Without context (no final sigma), as Rust's char::to_lowercase; the count of characters, 1 or 2. */
size_t tuff__lowercase(uint32_t code, uint32_t out_codes[TUFF__MAX_LOWERCASE]);

/* Reads one character of well-formed UTF-8 and its length in bytes, 1 to 4. */
size_t tuff__utf8_decode(const char *bytes, uint32_t *out_code);
/* Writes a character's UTF-8; its length, 1 to 4. */
size_t tuff__utf8_encode(uint32_t code, char out_bytes[4]);

#endif
