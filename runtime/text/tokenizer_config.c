/*
 * tokenizer_config.c: owns vocab.txt and what transformers keeps beside it: tokenizer_config.json, the older
 * special_tokens_map.json and added_tokens.json, and config.json's words on the class. It does what transformers' BERT
 * class does with them: the class's flags and special tokens stand, also against a tokenizer.json that says otherwise.
 *
 * Versions 4 and 5 differ on some folders, where 4 is followed: 5 puts BERT's own normalizer and template in the place
 * of those of a tokenizer.json that has others. One exception: an added token that the class's flags would change is
 * looked for as they change it, as 5 does; 4 looks for its old form, which no text then has.
 */
#include "../io/json.h"
#include "../io/utf8.h"
#include "../log.h"
#include "tokenizer_object.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

/* The classes that are BERT's tokenizer under another name, and the model_type each belongs to. */
static const struct {
    const char *class_name, *model_type;
} bert_classes[] = {
    {"BertTokenizer", "bert"},           {"ElectraTokenizer", "electra"},         {"DistilBertTokenizer", "distilbert"},
    {"ConvBertTokenizer", "convbert"},   {"MobileBertTokenizer", "mobilebert"},   {"LxmertTokenizer", "lxmert"},
    {"RetriBertTokenizer", "retribert"}, {"SqueezeBertTokenizer", "squeezebert"},
};

/* In transformers' order, which is that in which missing ones get new ids. */
enum { SPECIAL_COUNT = 7, FIRST_NAMED = 2 }; /* bos and eos are no tuff_special_token */
static const struct {
    const char *key, *bert_default;
} specials[SPECIAL_COUNT] = {
    {"bos_token", NULL},    {"eos_token", NULL},    {"unk_token", "[UNK]"},   {"sep_token", "[SEP]"},
    {"pad_token", "[PAD]"}, {"cls_token", "[CLS]"}, {"mask_token", "[MASK]"},
};

typedef struct config_reader {
    tuff_tokenizer *tokenizer;
    tuff__json *config, *special_map, *added_map, *model_config; /* each NULL when the folder does not have the file */
    const char *contents[SPECIAL_COUNT];                         /* borrowed from the files; NULL: none */
    tuff__added_token flags[SPECIAL_COUNT];
    bool has_flags[SPECIAL_COUNT]; /* the file gives an object, not the content alone */
} config_reader;

/* -- reading values ----------------------------------------------------------------------------------------------- */

/* A token is its content alone, or an object with flags. NULL content: JSON's null. */
static tuff_status read_token(const tuff__json *json, const char *key, const cJSON *value, bool special,
                              const char **out_content, tuff__added_token *out_flags)
{
    *out_content = NULL;
    *out_flags = (tuff__added_token){.special = special, .normalized = !special};
    if (!value || cJSON_IsNull(value))
        return TUFF_SUCCESS;
    if (cJSON_IsString(value)) {
        *out_content = value->valuestring;
        return TUFF_SUCCESS;
    }
    if (!cJSON_IsObject(value))
        return tuff__json_fail_value(json, key, value, "a token");
    TUFF_TRY(tuff__json_string(json, value, "content", out_content));
    TUFF_TRY(tuff__json_bool_or(json, value, "special", special, &out_flags->special));
    out_flags->special = out_flags->special || special;
    TUFF_TRY(tuff__json_bool_or(json, value, "single_word", false, &out_flags->single_word));
    TUFF_TRY(tuff__json_bool_or(json, value, "lstrip", false, &out_flags->lstrip));
    TUFF_TRY(tuff__json_bool_or(json, value, "rstrip", false, &out_flags->rstrip));
    return tuff__json_bool_or(json, value, "normalized", !out_flags->special, &out_flags->normalized);
}

static const cJSON *root_of(const tuff__json *json)
{
    return json ? json->root : NULL;
}

/* special_tokens_map.json counts only for folders older than added_tokens_decoder, and then before the config. */
static tuff_status read_specials(config_reader *reader)
{
    const bool is_old = !tuff__json_find(root_of(reader->config), "added_tokens_decoder");
    for (size_t i = 0; i < SPECIAL_COUNT; i++) {
        const char *key = specials[i].key;
        const tuff__json *json = reader->special_map;
        const cJSON *value = is_old ? tuff__json_find(root_of(json), key) : NULL;
        if (!value) {
            json = reader->config;
            value = tuff__json_find(root_of(json), key);
        }
        TUFF_TRY(read_token(json, key, value, true, &reader->contents[i], &reader->flags[i]));
        reader->has_flags[i] = cJSON_IsObject(value);
        if (!value && reader->tokenizer->is_bert)
            reader->contents[i] = specials[i].bert_default;
    }
    return TUFF_SUCCESS;
}

