/*
 * tokenizer_json.c: owns the reading of tokenizer.json: which parts there are, and the refusal of those that are not
 * supported, by name. The decoder is passed over: it takes no part in encoding.
 */
#include "../io/json.h"
#include "tokenizer_object.h"

#include <string.h>

/* One file being read. */
typedef struct json_reader {
    tuff_tokenizer *tokenizer;
    const tuff__json *json;
} json_reader;

static tuff_status fail_type(const json_reader *reader, const char *part, const char *type, const char *wanted)
{
    return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: %s type '%s' is not supported, wanted %s", reader->json->name, part,
                      type, wanted);
}

/* -- normalizer and pre-tokenizer --------------------------------------------------------------------------------- */

static tuff_status read_bert_normalizer(const json_reader *reader, const cJSON *part)
{
    tuff__normalizer step = {.kind = TUFF__NORMALIZER_BERT};
    TUFF_TRY(tuff__json_bool(reader->json, part, "clean_text", &step.clean_text));
    TUFF_TRY(tuff__json_bool(reader->json, part, "handle_chinese_chars", &step.handle_chinese_chars));
    TUFF_TRY(tuff__json_bool(reader->json, part, "lowercase", &step.lowercase));
    TUFF_TRY(tuff__json_bool_or(reader->json, part, "strip_accents", step.lowercase, &step.strip_accents));
    return tuff__tokenizer_add_normalizer(reader->tokenizer, &step);
}

static tuff_status read_strip(const json_reader *reader, const cJSON *part)
{
    tuff__normalizer step = {.kind = TUFF__NORMALIZER_STRIP};
    TUFF_TRY(tuff__json_bool(reader->json, part, "strip_left", &step.strip_left));
    TUFF_TRY(tuff__json_bool(reader->json, part, "strip_right", &step.strip_right));
    return tuff__tokenizer_add_normalizer(reader->tokenizer, &step);
}

static tuff_status read_normalizer(const json_reader *reader, const cJSON *part)
{
    static const struct {
        const char *type;
        tuff__normalizer_kind kind;
    } plain[] = {
        {"Lowercase", TUFF__NORMALIZER_LOWERCASE},
        {"StripAccents", TUFF__NORMALIZER_STRIP_ACCENTS},
        {"NFD", TUFF__NORMALIZER_NFD},
        {"NFC", TUFF__NORMALIZER_NFC},
        {"NFKD", TUFF__NORMALIZER_NFKD},
        {"NFKC", TUFF__NORMALIZER_NFKC},
    };
    const char *type;
    TUFF_TRY(tuff__json_string(reader->json, part, "type", &type));
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(type, plain[i].type) == 0)
            return tuff__tokenizer_add_normalizer(reader->tokenizer, &(tuff__normalizer){.kind = plain[i].kind});
    if (strcmp(type, "BertNormalizer") == 0)
        return read_bert_normalizer(reader, part);
    if (strcmp(type, "Strip") == 0)
        return read_strip(reader, part);
    if (strcmp(type, "Sequence") != 0)
        return fail_type(reader, "normalizer", type,
                         "one of BertNormalizer, Lowercase, NFC, NFD, NFKC, NFKD, Sequence, Strip, StripAccents");
    const cJSON *parts, *inner;
    TUFF_TRY(tuff__json_array(reader->json, part, "normalizers", &parts));
    cJSON_ArrayForEach(inner, parts) TUFF_TRY(read_normalizer(reader, inner)); /* as deep as JSON's nesting may be */
    return TUFF_SUCCESS;
}

