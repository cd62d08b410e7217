/*
 * bert.c: owns the BERT encoder (Devlin et al. 2019) as transformers computes it: embeddings, post-norm layers, pooler,
 * and the sequence classification head.
 */
#include "model.h"

#include "../op.h"

#include <stdio.h>
#include <string.h>

enum { KEY_SIZE = 128 };

/* -- parameters --------------------------------------------------------------------------------------------------- */

static tuff_status declare_linear(tuff_model *model, const char *key, int64_t outputs, int64_t inputs, tuff__part part)
{
    char text[KEY_SIZE];
    snprintf(text, sizeof text, "%s.weight", key);
    TUFF_TRY(tuff__model_declare(model, text, TUFF_SHAPE(outputs, inputs), TUFF__INITIALIZER_NORMAL, part));
    snprintf(text, sizeof text, "%s.bias", key);
    return tuff__model_declare(model, text, TUFF_SHAPE(outputs), TUFF__INITIALIZER_ZEROS, part);
}

static tuff_status declare_layer_norm(tuff_model *model, const char *key)
{
    const tuff_shape shape = TUFF_SHAPE(model->config.fields.hidden_size);
    char text[KEY_SIZE];
    snprintf(text, sizeof text, "%s.weight", key);
    TUFF_TRY(tuff__model_declare(model, text, shape, TUFF__INITIALIZER_ONES, TUFF__PART_BODY));
    snprintf(text, sizeof text, "%s.bias", key);
    return tuff__model_declare(model, text, shape, TUFF__INITIALIZER_ZEROS, TUFF__PART_BODY);
}

static tuff_status declare_embedding(tuff_model *model, const char *key, int64_t rows, tuff__initializer initializer)
{
    return tuff__model_declare(model, key, TUFF_SHAPE(rows, model->config.fields.hidden_size), initializer,
                               TUFF__PART_BODY);
}

