/*
 * trainer.c: owns one training run's state on the device (gradients, AdamW's moments) and its compiled graphs.
 *
 * One update is one compiled graph: forward, loss, backward into the flat gradient buffer, the norm over it, and AdamW
 * over the model's flat weights in place. There is one graph for each batch shape; all share the same buffers. Several
 * batches to one update (gradient accumulation) take a gradient graph for each shape and two small ones that add up and
 * update. The order of rows, files and logs are other files' affair.
 */
#include "trainer.h"

#include "schedule.h"

#include "../log.h"
#include "../model/session.h"

#include <math.h>
#include <string.h>

typedef enum graph_kind {
    GRAPH_UPDATE_FROM_BATCH, /* forward, backward, update */
    GRAPH_GRADIENT,          /* forward, backward into the gradient buffer, scaled by the batch's share of the rows */
    GRAPH_ACCUMULATE,        /* accumulated = accumulated·keep + gradients */
    GRAPH_UPDATE,            /* norm and AdamW over the accumulated gradients */
} graph_kind;

typedef struct step_graph {
    graph_kind kind;
    int64_t batch_size, length; /* 0 for the kinds that see no batch */
    uint64_t last_used;
    tuff_graph *graph;
    tuff__model_graph *model_graph;
    tuff__model_inputs inputs;
    tuff_tensor labels, step_parameters, factor;
    tuff_tensor logits, loss, norm;
} step_graph;

/* Of the many shapes only the latest are kept; making one again takes milliseconds. */
enum { GRAPH_LIMIT = 12 };

struct tuff_trainer {
    tuff_model *model;
    tuff_trainer_create_info info;
    tuff_buffer *gradients, *moment1, *moment2;
    tuff_buffer *accumulated; /* made with the first accumulated update */
    step_graph graphs[GRAPH_LIMIT];
    size_t graph_count;
    tuff__shared_arenas activations; /* of all graphs: as large as the largest batch needs */
    uint64_t clock;                  /* orders the uses of graphs */
    uint64_t step;                   /* updates done */
    int32_t *rows;                   /* input_ids, token_type_ids, lengths, labels as the graph wants them */
    size_t row_capacity;
};

/* -- create ------------------------------------------------------------------------------------------------------- */

static void apply_defaults(tuff_trainer_create_info *info)
{
    info->learning_rate = info->learning_rate == 0 ? 5e-5 : info->learning_rate;
    info->adam_beta1 = info->adam_beta1 == 0 ? 0.9 : info->adam_beta1;
    info->adam_beta2 = info->adam_beta2 == 0 ? 0.999 : info->adam_beta2;
    info->adam_epsilon = info->adam_epsilon == 0 ? 1e-8 : info->adam_epsilon;
    info->max_grad_norm = info->max_grad_norm == 0 ? 1 : info->max_grad_norm;
}

static tuff_status check_setting(const char *name, double value, double min, double max)
{
    if (value >= min && value <= max)
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "trainer: %s is %g, wanted a number from %g to %g", name, value, min,
                      max);
}

static tuff_status check_info(const tuff_trainer_create_info *info)
{
    const double below_one = 1 - 1e-7; /* the largest probability that f32 tells from 1 */
    TUFF_TRY(check_setting("learning_rate", info->learning_rate, 0, 1e6));
    TUFF_TRY(check_setting("weight_decay", info->weight_decay, 0, 1e6));
    TUFF_TRY(check_setting("adam_beta1", info->adam_beta1, 0, below_one));
    TUFF_TRY(check_setting("adam_beta2", info->adam_beta2, 0, below_one));
    TUFF_TRY(check_setting("adam_epsilon", info->adam_epsilon, 0, 1e6));
    TUFF_TRY(check_setting("max_grad_norm", info->max_grad_norm, -HUGE_VAL, HUGE_VAL));
    TUFF_TRY(check_setting("dropout", info->dropout, -HUGE_VAL, below_one));
    TUFF_TRY(check_setting("label_smoothing", info->label_smoothing, 0, 1));
    if (!tuff__lr_scheduler_name(info->lr_scheduler_type))
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "trainer: lr_scheduler_type is %d, wanted 0 to 3",
                          (int)info->lr_scheduler_type);
    const bool falls =
        info->lr_scheduler_type == TUFF_LR_SCHEDULER_LINEAR || info->lr_scheduler_type == TUFF_LR_SCHEDULER_COSINE;
    if (falls && info->total_steps == 0)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "trainer: the %s schedule needs total_steps",
                          tuff__lr_scheduler_name(info->lr_scheduler_type));
    return TUFF_SUCCESS;
}

