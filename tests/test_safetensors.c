/* test_safetensors.c: every rule of the format, broken once; conversions; that what is written reads back. */
#include "../runtime/dtype.h"
#include "../runtime/io/safetensors.h"

#include "check_file.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_FILE = 4096 };

typedef struct bytes {
    unsigned char data[MAX_FILE];
    size_t size;
} bytes;

/* Header length, header, `data_size` bytes that count up from 0. */
static bytes make_file(const char *header, size_t data_size)
{
    bytes file = {.size = 8 + strlen(header) + data_size};
    assert_true(file.size <= MAX_FILE);
    file.data[0] = (unsigned char)strlen(header);
    file.data[1] = (unsigned char)(strlen(header) >> 8);
    memcpy(file.data + 8, header, strlen(header));
    for (size_t i = 0; i < data_size; i++)
        file.data[8 + strlen(header) + i] = (unsigned char)i;
    return file;
}

static void refuse_bytes(const void *data, size_t size, const char *part)
{
    tuff__safetensors *file = NULL;
    tuff__check_failed(tuff__safetensors_open_memory("m.safetensors", data, size, &file), TUFF_ERROR_INVALID_FILE,
                       part);
    assert_null(file);
}

static void refuse(const char *header, size_t data_size, const char *part)
{
    const bytes made = make_file(header, data_size);
    refuse_bytes(made.data, made.size, part);
}

