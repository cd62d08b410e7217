/*
 * safetensors.c: owns the safetensors format, both ways.
 *
 * It trusts nothing in a file, and knows nothing of what a tensor's name means.
 */
#include "safetensors.h"

#include "../alloc.h"
#include "../dtype.h"
#include "../os.h"
#include "../shape.h"
#include "file.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_SIZE = 8, MAX_HEADER_SIZE = 100000000 }; /* the reference library's bound on a header */

static const char metadata_key[] = "__metadata__";

static const struct {
    const char *name;
    uint8_t size;
} stored_dtypes[TUFF__STORED_COUNT] = {
    [TUFF__STORED_BOOL] = {"BOOL", 1},       [TUFF__STORED_U8] = {"U8", 1},           [TUFF__STORED_I8] = {"I8", 1},
    [TUFF__STORED_F8_E5M2] = {"F8_E5M2", 1}, [TUFF__STORED_F8_E4M3] = {"F8_E4M3", 1}, [TUFF__STORED_I16] = {"I16", 2},
    [TUFF__STORED_U16] = {"U16", 2},         [TUFF__STORED_F16] = {"F16", 2},         [TUFF__STORED_BF16] = {"BF16", 2},
    [TUFF__STORED_I32] = {"I32", 4},         [TUFF__STORED_U32] = {"U32", 4},         [TUFF__STORED_F32] = {"F32", 4},
    [TUFF__STORED_F64] = {"F64", 8},         [TUFF__STORED_I64] = {"I64", 8},         [TUFF__STORED_U64] = {"U64", 8},
};

struct tuff__safetensors {
    char *path;
    tuff__mapped_file mapping; /* zeroed when the bytes are the caller's */
    tuff__json *header;        /* the entries' names live here */
    const unsigned char *data;
    uint64_t data_size;
    tuff__safetensors_entry *entries; /* sorted by name */
    size_t count;
};

/* -- reading the header ------------------------------------------------------------------------------------------- */

static bool parse_dtype(const char *name, tuff__stored_dtype *out_dtype)
{
    for (int i = 0; i < TUFF__STORED_COUNT; i++)
        if (strcmp(stored_dtypes[i].name, name) == 0) {
            *out_dtype = (tuff__stored_dtype)i;
            return true;
        }
    return false;
}

/* Fills rank, dims, count and the size in bytes that they ask for. */
static tuff_status parse_shape(tuff__safetensors_entry *entry, const cJSON *shape)
{
    uint64_t count = 1;
    for (const cJSON *item = shape->child; item; item = item->next) {
        int64_t dim = 0;
        if (entry->rank == TUFF__SAFETENSORS_MAX_RANK)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' has more than %d dims", entry->path, entry->name,
                              TUFF__SAFETENSORS_MAX_RANK);
        if (!tuff__json_is_int(item, &dim) || dim < 0)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: dim %u of '%s' is not a whole number from 0 up",
                              entry->path, entry->rank, entry->name);
        if (dim != 0 && count > (uint64_t)INT64_MAX / (uint64_t)dim)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' has more than 2^63 elements", entry->path,
                              entry->name);
        count *= (uint64_t)dim;
        entry->dims[entry->rank++] = dim;
    }
    const uint64_t size = stored_dtypes[entry->dtype].size;
    if (count > (uint64_t)INT64_MAX / size || count * size > SIZE_MAX)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' has more bytes than fit", entry->path, entry->name);
    entry->count = (int64_t)count;
    entry->size = (size_t)(count * size);
    return TUFF_SUCCESS;
}

static tuff_status parse_offsets(const tuff__safetensors *file, tuff__safetensors_entry *entry, const cJSON *offsets)
{
    int64_t begin = -1, end = -1;
    if (cJSON_GetArraySize(offsets) != 2 || !tuff__json_is_int(offsets->child, &begin) ||
        !tuff__json_is_int(offsets->child->next, &end) || begin < 0 || end < begin)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: data_offsets of '%s' are not [begin, end] with begin <= end",
                          entry->path, entry->name);
    if ((uint64_t)end > file->data_size)
        return tuff__fail(TUFF_ERROR_INVALID_FILE,
                          "%s: '%s' spans data bytes %lld to %lld, but the file has only %llu: it is cut short",
                          entry->path, entry->name, (long long)begin, (long long)end,
                          (unsigned long long)file->data_size);
    if ((uint64_t)(end - begin) != entry->size)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' spans %lld bytes, but its shape and dtype %s need %zu",
                          entry->path, entry->name, (long long)(end - begin), stored_dtypes[entry->dtype].name,
                          entry->size);
    entry->data = file->data + begin;
    return TUFF_SUCCESS;
}

