/*
 * model.h (internal): a model's weights as one flat arena on the device, and the graphs that read them.
 *
 * The arena holds the parameters that weight decay applies to, then those that it does not (biases and LayerNorm
 * weights, as transformers' Trainer groups them). Each tensor starts at a multiple of 256 bytes, with zeros between, so
 * gradients and AdamW's moments are further buffers of the same layout and one adamw call updates everything:
 *
 *     tuff_tensor p = tuff_graph_external(graph, "parameters", TUFF_F32, TUFF_SHAPE(model->arena_count),
 *                                         model->weights, 0);
 *     tuff_adamw(graph, p, gradient, m, v, norm, step, &(tuff_adamw_info){.decay_count = model->decay_count, ...});
 *
 * The gradient of parameter i goes to byte model->parameters[i].offset of the gradient buffer, by tuff_graph_bind.
 */
#ifndef TUFF_RUNTIME_MODEL_H
#define TUFF_RUNTIME_MODEL_H

#include "../alloc.h"
#include "model_config.h"
#include "tuff/model.h"

/* How a newly made tensor starts, by the field's rule (transformers' _init_weights). */
typedef enum tuff__initializer {
    TUFF__INITIALIZER_NORMAL = 0,        /* linear and embedding weights: normal(0, initializer_range) */
    TUFF__INITIALIZER_NORMAL_PADDED = 1, /* the same, with row pad_token_id zero */
    TUFF__INITIALIZER_ZEROS = 2,         /* biases */
    TUFF__INITIALIZER_ONES = 3,          /* LayerNorm weights */
} tuff__initializer;

/* Which part of the model a parameter belongs to. */
typedef enum tuff__part {
    TUFF__PART_BODY = 0,   /* must be in the checkpoint */
    TUFF__PART_POOLER = 1, /* body too, but masked-language-model checkpoints lack it: then newly initialised */
    TUFF__PART_HEAD = 2,   /* without the body's prefix; newly initialised where the checkpoint lacks it */
} tuff__part;

typedef struct tuff__parameter {
    const char *name; /* as saved: "bert.embeddings.word_embeddings.weight", without "bert." where there is no head */
    const char *key;  /* "embeddings.word_embeddings.weight", which builders and loaders look up */
    tuff_shape shape;
    uint64_t offset; /* bytes into the arena */
    tuff__initializer initializer;
    tuff__part part;
    bool decayed;
    bool newly_initialized; /* not from a file */
} tuff__parameter;

struct tuff_model {
    tuff_device *device;
    tuff__model_config config;
    const struct tuff__architecture *architecture;
    tuff_model_head head;
    tuff__arena strings;         /* names */
    tuff__parameter *parameters; /* in the order of the arena */
    size_t parameter_count, parameter_capacity;
    tuff_buffer *weights; /* arena_count * 4 bytes */
    int64_t arena_count;  /* elements, padding included */
    int64_t decay_count;  /* elements [0, decay_count) of the arena are decayed, padding included */
};

struct tuff__model_graph;
struct tuff__model_inputs;
struct tuff__model_outputs;

/* What differs between model families; one row in the table of model.c. */
typedef struct tuff__architecture {
    const char *model_type;
    const char *prefix;           /* of the body's tensors under a head: "bert." */
    const char *body_class;       /* "BertModel" */
    const char *classifier_class; /* "BertForSequenceClassification" */
    /* Declares every tensor with tuff__model_declare. */
    tuff_status (*declare)(tuff_model *model);
    /* See tuff__model_build. */
    void (*build)(struct tuff__model_graph *model_graph, const struct tuff__model_inputs *inputs,
                  struct tuff__model_outputs *out_outputs);
    /* Tensors of a checkpoint that carry nothing: "position_ids" buffers. */
    bool (*ignored)(const char *name);
    /* Upper bound of the activations of one step, in bytes. */
    uint64_t (*activation_size)(const tuff_model *model, uint32_t batch_size, uint32_t sequence_length, bool training);
} tuff__architecture;

extern const tuff__architecture tuff__bert;

/* Adds a parameter; `key` is copied. Called by tuff__architecture.declare alone. */
tuff_status tuff__model_declare(tuff_model *model, const char *key, tuff_shape shape, tuff__initializer initializer,
                                tuff__part part);

/* weights.c: make the arena and fill it from dir's files, or with random numbers. `relabelled`: the caller gave its
 * own labels, so a head of another size in the checkpoint is left out and newly initialised. */
