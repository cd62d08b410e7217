/* fuzz_config.c: any bytes are a configuration or are refused; what is written of one reads back to the same sizes. */
#include "../../runtime/model/model_config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tuff__model_config config, again;
    if (tuff__model_config_parse("fuzz", (const char *)data, size, &config) == TUFF_SUCCESS) {
        char *text = NULL;
        size_t length = 0;
        require(config.fields.hidden_size % config.fields.num_attention_heads == 0);
        require(config.fields.num_labels >= 1 && config.fields.labels[config.fields.num_labels - 1]);
        require(tuff__model_config_write(&config, "BertForSequenceClassification", true, &text, &length) ==
                TUFF_SUCCESS);
        require(tuff__model_config_parse("again", text, length, &again) == TUFF_SUCCESS);
        require(again.fields.vocab_size == config.fields.vocab_size);
        require(again.fields.hidden_act == config.fields.hidden_act);
        require(again.fields.num_labels == config.fields.num_labels);
        require(strcmp(again.fields.labels[0], config.fields.labels[0]) == 0);
        tuff__model_config_destroy(&again);
        tuff__free(text);
    }
    tuff__model_config_destroy(&config);
    return 0;
}