static bool names_class(const char *name, const char *class_name)
{
    const size_t length = strlen(class_name);
    return strncmp(name, class_name, length) == 0 && (name[length] == '\0' || strcmp(name + length, "Fast") == 0);
}

/* Which class of transformers reads the folder: the one that tokenizer_config.json names, or else config.json, or else
 * the one of config.json's model_type. */
static tuff_status read_class(const config_reader *reader)
{
    const bool has_json = reader->tokenizer->sources[TUFF__FILE_TOKENIZER_JSON].text != NULL;
    const tuff__json *json = reader->config, *model = reader->model_config;
    const char *name = NULL, *model_type = NULL;
    if (json)
        TUFF_TRY(tuff__json_string_or(json, json->root, "tokenizer_class", NULL, &name));
    if (model && !name) {
        json = model;
        TUFF_TRY(tuff__json_string_or(json, json->root, "tokenizer_class", NULL, &name));
        TUFF_TRY(tuff__json_string_or(json, json->root, "model_type", NULL, &model_type));
    }
    bool is_bert = !name && (reader->config || !has_json);
    for (size_t i = 0; i < sizeof bert_classes / sizeof *bert_classes; i++)
        is_bert = is_bert || (name         ? names_class(name, bert_classes[i].class_name)
                              : model_type ? strcmp(model_type, bert_classes[i].model_type) == 0
                                           : false);
    reader->tokenizer->is_bert = is_bert;
    if (is_bert || has_json)
        return TUFF_SUCCESS;
    return tuff__fail(
        TUFF_ERROR_INVALID_FILE,
        "%s: tokenizer_class '%s' with vocab.txt is not supported, wanted BertTokenizer or ElectraTokenizer",
        json->name, name);
}

/* -- the parts of BERT's class ------------------------------------------------------------------------------------ */

static tuff_status read_bert_flags(const config_reader *reader, tuff__normalizer *step)
{
    const tuff__json *json = reader->config;
    step->kind = TUFF__NORMALIZER_BERT;
    step->lowercase = step->handle_chinese_chars = step->strip_accents = true;
    if (!json)
        return TUFF_SUCCESS;
    TUFF_TRY(tuff__json_bool_or(json, json->root, "do_lower_case", true, &step->lowercase));
    TUFF_TRY(tuff__json_bool_or(json, json->root, "tokenize_chinese_chars", true, &step->handle_chinese_chars));
    return tuff__json_bool_or(json, json->root, "strip_accents", step->lowercase, &step->strip_accents);
}

/* The class's flags replace those of a tokenizer.json whose normalizer is BERT's. */
static tuff_status override_normalizer(const config_reader *reader)
{
    tuff_tokenizer *tokenizer = reader->tokenizer;
    if (!tokenizer->is_bert || tokenizer->normalizer_count != 1 ||
        tokenizer->normalizers[0].kind != TUFF__NORMALIZER_BERT)
        return TUFF_SUCCESS;
    tuff__normalizer *step = &tokenizer->normalizers[0], flags = *step;
    TUFF_TRY(read_bert_flags(reader, &flags));
    if (flags.lowercase != step->lowercase || flags.strip_accents != step->strip_accents ||
        flags.handle_chinese_chars != step->handle_chinese_chars)
        tuff__log(TUFF_LOG_WARNING,
                  "tokenizer: %s %s other flags than tokenizer.json and counts, as in transformers: do_lower_case %s, "
                  "strip_accents %s, tokenize_chinese_chars %s",
                  reader->config ? reader->config->name : reader->model_config->name,
                  reader->config ? "has" : "names BERT's class, which has", flags.lowercase ? "true" : "false",
                  flags.strip_accents ? "true" : "false", flags.handle_chinese_chars ? "true" : "false");
    *step = flags;
    return TUFF_SUCCESS;
}

