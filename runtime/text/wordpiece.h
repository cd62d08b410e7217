/* wordpiece.h: the WordPiece model: a word to the pieces of it that the vocabulary has (Wu et al. 2016, §4.1). */
#ifndef TUFF_RUNTIME_TEXT_WORDPIECE_H
#define TUFF_RUNTIME_TEXT_WORDPIECE_H

#include "vocabulary.h"

/* Zero-initialise. */
typedef struct tuff__wordpiece {
    tuff__vocabulary vocabulary;
    char *unk_token;                 /* owned */
    char *continuing_subword_prefix; /* owned */
    size_t max_input_chars_per_word;
} tuff__wordpiece;

void tuff__wordpiece_destroy(tuff__wordpiece *model);

typedef struct tuff__token {
    int32_t id;
    uint32_t begin, end; /* in characters: of the word from the model, of the original text later */
} tuff__token;

/* Zero-initialise. */
typedef struct tuff__tokens {
    tuff__token *items;
    size_t count, capacity;
} tuff__tokens;

tuff_status tuff__tokens_append(tuff__tokens *tokens, tuff__token token);

/* Appends the pieces of a word of `count` characters, at least one; character i is at bytes[boundaries[i]] to
 * bytes[boundaries[i + 1]]. A word that cannot be spelled, or is too long, is one unknown token. Errors: INVALID_FILE
 * when the vocabulary has no unknown token; memory. */
tuff_status tuff__wordpiece_tokenize(const tuff__wordpiece *model, const char *bytes, const uint32_t *boundaries,
                                     size_t count, tuff__tokens *tokens);

#endif
