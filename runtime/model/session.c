/*
 * session.c: owns batching for inference: order, buckets, compiled graphs and the host arrays that feed them. What the
 * numbers mean is the tasks' business.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BATCH_SIZE = 32, LENGTH_MULTIPLE = 8, BATCH_MULTIPLE = 4, MAX_BUCKETS = 64 };

/* Device memory that idle buckets may keep for activations: enough for every bucket of a small model, a few of a large
 * one. */
static const uint64_t bucket_budget = (uint64_t)256 << 20;

/* Added to hidden states of padding before a maximum. No hidden state comes near it, and no sum with it overflows. */
static const float masked = -1e30f;

typedef struct shape_bucket {
    int64_t batch_size, length;
    tuff_graph *graph;
    tuff__model_graph *model_graph;
    tuff__model_inputs inputs;
    tuff_tensor pooling; /* mean: [B, 1, T] weights; max: [B, T, 1] 0 or `masked`; else none */
    tuff_tensor output;
    uint64_t memory; /* bytes on the device */
    uint64_t last_used;
} shape_bucket;

typedef struct ordered {
    uint32_t length;
    size_t index;
} ordered;

/* Where the answers of one run go. */
typedef struct numbered_emit {
    tuff__session_emit emit;
    void *user;
    size_t first; /* what the run's first sequence is called */
} numbered_emit;

struct tuff__session {
    const tuff_model *model;
    tuff__session_info info;
    shape_bucket buckets[MAX_BUCKETS];
    size_t bucket_count;
    uint64_t clock; /* counts batches */
    /* host side of one batch; capacity in tokens */
    int32_t *input_ids, *token_type_ids, *lengths;
    float *pooling;
    size_t token_capacity;
    float *output;
    size_t output_capacity; /* bytes */
};

int64_t tuff__length_bucket(int64_t length, int64_t limit)
{
    const int64_t rounded = (length + LENGTH_MULTIPLE - 1) / LENGTH_MULTIPLE * LENGTH_MULTIPLE;
    return rounded < limit ? rounded : limit;
}

/* 1, 2, then multiples of 4: a last batch wastes three rows at most. */
static int64_t batch_bucket(size_t count, uint32_t limit)
{
    if (count <= 2)
        return (int64_t)count;
    const size_t rounded = (count + BATCH_MULTIPLE - 1) / BATCH_MULTIPLE * BATCH_MULTIPLE;
    return (int64_t)(rounded < limit ? rounded : limit);
}

/* -- buckets ------------------------------------------------------------------------------------------------------ */

static void bucket_destroy(shape_bucket *bucket)
{
    tuff__model_graph_destroy(bucket->model_graph);
    tuff_graph_destroy(bucket->graph);
    memset(bucket, 0, sizeof *bucket);
}

/* Records what the session hands out for one batch. */
static tuff_tensor build_output(const tuff__session *session, shape_bucket *bucket, const tuff__model_outputs *outputs)
{
    tuff_graph *graph = bucket->graph;
    const int64_t batch_size = bucket->batch_size, length = bucket->length;
    const tuff_tensor hidden = outputs->last_hidden_state;
    switch (session->info.output) {
    case TUFF__SESSION_LOGITS:
        return outputs->logits;
    case TUFF__SESSION_LAST_HIDDEN_STATE:
        return hidden;
    case TUFF__SESSION_POOL_CLS:
        return tuff_slice(graph, hidden, 1, 0, 1);
    case TUFF__SESSION_POOL_MEAN:
        bucket->pooling = tuff_graph_input(graph, "mean_weights", TUFF_F32, TUFF_SHAPE(batch_size, 1, length));
        return tuff_matmul(graph, bucket->pooling, hidden, NULL);
    case TUFF__SESSION_POOL_MAX:
        bucket->pooling = tuff_graph_input(graph, "max_mask", TUFF_F32, TUFF_SHAPE(batch_size, length, 1));
        return tuff_max(graph, tuff_add(graph, hidden, bucket->pooling), 1);
    }
    return (tuff_tensor){0};
}

