/* tokenizer_object.h: what a tuff_tokenizer is made of, and the steps that make it. */
#ifndef TUFF_RUNTIME_TEXT_TOKENIZER_OBJECT_H
#define TUFF_RUNTIME_TEXT_TOKENIZER_OBJECT_H

#include "added_tokens.h"
#include "post_processor.h"
#include "pre_tokenizer.h"
#include "tuff/tokenizer.h"

enum { TUFF__SPECIAL_TOKEN_COUNT = 5 }; /* of tuff_special_token */

typedef enum tuff__tokenizer_file {
    TUFF__FILE_TOKENIZER_JSON,
    TUFF__FILE_VOCAB_TXT,
    TUFF__FILE_TOKENIZER_CONFIG,
    TUFF__FILE_SPECIAL_TOKENS_MAP,
    TUFF__FILE_ADDED_TOKENS,
    TUFF__FILE_MODEL_CONFIG, /* tells the class where no file of the tokenizer does; a model's file, not saved here */
    TUFF__FILE_COUNT,
    TUFF__SAVED_FILE_COUNT = TUFF__FILE_MODEL_CONFIG,
} tuff__tokenizer_file;
extern const char *const tuff__tokenizer_file_names[TUFF__FILE_COUNT];

/* A copy, so that saving does not depend on what became of the folder. */
typedef struct tuff__tokenizer_source {
    char *path; /* for messages */
    char *text; /* NULL: the folder had no such file */
    size_t size;
} tuff__tokenizer_source;

struct tuff_tokenizer {
    tuff__tokenizer_source sources[TUFF__FILE_COUNT];
    bool is_bert; /* transformers' BERT class reads the folder, not the plain one for tokenizer.json */
    tuff__normalizer *normalizers;
    size_t normalizer_count, normalizer_capacity;
    tuff__pre_tokenizer *pre_tokenizers;
    size_t pre_tokenizer_count, pre_tokenizer_capacity;
    tuff__wordpiece model;
    tuff__added_tokens added;
    tuff__post_processor post_processor;
    tuff__vocabulary added_by_id;                    /* for tuff_tokenizer_id_to_token */
    char *special_tokens[TUFF__SPECIAL_TOKEN_COUNT]; /* contents; NULL: none */
    int32_t special_ids[TUFF__SPECIAL_TOKEN_COUNT];
    tuff__pad pad;
    bool truncate_left;
    size_t model_max_length;
    int32_t max_id;
};

/* tokenizer.c: a tokenizer from files in memory, which are copied; data NULL: there is no such file. `dir` stands for
 * the folder in messages. */
tuff_status tuff__tokenizer_create(const char *dir, const tuff_text files[TUFF__FILE_COUNT],
                                   tuff_tokenizer **out_tokenizer);

/* tokenizer_json.c: everything that tokenizer.json describes. */
tuff_status tuff__tokenizer_read_json(tuff_tokenizer *tokenizer);
/* tokenizer_config.c: vocab.txt, and the words of tokenizer_config.json, special_tokens_map.json, added_tokens.json. */
tuff_status tuff__tokenizer_read_config(tuff_tokenizer *tokenizer);

tuff_status tuff__tokenizer_add_normalizer(tuff_tokenizer *tokenizer, const tuff__normalizer *step);
tuff_status tuff__tokenizer_add_pre_tokenizer(tuff_tokenizer *tokenizer, tuff__pre_tokenizer step);
/* The id of a token, added ones first; -1 when there is none. */
int32_t tuff__tokenizer_id_of(const tuff_tokenizer *tokenizer, const char *token);
/* Keeps a copy of the content of a special token; NULL: there is none. */
tuff_status tuff__tokenizer_set_special(tuff_tokenizer *tokenizer, tuff_special_token token, const char *content);

#endif
