/* fuzz_checkpoint.c: model.safetensors.index.json beside two good shards, and a third of any bytes: refused, or tensors
 * that can be read. */
#include "../../runtime/io/checkpoint.h"
#include "fuzz_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_shard(const char *name, const char *tensor)
{
    static const float values[2] = {1, 2};
    const tuff__safetensors_item item = {.name = tensor, .shape = {.rank = 1, .dims = {2}}, .data = values};
    char path[160];
    snprintf(path, sizeof path, "%s/%s", tuff__fuzz_folder(), name);
    if (!tuff__file_exists(path))
        tuff__fuzz_require(tuff__safetensors_write(path, &item, 1) == TUFF_SUCCESS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tuff__checkpoint *checkpoint = NULL;
    write_shard("1.safetensors", "a");
    write_shard("2.safetensors", "b");
    tuff__fuzz_write("model.safetensors.index.json", tuff__fuzz_part(data, size, 0));
    tuff__fuzz_write("3.safetensors", tuff__fuzz_part(data, size, 1));
    tuff__fuzz_require(tuff__checkpoint_has_weights(tuff__fuzz_folder()));
    if (tuff__checkpoint_open(tuff__fuzz_folder(), &checkpoint) != TUFF_SUCCESS)
        return 0;
    for (size_t i = 0; i < tuff__checkpoint_count(checkpoint); i++) {
        const tuff__safetensors_entry *entry = tuff__checkpoint_entry(checkpoint, i);
        tuff__fuzz_require(i == 0 || strcmp(tuff__checkpoint_entry(checkpoint, i - 1)->name, entry->name) < 0);
        float *values = tuff__malloc((size_t)entry->count * sizeof *values);
        if (values)
            (void)tuff__safetensors_read_f32(entry, values);
        tuff__free(values);
    }
    tuff__checkpoint_destroy(checkpoint);
    return 0;
}
