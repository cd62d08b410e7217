/*
 * replay.c: runs a fuzz target over every file of the corpus folders given, for builds without a fuzzer. It mutates
 * nothing: a crash or a sanitizer's report is the failure.
 */
#include "../../runtime/alloc.h"
#include "../../runtime/os.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tuff_status replay_file(const char *folder, const char *name)
{
    char *path = tuff__asprintf("%s/%s", folder, name);
    if (!path)
        return tuff__fail_memory("path", 0);
    tuff__mapped_file file = {0};
    const tuff_status status = tuff__file_map(path, &file);
    if (status == TUFF_SUCCESS)
        (void)LLVMFuzzerTestOneInput(file.data, file.size);
    tuff__file_unmap(&file);
    tuff__free(path);
    return status;
}

/* Counts the files replayed; an empty corpus is an error, or a moved folder would pass for ever. */
static tuff_status replay_folder(const char *folder, size_t *count)
{
    char **names = NULL;
    size_t name_count = 0;
    tuff_status status = tuff__directory_list(folder, &names, &name_count);
    for (size_t i = 0; i < name_count; i++) {
        if (status == TUFF_SUCCESS)
            status = replay_file(folder, names[i]);
        tuff__free(names[i]);
    }
    tuff__free(names);
    *count += name_count;
    return status;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++)
        if (replay_folder(argv[i], &count) != TUFF_SUCCESS) {
            fprintf(stderr, "%s\n", tuff_last_error());
            return 1;
        }
    printf("%zu inputs replayed\n", count);
    return count == 0;
}
