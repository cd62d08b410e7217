/*
 * added_tokens.h: tokens that are found in the text itself, before the model sees it: "[MASK]" becomes its id wherever
 * it stands. Those with `normalized` are looked for in the normalized text, the others in the raw one.
 */
#ifndef TUFF_RUNTIME_TEXT_ADDED_TOKENS_H
#define TUFF_RUNTIME_TEXT_ADDED_TOKENS_H

#include "normalizer.h"
#include "vocabulary.h"

typedef struct tuff__added_token {
    char *content; /* owned */
    int32_t id;
    bool single_word; /* not next to a letter or digit */
    bool lstrip;      /* takes the whitespace before it along */
    bool rstrip;
    bool normalized;
    bool special;
} tuff__added_token;

/* Zero-initialise. */
typedef struct tuff__added_tokens {
    tuff__added_token *items;
    size_t count, capacity;
    int64_t next_id;             /* for a token that the model does not have */
    tuff__vocabulary contents;   /* content to index */
    tuff__vocabulary raw;        /* what to look for in raw text, to index */
    tuff__vocabulary normalized; /* what to look for in normalized text, to index */
} tuff__added_tokens;

void tuff__added_tokens_destroy(tuff__added_tokens *added);

/* Comes before the tokens of one source. New ids follow the count of the model's tokens (not their largest id) or the
 * largest id added so far, whichever is more, as in the reference. */
void tuff__added_tokens_begin(tuff__added_tokens *added, const tuff__vocabulary *vocabulary);
/* Adds a token with the booleans of `flags`; one with the same content is replaced. Its id is that of `vocabulary`, or
 * of the token replaced, or else the next free one. Empty content is passed over. Errors: memory. */
tuff_status tuff__added_tokens_add(tuff__added_tokens *added, const tuff__vocabulary *vocabulary, const char *content,
                                   const tuff__added_token *flags);
/* NULL when no token has this content. */
const tuff__added_token *tuff__added_tokens_find(const tuff__added_tokens *added, const char *content);
/* After the last token: prepares the search. Errors: memory. */
tuff_status tuff__added_tokens_finish(tuff__added_tokens *added, const tuff__normalizer *steps, size_t step_count);

/* A text in the three forms that the steps of encoding read: characters, UTF-8, and where each character's bytes are.
 * Zero-initialise. */
typedef struct tuff__text_buffer {
    tuff__text_char *chars;
    char *bytes;
    uint32_t *boundaries; /* [count + 1] */
    size_t count, byte_count, char_capacity, byte_capacity, boundary_capacity;
} tuff__text_buffer;

void tuff__text_buffer_destroy(tuff__text_buffer *buffer);
tuff_status tuff__text_buffer_append(tuff__text_buffer *buffer, const tuff__text_char *chars, size_t count);

/* A stretch of a text buffer. */
typedef struct tuff__segment {
    uint32_t first, count;
    const tuff__added_token *token; /* NULL: text between added tokens */
} tuff__segment;

typedef struct tuff__segments {
    tuff__segment *items;
    size_t count, capacity;
} tuff__segments;

/* Appends the segments that chars[first] to chars[first + count - 1] fall into, none of them empty. `patterns` is
 * added->raw or added->normalized. Errors: memory. */
tuff_status tuff__added_tokens_split(const tuff__added_tokens *added, const tuff__vocabulary *patterns,
                                     const tuff__text_buffer *buffer, size_t first, size_t count,
                                     tuff__segments *segments);

#endif
