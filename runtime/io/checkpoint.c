/*
 * checkpoint.c: owns which files of a model folder hold its weights, and how a folder is replaced as a whole.
 *
 * It knows no architecture: which tensors must be there is the model's business.
 */
#include "checkpoint.h"

#include "../alloc.h"
#include "../log.h"
#include "../os.h"
#include "file.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

static const char single_name[] = "model.safetensors", index_name[] = "model.safetensors.index.json";

struct tuff__checkpoint {
    char *path; /* of the single file or the index */
    tuff__safetensors **shards;
    const char **shard_names; /* sorted, as the index spells them; borrowed from `index` */
    size_t shard_count;
    tuff__json *index;                       /* NULL for a single file */
    const tuff__safetensors_entry **entries; /* sorted by name */
    size_t count;
};

static char *join(const char *folder, const char *name)
{
    return tuff__asprintf("%s/%s", folder, name);
}

static bool has_file(const char *folder, const char *name)
{
    char *path = join(folder, name);
    const bool found = path && tuff__file_exists(path);
    tuff__free(path);
    return found;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tuff__free(names[i]);
    tuff__free(names);
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool has_suffix(const char *text, const char *suffix)
{
    const size_t length = strlen(text), wanted = strlen(suffix);
    return length >= wanted && strcmp(text + length - wanted, suffix) == 0;
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_entries(const void *a, const void *b)
{
    const tuff__safetensors_entry *left = *(const tuff__safetensors_entry *const *)a;
    const tuff__safetensors_entry *right = *(const tuff__safetensors_entry *const *)b;
    return strcmp(left->name, right->name);
}

/* Whether a name is one that weights have in any format; training_args.bin is what transformers' Trainer leaves. */
static bool names_weights(const char *name)
{
    static const char *const suffixes[] = {".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".h5",
                                           ".msgpack"};
    bool found = strstr(name, ".ckpt") != NULL; /* and .ckpt.index, .ckpt.data-00000-of-00001 */
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        found = found || has_suffix(name, suffixes[i]);
    return found && strcmp(name, "training_args.bin") != 0;
}

/* The name of one file of weights in the folder, links that lead nowhere included; NULL: none. Free with tuff__free. */
static tuff_status find_weights(const char *folder, char **out_name)
{
    char **names = NULL;
    size_t count = 0;
    *out_name = NULL;
    TUFF_TRY(tuff__directory_list(folder, &names, &count));
    for (size_t i = 0; i < count; i++) {
        if (*out_name || !names_weights(names[i]))
            continue;
        *out_name = names[i];
        names[i] = NULL;
    }
    free_names(names, count);
    return TUFF_SUCCESS;
}

static tuff_status fail_without_weights(const char *folder)
{
    char *name = NULL;
    if (!tuff__is_directory(folder))
        return tuff__fail(TUFF_ERROR_IO, "%s: is not a folder that can be read, and has neither %s nor %s", folder,
                          single_name, index_name);
    TUFF_TRY(find_weights(folder, &name));
    tuff_status status;
    if (!name)
        status = tuff__fail(TUFF_ERROR_IO, "%s: the folder has neither %s nor %s", folder, single_name, index_name);
    else if (strcmp(name, single_name) == 0 || strcmp(name, index_name) == 0)
        status = tuff__fail(TUFF_ERROR_IO, "%s/%s: is no file, or a link that leads to none", folder, name);
    else if (strstr(name, ".safetensors"))
        status = tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: has weights in '%s', but neither %s nor %s to read them by",
                            folder, name, single_name, index_name);
    else
        status = tuff__fail(TUFF_ERROR_INVALID_FILE,
                            "%s: has its weights in '%s', which is not read (a pickle file can run any code); convert "
                            "it in Python with transformers: AutoModelForX.from_pretrained(DIR).save_pretrained(DIR) "
                            "writes model.safetensors",
                            folder, name);
    tuff__free(name);
    return status;
}

/* A shard's name may lead nowhere but into the folder, on any system. */
static bool is_plain_name(const char *name)
{
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strpbrk(name, "/\\:");
}

/* Fills shard_names with the distinct values of weight_map. */
static tuff_status collect_shard_names(tuff__checkpoint *checkpoint, const cJSON *map)
{
    const size_t capacity = (size_t)cJSON_GetArraySize(map);
    if (capacity == 0)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: the weight_map is empty", checkpoint->path);
    checkpoint->shard_names = tuff__calloc(capacity, sizeof *checkpoint->shard_names);
    if (!checkpoint->shard_names)
        return tuff__fail_memory(checkpoint->path, capacity * sizeof *checkpoint->shard_names);
    size_t count = 0, distinct = 0;
    for (const cJSON *item = map->child; item; item = item->next) {
        if (!cJSON_IsString(item) || !is_plain_name(item->valuestring))
            return tuff__json_fail_value(checkpoint->index, item->string, item, "the name of a file in the folder");
        checkpoint->shard_names[count++] = item->valuestring;
    }
    qsort(checkpoint->shard_names, count, sizeof *checkpoint->shard_names, compare_strings);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(checkpoint->shard_names[distinct - 1], checkpoint->shard_names[i]) != 0)
            checkpoint->shard_names[distinct++] = checkpoint->shard_names[i];
    checkpoint->shard_count = distinct;
    return TUFF_SUCCESS;
}

