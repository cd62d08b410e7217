/* env.c: owns tuff's variables in the environment. (Where a user's folders are is the system's convention: os_*.c.) */
#include "env.h"

#include "alloc.h"
#include "os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As long a path as Linux opens: a longer one is refused, cut or whole. */
enum { LONGEST = 4096 };

static tuff__environment environment;
static struct {
    char device[LONGEST], dump[LONGEST], cache_dir[LONGEST], hf_hub_cache[LONGEST], hf_home[LONGEST];
} kept;
static tuff__once environment_once = TUFF__ONCE_INIT;

static tuff_log_level parse_log_level(const char *text)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (size_t i = 0; text && i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(text, names[i]))
            return (tuff_log_level)i;
    return TUFF_LOG_WARNING;
}

/* An empty variable is an unset one. */
static const char *get(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] != '\0' ? value : NULL;
}

/* What getenv points at is the application's, until it changes the variable. */
static const char *keep(const char *name, char out[LONGEST])
{
    const char *value = get(name);
    if (!value)
        return NULL;
    snprintf(out, LONGEST, "%s", value);
    return out;
}

static bool is_on(const char *name)
{
    const char *value = get(name);
    return value && strcmp(value, "0") != 0;
}

static void read_environment(void)
{
    environment = (tuff__environment){
        .log_level = parse_log_level(get("TUFF_LOG")),
        .device = keep("TUFF_DEVICE", kept.device),
        .check = is_on("TUFF_CHECK"),
        .dump = keep("TUFF_DUMP", kept.dump),
        .validation = is_on("TUFF_VALIDATION"),
        .cache_dir = keep("TUFF_CACHE_DIR", kept.cache_dir),
        .hf_hub_cache = keep("HF_HUB_CACHE", kept.hf_hub_cache),
        .hf_home = keep("HF_HOME", kept.hf_home),
    };
}

const tuff__environment *tuff__env(void)
{
    tuff__call_once(&environment_once, read_environment);
    return &environment;
}

char *tuff__cache_folder(void)
{
    return tuff__env()->cache_dir ? tuff__strdup(tuff__env()->cache_dir) : tuff__cache_directory();
}

const tuff__env_row *tuff__env_rows(void)
{
    static const tuff__env_row rows[] = {
        {"TUFF_LOG", "error, warning, info, debug", "how much the library says on stderr (default: warning)"},
        {"TUFF_DEVICE", "as --device", "the device a command uses when --device is not given"},
        {"TUFF_CHECK", "0, 1", "run each operator on the CPU reference too and stop at the first that differs"},
        {"TUFF_DUMP", "a folder", "write each compiled graph there: graph-N.txt, and graph-N.dot for Graphviz"},
        {"TUFF_VALIDATION", "0, 1", "load Vulkan's validation layer, with synchronization checks"},
        {"TUFF_CACHE_DIR", "a folder", "where compiled pipelines and kernel verdicts are kept"},
        {"HF_HUB_CACHE", "a folder", "where Hugging Face's tools keep models (default: HF_HOME/hub)"},
        {"HF_HOME", "a folder", "Hugging Face's own folder (default: ~/.cache/huggingface)"},
        {NULL, NULL, NULL},
    };
    return rows;
}
