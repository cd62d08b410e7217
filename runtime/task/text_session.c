/*
 * text_session.c: owns loading a folder for a task, the length that texts are cut to, and encoding in chunks, so that a
 * million texts need no more memory than some thousands.
 */
#include "text_session.h"

enum { CHUNK = 2048 };

/* The length texts are cut to; see tuff__text_session_info. */
static tuff_status choose_max_length(const tuff__text_session_info *info, tuff__text_session *text_session)
{
    const uint64_t positions = (uint64_t)tuff_model_get_config(text_session->model)->max_position_embeddings;
    const uint64_t trained = tuff_tokenizer_model_max_length(text_session->tokenizer);
    if (info->max_length > positions)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "max_length %u is more than the model's %llu positions",
                          info->max_length, (unsigned long long)positions);
    uint64_t length = positions;
    if (trained && trained < length)
        length = trained;
    if (info->task_max_length && info->task_max_length < length)
        length = info->task_max_length;
    text_session->max_length = info->max_length ? info->max_length : (uint32_t)length;
    return TUFF_SUCCESS;
}

tuff_status tuff__text_session_create(tuff_device *device, const char *dir, const tuff__text_session_info *info,
                                      tuff__text_session *out_text_session)
{
    const tuff_model_create_info model_info = {.head = info->head};
    const tuff__session_info session_info = {.output = info->output, .batch_size = info->batch_size};
    *out_text_session = (tuff__text_session){0};
    TUFF_TRY(tuff_model_create(device, dir, &model_info, &out_text_session->model));
    TUFF_TRY(tuff_tokenizer_load(dir, &out_text_session->tokenizer));
    TUFF_TRY(choose_max_length(info, out_text_session));
    return tuff__session_create(out_text_session->model, &session_info, &out_text_session->session);
}

void tuff__text_session_destroy(tuff__text_session *text_session)
{
    tuff__session_destroy(text_session->session);
    tuff_tokenizer_destroy(text_session->tokenizer);
    tuff_model_destroy(text_session->model);
    *text_session = (tuff__text_session){0};
}

/* Runs `count` encodings; `sequences` is room for as many. */
static tuff_status run_encodings(tuff__text_session *text_session, const tuff_encoding *encodings, size_t first,
                                 size_t count, tuff__sequence *sequences, tuff__session_emit emit, void *user)
{
    for (size_t i = 0; i < count; i++)
        sequences[i] = (tuff__sequence){
            .input_ids = encodings[i].input_ids,
            .token_type_ids = encodings[i].token_type_ids,
            .length = (uint32_t)encodings[i].count,
        };
    return tuff__session_run(text_session->session, sequences, first, count, emit, user);
}

/* The texts [first, first + count). */
static tuff_status run_chunk(tuff__text_session *text_session, const tuff_text *texts, const tuff_text *text_pairs,
                             size_t first, size_t count, tuff__session_emit emit, void *user)
{
    const tuff_encode_options options = {
        .truncation = TUFF_TRUNCATION_LONGEST_FIRST,
        .max_length = text_session->max_length,
        .first_index = first,
    };
    tuff_encoding *encodings = tuff__calloc(count, sizeof *encodings);
    tuff__sequence *sequences = tuff__calloc(count, sizeof *sequences);
    tuff_status status = TUFF_SUCCESS;
    if (!encodings || !sequences)
        status = tuff__fail_memory("encodings", count * sizeof *encodings);
    if (status == TUFF_SUCCESS)
        status = tuff_tokenizer_encode_batch(text_session->tokenizer, texts + first,
                                             text_pairs ? text_pairs + first : NULL, count, &options, encodings);
    if (status == TUFF_SUCCESS)
        status = run_encodings(text_session, encodings, first, count, sequences, emit, user);
    for (size_t i = 0; encodings && i < count; i++)
        tuff_encoding_destroy(&encodings[i]);
    tuff__free(encodings);
    tuff__free(sequences);
    return status;
}

tuff_status tuff__text_session_run(tuff__text_session *text_session, const tuff_text *texts,
                                   const tuff_text *text_pairs, size_t count, tuff__session_emit emit, void *user)
{
    for (size_t first = 0; first < count; first += CHUNK)
        TUFF_TRY(run_chunk(text_session, texts, text_pairs, first, count - first < CHUNK ? count - first : CHUNK, emit,
                           user));
    return TUFF_SUCCESS;
}
