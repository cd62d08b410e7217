/* tokenizer_save.c: owns the writing of a tokenizer's files: copies of what it was read from, never made anew. */
#include "../io/file.h"
#include "../io/json.h"
#include "../os.h"
#include "tokenizer_object.h"

static tuff_status write_into(const char *dir, const char *name, const char *text, size_t size)
{
    char *path = tuff__asprintf("%s/%s", dir, name);
    if (!path)
        return tuff__fail_memory(name, size);
    const tuff_status status = tuff__file_write(path, text, size);
    tuff__free(path);
    return status;
}

/* Another tokenizer's file would be read with the new ones, or before them. */
static tuff_status remove_from(const char *dir, const char *name)
{
    char *path = tuff__asprintf("%s/%s", dir, name);
    if (!path)
        return tuff__fail_memory(name, 0);
    const tuff_status status = tuff__file_remove(path);
    tuff__free(path);
    return status;
}

/* Beside a tokenizer.json only what is an added token already: transformers makes one of every special token, and would
 * then find it in texts where tokenizer.json does not. */
static void write_special(tuff__json_writer *writer, const tuff_tokenizer *tokenizer, const char *key,
                          tuff_special_token token)
{
    const char *content = tokenizer->special_tokens[token];
    if (!content || !tuff__added_tokens_find(&tokenizer->added, content))
        return;
    tuff__json_put_string(writer, key, content);
}

/* transformers 5 gives no token_type_ids for its plain class unless told, and a pair's second text needs them. */
static void write_input_names(tuff__json_writer *writer)
{
    tuff__json_key(writer, "model_input_names");
    tuff__json_begin_array(writer);
    tuff__json_write_string(writer, "input_ids");
    tuff__json_write_string(writer, "token_type_ids");
    tuff__json_write_string(writer, "attention_mask");
    tuff__json_end_array(writer);
}

/* What AutoTokenizer needs to read the folder as tuff did: which class, and that class's flags in words. */
static void write_config(tuff__json_writer *writer, const tuff_tokenizer *tokenizer)
{
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "tokenizer_class", tokenizer->is_bert ? "BertTokenizer" : "PreTrainedTokenizerFast");
    if (!tokenizer->is_bert)
        write_input_names(writer);
    if (!tokenizer->sources[TUFF__FILE_TOKENIZER_JSON].text) {
        const tuff__normalizer *step = &tokenizer->normalizers[0];
        tuff__json_put_bool(writer, "do_lower_case", step->lowercase);
        tuff__json_put_bool(writer, "strip_accents", step->strip_accents);
        tuff__json_put_bool(writer, "tokenize_chinese_chars", step->handle_chinese_chars);
    }
    write_special(writer, tokenizer, "unk_token", TUFF_SPECIAL_TOKEN_UNK);
    write_special(writer, tokenizer, "sep_token", TUFF_SPECIAL_TOKEN_SEP);
    write_special(writer, tokenizer, "pad_token", TUFF_SPECIAL_TOKEN_PAD);
    write_special(writer, tokenizer, "cls_token", TUFF_SPECIAL_TOKEN_CLS);
    write_special(writer, tokenizer, "mask_token", TUFF_SPECIAL_TOKEN_MASK);
    tuff__json_end_object(writer);
}

static tuff_status save_config(const tuff_tokenizer *tokenizer, const char *dir)
{
    tuff__json_writer writer = {.indent = 2};
    char *text;
    size_t size;
    write_config(&writer, tokenizer);
    TUFF_TRY(tuff__json_finish_text(&writer, &text, &size));
    const tuff_status status = write_into(dir, tuff__tokenizer_file_names[TUFF__FILE_TOKENIZER_CONFIG], text, size);
    tuff__free(text);
    return status;
}

tuff_status tuff_tokenizer_save(const tuff_tokenizer *tokenizer, const char *dir)
{
    if (!tuff__is_directory(dir))
        return tuff__fail(TUFF_ERROR_IO, "%s: no such folder to save the tokenizer in", dir);
    for (size_t i = 0; i < TUFF__SAVED_FILE_COUNT; i++) {
        const tuff__tokenizer_source *source = &tokenizer->sources[i];
        TUFF_TRY(source->text ? write_into(dir, tuff__tokenizer_file_names[i], source->text, source->size)
                              : remove_from(dir, tuff__tokenizer_file_names[i]));
    }
    return tokenizer->sources[TUFF__FILE_TOKENIZER_CONFIG].text ? TUFF_SUCCESS : save_config(tokenizer, dir);
}
