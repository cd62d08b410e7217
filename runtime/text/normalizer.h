/*
 * normalizer.h: the normalizers of tokenizer.json, on a text that remembers where each of its characters came from.
 */
#ifndef TUFF_RUNTIME_TEXT_NORMALIZER_H
#define TUFF_RUNTIME_TEXT_NORMALIZER_H

#include "../alloc.h"

typedef struct tuff__text_char {
    uint32_t code;
    uint32_t begin, end; /* in characters of the original text */
} tuff__text_char;

/* A character of a normalizer's result, and what it does to the characters before: 0 takes the place of the next one,
 * 1 is new, -n takes the place of the next one and swallows n more. */
typedef struct tuff__text_change {
    uint32_t code;
    int32_t change;
    uint32_t order; /* among its neighbours, before they are sorted by class */
    uint8_t combining_class;
} tuff__text_change;

/* Zero-initialise; a text may be filled and normalized again and again, keeping its memory. */
typedef struct tuff__aligned_text {
    tuff__text_char *chars;
    size_t count, capacity;
    uint32_t origin;        /* where in the original text this part of it begins */
    tuff__text_char *spare; /* results grow here, then change places with `chars` */
    size_t spare_capacity;
    tuff__text_change *changes;
    size_t change_capacity;
} tuff__aligned_text;

void tuff__aligned_text_destroy(tuff__aligned_text *text);

typedef enum tuff__normalizer_kind {
    TUFF__NORMALIZER_BERT,
    TUFF__NORMALIZER_LOWERCASE,
    TUFF__NORMALIZER_STRIP_ACCENTS,
    TUFF__NORMALIZER_STRIP,
    TUFF__NORMALIZER_NFD,
    TUFF__NORMALIZER_NFC,
    TUFF__NORMALIZER_NFKD,
    TUFF__NORMALIZER_NFKC,
} tuff__normalizer_kind;

/* One step; a Sequence, nested or not, is its steps in order. */
typedef struct tuff__normalizer {
    tuff__normalizer_kind kind;
    bool clean_text, handle_chinese_chars, strip_accents, lowercase; /* BERT */
    bool strip_left, strip_right;                                    /* STRIP */
} tuff__normalizer;

/* Replaces text->chars by its normal form. Errors: memory. */
tuff_status tuff__normalize(const tuff__normalizer *steps, size_t count, tuff__aligned_text *text);

#endif
