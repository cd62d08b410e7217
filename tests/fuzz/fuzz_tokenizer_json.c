/* fuzz_tokenizer_json.c: tokenizer.json, tokenizer_config.json, special_tokens_map.json, added_tokens.json,
 * config.json, a text and its pair: refused, or encoded. */
#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore_log(void *user, tuff_log_level level, const char *message)
{
    (void)user;
    (void)level;
    (void)message;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const tuff_text files[TUFF__FILE_COUNT] = {
        [TUFF__FILE_TOKENIZER_JSON] = tuff__fuzz_part(data, size, 0),
        [TUFF__FILE_TOKENIZER_CONFIG] = tuff__fuzz_file(data, size, 1),
        [TUFF__FILE_SPECIAL_TOKENS_MAP] = tuff__fuzz_file(data, size, 2),
        [TUFF__FILE_ADDED_TOKENS] = tuff__fuzz_file(data, size, 3),
        [TUFF__FILE_MODEL_CONFIG] = tuff__fuzz_file(data, size, 4),
    };
    tuff_tokenizer *tokenizer = NULL;
    tuff_set_log(ignore_log, NULL);
    if (tuff__tokenizer_create("fuzz", files, &tokenizer) == TUFF_SUCCESS)
        tuff__fuzz_check_tokenizer(tokenizer, tuff__fuzz_part(data, size, 5), tuff__fuzz_part(data, size, 6));
    tuff_tokenizer_destroy(tokenizer);
    return 0;
}
