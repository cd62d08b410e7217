/*
 * verify.c: owns what `tuff verify` does to a model: an inference graph walked, a training step walked, and (steps.c)
 * several steps beside the same on the reference. Judging is compare.c's, walking walk.c's, writing report.c's.
 */
#include "verification.h"

#include "../graph.h"
#include "../model/model.h"
#include "../os.h"
#include "../train/trainer.h"
#include "../walk.h"

#include <stdio.h>
#include <string.h>

/* -- records ------------------------------------------------------------------------------------------------------ */

bool tuff__verification_keep(tuff__verification *v, tuff_verify_record record)
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

void tuff__verify_take(tuff_verify_record *record, const tuff__comparison *c)
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
    tuff__verify_take(&record, &walked->comparison);
    return tuff__verification_keep(user, record);
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

/* SplitMix64. */
uint64_t tuff__verification_random(uint64_t *state)
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
static tuff_status make_batch(tuff__verification *v, const tuff_model_config *config)
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
        v->lengths[r] = r == 0 ? (int32_t)columns : (int32_t)(1 + tuff__verification_random(&state) % columns);
        v->labels[r] = (int32_t)(tuff__verification_random(&state) % labels);
        for (size_t i = 0; i < (size_t)v->lengths[r]; i++) {
            v->input_ids[r * columns + i] = (int32_t)(tuff__verification_random(&state) % (uint64_t)config->vocab_size);
            v->token_type_ids[r * columns + i] =
                (int32_t)(i > columns / 2 ? tuff__verification_random(&state) % (uint64_t)config->type_vocab_size : 0);
        }
    }
    return TUFF_SUCCESS;
}

tuff_batch tuff__verification_batch(const tuff__verification *v)
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

static tuff_status walk_forward_graph(tuff__verification *v, const tuff_model *model, tuff_graph *graph,
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

static tuff_status verify_forward(tuff__verification *v, const tuff_model *model)
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

tuff_trainer_create_info tuff__verification_trainer(const tuff__verification *v)
{
    return (tuff_trainer_create_info){
        .weight_decay = 0.01,
        .lr_scheduler_type = TUFF_LR_SCHEDULER_CONSTANT,
        .seed = v->info.seed,
    };
}

static tuff_status verify_training(tuff__verification *v, tuff_model *model)
{
    tuff_trainer *trainer = NULL;
    const tuff_trainer_create_info info = tuff__verification_trainer(v);
    const tuff_batch batch = tuff__verification_batch(v);
    v->phase = TUFF_VERIFY_TRAINING;
    tuff_status status = tuff_trainer_create(model, &info, &trainer);
    if (status == TUFF_SUCCESS)
        status = tuff__trainer_walk_step(trainer, &batch, keep_walk_record, v);
    tuff_trainer_destroy(trainer);
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

static tuff_status check_memory(const tuff__verification *v)
{
    tuff_memory_estimate memory;
    TUFF_TRY(tuff__verify_memory(v->dir, &v->info, &memory));
    return tuff__memory_check(v->device, &memory, "verification", "batch_size or sequence_length");
}

static tuff_status verify_all(tuff__verification *v)
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
        status = tuff__verify_steps(v);
    return status == TUFF_SUCCESS ? v->status : status;
}

tuff_status tuff_verify_model(tuff_device *device, const char *dir, const tuff_verify_info *info,
                              tuff_verify_fn progress, void *user, tuff_verify_report **out_report)
{
    *out_report = NULL;
    tuff_verify_report *report = tuff__calloc(1, sizeof *report);
    if (!report)
        return tuff__fail_memory("verify", sizeof *report);
    tuff__verification v = {.device = device,
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
