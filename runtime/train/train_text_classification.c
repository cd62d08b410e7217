/*
 * train_text_classification.c: owns the whole job behind `tuff train --task text-classification`: what is read in which
 * order, the loop over epochs and steps, when to log, evaluate and save. One update is trainer.c's affair.
 */
#include "examples.h"
#include "metrics.h"
#include "schedule.h"
#include "train_log.h"
#include "train_report.h"
#include "trainer.h"

#include "../io/checkpoint.h"
#include "../io/file.h"
#include "../model/session.h"
#include "../os.h"

#include <math.h>
#include <string.h>

typedef struct job {
    tuff_device *device;
    tuff_training_arguments arguments; /* defaults applied */
    char *model_dir;
    char *output_dir; /* resolved once: the working directory may be what is replaced */
    bool random_weights;
    tuff__model_config config;      /* the folder's, before its labels are chosen */
    tuff_problem_type problem_type; /* config.json's, or single label where it has none */
    tuff__label_names labels;
    tuff_tokenizer *tokenizer;
    tuff_model *model;
    tuff__examples train, eval;
    tuff_trainer *trainer;
    tuff__session *session;
    tuff__sequence *sequences; /* the rows of eval */
    tuff__metrics metrics;     /* of the latest evaluation */
    bool evaluated;            /* metrics belong to the weights as they are now */
    /* the plan */
    uint64_t updates_per_epoch, batches_per_epoch, total_steps;
    tuff_memory_estimate memory;
    /* where it stands */
    bool ended; /* by on_event */
    uint64_t step, saved_step;
    uint32_t *order;          /* rows of this epoch; NULL: as they lie */
    tuff__collated *collated; /* [gradient_accumulation_steps] */
    tuff_batch *batches;      /* the same */
    tuff_step_result latest;
    double loss_sum, all_loss_sum; /* since the latest log line, and ever */
    uint64_t loss_count, sample_count;
    double train_seconds;
    /* the log */
    tuff__train_log log;
    char *live_path; /* where the log grows while training */
    FILE *live;
    /* load_best_model_at_end */
    float *best_weights;
    tuff__metrics best_metrics;
    double best_score;
} job;

/* -- arguments ---------------------------------------------------------------------------------------------------- */

static void apply_defaults(tuff_training_arguments *a)
{
    a->per_device_train_batch_size = a->per_device_train_batch_size ? a->per_device_train_batch_size : 8;
    a->per_device_eval_batch_size = a->per_device_eval_batch_size ? a->per_device_eval_batch_size : 8;
    a->gradient_accumulation_steps = a->gradient_accumulation_steps ? a->gradient_accumulation_steps : 1;
    a->num_train_epochs = a->num_train_epochs == 0 ? 3 : a->num_train_epochs;
    a->logging_strategy = a->logging_strategy ? a->logging_strategy : TUFF_INTERVAL_STEPS;
    a->logging_steps = a->logging_steps ? a->logging_steps : 10;
    if (!a->eval_strategy)
        a->eval_strategy = a->eval_file ? TUFF_INTERVAL_EPOCH : TUFF_INTERVAL_NO;
    a->eval_steps = a->eval_steps ? a->eval_steps : a->logging_steps;
    a->save_strategy = a->save_strategy ? a->save_strategy : TUFF_INTERVAL_NO;
    a->save_steps = a->save_steps ? a->save_steps : 500;
}

