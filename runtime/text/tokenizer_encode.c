/*
 * tokenizer_encode.c: owns the way from text to ids, in the reference's order: added tokens out of the raw text,
 * normalization of what lies between, added tokens out of that, words, pieces; then truncation, special tokens,
 * padding.
 */
#include "../io/utf8.h"
#include "tokenizer_object.h"
#include "unicode.h"

#include <string.h>

enum { MAX_TEXT_SIZE = 1 << 28 }; /* bytes; normal forms grow, and positions are 32 bits wide */

/* What a call works with; kept from text to text. */
typedef struct text_encoder {
    const tuff_tokenizer *tokenizer;
    bool add_special_tokens;
    tuff_truncation truncation; /* resolved: LONGEST_FIRST, ONLY_FIRST, ONLY_SECOND or DO_NOT */
    size_t max_length;          /* of truncation */
    tuff__text_buffer raw, normal;
    tuff__aligned_text text;
    tuff__segments segments, normal_segments;
    tuff__splits splits;
    tuff__tokens tokens[2];
} text_encoder;

static void text_encoder_destroy(text_encoder *encoder)
{
    tuff__text_buffer_destroy(&encoder->raw);
    tuff__text_buffer_destroy(&encoder->normal);
    tuff__aligned_text_destroy(&encoder->text);
    tuff__free(encoder->segments.items);
    tuff__free(encoder->normal_segments.items);
    tuff__free(encoder->splits.items);
    tuff__free(encoder->tokens[0].items);
    tuff__free(encoder->tokens[1].items);
}

/* -- text to words ------------------------------------------------------------------------------------------------ */

static tuff_status read_text(text_encoder *encoder, tuff_text text)
{
    if (text.size > MAX_TEXT_SIZE)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "text has %zu bytes, at most %d are supported", text.size,
                          MAX_TEXT_SIZE);
    const size_t valid = tuff__utf8_check(text.data, text.size);
    if (valid != text.size)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "text is not UTF-8: byte %zu is 0x%02x", valid,
                          (unsigned)(unsigned char)text.data[valid]);
    tuff__aligned_text *chars = &encoder->text;
    TUFF_TRY(tuff__grow((void **)&chars->chars, &chars->capacity, text.size, sizeof *chars->chars, "text"));
    size_t count = 0;
    for (size_t at = 0; at < text.size; count++) {
        tuff__text_char *out = &chars->chars[count];
        at += tuff__utf8_decode(text.data + at, &out->code);
        out->begin = (uint32_t)count;
        out->end = (uint32_t)count + 1;
    }
    encoder->raw.count = encoder->raw.byte_count = 0;
    return tuff__text_buffer_append(&encoder->raw, chars->chars, count);
}

static tuff_status append_added(text_encoder *encoder, const tuff__text_buffer *buffer, const tuff__segment *segment)
{
    const tuff__split split = {
        .first = segment->first,
        .count = segment->count,
        .id = segment->token->id,
        .begin = buffer->chars[segment->first].begin,
        .end = buffer->chars[segment->first + segment->count - 1].end,
    };
    return tuff__splits_append(&encoder->splits, split);
}

/* A stretch of raw text without added tokens: normalized, searched again, cut into words. */
static tuff_status split_plain(text_encoder *encoder, const tuff__segment *segment)
{
    const tuff_tokenizer *tokenizer = encoder->tokenizer;
    const tuff__text_char *raw = encoder->raw.chars + segment->first;
    tuff__aligned_text *text = &encoder->text;
    TUFF_TRY(tuff__grow((void **)&text->chars, &text->capacity, segment->count, sizeof *text->chars, "text"));
    memcpy(text->chars, raw, segment->count * sizeof *raw);
    text->count = segment->count;
    text->origin = raw->begin;
    TUFF_TRY(tuff__normalize(tokenizer->normalizers, tokenizer->normalizer_count, text));
    const size_t first = encoder->normal.count;
    TUFF_TRY(tuff__text_buffer_append(&encoder->normal, text->chars, text->count));
    encoder->normal_segments.count = 0;
    TUFF_TRY(tuff__added_tokens_split(&tokenizer->added, &tokenizer->added.normalized, &encoder->normal, first,
                                      text->count, &encoder->normal_segments));
    for (size_t i = 0; i < encoder->normal_segments.count; i++) {
        const tuff__segment *part = &encoder->normal_segments.items[i];
        if (part->token)
            TUFF_TRY(append_added(encoder, &encoder->normal, part));
        else
            TUFF_TRY(tuff__pre_tokenize(tokenizer->pre_tokenizers, tokenizer->pre_tokenizer_count,
                                        encoder->normal.chars, part->first, part->count, &encoder->splits));
    }
    return TUFF_SUCCESS;
}

