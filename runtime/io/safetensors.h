/*
 * safetensors.h: one *.safetensors file, read from a memory mapping, or written aside and renamed.
 *
 * The format: 8 bytes of header length, little-endian; a JSON object, name to {dtype, shape, data_offsets}, with an
 * optional "__metadata__" of strings; then the data, little-endian, row-major, without holes. A file that breaks one of
 * these rules is refused whole, so an entry's range, size and shape can be trusted afterwards.
 */
#ifndef TUFF_RUNTIME_IO_SAFETENSORS_H
#define TUFF_RUNTIME_IO_SAFETENSORS_H

#include "../status.h"
#include "tuff/graph.h"

enum { TUFF__SAFETENSORS_MAX_RANK = 8 };

/* How a file stores elements: more ways than tuff computes in, because a checkpoint may hold
 * tensors nobody asks for. */
typedef enum tuff__stored_dtype {
    TUFF__STORED_BOOL,
    TUFF__STORED_U8,
    TUFF__STORED_I8,
    TUFF__STORED_F8_E5M2,
    TUFF__STORED_F8_E4M3,
    TUFF__STORED_I16,
    TUFF__STORED_U16,
    TUFF__STORED_F16,
    TUFF__STORED_BF16,
    TUFF__STORED_I32,
    TUFF__STORED_U32,
    TUFF__STORED_F32,
    TUFF__STORED_F64,
    TUFF__STORED_I64,
    TUFF__STORED_U64,
    TUFF__STORED_COUNT
} tuff__stored_dtype;

typedef struct tuff__safetensors_entry {
    const char *path; /* the file it is in, for messages */
    const char *name;
    tuff__stored_dtype dtype;
    uint32_t rank;
    int64_t dims[TUFF__SAFETENSORS_MAX_RANK]; /* each 0 or more; entries from rank on are 0 */
    int64_t count;                            /* their product, 1 for rank 0 */
    const unsigned char *data;                /* in the mapping; aligned to nothing */
    size_t size;                              /* bytes */
} tuff__safetensors_entry;

typedef struct tuff__safetensors tuff__safetensors;

/* Maps and checks the file. Errors: TUFF_ERROR_IO (cannot be read), TUFF_ERROR_INVALID_FILE (truncated, or breaks the
 * format; the sentence names the tensor). *out_file is NULL on failure. */
tuff_status tuff__safetensors_open(const char *path, tuff__safetensors **out_file);
/* The same for bytes in memory, borrowed until destroy. */
tuff_status tuff__safetensors_open_memory(const char *name, const void *bytes, size_t size,
                                          tuff__safetensors **out_file);
void tuff__safetensors_destroy(tuff__safetensors *file); /* accepts NULL */

/* All entries, sorted by the bytes of their names; borrowed from the file. */
const tuff__safetensors_entry *tuff__safetensors_entries(const tuff__safetensors *file, size_t *out_count);
/* NULL when there is none. */
const tuff__safetensors_entry *tuff__safetensors_find(const tuff__safetensors *file, const char *name);

/* Whether entry->data are floats as this machine keeps them (but for their alignment), so that
 * nothing is to convert. */
bool tuff__safetensors_is_native_f32(const tuff__safetensors_entry *entry);
/* Converts all entry->count elements. F16 and BF16 are exact; F64 is rounded to nearest. Any other dtype is refused by
 * name with TUFF_ERROR_INVALID_FILE. */
tuff_status tuff__safetensors_read_f32(const tuff__safetensors_entry *entry, float *out_values);
/* TUFF_ERROR_INVALID_FILE unless the shape is exactly `shape`, naming file, tensor, found and wanted. */
tuff_status tuff__safetensors_check_shape(const tuff__safetensors_entry *entry, const tuff_shape *shape);

/* -- writing ------------------------------------------------------------------------------------------------------ */

typedef struct tuff__safetensors_item {
    const char *name;
    tuff_dtype dtype; /* how to store it: TUFF_F32, TUFF_F16 or TUFF_BF16, rounded to nearest even */
    tuff_shape shape;
    const float *data;
} tuff__safetensors_item;

/* Writes the items, wider dtypes first and then by name (as the reference library does, which keeps every tensor
 * aligned), with metadata {"format": "pt"}, without which transformers refuses a file. Streams: needs memory for the
 * header only. Under `path` there is the old file or the whole new one, never a part: a full disk is TUFF_ERROR_IO with
 * the system's reason. TUFF_ERROR_INVALID_ARGUMENT: two items of one name, another dtype, a negative dim. */
tuff_status tuff__safetensors_write(const char *path, const tuff__safetensors_item *items, size_t count);

#endif