tuff_status tuff__trainer_check_problem_type(tuff_problem_type type)
{
    if (type != TUFF_PROBLEM_TYPE_REGRESSION && type != TUFF_PROBLEM_TYPE_MULTI_LABEL_CLASSIFICATION)
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "trainer: problem_type is %s, wanted single_label_classification",
                      type == TUFF_PROBLEM_TYPE_REGRESSION ? "regression" : "multi_label_classification");
}

static tuff_status check_model(const tuff_model *model)
{
    const tuff_model_config *config = tuff_model_get_config(model);
    if (!model->weights)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "trainer: the model is described only, it has no weights");
    if (tuff_model_get_head(model) != TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "trainer: the model has no sequence classification head");
    TUFF_TRY(tuff__trainer_check_problem_type(config->problem_type));
    if (config->num_labels < 2)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "trainer: the model has %lld label, wanted at least 2",
                          (long long)config->num_labels);
    return TUFF_SUCCESS;
}

static tuff_status create_buffers(tuff_trainer *trainer)
{
    const uint64_t size = (uint64_t)trainer->model->arena_count * sizeof(float);
    TUFF_TRY(tuff_buffer_create(trainer->model->device, size, &trainer->gradients));
    TUFF_TRY(tuff_buffer_create(trainer->model->device, size, &trainer->moment1));
    return tuff_buffer_create(trainer->model->device, size, &trainer->moment2);
}

static void step_graph_destroy(step_graph *step)
{
    tuff__model_graph_destroy(step->model_graph);
    tuff_graph_destroy(step->graph);
    *step = (step_graph){0};
}

static void drop_graphs(void *user)
{
    tuff_trainer *trainer = user;
    for (size_t i = 0; i < trainer->graph_count; i++)
        step_graph_destroy(&trainer->graphs[i]);
    trainer->graph_count = 0;
}

tuff_status tuff_trainer_create(tuff_model *model, const tuff_trainer_create_info *info, tuff_trainer **out_trainer)
{
    *out_trainer = NULL;
    tuff_trainer_create_info settings = info ? *info : (tuff_trainer_create_info){0};
    apply_defaults(&settings);
    TUFF_TRY(check_info(&settings));
    TUFF_TRY(check_model(model));
    TUFF_TRY(tuff__model_check_finite(model));
    tuff_trainer *trainer = tuff__calloc(1, sizeof *trainer);
    if (!trainer)
        return tuff__fail_memory("trainer", sizeof *trainer);
    trainer->model = model;
    trainer->info = settings;
    trainer->activations = (tuff__shared_arenas){.give_back = drop_graphs, .user = trainer};
    const tuff_status status = create_buffers(trainer);
    if (status != TUFF_SUCCESS) {
        tuff_trainer_destroy(trainer);
        return status;
    }
    *out_trainer = trainer;
    return TUFF_SUCCESS;
}

void tuff_trainer_destroy(tuff_trainer *trainer)
{
    if (!trainer)
        return;
    drop_graphs(trainer);
    tuff__shared_arenas_destroy(&trainer->activations);
    tuff_buffer_destroy(trainer->gradients);
    tuff_buffer_destroy(trainer->moment1);
    tuff_buffer_destroy(trainer->moment2);
    tuff_buffer_destroy(trainer->accumulated);
    tuff__free(trainer->rows);
    tuff__free(trainer);
}