static tuff_status open_shards(tuff__checkpoint *checkpoint, const char *folder)
{
    checkpoint->shards = tuff__calloc(checkpoint->shard_count, sizeof(tuff__safetensors *));
    if (!checkpoint->shards)
        return tuff__fail_memory(checkpoint->path, checkpoint->shard_count * sizeof(tuff__safetensors *));
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        char *path = join(folder, checkpoint->shard_names[i]);
        if (!path)
            return tuff__fail_memory(folder, strlen(folder));
        const tuff_status status = tuff__safetensors_open(path, &checkpoint->shards[i]);
        tuff__free(path);
        TUFF_TRY(status);
    }
    return TUFF_SUCCESS;
}

/* One sorted list over all shards; a name that two shards hold would make the weights a matter of luck. */
static tuff_status merge_entries(tuff__checkpoint *checkpoint)
{
    size_t total = 0, count = 0;
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        tuff__safetensors_entries(checkpoint->shards[i], &count);
        total += count;
    }
    checkpoint->entries = tuff__calloc(total, sizeof *checkpoint->entries);
    if (!checkpoint->entries)
        return tuff__fail_memory(checkpoint->path, total * sizeof *checkpoint->entries);
    for (size_t i = 0; i < checkpoint->shard_count; i++) {
        const tuff__safetensors_entry *entries = tuff__safetensors_entries(checkpoint->shards[i], &count);
        for (size_t j = 0; j < count; j++)
            checkpoint->entries[checkpoint->count++] = &entries[j];
    }
    qsort(checkpoint->entries, checkpoint->count, sizeof *checkpoint->entries, compare_entries);
    for (size_t i = 1; i < checkpoint->count; i++)
        if (compare_entries(&checkpoint->entries[i - 1], &checkpoint->entries[i]) == 0)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' is also in %s", checkpoint->entries[i]->path,
                              checkpoint->entries[i]->name, checkpoint->entries[i - 1]->path);
    return TUFF_SUCCESS;
}

/* Each row of the index must hold: the tensor is there, and in the shard that the row names. */
static tuff_status check_index(const tuff__checkpoint *checkpoint, const cJSON *map)
{
    for (const cJSON *item = map->child; item; item = item->next) {
        const char *shard_name = item->valuestring;
        const char *const *found = bsearch(&shard_name, checkpoint->shard_names, checkpoint->shard_count,
                                           sizeof *checkpoint->shard_names, compare_strings);
        if (!found || !tuff__safetensors_find(checkpoint->shards[found - checkpoint->shard_names], item->string))
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: says that '%s' is in '%s', but it is not there",
                              checkpoint->path, item->string, shard_name);
    }
    return TUFF_SUCCESS;
}