static tuff_status check_arguments(const tuff_training_arguments *a)
{
    if (!a->model || !a->train_file || !a->output_dir)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "training: %s is not given",
                          !a->model        ? "model"
                          : !a->train_file ? "train_file"
                                           : "output_dir");
    if (!(a->num_train_epochs > 0 && a->num_train_epochs <= 1e6))
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "training: num_train_epochs is %g, wanted a number above 0",
                          a->num_train_epochs);
    if (!(a->warmup_steps >= 0 && a->warmup_steps <= 1e15) || !(a->warmup_ratio >= 0 && a->warmup_ratio <= 1))
        return tuff__fail(
            TUFF_ERROR_INVALID_ARGUMENT,
            "training: warmup_steps is %g and warmup_ratio %g, wanted at least 0, and a ratio of at most 1",
            a->warmup_steps, a->warmup_ratio);
    if (a->load_best_model_at_end && (!a->eval_file || a->eval_strategy == TUFF_INTERVAL_NO))
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                          "training: load_best_model_at_end needs an eval_file and evaluations");
    if (!a->eval_file && a->eval_strategy != TUFF_INTERVAL_NO)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "training: eval_strategy is %s, which needs an eval_file",
                          a->eval_strategy == TUFF_INTERVAL_EPOCH ? "epoch" : "steps");
    return TUFF_SUCCESS;
}

/* Whether the output folder can be written, before anything takes time. */
static tuff_status check_output(job *j)
{
    tuff__checkpoint_save *save = NULL;
    const tuff_status status = tuff__checkpoint_save_begin(j->arguments.output_dir, &save);
    tuff__checkpoint_save_destroy(save);
    TUFF_TRY(status);
    TUFF_TRY(tuff__path_resolve(j->arguments.output_dir, &j->output_dir));
    tuff__checkpoint_tell_of_others(j->output_dir, ".log-", "training");
    return TUFF_SUCCESS;
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

/* What config.json alone rules out is refused before the tables are read. */
static tuff_status read_config(job *j)
{
    TUFF_TRY(tuff_model_find(j->arguments.model, &j->model_dir));
    TUFF_TRY(tuff__model_config_load(j->model_dir, &j->config));
    j->problem_type =
        j->config.fields.problem_type ? j->config.fields.problem_type : TUFF_PROBLEM_TYPE_SINGLE_LABEL_CLASSIFICATION;
    return tuff__trainer_check_problem_type(j->problem_type);
}

static tuff_status choose_labels(job *j, const tuff__example_source *train)
{
    const tuff_model_config *config = &j->config.fields;
    return tuff__label_names_choose(train, config->labels, (size_t)config->num_labels, &j->labels);
}

static tuff_model_create_info model_info(const job *j)
{
    tuff_model_create_info info = {
        .head = TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION,
        .problem_type = j->problem_type,
        .random_weights = j->random_weights,
        .seed = j->arguments.seed,
    };
    if (!j->labels.from_config) {
        info.labels = (const char *const *)j->labels.names;
        info.label_count = j->labels.count;
    }
    return info;
}

/* The tokenizer, and the model as a description without weights, which takes no memory of the device. */
static tuff_status describe_model(job *j)
{
    j->random_weights = j->arguments.random_weights || !tuff__checkpoint_has_weights(j->model_dir);
    const tuff_model_create_info info = model_info(j);
    TUFF_TRY(tuff_tokenizer_load(j->model_dir, &j->tokenizer));
    TUFF_TRY(tuff__model_describe(j->model_dir, &info, &j->model));
    const tuff_model_config *config = tuff_model_get_config(j->model);
    const size_t ids = tuff_tokenizer_vocab_size(j->tokenizer);
    if (ids > (size_t)config->vocab_size)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: the tokenizer has %zu ids, the model's vocab_size is %lld",
                          j->model_dir, ids, (long long)config->vocab_size);
    return TUFF_SUCCESS;
}

static tuff_status find_max_length(const job *j, uint32_t *out_max_length)
{
    const uint64_t positions = (uint64_t)tuff_model_get_config(j->model)->max_position_embeddings;
    const uint64_t trained = tuff_tokenizer_model_max_length(j->tokenizer), asked = j->arguments.max_length;
    if (asked > positions)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                          "training: max_length is %llu, the model takes at most %llu tokens",
                          (unsigned long long)asked, (unsigned long long)positions);
    const uint64_t limit = asked ? asked : trained && trained < positions ? trained : positions;
    *out_max_length = (uint32_t)limit;
    return TUFF_SUCCESS;
}