static tuff_status bucket_compile(const tuff__session *session, shape_bucket *bucket)
{
    TUFF_TRY(tuff_graph_create(session->model->device, &bucket->graph));
    TUFF_TRY(tuff__model_graph_create(session->model, bucket->graph, session->info.weights, &bucket->model_graph));
    tuff__model_outputs outputs;
    tuff__model_make_inputs(bucket->graph, bucket->batch_size, bucket->length, &bucket->inputs);
    tuff__model_build(bucket->model_graph, &bucket->inputs, &outputs);
    tuff_graph_scope_push(bucket->graph, "pooling");
    bucket->output = build_output(session, bucket, &outputs);
    tuff_graph_scope_pop(bucket->graph);
    TUFF_TRY(tuff_graph_compile(bucket->graph, &bucket->output, 1));
    tuff_graph_statistics statistics;
    tuff_graph_get_statistics(bucket->graph, &statistics);
    bucket->memory =
        statistics.activation_size + statistics.input_size + statistics.output_size + statistics.workspace_size;
    return TUFF_SUCCESS;
}

static void drop_oldest(tuff__session *session)
{
    size_t oldest = 0;
    for (size_t i = 1; i < session->bucket_count; i++)
        if (session->buckets[i].last_used < session->buckets[oldest].last_used)
            oldest = i;
    bucket_destroy(&session->buckets[oldest]);
    session->buckets[oldest] = session->buckets[--session->bucket_count];
}

static uint64_t buckets_memory(const tuff__session *session)
{
    uint64_t memory = 0;
    for (size_t i = 0; i < session->bucket_count; i++)
        memory += session->buckets[i].memory;
    return memory;
}

/* Makes room within the budget for one more bucket. */
static void trim_buckets(tuff__session *session)
{
    while (session->bucket_count == MAX_BUCKETS || buckets_memory(session) > bucket_budget)
        drop_oldest(session);
}

/* The compiled graph of a shape, made when there is none. */
static tuff_status find_bucket(tuff__session *session, int64_t batch_size, int64_t length, shape_bucket **out_bucket)
{
    session->clock++;
    for (size_t i = 0; i < session->bucket_count; i++) {
        shape_bucket *found = &session->buckets[i];
        if (found->batch_size == batch_size && found->length == length) {
            found->last_used = session->clock;
            *out_bucket = found;
            return TUFF_SUCCESS;
        }
    }
    trim_buckets(session);
    shape_bucket made = {.batch_size = batch_size, .length = length, .last_used = session->clock};
    tuff_status status = bucket_compile(session, &made);
    if (status == TUFF_ERROR_OUT_OF_DEVICE_MEMORY && session->bucket_count) {
        bucket_destroy(&made);
        while (session->bucket_count)
            drop_oldest(session);
        made = (shape_bucket){.batch_size = batch_size, .length = length, .last_used = session->clock};
        status = bucket_compile(session, &made);
    }
    if (status != TUFF_SUCCESS) {
        bucket_destroy(&made);
        return status;
    }
    *out_bucket = &session->buckets[session->bucket_count++];
    **out_bucket = made;
    return TUFF_SUCCESS;
}

/* -- life --------------------------------------------------------------------------------------------------------- */

tuff_status tuff__session_create(const tuff_model *model, const tuff__session_info *info, tuff__session **out_session)
{
    *out_session = NULL;
    if (!model->device)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "session: the model is described only, it has no weights");
    if (info->output == TUFF__SESSION_LOGITS && model->head != TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "session: logits are wanted from a model without a head");
    tuff__session *session = tuff__calloc(1, sizeof *session);
    if (!session)
        return tuff__fail_memory("session", sizeof *session);
    session->model = model;
    session->info = *info;
    if (!session->info.batch_size)
        session->info.batch_size = DEFAULT_BATCH_SIZE;
    *out_session = session;
    return TUFF_SUCCESS;
}

