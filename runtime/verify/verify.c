/*
 * verify.c: owns what `tuff verify` does to a model: an inference graph walked, a training step walked, and several
 * steps on the device beside the same steps on the reference. Judging is compare.c's, walking walk.c's, writing
 * report.c's.
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
 * Allowances of whole steps, in units of 2^-23 (docs/numerics.md says where they come from). A step's rounding errors
 * pass through every layer twice and are then carried on by the weights, so they are wider than an operator's.
 */
static const double loss_allowance = 64, norm_allowance = 512, gradient_allowance = 2048, parameter_allowance = 512;

/* AdamW's step is sure to 1/8 of itself where the gradient is this many of its allowances; below it is not judged. */
static const double decided_from = 8;

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
    v->status =
        record.op && record.variant && record.label
            ? tuff__grow((void **)&report->records, &report->capacity, report->count, sizeof *report->records, "verify")
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
    const tuff__comparison c = {.count = record->count,
                                .bad = record->bad,
                                .worst = record->worst,
                                .got = record->got,
                                .want = record->want,
                                .allowed = record->allowed};
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

static tuff_status settle_length(tuff_verify_info *info, const tuff_model_config *config)
{
    enum { DEFAULT_LENGTH = 20 };
    const int64_t most = config->max_position_embeddings;
    if (info->sequence_length == 0)
        info->sequence_length = most < DEFAULT_LENGTH ? (uint32_t)most : DEFAULT_LENGTH;
    if ((int64_t)info->sequence_length <= most)
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "verify: sequence_length is %u, the model takes at most %lld tokens",
                      info->sequence_length, (long long)most);
}

/* Row 0 is full, the others are shorter, so that padding is judged too. */
static tuff_status make_batch(verification *v, const tuff_model_config *config)
{
    tuff_verify_info *info = &v->info;
    TUFF_TRY(settle_length(info, config));
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

static bool keep_numbers(verification *v, tuff_verify_record record, const float *want, const float *got,
                         double allowance, double magnitude)
{
    tuff__comparison comparison;
    tuff__compare_arrays(want, got, (uint64_t)tuff_shape_count(&record.shape), allowance, magnitude, &comparison);
    record.variant = "";
    take_comparison(&record, &comparison);
    return keep(v, record);
}

static tuff_status compare_step(verification *v, const side *got, const side *want, uint32_t step)
{
    char label[32];
    snprintf(label, sizeof label, "step %u", step + 1);
    const tuff_verify_record loss = {.op = "loss", .label = label, .shape = TUFF_SHAPE(1)};
    const tuff_verify_record norm = {.op = "grad_norm", .label = label, .shape = TUFF_SHAPE(1)};
    const float got_loss = (float)got->result.loss, want_loss = (float)want->result.loss;
    const float got_norm = (float)got->result.grad_norm, want_norm = (float)want->result.grad_norm;
    if (keep_numbers(v, loss, &want_loss, &got_loss, loss_allowance, 1))
        keep_numbers(v, norm, &want_norm, &got_norm, norm_allowance, 0);
    return v->status;
}

/* What both sides have in their buffers, laid out as the model's arena, and which elements rounding has decided. */
typedef struct step_state {
    float *want_gradient, *got_gradient, *want, *got;
    double *layer_largest; /* [parameter_count]: see rounding_level */
    bool *undecided;       /* [arena_count]: in one of the steps the gradient said no more than its own rounding */
} step_state;

static double largest(const float *x, int64_t count)
{
    double value = 0;
    for (int64_t i = 0; i < count; i++)
        if (fabs((double)x[i]) > value) /* not by fmax, which gcc 12 for arm64 breaks down on */
            value = fabs((double)x[i]);
    return value;
}

static double root_mean_square(const float *x, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum / (double)count);
}

/* Whether two parameters are weight and bias of one layer: all but the last word of their names is the same. */
static bool same_layer(const char *a, const char *b)
{
    const char *dot = strrchr(a, '.');
    const size_t length = dot ? (size_t)(dot - a) + 1 : 0;
    return length > 0 && !strncmp(a, b, length) && !strchr(b + length, '.');
}

/* The largest gradient of each parameter's layer. A bias's gradient is the sum of what its weight's gradient sums with
 * factors of order 1: rounding errors of both are relative to the same terms, also where those of the bias cancel. */
