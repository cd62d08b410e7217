/*
 * tokenizer.c: owns the tuff_tokenizer: its making from a folder, and what can be asked of it. It reads no format
 * itself: tokenizer_json.c and tokenizer_config.c do.
 */
#include "../os.h"
#include "tokenizer_object.h"

#include <string.h>

enum { MAX_STEPS = 16 }; /* of normalizers, and of pre-tokenizers; files have up to 4 */

const char *const tuff__tokenizer_file_names[TUFF__FILE_COUNT] = {
    [TUFF__FILE_TOKENIZER_JSON] = "tokenizer.json",
    [TUFF__FILE_VOCAB_TXT] = "vocab.txt",
    [TUFF__FILE_TOKENIZER_CONFIG] = "tokenizer_config.json",
    [TUFF__FILE_SPECIAL_TOKENS_MAP] = "special_tokens_map.json",
    [TUFF__FILE_ADDED_TOKENS] = "added_tokens.json",
    [TUFF__FILE_MODEL_CONFIG] = "config.json",
};

void tuff_tokenizer_destroy(tuff_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    for (size_t i = 0; i < TUFF__FILE_COUNT; i++) {
        tuff__free(tokenizer->sources[i].path);
        tuff__free(tokenizer->sources[i].text);
    }
    for (size_t i = 0; i < TUFF__SPECIAL_TOKEN_COUNT; i++)
        tuff__free(tokenizer->special_tokens[i]);
    tuff__free(tokenizer->normalizers);
    tuff__free(tokenizer->pre_tokenizers);
    tuff__wordpiece_destroy(&tokenizer->model);
    tuff__added_tokens_destroy(&tokenizer->added);
    tuff__post_processor_destroy(&tokenizer->post_processor);
    tuff__vocabulary_destroy(&tokenizer->added_by_id);
    tuff__free(tokenizer);
}

static tuff_status keep_source(const char *dir, const char *name, const tuff_text *file, tuff__tokenizer_source *source)
{
    source->path = tuff__asprintf("%s/%s", dir, name);
    if (!source->path)
        return tuff__fail_memory(name, strlen(dir) + strlen(name) + 2);
    if (!file->data)
        return TUFF_SUCCESS;
    source->text = tuff__strndup(file->data, file->size);
    source->size = file->size;
    return source->text ? TUFF_SUCCESS : tuff__fail_memory(source->path, source->size);
}

tuff_status tuff__tokenizer_add_normalizer(tuff_tokenizer *tokenizer, const tuff__normalizer *step)
{
    if (tokenizer->normalizer_count == MAX_STEPS)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "tokenizer: more than %d normalizers in sequence", MAX_STEPS);
    TUFF_TRY(tuff__grow((void **)&tokenizer->normalizers, &tokenizer->normalizer_capacity, tokenizer->normalizer_count,
                        sizeof *step, "normalizer"));
    tokenizer->normalizers[tokenizer->normalizer_count++] = *step;
    return TUFF_SUCCESS;
}

tuff_status tuff__tokenizer_add_pre_tokenizer(tuff_tokenizer *tokenizer, tuff__pre_tokenizer step)
{
    if (tokenizer->pre_tokenizer_count == MAX_STEPS)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "tokenizer: more than %d pre_tokenizers in sequence", MAX_STEPS);
    TUFF_TRY(tuff__grow((void **)&tokenizer->pre_tokenizers, &tokenizer->pre_tokenizer_capacity,
                        tokenizer->pre_tokenizer_count, sizeof step, "pre_tokenizer"));
    tokenizer->pre_tokenizers[tokenizer->pre_tokenizer_count++] = step;
    return TUFF_SUCCESS;
}

int32_t tuff__tokenizer_id_of(const tuff_tokenizer *tokenizer, const char *token)
{
    const tuff__added_token *added = tuff__added_tokens_find(&tokenizer->added, token);
    return added ? added->id : tuff__vocabulary_find(&tokenizer->model.vocabulary, token, strlen(token));
}

tuff_status tuff__tokenizer_set_special(tuff_tokenizer *tokenizer, tuff_special_token token, const char *content)
{
    tuff__free(tokenizer->special_tokens[token]);
    tokenizer->special_tokens[token] = NULL;
    if (!content)
        return TUFF_SUCCESS;
    tokenizer->special_tokens[token] = tuff__strdup(content);
    return tokenizer->special_tokens[token] ? TUFF_SUCCESS : tuff__fail_memory("tokenizer", strlen(content) + 1);
}

