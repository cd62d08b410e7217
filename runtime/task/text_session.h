/*
 * text_session.h: what every task over texts shares: a folder's model and tokenizer, and texts through both.
 */
#ifndef TUFF_RUNTIME_TEXT_SESSION_H
#define TUFF_RUNTIME_TEXT_SESSION_H

#include "../model/session.h"
#include "tuff/tokenizer.h"

typedef struct tuff__text_session {
    tuff_model *model;
    tuff_tokenizer *tokenizer;
    tuff__session *session;
    uint32_t max_length; /* tokens a text is cut to */
} tuff__text_session;

typedef struct tuff__text_session_info {
    tuff_model_head head;
    tuff__session_output output;
    uint32_t batch_size;      /* default (0): the session's */
    uint32_t max_length;      /* the caller's wish; default (0): the least of the three below that are known */
    uint32_t task_max_length; /* of the folder's task files; default (0): none; else model_max_length and
                                 max_position_embeddings alone */
} tuff__text_session_info;

/* `*out_text_session` is zeroed first and can be destroyed whatever is returned. */
tuff_status tuff__text_session_create(tuff_device *device, const char *dir, const tuff__text_session_info *info,
                                      tuff__text_session *out_text_session);
void tuff__text_session_destroy(tuff__text_session *text_session);

/* Cuts, encodes and runs; `emit` as in session.h, with the index of the text. `text_pairs` may be NULL. */
tuff_status tuff__text_session_run(tuff__text_session *text_session, const tuff_text *texts,
                                   const tuff_text *text_pairs, size_t count, tuff__session_emit emit, void *user);

#endif