static tuff_status encode_all(job *j, const tuff__example_source *train, const tuff__example_source *eval)
{
    uint32_t max_length = 0;
    const int64_t types = j->config.fields.type_vocab_size;
    TUFF_TRY(find_max_length(j, &max_length));
    TUFF_TRY(tuff__examples_create(train, j->tokenizer, &j->labels, max_length, types, &j->train));
    if (!eval->table)
        return TUFF_SUCCESS;
    TUFF_TRY(tuff__examples_create(eval, j->tokenizer, &j->labels, max_length, types, &j->eval));
    j->sequences = tuff__calloc(j->eval.count, sizeof *j->sequences);
    if (!j->sequences)
        return tuff__fail_memory("evaluation rows", j->eval.count * sizeof *j->sequences);
    for (size_t r = 0; r < j->eval.count; r++)
        j->sequences[r] = (tuff__sequence){
            .input_ids = j->eval.input_ids + j->eval.starts[r],
            .token_type_ids = j->eval.token_type_ids + j->eval.starts[r],
            .length = (uint32_t)(j->eval.starts[r + 1] - j->eval.starts[r]),
        };
    return TUFF_SUCCESS;
}

static tuff_status read_everything(job *j)
{
    const tuff_training_arguments *a = &j->arguments;
    tuff__example_source train = {0}, eval = {0};
    tuff_status status = read_config(j);
    if (status == TUFF_SUCCESS)
        status = tuff__example_source_open(a, a->train_file, a->max_train_samples, &train);
    if (status == TUFF_SUCCESS && a->eval_file)
        status = tuff__example_source_open(a, a->eval_file, a->max_eval_samples, &eval);
    if (status == TUFF_SUCCESS)
        status = choose_labels(j, &train);
    if (status == TUFF_SUCCESS)
        status = describe_model(j);
    if (status == TUFF_SUCCESS)
        status = encode_all(j, &train, &eval);
    tuff__example_source_destroy(&train);
    tuff__example_source_destroy(&eval);
    return status;
}

/* -- events and the log ------------------------------------------------------------------------------------------- */

/* In batches, as transformers' Trainer counts: the last update of an epoch may have fewer of them than the others. */
static double epoch_of(const job *j)
{
    const uint64_t whole = j->step / j->updates_per_epoch;
    const uint64_t batches = j->step % j->updates_per_epoch * j->arguments.gradient_accumulation_steps;
    return (double)whole + (double)batches / (double)j->batches_per_epoch;
}

/* A status other than SUCCESS is the way out of everything under way: on_event wants no more of this training. */
static tuff_status tell(job *j, tuff_training_event_type type, const tuff__log_entry *entry)
{
    if (!j->arguments.on_event)
        return TUFF_SUCCESS;
    const double per_step = j->step ? j->train_seconds / (double)j->step : 0;
    tuff_training_event event = {
        .type = type,
        .step = j->step,
        .total_steps = j->total_steps,
        .epoch = epoch_of(j),
        .loss = j->loss_count ? j->loss_sum / (double)j->loss_count : 0,
        .grad_norm = j->latest.grad_norm,
        .learning_rate = j->latest.learning_rate,
        .samples_per_second = j->train_seconds > 0 ? (double)j->sample_count / j->train_seconds : 0,
        .seconds_left = per_step * (double)(j->total_steps - j->step),
        .train_rows = j->train.count,
        .eval_rows = j->eval.count,
        .parameter_count = tuff_model_parameter_count(j->model),
        .random_weights = j->random_weights,
        .memory = j->memory,
        .output_dir = j->arguments.output_dir,
    };
    if (entry) {
        event.loss = entry->loss;
        event.accuracy = entry->accuracy;
        event.macro_f1 = entry->macro_f1;
    }
    const bool goes_on = j->arguments.on_event(j->arguments.on_event_user, &event);
    j->ended = !goes_on && j->saved_step < j->total_steps; /* what is all done cannot be ended early */
    return j->ended ? tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "training: ended by on_event") : TUFF_SUCCESS;
}

