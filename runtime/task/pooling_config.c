/*
 * pooling_config.c: owns the reading of sentence-transformers' files: modules.json lists modules (Transformer, Pooling,
 * Normalize), each with a folder of its own; anything else between text and vector is refused by name.
 */
#include "pooling_config.h"

#include "../io/json.h"
#include "../os.h"

#include <string.h>

/* dir/name, or dir/folder/name where `folder` is not empty; free with tuff__free. */
static char *join_path(const char *dir, const char *folder, const char *name)
{
    return folder[0] ? tuff__asprintf("%s/%s/%s", dir, folder, name) : tuff__asprintf("%s/%s", dir, name);
}

/* Opens a file that may be missing: then *out_json is NULL. */
static tuff_status open_optional(const char *dir, const char *folder, const char *name, tuff__json **out_json)
{
    *out_json = NULL;
    char *path = join_path(dir, folder, name);
    if (!path)
        return tuff__fail_memory("path", strlen(dir));
    const tuff_status status = tuff__file_exists(path) ? tuff__json_load(path, NULL, out_json) : TUFF_SUCCESS;
    tuff__free(path);
    return status;
}

/* -- 1_Pooling/config.json ---------------------------------------------------------------------------------------- */

static const struct {
    const char *flag; /* as every version writes it */
    const char *mode; /* as the value of `pooling_mode` */
    tuff_pooling pooling;
} modes[] = {
    {"pooling_mode_cls_token", "cls", TUFF_POOLING_CLS},
    {"pooling_mode_mean_tokens", "mean", TUFF_POOLING_MEAN},
    {"pooling_mode_max_tokens", "max", TUFF_POOLING_MAX},
};
enum { MODE_COUNT = sizeof modes / sizeof *modes };

/* The mode of one flag that is set. */
static tuff_status take_flag(const tuff__json *json, const char *flag, tuff_pooling *pooling)
{
    if (*pooling != TUFF_POOLING_NONE)
        return tuff__fail(TUFF_ERROR_INVALID_FILE,
                          "%s: '%s' is set beside another mode; one is supported, not their concatenation", json->name,
                          flag);
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (strcmp(modes[i].flag, flag) == 0) {
            *pooling = modes[i].pooling;
            return TUFF_SUCCESS;
        }
    }
    return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' is not supported, wanted cls, mean or max tokens", json->name,
                      flag);
}

static tuff_status read_mode(const tuff__json *json, tuff_pooling *out_pooling)
{
    const cJSON *item, *mode = tuff__json_find(json->root, "pooling_mode");
    *out_pooling = TUFF_POOLING_NONE;
    if (cJSON_IsString(mode)) {
        for (size_t i = 0; i < MODE_COUNT; i++)
            if (strcmp(modes[i].mode, mode->valuestring) == 0)
                *out_pooling = modes[i].pooling;
        return *out_pooling == TUFF_POOLING_NONE
                   ? tuff__json_fail_value(json, "pooling_mode", mode, "\"cls\", \"mean\" or \"max\"")
                   : TUFF_SUCCESS;
    }
    cJSON_ArrayForEach(item, json->root)
    {
        if (item->string && strncmp(item->string, "pooling_mode_", 13) == 0 && cJSON_IsTrue(item))
            TUFF_TRY(take_flag(json, item->string, out_pooling));
    }
    if (*out_pooling == TUFF_POOLING_NONE)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: names no pooling mode", json->name);
    return TUFF_SUCCESS;
}

static tuff_status read_pooling(const char *dir, const char *folder, tuff_pooling *out_pooling)
{
    tuff__json *json = NULL;
    char *path = join_path(dir, folder, "config.json");
    if (!path)
        return tuff__fail_memory("path", strlen(dir));
    tuff_status status = tuff__json_load(path, NULL, &json);
    if (status == TUFF_SUCCESS)
        status = read_mode(json, out_pooling);
    tuff__json_destroy(json);
    tuff__free(path);
    return status;
}