/* One line a token, without the white space at its end; the id is the line's number from 0. */
static tuff_status read_lines(tuff__vocabulary *vocabulary, const tuff__tokenizer_source *source)
{
    const size_t valid = tuff__utf8_check(source->text, source->size);
    size_t lines = 1;
    for (size_t i = 0; i < valid; i++)
        lines += source->text[i] == '\n';
    if (valid != source->size)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: line %zu is not UTF-8", source->path, lines);
    TUFF_TRY(tuff__vocabulary_reserve(vocabulary, lines, source->size + 1));
    int32_t id = 0;
    for (size_t at = 0; at < source->size; id++) {
        const char *line = source->text + at, *end = memchr(line, '\n', source->size - at);
        size_t length = end ? (size_t)(end - line) : source->size - at;
        at += length + 1;
        if (memchr(line, '\0', length))
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: line %d holds a NUL character", source->path, (int)id + 1);
        if (id == TUFF__VOCABULARY_MAX_ID)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: has more than %d lines", source->path, (int)id);
        while (length > 0) {
            size_t last = length - 1;
            uint32_t code;
            while (((unsigned char)line[last] & 0xC0) == 0x80)
                last--;
            tuff__utf8_decode(line + last, &code);
            if (!tuff__is_whitespace(code))
                break;
            length = last;
        }
        TUFF_TRY(tuff__vocabulary_insert(vocabulary, line, length, id));
    }
    return TUFF_SUCCESS;
}

/* Once the special tokens have their ids. */
static tuff_status make_post_processor(tuff_tokenizer *tokenizer)
{
    const char *const *tokens = (const char *const *)tokenizer->special_tokens;
    if (!tokens[TUFF_SPECIAL_TOKEN_CLS] || !tokens[TUFF_SPECIAL_TOKEN_SEP])
        return tuff__fail(TUFF_ERROR_INVALID_FILE,
                          "%s: cls_token or sep_token is null in a file beside it, wanted a token",
                          tokenizer->sources[TUFF__FILE_VOCAB_TXT].path);
    const int32_t cls = tuff__tokenizer_id_of(tokenizer, tokens[TUFF_SPECIAL_TOKEN_CLS]);
    const int32_t sep = tuff__tokenizer_id_of(tokenizer, tokens[TUFF_SPECIAL_TOKEN_SEP]);
    return tuff__post_processor_set_bert(&tokenizer->post_processor, cls, sep);
}

static tuff_status read_vocabulary(const config_reader *reader)
{
    tuff_tokenizer *tokenizer = reader->tokenizer;
    const tuff__tokenizer_source *source = &tokenizer->sources[TUFF__FILE_VOCAB_TXT];
    const char *unk_token = reader->contents[FIRST_NAMED + TUFF_SPECIAL_TOKEN_UNK];
    if (!unk_token)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: unk_token is null in a file beside it, wanted a token",
                          source->path);
    tuff__normalizer step = {.clean_text = true};
    TUFF_TRY(read_bert_flags(reader, &step));
    TUFF_TRY(tuff__tokenizer_add_normalizer(tokenizer, &step));
    TUFF_TRY(tuff__tokenizer_add_pre_tokenizer(tokenizer, TUFF__PRE_TOKENIZER_BERT));
    tokenizer->model.max_input_chars_per_word = 100;
    tokenizer->model.unk_token = tuff__strdup(unk_token);
    tokenizer->model.continuing_subword_prefix = tuff__strdup("##");
    if (!tokenizer->model.unk_token || !tokenizer->model.continuing_subword_prefix)
        return tuff__fail_memory(source->path, strlen(unk_token));
    TUFF_TRY(read_lines(&tokenizer->model.vocabulary, source));
    if (tokenizer->model.vocabulary.count == 0)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: the vocabulary is empty", source->path);
    return TUFF_SUCCESS;
}

/* -- added tokens ------------------------------------------------------------------------------------------------- */

typedef struct listed_token {
    int64_t id;
    const char *content;
    tuff__added_token flags;
} listed_token;

static int compare_listed(const void *left, const void *right)
{
    const listed_token *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* {"0": {"content": "[PAD]", ...}} */
static tuff_status read_decoder_entry(const tuff__json *json, const cJSON *entry, listed_token *out_token)
{
    char *end;
    out_token->id = strtoll(entry->string, &end, 10);
    if (*end != '\0' || !cJSON_IsObject(entry))
        return tuff__json_fail_value(json, entry->string, entry, "an id and its token");
    return read_token(json, entry->string, entry, false, &out_token->content, &out_token->flags);
}

/* {"[PAD]": 0}; a token is special where a special token's name is its content. */
static tuff_status read_map_entry(const config_reader *reader, const cJSON *entry, listed_token *out_token)
{
    if (!tuff__json_is_int(entry, &out_token->id))
        return tuff__json_fail_value(reader->added_map, entry->string, entry, "an id");
    bool special = false;
    for (size_t i = 0; i < SPECIAL_COUNT; i++)
        special = special || (reader->contents[i] && strcmp(reader->contents[i], entry->string) == 0);
    out_token->content = entry->string;
    out_token->flags = (tuff__added_token){.special = special, .normalized = !special};
    return TUFF_SUCCESS;
}

static bool has_added_id(const tuff__added_tokens *added, int64_t id)
{
    for (size_t i = 0; i < added->count; i++)
        if (added->items[i].id == id)
            return true;
    return false;
}

static tuff_status add_sorted(const config_reader *reader, const cJSON *decoder, const cJSON *map, listed_token *tokens)
{
    size_t count = 0;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, decoder) TUFF_TRY(read_decoder_entry(reader->config, entry, &tokens[count++]));
    cJSON_ArrayForEach(entry, map)
    {
        TUFF_TRY(read_map_entry(reader, entry, &tokens[count]));
        count +=
            !has_added_id(&reader->tokenizer->added, tokens[count].id); /* tokenizer.json's own token keeps its id */
    }
    if (count > 0)
        qsort(tokens, count, sizeof *tokens, compare_listed);
    tuff_tokenizer *tokenizer = reader->tokenizer;
    for (size_t i = 0; i < count; i++)
        TUFF_TRY(tuff__added_tokens_add(&tokenizer->added, &tokenizer->model.vocabulary, tokens[i].content,
                                        &tokens[i].flags));
    return TUFF_SUCCESS;
}