static tuff_status parse_entry(const tuff__safetensors *file, const cJSON *item, tuff__safetensors_entry *entry)
{
    const char *dtype = NULL;
    const cJSON *shape = NULL, *offsets = NULL;
    *entry = (tuff__safetensors_entry){.path = file->path, .name = item->string};
    if (!cJSON_IsObject(item))
        return tuff__json_fail_value(file->header, item->string, item, "an object that describes a tensor");
    if (tuff__json_string(file->header, item, "dtype", &dtype) != TUFF_SUCCESS ||
        tuff__json_array(file->header, item, "shape", &shape) != TUFF_SUCCESS ||
        tuff__json_array(file->header, item, "data_offsets", &offsets) != TUFF_SUCCESS)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s (in tensor '%s')", tuff_last_error(), item->string);
    if (!parse_dtype(dtype, &entry->dtype))
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' has the unknown dtype '%.40s'", file->path, item->string,
                          dtype);
    TUFF_TRY(parse_shape(entry, shape));
    return parse_offsets(file, entry, offsets);
}

static tuff_status check_metadata(const tuff__safetensors *file, const cJSON *metadata)
{
    if (!cJSON_IsObject(metadata))
        return tuff__json_fail_value(file->header, metadata_key, metadata, "an object of strings");
    for (const cJSON *item = metadata->child; item; item = item->next)
        if (!cJSON_IsString(item))
            return tuff__json_fail_value(file->header, item->string, item, "a string, as all in __metadata__");
    return TUFF_SUCCESS;
}

static int compare_entry_names(const void *a, const void *b)
{
    const tuff__safetensors_entry *left = a, *right = b;
    return strcmp(left->name, right->name);
}

/* By place; an empty tensor comes before the one that begins where it stands. */
static int compare_entry_places(const void *a, const void *b)
{
    const tuff__safetensors_entry *left = a, *right = b;
    if (left->data != right->data)
        return left->data < right->data ? -1 : 1;
    return (left->size > right->size) - (left->size < right->size);
}

/* Sorts by place, then by name, and checks on the way that the data is covered once and whole, each name used once. */
static tuff_status check_entries(tuff__safetensors *file)
{
    const unsigned char *at = file->data;
    if (file->count)
        qsort(file->entries, file->count, sizeof *file->entries, compare_entry_places);
    for (size_t i = 0; i < file->count; i++) {
        const tuff__safetensors_entry *entry = &file->entries[i];
        if (entry->data != at)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' %s", file->path, entry->name,
                              entry->data < at ? "overlaps another tensor" : "follows bytes that no tensor covers");
        at += entry->size;
    }
    if ((uint64_t)(at - file->data) != file->data_size)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: the tensors cover %llu bytes of data, but the file has %llu",
                          file->path, (unsigned long long)(at - file->data), (unsigned long long)file->data_size);
    if (file->count)
        qsort(file->entries, file->count, sizeof *file->entries, compare_entry_names);
    for (size_t i = 1; i < file->count; i++)
        if (strcmp(file->entries[i - 1].name, file->entries[i].name) == 0)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' is in the header twice", file->path,
                              file->entries[i].name);
    return TUFF_SUCCESS;
}

static tuff_status parse_entries(tuff__safetensors *file)
{
    const cJSON *root = file->header->root;
    if (!cJSON_IsObject(root))
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: the header is not a JSON object", file->path);
    const size_t capacity = (size_t)cJSON_GetArraySize(root);
    file->entries = tuff__calloc(capacity ? capacity : 1, sizeof *file->entries);
    if (!file->entries)
        return tuff__fail_memory(file->path, capacity * sizeof *file->entries);
    for (const cJSON *item = root->child; item; item = item->next) {
        if (strcmp(item->string, metadata_key) == 0) {
            TUFF_TRY(check_metadata(file, item));
        } else {
            TUFF_TRY(parse_entry(file, item, &file->entries[file->count]));
            file->count++;
        }
    }
    return check_entries(file);
}

