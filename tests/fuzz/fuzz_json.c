/* fuzz_json.c: any bytes are parsed or refused; what is parsed is written to text that parses to the same text. */
#include "../../runtime/io/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static char *write_back(const tuff__json *json)
{
    tuff__json_writer writer = {0};
    char *text = NULL;
    tuff__json_write_value(&writer, json->root);
    require(tuff__json_finish_text(&writer, &text, NULL) == TUFF_SUCCESS);
    return text;
}

/* Infinity, from digits too large for a double, is the one value that JSON cannot take back. */
static bool has_infinity(const cJSON *value)
{
    if (cJSON_IsNumber(value) && value->valuedouble - value->valuedouble != 0)
        return true;
    for (const cJSON *item = value->child; item; item = item->next)
        if (has_infinity(item))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tuff__json *json = NULL, *again = NULL;
    const tuff__json_limits limits = {.max_values = 10000};
    if (tuff__json_parse("fuzz", (const char *)data, size, &limits, &json) != TUFF_SUCCESS)
        return 0;
    int64_t integer = 0;
    const char *string = NULL;
    (void)tuff__json_int(json, json->root, "a", 0, 100, &integer);
    (void)tuff__json_string(json, json->root, "b", &string);
    if (!has_infinity(json->root)) {
        char *first = write_back(json);
        require(tuff__json_parse("again", first, strlen(first), NULL, &again) == TUFF_SUCCESS);
        char *second = write_back(again);
        require(strcmp(first, second) == 0);
        tuff__free(second);
        tuff__free(first);
        tuff__json_destroy(again);
    }
    tuff__json_destroy(json);
    return 0;
}