static tuff_status declare_layer(tuff_model *model, int64_t layer)
{
    const int64_t hidden = model->config.fields.hidden_size, intermediate = model->config.fields.intermediate_size;
    const struct {
        const char *key;
        int64_t outputs, inputs; /* 0: a LayerNorm */
    } rows[] = {
        {"attention.self.query", hidden, hidden}, {"attention.self.key", hidden, hidden},
        {"attention.self.value", hidden, hidden}, {"attention.output.dense", hidden, hidden},
        {"attention.output.LayerNorm", 0, 0},     {"intermediate.dense", intermediate, hidden},
        {"output.dense", hidden, intermediate},   {"output.LayerNorm", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char key[KEY_SIZE];
        snprintf(key, sizeof key, "encoder.layer.%lld.%s", (long long)layer, rows[i].key);
        TUFF_TRY(rows[i].outputs ? declare_linear(model, key, rows[i].outputs, rows[i].inputs, TUFF__PART_BODY)
                                 : declare_layer_norm(model, key));
    }
    return TUFF_SUCCESS;
}

static tuff_status bert_declare(tuff_model *model)
{
    const tuff_model_config *config = &model->config.fields;
    TUFF_TRY(declare_embedding(model, "embeddings.word_embeddings.weight", config->vocab_size,
                               TUFF__INITIALIZER_NORMAL_PADDED));
    TUFF_TRY(declare_embedding(model, "embeddings.position_embeddings.weight", config->max_position_embeddings,
                               TUFF__INITIALIZER_NORMAL));
    TUFF_TRY(declare_embedding(model, "embeddings.token_type_embeddings.weight", config->type_vocab_size,
                               TUFF__INITIALIZER_NORMAL));
    TUFF_TRY(declare_layer_norm(model, "embeddings.LayerNorm"));
    for (int64_t layer = 0; layer < config->num_hidden_layers; layer++)
        TUFF_TRY(declare_layer(model, layer));
    TUFF_TRY(declare_linear(model, "pooler.dense", config->hidden_size, config->hidden_size, TUFF__PART_POOLER));
    if (model->head == TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION)
        TUFF_TRY(declare_linear(model, "classifier", config->num_labels, config->hidden_size, TUFF__PART_HEAD));
    return TUFF_SUCCESS;
}

static bool bert_ignored(const char *name)
{
    /* Buffers that older versions of transformers saved; both hold what their names say and nothing else. */
    return strcmp(name, "embeddings.position_ids") == 0 || strcmp(name, "embeddings.token_type_ids") == 0;
}

/* -- graph -------------------------------------------------------------------------------------------------------- */

typedef struct builder {
    tuff__model_graph *model_graph;
    tuff_graph *graph;
    const tuff_model_config *config;
    const tuff__model_inputs *inputs;
    const char *prefix; /* of the parameters' keys: "", or "encoder.layer.3." */
} builder;

static tuff_tensor parameter(const builder *b, const char *key, const char *suffix)
{
    char text[KEY_SIZE];
    snprintf(text, sizeof text, "%s%s.%s", b->prefix, key, suffix);
    return tuff__model_parameter(b->model_graph, text);
}

/* x·Wᵀ + bias */
static tuff_tensor linear(const builder *b, const char *key, tuff_tensor x)
{
    const tuff_tensor weight = parameter(b, key, "weight");
    const tuff_matmul_info info = {.transpose_b = true, .bias = parameter(b, key, "bias")};
    tuff_graph_scope_push(b->graph, key);
    const tuff_tensor y = tuff_matmul(b->graph, x, weight, &info);
    tuff_graph_scope_pop(b->graph);
    return y;
}

static tuff_tensor layer_norm(const builder *b, const char *key, tuff_tensor x, tuff_tensor residual)
{
    const tuff_tensor weight = parameter(b, key, "weight"), bias = parameter(b, key, "bias");
    tuff_graph_scope_push(b->graph, key);
    const tuff_tensor y = tuff_layer_norm(b->graph, x, residual, weight, bias, b->config->layer_norm_eps);
    tuff_graph_scope_pop(b->graph);
    return y;
}

/* The probability in force: the caller's, or the config's; 0 in inference. */
static float dropout_rate(const builder *b, float configured)
{
    if (!b->inputs->step_parameters.id || b->inputs->dropout < 0.0f)
        return 0.0f;
    return b->inputs->dropout > 0.0f ? b->inputs->dropout : configured;
}

static tuff_tensor dropout(const builder *b, tuff_tensor x, float configured)
{
    const float p = dropout_rate(b, configured);
    return p > 0.0f ? tuff_dropout(b->graph, x, p, b->inputs->step_parameters) : x;
}

/* [B, T] ids -> [B, T, C] */
static tuff_tensor build_embeddings(const builder *b)
{
    tuff_graph *graph = b->graph;
    const tuff_tensor word_table = parameter(b, "embeddings.word_embeddings", "weight");
    const tuff_tensor position_table = parameter(b, "embeddings.position_embeddings", "weight");
    const tuff_tensor token_type_table = parameter(b, "embeddings.token_type_embeddings", "weight");
    tuff_graph_scope_push(graph, "embeddings");
    const tuff_tensor words = tuff_embedding(graph, word_table, b->inputs->input_ids);
    const tuff_tensor token_types = tuff_embedding(graph, token_type_table, b->inputs->token_type_ids);
    const tuff_tensor positions = tuff_slice(graph, position_table, 0, 0, b->inputs->sequence_length); /* [T, C] */
    const tuff_tensor placed = tuff_add(graph, words, positions);
    tuff_graph_scope_pop(graph);
    const tuff_tensor normed = layer_norm(b, "embeddings.LayerNorm", placed, token_types);
    return dropout(b, normed, b->config->hidden_dropout_prob);
}

static tuff_tensor build_attention(const builder *b, tuff_tensor x)
{
    const tuff_tensor q = linear(b, "attention.self.query", x);
    const tuff_tensor k = linear(b, "attention.self.key", x);
    const tuff_tensor v = linear(b, "attention.self.value", x);
    const float p = dropout_rate(b, b->config->attention_probs_dropout_prob);
    const tuff_attention_info info = {
        .num_attention_heads = (uint32_t)b->config->num_attention_heads,
        .key_lengths = b->inputs->key_lengths,
        .dropout = p,
        .step_parameters = p > 0.0f ? b->inputs->step_parameters : (tuff_tensor){0},
    };
    tuff_graph_scope_push(b->graph, "attention.self");
    const tuff_tensor context = tuff_attention(b->graph, q, k, v, &info);
    tuff_graph_scope_pop(b->graph);
    const tuff_tensor projected = linear(b, "attention.output.dense", context);
    return layer_norm(b, "attention.output.LayerNorm", dropout(b, projected, b->config->hidden_dropout_prob), x);
}

static tuff_tensor build_layer(const builder *b, tuff_tensor x)
{
    const tuff_tensor attended = build_attention(b, x);
    const tuff_tensor inner = linear(b, "intermediate.dense", attended);
    tuff_graph_scope_push(b->graph, "intermediate");
    const tuff_tensor activated = tuff_activate(b->graph, inner, b->config->hidden_act);
    tuff_graph_scope_pop(b->graph);
    const tuff_tensor projected = linear(b, "output.dense", activated);
    return layer_norm(b, "output.LayerNorm", dropout(b, projected, b->config->hidden_dropout_prob), attended);
}

/* tanh of a linear map of the first token: [B, T, C] -> [B, C] */
static tuff_tensor build_pooler(const builder *b, tuff_tensor x)
{
    tuff_graph *graph = b->graph;
    tuff_graph_scope_push(graph, "pooler");
    const tuff_tensor first = tuff_slice(graph, x, 1, 0, 1);
    const tuff_tensor rows = tuff_reshape(graph, first, TUFF_SHAPE(b->inputs->batch_size, b->config->hidden_size));
    tuff_graph_scope_pop(graph);
    const tuff_tensor dense = linear(b, "pooler.dense", rows);
    tuff_graph_scope_push(graph, "pooler");
    const tuff_tensor pooled = tuff_tanh(graph, dense);
    tuff_graph_scope_pop(graph);
    return pooled;
}

static void bert_build(tuff__model_graph *model_graph, const tuff__model_inputs *inputs,
                       tuff__model_outputs *out_outputs)
{
    const tuff_model *model = model_graph->model;
    builder b = {
        .model_graph = model_graph,
        .graph = model_graph->graph,
        .config = &model->config.fields,
        .inputs = inputs,
        .prefix = "",
    };
    const bool classifies = model->head == TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION;
    if (classifies)
        tuff_graph_scope_push(b.graph, "bert");
    tuff_tensor x = build_embeddings(&b);
    for (int64_t layer = 0; layer < b.config->num_hidden_layers; layer++) {
        char prefix[48];
        snprintf(prefix, sizeof prefix, "encoder.layer.%lld", (long long)layer);
        tuff_graph_scope_push(b.graph, prefix);
        snprintf(prefix, sizeof prefix, "encoder.layer.%lld.", (long long)layer);
        b.prefix = prefix;
        x = build_layer(&b, x);
        b.prefix = "";
        tuff_graph_scope_pop(b.graph);
    }
    out_outputs->last_hidden_state = x;
    out_outputs->pooler_output = build_pooler(&b, x);
    if (!classifies)
        return;
    tuff_graph_scope_pop(b.graph);
    const tuff_tensor pooled = dropout(&b, out_outputs->pooler_output, b.config->classifier_dropout);
    out_outputs->logits = linear(&b, "classifier", pooled);
}

/* -- memory ------------------------------------------------------------------------------------------------------- */

/* Floats alive at one time for each of the B·T rows. In inference either a layer's input, q, k, v, what attention makes
 * of them and the row sums, or the widened row between its input, the residual and its output. In training each layer
 * keeps for its backward pass 8 rows of hidden_size and the widened row twice; the backward pass works beside them. */
static uint64_t bert_activation_size(const tuff_model *model, uint32_t batch_size, uint32_t sequence_length,
                                     bool training)
{
    enum { STATISTICS = 8, ALIGNMENT_SLACK = 64 * 256 };
    const tuff_model_config *config = &model->config.fields;
    const uint64_t rows = (uint64_t)batch_size * sequence_length, layers = (uint64_t)config->num_hidden_layers;
    const uint64_t hidden = (uint64_t)config->hidden_size, intermediate = (uint64_t)config->intermediate_size;
    const uint64_t heads = (uint64_t)config->num_attention_heads;
    const uint64_t attending = 6 * hidden + heads, widening = 3 * hidden + intermediate;
    uint64_t floats = (attending > widening ? attending : widening) + STATISTICS;
    if (training)
        floats = layers * (8 * hidden + 2 * intermediate + heads + STATISTICS) + 6 * hidden + intermediate;
    return rows * floats * sizeof(float) + ALIGNMENT_SLACK * (training ? layers + 1 : 1);
}

const tuff__architecture tuff__bert = {
    .model_type = "bert",
    .prefix = "bert.",
    .body_class = "BertModel",
    .classifier_class = "BertForSequenceClassification",
    .declare = bert_declare,
    .build = bert_build,
    .ignored = bert_ignored,
    .activation_size = bert_activation_size,
};