static tuff_status read_pre_tokenizer(const json_reader *reader, const cJSON *part)
{
    static const struct {
        const char *type;
        tuff__pre_tokenizer step;
    } plain[] = {
        {"BertPreTokenizer", TUFF__PRE_TOKENIZER_BERT},
        {"Whitespace", TUFF__PRE_TOKENIZER_WHITESPACE},
        {"WhitespaceSplit", TUFF__PRE_TOKENIZER_WHITESPACE_SPLIT},
        {"Punctuation", TUFF__PRE_TOKENIZER_PUNCTUATION},
    };
    const char *type;
    TUFF_TRY(tuff__json_string(reader->json, part, "type", &type));
    if (strcmp(type, "Punctuation") == 0) {
        const char *behavior;
        TUFF_TRY(tuff__json_string_or(reader->json, part, "behavior", "Isolated", &behavior));
        if (strcmp(behavior, "Isolated") != 0)
            return tuff__fail(TUFF_ERROR_INVALID_FILE,
                              "%s: pre_tokenizer Punctuation's behavior '%s' is not supported, wanted Isolated",
                              reader->json->name, behavior);
    }
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(type, plain[i].type) == 0)
            return tuff__tokenizer_add_pre_tokenizer(reader->tokenizer, plain[i].step);
    if (strcmp(type, "Sequence") != 0)
        return fail_type(reader, "pre_tokenizer", type,
                         "one of BertPreTokenizer, Punctuation, Sequence, Whitespace, WhitespaceSplit");
    const cJSON *parts, *inner;
    TUFF_TRY(tuff__json_array(reader->json, part, "pretokenizers", &parts));
    cJSON_ArrayForEach(inner, parts) TUFF_TRY(read_pre_tokenizer(reader, inner));
    return TUFF_SUCCESS;
}

/* -- post-processor ----------------------------------------------------------------------------------------------- */

static tuff_status read_id(const json_reader *reader, const cJSON *value, const char *what, int32_t *out_id)
{
    int64_t id;
    if (!tuff__json_is_int(value, &id) || id < 0 || id > TUFF__VOCABULARY_MAX_ID)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: %s has no id from 0 to %d", reader->json->name, what,
                          TUFF__VOCABULARY_MAX_ID);
    *out_id = (int32_t)id;
    return TUFF_SUCCESS;
}

static tuff_status read_bert_processing(const json_reader *reader, const cJSON *part)
{
    static const char *const keys[2] = {"cls", "sep"};
    int32_t ids[2];
    for (size_t i = 0; i < 2; i++) {
        const cJSON *pair;
        TUFF_TRY(tuff__json_array(reader->json, part, keys[i], &pair));
        TUFF_TRY(read_id(reader, cJSON_GetArrayItem(pair, 1), keys[i], &ids[i]));
    }
    return tuff__post_processor_set_bert(&reader->tokenizer->post_processor, ids[0], ids[1]);
}

static tuff_status read_template_special(const json_reader *reader, const cJSON *specials, const char *name,
                                         int32_t type_id, tuff__template *template)
{
    const cJSON *special = tuff__json_find(specials, name), *ids, *id;
    if (!special)
        return tuff__fail(TUFF_ERROR_INVALID_FILE,
                          "%s: post_processor uses the special token '%s' and does not define it", reader->json->name,
                          name);
    TUFF_TRY(tuff__json_array(reader->json, special, "ids", &ids));
    cJSON_ArrayForEach(id, ids)
    {
        tuff__template_piece piece = {.sequence = -1, .type_id = type_id};
        TUFF_TRY(read_id(reader, id, name, &piece.id));
        TUFF_TRY(tuff__template_append(template, &piece, 1));
    }
    return TUFF_SUCCESS;
}

static tuff_status read_template_piece(const json_reader *reader, const cJSON *piece, const cJSON *specials, bool pair,
                                       tuff__template *template)
{
    const cJSON *sequence = tuff__json_find(piece, "Sequence"), *special = tuff__json_find(piece, "SpecialToken");
    if (!sequence && !special)
        return tuff__json_fail_value(reader->json, "post_processor", piece, "pieces of SpecialToken and Sequence");
    const char *name;
    int64_t type_id;
    TUFF_TRY(tuff__json_string(reader->json, sequence ? sequence : special, "id", &name));
    TUFF_TRY(tuff__json_int(reader->json, sequence ? sequence : special, "type_id", 0, INT32_MAX, &type_id));
    if (special && !sequence)
        return read_template_special(reader, specials, name, (int32_t)type_id, template);
    const bool second = strcmp(name, "B") == 0;
    if (second ? !pair : strcmp(name, "A") != 0)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: post_processor has a sequence '%s', wanted %s",
                          reader->json->name, name, pair ? "A or B" : "A");
    const tuff__template_piece text = {.sequence = (int8_t)second, .type_id = (int32_t)type_id};
    return tuff__template_append(template, &text, 1);
}