size_t tuff__trainer_weight_count(const tuff_trainer *trainer)
{
    return (size_t)trainer->model->arena_count;
}

tuff_status tuff__trainer_read_weights(const tuff_trainer *trainer, float *data)
{
    return tuff_buffer_read(trainer->model->weights, 0, data, tuff__trainer_weight_count(trainer) * sizeof *data);
}

tuff_status tuff__trainer_write_weights(tuff_trainer *trainer, const float *data)
{
    return tuff_buffer_write(trainer->model->weights, 0, data, tuff__trainer_weight_count(trainer) * sizeof *data);
}

/* -- recording graphs --------------------------------------------------------------------------------------------- */

/* The whole of one flat buffer, laid out as the model's weights. */
static tuff_tensor flat(const tuff_trainer *trainer, tuff_graph *graph, const char *name, tuff_buffer *buffer)
{
    return tuff_graph_external(graph, name, TUFF_F32, TUFF_SHAPE(trainer->model->arena_count), buffer, 0);
}

static void record_forward(const tuff_trainer *trainer, step_graph *step)
{
    tuff__model_make_inputs(step->graph, step->batch_size, step->length, &step->inputs);
    step->inputs.step_parameters = step->step_parameters = tuff_graph_step_parameters(step->graph);
    step->inputs.dropout = (float)trainer->info.dropout;
    tuff__model_outputs outputs = {0};
    tuff__model_build(step->model_graph, &step->inputs, &outputs);
    step->logits = outputs.logits;
}

static void record_loss(const tuff_trainer *trainer, step_graph *step)
{
    step->labels = tuff_graph_input(step->graph, "labels", TUFF_I32, TUFF_SHAPE(step->batch_size));
    step->loss = tuff_cross_entropy(step->graph, step->logits, step->labels, (float)trainer->info.label_smoothing);
    if (step->kind == GRAPH_GRADIENT) {
        step->factor = tuff_graph_input(step->graph, "share_of_rows", TUFF_F32, TUFF_SHAPE(1));
        step->loss = tuff_mul(step->graph, step->loss, step->factor);
    }
}

/* Appends the backward graph; each gradient lands at its parameter's place in the flat gradient buffer. */
static tuff_status record_backward(tuff_trainer *trainer, step_graph *step)
{
    const tuff_model *model = trainer->model;
    tuff_tensor *wrt = tuff__calloc(2 * model->parameter_count, sizeof *wrt);
    if (!wrt)
        return tuff__fail_memory("trainer", 2 * model->parameter_count * sizeof *wrt);
    tuff_tensor *gradients = wrt + model->parameter_count;
    size_t count = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        if (step->model_graph->parameters[i].id)
            wrt[count++] = step->model_graph->parameters[i];
    tuff_graph_backward(step->graph, step->loss, wrt, count, gradients);
    count = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        if (step->model_graph->parameters[i].id)
            tuff_graph_bind(step->graph, gradients[count++], trainer->gradients, model->parameters[i].offset);
    tuff__free(wrt);
    return TUFF_SUCCESS;
}

static void record_update(const tuff_trainer *trainer, step_graph *step, tuff_buffer *gradient_buffer)
{
    const tuff_trainer_create_info *info = &trainer->info;
    tuff_graph *graph = step->graph;
    tuff_graph_scope_push(graph, "optimizer");
    step->step_parameters = tuff_graph_step_parameters(graph);
    const tuff_tensor gradients = flat(trainer, graph, "gradients", gradient_buffer);
    step->norm = tuff_norm(graph, gradients);
    const tuff_adamw_info adamw = {
        .beta1 = (float)info->adam_beta1,
        .beta2 = (float)info->adam_beta2,
        .eps = (float)info->adam_epsilon,
        .weight_decay = (float)info->weight_decay,
        .decay_count = trainer->model->decay_count,
        .max_grad_norm = info->max_grad_norm > 0 ? (float)info->max_grad_norm : 0,
        .norm = info->max_grad_norm > 0 ? step->norm : (tuff_tensor){0},
        .step_parameters = step->step_parameters,
    };
    tuff_adamw(graph, flat(trainer, graph, "parameters", trainer->model->weights), gradients,
               flat(trainer, graph, "exp_avg", trainer->moment1), flat(trainer, graph, "exp_avg_sq", trainer->moment2),
               &adamw);
    tuff_graph_scope_pop(graph);
}