static tuff_status add_to_log(job *j, const tuff__log_entry *entry)
{
    TUFF_TRY(tuff__train_log_append(&j->log, entry));
    TUFF_TRY(tuff__log_entry_write(entry, j->live, j->live_path));
    return tell(j, entry->evaluation ? TUFF_TRAINING_EVALUATE : TUFF_TRAINING_LOG, entry);
}

static tuff_status log_step(job *j)
{
    const tuff__log_entry entry = {
        .step = j->step,
        .epoch = epoch_of(j),
        .loss = j->loss_sum / (double)j->loss_count,
        .grad_norm = j->latest.grad_norm,
        .learning_rate = j->latest.learning_rate,
    };
    TUFF_TRY(add_to_log(j, &entry));
    j->loss_sum = 0;
    j->loss_count = 0;
    return TUFF_SUCCESS;
}

/* -- the plan ----------------------------------------------------------------------------------------------------- */

/* How many batches and updates, counted as transformers' Trainer counts them. */
static tuff_status plan_steps(job *j)
{
    const tuff_training_arguments *a = &j->arguments;
    const uint64_t rows = j->train.count, size = a->per_device_train_batch_size, group = a->gradient_accumulation_steps;
    j->batches_per_epoch = a->dataloader_drop_last ? rows / size : (rows + size - 1) / size;
    if (j->batches_per_epoch == 0)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                          "%s: holds %llu rows, less than one batch of %llu, and dataloader_drop_last leaves it out",
                          a->train_file, (unsigned long long)rows, (unsigned long long)size);
    j->updates_per_epoch = (j->batches_per_epoch + group - 1) / group;
    j->total_steps = a->max_steps ? a->max_steps : (uint64_t)ceil(a->num_train_epochs * (double)j->updates_per_epoch);
    return TUFF_SUCCESS;
}

/* Rows of the largest batch. */
static uint32_t batch_rows(const job *j)
{
    const uint32_t wanted = j->arguments.per_device_train_batch_size;
    return j->train.count < wanted ? (uint32_t)j->train.count : wanted; /* no full batch will ever come */
}

/* What training needs of the device, from the longest batch there can be: told, and refused where it cannot fit. */
static tuff_status check_memory(job *j)
{
    char what[80], lower[120];
    int64_t longest = 1;
    for (size_t r = 0; r < j->train.count; r++)
        if ((int64_t)(j->train.starts[r + 1] - j->train.starts[r]) > longest)
            longest = (int64_t)(j->train.starts[r + 1] - j->train.starts[r]);
    const int64_t positions = tuff_model_get_config(j->model)->max_position_embeddings;
    const uint32_t length = (uint32_t)tuff__length_bucket(longest, positions), rows = batch_rows(j);
    tuff_memory_estimate estimate;
    tuff_model_estimate_memory(j->model, rows, length, true, &estimate);
    if (j->arguments.gradient_accumulation_steps > 1) { /* the sum lies beside each batch's */
        estimate.total += estimate.gradients;
        estimate.gradients *= 2;
    }
    j->memory = estimate;
    TUFF_TRY(tell(j, TUFF_TRAINING_MEMORY, NULL));
    snprintf(what, sizeof what, "training with batches of %u x %u tokens", rows, length);
    snprintf(lower, sizeof lower,
             "per_device_train_batch_size (now %u) or max_length (the longest text has %lld tokens)",
             j->arguments.per_device_train_batch_size, (long long)longest);
    return tuff__memory_check(j->device, &estimate, what, lower);
}

/* The model with its weights in place of its description. */
static tuff_status load_model(job *j)
{
    const tuff_model_create_info info = model_info(j);
    tuff_model_destroy(j->model);
    TUFF_TRY(tuff_model_create(j->device, j->model_dir, &info, &j->model));
    if (!j->eval.count)
        return TUFF_SUCCESS;
    const tuff__session_info session = {.output = TUFF__SESSION_LOGITS,
                                        .batch_size = j->arguments.per_device_eval_batch_size};
    return tuff__session_create(j->model, &session, &j->session);
}

