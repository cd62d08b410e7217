/* fuzz_pooling.c: modules.json, 1_Pooling/config.json, sentence_bert_config.json: refused, or a pooling tuff has. */
#include "../../runtime/task/pooling_config.h"
#include "fuzz_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[160];
    snprintf(folder, sizeof folder, "%s/1_Pooling", tuff__fuzz_folder());
    tuff__fuzz_require(tuff__directory_create(folder) == TUFF_SUCCESS);
    tuff__fuzz_write("modules.json", tuff__fuzz_part(data, size, 0));
    tuff__fuzz_write("1_Pooling/config.json", tuff__fuzz_part(data, size, 1));
    tuff__fuzz_write("sentence_bert_config.json", tuff__fuzz_part(data, size, 2));
    tuff__pooling_config config;
    uint32_t length = 0;
    const tuff_status alone = tuff__pooling_config_load_length(tuff__fuzz_folder(), &length);
    if (tuff__pooling_config_load(tuff__fuzz_folder(), &config) != TUFF_SUCCESS)
        return 0;
    tuff__fuzz_require(config.present == (tuff__fuzz_part(data, size, 0).size > 0));
    tuff__fuzz_require(config.pooling == TUFF_POOLING_NONE || config.pooling == TUFF_POOLING_CLS ||
                       config.pooling == TUFF_POOLING_MEAN || config.pooling == TUFF_POOLING_MAX);
    tuff__fuzz_require(!config.present || (alone == TUFF_SUCCESS && config.max_seq_length == length));
    return 0;
}
