/* fuzz_tokenizer.h: what the two targets of the tokenizer share: what must hold of a tokenizer and its encodings. */
#ifndef TUFF_TESTS_FUZZ_TOKENIZER_H
#define TUFF_TESTS_FUZZ_TOKENIZER_H

#include "../../runtime/text/tokenizer_object.h"
#include "fuzz_parts.h"

static inline void tuff__fuzz_check_encoding(const tuff_encoding *encoding, size_t longest)
{
    for (size_t i = 0; i < encoding->count; i++) {
        tuff__fuzz_require(encoding->input_ids[i] >= 0);
        tuff__fuzz_require(encoding->offset_mapping[2 * i] <= encoding->offset_mapping[2 * i + 1]);
        tuff__fuzz_require(encoding->offset_mapping[2 * i + 1] <= longest);
    }
}

/* Encodes a text alone and a pair, with options drawn from the text's bytes. */
static inline void tuff__fuzz_encode(const tuff_tokenizer *tokenizer, tuff_text text, tuff_text pair)
{
    const uint8_t choice = text.size ? (uint8_t)text.data[0] : 0;
    const tuff_encode_options options = {
        .truncation = (tuff_truncation)(choice % 5),
        .padding = (tuff_padding)(choice / 5 % 3),
        .max_length = choice / 15,
        .pad_to_multiple_of = choice % 7,
        .no_special_tokens = choice % 2 == 0,
    };
    tuff_encoding encoding;
    if (tuff_tokenizer_encode_batch(tokenizer, &text, NULL, 1, NULL, &encoding) == TUFF_SUCCESS)
        tuff__fuzz_check_encoding(&encoding, text.size);
    tuff_encoding_destroy(&encoding);
    if (tuff_tokenizer_encode_batch(tokenizer, &text, &pair, 1, &options, &encoding) == TUFF_SUCCESS)
        tuff__fuzz_check_encoding(&encoding, text.size > pair.size ? text.size : pair.size);
    tuff_encoding_destroy(&encoding);
}

static inline void tuff__fuzz_check_tokenizer(const tuff_tokenizer *tokenizer, tuff_text text, tuff_text pair)
{
    const int32_t last = (int32_t)tuff_tokenizer_vocab_size(tokenizer) - 1;
    const char *token = tuff_tokenizer_id_to_token(tokenizer, last);
    tuff__fuzz_require(token != NULL);
    for (int i = 0; i < TUFF__SPECIAL_TOKEN_COUNT; i++)
        tuff__fuzz_require(tuff_tokenizer_special_id(tokenizer, (tuff_special_token)i) <= last);
    tuff__fuzz_encode(tokenizer, text, pair);
}

#endif