static tuff__safetensors *open_bytes(const bytes *made)
{
    tuff__safetensors *file = NULL;
    if (tuff__safetensors_open_memory("m.safetensors", made->data, made->size, &file) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    return file;
}

#define TENSOR(dtype, shape, begin, end)                                                                               \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static void test_reads_entries(void **state)
{
    (void)state;
    const bytes made =
        make_file("{\"b\":" TENSOR("F32", "[2,3]", 0, 24) ",\"__metadata__\":{\"format\":\"pt\"},\"a\":" TENSOR(
                      "I64", "[]", 24, 32) ",\"none\":" TENSOR("BF16", "[0,5]", 24, 24) "}  ",
                  32);
    tuff__safetensors *file = open_bytes(&made);
    size_t count = 0;
    const tuff__safetensors_entry *entries = tuff__safetensors_entries(file, &count);
    assert_int_equal(count, 3);
    assert_string_equal(entries[0].name, "a");
    assert_string_equal(entries[1].name, "b");
    assert_string_equal(entries[2].name, "none");
    assert_int_equal(entries[0].rank, 0);
    assert_int_equal(entries[0].count, 1);
    assert_int_equal(entries[0].size, 8);
    assert_int_equal(entries[0].data[0], 24);
    assert_int_equal(entries[1].dims[1], 3);
    assert_int_equal(entries[2].count, 0);
    assert_ptr_equal(tuff__safetensors_find(file, "b"), &entries[1]);
    assert_null(tuff__safetensors_find(file, "c"));
    float value = 0;
    assert_false(tuff__safetensors_is_native_f32(&entries[0]));
    tuff__check_failed(tuff__safetensors_read_f32(&entries[0], &value), TUFF_ERROR_INVALID_FILE,
                       "m.safetensors: 'a' is stored as I64, wanted F32, F16, BF16 or F64");
    tuff_shape shape = {.rank = 2, .dims = {2, 3}};
    assert_int_equal(tuff__safetensors_check_shape(&entries[1], &shape), TUFF_SUCCESS);
    shape.dims[1] = 4;
    tuff__check_failed(tuff__safetensors_check_shape(&entries[1], &shape), TUFF_ERROR_INVALID_FILE,
                       "'b' has shape [2, 3], wanted [2, 4]");
    shape.rank = 0;
    assert_int_equal(tuff__safetensors_check_shape(&entries[0], &shape), TUFF_SUCCESS);
    tuff__safetensors_destroy(file);
    const bytes bare = make_file("{}", 0);
    tuff__safetensors_destroy(open_bytes(&bare));
    tuff__safetensors_destroy(NULL);
}

static void test_refuses_broken_framing(void **state)
{
    (void)state;
    refuse_bytes("", 0, "m.safetensors: has 0 bytes, too few for a safetensors file: it is empty");
    refuse_bytes("\x10\0\0", 3, "cut short");
    refuse_bytes("\x10\0\0\0\0\0\0\0{}", 10, "the header has 16 bytes, but the file has only 10: it is cut short");
    refuse_bytes("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10, "not a safetensors file");
    refuse_bytes("\0\0\0\0\0\0\0\0", 8, "is empty");
    refuse_bytes("PK\3\4\0\0\0\0\0\0\0\0", 12, "cut short"); /* a zip, as torch.save writes */
    refuse("[]", 0, "the header is not a JSON object");
    refuse("{\"a\":", 0, "not valid JSON");
    refuse("{\"a\":{\"shape\":[[[[1]]]]}}", 0, "nested too deeply");
}

static void test_refuses_broken_entries(void **state)
{
    (void)state;
    refuse("{\"a\":1}", 0, "'a' is the number 1, wanted an object that describes a tensor");
    refuse("{\"a\":{}}", 0, "has no 'dtype', wanted a string (in tensor 'a')");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, "has no 'data_offsets', wanted an array (in tensor 'a')");
    refuse("{\"a\":" TENSOR("F31", "[]", 0, 4) "}", 4, "'a' has the unknown dtype 'F31'");
    refuse("{\"a\":" TENSOR("F32", "[-1]", 0, 4) "}", 4, "dim 0 of 'a' is not a whole number");
    refuse("{\"a\":" TENSOR("F32", "[1.5]", 0, 4) "}", 4, "dim 0 of 'a'");
    refuse("{\"a\":" TENSOR("F32", "[\"1\"]", 0, 4) "}", 4, "dim 0 of 'a'");
    refuse("{\"a\":" TENSOR("F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "'a' has more than 8 dims");
    refuse("{\"a\":" TENSOR("F32", "[4294967296,4294967296]", 0, 4) "}", 4, "'a' has more than 2^63 elements");
    refuse("{\"a\":" TENSOR("F64", "[4503599627370496,1024]", 0, 4) "}", 4, "'a' has more bytes than fit");
    refuse("{\"a\":" TENSOR("F32", "[1]", 0, 8) "}", 8, "'a' spans 8 bytes, but its shape and dtype F32 need 4");
    refuse("{\"a\":" TENSOR("F32", "[2]", 0, 8) "}", 7, "'a' spans data bytes 0 to 8, but the file has only 7");
    refuse("{\"a\":" TENSOR("F32", "[1]", 4, 0) "}", 4, "data_offsets of 'a' are not [begin, end]");
    refuse("{\"a\":" TENSOR("F32", "[1]", -4, 0) "}", 4, "data_offsets of 'a'");
    refuse("{\"a\":" TENSOR("F32", "[1]", 0, 18446744073709551615) "}", 4, "data_offsets of 'a'");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "data_offsets of 'a'");
    refuse("{\"__metadata__\":[]}", 0, "'__metadata__' is an array, wanted an object of strings");
    refuse("{\"__metadata__\":{\"x\":1}}", 0, "'x' is the number 1, wanted a string");
}

static void test_refuses_broken_coverage(void **state)
{
    (void)state;
    refuse("{\"a\":" TENSOR("U8", "[4]", 0, 4) ",\"b\":" TENSOR("U8", "[4]", 2, 6) "}", 6, "'b' overlaps another");
    refuse("{\"a\":" TENSOR("U8", "[4]", 0, 4) ",\"b\":" TENSOR("U8", "[4]", 0, 4) "}", 4, "overlaps another");
    refuse("{\"a\":" TENSOR("U8", "[2]", 0, 2) ",\"b\":" TENSOR("U8", "[2]", 3, 5) "}", 5, "'b' follows bytes");
    refuse("{\"a\":" TENSOR("U8", "[2]", 0, 2) "}", 3, "cover 2 bytes of data, but the file has 3");
    refuse("{\"a\":" TENSOR("U8", "[2]", 0, 2) ",\"a\":" TENSOR("U8", "[1]", 2, 3) "}", 3,
           "'a' is in the header twice");
}

/* -- conversions -------------------------------------------------------------------------------------------------- */

static void test_every_f16(void **state)
{
    (void)state;
    enum { COUNT = 65536 };
    static const char header[] = "{\"x\":" TENSOR("U8", "[1]", 0, 1) ",\"h\":" TENSOR("F16", "[65536]", 1, 131073) "}";
    const size_t start = 8 + sizeof header - 1;
    unsigned char *data = tuff__calloc(start + 1 + 2 * COUNT, 1);
    float *values = tuff__calloc(COUNT, sizeof *values);
    assert_non_null(data);
    assert_non_null(values);
    data[0] = (unsigned char)(sizeof header - 1);
    memcpy(data + 8, header, sizeof header - 1);
    for (size_t i = 0; i < COUNT; i++) { /* at an odd offset */
        data[start + 1 + 2 * i] = (unsigned char)i;
        data[start + 2 + 2 * i] = (unsigned char)(i >> 8);
    }
    tuff__safetensors *file = NULL;
    assert_int_equal(tuff__safetensors_open_memory("m", data, start + 1 + 2 * COUNT, &file), TUFF_SUCCESS);
    assert_int_equal(tuff__safetensors_read_f32(tuff__safetensors_find(file, "h"), values), TUFF_SUCCESS);
    for (int i = 0; i < COUNT; i++) {
        const int exponent = i >> 10 & 31, mantissa = i & 1023;
        const double sign = i & 0x8000 ? -1 : 1;
        const double magnitude = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
        if (exponent == 31 && mantissa)
            assert_true(isnan(values[i]));
        else
            assert_true((double)values[i] == (exponent == 31 ? sign * (double)INFINITY : sign * magnitude));
        assert_int_equal(signbit(values[i]) != 0, i >> 15);
    }
    tuff__safetensors_destroy(file);
    tuff__free(values);
    tuff__free(data);
}

static void test_other_floats(void **state)
{
    (void)state;
    /* 1 byte, then f32 1.5, bf16 -2.0, f64 0.1: none of them aligned. */
    static const unsigned char data[] = {9, 0, 0, 0xC0, 0x3F, 0, 0xC0, 0x9A, 0x99, 0x99, 0x99, 0x99, 0x99, 0xB9, 0x3F};
    bytes made = make_file("{\"u\":" TENSOR("U8", "[1]", 0, 1) ",\"f\":" TENSOR("F32", "[1]", 1, 5) ",\"b\":" TENSOR(
                               "BF16", "[1]", 5, 7) ",\"d\":" TENSOR("F64", "[1]", 7, 15) "}",
                           15);
    memcpy(made.data + made.size - sizeof data, data, sizeof data);
    tuff__safetensors *file = open_bytes(&made);
    float value = 0;
    assert_int_equal(tuff__safetensors_read_f32(tuff__safetensors_find(file, "f"), &value), TUFF_SUCCESS);
    assert_true(value == 1.5f);
    assert_int_equal(tuff__safetensors_read_f32(tuff__safetensors_find(file, "b"), &value), TUFF_SUCCESS);
    assert_true(value == -2.0f);
    assert_int_equal(tuff__safetensors_read_f32(tuff__safetensors_find(file, "d"), &value), TUFF_SUCCESS);
    assert_true(value == 0.1f);
    tuff__safetensors_destroy(file);
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

enum { LARGE = 10007 }; /* crosses the writer's chunks, with a rest */

static tuff_status write_sample(const char *path, const float *large)
{
    static const float small[] = {0.1f, -65520.0f, 1e-8f, NAN, INFINITY, 1.0f};
    const tuff__safetensors_item items[] = {
        {.name = "half", .dtype = TUFF_F16, .shape = {.rank = 1, .dims = {LARGE}}, .data = large},
        {.name = "z \"quoted\"\n\xED\x95\x9C", .shape = {.rank = 2, .dims = {2, 3}}, .data = small},
        {.name = "bf", .dtype = TUFF_BF16, .shape = {.rank = 3, .dims = {1, 3, 2}}, .data = small},
        {.name = "scalar", .data = small},
        {.name = "empty", .shape = {.rank = 2, .dims = {0, 4}}},
        {.name = "large", .shape = {.rank = 1, .dims = {LARGE}}, .data = large},
    };
    return tuff__safetensors_write(path, items, sizeof items / sizeof *items);
}

static void check_values(const tuff__safetensors *file, const char *name, const float *wanted, tuff_dtype dtype)
{
    static float values[LARGE];
    const tuff__safetensors_entry *entry = tuff__safetensors_find(file, name);
    assert_non_null(entry);
    assert_int_equal(tuff__safetensors_read_f32(entry, values), TUFF_SUCCESS);
    for (int64_t i = 0; i < entry->count; i++) {
        float value = wanted[i];
        if (dtype == TUFF_F16)
            value = tuff__f16_to_f32(tuff__f32_to_f16(value));
        if (dtype == TUFF_BF16)
            value = tuff__bf16_to_f32(tuff__f32_to_bf16(value));
        assert_true(isnan(value) ? isnan(values[i]) : value == values[i]);
    }
}

static void fill_large(float *large)
{
    for (int i = 0; i < LARGE; i++)
        large[i] = sinf((float)i) * 100.0f;
}

static void test_round_trip(void **state)
{
    (void)state;
    static float large[LARGE];
    static const float small[] = {0.1f, -65520.0f, 1e-8f, NAN, INFINITY, 1.0f};
    const char *path = tuff__check_path("round.safetensors");
    tuff__safetensors *file = NULL;
    fill_large(large);
    assert_int_equal(write_sample(path, large), TUFF_SUCCESS);
    assert_int_equal(tuff__safetensors_open(path, &file), TUFF_SUCCESS);
    size_t count = 0;
    const tuff__safetensors_entry *entries = tuff__safetensors_entries(file, &count);
    assert_int_equal(count, 6);
    for (size_t i = 0; i < count; i++) /* the header is padded and wider dtypes come first, so all is aligned */
        assert_int_equal((uintptr_t)entries[i].data % (entries[i].dtype == TUFF__STORED_F32 ? 4 : 2), 0);
    static const char header[] = "{\"__metadata__\": {\"format\": \"pt\"}, ";
    tuff__mapped_file raw;
    assert_int_equal(tuff__file_map(path, &raw), TUFF_SUCCESS);
    assert_memory_equal(raw.data + 8, header, strlen(header)); /* transformers refuses a file without */
    tuff__file_unmap(&raw);
    check_values(file, "half", large, TUFF_F16);
    check_values(file, "large", large, TUFF_F32);
    check_values(file, "z \"quoted\"\n\xED\x95\x9C", small, TUFF_F32);
    check_values(file, "bf", small, TUFF_BF16);
    check_values(file, "scalar", small, TUFF_F32);
    assert_int_equal(tuff__safetensors_find(file, "scalar")->rank, 0);
    assert_int_equal(tuff__safetensors_find(file, "empty")->dims[1], 4);
    tuff__safetensors_destroy(file);
}

static void test_write_refuses(void **state)
{
    (void)state;
    const float one = 1;
    const char *path = tuff__check_path("refused.safetensors");
    const tuff__safetensors_item twice[] = {{.name = "a", .data = &one}, {.name = "a", .data = &one}};
    tuff__check_failed(tuff__safetensors_write(path, twice, 2), TUFF_ERROR_INVALID_ARGUMENT, "'a' is given twice");
    const tuff__safetensors_item integer = {.name = "a", .dtype = TUFF_I32, .data = &one};
    tuff__check_failed(tuff__safetensors_write(path, &integer, 1), TUFF_ERROR_INVALID_ARGUMENT, "'a' is i32");
    const tuff__safetensors_item reserved = {.name = "__metadata__", .data = &one};
    tuff__check_failed(tuff__safetensors_write(path, &reserved, 1), TUFF_ERROR_INVALID_ARGUMENT, "the format's own");
    assert_false(tuff__file_exists(path));
    assert_int_equal(tuff__safetensors_write(path, NULL, 0), TUFF_SUCCESS);
    tuff__safetensors *file = NULL;
    assert_int_equal(tuff__safetensors_open(path, &file), TUFF_SUCCESS);
    tuff__safetensors_destroy(file);
}

/* The file aside is made a link to the disk that is always full. */
static void test_full_disk(void **state)
{
    (void)state;
    static float large[LARGE];
    const char *path = tuff__check_path("full.safetensors");
    char command[600], aside[300];
    tuff__check_write_text(path, "earlier output");
    snprintf(aside, sizeof aside, "%s.tmp-%llu", path, (unsigned long long)tuff__process_id());
    snprintf(command, sizeof command, "test -c /dev/full && ln -s /dev/full '%s'", aside);
    if (system(command) != 0)
        skip();
    tuff__check_failed(write_sample(path, large), TUFF_ERROR_IO,
                       "full.safetensors: cannot write: No space left on device");
    tuff__check_content(path, "earlier output");
    FILE *left = tuff__file_open(aside, "rb");
    assert_null(left);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    static float large[LARGE];
    const char *path = tuff__check_path("oom.safetensors");
    tuff_status status = TUFF_ERROR_OUT_OF_HOST_MEMORY;
    for (uint64_t n = 1; status != TUFF_SUCCESS; n++) {
        tuff__safetensors *file = NULL;
        assert_true(n < 200);
        tuff__alloc_fail_at(n);
        status = write_sample(path, large);
        if (status == TUFF_SUCCESS)
            status = tuff__safetensors_open(path, &file);
        tuff__alloc_fail_at(0);
        if (status != TUFF_SUCCESS)
            assert_int_equal(status, TUFF_ERROR_OUT_OF_HOST_MEMORY);
        tuff__safetensors_destroy(file);
    }
}

/* Every prefix of a good file is refused, and so is the file with one byte more. */
static void test_every_truncation(void **state)
{
    (void)state;
    const bytes made = make_file("{\"b\":" TENSOR("F32", "[2,3]", 0, 24) ",\"a\":" TENSOR("I64", "[]", 24, 32) "}", 32);
    for (size_t size = 0; size < made.size; size++) {
        tuff__safetensors *file = NULL;
        unsigned char *copy =
            malloc(size ? size : 1); /* of exactly this size, so that a sanitizer sees one byte over */
        assert_non_null(copy);
        memcpy(copy, made.data, size);
        assert_int_equal(tuff__safetensors_open_memory("m", copy, size, &file), TUFF_ERROR_INVALID_FILE);
        free(copy);
    }
    refuse_bytes(made.data, made.size + 1, "cover 32 bytes of data, but the file has 33");
}

static int create_folder(void **state)
{
    (void)state;
    return tuff__check_folder_create("test_safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_entries),
        cmocka_unit_test(test_refuses_broken_framing),
        cmocka_unit_test(test_refuses_broken_entries),
        cmocka_unit_test(test_refuses_broken_coverage),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_f16),
        cmocka_unit_test(test_other_floats),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_write_refuses),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, create_folder, tuff__check_folder_remove);
}
