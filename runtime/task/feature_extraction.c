/*
 * feature_extraction.c: owns the feature-extraction pipeline: hidden states of each token, or one vector a text, pooled
 * and normalised as sentence-transformers' folders ask for.
 */
#include "pooling_config.h"
#include "text_session.h"
#include "tuff/pipeline.h"

#include <math.h>
#include <string.h>

struct tuff_feature_extraction {
    tuff__text_session text_session;
    tuff_pooling pooling; /* never DEFAULT */
    bool normalize;
};

static tuff__session_output session_output(tuff_pooling pooling)
{
    switch (pooling) {
    case TUFF_POOLING_CLS:
        return TUFF__SESSION_POOL_CLS;
    case TUFF_POOLING_MEAN:
        return TUFF__SESSION_POOL_MEAN;
    case TUFF_POOLING_MAX:
        return TUFF__SESSION_POOL_MAX;
    case TUFF_POOLING_DEFAULT:
    case TUFF_POOLING_NONE:
        break;
    }
    return TUFF__SESSION_LAST_HIDDEN_STATE;
}

/* Resolves the defaults from the folder; `*out_max_seq_length` 0 means the folder has none for this pooling. */
static tuff_status choose_pooling(tuff_feature_extraction *pipeline, const char *dir,
                                  const tuff_feature_extraction_info *info, uint32_t *out_max_seq_length)
{
    tuff__pooling_config config = {.pooling = info->pooling};
    bool normalize = false;
    if (info->pooling == TUFF_POOLING_DEFAULT) {
        TUFF_TRY(tuff__pooling_config_load(dir, &config));
        normalize = config.normalize;
    } else if (info->pooling != TUFF_POOLING_NONE) { /* vectors of tokens are transformers', with its lengths */
        tuff__pooling_config folder;
        TUFF_TRY(tuff__pooling_config_load_length(dir, &config.max_seq_length));
        /* What the folder asks for that tuff does not do is no failure where the caller chose the pooling. */
        (void)tuff__pooling_config_load(dir, &folder);
        normalize = folder.pooling == info->pooling && folder.normalize;
    }
    pipeline->pooling = config.pooling;
    pipeline->normalize =
        info->normalize == TUFF_NORMALIZE_YES || (info->normalize == TUFF_NORMALIZE_DEFAULT && normalize);
    *out_max_seq_length = config.max_seq_length;
    return TUFF_SUCCESS;
}

static tuff_status fill_pipeline(tuff_feature_extraction *pipeline, tuff_device *device, const char *dir,
                                 const tuff_feature_extraction_info *info)
{
    uint32_t max_seq_length = 0;
    TUFF_TRY(tuff__check_given(dir, "feature-extraction: dir"));
    TUFF_TRY(tuff__check_enum((unsigned)info->pooling, TUFF_POOLING_MAX, "feature-extraction: pooling"));
    TUFF_TRY(tuff__check_enum((unsigned)info->normalize, TUFF_NORMALIZE_YES, "feature-extraction: normalize"));
    TUFF_TRY(choose_pooling(pipeline, dir, info, &max_seq_length));
    const tuff__text_session_info session_info = {
        .head = TUFF_MODEL_HEAD_DEFAULT,
        .output = session_output(pipeline->pooling),
        .batch_size = info->batch_size,
        .max_length = info->max_length,
        .task_max_length = max_seq_length,
    };
    return tuff__text_session_create(device, dir, &session_info, &pipeline->text_session);
}

tuff_status tuff_feature_extraction_create(tuff_device *device, const char *dir,
                                           const tuff_feature_extraction_info *info,
                                           tuff_feature_extraction **out_pipeline)
{
    static const tuff_feature_extraction_info defaults = {0};
    *out_pipeline = NULL;
    tuff_feature_extraction *pipeline = tuff__calloc(1, sizeof *pipeline);
    if (!pipeline)
        return tuff__fail_memory("feature-extraction", sizeof *pipeline);
    const tuff_status status = fill_pipeline(pipeline, device, dir, info ? info : &defaults);
    if (status != TUFF_SUCCESS) {
        tuff_feature_extraction_destroy(pipeline);
        return status;
    }
    *out_pipeline = pipeline;
    return TUFF_SUCCESS;
}

void tuff_feature_extraction_destroy(tuff_feature_extraction *pipeline)
{
    if (!pipeline)
        return;
    tuff__text_session_destroy(&pipeline->text_session);
    tuff__free(pipeline);
}

size_t tuff_feature_extraction_dimension(const tuff_feature_extraction *pipeline)
{
    return (size_t)tuff_model_get_config(pipeline->text_session.model)->hidden_size;
}

tuff_pooling tuff_feature_extraction_pooling(const tuff_feature_extraction *pipeline)
{
    return pipeline->pooling;
}

/* PyTorch's normalize: x/max(|x|, 1e-12), here in double. */
static void normalize_row(float *row, size_t columns)
{
    double sum = 0.0;
    for (size_t i = 0; i < columns; i++)
        sum += (double)row[i] * (double)row[i];
    const double norm = sqrt(sum), divisor = norm > 1e-12 ? norm : 1e-12;
    for (size_t i = 0; i < columns; i++)
        row[i] = (float)((double)row[i] / divisor);
}

typedef struct extraction_run {
    const tuff_feature_extraction *pipeline;
    tuff_features *out_features;
} extraction_run;

static tuff_status emit_features(void *user, size_t index, const float *values, size_t rows, size_t columns)
{
    const extraction_run *run = user;
    const size_t size = rows * columns * sizeof(float);
    for (size_t i = 0; i < rows * columns; i++)
        if (!isfinite(values[i]))
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "feature-extraction: text number %zu gives %g at element %zu",
                              index + 1, (double)values[i], i);
    float *copy = tuff__malloc(size);
    if (!copy)
        return tuff__fail_memory("features", size);
    memcpy(copy, values, size);
    if (run->pipeline->normalize)
        for (size_t row = 0; row < rows; row++)
            normalize_row(copy + row * columns, columns);
    run->out_features[index] = (tuff_features){.values = copy, .rows = rows};
    return TUFF_SUCCESS;
}

tuff_status tuff_feature_extraction_run(tuff_feature_extraction *pipeline, const tuff_text *texts,
                                        const tuff_text *text_pairs, size_t count, tuff_features *out_features)
{
    extraction_run run = {.pipeline = pipeline, .out_features = out_features};
    for (size_t i = 0; i < count; i++)
        out_features[i] = (tuff_features){0};
    const tuff_status status =
        tuff__text_session_run(&pipeline->text_session, texts, text_pairs, count, emit_features, &run);
    for (size_t i = 0; status != TUFF_SUCCESS && i < count; i++) {
        tuff_free(out_features[i].values);
        out_features[i] = (tuff_features){0};
    }
    return status;
}
