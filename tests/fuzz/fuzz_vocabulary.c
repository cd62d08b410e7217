/* fuzz_vocabulary.c: vocab.txt, tokenizer_config.json, special_tokens_map.json, added_tokens.json, a text and its pair:
 * refused, or encoded. */
#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const tuff_text files[TUFF__FILE_COUNT] = {
        [TUFF__FILE_VOCAB_TXT] = tuff__fuzz_part(data, size, 0),
        [TUFF__FILE_TOKENIZER_CONFIG] = tuff__fuzz_file(data, size, 1),
        [TUFF__FILE_SPECIAL_TOKENS_MAP] = tuff__fuzz_file(data, size, 2),
        [TUFF__FILE_ADDED_TOKENS] = tuff__fuzz_file(data, size, 3),
    };
    tuff_tokenizer *tokenizer = NULL;
    if (tuff__tokenizer_create("fuzz", files, &tokenizer) == TUFF_SUCCESS)
        tuff__fuzz_check_tokenizer(tokenizer, tuff__fuzz_part(data, size, 4), tuff__fuzz_part(data, size, 5));
    tuff_tokenizer_destroy(tokenizer);
    return 0;
}
