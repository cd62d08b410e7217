/* info.c: `tuff info`: what a model folder holds and what it needs, without running it. */
#include "args.h"

#include "io/json.h"
#include "model/model.h"
#include "tuff/model.h"
#include "tuff/tokenizer.h"

#include <stdio.h>
#include <string.h>

static const char *activation_name(tuff_activation activation)
{
    static const char *const names[] = {
        [TUFF_ACTIVATION_NONE] = "none", [TUFF_ACTIVATION_GELU] = "gelu", [TUFF_ACTIVATION_GELU_TANH] = "gelu_tanh",
        [TUFF_ACTIVATION_SILU] = "silu", [TUFF_ACTIVATION_TANH] = "tanh", [TUFF_ACTIVATION_RELU] = "relu",
    };
    return names[activation];
}

static const char *problem_type_name(tuff_problem_type type)
{
    static const char *const names[] = {
        [TUFF_PROBLEM_TYPE_DEFAULT] = NULL,
        [TUFF_PROBLEM_TYPE_REGRESSION] = "regression",
        [TUFF_PROBLEM_TYPE_SINGLE_LABEL_CLASSIFICATION] = "single_label_classification",
        [TUFF_PROBLEM_TYPE_MULTI_LABEL_CLASSIFICATION] = "multi_label_classification",
    };
    return names[type];
}

/* What the command prints, gathered first so that a failure prints nothing. */
typedef struct facts {
    const tuff_model *model;
    const tuff_model_config *config;
    const tuff_tokenizer *tokenizer; /* NULL: the folder has none that can be read */
    size_t model_max_length;         /* 0: the tokenizer sets none */
    size_t missing;                  /* parameters that the folder has no weights for */
    uint32_t batch_size, length;
    tuff_memory_estimate inference, training;
} facts;

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / 1048576.0;
}

static void print_labels(const tuff_model_config *config)
{
    enum { SHOWN = 20 };
    printf("labels            %lld:", (long long)config->num_labels);
    for (int64_t i = 0; i < config->num_labels && i < SHOWN; i++)
        printf("%s %s", i ? "," : "", config->labels[i]);
    puts(config->num_labels > SHOWN ? ", ..." : "");
}

static void print_weights(const facts *f)
{
    const size_t all = tuff_model_parameter_tensor_count(f->model);
    if (f->missing == all)
        puts("weights           none: training starts from random ones");
    else if (f->missing)
        printf("weights           %zu tensors of %zu, the others are newly initialised: train before you trust it\n",
               all - f->missing, all);
    else
        puts("weights           all there");
}

static void print_facts(const facts *f)
{
    const tuff_model_config *config = f->config;
    const bool classifies = tuff_model_get_head(f->model) == TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION;
    const char *problem_type = problem_type_name(config->problem_type);
    printf("architecture      %s (model_type %s)\n", config->architecture ? config->architecture : "not said",
           config->model_type);
    printf("parameters        %llu in %zu tensors\n", (unsigned long long)tuff_model_parameter_count(f->model),
           tuff_model_parameter_tensor_count(f->model));
    print_weights(f);
    printf("dtype             %s in the configuration, float32 on the device\n",
           config->dtype ? config->dtype : "none");
    printf("layers            %lld of hidden_size %lld, %lld heads of %lld, intermediate_size %lld, %s\n",
           (long long)config->num_hidden_layers, (long long)config->hidden_size, (long long)config->num_attention_heads,
           (long long)(config->hidden_size / config->num_attention_heads), (long long)config->intermediate_size,
           activation_name(config->hidden_act));
    printf("positions         %lld\n", (long long)config->max_position_embeddings);
    printf("vocabulary        %lld\n", (long long)config->vocab_size);
    if (classifies)
        print_labels(config);
    if (classifies && problem_type)
        printf("problem_type      %s\n", problem_type);
    if (f->tokenizer && f->model_max_length)
        printf("tokenizer         %zu tokens, model_max_length %zu\n", tuff_tokenizer_vocab_size(f->tokenizer),
               f->model_max_length);
    else if (f->tokenizer)
        printf("tokenizer         %zu tokens, no model_max_length\n", tuff_tokenizer_vocab_size(f->tokenizer));
    else
        puts("tokenizer         none");
    printf("memory            for batches of %u x %u tokens\n", f->batch_size, f->length);
    printf("  inference       %.1f MiB: weights %.1f, activations %.1f\n", mebibytes(f->inference.total),
           mebibytes(f->inference.weights), mebibytes(f->inference.activations));
    printf("  training        %.1f MiB: weights %.1f, gradients %.1f, AdamW %.1f, activations %.1f\n",
           mebibytes(f->training.total), mebibytes(f->training.weights), mebibytes(f->training.gradients),
           mebibytes(f->training.optimizer), mebibytes(f->training.activations));
}

static void write_estimate(tuff__json_writer *writer, const char *key, const tuff_memory_estimate *estimate)
{
    tuff__json_key(writer, key);
    tuff__json_begin_object(writer);
    tuff__json_put_count(writer, "weights", estimate->weights);
    tuff__json_put_count(writer, "gradients", estimate->gradients);
    tuff__json_put_count(writer, "optimizer", estimate->optimizer);
    tuff__json_put_count(writer, "activations", estimate->activations);
    tuff__json_put_count(writer, "total", estimate->total);
    tuff__json_end_object(writer);
}