static void record_accumulate(const tuff_trainer *trainer, step_graph *step)
{
    tuff_graph *graph = step->graph;
    step->factor = tuff_graph_input(graph, "keep", TUFF_F32, TUFF_SHAPE(1));
    const tuff_tensor before = flat(trainer, graph, "accumulated", trainer->accumulated);
    const tuff_tensor kept = tuff_mul(graph, before, step->factor);
    const tuff_tensor sum = tuff_add(graph, kept, flat(trainer, graph, "gradients", trainer->gradients));
    tuff_graph_bind(graph, sum, trainer->accumulated, 0);
}

static tuff_status record_batch_graph(tuff_trainer *trainer, step_graph *step)
{
    TUFF_TRY(tuff__model_graph_create(trainer->model, step->graph, NULL, &step->model_graph));
    record_forward(trainer, step);
    record_loss(trainer, step);
    TUFF_TRY(record_backward(trainer, step));
    if (step->kind == GRAPH_UPDATE_FROM_BATCH)
        record_update(trainer, step, trainer->gradients);
    return TUFF_SUCCESS;
}

static tuff_status step_graph_create(tuff_trainer *trainer, step_graph *step)
{
    TUFF_TRY(tuff_graph_create(trainer->model->device, &step->graph));
    step->graph->shared_arenas = &trainer->activations;
    if (step->kind == GRAPH_UPDATE)
        record_update(trainer, step, trainer->accumulated);
    else if (step->kind == GRAPH_ACCUMULATE)
        record_accumulate(trainer, step);
    else
        TUFF_TRY(record_batch_graph(trainer, step));
    tuff_tensor outputs[2];
    size_t count = 0;
    if (step->loss.id)
        outputs[count++] = step->loss;
    if (step->norm.id)
        outputs[count++] = step->norm;
    return tuff_graph_compile(step->graph, outputs, count);
}

/* -- the graphs kept ---------------------------------------------------------------------------------------------- */

static void drop_oldest(tuff_trainer *trainer)
{
    size_t oldest = 0;
    for (size_t i = 1; i < trainer->graph_count; i++)
        if (trainer->graphs[i].last_used < trainer->graphs[oldest].last_used)
            oldest = i;
    step_graph_destroy(&trainer->graphs[oldest]);
    trainer->graphs[oldest] = trainer->graphs[--trainer->graph_count];
}

/* The graph of this kind and shape, made now if need be; valid until the next call. */
static tuff_status find_graph(tuff_trainer *trainer, graph_kind kind, int64_t batch_size, int64_t length,
                              step_graph **out_step)
{
    *out_step = NULL;
    for (size_t i = 0; i < trainer->graph_count; i++) {
        step_graph *step = &trainer->graphs[i];
        if (step->kind == kind && step->batch_size == batch_size && step->length == length) {
            step->last_used = ++trainer->clock;
            *out_step = step;
            return TUFF_SUCCESS;
        }
    }
    if (trainer->graph_count == GRAPH_LIMIT)
        drop_oldest(trainer);
    /* Made aside: it may push the others out. */
    step_graph made = {.kind = kind, .batch_size = batch_size, .length = length, .last_used = ++trainer->clock};
    const tuff_status status = step_graph_create(trainer, &made);
    if (status != TUFF_SUCCESS) {
        step_graph_destroy(&made);
        return status;
    }
    trainer->graphs[trainer->graph_count] = made;
    *out_step = &trainer->graphs[trainer->graph_count++];
    return TUFF_SUCCESS;
}