static tuff_status open_index(tuff__checkpoint *checkpoint, const char *folder)
{
    const cJSON *map = NULL;
    TUFF_TRY(tuff__json_load(checkpoint->path, NULL, &checkpoint->index));
    TUFF_TRY(tuff__json_object(checkpoint->index, checkpoint->index->root, "weight_map", &map));
    TUFF_TRY(collect_shard_names(checkpoint, map));
    TUFF_TRY(open_shards(checkpoint, folder));
    TUFF_TRY(merge_entries(checkpoint));
    return check_index(checkpoint, map);
}

static tuff_status open_single(tuff__checkpoint *checkpoint)
{
    checkpoint->shards = tuff__calloc(1, sizeof(tuff__safetensors *));
    if (!checkpoint->shards)
        return tuff__fail_memory(checkpoint->path, sizeof(tuff__safetensors *));
    checkpoint->shard_count = 1;
    TUFF_TRY(tuff__safetensors_open(checkpoint->path, &checkpoint->shards[0]));
    return merge_entries(checkpoint);
}

/* The folder's one file, or its index. */
static tuff_status find_path(const char *folder, char **out_path, bool *out_single)
{
    static const char *const names[] = {single_name, index_name};
    for (size_t i = 0; i < 2; i++) {
        char *path = join(folder, names[i]);
        if (!path)
            return tuff__fail_memory(folder, strlen(folder));
        if (tuff__file_exists(path)) {
            *out_path = path;
            *out_single = i == 0;
            return TUFF_SUCCESS;
        }
        tuff__free(path);
    }
    return fail_without_weights(folder);
}

tuff_status tuff__checkpoint_open(const char *folder, tuff__checkpoint **out_checkpoint)
{
    bool single = false;
    *out_checkpoint = NULL;
    tuff__checkpoint *checkpoint = tuff__calloc(1, sizeof *checkpoint);
    if (!checkpoint)
        return tuff__fail_memory(folder, sizeof *checkpoint);
    tuff_status status = find_path(folder, &checkpoint->path, &single);
    if (status == TUFF_SUCCESS)
        status = single ? open_single(checkpoint) : open_index(checkpoint, folder);
    if (status != TUFF_SUCCESS) {
        tuff__checkpoint_destroy(checkpoint);
        return status;
    }
    *out_checkpoint = checkpoint;
    return TUFF_SUCCESS;
}

void tuff__checkpoint_destroy(tuff__checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    for (size_t i = 0; checkpoint->shards && i < checkpoint->shard_count; i++)
        tuff__safetensors_destroy(checkpoint->shards[i]);
    tuff__free(checkpoint->shards);
    tuff__free(checkpoint->shard_names);
    tuff__free(checkpoint->entries);
    tuff__json_destroy(checkpoint->index);
    tuff__free(checkpoint->path);
    tuff__free(checkpoint);
}

bool tuff__checkpoint_has_weights(const char *folder)
{
    char *name = NULL;
    const tuff_status status = find_weights(folder, &name);
    const bool found = status != TUFF_SUCCESS || name != NULL; /* unlisted: the opening will tell why */
    tuff__free(name);
    return found;
}

size_t tuff__checkpoint_count(const tuff__checkpoint *checkpoint)
{
    return checkpoint->count;
}

const tuff__safetensors_entry *tuff__checkpoint_entry(const tuff__checkpoint *checkpoint, size_t index)
{
    return checkpoint->entries[index];
}

