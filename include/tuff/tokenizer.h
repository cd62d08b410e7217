/*
 * tokenizer.h: text to ids, exactly as Hugging Face's fast BERT tokenizers do it.
 *
 * A tokenizer is read from a model folder: tokenizer.json, or vocab.txt; in both cases with tokenizer_config.json,
 * special_tokens_map.json and added_tokens.json where they exist. WordPiece models with BERT's parts are supported; any
 * other part is refused by name.
 *
 * A tokenizer never changes after it is loaded: threads may share it.
 */
#ifndef TUFF_TOKENIZER_H
#define TUFF_TOKENIZER_H

#include "tuff/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tuff_tokenizer tuff_tokenizer;

/* Errors: IO when the folder has neither file or one cannot be read; INVALID_FILE, naming the file and the part, for a
 * file that breaks its format or needs what is not supported. */
TUFF_API tuff_status tuff_tokenizer_load(const char *dir, tuff_tokenizer **out_tokenizer);
TUFF_API void tuff_tokenizer_destroy(tuff_tokenizer *tokenizer); /* accepts NULL */

/* Writes the files this tokenizer was loaded from (as they were then) into the existing folder `dir`, and a
 * tokenizer_config.json where there was none, so that AutoTokenizer loads it to the same ids. The files of another
 * tokenizer in `dir` are removed. */
TUFF_API tuff_status tuff_tokenizer_save(const tuff_tokenizer *tokenizer, const char *dir);

/* -- vocabulary --------------------------------------------------------------------------------------------------- */

/* One more than the largest id, added tokens included: the least vocab_size of a model that takes these ids. */
TUFF_API size_t tuff_tokenizer_vocab_size(const tuff_tokenizer *tokenizer);
/* The longest input the model was trained for, special tokens included; 0 when the files name none. */
TUFF_API size_t tuff_tokenizer_model_max_length(const tuff_tokenizer *tokenizer);

typedef enum tuff_special_token {
    TUFF_SPECIAL_TOKEN_UNK = 0,
    TUFF_SPECIAL_TOKEN_SEP = 1,
    TUFF_SPECIAL_TOKEN_PAD = 2,
    TUFF_SPECIAL_TOKEN_CLS = 3,
    TUFF_SPECIAL_TOKEN_MASK = 4,
} tuff_special_token;
TUFF_API int32_t tuff_tokenizer_special_id(const tuff_tokenizer *tokenizer, tuff_special_token token); /* -1: none */

/* The id of a token (a piece, with its "##"); -1 when there is none. */
TUFF_API int32_t tuff_tokenizer_token_to_id(const tuff_tokenizer *tokenizer, const char *token);
/* The token of an id; NULL when there is none. Borrowed from the tokenizer. */
TUFF_API const char *tuff_tokenizer_id_to_token(const tuff_tokenizer *tokenizer, int32_t id);

/* -- encoding ----------------------------------------------------------------------------------------------------- */

typedef enum tuff_truncation {
    TUFF_TRUNCATION_DEFAULT = 0,       /* LONGEST_FIRST where max_length is set and nothing is padded, else DO_NOT */
    TUFF_TRUNCATION_LONGEST_FIRST = 1, /* of a pair, the longer text loses tokens first */
    TUFF_TRUNCATION_ONLY_FIRST = 2,
    TUFF_TRUNCATION_ONLY_SECOND = 3,
    TUFF_TRUNCATION_DO_NOT = 4,
} tuff_truncation;

typedef enum tuff_padding {
    TUFF_PADDING_DO_NOT = 0,
    TUFF_PADDING_LONGEST = 1,    /* to the longest text of the batch */
    TUFF_PADDING_MAX_LENGTH = 2, /* to max_length */
} tuff_padding;

/* The arguments of a transformers tokenizer's call, with its defaults when zeroed. Sides come from the tokenizer's
 * files: padding_side, truncation_side. */
typedef struct tuff_encode_options {
    tuff_truncation truncation;
    tuff_padding padding;
    uint32_t max_length;         /* with special tokens; default (0): model_max_length, and if that is 0, no limit */
    uint32_t pad_to_multiple_of; /* where anything is padded; default (0): no rounding up */
    bool no_special_tokens;      /* leaves [CLS] and [SEP] out; default: they are added */
    size_t first_index;          /* what a failure of encode_batch calls the first text; default 0 */
} tuff_encode_options;

typedef struct tuff_encoding {
    size_t count;                 /* T */
    int32_t *input_ids;           /* [T] */
    int32_t *token_type_ids;      /* [T] */
    int32_t *attention_mask;      /* [T] 0 for padding */
    int32_t *special_tokens_mask; /* [T] 1 for what the post-processor or padding put in */
    uint32_t *offset_mapping;     /* [T, 2] begin and end in Unicode characters of the text; 0, 0 for special tokens */
} tuff_encoding;

/* `text_pair` may be NULL, as may `options`: all defaults. *out_encoding is overwritten, and zeroed on failure.
 * Errors: INVALID_ARGUMENT for text that is not UTF-8 and for a truncation that cannot reach its length;
 * INVALID_FILE when the text needs an unknown token and the vocabulary has none. */
TUFF_API tuff_status tuff_tokenizer_encode(const tuff_tokenizer *tokenizer, const char *text, const char *text_pair,
                                           const tuff_encode_options *options, tuff_encoding *out_encoding);

/* A text that may hold NUL characters. */
typedef struct tuff_text {
    const char *data;
    size_t size; /* bytes */
} tuff_text;

/* As tuff_tokenizer_encode for `count` texts: out_encodings[i] of texts[i], and text_pairs[i] unless `text_pairs` is
 * NULL. On failure, which names the text by its index (a single text only where first_index is not 0), all of
 * out_encodings is zeroed. */
TUFF_API tuff_status tuff_tokenizer_encode_batch(const tuff_tokenizer *tokenizer, const tuff_text *texts,
                                                 const tuff_text *text_pairs, size_t count,
                                                 const tuff_encode_options *options, tuff_encoding *out_encodings);

/* Frees the arrays and zeroes the struct; accepts NULL and a zeroed one. */
TUFF_API void tuff_encoding_destroy(tuff_encoding *encoding);

#ifdef __cplusplus
}
#endif

#endif
