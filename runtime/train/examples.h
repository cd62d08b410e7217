/* examples.h: a table of labelled texts as token ids, and batches of them. */
#ifndef TUFF_RUNTIME_EXAMPLES_H
#define TUFF_RUNTIME_EXAMPLES_H

#include "../io/dataset.h"

#include "tuff/tokenizer.h"
#include "tuff/train.h"

/* The columns of one file that training looks at. */
typedef struct tuff__example_source {
    tuff__table *table;
    size_t text, text_pair, label; /* columns */
    bool has_pairs;
    size_t row_count; /* the first rows, as many as wanted */
} tuff__example_source;

/* Opens `path` and finds the columns; `max_rows` 0 takes all. Destroy in every case. */
tuff_status tuff__example_source_open(const tuff_training_arguments *arguments, const char *path, uint64_t max_rows,
                                      tuff__example_source *out_source);
void tuff__example_source_destroy(tuff__example_source *source); /* accepts a zeroed one */

typedef struct tuff__label_names {
    char **names;
    size_t count;
    bool from_config; /* the model's own id2label */
} tuff__label_names;

/* The config's labels where each label of train's file is among them, also in rows left out; else the file's, sorted:
 * as numbers where all are whole numbers, else by bytes. Errors: INVALID_FILE for fewer than two labels (of the
 * file's rows one will do where the config has others), or for an empty one, by line. */
tuff_status tuff__label_names_choose(const tuff__example_source *train, const char *const *config_labels,
                                     size_t config_label_count, tuff__label_names *out_names);
void tuff__label_names_destroy(tuff__label_names *names); /* accepts a zeroed one */

/* Rows as ids, one after the other. */
typedef struct tuff__examples {
    size_t count;
    size_t *starts; /* [count + 1]: row r has ids [starts[r], starts[r + 1]) */
    int32_t *input_ids, *token_type_ids;
    size_t id_count, id_capacity, type_capacity;
    int32_t *labels; /* [count] */
} tuff__examples;

/* Tokenizes every row, cut to max_length tokens. Errors name file and line: a label that `names` lacks, a text that the
 * tokenizer refuses, a token type that the model has no embedding for. */
tuff_status tuff__examples_create(const tuff__example_source *source, const tuff_tokenizer *tokenizer,
                                  const tuff__label_names *names, uint32_t max_length, int64_t type_vocab_size,
                                  tuff__examples *out_examples);
void tuff__examples_destroy(tuff__examples *examples); /* accepts a zeroed one */

/* A batch laid out for the trainer; one object serves for many. */
typedef struct tuff__collated {
    int32_t *cells;
    size_t capacity;
    tuff_batch batch; /* borrows from cells; valid until the next collate */
} tuff__collated;

/* The rows order[0 .. count), or first, first + 1, ... where `order` is NULL, padded to the longest. */
tuff_status tuff__collate(const tuff__examples *examples, const uint32_t *order, size_t first, size_t count,
                          tuff__collated *collated);
void tuff__collated_destroy(tuff__collated *collated); /* accepts a zeroed one */

#endif
