/* bench_steps.c: owns the whole steps that `tuff bench` measures: inference, and training with AdamW. */
#include "bench.h"

#include "../model/model.h"
#include "../train/trainer.h"

#include <stdio.h>
#include <string.h>

/* all-MiniLM-L6-v2's shape, and the four layers that docs/benchmarks.md trains. */
static const char forward_config[] =
    "{\"model_type\": \"bert\", \"architectures\": [\"BertModel\"], \"vocab_size\": 30522, \"hidden_size\": 384,"
    " \"num_hidden_layers\": 6, \"num_attention_heads\": 12, \"intermediate_size\": 1536, \"hidden_act\": \"gelu\","
    " \"max_position_embeddings\": 512, \"type_vocab_size\": 2, \"hidden_dropout_prob\": 0.1,"
    " \"attention_probs_dropout_prob\": 0.1, \"layer_norm_eps\": 1e-12, \"initializer_range\": 0.02,"
    " \"pad_token_id\": 0}\n";
static const char training_config[] =
    "{\"model_type\": \"bert\", \"architectures\": [\"BertForSequenceClassification\"], \"vocab_size\": 30522,"
    " \"hidden_size\": 256, \"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"intermediate_size\": 1024,"
    " \"hidden_act\": \"gelu\", \"max_position_embeddings\": 512, \"type_vocab_size\": 2,"
    " \"hidden_dropout_prob\": 0.1, \"attention_probs_dropout_prob\": 0.1, \"layer_norm_eps\": 1e-12,"
    " \"initializer_range\": 0.02, \"pad_token_id\": 0, \"id2label\": {\"0\": \"0\", \"1\": \"1\", \"2\": \"2\","
    " \"3\": \"3\", \"4\": \"4\", \"5\": \"5\", \"6\": \"6\"}, \"label2id\": {\"0\": 0, \"1\": 1, \"2\": 2, \"3\": 3,"
    " \"4\": 4, \"5\": 5, \"6\": 6}}\n";

enum { FORWARD_ROWS = 32, FORWARD_LENGTH = 128, TRAINING_ROWS = 32, TRAINING_LENGTH = 24 };

/* -- models ------------------------------------------------------------------------------------------------------- */

static tuff_status get_model(tuff_device *device, const tuff__bench_info *info, const char *config,
                             tuff_model **out_model)
{
    return info->model ? tuff_model_load(device, info->model, out_model)
                       : tuff__model_create_from_text(device, "bench", config, out_model);
}

/* -- batches ------------------------------------------------------------------------------------------------------ */

typedef struct batch {
    int64_t rows, length;
    int32_t *input_ids, *lengths, *labels;
} batch;

static tuff_status make_batch(const tuff_model *model, int64_t rows, int64_t length, batch *out)
{
    const tuff_model_config *config = tuff_model_get_config(model);
    if (length > config->max_position_embeddings)
        length = config->max_position_embeddings;
    *out = (batch){.rows = rows, .length = length};
    out->input_ids = tuff__calloc((size_t)(rows * length), sizeof(int32_t));
    out->lengths = tuff__calloc((size_t)rows, sizeof(int32_t));
    out->labels = tuff__calloc((size_t)rows, sizeof(int32_t));
    if (!out->input_ids || !out->lengths || !out->labels)
        return tuff__fail_memory("bench", (size_t)(rows * length) * sizeof(int32_t));
    for (int64_t i = 0; i < rows * length; i++)
        out->input_ids[i] = (int32_t)(i * 7919 % config->vocab_size);
    for (int64_t i = 0; i < rows; i++) {
        out->lengths[i] = (int32_t)length;
        out->labels[i] = (int32_t)(config->num_labels > 0 ? i % config->num_labels : 0);
    }
    return TUFF_SUCCESS;
}

static void free_batch(batch *b)
{
    tuff__free(b->input_ids);
    tuff__free(b->lengths);
    tuff__free(b->labels);
}

static void describe(const tuff_model *model, const batch *b, char text[128])
{
    const tuff_model_config *config = tuff_model_get_config(model);
    snprintf(text, 128, "%lldx%lld, %lld layers of %lld", (long long)b->rows, (long long)b->length,
             (long long)config->num_hidden_layers, (long long)config->hidden_size);
}

static tuff_status measure(const tuff__bench_info *info, tuff_graph *graph, tuff__bench_result *result)
{
    TUFF_TRY(tuff__bench_measure(graph, result));
    return info->profile ? tuff_graph_profile(graph, 0, &result->rows, &result->row_count) : TUFF_SUCCESS;
}

/* -- inference ---------------------------------------------------------------------------------------------------- */

