/* wordpiece.c: owns the greedy longest-match of WordPiece. */
#include "wordpiece.h"

#include <string.h>

void tuff__wordpiece_destroy(tuff__wordpiece *model)
{
    tuff__vocabulary_destroy(&model->vocabulary);
    tuff__free(model->unk_token);
    tuff__free(model->continuing_subword_prefix);
    *model = (tuff__wordpiece){0};
}

tuff_status tuff__tokens_append(tuff__tokens *tokens, tuff__token token)
{
    TUFF_TRY(tuff__grow((void **)&tokens->items, &tokens->capacity, tokens->count, sizeof *tokens->items, "tokens"));
    tokens->items[tokens->count++] = token;
    return TUFF_SUCCESS;
}

static tuff_status append_unknown(const tuff__wordpiece *model, size_t count, tuff__tokens *tokens)
{
    const int32_t id = tuff__vocabulary_find(&model->vocabulary, model->unk_token, strlen(model->unk_token));
    if (id < 0)
        return tuff__fail(TUFF_ERROR_INVALID_FILE,
                          "tokenizer: a word is not in the vocabulary, and neither is the unknown token '%s'",
                          model->unk_token);
    return tuff__tokens_append(tokens, (tuff__token){.id = id, .begin = 0, .end = (uint32_t)count});
}

tuff_status tuff__wordpiece_tokenize(const tuff__wordpiece *model, const char *bytes, const uint32_t *boundaries,
                                     size_t count, tuff__tokens *tokens)
{
    if (count > model->max_input_chars_per_word)
        return append_unknown(model, count, tokens);
    const size_t before = tokens->count;
    const size_t prefix_length = strlen(model->continuing_subword_prefix);
    for (size_t at = 0; at < count;) {
        int32_t id = -1;
        const size_t length =
            tuff__vocabulary_match(&model->vocabulary, model->continuing_subword_prefix, at > 0 ? prefix_length : 0,
                                   bytes, boundaries + at, count - at, &id);
        if (length == 0) { /* the rest cannot be spelled: neither is the word */
            tokens->count = before;
            return append_unknown(model, count, tokens);
        }
        const tuff__token piece = {.id = id, .begin = (uint32_t)at, .end = (uint32_t)(at + length)};
        TUFF_TRY(tuff__tokens_append(tokens, piece));
        at += length;
    }
    return TUFF_SUCCESS;
}