static void find_layer_largest(const tuff_model *model, step_state *s)
{
    for (size_t i = 0; i < model->parameter_count; i++) {
        const tuff__parameter *one = &model->parameters[i];
        const double own = largest(s->want_gradient + one->offset / sizeof(float), tuff_shape_count(&one->shape));
        s->layer_largest[i] = fmax(s->layer_largest[i], own);
        for (size_t k = 0; k < model->parameter_count; k++)
            if (k != i && same_layer(one->name, model->parameters[k].name))
                s->layer_largest[k] = fmax(s->layer_largest[k], own);
    }
}

/* What rounding may make of a gradient: the gradient's own allowance. */
static double rounding_level(double gradient, double layer_largest)
{
    return gradient_allowance * 0x1p-23 * (fabs(gradient) + layer_largest);
}

/* Reads the gradients of the step just done, and marks the elements whose step rounding may have decided. An element
 * that is 0 on both sides has no sign to lose. */
static tuff_status take_gradients(const side *got, const side *want, step_state *s)
{
    const tuff_model *model = want->model;
    const size_t size = (size_t)model->arena_count * sizeof(float);
    TUFF_TRY(tuff_buffer_read(tuff__trainer_gradients(want->trainer), 0, s->want_gradient, size));
    TUFF_TRY(tuff_buffer_read(tuff__trainer_gradients(got->trainer), 0, s->got_gradient, size));
    memset(s->layer_largest, 0, model->parameter_count * sizeof *s->layer_largest);
    find_layer_largest(model, s);
    for (size_t p = 0; p < model->parameter_count; p++) {
        const size_t at = (size_t)(model->parameters[p].offset / sizeof(float));
        const size_t end = at + (size_t)tuff_shape_count(&model->parameters[p].shape);
        for (size_t i = at; i < end; i++) {
            const double gradient = (double)s->want_gradient[i];
            const bool zero = s->want_gradient[i] == 0 && s->got_gradient[i] == 0;
            if (!zero && fabs(gradient) < decided_from * rounding_level(gradient, s->layer_largest[p]))
                s->undecided[i] = true;
        }
    }
    return TUFF_SUCCESS;
}

/* Each element against its tensor's largest, or its layer's where the whole tensor lies below what rounding makes of
 * that: an attention's key bias, whose gradient is 0 but for rounding, because softmax ignores what all keys share. */
static bool compare_gradient(verification *v, const tuff__parameter *parameter, double layer_largest,
                             const step_state *s)
{
    const int64_t count = tuff_shape_count(&parameter->shape);
    const size_t at = (size_t)(parameter->offset / sizeof(float));
    const double own = largest(s->want_gradient + at, count);
    const double magnitude = own < rounding_level(own, layer_largest) ? layer_largest : own;
    const tuff_verify_record record = {.op = "gradient", .label = parameter->name, .shape = parameter->shape};
    return keep_numbers(v, record, s->want_gradient + at, s->got_gradient + at, gradient_allowance, magnitude);
}

/* By the norm of the difference over the elements that rounding has not decided, because AdamW turns the sign of a
 * gradient near zero into a whole step. The record counts them; where none is left it says so with count 0. */
static bool compare_parameter(verification *v, const tuff__parameter *parameter, const step_state *s)
{
    const int64_t count = tuff_shape_count(&parameter->shape);
    const size_t at = (size_t)(parameter->offset / sizeof(float));
    double sum = 0;
    uint64_t judged = 0;
    for (size_t i = at; i < at + (size_t)count; i++) {
        const double difference = s->undecided[i] ? 0 : (double)s->got[i] - (double)s->want[i];
        judged += !s->undecided[i];
        sum += difference * difference;
    }
    const float difference = judged ? (float)sqrt(sum / (double)judged) : 0, zero = 0;
    tuff__comparison comparison;
    tuff__compare_arrays(&zero, &difference, 1, parameter_allowance, root_mean_square(s->want + at, count),
                         &comparison);
    tuff_verify_record record = {.op = "parameter", .variant = "", .label = parameter->name, .shape = TUFF_SHAPE(1)};
    take_comparison(&record, &comparison);
    record.count = judged;
    record.undecided = (uint64_t)count - judged;
    return keep(v, record);
}