static tuff_status create_trainer(job *j)
{
    const tuff_training_arguments *a = &j->arguments;
    tuff_trainer_create_info info = a->trainer;
    info.total_steps = j->total_steps;
    info.warmup_steps = tuff__warmup_steps(a->warmup_steps, a->warmup_ratio, j->total_steps);
    info.seed = a->seed;
    info.per_device_train_batch_size = batch_rows(j);
    return tuff_trainer_create(j->model, &info, &j->trainer);
}

static tuff_status prepare_loop(job *j)
{
    const size_t group = j->arguments.gradient_accumulation_steps;
    j->collated = tuff__calloc(group, sizeof *j->collated);
    j->batches = tuff__calloc(group, sizeof *j->batches);
    if (!j->collated || !j->batches)
        return tuff__fail_memory("batches", group * (sizeof *j->collated + sizeof *j->batches));
    if (j->arguments.train_sampling_strategy == TUFF_TRAIN_SAMPLING_RANDOM) {
        j->order = tuff__calloc(j->train.count, sizeof *j->order);
        if (!j->order)
            return tuff__fail_memory("row order", j->train.count * sizeof *j->order);
    }
    if (j->arguments.load_best_model_at_end) {
        j->best_weights = tuff__malloc(tuff__trainer_weight_count(j->trainer) * sizeof *j->best_weights);
        if (!j->best_weights)
            return tuff__fail_memory("best weights", tuff__trainer_weight_count(j->trainer) * sizeof *j->best_weights);
    }
    j->live_path = tuff__asprintf("%s.log-%llu.jsonl", j->output_dir, (unsigned long long)tuff__process_id());
    if (!j->live_path)
        return tuff__fail_memory("path", strlen(j->output_dir));
    j->live = tuff__file_open(j->live_path, "wbx"); /* never somebody's file, nor what a killed run left */
    return j->live ? TUFF_SUCCESS : tuff__fail_write(j->live_path);
}

/* -- evaluation --------------------------------------------------------------------------------------------------- */

static tuff_status count_row(void *user, size_t index, const float *values, size_t rows, size_t columns)
{
    job *j = user;
    (void)rows;
    (void)columns;
    tuff__metrics_add(&j->metrics, values, &j->eval.labels[index], 1);
    return tell(j, TUFF_TRAINING_EVALUATE_ROW, NULL);
}

/* Higher is better. */
static double score_of(const job *j)
{
    switch (j->arguments.metric_for_best_model) {
    case TUFF_METRIC_ACCURACY:
        return tuff__metrics_accuracy(&j->metrics);
    case TUFF_METRIC_F1:
        return tuff__metrics_macro_f1(&j->metrics);
    case TUFF_METRIC_LOSS:
        break;
    }
    return -tuff__metrics_loss(&j->metrics);
}

static tuff_status keep_best(job *j)
{
    const double score = score_of(j);
    if (!j->best_weights || (j->best_metrics.row_count && score <= j->best_score))
        return TUFF_SUCCESS;
    TUFF_TRY(tuff__trainer_read_weights(j->trainer, j->best_weights));
    TUFF_TRY(tuff__metrics_create(&j->best_metrics, j->metrics.label_count, j->metrics.label_smoothing));
    memcpy(j->best_metrics.confusion, j->metrics.confusion,
           j->metrics.label_count * j->metrics.label_count * sizeof *j->metrics.confusion);
    j->best_metrics.row_count = j->metrics.row_count;
    j->best_metrics.loss_sum = j->metrics.loss_sum;
    j->best_score = score;
    return TUFF_SUCCESS;
}

static tuff_status evaluate(job *j)
{
    TUFF_TRY(tuff__metrics_create(&j->metrics, j->labels.count, j->arguments.trainer.label_smoothing));
    TUFF_TRY(tuff__session_run(j->session, j->sequences, 0, j->eval.count, count_row, j));
    j->evaluated = true;
    const tuff__log_entry entry = {
        .evaluation = true,
        .step = j->step,
        .epoch = epoch_of(j),
        .loss = tuff__metrics_loss(&j->metrics),
        .accuracy = tuff__metrics_accuracy(&j->metrics),
        .macro_f1 = tuff__metrics_macro_f1(&j->metrics),
    };
    TUFF_TRY(add_to_log(j, &entry));
    return keep_best(j);
}

