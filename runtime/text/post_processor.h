/* post_processor.h: what is done with the tokens of one or two texts: truncation, [CLS] and [SEP], padding. */
#ifndef TUFF_RUNTIME_TEXT_POST_PROCESSOR_H
#define TUFF_RUNTIME_TEXT_POST_PROCESSOR_H

#include "tuff/tokenizer.h"
#include "wordpiece.h"

/* A template is a list of pieces: a whole text, or one special token. */
typedef struct tuff__template_piece {
    int8_t sequence; /* 0: the text, 1: its pair, -1: the special token `id` */
    int32_t id;
    int32_t type_id;
} tuff__template_piece;

typedef struct tuff__template {
    tuff__template_piece *pieces;
    size_t count, capacity;
    size_t special_count;
} tuff__template;

tuff_status tuff__template_append(tuff__template *template, const tuff__template_piece *pieces, size_t count);

/* BERT's, or a template; without a post-processor the texts alone. Zero-initialise. */
typedef struct tuff__post_processor {
    tuff__template single, pair;
} tuff__post_processor;

/* "[CLS] $A [SEP]" and "[CLS] $A [SEP] $B:1 [SEP]:1". */
tuff_status tuff__post_processor_set_bert(tuff__post_processor *processor, int32_t cls, int32_t sep);
void tuff__post_processor_destroy(tuff__post_processor *processor);

/* Cuts the counts of tokens down to `max_length` in all. Errors: INVALID_ARGUMENT when the strategy cannot reach it. */
tuff_status tuff__truncate_counts(tuff_truncation strategy, size_t max_length, size_t *count, size_t *pair_count);

/* A stretch of tokens of one text. */
typedef struct tuff__token_span {
    const tuff__token *tokens;
    size_t count;
} tuff__token_span;

/* Lays the tokens out by the template. spans[1] is the pair's, read only if the template is the pair's. */
tuff_status tuff__template_apply(const tuff__template *template, const tuff__token_span spans[2],
                                 bool add_special_tokens, tuff_encoding *out_encoding);

typedef struct tuff__pad {
    int32_t id, type_id;
    bool left;
} tuff__pad;

/* Pads to `length`; a longer encoding stays as it is. */
tuff_status tuff__encoding_pad(tuff_encoding *encoding, size_t length, const tuff__pad *pad);

#endif
