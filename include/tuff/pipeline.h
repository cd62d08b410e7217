/*
 * pipeline.h: text in, answers out, under the field's names: text-classification and feature-extraction.
 *
 * Texts are UTF-8; `text_pairs` is NULL for single texts, else text_pairs[i] is the second text of texts[i].
 */
#ifndef TUFF_PIPELINE_H
#define TUFF_PIPELINE_H

#include "tuff/model.h"
#include "tuff/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -- text-classification ------------------------------------------------------------------------------------------ */

typedef struct tuff_text_classification tuff_text_classification;

typedef enum tuff_function_to_apply {
    TUFF_FUNCTION_DEFAULT = 0, /* by problem_type: regression none; multi-label, or one label, sigmoid; else softmax */
    TUFF_FUNCTION_SOFTMAX = 1,
    TUFF_FUNCTION_SIGMOID = 2,
    TUFF_FUNCTION_NONE = 3, /* the logits */
} tuff_function_to_apply;

typedef struct tuff_text_classification_info {
    tuff_function_to_apply function_to_apply;
    uint32_t top_k;      /* labels a text, best first; default (0): 1; more than there are: all */
    uint32_t max_length; /* tokens a text is cut to; default (0): what the tokenizer and the model take */
    uint32_t batch_size; /* the most texts in one batch; default (0): 32 */
} tuff_text_classification_info;

typedef struct tuff_label_score {
    const char *label; /* lives as long as the pipeline */
    uint32_t index;
    float score;
} tuff_label_score;

/* Loads model and tokenizer from the folder `dir`. NULL `info` means all defaults. `device` is borrowed and must
 * outlive the pipeline. */
TUFF_API tuff_status tuff_text_classification_create(tuff_device *device, const char *dir,
                                                     const tuff_text_classification_info *info,
                                                     tuff_text_classification **out_pipeline);
TUFF_API void tuff_text_classification_destroy(tuff_text_classification *pipeline);
/* Entries that run writes for each text. */
TUFF_API size_t tuff_text_classification_top_k(const tuff_text_classification *pipeline);
/* out_scores[i * top_k ..] are text i's labels, best first; of equal scores the lower index comes first. Errors:
 * INVALID_ARGUMENT for a text that is not UTF-8, naming it. */
TUFF_API tuff_status tuff_text_classification_run(tuff_text_classification *pipeline, const tuff_text *texts,
                                                  const tuff_text *text_pairs, size_t count,
                                                  tuff_label_score *out_scores);

/* -- feature-extraction ------------------------------------------------------------------------------------------- */

typedef struct tuff_feature_extraction tuff_feature_extraction;

typedef enum tuff_pooling {
    TUFF_POOLING_DEFAULT = 0, /* what sentence-transformers' modules.json and 1_Pooling say; without them NONE */
    TUFF_POOLING_NONE = 1,    /* a vector for each token, special tokens included */
    TUFF_POOLING_CLS = 2,     /* the first token's */
    TUFF_POOLING_MEAN = 3,
    TUFF_POOLING_MAX = 4,
} tuff_pooling;

typedef enum tuff_normalize {
    TUFF_NORMALIZE_DEFAULT = 0, /* unit length where modules.json has a Normalize module, unless another pooling than
                                   the folder's is chosen */
    TUFF_NORMALIZE_NO = 1,
    TUFF_NORMALIZE_YES = 2, /* each vector has Euclidean length 1 */
} tuff_normalize;

typedef struct tuff_feature_extraction_info {
    tuff_pooling pooling;
    tuff_normalize normalize;
    uint32_t max_length; /* tokens a text is cut to; default (0): sentence_bert_config.json's max_seq_length, where the
                            folder has one, within what the tokenizer and the model take */
    uint32_t batch_size; /* the most texts in one batch; default (0): 32 */
} tuff_feature_extraction_info;

/* As tuff_text_classification_create. */
TUFF_API tuff_status tuff_feature_extraction_create(tuff_device *device, const char *dir,
                                                    const tuff_feature_extraction_info *info,
                                                    tuff_feature_extraction **out_pipeline);
TUFF_API void tuff_feature_extraction_destroy(tuff_feature_extraction *pipeline);
TUFF_API size_t tuff_feature_extraction_dimension(const tuff_feature_extraction *pipeline);
TUFF_API tuff_pooling tuff_feature_extraction_pooling(const tuff_feature_extraction *pipeline); /* never DEFAULT */

typedef struct tuff_features {
    float *values; /* [rows, dimension]; free with tuff_free */
    size_t rows;   /* 1, or the text's tokens where pooling is NONE */
} tuff_features;

/* out_features[count]; on failure nothing is left to free. Errors: as for text-classification. */
TUFF_API tuff_status tuff_feature_extraction_run(tuff_feature_extraction *pipeline, const tuff_text *texts,
                                                 const tuff_text *text_pairs, size_t count,
                                                 tuff_features *out_features);

#ifdef __cplusplus
}
#endif

#endif