static tuff_status read_template(const json_reader *reader, const cJSON *part, bool pair, tuff__template *template)
{
    const cJSON *pieces, *specials, *piece;
    TUFF_TRY(tuff__json_array(reader->json, part, pair ? "pair" : "single", &pieces));
    TUFF_TRY(tuff__json_object(reader->json, part, "special_tokens", &specials));
    cJSON_ArrayForEach(piece, pieces) TUFF_TRY(read_template_piece(reader, piece, specials, pair, template));
    return TUFF_SUCCESS;
}

static tuff_status read_post_processor(const json_reader *reader, const cJSON *part)
{
    tuff__post_processor *processor = &reader->tokenizer->post_processor;
    if (!part || cJSON_IsNull(part)) {
        const tuff__template_piece pieces[] = {{0, 0, 0}, {1, 0, 1}};
        TUFF_TRY(tuff__template_append(&processor->single, pieces, 1));
        return tuff__template_append(&processor->pair, pieces, 2);
    }
    const char *type;
    TUFF_TRY(tuff__json_string(reader->json, part, "type", &type));
    if (strcmp(type, "BertProcessing") == 0)
        return read_bert_processing(reader, part);
    if (strcmp(type, "TemplateProcessing") != 0)
        return fail_type(reader, "post_processor", type, "BertProcessing or TemplateProcessing");
    TUFF_TRY(read_template(reader, part, false, &processor->single));
    return read_template(reader, part, true, &processor->pair);
}

/* -- model and added tokens --------------------------------------------------------------------------------------- */

static tuff_status read_vocabulary(const json_reader *reader, const cJSON *vocab)
{
    tuff__vocabulary *vocabulary = &reader->tokenizer->model.vocabulary;
    size_t count = 0, size = 0;
    const cJSON *token;
    cJSON_ArrayForEach(token, vocab)
    {
        count++;
        size += strlen(token->string) + 1;
    }
    TUFF_TRY(tuff__vocabulary_reserve(vocabulary, count, size));
    cJSON_ArrayForEach(token, vocab)
    {
        int32_t id = 0;
        TUFF_TRY(read_id(reader, token, token->string, &id));
        TUFF_TRY(tuff__vocabulary_insert(vocabulary, token->string, strlen(token->string), id));
    }
    return TUFF_SUCCESS;
}

/* The model's type; files of before 2021 leave it out, and the fields tell. */
static tuff_status check_model_type(const json_reader *reader, const cJSON *model)
{
    const char *type, *told = "unnamed";
    if (tuff__json_find(model, "merges"))
        told = "BPE";
    else if (tuff__json_find(model, "continuing_subword_prefix"))
        told = "WordPiece";
    TUFF_TRY(tuff__json_string_or(reader->json, model, "type", told, &type));
    return strcmp(type, "WordPiece") == 0 ? TUFF_SUCCESS : fail_type(reader, "model", type, "WordPiece");
}

static tuff_status read_model(const json_reader *reader, const cJSON *root)
{
    tuff__wordpiece *model = &reader->tokenizer->model;
    const cJSON *part, *vocab;
    const char *unk_token, *prefix;
    int64_t max_chars;
    TUFF_TRY(tuff__json_object(reader->json, root, "model", &part));
    TUFF_TRY(check_model_type(reader, part));
    TUFF_TRY(tuff__json_string(reader->json, part, "unk_token", &unk_token));
    TUFF_TRY(tuff__json_string(reader->json, part, "continuing_subword_prefix", &prefix));
    TUFF_TRY(tuff__json_int(reader->json, part, "max_input_chars_per_word", 0, INT64_MAX, &max_chars));
    TUFF_TRY(tuff__json_object(reader->json, part, "vocab", &vocab));
    model->max_input_chars_per_word = (size_t)max_chars;
    model->unk_token = tuff__strdup(unk_token);
    model->continuing_subword_prefix = tuff__strdup(prefix);
    if (!model->unk_token || !model->continuing_subword_prefix)
        return tuff__fail_memory(reader->json->name, strlen(unk_token) + strlen(prefix));
    TUFF_TRY(read_vocabulary(reader, vocab));
    if (model->vocabulary.count == 0)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: the vocabulary is empty", reader->json->name);
    return TUFF_SUCCESS;
}