/* Makes what encoding and look-ups read, once all files have been read. */
static tuff_status finish(tuff_tokenizer *tokenizer)
{
    TUFF_TRY(tuff__added_tokens_finish(&tokenizer->added, tokenizer->normalizers, tokenizer->normalizer_count));
    TUFF_TRY(tuff__vocabulary_finish(&tokenizer->model.vocabulary));
    tokenizer->max_id = tuff__vocabulary_max_id(&tokenizer->model.vocabulary);
    for (size_t i = 0; i < tokenizer->added.count; i++) {
        const tuff__added_token *token = &tokenizer->added.items[i];
        TUFF_TRY(tuff__vocabulary_insert(&tokenizer->added_by_id, token->content, strlen(token->content), token->id));
        if (token->id > tokenizer->max_id)
            tokenizer->max_id = token->id;
    }
    TUFF_TRY(tuff__vocabulary_finish(&tokenizer->added_by_id));
    for (size_t i = 0; i < TUFF__SPECIAL_TOKEN_COUNT; i++)
        tokenizer->special_ids[i] =
            tokenizer->special_tokens[i] ? tuff__tokenizer_id_of(tokenizer, tokenizer->special_tokens[i]) : -1;
    tokenizer->pad.id = tokenizer->special_ids[TUFF_SPECIAL_TOKEN_PAD];
    return TUFF_SUCCESS;
}

static tuff_status build(tuff_tokenizer *tokenizer, const char *dir, const tuff_text files[TUFF__FILE_COUNT])
{
    for (size_t i = 0; i < TUFF__FILE_COUNT; i++)
        TUFF_TRY(keep_source(dir, tuff__tokenizer_file_names[i], &files[i], &tokenizer->sources[i]));
    if (tokenizer->sources[TUFF__FILE_TOKENIZER_JSON].text)
        TUFF_TRY(tuff__tokenizer_read_json(tokenizer));
    else if (!tokenizer->sources[TUFF__FILE_VOCAB_TXT].text)
        return tuff__fail(TUFF_ERROR_IO, "%s: has neither tokenizer.json nor vocab.txt", dir);
    TUFF_TRY(tuff__tokenizer_read_config(tokenizer));
    return finish(tokenizer);
}

tuff_status tuff__tokenizer_create(const char *dir, const tuff_text files[TUFF__FILE_COUNT],
                                   tuff_tokenizer **out_tokenizer)
{
    *out_tokenizer = NULL;
    tuff_tokenizer *tokenizer = tuff__calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return tuff__fail_memory("tokenizer", sizeof *tokenizer);
    const tuff_status status = build(tokenizer, dir, files);
    if (status != TUFF_SUCCESS) {
        tuff_tokenizer_destroy(tokenizer);
        return status;
    }
    *out_tokenizer = tokenizer;
    return TUFF_SUCCESS;
}

/* Leaves a zeroed file where the folder has none of that name. */
static tuff_status map_file(const char *dir, const char *name, tuff__mapped_file *out_file)
{
    char *path = tuff__asprintf("%s/%s", dir, name);
    if (!path)
        return tuff__fail_memory(name, strlen(dir) + strlen(name) + 2);
    const tuff_status status = tuff__file_exists(path) ? tuff__file_map(path, out_file) : TUFF_SUCCESS;
    tuff__free(path);
    return status;
}

tuff_status tuff_tokenizer_load(const char *dir, tuff_tokenizer **out_tokenizer)
{
    tuff__mapped_file mapped[TUFF__FILE_COUNT] = {{0}};
    tuff_text files[TUFF__FILE_COUNT];
    tuff_status status = TUFF_SUCCESS;
    *out_tokenizer = NULL;
    TUFF_TRY(tuff__check_given(dir, "tokenizer: dir"));
    if (!tuff__is_directory(dir))
        return tuff__fail(TUFF_ERROR_IO, "%s: no such folder, wanted a model folder with tokenizer.json or vocab.txt",
                          dir);
    for (size_t i = 0; i < TUFF__FILE_COUNT && status == TUFF_SUCCESS; i++) {
        status = map_file(dir, tuff__tokenizer_file_names[i], &mapped[i]);
        files[i] = (tuff_text){.data = (const char *)mapped[i].data, .size = mapped[i].size};
    }
    if (status == TUFF_SUCCESS)
        status = tuff__tokenizer_create(dir, files, out_tokenizer);
    for (size_t i = 0; i < TUFF__FILE_COUNT; i++)
        tuff__file_unmap(&mapped[i]);
    return status;
}

size_t tuff_tokenizer_vocab_size(const tuff_tokenizer *tokenizer)
{
    return (size_t)(tokenizer->max_id + 1);
}

size_t tuff_tokenizer_model_max_length(const tuff_tokenizer *tokenizer)
{
    return tokenizer->model_max_length;
}

int32_t tuff_tokenizer_special_id(const tuff_tokenizer *tokenizer, tuff_special_token token)
{
    return (size_t)token < TUFF__SPECIAL_TOKEN_COUNT ? tokenizer->special_ids[token] : -1;
}

int32_t tuff_tokenizer_token_to_id(const tuff_tokenizer *tokenizer, const char *token)
{
    return tuff__tokenizer_id_of(tokenizer, token);
}

const char *tuff_tokenizer_id_to_token(const tuff_tokenizer *tokenizer, int32_t id)
{
    const char *token = tuff__vocabulary_token(&tokenizer->added_by_id, id);
    return token ? token : tuff__vocabulary_token(&tokenizer->model.vocabulary, id);
}