/* -- batches ------------------------------------------------------------------------------------------------------ */

static tuff_status check_ids(const int32_t *ids, size_t count, int64_t limit, size_t row, const char *what,
                             const char *limit_name)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= limit)
            return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                              "trainer: row %zu of the batch has the %s %d, the model's %s is %lld", row, what,
                              (int)ids[i], limit_name, (long long)limit);
    return TUFF_SUCCESS;
}

static tuff_status check_batch(const tuff_trainer *trainer, const tuff_batch *batch)
{
    const tuff_model_config *config = tuff_model_get_config(trainer->model);
    if (batch->count == 0 || !batch->input_ids || !batch->lengths || !batch->labels)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "trainer: a batch needs rows, input_ids, lengths and labels");
    for (size_t r = 0; r < batch->count; r++) {
        const int64_t length = batch->lengths[r];
        if (length < 1 || (size_t)length > batch->max_length || length > config->max_position_embeddings)
            return tuff__fail(
                TUFF_ERROR_INVALID_ARGUMENT,
                "trainer: row %zu of the batch has %lld ids, wanted 1 to %zu, and at most the model's %lld", r,
                (long long)length, batch->max_length, (long long)config->max_position_embeddings);
        TUFF_TRY(check_ids(batch->input_ids + r * batch->max_length, (size_t)length, config->vocab_size, r, "token id",
                           "vocab_size"));
        if (batch->token_type_ids)
            TUFF_TRY(check_ids(batch->token_type_ids + r * batch->max_length, (size_t)length, config->type_vocab_size,
                               r, "token type id", "type_vocab_size"));
        const int32_t label = batch->labels[r];
        if (label != -100 && (label < 0 || label >= config->num_labels))
            return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "trainer: row %zu has label %d, wanted 0 to %lld or -100", r,
                              label, (long long)config->num_labels - 1);
    }
    return TUFF_SUCCESS;
}

static int64_t batch_columns(const tuff_trainer *trainer, const tuff_batch *batch)
{
    int64_t longest = 1;
    for (size_t r = 0; r < batch->count; r++)
        longest = batch->lengths[r] > longest ? batch->lengths[r] : longest;
    return tuff__length_bucket(longest, tuff_model_get_config(trainer->model)->max_position_embeddings);
}

/* Rows of the graph for `count` rows: missing ones are filled up with rows that do not count. */
static int64_t filled_rows(size_t count, uint32_t full)
{
    return count < full ? (int64_t)full : (int64_t)count;
}

/* Lays the batch out as the graph wants it, and writes it to the graph's inputs. */
static tuff_status write_batch(tuff_trainer *trainer, const step_graph *step, const tuff_batch *batch)
{
    const size_t rows = (size_t)step->batch_size, columns = (size_t)step->length, cells = rows * columns;
    TUFF_TRY(tuff__grow((void **)&trainer->rows, &trainer->row_capacity, 2 * cells + 2 * rows, sizeof *trainer->rows,
                        "batch"));
    int32_t *ids = trainer->rows, *types = ids + cells, *lengths = types + cells, *labels = lengths + rows;
    const int64_t pad = tuff_model_get_config(trainer->model)->pad_token_id;
    for (size_t i = 0; i < cells; i++)
        ids[i] = pad > 0 ? (int32_t)pad : 0;
    memset(types, 0, cells * sizeof *types);
    for (size_t r = 0; r < rows; r++) {
        lengths[r] = r < batch->count ? batch->lengths[r] : 1;
        labels[r] = r < batch->count ? batch->labels[r] : -100;
        if (r >= batch->count)
            continue;
        const size_t size = (size_t)lengths[r] * sizeof *ids;
        memcpy(ids + r * columns, batch->input_ids + r * batch->max_length, size);
        if (batch->token_type_ids)
            memcpy(types + r * columns, batch->token_type_ids + r * batch->max_length, size);
    }
    TUFF_TRY(tuff_graph_write(step->graph, step->inputs.input_ids, ids, cells * sizeof *ids));
    TUFF_TRY(tuff_graph_write(step->graph, step->inputs.token_type_ids, types, cells * sizeof *types));
    TUFF_TRY(tuff_graph_write(step->graph, step->inputs.key_lengths, lengths, rows * sizeof *lengths));
    return tuff_graph_write(step->graph, step->labels, labels, rows * sizeof *labels);
}