static void free_arrays(tuff__session *session)
{
    tuff__free(session->input_ids);
    tuff__free(session->token_type_ids);
    tuff__free(session->lengths);
    tuff__free(session->pooling);
    session->input_ids = session->token_type_ids = session->lengths = NULL;
    session->pooling = NULL;
    session->token_capacity = 0;
}

void tuff__session_destroy(tuff__session *session)
{
    if (!session)
        return;
    for (size_t i = 0; i < session->bucket_count; i++)
        bucket_destroy(&session->buckets[i]);
    free_arrays(session);
    tuff__free(session->output);
    tuff__free(session);
}

/* -- running ------------------------------------------------------------------------------------------------------ */

static tuff_status reserve(tuff__session *session, size_t tokens, size_t output_size)
{
    if (tokens > session->token_capacity) {
        free_arrays(session);
        session->input_ids = tuff__malloc(tokens * sizeof(int32_t));
        session->token_type_ids = tuff__malloc(tokens * sizeof(int32_t));
        session->lengths = tuff__malloc(tokens * sizeof(int32_t)); /* at most one sequence a token */
        session->pooling = tuff__malloc(tokens * sizeof(float));
        if (!session->input_ids || !session->token_type_ids || !session->lengths || !session->pooling)
            return tuff__fail_memory("batch", tokens * sizeof(int32_t));
        session->token_capacity = tokens;
    }
    if (output_size > session->output_capacity) {
        tuff__free(session->output);
        session->output_capacity = 0;
        session->output = tuff__malloc(output_size);
        if (!session->output)
            return tuff__fail_memory("batch output", output_size);
        session->output_capacity = output_size;
    }
    return TUFF_SUCCESS;
}

/* Lays `count` sequences out as rows of the bucket's arrays; what is over is padding of length 0. */
static void fill_batch(tuff__session *session, const shape_bucket *bucket, const tuff__sequence *sequences,
                       const ordered *order, size_t count)
{
    const size_t columns = (size_t)bucket->length, rows = (size_t)bucket->batch_size;
    const int64_t pad = session->model->config.fields.pad_token_id;
    const bool mean = session->info.output == TUFF__SESSION_POOL_MEAN;
    for (size_t row = 0; row < rows; row++) {
        const tuff__sequence *sequence = row < count ? &sequences[order[row].index] : NULL;
        const size_t length = sequence ? sequence->length : 0;
        int32_t *ids = session->input_ids + row * columns, *types = session->token_type_ids + row * columns;
        float *pooling = session->pooling + row * columns;
        session->lengths[row] = (int32_t)length;
        for (size_t column = 0; column < columns; column++) {
            const bool inside = column < length;
            ids[column] = inside ? sequence->input_ids[column] : (int32_t)(pad < 0 ? 0 : pad);
            types[column] = inside && sequence->token_type_ids ? sequence->token_type_ids[column] : 0;
            pooling[column] = mean ? (inside ? 1.0f / (float)length : 0.0f) : (inside ? 0.0f : masked);
        }
    }
}

