/* added_tokens.c: owns the added tokens and their search: leftmost, and of those the longest. */
#include "added_tokens.h"

#include "unicode.h"

#include <string.h>

void tuff__added_tokens_destroy(tuff__added_tokens *added)
{
    for (size_t i = 0; i < added->count; i++)
        tuff__free(added->items[i].content);
    tuff__free(added->items);
    tuff__vocabulary_destroy(&added->contents);
    tuff__vocabulary_destroy(&added->raw);
    tuff__vocabulary_destroy(&added->normalized);
    *added = (tuff__added_tokens){0};
}

const tuff__added_token *tuff__added_tokens_find(const tuff__added_tokens *added, const char *content)
{
    const int32_t index = tuff__vocabulary_find(&added->contents, content, strlen(content));
    return index < 0 ? NULL : &added->items[index];
}

void tuff__added_tokens_begin(tuff__added_tokens *added, const tuff__vocabulary *vocabulary)
{
    int64_t next = (int64_t)vocabulary->count;
    for (size_t i = 0; i < added->count; i++)
        if (added->items[i].id >= next)
            next = (int64_t)added->items[i].id + 1;
    added->next_id = next;
}

static void set_flags(tuff__added_token *token, const tuff__added_token *flags)
{
    token->single_word = flags->single_word;
    token->lstrip = flags->lstrip;
    token->rstrip = flags->rstrip;
    token->normalized = flags->normalized;
    token->special = flags->special;
}

static tuff_status append(tuff__added_tokens *added, const char *content, size_t length, int32_t id)
{
    TUFF_TRY(tuff__grow((void **)&added->items, &added->capacity, added->count, sizeof *added->items, "added tokens"));
    TUFF_TRY(tuff__vocabulary_insert(&added->contents, content, length, (int32_t)added->count));
    char *copy = tuff__strndup(content, length);
    if (!copy)
        return tuff__fail_memory("added tokens", length + 1);
    added->items[added->count++] = (tuff__added_token){.content = copy, .id = id};
    return TUFF_SUCCESS;
}

tuff_status tuff__added_tokens_add(tuff__added_tokens *added, const tuff__vocabulary *vocabulary, const char *content,
                                   const tuff__added_token *flags)
{
    const size_t length = strlen(content);
    if (length == 0)
        return TUFF_SUCCESS;
    int32_t index = tuff__vocabulary_find(&added->contents, content, length);
    if (index < 0) {
        int64_t id = tuff__vocabulary_find(vocabulary, content, length);
        if (id < 0)
            id = added->next_id++;
        if (id > TUFF__VOCABULARY_MAX_ID)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "tokenizer: no id is left for the added token '%s'", content);
        index = (int32_t)added->count;
        TUFF_TRY(append(added, content, length, (int32_t)id));
    }
    set_flags(&added->items[index], flags);
    return TUFF_SUCCESS;
}

/* What to look for: the normalized content. */
static tuff_status add_normalized(tuff__added_tokens *added, size_t index, const tuff__normalizer *steps,
                                  size_t step_count, tuff__aligned_text *text, tuff__text_buffer *pattern)
{
    const char *content = added->items[index].content;
    text->count = 0;
    for (size_t at = 0; content[at] != '\0'; text->count++) {
        TUFF_TRY(tuff__grow((void **)&text->chars, &text->capacity, text->count, sizeof *text->chars, "text"));
        text->chars[text->count] = (tuff__text_char){0};
        at += tuff__utf8_decode(content + at, &text->chars[text->count].code);
    }
    TUFF_TRY(tuff__normalize(steps, step_count, text));
    pattern->count = pattern->byte_count = 0;
    TUFF_TRY(tuff__text_buffer_append(pattern, text->chars, text->count));
    if (pattern->byte_count == 0 || tuff__vocabulary_find(&added->normalized, pattern->bytes, pattern->byte_count) >= 0)
        return TUFF_SUCCESS;
    return tuff__vocabulary_insert(&added->normalized, pattern->bytes, pattern->byte_count, (int32_t)index);
}