/* Tokens that files list with ids, by rising id: added_tokens_decoder, or in older folders added_tokens.json. */
static tuff_status add_listed(const config_reader *reader)
{
    const cJSON *decoder = NULL, *map = NULL;
    if (reader->config)
        TUFF_TRY(tuff__json_object_or(reader->config, reader->config->root, "added_tokens_decoder", NULL, &decoder));
    if (!decoder)
        map = root_of(reader->added_map);
    const size_t count = (size_t)cJSON_GetArraySize(decoder) + (size_t)cJSON_GetArraySize(map);
    if (count == 0)
        return TUFF_SUCCESS;
    listed_token *tokens = tuff__calloc(count, sizeof *tokens);
    if (!tokens)
        return tuff__fail_memory("added tokens", count * sizeof *tokens);
    const tuff_status status = add_sorted(reader, decoder, map, tokens);
    tuff__free(tokens);
    return status;
}

/* Beside an added_tokens_decoder, a special token that is given with flags of its own and not listed there takes them
 * also where tokenizer.json has the token already. */
static bool has_own_flags(const config_reader *reader, size_t special)
{
    const cJSON *decoder = tuff__json_find(root_of(reader->config), "added_tokens_decoder"), *entry;
    if (!decoder || !reader->contents[special] || !reader->has_flags[special])
        return false;
    cJSON_ArrayForEach(entry, decoder)
    {
        const cJSON *content = tuff__json_find(entry, "content");
        if (cJSON_IsString(content) && strcmp(content->valuestring, reader->contents[special]) == 0)
            return false;
    }
    return true;
}

static tuff_status add_missing(const config_reader *reader, const char *content, const tuff__added_token *flags)
{
    tuff_tokenizer *tokenizer = reader->tokenizer;
    if (!content || tuff__added_tokens_find(&tokenizer->added, content))
        return TUFF_SUCCESS;
    return tuff__added_tokens_add(&tokenizer->added, &tokenizer->model.vocabulary, content, flags);
}

/* additional_special_tokens (transformers 4) or extra_special_tokens (5): a list, or an object of names and tokens. */
static tuff_status add_extra(const config_reader *reader, const tuff__json *json)
{
    static const char *const keys[] = {"additional_special_tokens", "extra_special_tokens"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const cJSON *list = tuff__json_find(root_of(json), keys[i]), *item;
        if (!list || cJSON_IsNull(list))
            continue;
        if (!cJSON_IsArray(list) && !cJSON_IsObject(list))
            return tuff__json_fail_value(json, keys[i], list, "a list of tokens");
        cJSON_ArrayForEach(item, list)
        {
            const char *content;
            tuff__added_token flags;
            TUFF_TRY(read_token(json, keys[i], item, true, &content, &flags));
            TUFF_TRY(add_missing(reader, content, &flags));
        }
    }
    return TUFF_SUCCESS;
}

static tuff_status add_tokens(const config_reader *reader)
{
    tuff_tokenizer *tokenizer = reader->tokenizer;
    tuff__added_tokens_begin(&tokenizer->added, &tokenizer->model.vocabulary);
    TUFF_TRY(add_listed(reader));
    for (size_t i = 0; i < SPECIAL_COUNT; i++)
        TUFF_TRY(has_own_flags(reader, i) ? tuff__added_tokens_add(&tokenizer->added, &tokenizer->model.vocabulary,
                                                                   reader->contents[i], &reader->flags[i])
                                          : add_missing(reader, reader->contents[i], &reader->flags[i]));
    if (!tuff__json_find(root_of(reader->config), "added_tokens_decoder"))
        TUFF_TRY(add_extra(reader, reader->special_map));
    return add_extra(reader, reader->config);
}