static tuff_status read_added_tokens(const json_reader *reader, const cJSON *root)
{
    tuff_tokenizer *tokenizer = reader->tokenizer;
    const cJSON *tokens, *item;
    TUFF_TRY(tuff__json_array_or(reader->json, root, "added_tokens", NULL, &tokens));
    tuff__added_tokens_begin(&tokenizer->added, &tokenizer->model.vocabulary);
    cJSON_ArrayForEach(item, tokens)
    {
        tuff__added_token token = {0};
        const char *content;
        TUFF_TRY(tuff__json_string(reader->json, item, "content", &content));
        TUFF_TRY(tuff__json_bool(reader->json, item, "single_word", &token.single_word));
        TUFF_TRY(tuff__json_bool(reader->json, item, "lstrip", &token.lstrip));
        TUFF_TRY(tuff__json_bool(reader->json, item, "rstrip", &token.rstrip));
        TUFF_TRY(tuff__json_bool(reader->json, item, "normalized", &token.normalized));
        TUFF_TRY(tuff__json_bool(reader->json, item, "special", &token.special));
        TUFF_TRY(tuff__added_tokens_add(&tokenizer->added, &tokenizer->model.vocabulary, content, &token));
    }
    return TUFF_SUCCESS;
}

/* -- truncation and padding: only what stays in force when a caller gives lengths of his own ---------------------- */

static tuff_status read_side(const json_reader *reader, const cJSON *part, bool *out_left)
{
    const char *direction;
    TUFF_TRY(tuff__json_string_or(reader->json, part, "direction", "Right", &direction));
    *out_left = strcmp(direction, "Left") == 0;
    if (!*out_left && strcmp(direction, "Right") != 0)
        return tuff__json_fail_value(reader->json, "direction", tuff__json_find(part, "direction"), "Left or Right");
    return TUFF_SUCCESS;
}

static tuff_status read_defaults(const json_reader *reader, const cJSON *root)
{
    tuff_tokenizer *tokenizer = reader->tokenizer;
    const cJSON *truncation, *padding;
    const char *pad_token;
    int64_t type_id;
    TUFF_TRY(tuff__json_object_or(reader->json, root, "truncation", NULL, &truncation));
    TUFF_TRY(tuff__json_object_or(reader->json, root, "padding", NULL, &padding));
    TUFF_TRY(read_side(reader, truncation, &tokenizer->truncate_left));
    TUFF_TRY(read_side(reader, padding, &tokenizer->pad.left));
    TUFF_TRY(tuff__json_int_or(reader->json, padding, "pad_type_id", 0, INT32_MAX, 0, &type_id));
    TUFF_TRY(tuff__json_string_or(reader->json, padding, "pad_token", NULL, &pad_token));
    tokenizer->pad.type_id = (int32_t)type_id;
    return pad_token ? tuff__tokenizer_set_special(tokenizer, TUFF_SPECIAL_TOKEN_PAD, pad_token) : TUFF_SUCCESS;
}

static tuff_status read_parts(const json_reader *reader)
{
    const cJSON *root = reader->json->root, *normalizer, *pre_tokenizer;
    TUFF_TRY(read_model(reader, root));
    TUFF_TRY(tuff__json_object_or(reader->json, root, "normalizer", NULL, &normalizer));
    if (normalizer)
        TUFF_TRY(read_normalizer(reader, normalizer));
    TUFF_TRY(tuff__json_object_or(reader->json, root, "pre_tokenizer", NULL, &pre_tokenizer));
    if (pre_tokenizer)
        TUFF_TRY(read_pre_tokenizer(reader, pre_tokenizer));
    TUFF_TRY(read_post_processor(reader, tuff__json_find(root, "post_processor")));
    TUFF_TRY(read_added_tokens(reader, root));
    return read_defaults(reader, root);
}

tuff_status tuff__tokenizer_read_json(tuff_tokenizer *tokenizer)
{
    const tuff__tokenizer_source *source = &tokenizer->sources[TUFF__FILE_TOKENIZER_JSON];
    tuff__json *json;
    TUFF_TRY(tuff__json_parse(source->path, source->text, source->size, NULL, &json));
    const tuff_status status = read_parts(&(json_reader){.tokenizer = tokenizer, .json = json});
    tuff__json_destroy(json);
    return status;
}