static tuff_status restore_best(job *j)
{
    if (!j->best_metrics.row_count)
        return TUFF_SUCCESS;
    TUFF_TRY(tuff__trainer_write_weights(j->trainer, j->best_weights));
    tuff__metrics_destroy(&j->metrics);
    j->metrics = j->best_metrics;
    j->best_metrics = (tuff__metrics){0};
    return TUFF_SUCCESS;
}

/* -- saving ------------------------------------------------------------------------------------------------------- */

static tuff_status save_log(const job *j, const char *folder)
{
    char *log = tuff__asprintf("%s/log.jsonl", folder), *page = tuff__asprintf("%s/log.html", folder);
    tuff_status status = log && page ? TUFF_SUCCESS : tuff__fail_memory("path", strlen(folder));
    const tuff__train_report report = {
        .title = "Training of a text classifier",
        .log = &j->log,
        .metrics = j->evaluated ? &j->metrics : NULL,
        .labels = (const char *const *)j->labels.names,
    };
    if (status == TUFF_SUCCESS)
        status = tuff__train_log_save(&j->log, log);
    if (status == TUFF_SUCCESS)
        status = tuff__train_report_save(&report, page);
    tuff__free(log);
    tuff__free(page);
    return status;
}

static tuff_status save(job *j)
{
    tuff__checkpoint_save *folder = NULL;
    tuff_status status = tuff__checkpoint_save_begin(j->output_dir, &folder);
    if (status == TUFF_SUCCESS)
        status = tuff__model_save_files(j->model, j->tokenizer, folder);
    if (status == TUFF_SUCCESS)
        status = save_log(j, tuff__checkpoint_save_folder(folder));
    if (status == TUFF_SUCCESS)
        status = tuff__checkpoint_save_commit(folder);
    tuff__checkpoint_save_destroy(folder);
    TUFF_TRY(status);
    j->saved_step = j->step;
    return tell(j, TUFF_TRAINING_SAVE, NULL);
}

/* -- the loop ----------------------------------------------------------------------------------------------------- */

/* Puts the next update's rows into j->batches. */
static tuff_status collate_update(job *j, size_t *out_count)
{
    const tuff_training_arguments *a = &j->arguments;
    const uint64_t update = j->step % j->updates_per_epoch, epoch = j->step / j->updates_per_epoch;
    if (update == 0 && j->order)
        tuff__shuffled_rows(a->seed, (uint32_t)epoch, j->order, (uint32_t)j->train.count);
    size_t count = 0;
    for (uint64_t b = update * a->gradient_accumulation_steps;
         b < j->batches_per_epoch && count < a->gradient_accumulation_steps; b++) {
        const size_t first = (size_t)b * a->per_device_train_batch_size, left = j->train.count - first;
        const size_t rows = left < a->per_device_train_batch_size ? left : a->per_device_train_batch_size;
        TUFF_TRY(tuff__collate(&j->train, j->order, first, rows, &j->collated[count]));
        j->batches[count] = j->collated[count].batch;
        j->sample_count += rows;
        count++;
    }
    *out_count = count;
    return TUFF_SUCCESS;
}

static tuff_status run_update(job *j)
{
    const double begin = tuff__clock_seconds();
    size_t count;
    TUFF_TRY(collate_update(j, &count));
    TUFF_TRY(tuff_trainer_step(j->trainer, j->batches, count, &j->latest));
    j->train_seconds += tuff__clock_seconds() - begin;
    j->step++;
    j->evaluated = false;
    j->loss_sum += j->latest.loss;
    j->all_loss_sum += j->latest.loss;
    j->loss_count++;
    return tell(j, TUFF_TRAINING_STEP, NULL);
}

/* Whether something that happens by `strategy` is due after the update just done. */
static bool is_due(const job *j, tuff_interval_strategy strategy, uint64_t steps)
{
    if (strategy == TUFF_INTERVAL_EPOCH)
        return j->step % j->updates_per_epoch == 0;
    return strategy == TUFF_INTERVAL_STEPS && j->step % steps == 0;
}