/* -- the rest of the config --------------------------------------------------------------------------------------- */

static tuff_status read_side(const tuff__json *json, const char *key, bool *out_left)
{
    const char *side;
    TUFF_TRY(tuff__json_string_or(json, json->root, key, *out_left ? "left" : "right", &side));
    *out_left = strcmp(side, "left") == 0;
    if (!*out_left && strcmp(side, "right") != 0)
        return tuff__json_fail_value(json, key, tuff__json_find(json->root, key), "\"left\" or \"right\"");
    return TUFF_SUCCESS;
}

/* transformers writes "no limit" as 1e30, and takes all above 1e20 for it. */
static tuff_status read_max_length(const tuff__json *json, size_t *out_length)
{
    double length;
    TUFF_TRY(tuff__json_number_or(json, json->root, "max_len", 0, &length)); /* before transformers 3 */
    TUFF_TRY(tuff__json_number_or(json, json->root, "model_max_length", length, &length));
    *out_length = length >= 1 && length < (double)INT32_MAX ? (size_t)length : 0;
    return TUFF_SUCCESS;
}

static tuff_status keep_specials(const config_reader *reader)
{
    tuff_tokenizer *tokenizer = reader->tokenizer;
    const bool is_bare = !tokenizer->is_bert && tokenizer->sources[TUFF__FILE_TOKENIZER_JSON].text;
    for (size_t i = FIRST_NAMED; i < SPECIAL_COUNT; i++) {
        const tuff_special_token token = (tuff_special_token)(i - FIRST_NAMED);
        const char *content = reader->contents[i];
        if (!content && is_bare) /* tokenizer.json's own words, then BERT's */
            content = token == TUFF_SPECIAL_TOKEN_UNK    ? tokenizer->model.unk_token
                      : tokenizer->special_tokens[token] ? tokenizer->special_tokens[token]
                                                         : specials[i].bert_default;
        if (content && content != tokenizer->special_tokens[token])
            TUFF_TRY(tuff__tokenizer_set_special(tokenizer, token, content));
    }
    return TUFF_SUCCESS;
}

static tuff_status apply(config_reader *reader)
{
    tuff_tokenizer *tokenizer = reader->tokenizer;
    TUFF_TRY(read_class(reader));
    TUFF_TRY(read_specials(reader));
    const bool has_json = tokenizer->sources[TUFF__FILE_TOKENIZER_JSON].text != NULL;
    TUFF_TRY(has_json ? override_normalizer(reader) : read_vocabulary(reader));
    TUFF_TRY(add_tokens(reader));
    TUFF_TRY(keep_specials(reader));
    if (!has_json)
        TUFF_TRY(make_post_processor(tokenizer));
    if (!reader->config)
        return TUFF_SUCCESS;
    TUFF_TRY(read_side(reader->config, "truncation_side", &tokenizer->truncate_left));
    TUFF_TRY(read_side(reader->config, "padding_side", &tokenizer->pad.left));
    return read_max_length(reader->config, &tokenizer->model_max_length);
}

static tuff_status parse(const tuff_tokenizer *tokenizer, tuff__tokenizer_file file, tuff__json **out_json)
{
    const tuff__tokenizer_source *source = &tokenizer->sources[file];
    if (!source->text)
        return TUFF_SUCCESS;
    TUFF_TRY(tuff__json_parse(source->path, source->text, source->size, NULL, out_json));
    if (cJSON_IsObject((*out_json)->root))
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: holds no JSON object", source->path);
}

tuff_status tuff__tokenizer_read_config(tuff_tokenizer *tokenizer)
{
    config_reader reader = {.tokenizer = tokenizer};
    tuff_status status = parse(tokenizer, TUFF__FILE_TOKENIZER_CONFIG, &reader.config);
    if (status == TUFF_SUCCESS)
        status = parse(tokenizer, TUFF__FILE_SPECIAL_TOKENS_MAP, &reader.special_map);
    if (status == TUFF_SUCCESS)
        status = parse(tokenizer, TUFF__FILE_ADDED_TOKENS, &reader.added_map);
    if (status == TUFF_SUCCESS)
        status = parse(tokenizer, TUFF__FILE_MODEL_CONFIG, &reader.model_config);
    if (status == TUFF_SUCCESS)
        status = apply(&reader);
    tuff__json_destroy(reader.config);
    tuff__json_destroy(reader.special_map);
    tuff__json_destroy(reader.added_map);
    tuff__json_destroy(reader.model_config);
    return status;
}