static void write_config(tuff__json_writer *writer, const tuff_model_config *config)
{
    tuff__json_put_string(writer, "model_type", config->model_type);
    tuff__json_put_string(writer, "architecture", config->architecture);
    tuff__json_put_string(writer, "dtype", config->dtype);
    tuff__json_put_string(writer, "hidden_act", activation_name(config->hidden_act));
    tuff__json_put_string(writer, "problem_type", problem_type_name(config->problem_type));
    tuff__json_put_int(writer, "num_hidden_layers", config->num_hidden_layers);
    tuff__json_put_int(writer, "hidden_size", config->hidden_size);
    tuff__json_put_int(writer, "num_attention_heads", config->num_attention_heads);
    tuff__json_put_int(writer, "intermediate_size", config->intermediate_size);
    tuff__json_put_int(writer, "max_position_embeddings", config->max_position_embeddings);
    tuff__json_put_int(writer, "vocab_size", config->vocab_size);
}

static tuff_status print_json(const facts *f)
{
    tuff__json_writer writer = {0};
    tuff__json_begin_object(&writer);
    write_config(&writer, f->config);
    tuff__json_put_count(&writer, "parameters", tuff_model_parameter_count(f->model));
    tuff__json_put_count(&writer, "tensors", tuff_model_parameter_tensor_count(f->model));
    tuff__json_put_count(&writer, "missing_tensors", f->missing);
    if (tuff_model_get_head(f->model) == TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION) {
        tuff__json_key(&writer, "labels");
        tuff__json_begin_array(&writer);
        for (int64_t i = 0; i < f->config->num_labels; i++)
            tuff__json_write_string(&writer, f->config->labels[i]);
        tuff__json_end_array(&writer);
    }
    if (f->tokenizer) {
        tuff__json_put_count(&writer, "tokenizer_vocab_size", tuff_tokenizer_vocab_size(f->tokenizer));
        if (f->model_max_length)
            tuff__json_put_count(&writer, "model_max_length", f->model_max_length);
    }
    tuff__json_put_count(&writer, "batch_size", f->batch_size);
    tuff__json_put_count(&writer, "sequence_length", f->length);
    write_estimate(&writer, "inference_memory", &f->inference);
    write_estimate(&writer, "training_memory", &f->training);
    tuff__json_end_object(&writer);
    return tuff__json_finish_line(&writer, stdout, "standard output");
}

static tuff_status print_model(const char *dir, const tuff_model *model, const tuff_tokenizer *tokenizer,
                               int64_t batch_size, int64_t length, bool json)
{
    facts f = {
        .model = model,
        .config = tuff_model_get_config(model),
        .tokenizer = tokenizer,
        .model_max_length = tokenizer ? tuff_tokenizer_model_max_length(tokenizer) : 0,
        .batch_size = (uint32_t)batch_size,
        .length = (uint32_t)length,
    };
    if (length > f.config->max_position_embeddings)
        f.length = (uint32_t)f.config->max_position_embeddings;
    TUFF_TRY(tuff__model_check_weights(model, dir, &f.missing));
    tuff_model_estimate_memory(model, f.batch_size, f.length, false, &f.inference);
    tuff_model_estimate_memory(model, f.batch_size, f.length, true, &f.training);
    if (json)
        return print_json(&f);
    print_facts(&f);
    return TUFF_SUCCESS;
}

static tuff_status describe(const char *name, int64_t batch_size, int64_t length, bool json)
{
    tuff_model *model = NULL;
    tuff_tokenizer *tokenizer = NULL;
    char *dir = NULL;
    tuff_status status = tuff_model_find(name, &dir);
    if (status == TUFF_SUCCESS)
        status = tuff_model_describe(dir, &model);
    if (status == TUFF_SUCCESS) {
        if (tuff_tokenizer_load(dir, &tokenizer) != TUFF_SUCCESS)
            fprintf(stderr, "tuff: %s\n", tuff_last_error()); /* a model without a tokenizer is still a model */
        status = print_model(dir, model, tokenizer, batch_size, length, json);
    }
    tuff_tokenizer_destroy(tokenizer);
    tuff_model_destroy(model);
    tuff_free(dir);
    return status;
}

int tuff__cmd_info(int argc, char **argv)
{
    int64_t batch_size = 32, length = 128;
    bool json = false;
    /* clang-format off */
    const tuff__arg options[] = {
        {.name = "batch-size", .kind = TUFF__ARG_INT, .value = &batch_size, .min = 1, .max = 1 << 16,
         .help = "sequences in the batch that memory is computed for (default: 32)"},
        {.name = "max-length", .kind = TUFF__ARG_INT, .value = &length, .min = 1, .max = 1 << 20,
         .help = "tokens of each sequence in it (default: 128)"},
        {.name = "json", .kind = TUFF__ARG_FLAG, .value = &json, .help = "print one line of JSON"},
        {0},
    };
    /* clang-format on */
    tuff__args args = {
        .command = "info",
        .usage = "MODEL",
        .summary = "Prints what a model folder holds: architecture, parameters, whether its weights fit them, labels, "
                   "tokenizer, and the memory that inference and training need. No weight is read for it.",
        .options = options,
        .min_positionals = 1,
        .max_positionals = 1,
    };
    const int code = tuff__args_parse(&args, argc, argv);
    if (code >= 0)
        return code;
    return describe(args.positionals[0], batch_size, length, json) == TUFF_SUCCESS ? 0 : tuff__report_failure();
}