/* -- modules.json ------------------------------------------------------------------------------------------------- */

/* Folders come from the file: nothing outside the model's own is read. */
static bool is_inside(const char *folder)
{
    return folder[0] != '/' && !strstr(folder, "..") && !strchr(folder, '\\') && !strchr(folder, ':');
}

static tuff_status read_module(const char *dir, const tuff__json *json, const cJSON *module,
                               tuff__pooling_config *config)
{
    const char *type, *folder;
    TUFF_TRY(tuff__json_string(json, module, "type", &type));
    TUFF_TRY(tuff__json_string_or(json, module, "path", "", &folder));
    if (!is_inside(folder))
        return tuff__json_fail_value(json, "path", tuff__json_find(module, "path"), "a folder of the model");
    const char *dot = strrchr(type, '.');
    const char *name = dot ? dot + 1 : type; /* the classes have moved between modules */
    if (strcmp(name, "Transformer") == 0)
        return TUFF_SUCCESS;
    if (strcmp(name, "Normalize") == 0) {
        config->normalize = true;
        return TUFF_SUCCESS;
    }
    if (strcmp(name, "Pooling") == 0)
        return read_pooling(dir, folder, &config->pooling);
    return tuff__json_fail_value(json, "type", tuff__json_find(module, "type"),
                                 "a Transformer, Pooling or Normalize module");
}

static tuff_status read_modules(const char *dir, const tuff__json *json, tuff__pooling_config *config)
{
    const cJSON *module;
    if (!cJSON_IsArray(json->root))
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: is not a JSON array", json->name);
    cJSON_ArrayForEach(module, json->root) TUFF_TRY(read_module(dir, json, module, config));
    return TUFF_SUCCESS;
}

/* -- sentence_bert_config.json ------------------------------------------------------------------------------------ */

static tuff_status read_sentence_config(const tuff__json *json, uint32_t *out_max_seq_length, bool *out_lower)
{
    int64_t length = 0;
    TUFF_TRY(tuff__json_int_or(json, json->root, "max_seq_length", 0, INT32_MAX, 0, &length));
    TUFF_TRY(tuff__json_bool_or(json, json->root, "do_lower_case", false, out_lower));
    *out_max_seq_length = (uint32_t)length;
    return TUFF_SUCCESS;
}

static tuff_status load_sentence_config(const char *dir, uint32_t *out_max_seq_length, bool *out_lower)
{
    tuff__json *json = NULL;
    *out_max_seq_length = 0;
    *out_lower = false;
    TUFF_TRY(open_optional(dir, "", "sentence_bert_config.json", &json));
    const tuff_status status = json ? read_sentence_config(json, out_max_seq_length, out_lower) : TUFF_SUCCESS;
    tuff__json_destroy(json);
    return status;
}

tuff_status tuff__pooling_config_load_length(const char *dir, uint32_t *out_max_seq_length)
{
    bool lower;
    return load_sentence_config(dir, out_max_seq_length, &lower);
}

tuff_status tuff__pooling_config_load(const char *dir, tuff__pooling_config *out_config)
{
    tuff__json *json = NULL;
    bool lower = false;
    *out_config = (tuff__pooling_config){.pooling = TUFF_POOLING_NONE};
    TUFF_TRY(open_optional(dir, "", "modules.json", &json));
    if (!json)
        return TUFF_SUCCESS;
    out_config->present = true;
    const tuff_status status = read_modules(dir, json, out_config);
    tuff__json_destroy(json);
    TUFF_TRY(status);
    TUFF_TRY(load_sentence_config(dir, &out_config->max_seq_length, &lower));
    if (lower)
        return tuff__fail(TUFF_ERROR_INVALID_FILE,
                          "%s/sentence_bert_config.json: 'do_lower_case' is true, which is not supported: choose the "
                          "pooling yourself to leave the file unread",
                          dir);
    return TUFF_SUCCESS;
}
