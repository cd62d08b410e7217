/* examples.c: owns the way from a table's rows to batches of ids and labels. Tables and tokenizing are other files'. */
#include "examples.h"

#include "../alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- source ------------------------------------------------------------------------------------------------------- */

tuff_status tuff__example_source_open(const tuff_training_arguments *arguments, const char *path, uint64_t max_rows,
                                      tuff__example_source *out_source)
{
    *out_source = (tuff__example_source){.has_pairs = arguments->text_pair_column != NULL};
    tuff__table_format format;
    TUFF_TRY(tuff__table_format_parse(arguments->format ? arguments->format : "auto", &format));
    TUFF_TRY(tuff__table_open(path, format, &out_source->table));
    const char *text = arguments->text_column ? arguments->text_column : "text";
    const char *label = arguments->label_column ? arguments->label_column : "label";
    TUFF_TRY(tuff__table_column(out_source->table, text, &out_source->text));
    TUFF_TRY(tuff__table_column(out_source->table, label, &out_source->label));
    if (out_source->has_pairs)
        TUFF_TRY(tuff__table_column(out_source->table, arguments->text_pair_column, &out_source->text_pair));
    out_source->row_count = tuff__table_row_count(out_source->table);
    if (max_rows != 0 && max_rows < out_source->row_count)
        out_source->row_count = (size_t)max_rows;
    if (out_source->row_count > UINT32_MAX)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: holds %zu rows, wanted at most %u", path, out_source->row_count,
                          UINT32_MAX);
    return TUFF_SUCCESS;
}

void tuff__example_source_destroy(tuff__example_source *source)
{
    tuff__table_destroy(source->table);
    *source = (tuff__example_source){0};
}

static const char *label_of(const tuff__example_source *source, size_t row)
{
    return tuff__table_cell(source->table, row, source->label, NULL);
}

/* -- labels ------------------------------------------------------------------------------------------------------- */

static int compare_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Digits, perhaps behind a minus, without a leading zero: what two spellings of one number cannot both be. */
static bool is_whole_number(const char *text)
{
    const char *digits = text + (*text == '-');
    const size_t length = strspn(digits, "0123456789");
    return length > 0 && length < 18 && digits[length] == '\0' && (digits[0] != '0' || length == 1) &&
           strcmp(text, "-0") != 0;
}

static int compare_numbers(const void *a, const void *b)
{
    const long long x = strtoll(*(const char *const *)a, NULL, 10), y = strtoll(*(const char *const *)b, NULL, 10);
    return (x > y) - (x < y);
}

/* Sorts the labels of all rows and keeps one of each; out_names[0 .. *out_count) borrow from the table. */
static void sort_unique(const char **out_names, size_t row_count, size_t *out_count)
{
    bool numbers = true;
    for (size_t r = 0; r < row_count; r++)
        numbers = numbers && is_whole_number(out_names[r]);
    qsort((void *)out_names, row_count, sizeof *out_names, numbers ? compare_numbers : compare_bytes);
    size_t count = 0;
    for (size_t r = 0; r < row_count; r++)
        if (count == 0 || strcmp(out_names[count - 1], out_names[r]) != 0)
            out_names[count++] = out_names[r];
    *out_count = count;
}

static bool contains(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static tuff_status copy_names(const char *const *from, size_t count, tuff__label_names *out_names)
{
    out_names->names = tuff__calloc(count, sizeof *out_names->names);
    if (!out_names->names)
        return tuff__fail_memory("labels", count * sizeof *out_names->names);
    out_names->count = count;
    for (size_t i = 0; i < count; i++) {
        out_names->names[i] = tuff__strdup(from[i]);
        if (!out_names->names[i])
            return tuff__fail_memory("labels", strlen(from[i]) + 1);
    }
    return TUFF_SUCCESS;
}

tuff_status tuff__label_names_choose(const tuff__example_source *train, const char *const *config_labels,
                                     size_t config_label_count, tuff__label_names *out_names)
{
    *out_names = (tuff__label_names){0};
    const char *path = tuff__table_path(train->table);
    const size_t row_count = tuff__table_row_count(train->table); /* not cut: the labels are the file's */
    const char **names = tuff__calloc(row_count, sizeof *names);
    if (!names)
        return tuff__fail_memory("labels", row_count * sizeof *names);
    tuff_status status = TUFF_SUCCESS;
    for (size_t r = 0; r < row_count && status == TUFF_SUCCESS; r++) {
        names[r] = label_of(train, r);
        if (names[r][0] == '\0')
            status = tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: %s %zu: the label is empty", path,
                                tuff__table_line_word(train->table), tuff__table_line(train->table, r));
    }
    size_t count = 0;
    if (status == TUFF_SUCCESS)
        sort_unique(names, row_count, &count);
    out_names->from_config = status == TUFF_SUCCESS;
    for (size_t i = 0; i < count && out_names->from_config; i++)
        out_names->from_config = contains(config_labels, config_label_count, names[i]);
    if (status == TUFF_SUCCESS && (out_names->from_config ? config_label_count : count) < 2)
        status = tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: every row has the label '%s', wanted at least 2 labels", path,
                            names[0]);
    if (status == TUFF_SUCCESS)
        status = out_names->from_config ? copy_names(config_labels, config_label_count, out_names)
                                        : copy_names(names, count, out_names);
    tuff__free((void *)names);
    return status;
}