static tuff_status run_batch(tuff__session *session, shape_bucket *bucket, const tuff__sequence *sequences,
                             const ordered *order, size_t count, const numbered_emit *numbered)
{
    const size_t tokens = (size_t)(bucket->batch_size * bucket->length);
    const tuff_shape shape = tuff_tensor_shape(bucket->graph, bucket->output);
    const size_t elements = (size_t)tuff_shape_count(&shape), stride = elements / (size_t)bucket->batch_size;
    const size_t columns = (size_t)shape.dims[shape.rank - 1];
    TUFF_TRY(reserve(session, tokens, elements * sizeof(float)));
    fill_batch(session, bucket, sequences, order, count);
    const tuff__model_inputs *inputs = &bucket->inputs;
    TUFF_TRY(tuff_graph_write(bucket->graph, inputs->input_ids, session->input_ids, tokens * sizeof(int32_t)));
    TUFF_TRY(
        tuff_graph_write(bucket->graph, inputs->token_type_ids, session->token_type_ids, tokens * sizeof(int32_t)));
    TUFF_TRY(tuff_graph_write(bucket->graph, inputs->key_lengths, session->lengths,
                              (size_t)bucket->batch_size * sizeof(int32_t)));
    if (bucket->pooling.id)
        TUFF_TRY(tuff_graph_write(bucket->graph, bucket->pooling, session->pooling, tokens * sizeof(float)));
    TUFF_TRY(tuff_graph_run(bucket->graph));
    TUFF_TRY(tuff_graph_read(bucket->graph, bucket->output, session->output, elements * sizeof(float)));
    for (size_t row = 0; row < count; row++) {
        const size_t rows = session->info.output == TUFF__SESSION_LAST_HIDDEN_STATE ? order[row].length : 1;
        TUFF_TRY(numbered->emit(numbered->user, numbered->first + order[row].index, session->output + row * stride,
                                rows, columns));
    }
    return TUFF_SUCCESS;
}

static tuff_status check_sequence(const tuff_model_config *config, const tuff__sequence *sequence, size_t index)
{
    if (sequence->length < 1 || sequence->length > (uint64_t)config->max_position_embeddings)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "session: sequence %zu has %u tokens, the model takes 1 to %lld",
                          index, sequence->length, (long long)config->max_position_embeddings);
    for (uint32_t i = 0; i < sequence->length; i++) {
        if (sequence->input_ids[i] < 0 || sequence->input_ids[i] >= config->vocab_size)
            return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                              "session: sequence %zu has the token id %d, the model's vocab_size is %lld: is this its "
                              "tokenizer?",
                              index, sequence->input_ids[i], (long long)config->vocab_size);
        if (sequence->token_type_ids &&
            (sequence->token_type_ids[i] < 0 || sequence->token_type_ids[i] >= config->type_vocab_size))
            return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                              "session: sequence %zu has the token type id %d, the model's type_vocab_size is %lld",
                              index, sequence->token_type_ids[i], (long long)config->type_vocab_size);
    }
    return TUFF_SUCCESS;
}

/* Longest first, so that a shape too large for the device shows at once; equal lengths in the caller's order. */
static int compare_ordered(const void *left, const void *right)
{
    const ordered *a = left, *b = right;
    if (a->length != b->length)
        return a->length < b->length ? 1 : -1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static tuff_status run_ordered(tuff__session *session, const tuff__sequence *sequences, const ordered *order,
                               size_t count, const numbered_emit *numbered)
{
    const int64_t limit = session->model->config.fields.max_position_embeddings;
    for (size_t first = 0; first < count;) {
        const size_t left = count - first;
        const size_t taken = left < session->info.batch_size ? left : session->info.batch_size;
        shape_bucket *bucket = NULL;
        TUFF_TRY(find_bucket(session, batch_bucket(taken, session->info.batch_size),
                             tuff__length_bucket(order[first].length, limit), &bucket));
        TUFF_TRY(run_batch(session, bucket, sequences, order + first, taken, numbered));
        first += taken;
    }
    return TUFF_SUCCESS;
}

tuff_status tuff__session_run(tuff__session *session, const tuff__sequence *sequences, size_t first, size_t count,
                              tuff__session_emit emit, void *user)
{
    const numbered_emit numbered = {.emit = emit, .user = user, .first = first};
    for (size_t i = 0; i < count; i++)
        TUFF_TRY(check_sequence(&session->model->config.fields, &sequences[i], first + i));
    ordered *order = tuff__malloc(count * sizeof *order);
    if (!order)
        return tuff__fail_memory("order of sequences", count * sizeof *order);
    for (size_t i = 0; i < count; i++)
        order[i] = (ordered){.length = sequences[i].length, .index = i};
    qsort(order, count, sizeof *order, compare_ordered);
    const tuff_status status = run_ordered(session, sequences, order, count, &numbered);
    tuff__free(order);
    return status;
}
