/* pre_tokenizer.h: the pre-tokenizers of tokenizer.json: normalized text to words. */
#ifndef TUFF_RUNTIME_TEXT_PRE_TOKENIZER_H
#define TUFF_RUNTIME_TEXT_PRE_TOKENIZER_H

#include "normalizer.h"

typedef enum tuff__pre_tokenizer {
    TUFF__PRE_TOKENIZER_BERT,             /* whitespace removed, punctuation on its own */
    TUFF__PRE_TOKENIZER_WHITESPACE,       /* \w+|[^\w\s]+ */
    TUFF__PRE_TOKENIZER_WHITESPACE_SPLIT, /* whitespace removed */
    TUFF__PRE_TOKENIZER_PUNCTUATION,      /* punctuation on its own */
} tuff__pre_tokenizer;

/* A stretch of the normalized text: a word for the model to split, or an added token. */
typedef struct tuff__split {
    uint32_t first, count;
    int32_t id;          /* of an added token; -1: a word */
    uint32_t begin, end; /* of an added token, in characters of the original text */
} tuff__split;

/* Zero-initialise. */
typedef struct tuff__splits {
    tuff__split *items;
    size_t count, capacity;
} tuff__splits;

/* Appends the words of chars[first] to chars[first + count - 1], as the steps in order leave them. Errors: memory. */
tuff_status tuff__pre_tokenize(const tuff__pre_tokenizer *steps, size_t step_count, const tuff__text_char *chars,
                               uint32_t first, uint32_t count, tuff__splits *splits);
tuff_status tuff__splits_append(tuff__splits *splits, tuff__split split);

#endif