static tuff_status split_text(text_encoder *encoder, tuff_text text)
{
    TUFF_TRY(read_text(encoder, text));
    const tuff_tokenizer *tokenizer = encoder->tokenizer;
    encoder->normal.count = encoder->normal.byte_count = 0;
    encoder->segments.count = encoder->splits.count = 0;
    TUFF_TRY(tuff__added_tokens_split(&tokenizer->added, &tokenizer->added.raw, &encoder->raw, 0, encoder->raw.count,
                                      &encoder->segments));
    for (size_t i = 0; i < encoder->segments.count; i++) {
        const tuff__segment *segment = &encoder->segments.items[i];
        if (segment->token)
            TUFF_TRY(append_added(encoder, &encoder->raw, segment));
        else
            TUFF_TRY(split_plain(encoder, segment));
    }
    return TUFF_SUCCESS;
}

/* -- words to tokens ---------------------------------------------------------------------------------------------- */

static tuff_status append_split(const text_encoder *encoder, const tuff__split *split, tuff__tokens *tokens)
{
    if (split->id >= 0)
        return tuff__tokens_append(tokens, (tuff__token){.id = split->id, .begin = split->begin, .end = split->end});
    const size_t before = tokens->count;
    const tuff__text_buffer *normal = &encoder->normal;
    TUFF_TRY(tuff__wordpiece_tokenize(&encoder->tokenizer->model, normal->bytes, normal->boundaries + split->first,
                                      split->count, tokens));
    const tuff__text_char *chars = normal->chars + split->first;
    for (size_t i = before; i < tokens->count; i++) {
        tuff__token *token = &tokens->items[i];
        const uint32_t begin = chars[token->begin].begin, end = chars[token->end - 1].end;
        token->begin = begin;
        token->end = end;
    }
    return TUFF_SUCCESS;
}

static tuff_status encode_sequence(text_encoder *encoder, tuff_text text, tuff__tokens *tokens)
{
    TUFF_TRY(split_text(encoder, text));
    tokens->count = 0;
    for (size_t i = 0; i < encoder->splits.count; i++)
        TUFF_TRY(append_split(encoder, &encoder->splits.items[i], tokens));
    return TUFF_SUCCESS;
}

/* -- truncation and special tokens -------------------------------------------------------------------------------- */

static tuff_status truncate_spans(const text_encoder *encoder, const tuff__template *template, bool pair,
                                  tuff__token_span spans[2])
{
    if (encoder->truncation == TUFF_TRUNCATION_DO_NOT)
        return TUFF_SUCCESS;
    const size_t added = encoder->add_special_tokens ? template->special_count : 0;
    if (encoder->max_length < added)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "max_length is %zu, too few for the %zu special tokens",
                          encoder->max_length, added);
    size_t counts[2] = {spans[0].count, spans[1].count};
    TUFF_TRY(
        tuff__truncate_counts(encoder->truncation, encoder->max_length - added, &counts[0], pair ? &counts[1] : NULL));
    for (size_t i = 0; i < 2; i++) {
        if (encoder->tokenizer->truncate_left && counts[i] < spans[i].count)
            spans[i].tokens += spans[i].count - counts[i];
        spans[i].count = counts[i];
    }
    return TUFF_SUCCESS;
}

static tuff_status encode_one(text_encoder *encoder, tuff_text text, const tuff_text *text_pair,
                              tuff_encoding *out_encoding)
{
    TUFF_TRY(encode_sequence(encoder, text, &encoder->tokens[0]));
    if (text_pair)
        TUFF_TRY(encode_sequence(encoder, *text_pair, &encoder->tokens[1]));
    tuff__token_span spans[2] = {{.tokens = encoder->tokens[0].items, .count = encoder->tokens[0].count}};
    if (text_pair)
        spans[1] = (tuff__token_span){.tokens = encoder->tokens[1].items, .count = encoder->tokens[1].count};
    const tuff__post_processor *processor = &encoder->tokenizer->post_processor;
    const tuff__template *template = text_pair ? &processor->pair : &processor->single;
    TUFF_TRY(truncate_spans(encoder, template, text_pair != NULL, spans));
    return tuff__template_apply(template, spans, encoder->add_special_tokens, out_encoding);
}

/* -- options and padding ------------------------------------------------------------------------------------------ */

