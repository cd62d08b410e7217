/* pre_tokenizer.c: owns the rules by which text falls into words. */
#include "pre_tokenizer.h"

#include "unicode.h"

typedef enum char_class {
    CLASS_SPACE,    /* removed */
    CLASS_ISOLATED, /* a word by itself */
    CLASS_WORD,     /* joins its neighbours of the same class */
    CLASS_SYMBOL,
} char_class;

static char_class class_of(tuff__pre_tokenizer step, uint32_t code)
{
    switch (step) {
    case TUFF__PRE_TOKENIZER_BERT:
        if (tuff__is_whitespace(code))
            return CLASS_SPACE;
        return tuff__is_punctuation(code) ? CLASS_ISOLATED : CLASS_WORD;
    case TUFF__PRE_TOKENIZER_WHITESPACE:
        if (tuff__is_whitespace(code))
            return CLASS_SPACE;
        return tuff__is_word(code) ? CLASS_WORD : CLASS_SYMBOL;
    case TUFF__PRE_TOKENIZER_WHITESPACE_SPLIT:
        return tuff__is_whitespace(code) ? CLASS_SPACE : CLASS_WORD;
    case TUFF__PRE_TOKENIZER_PUNCTUATION:
        return tuff__is_punctuation(code) ? CLASS_ISOLATED : CLASS_WORD;
    }
    return CLASS_WORD;
}

tuff_status tuff__splits_append(tuff__splits *splits, tuff__split split)
{
    TUFF_TRY(tuff__grow((void **)&splits->items, &splits->capacity, splits->count, sizeof *splits->items, "words"));
    splits->items[splits->count++] = split;
    return TUFF_SUCCESS;
}

/* Applies the steps from `step` on: each cuts what the one before it left. */
static tuff_status split_from(const tuff__pre_tokenizer *steps, size_t step_count, const tuff__text_char *chars,
                              tuff__split word, tuff__splits *splits)
{
    if (step_count == 0)
        return tuff__splits_append(splits, word);
    const uint32_t end = word.first + word.count;
    for (uint32_t i = word.first; i < end;) {
        const char_class here = class_of(steps[0], chars[i].code);
        uint32_t next = i + 1;
        while (here != CLASS_ISOLATED && next < end && class_of(steps[0], chars[next].code) == here)
            next++;
        const tuff__split part = {.first = i, .count = next - i, .id = -1};
        if (here != CLASS_SPACE)
            TUFF_TRY(split_from(steps + 1, step_count - 1, chars, part, splits));
        i = next;
    }
    return TUFF_SUCCESS;
}

tuff_status tuff__pre_tokenize(const tuff__pre_tokenizer *steps, size_t step_count, const tuff__text_char *chars,
                               uint32_t first, uint32_t count, tuff__splits *splits)
{
    if (count == 0)
        return TUFF_SUCCESS;
    return split_from(steps, step_count, chars, (tuff__split){.first = first, .count = count, .id = -1}, splits);
}
