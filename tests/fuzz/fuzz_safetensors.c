/* fuzz_safetensors.c: any bytes are refused, or give entries whose every byte may be read. */
#include "../../runtime/alloc.h"
#include "../../runtime/io/safetensors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tuff__safetensors *file = NULL;
    if (tuff__safetensors_open_memory("fuzz", data, size, &file) != TUFF_SUCCESS)
        return 0;
    size_t count = 0, total = 0;
    const tuff__safetensors_entry *entries = tuff__safetensors_entries(file, &count);
    for (size_t i = 0; i < count; i++) {
        const tuff__safetensors_entry *entry = &entries[i];
        total += entry->size;
        if (tuff__safetensors_find(file, entry->name) != entry || total > size)
            abort();
        float *values = tuff__malloc((size_t)entry->count * sizeof *values);
        if (values)
            (void)tuff__safetensors_read_f32(entry, values);
        tuff__free(values);
        (void)tuff__safetensors_check_shape(entry, &(tuff_shape){.rank = 1, .dims = {1}});
    }
    tuff__safetensors_destroy(file);
    return 0;
}