static tuff_status run_steps(job *j)
{
    const tuff_training_arguments *a = &j->arguments;
    TUFF_TRY(tell(j, TUFF_TRAINING_BEGIN, NULL));
    while (j->step < j->total_steps) {
        TUFF_TRY(run_update(j));
        const bool last = j->step == j->total_steps;
        const bool logs = is_due(j, a->logging_strategy, a->logging_steps);
        if (logs || (last && j->loss_count && a->logging_strategy != TUFF_INTERVAL_NO))
            TUFF_TRY(log_step(j));
        if (is_due(j, a->eval_strategy, a->eval_steps) || (last && a->eval_strategy != TUFF_INTERVAL_NO))
            TUFF_TRY(evaluate(j));
        if (!last && is_due(j, a->save_strategy, a->save_steps))
            TUFF_TRY(save(j));
    }
    TUFF_TRY(restore_best(j));
    return save(j);
}

static void fill_result(const job *j, tuff_training_result *result)
{
    *result = (tuff_training_result){
        .steps = j->step,
        .complete = !j->ended,
        .saved_steps = j->saved_step,
        .train_loss = j->step ? j->all_loss_sum / (double)j->step : 0,
        .evaluated = j->evaluated,
        .train_seconds = j->train_seconds,
        .train_samples_per_second = j->train_seconds > 0 ? (double)j->sample_count / j->train_seconds : 0,
    };
    if (j->evaluated) {
        result->eval_loss = tuff__metrics_loss(&j->metrics);
        result->eval_accuracy = tuff__metrics_accuracy(&j->metrics);
        result->eval_f1 = tuff__metrics_macro_f1(&j->metrics);
    }
}

static void job_destroy(job *j)
{
    if (j->live) {
        fclose(j->live);
        /* Its content is in the output folder by now; after a failure there is nothing worth a file. Best effort: a
         * failure to remove it must not hide the one that led here. */
        (void)tuff__file_remove(j->live_path);
    }
    for (size_t i = 0; j->collated && i < j->arguments.gradient_accumulation_steps; i++)
        tuff__collated_destroy(&j->collated[i]);
    tuff__free(j->collated);
    tuff__free(j->batches);
    tuff__free(j->order);
    tuff__free(j->live_path);
    tuff__free(j->best_weights);
    tuff__metrics_destroy(&j->best_metrics);
    tuff__metrics_destroy(&j->metrics);
    tuff__train_log_destroy(&j->log);
    tuff__session_destroy(j->session);
    tuff__free(j->sequences);
    tuff_trainer_destroy(j->trainer);
    tuff__examples_destroy(&j->train);
    tuff__examples_destroy(&j->eval);
    tuff_model_destroy(j->model);
    tuff_tokenizer_destroy(j->tokenizer);
    tuff__label_names_destroy(&j->labels);
    tuff__model_config_destroy(&j->config);
    tuff__free(j->output_dir);
    tuff_free(j->model_dir);
}

static tuff_status run_job(job *j)
{
    TUFF_TRY(check_arguments(&j->arguments));
    TUFF_TRY(check_output(j));
    TUFF_TRY(read_everything(j));
    TUFF_TRY(plan_steps(j));
    TUFF_TRY(check_memory(j));
    TUFF_TRY(load_model(j));
    TUFF_TRY(create_trainer(j));
    TUFF_TRY(prepare_loop(j));
    return run_steps(j);
}

tuff_status tuff_train_text_classification(tuff_device *device, const tuff_training_arguments *arguments,
                                           tuff_training_result *out_result)
{
    job j = {.device = device, .arguments = *arguments};
    apply_defaults(&j.arguments);
    tuff_status status = run_job(&j);
    if (j.ended) /* as was wished, which is no failure */
        status = TUFF_SUCCESS;
    if (status == TUFF_SUCCESS && out_result)
        fill_result(&j, out_result);
    job_destroy(&j);
    return status;
}