static tuff_status parse_file(tuff__safetensors *file, const unsigned char *bytes, size_t size)
{
    if (size < LENGTH_SIZE)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: has %zu bytes, too few for a safetensors file: it is %s",
                          file->path, size, size ? "cut short" : "empty");
    uint64_t length = 0;
    for (size_t i = LENGTH_SIZE; i-- > 0;)
        length = length << 8 | bytes[i];
    if (length > MAX_HEADER_SIZE)
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: not a safetensors file (it gives its header %llu bytes)",
                          file->path, (unsigned long long)length);
    if (length > size - LENGTH_SIZE)
        return tuff__fail(TUFF_ERROR_INVALID_FILE,
                          "%s: the header has %llu bytes, but the file has only %zu: it is cut short", file->path,
                          (unsigned long long)length, size);
    file->data = bytes + LENGTH_SIZE + length;
    file->data_size = size - LENGTH_SIZE - length;
    /* A header describes a tensor with about seven values, and the largest models have some ten thousand tensors. */
    const tuff__json_limits limits = {.max_size = MAX_HEADER_SIZE, .max_values = 4000000, .max_depth = 4};
    TUFF_TRY(tuff__json_parse(file->path, (const char *)bytes + LENGTH_SIZE, (size_t)length, &limits, &file->header));
    return parse_entries(file);
}

static tuff_status open_file(const char *name, const void *bytes, size_t size, tuff__safetensors **out_file)
{
    *out_file = NULL;
    tuff__safetensors *file = tuff__calloc(1, sizeof *file);
    if (!file)
        return tuff__fail_memory(name, sizeof *file);
    file->path = tuff__strdup(name);
    tuff_status status = file->path ? TUFF_SUCCESS : tuff__fail_memory(name, strlen(name) + 1);
    if (status == TUFF_SUCCESS && !bytes) {
        status = tuff__file_map(name, &file->mapping);
        bytes = file->mapping.data;
        size = file->mapping.size;
    }
    if (status == TUFF_SUCCESS)
        status = parse_file(file, bytes, size);
    if (status != TUFF_SUCCESS) {
        tuff__safetensors_destroy(file);
        return status;
    }
    *out_file = file;
    return TUFF_SUCCESS;
}

tuff_status tuff__safetensors_open(const char *path, tuff__safetensors **out_file)
{
    return open_file(path, NULL, 0, out_file);
}

tuff_status tuff__safetensors_open_memory(const char *name, const void *bytes, size_t size,
                                          tuff__safetensors **out_file)
{
    return open_file(name, size ? bytes : "", size, out_file);
}

void tuff__safetensors_destroy(tuff__safetensors *file)
{
    if (!file)
        return;
    tuff__free(file->entries);
    tuff__json_destroy(file->header);
    tuff__file_unmap(&file->mapping);
    tuff__free(file->path);
    tuff__free(file);
}

/* -- taking tensors ----------------------------------------------------------------------------------------------- */

const tuff__safetensors_entry *tuff__safetensors_entries(const tuff__safetensors *file, size_t *out_count)
{
    *out_count = file->count;
    return file->entries;
}

const tuff__safetensors_entry *tuff__safetensors_find(const tuff__safetensors *file, const char *name)
{
    const tuff__safetensors_entry key = {.name = name};
    return bsearch(&key, file->entries, file->count, sizeof key, compare_entry_names);
}

/* Little-endian numbers at any address, on any machine; compilers make one load of it. */
static uint16_t load_u16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t load_u32(const unsigned char *p)
{
    return (uint32_t)load_u16(p) | (uint32_t)load_u16(p + 2) << 16;
}