/* The defaults of a transformers tokenizer's call, in one place; *out_padding is what is left of options->padding. */
static tuff_status resolve_options(text_encoder *encoder, const tuff_encode_options *options, tuff_padding *out_padding)
{
    const size_t model_max_length = encoder->tokenizer->model_max_length;
    encoder->add_special_tokens = !options->no_special_tokens;
    encoder->max_length = options->max_length ? options->max_length : model_max_length;
    encoder->truncation = options->truncation;
    if ((unsigned)options->truncation > TUFF_TRUNCATION_DO_NOT || (unsigned)options->padding > TUFF_PADDING_MAX_LENGTH)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "encode: truncation %d or padding %d is no value of its enum",
                          (int)options->truncation, (int)options->padding);
    if (options->truncation == TUFF_TRUNCATION_DEFAULT)
        encoder->truncation = options->max_length != 0 && options->padding == TUFF_PADDING_DO_NOT
                                  ? TUFF_TRUNCATION_LONGEST_FIRST
                                  : TUFF_TRUNCATION_DO_NOT;
    *out_padding = options->padding;
    if (encoder->max_length == 0) { /* no limit is known: nothing to cut down or fill up to */
        encoder->truncation = TUFF_TRUNCATION_DO_NOT;
        if (options->padding == TUFF_PADDING_MAX_LENGTH)
            *out_padding = TUFF_PADDING_DO_NOT;
    }
    if (*out_padding == TUFF_PADDING_DO_NOT)
        return TUFF_SUCCESS;
    if (encoder->tokenizer->pad.id < 0)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "padding: the tokenizer has no pad_token");
    const uint32_t multiple = options->pad_to_multiple_of;
    if (encoder->truncation != TUFF_TRUNCATION_DO_NOT && multiple != 0 && encoder->max_length % multiple != 0)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "max_length is %zu, wanted a multiple of pad_to_multiple_of, %u",
                          encoder->max_length, (unsigned)multiple);
    return TUFF_SUCCESS;
}

static tuff_status pad_all(const text_encoder *encoder, tuff_padding padding, uint32_t multiple,
                           tuff_encoding *encodings, size_t count)
{
    if (padding == TUFF_PADDING_DO_NOT)
        return TUFF_SUCCESS;
    size_t length = padding == TUFF_PADDING_MAX_LENGTH ? encoder->max_length : 0;
    for (size_t i = 0; padding == TUFF_PADDING_LONGEST && i < count; i++)
        if (encodings[i].count > length)
            length = encodings[i].count;
    if (multiple != 0 && length % multiple != 0)
        length += multiple - length % multiple;
    for (size_t i = 0; i < count; i++)
        TUFF_TRY(tuff__encoding_pad(&encodings[i], length, &encoder->tokenizer->pad));
    return TUFF_SUCCESS;
}

static tuff_status encode_all(text_encoder *encoder, const tuff_text *texts, const tuff_text *text_pairs, size_t count,
                              const tuff_encode_options *options, tuff_encoding *out_encodings)
{
    tuff_padding padding = TUFF_PADDING_DO_NOT;
    TUFF_TRY(resolve_options(encoder, options, &padding));
    for (size_t i = 0; i < count; i++) {
        const tuff_status status = encode_one(encoder, texts[i], text_pairs ? &text_pairs[i] : NULL, &out_encodings[i]);
        if (status != TUFF_SUCCESS)
            return count == 1 && options->first_index == 0
                       ? status
                       : tuff__fail(status, "text %zu: %s", options->first_index + i, tuff_last_error());
    }
    return pad_all(encoder, padding, options->pad_to_multiple_of, out_encodings, count);
}

tuff_status tuff_tokenizer_encode_batch(const tuff_tokenizer *tokenizer, const tuff_text *texts,
                                        const tuff_text *text_pairs, size_t count, const tuff_encode_options *options,
                                        tuff_encoding *out_encodings)
{
    static const tuff_encode_options defaults;
    text_encoder encoder = {.tokenizer = tokenizer};
    for (size_t i = 0; i < count; i++)
        out_encodings[i] = (tuff_encoding){0};
    const tuff_status status =
        encode_all(&encoder, texts, text_pairs, count, options ? options : &defaults, out_encodings);
    text_encoder_destroy(&encoder);
    for (size_t i = 0; status != TUFF_SUCCESS && i < count; i++)
        tuff_encoding_destroy(&out_encodings[i]);
    return status;
}

tuff_status tuff_tokenizer_encode(const tuff_tokenizer *tokenizer, const char *text, const char *text_pair,
                                  const tuff_encode_options *options, tuff_encoding *out_encoding)
{
    const tuff_text first = {.data = text, .size = strlen(text)};
    const tuff_text second = {.data = text_pair, .size = text_pair ? strlen(text_pair) : 0};
    return tuff_tokenizer_encode_batch(tokenizer, &first, text_pair ? &second : NULL, 1, options, out_encoding);
}
