/*
 * verify.c: owns what `tuff verify` does to a model: an inference graph walked, a training step walked, and several steps
 * on the device beside the same steps on the reference. Judging is compare.c's, walking walk.c's, writing report.c's.
 */
#include "verify.h"

#include "../graph.h"
#include "../model/model.h"
#include "../os.h"
#include "../train/trainer.h"
#include "../walk.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * Allowances of whole steps, in units of 2^-23 (docs/numerics.md says where they come from). A step's rounding errors pass
 * through every layer twice and are then carried on by the weights, so they are wider than an operator's.
 */
static const double loss_allowance = 64, norm_allowance = 512, gradient_allowance = 2048, parameter_allowance = 512;

typedef struct verification {
    tuff_device *device;
    const char *dir;
    tuff_verify_info info;
    tuff_verify_fn progress;
    void *user;
    tuff_verify_report *report;
    tuff_verify_phase phase;
    bool stopped;
    tuff_status status; /* of keeping records: memory */
    /* one synthetic batch */
    int32_t *input_ids, *token_type_ids, *lengths, *labels;
} verification;

/* -- records ------------------------------------------------------------------------------------------------------ */

static bool keep(verification *v, tuff_verify_record record)
{
    tuff_verify_report *report = v->report;
    record.phase = v->phase;
    record.op = tuff__arena_strdup(&report->strings, record.op);
    record.variant = tuff__arena_strdup(&report->strings, record.variant);
    record.label = tuff__arena_strdup(&report->strings, record.label);
    v->status = record.op && record.variant && record.label
                    ? tuff__grow((void **)&report->records, &report->capacity, report->count, sizeof *report->records,
                                 "verify")
                    : tuff__fail_memory("verify", sizeof record);
    if (v->status != TUFF_SUCCESS)
        return false;
    report->records[report->count++] = record;
    report->failures += record.bad > 0;
    if (v->progress && !v->progress(v->user, &record))
        v->stopped = true;
    return !v->stopped;
}

static void take_comparison(tuff_verify_record *record, const tuff__comparison *c)
{
    record->count = c->count;
    record->bad = c->bad;
    record->worst = c->worst;
    record->got = c->got;
    record->want = c->want;
    record->allowed = c->allowed;
    record->ratio = c->ratio;
    record->max_abs_error = c->max_abs_error;
    record->got_nan = c->got_nan;
    record->want_nan = c->want_nan;
    record->got_inf = c->got_inf;
    record->want_inf = c->want_inf;
}

static bool keep_walk_record(void *user, const tuff__walk_record *walked)
{
    tuff_verify_record record = {
        .op = walked->op,
        .variant = walked->variant,
        .label = walked->label,
        .output = walked->output,
        .dtype = walked->dtype,
        .shape = walked->shape,
        .seconds = walked->seconds,
    };
    take_comparison(&record, &walked->comparison);
    return keep(user, record);
}

void tuff_verify_record_text(const tuff_verify_record *record, char text[256])
{
    const tuff__comparison c = {.count = record->count, .bad = record->bad, .worst = record->worst, .got = record->got,
                                .want = record->want, .allowed = record->allowed};
    tuff__comparison_text(&c, &record->shape, text);
}

/* -- a batch ------------------------------------------------------------------------------------------------------ */

/* SplitMix64: token ids that touch all of the vocabulary's range. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* Row 0 is full, the others are shorter, so that padding is judged too. */
static tuff_status make_batch(verification *v, const tuff_model_config *config)
{
    tuff_verify_info *info = &v->info;
    if ((int64_t)info->sequence_length > config->max_position_embeddings)
        info->sequence_length = (uint32_t)config->max_position_embeddings;
    const size_t rows = info->batch_size, columns = info->sequence_length;
    v->input_ids = tuff__calloc(rows * columns, sizeof(int32_t));
    v->token_type_ids = tuff__calloc(rows * columns, sizeof(int32_t));
    v->lengths = tuff__calloc(rows, sizeof(int32_t));
    v->labels = tuff__calloc(rows, sizeof(int32_t));
    if (!v->input_ids || !v->token_type_ids || !v->lengths || !v->labels)
        return tuff__fail_memory("verify", rows * columns * sizeof(int32_t));
    uint64_t state = info->seed;
    const uint64_t labels = config->num_labels > 0 ? (uint64_t)config->num_labels : 1;
    for (size_t r = 0; r < rows; r++) {
        v->lengths[r] = r == 0 ? (int32_t)columns : (int32_t)(1 + next_random(&state) % columns);
        v->labels[r] = (int32_t)(next_random(&state) % labels);
        for (size_t i = 0; i < (size_t)v->lengths[r]; i++) {
            v->input_ids[r * columns + i] = (int32_t)(next_random(&state) % (uint64_t)config->vocab_size);
            v->token_type_ids[r * columns + i] =
                (int32_t)(i > columns / 2 ? next_random(&state) % (uint64_t)config->type_vocab_size : 0);
        }
    }
    return TUFF_SUCCESS;
}

