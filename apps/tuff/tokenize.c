/* tokenize.c: `tuff tokenize`: pieces, ids and offsets of texts, as a table or as the field's JSON. */
#include "args.h"

#include "io/dataset.h"
#include "io/json.h"
#include "text/unicode.h"
#include "tuff/model.h"
#include "tuff/tokenizer.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

typedef struct tokenize_options {
    const char *file, *format, *text_column, *text_pair_column, *text_pair;
    int64_t max_length;
    bool no_special_tokens, json;
    bool format_given, text_column_given; /* the others differ from their defaults */
} tokenize_options;

/* -- printing ----------------------------------------------------------------------------------------------------- */

/* Columns of a terminal: Korean, Chinese and Japanese characters take two, combining marks none. */
static size_t display_width(const char *text)
{
    size_t width = 0;
    for (size_t at = 0; text[at] != '\0';) {
        uint32_t code;
        at += tuff__utf8_decode(text + at, &code);
        const int columns = utf8proc_charwidth((utf8proc_int32_t)code);
        width += columns > 0 ? (size_t)columns : 0;
    }
    return width;
}

static const char *piece_of(const tuff_tokenizer *tokenizer, int32_t id)
{
    const char *piece = tuff_tokenizer_id_to_token(tokenizer, id);
    return piece ? piece : "?";
}

/* Control characters, line ends too, as spaces: one text, one line. */
static void print_text(const tuff_text *text)
{
    for (size_t i = 0; i < text->size; i++)
        putchar((unsigned char)text->data[i] < 0x20 || text->data[i] == 0x7F ? ' ' : text->data[i]);
}

static void print_table(const tuff_tokenizer *tokenizer, const tuff_text *text, const tuff_text *pair,
                        const tuff_encoding *encoding)
{
    size_t width = strlen("piece");
    for (size_t i = 0; i < encoding->count; i++) {
        const size_t columns = display_width(piece_of(tokenizer, encoding->input_ids[i]));
        width = columns > width ? columns : width;
    }
    print_text(text);
    if (pair) {
        fputs(" | ", stdout);
        print_text(pair);
    }
    printf("\n%5s  %-*s %8s %5s  %s\n", "", (int)width, "piece", "id", "type", "offsets");
    for (size_t i = 0; i < encoding->count; i++) {
        const char *piece = piece_of(tokenizer, encoding->input_ids[i]);
        printf("%5zu  %s%*s %8ld %5ld  ", i, piece, (int)(width - display_width(piece)), "",
               (long)encoding->input_ids[i], (long)encoding->token_type_ids[i]);
        if (encoding->special_tokens_mask[i])
            puts("-");
        else
            printf("%lu-%lu\n", (unsigned long)encoding->offset_mapping[2 * i],
                   (unsigned long)encoding->offset_mapping[2 * i + 1]);
    }
}

static void write_ids(tuff__json_writer *writer, const char *key, const int32_t *ids, size_t count)
{
    tuff__json_key(writer, key);
    tuff__json_begin_array(writer);
    for (size_t i = 0; i < count; i++)
        tuff__json_write_int(writer, ids[i]);
    tuff__json_end_array(writer);
}

static tuff_status print_json(const tuff_encoding *encoding)
{
    tuff__json_writer writer = {0};
    tuff__json_begin_object(&writer);
    write_ids(&writer, "input_ids", encoding->input_ids, encoding->count);
    write_ids(&writer, "token_type_ids", encoding->token_type_ids, encoding->count);
    write_ids(&writer, "attention_mask", encoding->attention_mask, encoding->count);
    tuff__json_key(&writer, "offset_mapping");
    tuff__json_begin_array(&writer);
    for (size_t i = 0; i < encoding->count; i++) {
        tuff__json_begin_array(&writer);
        tuff__json_write_int(&writer, encoding->offset_mapping[2 * i]);
        tuff__json_write_int(&writer, encoding->offset_mapping[2 * i + 1]);
        tuff__json_end_array(&writer);
    }
    tuff__json_end_array(&writer);
    tuff__json_end_object(&writer);
    return tuff__json_finish_line(&writer, stdout, "standard output");
}

static tuff_status tokenize_one(const tuff_tokenizer *tokenizer, const tokenize_options *options, tuff_text text,
                                const tuff_text *pair)
{
    const tuff_encode_options encode = {
        .truncation = options->max_length > 0 ? TUFF_TRUNCATION_LONGEST_FIRST : TUFF_TRUNCATION_DO_NOT,
        .max_length = (uint32_t)options->max_length,
        .no_special_tokens = options->no_special_tokens,
    };
    tuff_encoding encoding;
    tuff_status status = tuff_tokenizer_encode_batch(tokenizer, &text, pair, 1, &encode, &encoding);
    if (status != TUFF_SUCCESS)
        return status;
    if (options->json)
        status = print_json(&encoding);
    else
        print_table(tokenizer, &text, pair, &encoding);
    tuff_encoding_destroy(&encoding);
    return status == TUFF_SUCCESS ? tuff__check_output() : status;
}

/* -- inputs ------------------------------------------------------------------------------------------------------- */

static tuff_status tokenize_table(const tuff_tokenizer *tokenizer, const tokenize_options *options,
                                  const tuff__table *table)
{
    const bool from_column = options->text_pair_column != NULL;
    size_t column, pair_column = 0;
    TUFF_TRY(tuff__table_column(table, options->text_column, &column));
    if (from_column)
        TUFF_TRY(tuff__table_column(table, options->text_pair_column, &pair_column));
    tuff_text pair = {.data = options->text_pair, .size = options->text_pair ? strlen(options->text_pair) : 0};
    for (size_t row = 0; row < tuff__table_row_count(table); row++) {
        tuff_text text;
        text.data = tuff__table_cell(table, row, column, &text.size);
        if (from_column)
            pair.data = tuff__table_cell(table, row, pair_column, &pair.size);
        const tuff_status status = tokenize_one(tokenizer, options, text, pair.data ? &pair : NULL);
        if (status != TUFF_SUCCESS)
            return tuff__fail(status, "%s: %s %zu: %s", tuff__table_path(table), tuff__table_line_word(table),
                              tuff__table_line(table, row), tuff_last_error());
    }
    return TUFF_SUCCESS;
}

