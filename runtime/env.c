/* env.c: the only caller of getenv. */
#include "env.h"

#include "os.h"

#include <stdlib.h>
#include <string.h>

static tuff__environment environment;
static tuff__once environment_once = TUFF__ONCE_INIT;

static tuff_log_level parse_log_level(const char *text)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (size_t i = 0; text && i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(text, names[i]))
            return (tuff_log_level)i;
    return TUFF_LOG_WARNING;
}

static const char *get_nonempty(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static void read_environment(void)
{
    const char *validation = getenv("TUFF_VALIDATION");
    environment = (tuff__environment){
        .log_level = parse_log_level(getenv("TUFF_LOG")),
        .device = getenv("TUFF_DEVICE"),
        .validation = validation && strcmp(validation, "0") != 0 && validation[0] != '\0',
        .cache_dir = getenv("TUFF_CACHE_DIR"),
        .hf_hub_cache = get_nonempty("HF_HUB_CACHE"),
        .hf_home = get_nonempty("HF_HOME"),
    };
}

const tuff__environment *tuff__env(void)
{
    tuff__call_once(&environment_once, read_environment);
    return &environment;
}

const tuff__env_row *tuff__env_rows(void)
{
    static const tuff__env_row rows[] = {
        {"TUFF_LOG", "error, warning, info, debug", "how much the library says on stderr (default: warning)"},
        {"TUFF_DEVICE", "as --device", "the device a command uses when --device is not given"},
        {"TUFF_VALIDATION", "0, 1", "load Vulkan's validation layer, with synchronization checks"},
        {"TUFF_CACHE_DIR", "a folder", "where compiled pipelines and kernel verdicts are kept"},
        {"HF_HUB_CACHE", "a folder", "where Hugging Face's tools keep models (default: HF_HOME/hub)"},
        {"HF_HOME", "a folder", "Hugging Face's own folder (default: ~/.cache/huggingface)"},
        {NULL, NULL, NULL},
    };
    return rows;
}