static tuff_batch batch_of(const verification *v)
{
    return (tuff_batch){
        .count = v->info.batch_size,
        .max_length = v->info.sequence_length,
        .input_ids = v->input_ids,
        .token_type_ids = v->token_type_ids,
        .lengths = v->lengths,
        .labels = v->labels,
    };
}

/* -- forward ------------------------------------------------------------------------------------------------------ */

static tuff_status walk_forward_graph(verification *v, const tuff_model *model, tuff_graph *graph,
                                      tuff__model_graph *model_graph)
{
    tuff__model_inputs inputs = {0};
    tuff__model_outputs outputs = {.logits = {0}};
    tuff_tensor wanted[3];
    size_t count = 0;
    tuff__model_make_inputs(graph, v->info.batch_size, v->info.sequence_length, &inputs);
    tuff__model_build(model_graph, &inputs, &outputs);
    wanted[count++] = outputs.last_hidden_state;
    if (outputs.pooler_output.id)
        wanted[count++] = outputs.pooler_output;
    if (outputs.logits.id)
        wanted[count++] = outputs.logits;
    TUFF_TRY(tuff_graph_compile(graph, wanted, count));
    const size_t ids = (size_t)v->info.batch_size * v->info.sequence_length * sizeof(int32_t);
    TUFF_TRY(tuff_graph_write(graph, inputs.input_ids, v->input_ids, ids));
    if (tuff_model_get_config(model)->type_vocab_size > 0)
        TUFF_TRY(tuff_graph_write(graph, inputs.token_type_ids, v->token_type_ids, ids));
    TUFF_TRY(tuff_graph_write(graph, inputs.key_lengths, v->lengths, v->info.batch_size * sizeof(int32_t)));
    return tuff__walk_graph(graph, keep_walk_record, v);
}

static tuff_status verify_forward(verification *v, const tuff_model *model)
{
    tuff_graph *graph = NULL;
    tuff__model_graph *model_graph = NULL;
    v->phase = TUFF_VERIFY_FORWARD;
    tuff_status status = tuff_graph_create(v->device, &graph);
    if (status == TUFF_SUCCESS)
        status = tuff__model_graph_create(model, graph, NULL, &model_graph);
    if (status == TUFF_SUCCESS)
        status = walk_forward_graph(v, model, graph, model_graph);
    tuff__model_graph_destroy(model_graph);
    tuff_graph_destroy(graph);
    return status;
}

/* -- training ----------------------------------------------------------------------------------------------------- */

static tuff_trainer_create_info trainer_info(const verification *v)
{
    return (tuff_trainer_create_info){
        .weight_decay = 0.01,
        .lr_scheduler_type = TUFF_LR_SCHEDULER_CONSTANT,
        .seed = v->info.seed,
    };
}

static tuff_status verify_training(verification *v, tuff_model *model)
{
    tuff_trainer *trainer = NULL;
    const tuff_trainer_create_info info = trainer_info(v);
    const tuff_batch batch = batch_of(v);
    v->phase = TUFF_VERIFY_TRAINING;
    tuff_status status = tuff_trainer_create(model, &info, &trainer);
    if (status == TUFF_SUCCESS)
        status = tuff__trainer_walk_step(trainer, &batch, keep_walk_record, v);
    tuff_trainer_destroy(trainer);
    return status;
}

/* -- whole steps -------------------------------------------------------------------------------------------------- */

/* One side of the comparison: a model of its own, trained from the folder's weights. */
typedef struct side {
    tuff_model *model;
    tuff_trainer *trainer;
    tuff_step_result result;
} side;