void tuff__label_names_destroy(tuff__label_names *names)
{
    for (size_t i = 0; names->names && i < names->count; i++)
        tuff__free(names->names[i]);
    tuff__free(names->names);
    *names = (tuff__label_names){0};
}

/* -- examples ----------------------------------------------------------------------------------------------------- */

static tuff_status find_label(const tuff__example_source *source, const tuff__label_names *names, size_t row,
                              int32_t *out_label)
{
    const char *label = label_of(source, row);
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->names[i], label) == 0) {
            *out_label = (int32_t)i;
            return TUFF_SUCCESS;
        }
    }
    return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: %s %zu: the label '%s' is not among the %zu labels, which are %s",
                      tuff__table_path(source->table), tuff__table_line_word(source->table),
                      tuff__table_line(source->table, row), label, names->count,
                      names->from_config ? "those of config.json's id2label" : "those of the training file");
}

static tuff_status append_encoding(tuff__examples *examples, size_t row, const tuff_encoding *encoding)
{
    const size_t count = examples->id_count + encoding->count;
    TUFF_TRY(tuff__grow((void **)&examples->input_ids, &examples->id_capacity, count, sizeof *examples->input_ids,
                        "token ids"));
    TUFF_TRY(tuff__grow((void **)&examples->token_type_ids, &examples->type_capacity, count,
                        sizeof *examples->token_type_ids, "token ids"));
    const size_t size = encoding->count * sizeof *examples->input_ids;
    memcpy(examples->input_ids + examples->id_count, encoding->input_ids, size);
    memcpy(examples->token_type_ids + examples->id_count, encoding->token_type_ids, size);
    examples->id_count = count;
    examples->starts[row + 1] = count;
    return TUFF_SUCCESS;
}

static void row_texts(const tuff__example_source *source, size_t row, tuff_text *text, tuff_text *pair)
{
    text->data = tuff__table_cell(source->table, row, source->text, &text->size);
    if (source->has_pairs)
        pair->data = tuff__table_cell(source->table, row, source->text_pair, &pair->size);
}

static tuff_status fail_row(const tuff__example_source *source, size_t row, tuff_status status, const char *reason)
{
    return tuff__fail(status, "%s: %s %zu: %s", tuff__table_path(source->table), tuff__table_line_word(source->table),
                      tuff__table_line(source->table, row), reason);
}

/* Names the row that the tokenizer refuses, once a batch of rows has failed: by trying each alone. */
static tuff_status fail_rows(const tuff__example_source *source, const tuff_tokenizer *tokenizer,
                             const tuff_encode_options *options, size_t first, size_t count, tuff_status status)
{
    for (size_t row = first; row < first + count; row++) {
        tuff_text text, pair;
        tuff_encoding encoding;
        row_texts(source, row, &text, &pair);
        const tuff_status alone =
            tuff_tokenizer_encode_batch(tokenizer, &text, source->has_pairs ? &pair : NULL, 1, options, &encoding);
        tuff_encoding_destroy(&encoding);
        if (alone != TUFF_SUCCESS)
            return fail_row(source, row, alone, tuff_last_error());
    }
    return status;
}

/* Encodes the rows [first, first + count) as one batch, which the tokenizer may spread over threads. */
static tuff_status encode_rows(const tuff__example_source *source, const tuff_tokenizer *tokenizer,
                               const tuff_encode_options *options, size_t first, size_t count, tuff__examples *examples)
{
    enum { MOST = 256 };
    tuff_text texts[MOST], pairs[MOST];
    tuff_encoding encodings[MOST];
    for (size_t i = 0; i < count; i++)
        row_texts(source, first + i, &texts[i], &pairs[i]);
    tuff_status status =
        tuff_tokenizer_encode_batch(tokenizer, texts, source->has_pairs ? pairs : NULL, count, options, encodings);
    if (status != TUFF_SUCCESS)
        return fail_rows(source, tokenizer, options, first, count, status);
    for (size_t i = 0; i < count; i++) {
        if (status == TUFF_SUCCESS && encodings[i].count == 0)
            status = fail_row(source, first + i, TUFF_ERROR_INVALID_FILE, "the text has no tokens");
        if (status == TUFF_SUCCESS)
            status = append_encoding(examples, first + i, &encodings[i]);
        tuff_encoding_destroy(&encodings[i]);
    }
    return status;
}