static float load_f32(const unsigned char *p)
{
    const uint32_t bits = load_u32(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double load_f64(const unsigned char *p)
{
    const uint64_t bits = (uint64_t)load_u32(p) | (uint64_t)load_u32(p + 4) << 32;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool is_little_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

bool tuff__safetensors_is_native_f32(const tuff__safetensors_entry *entry)
{
    return entry->dtype == TUFF__STORED_F32 && is_little_endian();
}

tuff_status tuff__safetensors_read_f32(const tuff__safetensors_entry *entry, float *out_values)
{
    const unsigned char *data = entry->data;
    const size_t count = (size_t)entry->count;
    switch (entry->dtype) {
    case TUFF__STORED_F32:
        if (is_little_endian() && count)
            memcpy(out_values, data, entry->size);
        else
            for (size_t i = 0; i < count; i++)
                out_values[i] = load_f32(data + 4 * i);
        return TUFF_SUCCESS;
    case TUFF__STORED_F16:
        for (size_t i = 0; i < count; i++)
            out_values[i] = tuff__f16_to_f32(load_u16(data + 2 * i));
        return TUFF_SUCCESS;
    case TUFF__STORED_BF16:
        for (size_t i = 0; i < count; i++)
            out_values[i] = tuff__bf16_to_f32(load_u16(data + 2 * i));
        return TUFF_SUCCESS;
    case TUFF__STORED_F64:
        for (size_t i = 0; i < count; i++)
            out_values[i] = (float)load_f64(data + 8 * i);
        return TUFF_SUCCESS;
    default:
        return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' is stored as %s, wanted F32, F16, BF16 or F64",
                          entry->path, entry->name, stored_dtypes[entry->dtype].name);
    }
}

tuff_status tuff__safetensors_check_shape(const tuff__safetensors_entry *entry, const tuff_shape *shape)
{
    bool equal = entry->rank == shape->rank;
    for (uint32_t i = 0; equal && i < shape->rank; i++)
        equal = entry->dims[i] == shape->dims[i];
    if (equal)
        return TUFF_SUCCESS;
    char found[TUFF__SAFETENSORS_MAX_RANK * 22 + 2] = "", wanted[TUFF__SHAPE_TEXT];
    size_t length = 0;
    for (uint32_t i = 0; i < entry->rank; i++)
        length +=
            (size_t)snprintf(found + length, sizeof found - length, "%s%lld", i ? ", " : "", (long long)entry->dims[i]);
    return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: '%s' has shape [%s], wanted %s", entry->path, entry->name, found,
                      tuff__shape_text(shape, wanted));
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

static const char *stored_name(tuff_dtype dtype)
{
    return dtype == TUFF_F32 ? "F32" : dtype == TUFF_F16 ? "F16" : "BF16";
}

static uint64_t item_count(const tuff__safetensors_item *item)
{
    return (uint64_t)tuff__shape_product(&item->shape, 0, item->shape.rank);
}

static int compare_items(const void *a, const void *b)
{
    const tuff__safetensors_item *left = *(const tuff__safetensors_item *const *)a;
    const tuff__safetensors_item *right = *(const tuff__safetensors_item *const *)b;
    if (tuff__dtype_size(left->dtype) != tuff__dtype_size(right->dtype))
        return tuff__dtype_size(left->dtype) > tuff__dtype_size(right->dtype) ? -1 : 1;
    return strcmp(left->name, right->name);
}

static int compare_item_names(const void *a, const void *b)
{
    const tuff__safetensors_item *left = *(const tuff__safetensors_item *const *)a;
    const tuff__safetensors_item *right = *(const tuff__safetensors_item *const *)b;
    return strcmp(left->name, right->name);
}

static tuff_status check_items(const char *path, const tuff__safetensors_item **order, size_t count)
{
    qsort(order, count, sizeof *order, compare_item_names);
    for (size_t i = 0; i < count; i++) {
        const tuff__safetensors_item *item = order[i];
        if (item->dtype != TUFF_F32 && item->dtype != TUFF_F16 && item->dtype != TUFF_BF16)
            return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s: '%s' is %s, wanted f32, f16 or bf16", path, item->name,
                              tuff__dtype_name(item->dtype));
        for (uint32_t dim = 0; dim < item->shape.rank; dim++)
            if (item->shape.dims[dim] < 0)
                return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s: '%s' has a negative dim", path, item->name);
        if (strcmp(item->name, metadata_key) == 0 || (i > 0 && strcmp(order[i - 1]->name, item->name) == 0))
            return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s: '%s' is given twice, or is the format's own name", path,
                              item->name);
    }
    qsort(order, count, sizeof *order, compare_items);
    return TUFF_SUCCESS;
}