static void close_side(side *s)
{
    tuff_trainer_destroy(s->trainer);
    tuff_model_destroy(s->model);
}

static tuff_status open_side(const verification *v, tuff_device *device, side *s)
{
    const tuff_trainer_create_info info = trainer_info(v);
    TUFF_TRY(tuff_model_create(device, v->dir, &(tuff_model_create_info){.seed = v->info.seed}, &s->model));
    return tuff_trainer_create(s->model, &info, &s->trainer);
}

static bool keep_numbers(verification *v, const char *op, const char *label, const tuff_shape *shape,
                         const float *want, const float *got, double allowance, double magnitude)
{
    tuff__comparison comparison;
    tuff__compare_arrays(want, got, (uint64_t)tuff_shape_count(shape), allowance, magnitude, &comparison);
    tuff_verify_record record = {.op = op, .variant = "", .label = label, .shape = *shape};
    take_comparison(&record, &comparison);
    return keep(v, record);
}

static tuff_status compare_step(verification *v, const side *got, const side *want, uint32_t step)
{
    char label[32];
    const tuff_shape scalar = TUFF_SHAPE(1);
    snprintf(label, sizeof label, "step %u", step + 1);
    const float got_loss = (float)got->result.loss, want_loss = (float)want->result.loss;
    const float got_norm = (float)got->result.grad_norm, want_norm = (float)want->result.grad_norm;
    if (keep_numbers(v, "loss", label, &scalar, &want_loss, &got_loss, loss_allowance, 1))
        keep_numbers(v, "grad_norm", label, &scalar, &want_norm, &got_norm, norm_allowance, 0);
    return v->status;
}

static double largest(const float *x, int64_t count)
{
    double value = 0;
    for (int64_t i = 0; i < count; i++)
        value = fmax(value, fabs((double)x[i]));
    return value;
}

static double root_mean_square(const float *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum / (double)count);
}

/* The gradient of an attention's key bias is zero but for rounding (softmax ignores what all keys share), and AdamW makes
 * steps of full size from it: nothing to compare. */
static bool only_rounding(const char *name)
{
    return strstr(name, "attention") && strstr(name, "key.bias");
}

/* Gradients element by element against the tensor's largest; parameters by the norm of their difference, because AdamW
 * turns the sign of a gradient near zero into a whole step. */
static bool compare_parameter(verification *v, const tuff__parameter *parameter, const float *const arrays[4])
{
    const int64_t count = tuff_shape_count(&parameter->shape);
    const size_t at = (size_t)(parameter->offset / sizeof(float));
    const float *want_gradient = arrays[0] + at, *got_gradient = arrays[1] + at;
    const float *want = arrays[2] + at, *got = arrays[3] + at;
    if (only_rounding(parameter->name))
        return true;
    if (!keep_numbers(v, "gradient", parameter->name, &parameter->shape, want_gradient, got_gradient,
                      gradient_allowance, largest(want_gradient, count)))
        return false;
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
    const float difference = (float)sqrt(sum / (double)count), zero = 0;
    const tuff_shape scalar = TUFF_SHAPE(1);
    return keep_numbers(v, "parameter", parameter->name, &scalar, &zero, &difference, parameter_allowance,
                        root_mean_square(want, count));
}

static tuff_status compare_parameters(verification *v, const side *got, const side *want)
{
    const size_t size = (size_t)want->model->arena_count * sizeof(float);
    float *arrays[4] = {NULL};
    tuff_buffer *buffers[4] = {tuff__trainer_gradients(want->trainer), tuff__trainer_gradients(got->trainer),
                               want->model->weights, got->model->weights};
    tuff_status status = TUFF_SUCCESS;
    for (int i = 0; i < 4 && status == TUFF_SUCCESS; i++) {
        arrays[i] = tuff__malloc(size);
        status = arrays[i] ? tuff_buffer_read(buffers[i], 0, arrays[i], size) : tuff__fail_memory("verify", size);
    }
    const float *const given[4] = {arrays[0], arrays[1], arrays[2], arrays[3]};
    for (size_t i = 0; i < want->model->parameter_count && status == TUFF_SUCCESS; i++)
        if (!compare_parameter(v, &want->model->parameters[i], given))
            break;
    for (int i = 0; i < 4; i++)
        tuff__free(arrays[i]);
    return status == TUFF_SUCCESS ? v->status : status;
}

