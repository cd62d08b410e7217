/*
 * hub_cache.c: owns finding a model by its repository id in the cache that Hugging Face's tools fill:
 * models--ORG--NAME/{refs/main, snapshots/REVISION} in HF_HUB_CACHE, or HF_HOME/hub, or ~/.cache/huggingface/hub. It
 * only reads.
 */
#include "../alloc.h"
#include "../env.h"
#include "../io/file.h"
#include "../os.h"
#include "tuff/model.h"

#include <string.h>

enum { MAX_ID = 200, MAX_REVISION = 128 };

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
}

/* "name" or "org/name", which cannot lead out of the cache. */
static bool is_repository_id(const char *id)
{
    size_t slashes = 0;
    for (const char *c = id; *c; c++) {
        slashes += *c == '/';
        if (*c != '/' && !is_name_character(*c))
            return false;
    }
    return id[0] != '\0' && id[0] != '/' && slashes <= 1 && strlen(id) <= MAX_ID && !strstr(id, "..");
}

/* The cache, which by default lies beside tuff's own; NULL when there is none or no memory. */
static char *hub_folder(void)
{
    if (tuff__env()->hf_hub_cache)
        return tuff__strdup(tuff__env()->hf_hub_cache);
    if (tuff__env()->hf_home)
        return tuff__asprintf("%s/hub", tuff__env()->hf_home);
    char *own = tuff__cache_directory(), *folder = NULL;
    char *end = own ? strrchr(own, '/') : NULL;
    if (end)
        folder = tuff__asprintf("%.*s/huggingface/hub", (int)(end - own), own);
    tuff__free(own);
    return folder;
}

/* "HUB/models--ORG--NAME"; NULL when there is no cache or no memory. */
static char *repository_folder(const char *id)
{
    const char *slash = strchr(id, '/');
    char *hub = hub_folder(), *folder = NULL;
    if (hub)
        folder = slash ? tuff__asprintf("%s/models--%.*s--%s", hub, (int)(slash - id), id, slash + 1)
                       : tuff__asprintf("%s/models--%s", hub, id);
    tuff__free(hub);
    return folder;
}

/* The snapshot that refs/main names; NULL when there is none. */
static char *snapshot_folder(const char *repository)
{
    char *path = tuff__asprintf("%s/refs/main", repository), *revision = NULL, *folder = NULL;
    size_t length = 0;
    FILE *file = path && tuff__file_exists(path) ? tuff__file_open(path, "rb") : NULL;
    if (file && tuff__stream_read(file, path, MAX_REVISION, &revision, &length) == TUFF_SUCCESS) {
        revision[strcspn(revision, "\r\n ")] = '\0';
        if (is_repository_id(revision) && !strchr(revision, '/'))
            folder = tuff__asprintf("%s/snapshots/%s", repository, revision);
    }
    if (file)
        fclose(file);
    tuff__free(revision);
    tuff__free(path);
    return folder;
}

tuff_status tuff_model_find(const char *name, char **out_dir)
{
    *out_dir = NULL;
    TUFF_TRY(tuff__check_given(name, "model: name"));
    if (tuff__is_directory(name)) {
        *out_dir = tuff__strdup(name);
        return *out_dir ? TUFF_SUCCESS : tuff__fail_memory("path", strlen(name));
    }
    if (!is_repository_id(name))
        return tuff__fail(TUFF_ERROR_IO, "%s: there is no such folder", name);
    char *repository = repository_folder(name);
    char *folder = repository ? snapshot_folder(repository) : NULL;
    if (folder && tuff__is_directory(folder)) {
        *out_dir = folder;
        tuff__free(repository);
        return TUFF_SUCCESS;
    }
    const tuff_status status =
        tuff__fail(TUFF_ERROR_IO,
                   "%s: there is no such folder, and no snapshot of such a repository in the Hugging Face cache%s%s",
                   name, repository ? ": " : "", repository ? repository : "");
    tuff__free(folder);
    tuff__free(repository);
    return status;
}