static tuff_status compile_forward(tuff_graph *graph, tuff__model_graph *model_graph, const batch *b)
{
    tuff__model_inputs inputs = {0};
    tuff__model_outputs outputs = {.logits = {0}};
    tuff__model_make_inputs(graph, b->rows, b->length, &inputs);
    tuff__model_build(model_graph, &inputs, &outputs);
    const tuff_tensor wanted = outputs.logits.id ? outputs.logits : outputs.last_hidden_state;
    TUFF_TRY(tuff_graph_compile(graph, &wanted, 1));
    TUFF_TRY(tuff_graph_write(graph, inputs.input_ids, b->input_ids, (size_t)(b->rows * b->length) * sizeof(int32_t)));
    return tuff_graph_write(graph, inputs.key_lengths, b->lengths, (size_t)b->rows * sizeof(int32_t));
}

static tuff_status measure_forward(const tuff_model *model, const tuff__bench_info *info, tuff_graph *graph,
                                   const batch *b, tuff__bench_result *result)
{
    tuff__model_graph *model_graph = NULL;
    TUFF_TRY(tuff__model_graph_create(model, graph, NULL, &model_graph));
    tuff_status status = compile_forward(graph, model_graph, b);
    if (status == TUFF_SUCCESS)
        status = measure(info, graph, result);
    tuff__model_graph_destroy(model_graph);
    return status;
}

static tuff_status forward(tuff_device *device, const tuff__bench_info *info, tuff__bench_emit emit, void *user)
{
    char shape[128];
    tuff__bench_result result = {.name = "inference", .step = true, .shape = shape};
    tuff_model *model = NULL;
    tuff_graph *graph = NULL;
    batch b = {0};
    tuff_status status = get_model(device, info, forward_config, &model);
    if (status == TUFF_SUCCESS)
        status = make_batch(model, FORWARD_ROWS, FORWARD_LENGTH, &b);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_create(device, &graph);
    if (status == TUFF_SUCCESS)
        status = measure_forward(model, info, graph, &b, &result);
    if (status == TUFF_SUCCESS) {
        describe(model, &b, shape);
        status = emit(user, &result);
    }
    tuff_free(result.rows);
    tuff_graph_destroy(graph);
    tuff_model_destroy(model);
    free_batch(&b);
    return status;
}

/* -- training ----------------------------------------------------------------------------------------------------- */

static tuff_status measure_training(tuff_trainer *trainer, const tuff__bench_info *info, const batch *b,
                                    tuff__bench_result *result)
{
    const tuff_batch rows = {
        .count = (size_t)b->rows,
        .max_length = (size_t)b->length,
        .input_ids = b->input_ids,
        .lengths = b->lengths,
        .labels = b->labels,
    };
    tuff_graph *graph = NULL;
    TUFF_TRY(tuff__trainer_step_graph(trainer, &rows, &graph));
    return measure(info, graph, result);
}

static tuff_status training(tuff_device *device, const tuff__bench_info *info, tuff__bench_emit emit, void *user)
{
    const tuff_trainer_create_info settings = {
        .learning_rate = 1e-5, .weight_decay = 0.01, .lr_scheduler_type = TUFF_LR_SCHEDULER_CONSTANT};
    char shape[128];
    tuff__bench_result result = {.name = "training step", .step = true, .shape = shape};
    tuff_model *model = NULL;
    tuff_trainer *trainer = NULL;
    batch b = {0};
    tuff_status status = get_model(device, info, training_config, &model);
    if (status == TUFF_SUCCESS && !info->filter && tuff_model_get_head(model) == TUFF_MODEL_HEAD_NONE) {
        tuff_model_destroy(model); /* all was asked for, and of a body that is inference; by name it is refused below */
        return TUFF_SUCCESS;
    }
    if (status == TUFF_SUCCESS)
        status = make_batch(model, TRAINING_ROWS, TRAINING_LENGTH, &b);
    if (status == TUFF_SUCCESS)
        status = tuff_trainer_create(model, &settings, &trainer);
    if (status == TUFF_SUCCESS)
        status = measure_training(trainer, info, &b, &result);
    if (status == TUFF_SUCCESS) {
        describe(model, &b, shape);
        status = emit(user, &result);
    }
    tuff_free(result.rows);
    tuff_trainer_destroy(trainer);
    tuff_model_destroy(model);
    free_batch(&b);
    return status;
}

tuff_status tuff__bench_steps(tuff_device *device, const tuff__bench_info *info, tuff__bench_emit emit, void *user)
{
    if (tuff__bench_wanted(info, "inference"))
        TUFF_TRY(forward(device, info, emit, user));
    if (tuff__bench_wanted(info, "training step"))
        TUFF_TRY(training(device, info, emit, user));
    return TUFF_SUCCESS;
}