static tuff_status run_steps(verification *v, side *got, side *want)
{
    const tuff_batch batch = batch_of(v);
    for (uint32_t step = 0; step < v->info.steps && !v->stopped; step++) {
        TUFF_TRY(tuff_trainer_step(got->trainer, &batch, 1, &got->result));
        TUFF_TRY(tuff_trainer_step(want->trainer, &batch, 1, &want->result));
        TUFF_TRY(compare_step(v, got, want, step));
    }
    return v->stopped ? TUFF_SUCCESS : compare_parameters(v, got, want);
}

static tuff_status verify_steps(verification *v)
{
    tuff_device *reference = NULL;
    side got = {0}, want = {0};
    v->phase = TUFF_VERIFY_STEPS;
    tuff_status status = tuff_device_create(&(tuff_device_create_info){.device = "reference"}, &reference);
    if (status == TUFF_SUCCESS)
        status = open_side(v, v->device, &got);
    if (status == TUFF_SUCCESS)
        status = open_side(v, reference, &want);
    if (status == TUFF_SUCCESS)
        status = run_steps(v, &got, &want);
    close_side(&got);
    close_side(&want);
    tuff_device_destroy(reference);
    return status;
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

static tuff_status verify_all(verification *v)
{
    tuff_model *model = NULL;
    tuff_status status =
        tuff_model_create(v->device, v->dir, &(tuff_model_create_info){.seed = v->info.seed}, &model);
    if (status == TUFF_SUCCESS)
        status = make_batch(v, tuff_model_get_config(model));
    if (status == TUFF_SUCCESS)
        status = verify_forward(v, model);
    if (status == TUFF_SUCCESS && v->info.train && !v->stopped)
        status = verify_training(v, model);
    tuff_model_destroy(model);
    /* After a wrong operator every step is wrong too, or not finite, which would end in an error, not in a report. */
    if (status == TUFF_SUCCESS && v->info.train && !v->stopped && v->report->failures == 0)
        status = verify_steps(v);
    return status == TUFF_SUCCESS ? v->status : status;
}

tuff_status tuff_verify_model(tuff_device *device, const char *dir, const tuff_verify_info *info,
                              tuff_verify_fn progress, void *user, tuff_verify_report **out_report)
{
    *out_report = NULL;
    tuff_verify_report *report = tuff__calloc(1, sizeof *report);
    if (!report)
        return tuff__fail_memory("verify", sizeof *report);
    verification v = {.device = device, .dir = dir, .info = info ? *info : (tuff_verify_info){0},
                      .progress = progress, .user = user, .report = report};
    v.info.steps = v.info.steps ? v.info.steps : 3;
    v.info.batch_size = v.info.batch_size ? v.info.batch_size : 3;
    v.info.sequence_length = v.info.sequence_length ? v.info.sequence_length : 20;
    const double begin = tuff__clock_seconds();
    tuff_status status = verify_all(&v);
    report->device = *tuff_device_get_properties(device);
    report->info = v.info;
    report->seconds = tuff__clock_seconds() - begin;
    report->model = tuff__arena_strdup(&report->strings, dir);
    if (status == TUFF_SUCCESS && !report->model)
        status = tuff__fail_memory("verify", strlen(dir));
    tuff__free(v.input_ids);
    tuff__free(v.token_type_ids);
    tuff__free(v.lengths);
    tuff__free(v.labels);
    if (status != TUFF_SUCCESS) {
        tuff_verify_report_destroy(report);
        return status;
    }
    *out_report = report;
    return TUFF_SUCCESS;
}

void tuff_verify_report_destroy(tuff_verify_report *report)
{
    if (!report)
        return;
    tuff__arena_destroy(&report->strings);
    tuff__free(report->records);
    tuff__free(report);
}

size_t tuff_verify_report_count(const tuff_verify_report *report)
{
    return report->count;
}

const tuff_verify_record *tuff_verify_report_record(const tuff_verify_report *report, size_t index)
{
    return index < report->count ? &report->records[index] : NULL;
}

size_t tuff_verify_report_failures(const tuff_verify_report *report)
{
    return report->failures;
}