static size_t counted_rows(const tuff_batch *batch)
{
    size_t count = 0;
    for (size_t r = 0; r < batch->count; r++)
        count += batch->labels[r] != -100;
    return count;
}

/* -- steps -------------------------------------------------------------------------------------------------------- */

static tuff_status read_scalar(const step_graph *step, tuff_tensor tensor, double *out_value)
{
    float value = 0;
    TUFF_TRY(tuff_graph_read(step->graph, tensor, &value, sizeof value));
    *out_value = value;
    return TUFF_SUCCESS;
}

/* The graph of one update from `batch`, its inputs written. */
static tuff_status prepare_update(tuff_trainer *trainer, const tuff_batch *batch,
                                  const tuff_step_parameters *parameters, step_graph **out_step)
{
    TUFF_TRY(find_graph(trainer, GRAPH_UPDATE_FROM_BATCH,
                        filled_rows(batch->count, trainer->info.per_device_train_batch_size),
                        batch_columns(trainer, batch), out_step));
    TUFF_TRY(write_batch(trainer, *out_step, batch));
    return tuff_graph_write((*out_step)->graph, (*out_step)->step_parameters, parameters, sizeof *parameters);
}

static tuff_status update_from_batch(tuff_trainer *trainer, const tuff_batch *batch,
                                     const tuff_step_parameters *parameters, tuff_step_result *result)
{
    step_graph *step;
    TUFF_TRY(prepare_update(trainer, batch, parameters, &step));
    TUFF_TRY(tuff_graph_run(step->graph));
    TUFF_TRY(read_scalar(step, step->loss, &result->loss));
    return read_scalar(step, step->norm, &result->grad_norm);
}

/* Adds one batch's gradient, weighted with its share of the update's rows. */
static tuff_status accumulate_batch(tuff_trainer *trainer, const tuff_batch *batch, float share, bool first,
                                    const tuff_step_parameters *parameters, double *loss)
{
    step_graph *step;
    TUFF_TRY(find_graph(trainer, GRAPH_GRADIENT, filled_rows(batch->count, trainer->info.per_device_train_batch_size),
                        batch_columns(trainer, batch), &step));
    TUFF_TRY(write_batch(trainer, step, batch));
    TUFF_TRY(tuff_graph_write(step->graph, step->factor, &share, sizeof share));
    if (step->step_parameters.id)
        TUFF_TRY(tuff_graph_write(step->graph, step->step_parameters, parameters, sizeof *parameters));
    TUFF_TRY(tuff_graph_run(step->graph));
    double part;
    TUFF_TRY(read_scalar(step, step->loss, &part));
    *loss += part;
    const float keep = first ? 0.0f : 1.0f;
    TUFF_TRY(find_graph(trainer, GRAPH_ACCUMULATE, 0, 0, &step));
    TUFF_TRY(tuff_graph_write(step->graph, step->factor, &keep, sizeof keep));
    return tuff_graph_run(step->graph);
}