const char *tuff__checkpoint_path(const tuff__checkpoint *checkpoint)
{
    return checkpoint->path;
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

struct tuff__checkpoint_save {
    char *folder;         /* resolved: a link's target is what is replaced */
    char *aside;          /* NULL when nothing lies there */
    const char **dropped; /* borrowed */
    size_t drop_count, drop_capacity;
};

/* Whether `folder` may be replaced: it can be renamed; and it is empty, a model, or where a training run that saved
 * none yet kept its things. */
static tuff_status check_replaceable(const char *folder)
{
    if (tuff__file_exists(folder))
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s: is a file, wanted a folder to save to", folder);
    if (!tuff__is_directory(folder))
        return TUFF_SUCCESS;
    if (!tuff__directory_can_move(folder))
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                          "%s: is the root of a file system, which cannot be replaced as a whole; name a folder in it",
                          folder);
    if (has_file(folder, "config.json"))
        return TUFF_SUCCESS;
    char **names = NULL;
    size_t count = 0;
    tuff_status status = tuff__directory_list(folder, &names, &count);
    for (size_t i = 0; status == TUFF_SUCCESS && i < count; i++)
        if (!has_prefix(names[i], "checkpoint-") && strcmp(names[i], "log.jsonl") != 0)
            status = tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                                "%s: holds '%s' and no config.json, so it is not a model's folder and is not replaced; "
                                "name a new or empty one",
                                folder, names[i]);
    free_names(names, count);
    return status;
}

void tuff__checkpoint_tell_of_others(const char *folder, const char *mark, const char *doing)
{
    char **names = NULL;
    size_t count = 0;
    const char *last = strrchr(folder, '/');
    char *parent = last ? tuff__strndup(folder, (size_t)(last + 1 - folder)) : NULL;
    char *prefix = last ? tuff__asprintf("%s%s", last + 1, mark) : NULL;
    if (parent && prefix)
        (void)tuff__directory_list(parent, &names, &count); /* a warning less, where it cannot be read */
    for (size_t i = 0; i < count; i++)
        if (has_prefix(names[i], prefix))
            tuff__log(TUFF_LOG_WARNING,
                      "checkpoint: another run is %s to %s, or was killed while it did: then remove %s%s", doing,
                      folder, parent, names[i]);
    free_names(names, count);
    tuff__free(parent);
    tuff__free(prefix);
}

static tuff_status create_aside(tuff__checkpoint_save *save, const char *folder)
{
    if (!folder[0])
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "the name of the folder to save to is empty");
    TUFF_TRY(tuff__path_resolve(folder, &save->folder));
    char *aside = tuff__asprintf("%s.tmp-%llu", save->folder, (unsigned long long)tuff__process_id());
    if (!aside)
        return tuff__fail_memory(folder, strlen(save->folder));
    save->aside = aside;
    TUFF_TRY(check_replaceable(save->folder));
    TUFF_TRY(tuff__directory_remove(aside)); /* of a killed process that had this one's id */
    tuff__checkpoint_tell_of_others(save->folder, ".tmp-", "saving");
    return tuff__directory_create(aside);
}

tuff_status tuff__checkpoint_save_begin(const char *folder, tuff__checkpoint_save **out_save)
{
    *out_save = NULL;
    tuff__checkpoint_save *save = tuff__calloc(1, sizeof *save);
    if (!save)
        return tuff__fail_memory(folder, sizeof *save);
    const tuff_status status = create_aside(save, folder);
    if (status != TUFF_SUCCESS) {
        tuff__checkpoint_save_destroy(save);
        return status;
    }
    *out_save = save;
    return TUFF_SUCCESS;
}

const char *tuff__checkpoint_save_folder(const tuff__checkpoint_save *save)
{
    return save->aside;
}

/* Where `name` goes, its folders made. Free with tuff__free. */
static tuff_status place_of(const tuff__checkpoint_save *save, const char *name, char **out_path)
{
    char *path = join(save->aside, name);
    if (!path)
        return tuff__fail_memory(name, strlen(save->aside) + strlen(name));
    char *slash = strrchr(path, '/');
    *slash = '\0';
    const tuff_status status = tuff__directory_create(path);
    *slash = '/';
    if (status != TUFF_SUCCESS) {
        tuff__free(path);
        return status;
    }
    *out_path = path;
    return TUFF_SUCCESS;
}

