/*
 * model_config.h: config.json, understood in full or refused by name.
 */
#ifndef TUFF_RUNTIME_MODEL_CONFIG_H
#define TUFF_RUNTIME_MODEL_CONFIG_H

#include "../alloc.h"
#include "../io/json.h"
#include "tuff/model.h"

typedef struct tuff__model_config {
    tuff_model_config fields; /* what the public header shows */
    char *kept;               /* the file's JSON again, for the keys that a save keeps */
    tuff__arena arena;        /* the fields' strings */
} tuff__model_config;

/* Reads and checks dir/config.json. `*out_config` is zeroed first and can be destroyed whatever is returned. */
tuff_status tuff__model_config_load(const char *dir, tuff__model_config *out_config);
/* The same from memory; `name` stands for the path in messages. */
tuff_status tuff__model_config_parse(const char *name, const char *text, size_t size, tuff__model_config *out_config);
void tuff__model_config_destroy(tuff__model_config *config);

/* Puts other labels in place of the config's; the names are copied. NULL `labels`: LABEL_0, LABEL_1, ... */
tuff_status tuff__model_config_set_labels(tuff__model_config *config, const char *const *labels, size_t count);

/* The text of a config.json that says `config`, with every other key of the file it came from; free it with tuff__free.
 * `architecture` is the class name for `architectures`. */
tuff_status tuff__model_config_write(const tuff__model_config *config, const char *architecture, bool with_labels,
                                     char **out_text, size_t *out_length);

#endif