static tuff_status tokenize_file(const tuff_tokenizer *tokenizer, const tokenize_options *options)
{
    tuff__table_format format;
    tuff__table *table = NULL;
    TUFF_TRY(tuff__table_format_parse(options->format, &format));
    tuff_status status = tuff__table_open(options->file, format, &table);
    if (status == TUFF_SUCCESS)
        status = tokenize_table(tokenizer, options, table);
    tuff__table_destroy(table);
    return status;
}

static tuff_status tokenize_arguments(const tuff_tokenizer *tokenizer, const tokenize_options *options, char **texts,
                                      size_t count)
{
    const tuff_text pair = {.data = options->text_pair, .size = options->text_pair ? strlen(options->text_pair) : 0};
    for (size_t i = 0; i < count; i++) {
        const tuff_text text = {.data = texts[i], .size = strlen(texts[i])};
        const tuff_status status = tokenize_one(tokenizer, options, text, pair.data ? &pair : NULL);
        if (status != TUFF_SUCCESS)
            return count == 1 ? status : tuff__fail(status, "text %zu: %s", i + 1, tuff_last_error());
    }
    return TUFF_SUCCESS;
}

static tuff_status tokenize(const tokenize_options *options, const tuff__args *args)
{
    tuff_tokenizer *tokenizer = NULL;
    char *dir = NULL;
    tuff_status status = tuff_model_find(args->positionals[0], &dir);
    if (status == TUFF_SUCCESS)
        status = tuff_tokenizer_load(dir, &tokenizer);
    if (status == TUFF_SUCCESS)
        status = options->file
                     ? tokenize_file(tokenizer, options)
                     : tokenize_arguments(tokenizer, options, args->positionals + 1, args->positional_count - 1);
    tuff_tokenizer_destroy(tokenizer);
    tuff_free(dir);
    return status;
}

static int complain(const char *sentence)
{
    fprintf(stderr, "tuff: tokenize: %s\n", sentence);
    return 2;
}

/* Options that would change nothing are refused: their writer believes that they do. */
static int check_options(const tokenize_options *o, size_t text_count)
{
    if ((text_count > 0) == (o->file != NULL))
        return complain(o->file ? "both are given, wanted texts or --file"
                                : "no text is given, wanted texts or --file");
    if (!o->file && (o->format_given || o->text_column_given || o->text_pair_column))
        return complain("--format, --text-column and --text-pair-column say how --file is read, and there is none");
    if (o->text_pair && o->text_pair_column)
        return complain("--text-pair and --text-pair-column are both given, wanted one of them");
    return -1;
}

int tuff__cmd_tokenize(int argc, char **argv)
{
    tokenize_options o = {.format = "auto", .text_column = "text"};
    const tuff__arg options[] = {
        {.name = "file",
         .value = &o.file,
         .metavar = "F",
         .help = "read the texts from this file, or from standard input for \"-\": one text a line, or a table"},
        {.name = "format",
         .kind = TUFF__ARG_CHOICE,
         .value = &o.format,
         .choices = "auto|text|csv|tsv|tsv-raw|jsonl|json",
         .given = &o.format_given,
         .help = "how the file is written, tsv-raw for quotes that are text (default: by its name's extension, else "
                 "one text a line)"},
        {.name = "text-column",
         .value = &o.text_column,
         .given = &o.text_column_given,
         .metavar = "NAME",
         .help = "the table's column with the texts (default: text)"},
        {.name = "text-pair-column",
         .value = &o.text_pair_column,
         .metavar = "NAME",
         .help = "the column with the second text of each pair (default: single texts)"},
        {.name = "text-pair",
         .value = &o.text_pair,
         .metavar = "TEXT",
         .help = "the second text of every pair (default: single texts)"},
        {.name = "max-length",
         .kind = TUFF__ARG_INT,
         .value = &o.max_length,
         .min = 1,
         .max = 1 << 20,
         .help = "cut to this many tokens, of a pair the longer text first (default: nothing is cut)"},
        {.name = "no-special-tokens",
         .kind = TUFF__ARG_FLAG,
         .value = &o.no_special_tokens,
         .help = "leave [CLS] and [SEP] out"},
        {.name = "json",
         .kind = TUFF__ARG_FLAG,
         .value = &o.json,
         .help = "print one line of JSON a text: input_ids, token_type_ids, attention_mask, offset_mapping"},
        {0},
    };
    tuff__args args = {
        .command = "tokenize",
        .usage = "MODEL [TEXT...]",
        .summary = "Prints the pieces, ids and offsets (in characters) that the tokenizer of a model folder makes of "
                   "texts. The folder needs no more than tokenizer.json, or vocab.txt.",
        .epilogue = "  tuff tokenize my-model \"a text\" \"another\"\n"
                    "  tuff tokenize my-model --file lines.txt --json",
        .options = options,
        .min_positionals = 1,
        .max_positionals = SIZE_MAX,
    };
    int code = tuff__args_parse(&args, argc, argv);
    code = code >= 0 ? code : check_options(&o, args.positional_count - 1);
    if (code >= 0)
        return code;
    return tokenize(&o, &args) == TUFF_SUCCESS ? 0 : tuff__report_failure();
}