static tuff_status update_from_batches(tuff_trainer *trainer, const tuff_batch *batches, size_t count,
                                       const tuff_step_parameters *parameters, tuff_step_result *result)
{
    size_t rows = 0;
    for (size_t i = 0; i < count; i++)
        rows += counted_rows(&batches[i]);
    if (!trainer->accumulated)
        TUFF_TRY(tuff_buffer_create(trainer->model->device, (uint64_t)trainer->model->arena_count * sizeof(float),
                                    &trainer->accumulated));
    result->loss = 0;
    for (size_t i = 0; i < count; i++) {
        /* Batches of one update draw different dropout: the second word of the seed tells them apart. */
        tuff_step_parameters drawn = *parameters;
        drawn.seed[1] ^= (uint32_t)i;
        const float share = rows ? (float)((double)counted_rows(&batches[i]) / (double)rows) : 0;
        TUFF_TRY(accumulate_batch(trainer, &batches[i], share, i == 0, &drawn, &result->loss));
    }
    step_graph *step;
    TUFF_TRY(find_graph(trainer, GRAPH_UPDATE, 0, 0, &step));
    TUFF_TRY(tuff_graph_write(step->graph, step->step_parameters, parameters, sizeof *parameters));
    TUFF_TRY(tuff_graph_run(step->graph));
    return read_scalar(step, step->norm, &result->grad_norm);
}

/* What the schedule and AdamW say of the update that comes next. */
static tuff_step_parameters next_parameters(const tuff_trainer *trainer, double *out_learning_rate)
{
    const tuff_trainer_create_info *info = &trainer->info;
    const tuff__schedule schedule = {info->lr_scheduler_type, info->learning_rate, info->warmup_steps,
                                     info->total_steps};
    *out_learning_rate = tuff__schedule_rate(&schedule, trainer->step);
    return tuff__step_parameters(info->seed, trainer->step, *out_learning_rate, info->adam_beta1, info->adam_beta2);
}

tuff_status tuff__trainer_step_graph(tuff_trainer *trainer, const tuff_batch *batch, tuff_graph **out_graph)
{
    double learning_rate;
    step_graph *step;
    TUFF_TRY(check_batch(trainer, batch));
    const tuff_step_parameters parameters = next_parameters(trainer, &learning_rate);
    TUFF_TRY(prepare_update(trainer, batch, &parameters, &step));
    *out_graph = step->graph;
    return TUFF_SUCCESS;
}

tuff_status tuff__trainer_walk_step(tuff_trainer *trainer, const tuff_batch *batch, tuff__walk_fn visit, void *user)
{
    tuff_graph *graph = NULL;
    TUFF_TRY(tuff__trainer_step_graph(trainer, batch, &graph));
    return tuff__walk_graph(graph, visit, user);
}

tuff_buffer *tuff__trainer_gradients(const tuff_trainer *trainer)
{
    return trainer->gradients;
}

/* x86 makes negative NaNs, and printf tells: that sign means nothing. */
static double plain(double value)
{
    return isnan(value) ? fabs(value) : value;
}

tuff_status tuff_trainer_step(tuff_trainer *trainer, const tuff_batch *batches, size_t count,
                              tuff_step_result *out_result)
{
    tuff_step_result result = {0};
    if (count == 0)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "trainer: an update needs at least 1 batch");
    for (size_t i = 0; i < count; i++)
        TUFF_TRY(check_batch(trainer, &batches[i]));
    const tuff_step_parameters parameters = next_parameters(trainer, &result.learning_rate);
    if (count == 1)
        TUFF_TRY(update_from_batch(trainer, batches, &parameters, &result));
    else
        TUFF_TRY(update_from_batches(trainer, batches, count, &parameters, &result));
    result.step = ++trainer->step;
    if (out_result)
        *out_result = result;
    if (isfinite(result.loss) && isfinite(result.grad_norm))
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                      "training: step %llu gave loss %g and gradient norm %g, wanted finite numbers; a lower "
                      "learning_rate (now %g) or more warmup_steps usually helps",
                      (unsigned long long)result.step, plain(result.loss), plain(result.grad_norm),
                      trainer->info.learning_rate);
}
