/*
 * fuzz_parts.h: inputs of several files and texts, with the byte 0x1D ("group separator") between them; and a folder to
 * put such files in.
 */
#ifndef TUFF_TESTS_FUZZ_PARTS_H
#define TUFF_TESTS_FUZZ_PARTS_H

#include "../../runtime/alloc.h"
#include "../../runtime/os.h"
#include "tuff/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static inline void tuff__fuzz_require(bool truth)
{
    if (!truth)
        abort();
}

/* Part `index` of the input; empty where there are fewer. */
static inline tuff_text tuff__fuzz_part(const uint8_t *data, size_t size, size_t index)
{
    size_t at = 0;
    for (;; index--) {
        const uint8_t *end = at < size ? memchr(data + at, 0x1D, size - at) : NULL;
        const size_t length = end ? (size_t)(end - data) - at : size - at;
        if (index == 0)
            return (tuff_text){.data = size ? (const char *)data + at : "", .size = length};
        at = end ? at + length + 1 : size;
    }
}

/* Data NULL where the part is empty: no file. */
static inline tuff_text tuff__fuzz_file(const uint8_t *data, size_t size, size_t index)
{
    const tuff_text part = tuff__fuzz_part(data, size, index);
    return part.size ? part : (tuff_text){0};
}

/* "fuzz.tmp-<process id>" in the working directory, made at the first call and removed when the program ends. */
static char tuff__fuzz_folder_path[64];

static inline void tuff__fuzz_folder_remove(void)
{
    (void)tuff__directory_remove(tuff__fuzz_folder_path);
}

static inline const char *tuff__fuzz_folder(void)
{
    if (!tuff__fuzz_folder_path[0]) {
        snprintf(tuff__fuzz_folder_path, sizeof tuff__fuzz_folder_path, "fuzz.tmp-%llu",
                 (unsigned long long)tuff__process_id());
        tuff__fuzz_require(tuff__directory_create(tuff__fuzz_folder_path) == TUFF_SUCCESS);
        tuff__fuzz_require(atexit(tuff__fuzz_folder_remove) == 0);
    }
    return tuff__fuzz_folder_path;
}

/* Writes a file of the folder; removes it where the part is empty. */
static inline void tuff__fuzz_write(const char *name, tuff_text part)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", tuff__fuzz_folder(), name);
    tuff__fuzz_require(tuff__file_remove(path) == TUFF_SUCCESS);
    FILE *file = part.size ? tuff__file_open(path, "wb") : NULL;
    tuff__fuzz_require(file || !part.size);
    if (file)
        tuff__fuzz_require(fwrite(part.data, 1, part.size, file) == part.size && fclose(file) == 0);
}

#endif