static tuff_status compare_parameters(verification *v, const side *got, const side *want, const step_state *s)
{
    const tuff_model *model = want->model;
    const size_t size = (size_t)model->arena_count * sizeof(float);
    TUFF_TRY(tuff_buffer_read(want->model->weights, 0, s->want, size));
    TUFF_TRY(tuff_buffer_read(got->model->weights, 0, s->got, size));
    for (size_t i = 0; i < model->parameter_count; i++)
        if (!compare_gradient(v, &model->parameters[i], s->layer_largest[i], s) ||
            !compare_parameter(v, &model->parameters[i], s))
            break;
    return v->status;
}

static tuff_status run_steps(verification *v, side *got, side *want, step_state *s)
{
    const tuff_batch batch = batch_of(v);
    for (uint32_t step = 0; step < v->info.steps && !v->stopped; step++) {
        TUFF_TRY(tuff_trainer_step(got->trainer, &batch, 1, &got->result));
        TUFF_TRY(tuff_trainer_step(want->trainer, &batch, 1, &want->result));
        TUFF_TRY(take_gradients(got, want, s));
        TUFF_TRY(compare_step(v, got, want, step));
    }
    return v->stopped ? TUFF_SUCCESS : compare_parameters(v, got, want, s);
}

static tuff_status run_steps_with_state(verification *v, side *got, side *want)
{
    const size_t count = (size_t)want->model->arena_count, parameters = want->model->parameter_count;
    float *arrays = tuff__calloc(4 * count, sizeof *arrays);
    step_state s = {
        .layer_largest = tuff__calloc(parameters, sizeof *s.layer_largest),
        .undecided = tuff__calloc(count, sizeof *s.undecided),
    };
    tuff_status status = TUFF_SUCCESS;
    if (!arrays || !s.layer_largest || !s.undecided) {
        status = tuff__fail_memory("verify", 4 * count * sizeof *arrays);
    } else {
        s.want_gradient = arrays;
        s.got_gradient = arrays + count;
        s.want = arrays + 2 * count;
        s.got = arrays + 3 * count;
        status = run_steps(v, got, want, &s);
    }
    tuff__free(arrays);
    tuff__free(s.layer_largest);
    tuff__free(s.undecided);
    return status;
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
        status = run_steps_with_state(v, &got, &want);
    close_side(&got);
    close_side(&want);
    tuff_device_destroy(reference);
    return status;
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

static void apply_defaults(tuff_verify_info *info)
{
    info->steps = info->steps ? info->steps : 3;
    info->batch_size = info->batch_size ? info->batch_size : 3;
}

tuff_status tuff__verify_memory(const char *dir, const tuff_verify_info *info, tuff_memory_estimate *out_memory)
{
    tuff_model *model = NULL;
    tuff_verify_info wanted = info ? *info : (tuff_verify_info){0};
    apply_defaults(&wanted);
    TUFF_TRY(tuff_model_describe(dir, &model));
    const tuff_status status = settle_length(&wanted, tuff_model_get_config(model));
    if (status == TUFF_SUCCESS)
        tuff_model_estimate_memory(model, wanted.batch_size, wanted.sequence_length, wanted.train, out_memory);
    tuff_model_destroy(model);
    return status;
}

static tuff_status check_memory(const verification *v)
{
    tuff_memory_estimate memory;
    TUFF_TRY(tuff__verify_memory(v->dir, &v->info, &memory));
    return tuff__memory_check(v->device, &memory, "verification", "batch_size or sequence_length");
}

static tuff_status verify_all(verification *v)
{
    tuff_model *model = NULL;
    TUFF_TRY(check_memory(v));
    tuff_status status = tuff_model_create(v->device, v->dir, &(tuff_model_create_info){.seed = v->info.seed}, &model);
    if (status == TUFF_SUCCESS)
        status = tuff__model_check_finite(model);
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
    verification v = {.device = device,
                      .dir = dir,
                      .info = info ? *info : (tuff_verify_info){0},
                      .progress = progress,
                      .user = user,
                      .report = report};
    apply_defaults(&v.info);
    const double begin = tuff__clock_seconds();
    tuff_status status = verify_all(&v);
    report->device = *tuff_device_get_properties(device);
    report->info = v.info;
    report->stopped = v.stopped;
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

bool tuff_verify_report_complete(const tuff_verify_report *report)
{
    return !report->stopped;
}