/* A tokenizer gives the second of two texts a type of its own, which not every model knows. */
static tuff_status check_token_types(const tuff__example_source *source, const tuff__examples *examples,
                                     int64_t type_vocab_size)
{
    for (size_t row = 0, i = 0; row < examples->count; row++) {
        for (; i < examples->starts[row + 1]; i++) {
            char reason[160];
            if (examples->token_type_ids[i] < type_vocab_size)
                continue;
            snprintf(reason, sizeof reason, "the %s has the token type id %d, the model's type_vocab_size is %lld",
                     source->has_pairs ? "pair of texts" : "text", (int)examples->token_type_ids[i],
                     (long long)type_vocab_size);
            return fail_row(source, row, TUFF_ERROR_INVALID_FILE, reason);
        }
    }
    return TUFF_SUCCESS;
}

static tuff_status fill_examples(const tuff__example_source *source, const tuff_tokenizer *tokenizer,
                                 const tuff__label_names *names, uint32_t max_length, tuff__examples *examples)
{
    enum { AT_ONCE = 256 };
    const size_t count = source->row_count;
    examples->starts = tuff__calloc(count + 1, sizeof *examples->starts);
    examples->labels = tuff__calloc(count, sizeof *examples->labels);
    if (!examples->starts || !examples->labels)
        return tuff__fail_memory("examples", count * (sizeof *examples->starts + sizeof *examples->labels));
    for (size_t r = 0; r < count; r++)
        TUFF_TRY(find_label(source, names, r, &examples->labels[r]));
    const tuff_encode_options options = {.truncation = TUFF_TRUNCATION_LONGEST_FIRST, .max_length = max_length};
    for (size_t r = 0; r < count; r += AT_ONCE)
        TUFF_TRY(encode_rows(source, tokenizer, &options, r, count - r < AT_ONCE ? count - r : AT_ONCE, examples));
    examples->count = count;
    return TUFF_SUCCESS;
}

tuff_status tuff__examples_create(const tuff__example_source *source, const tuff_tokenizer *tokenizer,
                                  const tuff__label_names *names, uint32_t max_length, int64_t type_vocab_size,
                                  tuff__examples *out_examples)
{
    *out_examples = (tuff__examples){0};
    tuff_status status = fill_examples(source, tokenizer, names, max_length, out_examples);
    if (status == TUFF_SUCCESS)
        status = check_token_types(source, out_examples, type_vocab_size);
    if (status != TUFF_SUCCESS)
        tuff__examples_destroy(out_examples);
    return status;
}

void tuff__examples_destroy(tuff__examples *examples)
{
    tuff__free(examples->starts);
    tuff__free(examples->input_ids);
    tuff__free(examples->token_type_ids);
    tuff__free(examples->labels);
    *examples = (tuff__examples){0};
}

/* -- batches ------------------------------------------------------------------------------------------------------ */

tuff_status tuff__collate(const tuff__examples *examples, const uint32_t *order, size_t first, size_t count,
                          tuff__collated *collated)
{
    size_t longest = 1;
    for (size_t i = 0; i < count; i++) {
        const size_t row = order ? order[first + i] : first + i,
                     length = examples->starts[row + 1] - examples->starts[row];
        longest = length > longest ? length : longest;
    }
    const size_t cells = count * longest;
    TUFF_TRY(tuff__grow((void **)&collated->cells, &collated->capacity, 2 * cells + 2 * count, sizeof *collated->cells,
                        "batch"));
    int32_t *ids = collated->cells, *types = ids + cells, *lengths = types + cells, *labels = lengths + count;
    memset(ids, 0, 2 * cells * sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        const size_t row = order ? order[first + i] : first + i, start = examples->starts[row];
        lengths[i] = (int32_t)(examples->starts[row + 1] - start);
        labels[i] = examples->labels[row];
        memcpy(ids + i * longest, examples->input_ids + start, (size_t)lengths[i] * sizeof *ids);
        memcpy(types + i * longest, examples->token_type_ids + start, (size_t)lengths[i] * sizeof *types);
    }
    collated->batch = (tuff_batch){.count = count,
                                   .max_length = longest,
                                   .input_ids = ids,
                                   .token_type_ids = types,
                                   .lengths = lengths,
                                   .labels = labels};
    return TUFF_SUCCESS;
}

void tuff__collated_destroy(tuff__collated *collated)
{
    tuff__free(collated->cells);
    *collated = (tuff__collated){0};
}
