/*
 * pooling_config.h: what a sentence-transformers folder says about making one vector of a text.
 */
#ifndef TUFF_RUNTIME_POOLING_CONFIG_H
#define TUFF_RUNTIME_POOLING_CONFIG_H

#include "../status.h"
#include "tuff/pipeline.h"

typedef struct tuff__pooling_config {
    bool present;            /* the folder has a modules.json */
    tuff_pooling pooling;    /* NONE where there is no modules.json, or no Pooling module in it */
    bool normalize;          /* modules.json has a Normalize module */
    uint32_t max_seq_length; /* of sentence_bert_config.json; 0: not said */
} tuff__pooling_config;

/* Reads modules.json, the Pooling module's config.json and sentence_bert_config.json of `dir`, where they exist.
 * Errors: INVALID_FILE for a module or a pooling mode that is not supported, by name. */
tuff_status tuff__pooling_config_load(const char *dir, tuff__pooling_config *out_config);

/* max_seq_length alone, for callers that choose pooling themselves. */
tuff_status tuff__pooling_config_load_length(const char *dir, uint32_t *out_max_seq_length);

#endif
