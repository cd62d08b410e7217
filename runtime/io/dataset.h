/*
 * dataset.h: a table of texts, from CSV, TSV, JSON Lines, a JSON array, or plain lines.
 *
 * All bytes must be UTF-8 without NUL; a byte order mark in front is skipped. Every failure names the file and the
 * line.
 *
 * CSV and TSV are read as Python's csv module reads them with its dialects excel and excel-tab, that is RFC 4180 and
 * lenient: a quote that begins a field quotes it, in TSV too; in such a field "" is a quote, and delimiters and line
 * ends are text; what follows the closing quote is appended as it stands; a quote inside an unquoted field is text.
 * Lines end at \n, \r\n or \r. Empty lines are skipped (write "" for an empty text in a table of one column). Stricter
 * than Python: a quote that is never closed is refused, and so is a row with more or fewer fields than the header. Many
 * TSV files of the field were written without quoting, and a text that begins with a quote then swallows lines: a TSV
 * field over several lines is logged as a warning, and the format "tsv-raw" takes quotes as text.
 *
 * JSON Lines and JSON arrays hold objects; a column is a key. Strings are taken as they are, numbers and booleans as
 * the file spells them (so 1 and 1.0 are two labels); null, arrays, objects and missing keys matter only in a column
 * that is asked for.
 *
 * Plain lines end at \n alone; each is a row of the one column "text"; an empty line is an empty text, and the final \n
 * begins no line.
 */
#ifndef TUFF_RUNTIME_IO_DATASET_H
#define TUFF_RUNTIME_IO_DATASET_H

#include "../status.h"

typedef enum tuff__table_format {
    TUFF__TABLE_AUTO = 0, /* by the file name's extension: .csv .tsv .jsonl .ndjson .json; else plain lines */
    TUFF__TABLE_CSV,
    TUFF__TABLE_TSV,
    TUFF__TABLE_JSON_LINES,
    TUFF__TABLE_JSON,
    TUFF__TABLE_LINES,
    TUFF__TABLE_TSV_RAW,
} tuff__table_format;

/* The format of "auto", "csv", "tsv", "tsv-raw", "json", "jsonl" or "text". TUFF_ERROR_INVALID_ARGUMENT names them. */
tuff_status tuff__table_format_parse(const char *name, tuff__table_format *out_format);

typedef struct tuff__table tuff__table;

/* Reads all of `path`; "-" is standard input. Errors: TUFF_ERROR_IO; TUFF_ERROR_INVALID_FILE for what the format does
 * not allow, and for a file that is empty or has no row beside its header. *out_table is NULL on failure. */
tuff_status tuff__table_open(const char *path, tuff__table_format format, tuff__table **out_table);
/* The same for bytes in memory, borrowed for the call; `name` stands for the path. */
tuff_status tuff__table_parse(const char *name, const char *text, size_t size, tuff__table_format format,
                              tuff__table **out_table);
void tuff__table_destroy(tuff__table *table); /* accepts NULL */

size_t tuff__table_row_count(const tuff__table *table);
size_t tuff__table_column_count(const tuff__table *table);
const char *tuff__table_column_name(const tuff__table *table, size_t column);
const char *tuff__table_path(const tuff__table *table); /* "standard input" for "-" */

/* Finds a column by name, and makes sure that every row has text in it. TUFF_ERROR_INVALID_FILE names the columns there
 * are, or the first line without text; also when two columns have the name. */
tuff_status tuff__table_column(const tuff__table *table, const char *name, size_t *out_column);

/* The text of a cell, NUL-terminated, borrowed from the table; `out_length` may be NULL. NULL only in a JSON column
 * that tuff__table_column did not vouch for. */
const char *tuff__table_cell(const tuff__table *table, size_t row, size_t column, size_t *out_length);

/* Where a row begins, for messages: a line counted from 1; for a JSON array, the item counted from 1. */
size_t tuff__table_line(const tuff__table *table, size_t row);
const char *tuff__table_line_word(const tuff__table *table); /* "line", or "item" */

#endif
