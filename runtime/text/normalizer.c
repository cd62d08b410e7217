/*
 * normalizer.c: owns the normalizers. Each keeps, for every character it leaves, the range of the original text that
 * the character stands for, by the reference library's rule: a character that takes another's place takes its range, a
 * new one shares the range before it.
 */
#include "normalizer.h"

#include "unicode.h"

#include <stdlib.h>
#include <string.h>

void tuff__aligned_text_destroy(tuff__aligned_text *text)
{
    tuff__free(text->chars);
    tuff__free(text->spare);
    tuff__free(text->changes);
    *text = (tuff__aligned_text){0};
}

static tuff_status reserve_spare(tuff__aligned_text *text, size_t count)
{
    return tuff__grow((void **)&text->spare, &text->spare_capacity, count, sizeof *text->spare, "text");
}

static void take_spare(tuff__aligned_text *text, size_t count)
{
    tuff__text_char *chars = text->chars;
    const size_t capacity = text->capacity;
    text->chars = text->spare;
    text->capacity = text->spare_capacity;
    text->spare = chars;
    text->spare_capacity = capacity;
    text->count = count;
}

/* -- normal forms ------------------------------------------------------------------------------------------------- */

static int compare_changes(const void *left, const void *right)
{
    const tuff__text_change *a = left, *b = right;
    if (a->combining_class != b->combining_class)
        return a->combining_class < b->combining_class ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Orders the marks between starters by class, those of one class as they stood. */
static void sort_marks(tuff__text_change *changes, size_t count)
{
    bool sorted = true;
    for (size_t i = 0; i < count; i++) {
        changes[i].order = (uint32_t)i;
        sorted = sorted && (i == 0 || changes[i - 1].combining_class <= changes[i].combining_class);
    }
    if (!sorted)
        qsort(changes, count, sizeof *changes, compare_changes);
}

/* Fills text->changes with the decomposed, ordered text. */
static tuff_status decompose(tuff__aligned_text *text, bool compatible, size_t *out_count)
{
    size_t count = 0, marks = 0; /* where the run of marks at the end begins */
    for (size_t i = 0; i < text->count; i++) {
        uint32_t codes[TUFF__MAX_DECOMPOSITION];
        const size_t length = tuff__decompose(text->chars[i].code, compatible, codes);
        TUFF_TRY(
            tuff__grow((void **)&text->changes, &text->change_capacity, count + length, sizeof *text->changes, "text"));
        for (size_t k = 0; k < length; k++) {
            const uint8_t combining_class = tuff__combining_class(codes[k]);
            if (combining_class == 0) {
                sort_marks(text->changes + marks, count - marks);
                marks = count + 1;
            }
            text->changes[count++] =
                (tuff__text_change){.code = codes[k], .change = k == 0 ? 0 : 1, .combining_class = combining_class};
        }
    }
    if (marks < count)
        sort_marks(text->changes + marks, count - marks);
    *out_count = count;
    return TUFF_SUCCESS;
}

/* Composes in place (Unicode's canonical composition); the new count. */
static size_t compose(tuff__text_change *changes, size_t count)
{
    size_t kept = 0, starter = SIZE_MAX;
    int last_class = -1; /* of the characters kept since the starter; -1: none is */
    for (size_t i = 0; i < count; i++) {
        const tuff__text_change next = changes[i];
        uint32_t code;
        const bool reaches = starter != SIZE_MAX && last_class < (int)next.combining_class;
        if (reaches && tuff__compose(changes[starter].code, next.code, &code)) {
            changes[starter].code = code;
            changes[starter].change += next.change - 1;
            continue;
        }
        if (next.combining_class == 0) {
            starter = kept;
            last_class = -1;
        } else {
            last_class = starter == SIZE_MAX ? -1 : (int)next.combining_class;
        }
        changes[kept++] = next;
    }
    return kept;
}

/* Gives each of text->changes its place in the original. */
static tuff_status apply_changes(tuff__aligned_text *text, size_t count)
{
    TUFF_TRY(reserve_spare(text, count));
    size_t at = 0; /* the next character to be replaced */
    for (size_t i = 0; i < count; i++) {
        const tuff__text_change *change = &text->changes[i];
        tuff__text_char *out = &text->spare[i];
        out->code = change->code;
        if (change->change > 0 ? at == 0 : at >= text->count) {
            out->begin = out->end = text->origin;
            continue;
        }
        const tuff__text_char *from = &text->chars[change->change > 0 ? at - 1 : at];
        out->begin = from->begin;
        out->end = from->end;
        if (change->change <= 0)
            at += 1 + (size_t)-change->change;
    }
    take_spare(text, count);
    return TUFF_SUCCESS;
}

/* Characters below are in the normal form already, whatever follows them. */
static uint32_t first_changing(bool compatible, bool composed)
{
    if (compatible)
        return 0xA0;
    return composed ? 0x300 : 0xC0;
}

static tuff_status to_normal_form(tuff__aligned_text *text, bool compatible, bool composed)
{
    const uint32_t first = first_changing(compatible, composed);
    size_t plain = 0;
    while (plain < text->count && text->chars[plain].code < first)
        plain++;
    if (plain == text->count)
        return TUFF_SUCCESS;
    size_t count;
    TUFF_TRY(decompose(text, compatible, &count));
    if (composed)
        count = compose(text->changes, count);
    return apply_changes(text, count);
}

/* -- the other steps ---------------------------------------------------------------------------------------------- */

static void remove_all(tuff__aligned_text *text, bool (*is_removed)(uint32_t code))
{
    size_t kept = 0;
    for (size_t i = 0; i < text->count; i++)
        if (!is_removed(text->chars[i].code))
            text->chars[kept++] = text->chars[i];
    text->count = kept;
}

static bool is_unclean(uint32_t code)
{
    return code == 0 || code == 0xFFFD || tuff__is_other(code);
}

static void clean(tuff__aligned_text *text)
{
    remove_all(text, is_unclean);
    for (size_t i = 0; i < text->count; i++)
        if (tuff__is_whitespace(text->chars[i].code))
            text->chars[i].code = ' ';
}

/* A space on each side of every ideograph; both share its range. */
static tuff_status separate_chinese(tuff__aligned_text *text)
{
    size_t found = 0;
    for (size_t i = 0; i < text->count; i++)
        found += tuff__is_chinese(text->chars[i].code);
    if (found == 0)
        return TUFF_SUCCESS;
    TUFF_TRY(reserve_spare(text, text->count + 2 * found));
    size_t count = 0;
    for (size_t i = 0; i < text->count; i++) {
        const tuff__text_char at = text->chars[i];
        const tuff__text_char space = {.code = ' ', .begin = at.begin, .end = at.end};
        const bool chinese = tuff__is_chinese(at.code);
        if (chinese)
            text->spare[count++] = space;
        text->spare[count++] = at;
        if (chinese)
            text->spare[count++] = space;
    }
    take_spare(text, count);
    return TUFF_SUCCESS;
}

static tuff_status lowercase(tuff__aligned_text *text)
{
    TUFF_TRY(reserve_spare(text, text->count * TUFF__MAX_LOWERCASE));
    size_t count = 0;
    for (size_t i = 0; i < text->count; i++) {
        uint32_t codes[TUFF__MAX_LOWERCASE];
        const size_t length = tuff__lowercase(text->chars[i].code, codes);
        for (size_t k = 0; k < length; k++) {
            text->spare[count] = text->chars[i];
            text->spare[count++].code = codes[k];
        }
    }
    take_spare(text, count);
    return TUFF_SUCCESS;
}

static void strip(tuff__aligned_text *text, bool left, bool right)
{
    size_t begin = 0, end = text->count;
    while (left && begin < end && tuff__is_whitespace(text->chars[begin].code))
        begin++;
    while (right && begin < end && tuff__is_whitespace(text->chars[end - 1].code))
        end--;
    if (begin > 0)
        memmove(text->chars, text->chars + begin, (end - begin) * sizeof *text->chars);
    text->count = end - begin;
}

static tuff_status normalize_bert(const tuff__normalizer *step, tuff__aligned_text *text)
{
    if (step->clean_text)
        clean(text);
    if (step->handle_chinese_chars)
        TUFF_TRY(separate_chinese(text));
    if (step->strip_accents) {
        TUFF_TRY(to_normal_form(text, false, false));
        remove_all(text, tuff__is_nonspacing_mark);
    }
    return step->lowercase ? lowercase(text) : TUFF_SUCCESS;
}

static tuff_status normalize_step(const tuff__normalizer *step, tuff__aligned_text *text)
{
    switch (step->kind) {
    case TUFF__NORMALIZER_BERT:
        return normalize_bert(step, text);
    case TUFF__NORMALIZER_LOWERCASE:
        return lowercase(text);
    case TUFF__NORMALIZER_STRIP_ACCENTS:
        remove_all(text, tuff__is_mark);
        return TUFF_SUCCESS;
    case TUFF__NORMALIZER_STRIP:
        strip(text, step->strip_left, step->strip_right);
        return TUFF_SUCCESS;
    case TUFF__NORMALIZER_NFD:
        return to_normal_form(text, false, false);
    case TUFF__NORMALIZER_NFC:
        return to_normal_form(text, false, true);
    case TUFF__NORMALIZER_NFKD:
        return to_normal_form(text, true, false);
    case TUFF__NORMALIZER_NFKC:
        return to_normal_form(text, true, true);
    }
    return TUFF_SUCCESS;
}

tuff_status tuff__normalize(const tuff__normalizer *steps, size_t count, tuff__aligned_text *text)
{
    for (size_t i = 0; i < count; i++)
        TUFF_TRY(normalize_step(&steps[i], text));
    return TUFF_SUCCESS;
}