static void describe_item(tuff__json_writer *json, const tuff__safetensors_item *item, uint64_t *offset)
{
    tuff__json_key(json, item->name);
    tuff__json_begin_object(json);
    tuff__json_put_string(json, "dtype", stored_name(item->dtype));
    tuff__json_put_shape(json, "shape", &item->shape);
    tuff__json_key(json, "data_offsets");
    tuff__json_begin_array(json);
    tuff__json_write_int(json, (int64_t)*offset);
    *offset += item_count(item) * tuff__dtype_size(item->dtype);
    tuff__json_write_int(json, (int64_t)*offset);
    tuff__json_end_array(json);
    tuff__json_end_object(json);
}

static tuff_status write_header(tuff__file_writer *writer, const tuff__safetensors_item *const *order, size_t count)
{
    tuff__json_writer json = {0};
    char *text = NULL;
    size_t length = 0;
    uint64_t offset = 0;
    tuff__json_begin_object(&json);
    tuff__json_key(&json, metadata_key);
    tuff__json_begin_object(&json);
    tuff__json_put_string(&json, "format", "pt");
    tuff__json_end_object(&json);
    for (size_t i = 0; i < count; i++)
        describe_item(&json, order[i], &offset);
    tuff__json_end_object(&json);
    TUFF_TRY(tuff__json_finish_text(&json, &text, &length));
    const size_t padding = (8 - length % 8) % 8; /* the data begins 8-byte aligned */
    unsigned char size[LENGTH_SIZE];
    for (size_t i = 0; i < LENGTH_SIZE; i++)
        size[i] = (unsigned char)((uint64_t)(length + padding) >> 8 * i);
    tuff_status status = tuff__file_writer_write(writer, size, sizeof size);
    if (status == TUFF_SUCCESS)
        status = tuff__file_writer_write(writer, text, length);
    if (status == TUFF_SUCCESS)
        status = tuff__file_writer_write(writer, "       ", padding);
    tuff__free(text);
    return status;
}

static void store_element(unsigned char *out, float value, tuff_dtype dtype)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (dtype != TUFF_F32)
        bits = dtype == TUFF_F16 ? tuff__f32_to_f16(value) : tuff__f32_to_bf16(value);
    for (size_t i = 0; i < tuff__dtype_size(dtype); i++)
        out[i] = (unsigned char)(bits >> 8 * i);
}

static tuff_status write_data(tuff__file_writer *writer, const tuff__safetensors_item *item)
{
    enum { CHUNK = 4096 };
    unsigned char buffer[CHUNK * 4];
    const size_t count = (size_t)item_count(item), size = tuff__dtype_size(item->dtype);
    if (item->dtype == TUFF_F32 && is_little_endian())
        return tuff__file_writer_write(writer, item->data, count * size);
    for (size_t first = 0; first < count; first += CHUNK) {
        const size_t chunk = count - first < CHUNK ? count - first : CHUNK;
        for (size_t i = 0; i < chunk; i++)
            store_element(buffer + i * size, item->data[first + i], item->dtype);
        TUFF_TRY(tuff__file_writer_write(writer, buffer, chunk * size));
    }
    return TUFF_SUCCESS;
}

static tuff_status write_file(const char *path, const tuff__safetensors_item *const *order, size_t count)
{
    tuff__file_writer writer;
    tuff_status status = tuff__file_writer_open(&writer, path);
    if (status == TUFF_SUCCESS)
        status = write_header(&writer, order, count);
    for (size_t i = 0; status == TUFF_SUCCESS && i < count; i++)
        status = write_data(&writer, order[i]);
    if (status == TUFF_SUCCESS)
        return tuff__file_writer_commit(&writer);
    tuff__file_writer_abort(&writer);
    return status;
}

tuff_status tuff__safetensors_write(const char *path, const tuff__safetensors_item *items, size_t count)
{
    const tuff__safetensors_item **order = tuff__calloc(count, sizeof *order);
    if (!order)
        return tuff__fail_memory(path, count * sizeof *order);
    for (size_t i = 0; i < count; i++)
        order[i] = &items[i];
    tuff_status status = check_items(path, order, count);
    if (status == TUFF_SUCCESS)
        status = write_file(path, order, count);
    tuff__free(order);
    return status;
}
