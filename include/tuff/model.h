/*
 * model.h: a Hugging Face model folder on a device: config.json and *.safetensors in, the same folder out.
 *
 * The weights are F32 on the device whatever dtype the files have, so that training and inference share one model.
 */
#ifndef TUFF_MODEL_H
#define TUFF_MODEL_H

#include "tuff/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tuff_model tuff_model;         /* config and weights */
typedef struct tuff_tokenizer tuff_tokenizer; /* tokenizer.h */

/* What sits on the body. */
typedef enum tuff_model_head {
    TUFF_MODEL_HEAD_DEFAULT = 0, /* what `architectures` names; the body alone where tuff has no such head */
    TUFF_MODEL_HEAD_NONE = 1,    /* the body with its pooler: BertModel */
    TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION = 2,
} tuff_model_head;

/* config.json's problem_type. */
typedef enum tuff_problem_type {
    TUFF_PROBLEM_TYPE_DEFAULT = 0, /* not said: single label, or for one label regression in training */
    TUFF_PROBLEM_TYPE_REGRESSION = 1,
    TUFF_PROBLEM_TYPE_SINGLE_LABEL_CLASSIFICATION = 2,
    TUFF_PROBLEM_TYPE_MULTI_LABEL_CLASSIFICATION = 3,
} tuff_problem_type;

/* The fields of config.json, by its names. Strings and arrays live as long as the model. */
typedef struct tuff_model_config {
    const char *model_type;   /* "bert" */
    const char *architecture; /* the first of `architectures`; NULL when there is none */
    int64_t vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size;
    int64_t max_position_embeddings, type_vocab_size;
    int64_t pad_token_id;       /* -1 for null */
    tuff_activation hidden_act; /* "gelu_new" and its other names are GELU_TANH */
    float hidden_dropout_prob, attention_probs_dropout_prob;
    float classifier_dropout; /* hidden_dropout_prob where the file has null */
    float layer_norm_eps, initializer_range;
    tuff_problem_type problem_type;
    int64_t num_labels;
    const char *const *labels; /* id2label, [num_labels] */
    const char *dtype;         /* `dtype` or `torch_dtype`, as the file says it: "float32"; NULL when it does not */
} tuff_model_config;

typedef struct tuff_model_create_info {
    tuff_model_head head;           /* default: DEFAULT */
    const char *const *labels;      /* label names of the head, copied; default: the config's id2label */
    size_t label_count;             /* default: the config's */
    tuff_problem_type problem_type; /* default: the config's */
    bool random_weights;            /* take config.json alone and initialise every tensor; default: load them */
    uint64_t seed;                  /* of newly initialised tensors; default 0 */
} tuff_model_create_info;

/* The folder that `name` means: itself where it is a folder, else the snapshot of that repository id ("org/name") in
 * this user's Hugging Face cache (HF_HUB_CACHE, HF_HOME/hub, or the tools' default); nothing is downloaded. Free
 * *out_dir with tuff_free. Errors: IO when there is neither. */
TUFF_API tuff_status tuff_model_find(const char *name, char **out_dir);

/* Loads the folder `dir` with all defaults. `device` is borrowed and must outlive the model. */
TUFF_API tuff_status tuff_model_load(tuff_device *device, const char *dir, tuff_model **out_model);

/* As tuff_model_load: reads dir/config.json, then the weights: model.safetensors, or the shards that
 * model.safetensors.index.json lists; NULL `info` means all defaults. Tensors of f16 and bf16 become f32. A head that
 * the files lack is initialised by the field's rule and named in a warning, as is every tensor that has no place in the
 * model. Errors: IO for a file that cannot be read; INVALID_FILE for a config.json that is not understood in full, for
 * a missing tensor of the body, and for a tensor of a wrong shape, each by name; OUT_OF_DEVICE_MEMORY. */
TUFF_API tuff_status tuff_model_create(tuff_device *device, const char *dir, const tuff_model_create_info *info,
                                       tuff_model **out_model);
/* Reads config.json alone: a model without weights or device, which only answers questions about itself. */
TUFF_API tuff_status tuff_model_describe(const char *dir, tuff_model **out_model);
TUFF_API void tuff_model_destroy(tuff_model *model);

/* Writes the folder `dir` aside and renames it into place, making the folders above it that are missing:
 * model.safetensors (f32), config.json with every key that the loaded one had, and, where `tokenizer` is not NULL, its
 * files. An existing folder is replaced as a whole, and left alone when anything fails. Of what else it held, the
 * weights do not come along, nor sentence-transformers' files, nor, where `tokenizer` is given, those of another
 * tokenizer: they would be read beside the new model. */
TUFF_API tuff_status tuff_model_save(const tuff_model *model, const tuff_tokenizer *tokenizer, const char *dir);

TUFF_API const tuff_model_config *tuff_model_get_config(const tuff_model *model);
TUFF_API tuff_model_head tuff_model_get_head(const tuff_model *model); /* never DEFAULT */
TUFF_API uint64_t tuff_model_parameter_count(const tuff_model *model);

/* Bytes of device memory, computed and not allocated. */
typedef struct tuff_memory_estimate {
    uint64_t weights;     /* F32 parameters */
    uint64_t gradients;   /* training: gradients */
    uint64_t optimizer;   /* training: the two moments of AdamW */
    uint64_t activations; /* what the operators of one step of this shape keep at one time; an upper bound */
    uint64_t total;
} tuff_memory_estimate;
/* For batches of `batch_size` sequences of `sequence_length`. */
TUFF_API void tuff_model_estimate_memory(const tuff_model *model, uint32_t batch_size, uint32_t sequence_length,
                                         bool training, tuff_memory_estimate *out_estimate);

/* One tensor of the model, under the name that transformers gives it in the saved folder. */
typedef struct tuff_parameter_info {
    const char *name;
    tuff_shape shape;
    bool decayed;           /* weight decay applies: all but biases and LayerNorm weights */
    bool newly_initialized; /* not from a file */
} tuff_parameter_info;
TUFF_API size_t tuff_model_parameter_tensor_count(const tuff_model *model);
TUFF_API void tuff_model_get_parameter_info(const tuff_model *model, size_t index, tuff_parameter_info *out_info);
/* `size` is the tensor's bytes in F32. Errors: INVALID_ARGUMENT when it is not, or when no tensor has that name. */
TUFF_API tuff_status tuff_model_read_parameter(const tuff_model *model, const char *name, float *data, size_t size);
TUFF_API tuff_status tuff_model_write_parameter(tuff_model *model, const char *name, const float *data, size_t size);

#ifdef __cplusplus
}
#endif

#endif
