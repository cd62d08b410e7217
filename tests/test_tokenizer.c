/*
 * test_tokenizer.c: encodings against the reference library's (golden/tokenizer), every character of Unicode, refusals,
 * saving, and memory running out.
 */
#include "../runtime/io/json.h"
#include "../runtime/text/pre_tokenizer.h"
#include "../runtime/text/unicode.h"
#include "check_file.h"
#include "tuff/tokenizer.h"

#include <inttypes.h>
#include <stdlib.h>

#define GOLDEN TUFF_TEST_DIR "/golden/tokenizer/"
#define SHARED TUFF_TEST_DIR "/../../shared/data/"

static tuff_tokenizer *load(const char *dir)
{
    tuff_tokenizer *tokenizer = NULL;
    if (tuff_tokenizer_load(dir, &tokenizer) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    return tokenizer;
}

/* -- golden cases ------------------------------------------------------------------------------------------------- */

static const char *string_of(const cJSON *object, const char *key)
{
    const cJSON *value = tuff__json_find(object, key);
    return value ? value->valuestring : NULL;
}

static uint32_t count_of(const cJSON *object, const char *key)
{
    const cJSON *value = tuff__json_find(object, key);
    return value ? (uint32_t)value->valuedouble : 0;
}

static tuff_encode_options options_of(const cJSON *options)
{
    const char *truncation = string_of(options, "truncation"), *padding = string_of(options, "padding");
    tuff_encode_options result = {
        .max_length = count_of(options, "max_length"),
        .pad_to_multiple_of = count_of(options, "pad_to_multiple_of"),
        .no_special_tokens = cJSON_IsFalse(tuff__json_find(options, "add_special_tokens")),
    };
    if (truncation)
        result.truncation = strcmp(truncation, "only_first") == 0    ? TUFF_TRUNCATION_ONLY_FIRST
                            : strcmp(truncation, "only_second") == 0 ? TUFF_TRUNCATION_ONLY_SECOND
                                                                     : TUFF_TRUNCATION_LONGEST_FIRST;
    if (padding)
        result.padding = strcmp(padding, "longest") == 0 ? TUFF_PADDING_LONGEST : TUFF_PADDING_MAX_LENGTH;
    return result;
}

static void check_row(const char *where, const cJSON *item, const char *key, const int32_t *got, size_t count)
{
    const cJSON *wanted = tuff__json_find(item, key), *value;
    size_t i = 0;
    if ((size_t)cJSON_GetArraySize(wanted) != count)
        fail_msg("%s: %s has %zu items, wanted %d", where, key, count, cJSON_GetArraySize(wanted));
    cJSON_ArrayForEach(value, wanted)
    {
        if (got[i] != (int32_t)value->valuedouble)
            fail_msg("%s: %s[%zu] is %d, wanted %d", where, key, i, (int)got[i], (int)value->valuedouble);
        i++;
    }
}

static void check_offsets(const char *where, const cJSON *item, const tuff_encoding *encoding)
{
    const cJSON *pair;
    size_t i = 0;
    cJSON_ArrayForEach(pair, tuff__json_find(item, "offset_mapping"))
    {
        const uint32_t begin = (uint32_t)cJSON_GetArrayItem(pair, 0)->valuedouble;
        const uint32_t end = (uint32_t)cJSON_GetArrayItem(pair, 1)->valuedouble;
        if (encoding->offset_mapping[2 * i] != begin || encoding->offset_mapping[2 * i + 1] != end)
            fail_msg("%s: offset_mapping[%zu] is %u-%u, wanted %u-%u", where, i,
                     (unsigned)encoding->offset_mapping[2 * i], (unsigned)encoding->offset_mapping[2 * i + 1],
                     (unsigned)begin, (unsigned)end);
        i++;
    }
}

static void check_case(const tuff_tokenizer *tokenizer, const char *where, const cJSON *item)
{
    const tuff_encode_options options = options_of(tuff__json_find(item, "options"));
    tuff_encoding encoding;
    const tuff_status status =
        tuff_tokenizer_encode(tokenizer, string_of(item, "text"), string_of(item, "text_pair"), &options, &encoding);
    if (tuff__json_find(item, "fails")) {
        tuff__check_failed(status, TUFF_ERROR_INVALID_ARGUMENT, "truncation: ");
        assert_null(encoding.input_ids);
        return;
    }
    if (status != TUFF_SUCCESS)
        fail_msg("%s: %s", where, tuff_last_error());
    check_row(where, item, "input_ids", encoding.input_ids, encoding.count);
    check_row(where, item, "token_type_ids", encoding.token_type_ids, encoding.count);
    check_row(where, item, "attention_mask", encoding.attention_mask, encoding.count);
    check_row(where, item, "special_tokens_mask", encoding.special_tokens_mask, encoding.count);
    check_offsets(where, item, &encoding);
    tuff_encoding_destroy(&encoding);
}

static void check_folder(const char *name)
{
    char dir[512], path[560], where[600];
    tuff__mapped_file file = {0};
    snprintf(dir, sizeof dir, "%s%s", GOLDEN, name);
    snprintf(path, sizeof path, "%s/cases.jsonl", dir);
    tuff_tokenizer *tokenizer = load(dir);
    assert_int_equal(tuff__file_map(path, &file), TUFF_SUCCESS);
    size_t line = 0;
    for (size_t at = 0; at < file.size; line++) {
        const char *text = (const char *)file.data + at, *end = memchr(text, '\n', file.size - at);
        const size_t length = end ? (size_t)(end - text) : file.size - at;
        tuff__json *json = NULL;
        snprintf(where, sizeof where, "%s/cases.jsonl:%zu", name, line + 1);
        if (tuff__json_parse(where, text, length, NULL, &json) != TUFF_SUCCESS)
            fail_msg("%s", tuff_last_error());
        check_case(tokenizer, where, json->root);
        tuff__json_destroy(json);
        at += length + 1;
    }
    assert_true(line > 100);
    tuff__file_unmap(&file);
    tuff_tokenizer_destroy(tokenizer);
}

static void test_golden(void **state)
{
    (void)state;
    check_folder("vocab_alone");
    check_folder("cased_config");
    check_folder("old_vocab");
    check_folder("bert_json");
    check_folder("sequence_json");
    check_folder("composed_json");
    check_folder("bare_json");
    check_folder("config_json");
}

/* -- every character ---------------------------------------------------------------------------------------------- */

static const uint64_t hash_start = UINT64_C(0xCBF29CE484222325);

static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static uint64_t hash_normalized(uint64_t hash, const tuff__normalizer *step, tuff__aligned_text *text)
{
    assert_int_equal(tuff__normalize(step, 1, text), TUFF_SUCCESS);
    for (size_t i = 0; i < text->count; i++) {
        char bytes[4];
        hash = hash_bytes(hash, bytes, tuff__utf8_encode(text->chars[i].code, bytes));
    }
    return hash_bytes(hash, "\n", 1);
}

static uint64_t hash_words(uint64_t hash, tuff__pre_tokenizer step, const tuff__aligned_text *text)
{
    tuff__splits splits = {0};
    assert_int_equal(tuff__pre_tokenize(&step, 1, text->chars, 0, (uint32_t)text->count, &splits), TUFF_SUCCESS);
    for (size_t i = 0; i < splits.count; i++) {
        char word[32];
        const tuff__split *split = &splits.items[i];
        const int length = snprintf(word, sizeof word, i ? " %u-%u" : "%u-%u", (unsigned)split->first,
                                    (unsigned)(split->first + split->count));
        hash = hash_bytes(hash, word, (size_t)length);
    }
    tuff__free(splits.items);
    return hash_bytes(hash, "\n", 1);
}

static const struct {
    const char *name;
    tuff__normalizer step;
} normalizers[] = {
    {"clean_text", {.kind = TUFF__NORMALIZER_BERT, .clean_text = true}},
    {"chinese", {.kind = TUFF__NORMALIZER_BERT, .handle_chinese_chars = true}},
    {"uncased",
     {.kind = TUFF__NORMALIZER_BERT,
      .clean_text = true,
      .handle_chinese_chars = true,
      .strip_accents = true,
      .lowercase = true}},
    {"lowercase", {.kind = TUFF__NORMALIZER_LOWERCASE}},
    {"strip_accents", {.kind = TUFF__NORMALIZER_STRIP_ACCENTS}},
    {"nfd", {.kind = TUFF__NORMALIZER_NFD}},
    {"nfc", {.kind = TUFF__NORMALIZER_NFC}},
    {"nfkd", {.kind = TUFF__NORMALIZER_NFKD}},
    {"nfkc", {.kind = TUFF__NORMALIZER_NFKC}},
};

static const struct {
    const char *name;
    tuff__pre_tokenizer step;
} pre_tokenizers[] = {
    {"bert", TUFF__PRE_TOKENIZER_BERT},
    {"whitespace", TUFF__PRE_TOKENIZER_WHITESPACE},
    {"punctuation", TUFF__PRE_TOKENIZER_PUNCTUATION},
    {"whitespace_split", TUFF__PRE_TOKENIZER_WHITESPACE_SPLIT},
};

/* The character between 'a', a mark of the highest class, and 'b'. */
static void fill_text(uint32_t code, tuff__aligned_text *text)
{
    const uint32_t codes[] = {'a', 0x345, code, 'b'};
    assert_int_equal(tuff__grow((void **)&text->chars, &text->capacity, 4, sizeof *text->chars, "text"), TUFF_SUCCESS);
    text->count = 4;
    for (uint32_t i = 0; i < 4; i++)
        text->chars[i] = (tuff__text_char){.code = codes[i], .begin = i, .end = i + 1};
}

static uint64_t hash_character(uint64_t hash, const char *name, uint32_t code, tuff__aligned_text *text)
{
    fill_text(code, text);
    for (size_t i = 0; i < sizeof normalizers / sizeof *normalizers; i++)
        if (strcmp(normalizers[i].name, name) == 0)
            return hash_normalized(hash, &normalizers[i].step, text);
    for (size_t i = 0; i < sizeof pre_tokenizers / sizeof *pre_tokenizers; i++)
        if (strcmp(pre_tokenizers[i].name, name) == 0)
            return hash_words(hash, pre_tokenizers[i].step, text);
    fail_msg("unicode.txt: no step is called '%s'", name);
    return 0;
}

static void test_every_character(void **state)
{
    (void)state;
    FILE *file = tuff__file_open(GOLDEN "unicode.txt", "r");
    assert_non_null(file);
    tuff__aligned_text text = {0};
    char name[32];
    unsigned first, last;
    uint64_t wanted;
    size_t lines = 0;
    for (; fscanf(file, "%31s %x %x %" SCNx64, name, &first, &last, &wanted) == 4; lines++) {
        uint64_t hash = hash_start;
        for (uint32_t code = first; code <= last; code++)
            if (code < 0xD800 || code > 0xDFFF)
                hash = hash_character(hash, name, code, &text);
        if (hash != wanted)
            fail_msg("%s differs from the reference between U+%04X and U+%04X", name, first, last);
    }
    assert_int_equal(lines, 13 * 31);
    tuff__aligned_text_destroy(&text);
    fclose(file);
}

/* -- files of the shared data ------------------------------------------------------------------------------------- */

static uint64_t hash_encoding(uint64_t hash, const tuff_encoding *encoding)
{
    for (size_t i = 0; i < encoding->count; i++) {
        char item[64];
        const int length =
            snprintf(item, sizeof item, i ? " %d,%u,%u" : "%d,%u,%u", (int)encoding->input_ids[i],
                     (unsigned)encoding->offset_mapping[2 * i], (unsigned)encoding->offset_mapping[2 * i + 1]);
        hash = hash_bytes(hash, item, (size_t)length);
    }
    return hash_bytes(hash, "\n", 1);
}

static void check_shared(const char *name, const char *data, size_t lines, size_t tokens, uint64_t wanted)
{
    char path[512];
    tuff__mapped_file file = {0};
    snprintf(path, sizeof path, "%s%s", SHARED, name);
    tuff_tokenizer *tokenizer = load(path);
    snprintf(path, sizeof path, "%s%s", SHARED, data);
    assert_int_equal(tuff__file_map(path, &file), TUFF_SUCCESS);
    uint64_t hash = hash_start;
    size_t line_count = 0, token_count = 0;
    for (size_t at = 0; at <= file.size; line_count++) { /* as Python's split: an empty line after the last '\n' */
        const char *text = (const char *)file.data + at;
        const char *end = at < file.size ? memchr(text, '\n', file.size - at) : NULL;
        const tuff_text line = {.data = text, .size = end ? (size_t)(end - text) : file.size - at};
        tuff_encoding encoding;
        assert_int_equal(tuff_tokenizer_encode_batch(tokenizer, &line, NULL, 1, NULL, &encoding), TUFF_SUCCESS);
        hash = hash_encoding(hash, &encoding);
        token_count += encoding.count;
        tuff_encoding_destroy(&encoding);
        at += line.size + 1;
    }
    assert_int_equal(line_count, lines);
    assert_int_equal(token_count, tokens);
    if (hash != wanted)
        fail_msg("%s with %s differs from the reference", data, name);
    tuff__file_unmap(&file);
    tuff_tokenizer_destroy(tokenizer);
}

static void test_shared_data(void **state)
{
    (void)state;
    if (!tuff__is_directory(SHARED "tokenizers")) {
        print_message("skipped: there is no shared/data beside the project\n");
        skip();
    }
    FILE *file = tuff__file_open(GOLDEN "shared.txt", "r");
    assert_non_null(file);
    char name[128], data[128];
    size_t lines, tokens, files = 0;
    uint64_t hash;
    for (; fscanf(file, "%127s %127s %zu %zu %" SCNx64, name, data, &lines, &tokens, &hash) == 5; files++)
        check_shared(name, data, lines, tokens, hash);
    assert_int_equal(files, 7);
    fclose(file);
}

/* -- look-ups, batches, odd texts --------------------------------------------------------------------------------- */

static void test_lookups(void **state)
{
    (void)state;
    tuff_tokenizer *tokenizer = load(GOLDEN "old_vocab");
    assert_int_equal(tuff_tokenizer_model_max_length(tokenizer), 32);
    assert_int_equal(tuff_tokenizer_special_id(tokenizer, TUFF_SPECIAL_TOKEN_UNK), 1);
    assert_int_equal(tuff_tokenizer_special_id(tokenizer, TUFF_SPECIAL_TOKEN_SEP), 3);
    assert_int_equal(tuff_tokenizer_special_id(tokenizer, TUFF_SPECIAL_TOKEN_PAD), 0);
    assert_int_equal(tuff_tokenizer_special_id(tokenizer, TUFF_SPECIAL_TOKEN_CLS), 2);
    const int32_t mask = tuff_tokenizer_special_id(tokenizer, TUFF_SPECIAL_TOKEN_MASK);
    assert_int_equal(mask, tuff_tokenizer_token_to_id(tokenizer, "<mask>"));
    assert_string_equal(tuff_tokenizer_id_to_token(tokenizer, mask), "<mask>");
    const int32_t piece = tuff_tokenizer_token_to_id(tokenizer, "##ing");
    assert_string_equal(tuff_tokenizer_id_to_token(tokenizer, piece), "##ing");
    assert_int_equal(tuff_tokenizer_token_to_id(tokenizer, "##nowhere"), -1);
    assert_int_equal(tuff_tokenizer_token_to_id(tokenizer, ""), -1);
    const int32_t size = (int32_t)tuff_tokenizer_vocab_size(tokenizer);
    for (int32_t id = 0; id < size; id++)
        assert_int_equal(tuff_tokenizer_token_to_id(tokenizer, tuff_tokenizer_id_to_token(tokenizer, id)), id);
    assert_null(tuff_tokenizer_id_to_token(tokenizer, size));
    assert_null(tuff_tokenizer_id_to_token(tokenizer, -1));
    tuff_tokenizer_destroy(tokenizer);
    tokenizer = load(GOLDEN "bare_json");
    assert_int_equal(tuff_tokenizer_model_max_length(tokenizer), 0);
    assert_int_equal(tuff_tokenizer_special_id(tokenizer, TUFF_SPECIAL_TOKEN_MASK), 4);
    tuff_tokenizer_destroy(tokenizer);
}

static void test_batches(void **state)
{
    (void)state;
    const tuff_text texts[] = {{"the cat", 7}, {"", 0}, {"the\0cat sat", 11}};
    tuff_encode_options options = {.padding = TUFF_PADDING_LONGEST, .pad_to_multiple_of = 4};
    tuff_encoding encodings[3];
    tuff_tokenizer *tokenizer = load(GOLDEN "vocab_alone");
    assert_int_equal(tuff_tokenizer_encode_batch(tokenizer, texts, NULL, 3, &options, encodings), TUFF_SUCCESS);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(encodings[i].count, encodings[0].count);
    assert_int_equal(encodings[0].count % 4, 0);
    assert_int_equal(encodings[1].input_ids[1], 3);
    assert_int_equal(encodings[1].attention_mask[2], 0);
    /* NUL is removed, and counts as a character: "thecat" is "the", "##cat"; "sat" begins at 8. */
    assert_int_equal(encodings[2].offset_mapping[5], 7);
    assert_int_equal(encodings[2].offset_mapping[6], 8);
    for (size_t i = 0; i < 3; i++)
        tuff_encoding_destroy(&encodings[i]);
    /* No limit is known to fill up to or cut down to. */
    options = (tuff_encode_options){.padding = TUFF_PADDING_MAX_LENGTH, .truncation = TUFF_TRUNCATION_LONGEST_FIRST};
    assert_int_equal(tuff_tokenizer_encode_batch(tokenizer, texts, texts, 1, &options, encodings), TUFF_SUCCESS);
    assert_int_equal(encodings[0].count, 7);
    tuff_encoding_destroy(&encodings[0]);
    assert_int_equal(tuff_tokenizer_encode_batch(tokenizer, NULL, NULL, 0, NULL, NULL), TUFF_SUCCESS);
    tuff_tokenizer_destroy(tokenizer);
}

static void refuse_text(const tuff_tokenizer *tokenizer, const char *text, const tuff_encode_options *options,
                        const char *part)
{
    tuff_encoding encoding;
    tuff__check_failed(tuff_tokenizer_encode(tokenizer, text, NULL, options, &encoding), TUFF_ERROR_INVALID_ARGUMENT,
                       part);
    assert_null(encoding.input_ids);
}

static void test_refuses_texts_and_options(void **state)
{
    (void)state;
    tuff_tokenizer *tokenizer = load(GOLDEN "vocab_alone");
    refuse_text(tokenizer, "abc\xff", NULL, "text is not UTF-8: byte 3 is 0xff");
    refuse_text(tokenizer, "\xED\xA0\x80", NULL, "text is not UTF-8: byte 0 is 0xed");
    refuse_text(tokenizer, "cat", &(tuff_encode_options){.max_length = 1},
                "max_length is 1, too few for the 2 special");
    refuse_text(tokenizer, "the cat",
                &(tuff_encode_options){.truncation = TUFF_TRUNCATION_ONLY_SECOND, .max_length = 3},
                "only_second, but there is no second text");
    refuse_text(tokenizer, "the cat",
                &(tuff_encode_options){.truncation = TUFF_TRUNCATION_LONGEST_FIRST,
                                       .padding = TUFF_PADDING_LONGEST,
                                       .max_length = 6,
                                       .pad_to_multiple_of = 4},
                "max_length is 6, wanted a multiple of pad_to_multiple_of, 4");
    refuse_text(tokenizer, "cat", &(tuff_encode_options){.truncation = (tuff_truncation)9}, "no value of its enum");
    const tuff_text texts[] = {{"cat", 3}, {"\x80", 1}};
    tuff_encoding encodings[2];
    tuff__check_failed(tuff_tokenizer_encode_batch(tokenizer, texts, NULL, 2, NULL, encodings),
                       TUFF_ERROR_INVALID_ARGUMENT, "text 1: text is not UTF-8");
    assert_null(encodings[0].input_ids);
    tuff_tokenizer_destroy(tokenizer);
}

/* -- refused folders ---------------------------------------------------------------------------------------------- */

static void clear_folder(void)
{
    static const char *const names[] = {"tokenizer.json",          "vocab.txt",         "tokenizer_config.json",
                                        "special_tokens_map.json", "added_tokens.json", "config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(tuff__file_remove(tuff__check_path(names[i])), TUFF_SUCCESS);
}

static void refuse_folder(const char *part)
{
    tuff_tokenizer *tokenizer = NULL;
    tuff__check_failed(tuff_tokenizer_load(tuff__check_folder, &tokenizer), TUFF_ERROR_INVALID_FILE, part);
    assert_null(tokenizer);
}

static void refuse_vocab(const char *vocab, const char *config, const char *part)
{
    clear_folder();
    tuff__check_write_text(tuff__check_path("vocab.txt"), vocab);
    tuff__check_write_text(tuff__check_path("tokenizer_config.json"), config);
    refuse_folder(part);
}

static void test_refuses_vocabularies(void **state)
{
    (void)state;
    tuff_tokenizer *tokenizer = NULL;
    tuff__check_failed(tuff_tokenizer_load("no/such/folder", &tokenizer), TUFF_ERROR_IO, "no such folder");
    clear_folder();
    tuff__check_failed(tuff_tokenizer_load(tuff__check_folder, &tokenizer), TUFF_ERROR_IO,
                       "has neither tokenizer.json nor vocab.txt");
    refuse_vocab("", "{}", "the vocabulary is empty");
    refuse_vocab("[UNK]\n\xff\n", "{}", "vocab.txt: line 2 is not UTF-8");
    refuse_vocab("a\n", "[]", "tokenizer_config.json: holds no JSON object");
    refuse_vocab("a\n", "{\"tokenizer_class\": \"BertJapaneseTokenizer\"}",
                 "tokenizer_class 'BertJapaneseTokenizer' with vocab.txt is not supported, wanted BertTokenizer");
    tuff__check_write_text(tuff__check_path("tokenizer_config.json"), "{}");
    tuff__check_write_text(tuff__check_path("config.json"), "{\"tokenizer_class\": \"BertJapaneseTokenizer\"}");
    refuse_folder("/config.json: tokenizer_class 'BertJapaneseTokenizer' with vocab.txt is not supported");
    refuse_vocab("a\n", "{\"unk_token\": null}", "unk_token is null");
    refuse_vocab("a\n", "{\"sep_token\": null}", "cls_token or sep_token is null");
    refuse_vocab("a\n", "{\"do_lower_case\": \"yes\"}", "do_lower_case");
    refuse_vocab("a\n", "{\"padding_side\": \"top\"}", "padding_side");
    refuse_vocab("a\n", "{\"mask_token\": 7}", "mask_token");
    refuse_vocab("a\n", "{\"added_tokens_decoder\": {\"x\": {\"content\": \"a\"}}}", "an id and its token");
    refuse_vocab("a\n", "{\"extra_special_tokens\": 1}", "extra_special_tokens");
    clear_folder();
    tuff__check_write(tuff__check_path("vocab.txt"), "a\0b\n", 4);
    refuse_folder("line 1 holds a NUL character");
}

#define MODEL(fields)                                                                                                  \
    "\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\", "           \
    "\"max_input_chars_per_word\": 100, " fields "}"
#define VOCAB MODEL("\"vocab\": {\"[UNK]\": 0, \"a\": 1}")

static void refuse_json(const char *json, const char *part)
{
    clear_folder();
    tuff__check_write_text(tuff__check_path("tokenizer.json"), json);
    refuse_folder(part);
}

static void test_refuses_tokenizer_json(void **state)
{
    (void)state;
    refuse_json("{", "tokenizer.json: line 1");
    refuse_json("{}", "model");
    refuse_json("{\"model\": {\"type\": \"BPE\"}}", "model type 'BPE' is not supported, wanted WordPiece");
    refuse_json("{\"model\": {\"merges\": []}}", "model type 'BPE' is not supported, wanted WordPiece");
    refuse_json("{\"model\": {\"vocab\": {}}}", "model type 'unnamed' is not supported, wanted WordPiece");
    refuse_json("{" MODEL("\"vocab\": {}") "}", "the vocabulary is empty");
    refuse_json("{" MODEL("\"vocab\": {\"a\": -1}") "}", "a has no id from 0");
    refuse_json("{" MODEL("\"vocab\": {\"a\": 1.5}") "}", "a has no id from 0");
    refuse_json("{" VOCAB ", \"normalizer\": {\"type\": \"Replace\"}}", "normalizer type 'Replace' is not supported");
    refuse_json("{" VOCAB ", \"normalizer\": {\"type\": \"BertNormalizer\"}}", "clean_text");
    refuse_json("{" VOCAB ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Nmt\"}]}}",
                "normalizer type 'Nmt' is not supported");
    refuse_json("{" VOCAB ", \"pre_tokenizer\": {\"type\": \"ByteLevel\"}}",
                "pre_tokenizer type 'ByteLevel' is not supported");
    refuse_json("{" VOCAB ", \"pre_tokenizer\": {\"type\": \"Punctuation\", \"behavior\": \"Contiguous\"}}",
                "behavior 'Contiguous' is not supported");
    refuse_json("{" VOCAB ", \"post_processor\": {\"type\": \"RobertaProcessing\"}}",
                "post_processor type 'RobertaProcessing' is not supported");
    refuse_json("{" VOCAB
                ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"pair\": [], \"special_tokens\": {},"
                "\"single\": [{\"SpecialToken\": {\"id\": \"x\", \"type_id\": 0}}]}}",
                "uses the special token 'x' and does not define it");
    refuse_json("{" VOCAB
                ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"pair\": [], \"special_tokens\": {},"
                "\"single\": [{\"Sequence\": {\"id\": \"B\", \"type_id\": 0}}]}}",
                "has a sequence 'B', wanted A");
    refuse_json("{" VOCAB ", \"added_tokens\": [{\"id\": 0, \"content\": \"x\"}]}", "single_word");
    refuse_json("{" VOCAB ", \"padding\": {\"direction\": \"Up\"}}", "direction");
}

static void test_missing_unknown_token(void **state)
{
    (void)state;
    clear_folder();
    tuff__check_write_text(tuff__check_path("tokenizer.json"), "{" MODEL("\"vocab\": {\"a\": 1}") "}");
    tuff_tokenizer *tokenizer = load(tuff__check_folder);
    tuff_encoding encoding;
    assert_int_equal(tuff_tokenizer_encode(tokenizer, "a", NULL, NULL, &encoding), TUFF_SUCCESS);
    assert_int_equal(encoding.input_ids[0], 1);
    tuff_encoding_destroy(&encoding);
    tuff__check_failed(tuff_tokenizer_encode(tokenizer, "b", NULL, NULL, &encoding), TUFF_ERROR_INVALID_FILE,
                       "neither is the unknown token '[UNK]'");
    tuff_tokenizer_destroy(tokenizer);
}

static void expect_warning(void *user, tuff_log_level level, const char *message)
{
    if (level == TUFF_LOG_WARNING && strstr(message, "do_lower_case false"))
        *(bool *)user = true;
}

/* The class's flags stand against tokenizer.json's, as in transformers; without a config tokenizer.json stands. */
static void test_config_overrides_normalizer(void **state)
{
    (void)state;
    static const char json[] =
        "{" VOCAB
        ", \"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true, \"handle_chinese_chars\": true, "
        "\"strip_accents\": null, \"lowercase\": true}}";
    tuff_encoding encoding;
    for (int with_config = 0; with_config < 2; with_config++) {
        clear_folder();
        tuff__check_write_text(tuff__check_path("tokenizer.json"), json);
        if (with_config)
            tuff__check_write_text(tuff__check_path("tokenizer_config.json"),
                                   "{\"tokenizer_class\": \"BertTokenizerFast\", \"do_lower_case\": false}");
        bool warned = false;
        tuff_set_log(expect_warning, &warned);
        tuff_tokenizer *tokenizer = load(tuff__check_folder);
        tuff_set_log(NULL, NULL);
        assert_int_equal(warned, with_config);
        assert_int_equal(tuff_tokenizer_encode(tokenizer, "A", NULL, NULL, &encoding), TUFF_SUCCESS);
        assert_int_equal(encoding.input_ids[0], with_config ? 0 : 1);
        tuff_encoding_destroy(&encoding);
        tuff_tokenizer_destroy(tokenizer);
    }
}

/* Of a special token that tokenizer.json has already, the flags in tokenizer_config.json count where they are not in
 * its added_tokens_decoder: as transformers 4 and 5. */
static void test_flags_of_special_tokens(void **state)
{
    (void)state;
    static const char json[] =
        "{" VOCAB ", \"added_tokens\": [{\"id\": 0, \"content\": \"[UNK]\", \"single_word\": false, "
        "\"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}]}";
    static const char *const decoders[] = {"", ", \"added_tokens_decoder\": {}",
                                           ", \"added_tokens_decoder\": {\"0\": {\"content\": \"[UNK]\"}}"};
    for (size_t i = 0; i < 3; i++) {
        char config[300];
        tuff_encoding encoding;
        snprintf(config, sizeof config, "{\"unk_token\": {\"content\": \"[UNK]\", \"lstrip\": true}%s}", decoders[i]);
        clear_folder();
        tuff__check_write_text(tuff__check_path("tokenizer.json"), json);
        tuff__check_write_text(tuff__check_path("tokenizer_config.json"), config);
        tuff_tokenizer *tokenizer = load(tuff__check_folder);
        assert_int_equal(tuff_tokenizer_encode(tokenizer, "  [UNK]", NULL, NULL, &encoding), TUFF_SUCCESS);
        assert_int_equal(encoding.offset_mapping[2 * encoding.count - 2], i == 1 ? 0 : 2);
        tuff_encoding_destroy(&encoding);
        tuff_tokenizer_destroy(tokenizer);
    }
}

/* -- saving, and memory running out ------------------------------------------------------------------------------- */

static void check_saved(const char *name)
{
    char dir[512];
    snprintf(dir, sizeof dir, "%s%s", GOLDEN, name);
    clear_folder();
    tuff_tokenizer *tokenizer = load(dir);
    assert_int_equal(tuff_tokenizer_save(tokenizer, tuff__check_folder), TUFF_SUCCESS);
    tuff_tokenizer *again = load(tuff__check_folder);
    assert_int_equal(tuff_tokenizer_vocab_size(again), tuff_tokenizer_vocab_size(tokenizer));
    assert_int_equal(tuff_tokenizer_model_max_length(again), tuff_tokenizer_model_max_length(tokenizer));
    for (int i = 0; i < 5; i++)
        assert_int_equal(tuff_tokenizer_special_id(again, (tuff_special_token)i),
                         tuff_tokenizer_special_id(tokenizer, (tuff_special_token)i));
    tuff_encoding first, second;
    assert_int_equal(tuff_tokenizer_encode(tokenizer, "The Éa cat,안녕 漢 <mask>Mytok", "b", NULL, &first),
                     TUFF_SUCCESS);
    assert_int_equal(tuff_tokenizer_encode(again, "The Éa cat,안녕 漢 <mask>Mytok", "b", NULL, &second), TUFF_SUCCESS);
    assert_int_equal(first.count, second.count);
    assert_memory_equal(first.input_ids, second.input_ids, 6 * first.count * sizeof(int32_t));
    tuff_encoding_destroy(&first);
    tuff_encoding_destroy(&second);
    tuff__check_failed(tuff_tokenizer_save(tokenizer, "no/such/folder"), TUFF_ERROR_IO, "no such folder");
    tuff_tokenizer_destroy(again);
    tuff_tokenizer_destroy(tokenizer);
}

static void test_save(void **state)
{
    (void)state;
    check_saved("cased_config");
    check_saved("old_vocab");
    check_saved("bert_json");
    check_saved("sequence_json");
    check_saved("composed_json");
    check_saved("bare_json");
    tuff__check_content(tuff__check_path("tokenizer_config.json"),
                        "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"model_input_names\": [\n"
                        "    \"input_ids\",\n    \"token_type_ids\",\n    \"attention_mask\"\n  ]\n}");
    check_saved("config_json"); /* the same class without the model's config.json, which is not saved */
    assert_false(tuff__file_exists(tuff__check_path("config.json")));
    check_saved("vocab_alone");
    tuff__check_content(tuff__check_path("tokenizer_config.json"),
                        "{\n  \"tokenizer_class\": \"BertTokenizer\",\n  \"do_lower_case\": true,\n"
                        "  \"strip_accents\": true,\n  \"tokenize_chinese_chars\": true,\n  \"unk_token\": \"[UNK]\",\n"
                        "  \"sep_token\": \"[SEP]\",\n  \"pad_token\": \"[PAD]\",\n  \"cls_token\": \"[CLS]\",\n"
                        "  \"mask_token\": \"[MASK]\"\n}");
}

/* A tokenizer is saved over another: what is read back is the new one, and the model's own config stays. */
static void test_save_over_another(void **state)
{
    (void)state;
    static const char *const names[] = {"tokenizer.json", "special_tokens_map.json", "added_tokens.json"};
    clear_folder();
    tuff_tokenizer *old = load(GOLDEN "old_vocab"), *json = load(GOLDEN "sequence_json"), *tokenizer = NULL;
    assert_int_equal(tuff_tokenizer_save(old, tuff__check_folder), TUFF_SUCCESS);
    assert_int_equal(tuff_tokenizer_save(json, tuff__check_folder), TUFF_SUCCESS);
    assert_false(tuff__file_exists(tuff__check_path("vocab.txt")));
    tuff__check_write_text(tuff__check_path("config.json"), "{\"model_type\": \"bert\"}");
    tokenizer = load(GOLDEN "vocab_alone");
    assert_int_equal(tuff_tokenizer_save(tokenizer, tuff__check_folder), TUFF_SUCCESS);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(tuff__file_exists(tuff__check_path(names[i])));
    assert_true(tuff__file_exists(tuff__check_path("config.json")));
    tuff_tokenizer_destroy(tokenizer);
    tuff_tokenizer_destroy(json);
    tuff_tokenizer_destroy(old);
}

static tuff_status load_and_encode(const char *dir)
{
    tuff_tokenizer *tokenizer = NULL;
    tuff_encoding encoding = {0};
    tuff_status status = tuff_tokenizer_load(dir, &tokenizer);
    if (status == TUFF_SUCCESS)
        status = tuff_tokenizer_encode(tokenizer, "the [MASK] Éa 漢字 안녕 the mat", "thecat <a>", NULL, &encoding);
    if (status == TUFF_SUCCESS)
        status = tuff_tokenizer_save(tokenizer, tuff__check_folder);
    tuff_encoding_destroy(&encoding);
    tuff_tokenizer_destroy(tokenizer);
    return status;
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    static const char *const dirs[] = {GOLDEN "old_vocab", GOLDEN "bert_json", GOLDEN "sequence_json",
                                       GOLDEN "vocab_alone", GOLDEN "config_json"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        uint64_t n = 1;
        for (;; n++) {
            tuff__alloc_fail_at(n);
            const tuff_status status = load_and_encode(dirs[i]);
            tuff__alloc_fail_at(0);
            if (status == TUFF_SUCCESS)
                break;
            if (status != TUFF_ERROR_OUT_OF_HOST_MEMORY)
                fail_msg("allocation %llu: %s", (unsigned long long)n, tuff_last_error());
        }
        assert_true(n > 20);
    }
}

static int create_folder(void **state)
{
    (void)state;
    return tuff__check_folder_create("test_tokenizer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_shared_data),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_refuses_texts_and_options),
        cmocka_unit_test(test_refuses_vocabularies),
        cmocka_unit_test(test_refuses_tokenizer_json),
        cmocka_unit_test(test_missing_unknown_token),
        cmocka_unit_test(test_config_overrides_normalizer),
        cmocka_unit_test(test_flags_of_special_tokens),
        cmocka_unit_test(test_save),
        cmocka_unit_test(test_save_over_another),
        cmocka_unit_test(test_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, create_folder, tuff__check_folder_remove);
}
