/* post_processor.c: owns the arithmetic of truncation, the templates, and the arrays of a tuff_encoding. */
#include "post_processor.h"

#include <string.h>

tuff_status tuff__template_append(tuff__template *template, const tuff__template_piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        TUFF_TRY(tuff__grow((void **)&template->pieces, &template->capacity, template->count, sizeof *template->pieces,
                            "post_processor"));
        template->pieces[template->count++] = pieces[i];
        template->special_count += pieces[i].sequence < 0;
    }
    return TUFF_SUCCESS;
}

tuff_status tuff__post_processor_set_bert(tuff__post_processor *processor, int32_t cls, int32_t sep)
{
    const tuff__template_piece pieces[] = {{-1, cls, 0}, {0, 0, 0}, {-1, sep, 0}, {1, 0, 1}, {-1, sep, 1}};
    TUFF_TRY(tuff__template_append(&processor->single, pieces, 3));
    return tuff__template_append(&processor->pair, pieces, 5);
}

void tuff__post_processor_destroy(tuff__post_processor *processor)
{
    tuff__free(processor->single.pieces);
    tuff__free(processor->pair.pieces);
    *processor = (tuff__post_processor){0};
}

/* Of a pair the longer text is cut; where that is not enough, both to half, the longer one (or, of equals, the second)
 * getting the odd token. */
static void truncate_longest_first(size_t max_length, size_t *count, size_t *pair_count)
{
    const bool swap = *count > *pair_count;
    size_t shorter = swap ? *pair_count : *count, longer;
    if (shorter > max_length)
        longer = shorter;
    else
        longer = shorter > max_length - shorter ? shorter : max_length - shorter;
    if (shorter + longer > max_length) {
        shorter = max_length / 2;
        longer = shorter + max_length % 2;
    }
    const size_t first = swap ? longer : shorter, second = swap ? shorter : longer;
    if (first < *count)
        *count = first;
    if (second < *pair_count)
        *pair_count = second;
}

tuff_status tuff__truncate_counts(tuff_truncation strategy, size_t max_length, size_t *count, size_t *pair_count)
{
    const size_t total = *count + (pair_count ? *pair_count : 0);
    if (max_length == 0) {
        *count = 0;
        if (pair_count)
            *pair_count = 0;
        return TUFF_SUCCESS;
    }
    if (total <= max_length)
        return TUFF_SUCCESS;
    const size_t to_remove = total - max_length;
    if (strategy == TUFF_TRUNCATION_LONGEST_FIRST) {
        if (pair_count)
            truncate_longest_first(max_length, count, pair_count);
        else
            *count = max_length;
        return TUFF_SUCCESS;
    }
    const bool first = strategy == TUFF_TRUNCATION_ONLY_FIRST;
    if (!first && !pair_count)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                          "truncation: only_second, but there is no second text to shorten");
    size_t *target = first ? count : pair_count;
    if (*target <= to_remove)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                          "truncation: the %s text has %zu tokens, too few to take %zu away and reach max_length",
                          first ? "first" : "second", *target, to_remove);
    *target -= to_remove;
    return TUFF_SUCCESS;
}

static tuff_status encoding_create(size_t count, tuff_encoding *out_encoding)
{
    *out_encoding = (tuff_encoding){0};
    if (count > SIZE_MAX / (6 * sizeof(int32_t)))
        return tuff__fail_memory("encoding", SIZE_MAX);
    int32_t *block = tuff__calloc(6 * count, sizeof *block);
    if (!block)
        return tuff__fail_memory("encoding", 6 * count * sizeof *block);
    *out_encoding = (tuff_encoding){
        .count = count,
        .input_ids = block, /* owns the block */
        .token_type_ids = block + count,
        .attention_mask = block + 2 * count,
        .special_tokens_mask = block + 3 * count,
        .offset_mapping = (uint32_t *)(void *)(block + 4 * count),
    };
    return TUFF_SUCCESS;
}

void tuff_encoding_destroy(tuff_encoding *encoding)
{
    if (!encoding)
        return;
    tuff__free(encoding->input_ids);
    *encoding = (tuff_encoding){0};
}

static void put_span(tuff_encoding *encoding, size_t at, const tuff__token_span *span, int32_t type_id)
{
    for (size_t i = 0; i < span->count; i++) {
        encoding->input_ids[at + i] = span->tokens[i].id;
        encoding->token_type_ids[at + i] = type_id;
        encoding->attention_mask[at + i] = 1;
        encoding->offset_mapping[2 * (at + i)] = span->tokens[i].begin;
        encoding->offset_mapping[2 * (at + i) + 1] = span->tokens[i].end;
    }
}

tuff_status tuff__template_apply(const tuff__template *template, const tuff__token_span spans[2],
                                 bool add_special_tokens, tuff_encoding *out_encoding)
{
    size_t count = add_special_tokens ? template->special_count : 0;
    for (size_t i = 0; i < template->count; i++)
        if (template->pieces[i].sequence >= 0)
            count += spans[template->pieces[i].sequence].count;
    TUFF_TRY(encoding_create(count, out_encoding));
    size_t at = 0;
    for (size_t i = 0; i < template->count; i++) {
        const tuff__template_piece *piece = &template->pieces[i];
        if (piece->sequence >= 0) {
            put_span(out_encoding, at, &spans[piece->sequence], piece->type_id);
            at += spans[piece->sequence].count;
        } else if (add_special_tokens) {
            out_encoding->input_ids[at] = piece->id;
            out_encoding->token_type_ids[at] = piece->type_id;
            out_encoding->attention_mask[at] = 1;
            out_encoding->special_tokens_mask[at++] = 1;
        }
    }
    return TUFF_SUCCESS;
}

tuff_status tuff__encoding_pad(tuff_encoding *encoding, size_t length, const tuff__pad *pad)
{
    if (encoding->count >= length)
        return TUFF_SUCCESS;
    tuff_encoding padded;
    TUFF_TRY(encoding_create(length, &padded));
    for (size_t i = 0; i < length; i++) {
        padded.input_ids[i] = pad->id;
        padded.token_type_ids[i] = pad->type_id;
        padded.special_tokens_mask[i] = 1;
    }
    const size_t at = pad->left ? length - encoding->count : 0, size = encoding->count * sizeof(int32_t);
    if (size > 0) {
        memcpy(padded.input_ids + at, encoding->input_ids, size);
        memcpy(padded.token_type_ids + at, encoding->token_type_ids, size);
        memcpy(padded.attention_mask + at, encoding->attention_mask, size);
        memcpy(padded.special_tokens_mask + at, encoding->special_tokens_mask, size);
        memcpy(padded.offset_mapping + 2 * at, encoding->offset_mapping, 2 * size);
    }
    tuff_encoding_destroy(encoding);
    *encoding = padded;
    return TUFF_SUCCESS;
}