tuff_status tuff__added_tokens_finish(tuff__added_tokens *added, const tuff__normalizer *steps, size_t step_count)
{
    tuff__aligned_text text = {0};
    tuff__text_buffer pattern = {0};
    tuff_status status = TUFF_SUCCESS;
    tuff__vocabulary_destroy(&added->raw);
    tuff__vocabulary_destroy(&added->normalized);
    for (size_t i = 0; status == TUFF_SUCCESS && i < added->count; i++) {
        const char *content = added->items[i].content;
        if (added->items[i].normalized)
            status = add_normalized(added, i, steps, step_count, &text, &pattern);
        else
            status = tuff__vocabulary_insert(&added->raw, content, strlen(content), (int32_t)i);
    }
    tuff__aligned_text_destroy(&text);
    tuff__text_buffer_destroy(&pattern);
    return status;
}

void tuff__text_buffer_destroy(tuff__text_buffer *buffer)
{
    tuff__free(buffer->chars);
    tuff__free(buffer->bytes);
    tuff__free(buffer->boundaries);
    *buffer = (tuff__text_buffer){0};
}

tuff_status tuff__text_buffer_append(tuff__text_buffer *buffer, const tuff__text_char *chars, size_t count)
{
    const size_t total = buffer->count + count;
    TUFF_TRY(tuff__grow((void **)&buffer->chars, &buffer->char_capacity, total, sizeof *buffer->chars, "text"));
    TUFF_TRY(tuff__grow((void **)&buffer->boundaries, &buffer->boundary_capacity, total, sizeof *buffer->boundaries,
                        "text"));
    TUFF_TRY(tuff__grow((void **)&buffer->bytes, &buffer->byte_capacity, buffer->byte_count + 4 * count, 1, "text"));
    buffer->boundaries[buffer->count] = (uint32_t)buffer->byte_count;
    for (size_t i = 0; i < count; i++) {
        buffer->chars[buffer->count++] = chars[i];
        buffer->byte_count += tuff__utf8_encode(chars[i].code, buffer->bytes + buffer->byte_count);
        buffer->boundaries[buffer->count] = (uint32_t)buffer->byte_count;
    }
    return TUFF_SUCCESS;
}

static tuff_status append_segment(tuff__segments *segments, size_t first, size_t end, const tuff__added_token *token)
{
    TUFF_TRY(tuff__grow((void **)&segments->items, &segments->capacity, segments->count, sizeof *segments->items,
                        "added tokens"));
    segments->items[segments->count++] =
        (tuff__segment){.first = (uint32_t)first, .count = (uint32_t)(end - first), .token = token};
    return TUFF_SUCCESS;
}

static bool stands_alone(const tuff__text_char *chars, size_t first, size_t end, size_t match, size_t match_end)
{
    return (match == first || !tuff__is_word(chars[match - 1].code)) &&
           (match_end == end || !tuff__is_word(chars[match_end].code));
}

tuff_status tuff__added_tokens_split(const tuff__added_tokens *added, const tuff__vocabulary *patterns,
                                     const tuff__text_buffer *buffer, size_t first, size_t count,
                                     tuff__segments *segments)
{
    const tuff__text_char *chars = buffer->chars;
    const size_t end = first + count;
    size_t done = first;
    for (size_t i = first; patterns->count > 0 && i < end;) {
        int32_t index = -1;
        size_t length = 0;
        if (patterns->first_bytes[(unsigned char)buffer->bytes[buffer->boundaries[i]]])
            length = tuff__vocabulary_match(patterns, NULL, 0, buffer->bytes, buffer->boundaries + i, end - i, &index);
        if (length == 0) {
            i++;
            continue;
        }
        const tuff__added_token *token = &added->items[index];
        size_t begin = i, stop = i + length;
        i = stop; /* the search goes on behind the match itself, not behind the whitespace it takes along */
        if (token->single_word && !stands_alone(chars, first, end, begin, stop))
            continue;
        while (token->lstrip && begin > done && tuff__is_whitespace(chars[begin - 1].code))
            begin--;
        if (token->lstrip && begin < done)
            begin = done;
        while (token->rstrip && stop < end && tuff__is_whitespace(chars[stop].code))
            stop++;
        if (done < begin)
            TUFF_TRY(append_segment(segments, done, begin, NULL));
        if (begin < stop)
            TUFF_TRY(append_segment(segments, begin, stop, token));
        done = stop;
    }
    return done < end ? append_segment(segments, done, end, NULL) : TUFF_SUCCESS;
}