tuff_status tuff__checkpoint_save_tensors(tuff__checkpoint_save *save, const char *name,
                                          const tuff__safetensors_item *items, size_t count)
{
    char *path = NULL;
    TUFF_TRY(place_of(save, name, &path));
    const tuff_status status = tuff__safetensors_write(path, items, count);
    tuff__free(path);
    return status;
}

tuff_status tuff__checkpoint_save_text(tuff__checkpoint_save *save, const char *name, const char *text, size_t length)
{
    char *path = NULL;
    TUFF_TRY(place_of(save, name, &path));
    const tuff_status status = tuff__file_write(path, text, length);
    tuff__free(path);
    return status;
}

tuff_status tuff__checkpoint_save_drop(tuff__checkpoint_save *save, const char *name)
{
    TUFF_TRY(tuff__grow((void **)&save->dropped, &save->drop_capacity, save->drop_count, sizeof *save->dropped,
                        "names of dropped files"));
    save->dropped[save->drop_count++] = name;
    return TUFF_SUCCESS;
}

/* model.safetensors, its shards and index, what a writer of them left when it was killed, and what was dropped. */
static bool is_stale(const tuff__checkpoint_save *save, const char *name)
{
    for (size_t i = 0; i < save->drop_count; i++)
        if (strcmp(save->dropped[i], name) == 0)
            return true;
    return strcmp(name, single_name) == 0 || strcmp(name, index_name) == 0 ||
           (has_prefix(name, "model-") && has_suffix(name, ".safetensors")) ||
           has_prefix(name, "model.safetensors.tmp-");
}

static tuff_status carry_entry(const char *from, const char *to);

/* `top`: the save whose folders these are; NULL further down. */
static tuff_status carry_folder(const char *from, const char *to, const tuff__checkpoint_save *top)
{
    char **names = NULL;
    size_t count = 0;
    TUFF_TRY(tuff__directory_create(to));
    tuff_status status = tuff__directory_list(from, &names, &count);
    for (size_t i = 0; status == TUFF_SUCCESS && i < count; i++) {
        if (top && is_stale(top, names[i]))
            continue;
        char *source = join(from, names[i]), *target = join(to, names[i]);
        status = source && target ? carry_entry(source, target) : tuff__fail_memory(from, strlen(from));
        tuff__free(source);
        tuff__free(target);
    }
    free_names(names, count);
    return status;
}

static tuff_status carry_entry(const char *from, const char *to)
{
    if (tuff__file_exists(to) || (!tuff__is_directory(to) && tuff__file_link(from, to)))
        return TUFF_SUCCESS;
    return tuff__is_directory(from) ? carry_folder(from, to, NULL) : tuff__file_copy(from, to);
}

tuff_status tuff__checkpoint_save_commit(tuff__checkpoint_save *save)
{
    if (tuff__is_directory(save->folder))
        TUFF_TRY(carry_folder(save->folder, save->aside, save));
    tuff_status status = tuff__directory_exchange(save->aside, save->folder);
    if (status != TUFF_SUCCESS) /* hours of training may lie there, whole */
        status = tuff__fail(status, "%s; what was to be saved is kept as '%s'", tuff_last_error(), save->aside);
    else if (tuff__directory_remove(save->aside) != TUFF_SUCCESS)
        tuff__log(TUFF_LOG_WARNING, "checkpoint: %s is saved, but the old folder is still there: %s", save->folder,
                  tuff_last_error());
    tuff__free(save->aside);
    save->aside = NULL;
    return status;
}

void tuff__checkpoint_save_destroy(tuff__checkpoint_save *save)
{
    if (!save)
        return;
    if (save->aside && tuff__is_directory(save->aside))
        (void)tuff__directory_remove(save->aside); /* best effort: the failure to report led here */
    tuff__free(save->aside);
    tuff__free(save->folder);
    tuff__free(save->dropped);
    tuff__free(save);
}