tuff_status tuff__model_load_weights(tuff_model *model, const char *dir, bool relabelled, uint64_t seed);
tuff_status tuff__model_random_weights(tuff_model *model, uint64_t seed);
/* Holds the names, shapes and dtypes of dir's weights against the model, without reading one. *out_missing: how many
 * parameters would be newly initialised, all of them where the folder has no weights. Errors: those of loading. */
tuff_status tuff__model_check_weights(const tuff_model *model, const char *dir, size_t *out_missing);

/* INVALID_FILE naming the first parameter that holds NaN or an infinity, which no training or device can make good. */
tuff_status tuff__model_check_finite(const tuff_model *model);

/* As tuff_model_describe, with labels and head of the caller's. */
tuff_status tuff__model_describe(const char *dir, const tuff_model_create_info *info, tuff_model **out_model);
/* A model with random weights of a configuration in memory; `name` stands for its path in messages. */
tuff_status tuff__model_create_from_text(tuff_device *device, const char *name, const char *config,
                                         tuff_model **out_model);

/* OUT_OF_DEVICE_MEMORY where the device has less than the estimate: what is wanted, there and missing, and `lower`,
 * what the caller may lower. `what` begins the sentence. */
tuff_status tuff__memory_check(const tuff_device *device, const tuff_memory_estimate *estimate, const char *what,
                               const char *lower);

/* The index of `key` in parameters, looked for from `*hint` on; SIZE_MAX when there is none. */
size_t tuff__model_find(const tuff_model *model, const char *key, size_t *hint);
/* Bytes of a parameter. */
uint64_t tuff__parameter_size(const tuff__parameter *parameter);

/* What tuff_model_save writes, into a folder that the caller began and will commit with files of its own. */
struct tuff__checkpoint_save;
tuff_status tuff__model_save_files(const tuff_model *model, const tuff_tokenizer *tokenizer,
                                   struct tuff__checkpoint_save *save);

/* -- graphs that use a model -------------------------------------------------------------------------------------- */

/* One graph's view of the model's parameters. */
typedef struct tuff__model_graph {
    const tuff_model *model;
    tuff_graph *graph;
    tuff_buffer *weights;    /* model->weights, or another buffer of its layout */
    tuff_tensor *parameters; /* [model->parameter_count]; id 0: this graph does not use it (yet) */
    size_t last;             /* the index found last: builders ask in order */
} tuff__model_graph;

/* The arguments are borrowed and must outlive the object. `weights` NULL means the model's own; a trainer may give
 * another buffer of the arena's layout. */
tuff_status tuff__model_graph_create(const tuff_model *model, tuff_graph *graph, tuff_buffer *weights,
                                     tuff__model_graph **out_model_graph);
void tuff__model_graph_destroy(tuff__model_graph *model_graph); /* accepts NULL; before or after the graph */

/* The external tensor of the parameter `key` ("embeddings.word_embeddings.weight", without the prefix), made at its
 * first use. An unknown key is a building error of the graph. */
tuff_tensor tuff__model_parameter(tuff__model_graph *model_graph, const char *key);

typedef struct tuff__model_inputs {
    int64_t batch_size, sequence_length; /* B, T; T at most max_position_embeddings */
    tuff_tensor input_ids;               /* [B, T] I32 */
    tuff_tensor token_type_ids;          /* [B, T] I32 */
    tuff_tensor key_lengths;             /* [B] I32: positions from key_lengths[b] on are padding */
    tuff_tensor step_parameters;         /* none: inference; else dropout is active */
    float dropout; /* in place of every probability of the config; default (0): the config's; negative: none */
} tuff__model_inputs;

typedef struct tuff__model_outputs {
    tuff_tensor last_hidden_state; /* [B, T, C] */
    tuff_tensor pooler_output;     /* [B, C] */
    tuff_tensor logits;            /* [B, num_labels]; none without a head */
} tuff__model_outputs;

/* Makes the three inputs (input_ids, token_type_ids, key_lengths) of batch_size × sequence_length. */
void tuff__model_make_inputs(tuff_graph *graph, int64_t batch_size, int64_t sequence_length,
                             tuff__model_inputs *out_inputs);

/* Records the whole model; what no output needs is dropped by tuff_graph_compile. Failures stick to the graph. */
void tuff__model_build(tuff__model_graph *model_graph, const tuff__model_inputs *inputs,
                       tuff__model_outputs *out_outputs);

#endif
