/*
 * text_classification.c: owns the text-classification pipeline: logits to scores and labels, as transformers'
 * pipeline of that name does it.
 */
#include "text_session.h"
#include "tuff/pipeline.h"

#include <math.h>
#include <stdlib.h>

struct tuff_text_classification {
    tuff__text_session text_session;
    tuff_function_to_apply function_to_apply; /* never DEFAULT */
    size_t top_k;
    double *scores;           /* [num_labels], of one text */
    tuff_label_score *sorted; /* [num_labels] */
};

/* The rule of transformers' pipeline. */
static tuff_function_to_apply choose_function(const tuff_model_config *config, tuff_function_to_apply wished)
{
    if (wished != TUFF_FUNCTION_DEFAULT)
        return wished;
    if (config->problem_type == TUFF_PROBLEM_TYPE_REGRESSION)
        return TUFF_FUNCTION_NONE;
    if (config->problem_type == TUFF_PROBLEM_TYPE_MULTI_LABEL_CLASSIFICATION || config->num_labels == 1)
        return TUFF_FUNCTION_SIGMOID;
    return TUFF_FUNCTION_SOFTMAX;
}

static tuff_status fill_pipeline(tuff_text_classification *pipeline, tuff_device *device, const char *dir,
                                 const tuff_text_classification_info *info)
{
    const tuff__text_session_info session_info = {
        .head = TUFF_MODEL_HEAD_SEQUENCE_CLASSIFICATION,
        .output = TUFF__SESSION_LOGITS,
        .batch_size = info->batch_size,
        .max_length = info->max_length,
    };
    TUFF_TRY(tuff__check_enum((unsigned)info->function_to_apply, TUFF_FUNCTION_NONE,
                              "text-classification: function_to_apply"));
    TUFF_TRY(tuff__text_session_create(device, dir, &session_info, &pipeline->text_session));
    const tuff_model_config *config = tuff_model_get_config(pipeline->text_session.model);
    const size_t num_labels = (size_t)config->num_labels;
    pipeline->function_to_apply = choose_function(config, info->function_to_apply);
    pipeline->top_k = info->top_k ? info->top_k : 1;
    if (pipeline->top_k > num_labels)
        pipeline->top_k = num_labels;
    pipeline->scores = tuff__calloc(num_labels, sizeof *pipeline->scores);
    pipeline->sorted = tuff__calloc(num_labels, sizeof *pipeline->sorted);
    if (!pipeline->scores || !pipeline->sorted)
        return tuff__fail_memory("scores", num_labels * sizeof *pipeline->sorted);
    return TUFF_SUCCESS;
}

tuff_status tuff_text_classification_create(tuff_device *device, const char *dir,
                                            const tuff_text_classification_info *info,
                                            tuff_text_classification **out_pipeline)
{
    static const tuff_text_classification_info defaults = {0};
    *out_pipeline = NULL;
    tuff_text_classification *pipeline = tuff__calloc(1, sizeof *pipeline);
    if (!pipeline)
        return tuff__fail_memory("text-classification", sizeof *pipeline);
    const tuff_status status = fill_pipeline(pipeline, device, dir, info ? info : &defaults);
    if (status != TUFF_SUCCESS) {
        tuff_text_classification_destroy(pipeline);
        return status;
    }
    *out_pipeline = pipeline;
    return TUFF_SUCCESS;
}

void tuff_text_classification_destroy(tuff_text_classification *pipeline)
{
    if (!pipeline)
        return;
    tuff__text_session_destroy(&pipeline->text_session);
    tuff__free(pipeline->scores);
    tuff__free(pipeline->sorted);
    tuff__free(pipeline);
}

size_t tuff_text_classification_top_k(const tuff_text_classification *pipeline)
{
    return pipeline->top_k;
}

static void apply_softmax(const float *logits, size_t count, double *scores)
{
    double maximum = (double)logits[0], sum = 0.0;
    for (size_t i = 1; i < count; i++)
        if ((double)logits[i] > maximum)
            maximum = (double)logits[i];
    for (size_t i = 0; i < count; i++)
        sum += scores[i] = exp((double)logits[i] - maximum);
    for (size_t i = 0; i < count; i++)
        scores[i] /= sum;
}

static void apply_function(tuff_function_to_apply function, const float *logits, size_t count, double *scores)
{
    if (function == TUFF_FUNCTION_SOFTMAX) {
        apply_softmax(logits, count, scores);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const double x = (double)logits[i];
        scores[i] = function == TUFF_FUNCTION_SIGMOID ? 1.0 / (1.0 + exp(-x)) : x;
    }
}

static int compare_scores(const void *left, const void *right)
{
    const tuff_label_score *a = left, *b = right;
    if (a->score != b->score)
        return a->score < b->score ? 1 : -1;
    return a->index < b->index ? -1 : a->index > b->index;
}

typedef struct classification_run {
    tuff_text_classification *pipeline;
    tuff_label_score *out_scores;
} classification_run;

static tuff_status emit_scores(void *user, size_t index, const float *values, size_t rows, size_t columns)
{
    const classification_run *run = user;
    tuff_text_classification *pipeline = run->pipeline;
    const char *const *labels = tuff_model_get_config(pipeline->text_session.model)->labels;
    (void)rows;
    for (size_t i = 0; i < columns; i++)
        if (!isfinite(values[i]))
            return tuff__fail(TUFF_ERROR_INVALID_FILE,
                              "text-classification: text number %zu gives the logit %g for '%s'", index + 1,
                              (double)values[i], labels[i]);
    apply_function(pipeline->function_to_apply, values, columns, pipeline->scores);
    for (size_t i = 0; i < columns; i++)
        pipeline->sorted[i] = (tuff_label_score){
            .label = labels[i],
            .index = (uint32_t)i,
            .score = (float)pipeline->scores[i],
        };
    qsort(pipeline->sorted, columns, sizeof *pipeline->sorted, compare_scores);
    for (size_t i = 0; i < pipeline->top_k; i++)
        run->out_scores[index * pipeline->top_k + i] = pipeline->sorted[i];
    return TUFF_SUCCESS;
}

tuff_status tuff_text_classification_run(tuff_text_classification *pipeline, const tuff_text *texts,
                                         const tuff_text *text_pairs, size_t count, tuff_label_score *out_scores)
{
    classification_run run = {.pipeline = pipeline, .out_scores = out_scores};
    return tuff__text_session_run(&pipeline->text_session, texts, text_pairs, count, emit_scores, &run);
}
