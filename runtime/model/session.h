/*
 * session.h: sequences of any lengths through a model: sorted by length, cut into batches, padded into shape buckets.
 *
 * A bucket's graph is compiled at its first use and kept; the least recently used one makes room for a new one. All
 * share the model's weights.
 */
#ifndef TUFF_RUNTIME_SESSION_H
#define TUFF_RUNTIME_SESSION_H

#include "model.h"

typedef enum tuff__session_output {
    TUFF__SESSION_LOGITS = 0,            /* one row of num_labels */
    TUFF__SESSION_LAST_HIDDEN_STATE = 1, /* `length` rows of hidden_size */
    TUFF__SESSION_POOL_CLS = 2,          /* one row of hidden_size: the first token */
    TUFF__SESSION_POOL_MEAN = 3,         /* the mean over the tokens that are not padding */
    TUFF__SESSION_POOL_MAX = 4,          /* the maximum over them */
} tuff__session_output;

typedef struct tuff__session_info {
    tuff__session_output output;
    tuff_buffer *weights; /* default (NULL): the model's */
    uint32_t batch_size;  /* the most sequences in one batch; default (0): 32 */
} tuff__session_info;

typedef struct tuff__sequence {
    const int32_t *input_ids;
    const int32_t *token_type_ids; /* NULL: all 0 */
    uint32_t length;               /* from 1 to max_position_embeddings */
} tuff__sequence;

typedef struct tuff__session tuff__session;

/* `model` and `info->weights` are borrowed and must outlive the session. */
tuff_status tuff__session_create(const tuff_model *model, const tuff__session_info *info, tuff__session **out_session);
void tuff__session_destroy(tuff__session *session); /* accepts NULL */

/* Called once a sequence, in no promised order, with its index counted from run's `first`; a status other than SUCCESS
 * ends the run and is passed up. */
typedef tuff_status (*tuff__session_emit)(void *user, size_t index, const float *values, size_t rows, size_t columns);

/* Sequences are counted from `first`, for callers that come in parts. Errors: INVALID_ARGUMENT for a length or an id
 * outside the model's range, naming the sequence. */
tuff_status tuff__session_run(tuff__session *session, const tuff__sequence *sequences, size_t first, size_t count,
                              tuff__session_emit emit, void *user);

/* The bucket of a length: the next multiple of 8, at most `limit`. */
int64_t tuff__length_bucket(int64_t length, int64_t limit);

#endif
