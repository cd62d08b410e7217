/* test_vk_spirv.c: what tuff reads back from SPIR-V: hand-written modules for each rule, and every embedded shader,
 * whole, cut short and with damaged words. */
#include "vk/vk_spirv.h"

#include "check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A module in the making. */
typedef struct module {
    uint32_t words[256];
    size_t count;
} module;

static void add(module *m, uint32_t opcode, const uint32_t *operands, size_t count)
{
    m->words[m->count++] = (uint32_t)(count + 1) << 16 | opcode;
    memcpy(m->words + m->count, operands, count * sizeof *operands);
    m->count += count;
}

#define ADD(m, opcode, ...)                                                                                            \
    add(m, opcode, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

enum {
    ENTRY_POINT = 15,
    EXECUTION_MODE = 16,
    CAPABILITY = 17,
    TYPE_INT = 21,
    TYPE_FLOAT = 22,
    TYPE_VECTOR = 23,
    TYPE_RUNTIME_ARRAY = 29,
    TYPE_STRUCT = 30,
    TYPE_POINTER = 32,
    CONSTANT = 43,
    SPEC_CONSTANT = 50,
    SPEC_CONSTANT_COMPOSITE = 51,
    VARIABLE = 59,
    DECORATE = 71,
    MEMBER_DECORATE = 72,
};

/* Ids of the module below. */
enum {
    MAIN = 1,
    UINT,
    ARRAY,
    BLOCK,
    BLOCK_POINTER,
    BUFFER,
    SIZE,
    UVEC3,
    WORKGROUP,
    PUSH,
    PUSH_POINTER,
    PUSH_VARIABLE,
    FLOAT,
    INNER,
    TUNING,
    OTHER_BUFFER,
    BOUND
};

static const uint32_t MAIN_NAME = 0x6e69616d; /* "main", its end is the next word */

/* One buffer at binding 2, push constants of 12 bytes, local_size_x specialized, constant 5. */
static void add_header(module *m)
{
    const uint32_t header[] = {0x07230203, 0x00010300, 0, BOUND, 0};
    m->count = 0;
    memcpy(m->words, header, sizeof header);
    m->count = 5;
    ADD(m, CAPABILITY, 1);
    ADD(m, ENTRY_POINT, 5, MAIN, MAIN_NAME, 0);
    ADD(m, EXECUTION_MODE, MAIN, 17, 1, 1, 1);
}

static void add_types(module *m)
{
    ADD(m, TYPE_INT, UINT, 32, 0);
    ADD(m, TYPE_FLOAT, FLOAT, 32);
    ADD(m, TYPE_RUNTIME_ARRAY, ARRAY, UINT);
    ADD(m, TYPE_STRUCT, BLOCK, ARRAY);
    ADD(m, TYPE_POINTER, BLOCK_POINTER, 12, BLOCK);
    ADD(m, VARIABLE, BLOCK_POINTER, BUFFER, 12);
    ADD(m, TYPE_STRUCT, INNER, UINT, FLOAT, UINT);
    ADD(m, TYPE_STRUCT, PUSH, INNER);
    ADD(m, TYPE_POINTER, PUSH_POINTER, 9, PUSH);
    ADD(m, VARIABLE, PUSH_POINTER, PUSH_VARIABLE, 9);
    ADD(m, SPEC_CONSTANT, UINT, SIZE, 128);
    ADD(m, SPEC_CONSTANT, UINT, TUNING, 4);
    ADD(m, TYPE_VECTOR, UVEC3, UINT, 3);
    ADD(m, SPEC_CONSTANT_COMPOSITE, UVEC3, WORKGROUP, SIZE, SIZE, SIZE);
}

static void add_decorations(module *m, uint32_t set, uint32_t binding)
{
    ADD(m, DECORATE, BUFFER, 34, set);
    ADD(m, DECORATE, BUFFER, 33, binding);
    ADD(m, DECORATE, SIZE, 1, 0);
    ADD(m, DECORATE, TUNING, 1, 5);
    ADD(m, MEMBER_DECORATE, PUSH, 0, 35, 0);
    ADD(m, MEMBER_DECORATE, INNER, 0, 35, 0);
    ADD(m, MEMBER_DECORATE, INNER, 1, 35, 4);
    ADD(m, MEMBER_DECORATE, INNER, 2, 35, 8);
}

static tuff_status reflect(const module *m, tuff__spirv_info *info)
{
    return tuff__spirv_reflect("made", m->words, m->count, info);
}

static void test_reads(void **state)
{
    (void)state;
    module m;
    tuff__spirv_info info;
    add_header(&m);
    add_decorations(&m, 0, 2);
    add_types(&m);
    assert_int_equal(reflect(&m, &info), TUFF_SUCCESS);
    assert_int_equal(info.bindings, 4);
    assert_int_equal(info.readable, 4);
    assert_int_equal(info.writable, 4);
    assert_int_equal(info.push_constants_size, 12);
    assert_int_equal(info.specialization_ids, 1 | 1 << 5);
    assert_int_equal(info.local_size[0], 1);
}

static void test_access(void **state)
{
    (void)state;
    module m;
    tuff__spirv_info info;
    add_header(&m);
    add_decorations(&m, 0, 2);
    ADD(&m, MEMBER_DECORATE, BLOCK, 0, 24); /* readonly, as old compilers write it */
    add_types(&m);
    assert_int_equal(reflect(&m, &info), TUFF_SUCCESS);
    assert_int_equal(info.writable, 0);
    assert_int_equal(info.readable, 4);
    add_header(&m);
    add_decorations(&m, 0, 2);
    ADD(&m, DECORATE, BUFFER, 25); /* writeonly, on the variable */
    ADD(&m, DECORATE, OTHER_BUFFER, 34, 0);
    ADD(&m, DECORATE, OTHER_BUFFER, 33, 2);
    ADD(&m, DECORATE, OTHER_BUFFER, 24);
    add_types(&m);
    assert_int_equal(reflect(&m, &info), TUFF_SUCCESS);
    assert_int_equal(info.readable, 0);
    assert_int_equal(info.writable, 4);
    ADD(&m, VARIABLE, BLOCK_POINTER, OTHER_BUFFER, 12); /* the same binding, read through another declaration */
    assert_int_equal(reflect(&m, &info), TUFF_SUCCESS);
    assert_int_equal(info.readable, 4);
    assert_int_equal(info.writable, 4);
}

static void test_local_size(void **state)
{
    (void)state;
    module m;
    tuff__spirv_info info;
    add_header(&m);
    add_decorations(&m, 0, 0);
    ADD(&m, DECORATE, WORKGROUP, 11, 25);
    add_types(&m);
    assert_int_equal(reflect(&m, &info), TUFF_ERROR_FEATURE_NOT_PRESENT); /* y and z are specialized too */
    assert_non_null(strstr(tuff_last_error(), "local_size_x"));
    m.words[m.count - 2] = UINT; /* not a constant */
    assert_int_equal(reflect(&m, &info), TUFF_ERROR_FEATURE_NOT_PRESENT);
    m.count -= 3 + 3; /* without the composite */
    ADD(&m, CONSTANT, UINT, OTHER_BUFFER, 2);
    ADD(&m, SPEC_CONSTANT_COMPOSITE, UVEC3, WORKGROUP, SIZE, OTHER_BUFFER, OTHER_BUFFER);
    assert_int_equal(reflect(&m, &info), TUFF_SUCCESS);
    assert_int_equal(info.local_size[0], 128);
    assert_int_equal(info.local_size[1], 2);
    assert_int_equal(info.local_size[2], 2);
    assert_true(info.local_size_x_specialized);
}

static void check_refused(const module *m, const char *words)
{
    tuff__spirv_info info;
    assert_int_equal(reflect(m, &info), TUFF_ERROR_FEATURE_NOT_PRESENT);
    if (!strstr(tuff_last_error(), words))
        fail_msg("'%s' does not say '%s'", tuff_last_error(), words);
}

static void test_refuses(void **state)
{
    (void)state;
    module m;
    add_header(&m);
    add_decorations(&m, 1, 0);
    add_types(&m);
    check_refused(&m, "outside set 0");
    add_header(&m);
    add_decorations(&m, 0, 32);
    add_types(&m);
    check_refused(&m, "above binding 31");
    add_header(&m);
    add_types(&m);
    check_refused(&m, "no binding number");
    add_header(&m);
    add_decorations(&m, 0, 0);
    add_types(&m);
    const size_t end = m.count;
    ADD(&m, VARIABLE, BLOCK_POINTER, OTHER_BUFFER, 0);
    check_refused(&m, "images");
    m.count = end;
    ADD(&m, VARIABLE, BLOCK_POINTER, OTHER_BUFFER, 2);
    check_refused(&m, "uniform buffers");
    m.count = end;
    ADD(&m, ENTRY_POINT, 5, MAIN, MAIN_NAME, 0);
    check_refused(&m, "entry point");
    m.count = end;
    ADD(&m, CAPABILITY, 61);
    check_refused(&m, "capability besides Shader");
    m.count = end;
    ADD(&m, DECORATE, TUNING, 1, 32);
    check_refused(&m, "id is above 31");
    m.count = end;
    ADD(&m, TYPE_INT, BOUND, 32, 0);
    check_refused(&m, "out of bounds");
    m.count = end;
    m.words[m.count++] = 0;
    check_refused(&m, "over the end");
    m.count = end;
    m.words[0] = 0x03022307;
    check_refused(&m, "byte order");
}

/* Cut anywhere, or with any word replaced, a module is read or refused; AddressSanitizer watches the memory. */
static void batter(const tuff__shader *shader, uint64_t *random)
{
    tuff__spirv_info info;
    const size_t size = shader->word_count;
    for (size_t cut = 0; cut < size; cut += 1 + size / 64) {
        uint32_t *part = malloc(cut * sizeof *part + 1);
        memcpy(part, shader->words, cut * sizeof *part);
        (void)tuff__spirv_reflect(shader->name, part, cut, &info);
        free(part);
    }
    uint32_t *copy = malloc(size * sizeof *copy);
    for (int round = 0; round < 200; round++) {
        memcpy(copy, shader->words, size * sizeof *copy);
        for (int change = 0; change < 3; change++)
            copy[tuff__check_random(random) % size] ^= 1u << tuff__check_random(random) % 32;
        (void)tuff__spirv_reflect(shader->name, copy, size, &info);
    }
    free(copy);
}

static void test_embedded(void **state)
{
    (void)state;
    uint64_t random = 11;
    assert_true(tuff__shader_count > 0);
    for (size_t i = 0; i < tuff__shader_count; i++) {
        const tuff__shader *shader = &tuff__shaders[i];
        tuff__spirv_info info;
        if (tuff__spirv_reflect(shader->name, shader->words, shader->word_count, &info) != TUFF_SUCCESS)
            fail_msg("%s", tuff_last_error());
        assert_int_equal(info.readable | info.writable, info.bindings);
        assert_int_not_equal(info.writable, 0);
        batter(shader, &random);
    }
}

static void test_fill(void **state)
{
    (void)state;
    for (size_t i = 0; i < tuff__shader_count; i++) {
        const tuff__shader *shader = &tuff__shaders[i];
        tuff__spirv_info info;
        if (strcmp(shader->name, "fill") != 0)
            continue;
        assert_int_equal(tuff__spirv_reflect("fill", shader->words, shader->word_count, &info), TUFF_SUCCESS);
        assert_int_equal(info.bindings, 1);
        assert_int_equal(info.readable, 0);
        assert_int_equal(info.writable, 1);
        assert_int_equal(info.push_constants_size, 8);
        assert_true(info.local_size_x_specialized);
        return;
    }
    fail_msg("no shader 'fill' is embedded");
}

/* What a device must be able to bind is what the kernels bind, no more and no less. */
static void test_buffers_needed(void **state)
{
    (void)state;
    uint32_t most = 0;
    for (size_t i = 0; i < tuff__shader_count; i++) {
        tuff__spirv_info info = {0};
        const tuff__shader *shader = &tuff__shaders[i];
        assert_int_equal(tuff__spirv_reflect(shader->name, shader->words, shader->word_count, &info), TUFF_SUCCESS);
        uint32_t count = 0;
        for (uint32_t bindings = info.bindings; bindings; bindings &= bindings - 1)
            count++;
        if (count > most)
            most = count;
    }
    assert_int_equal(most, TUFF__VK_BUFFERS_NEEDED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),          cmocka_unit_test(test_access),   cmocka_unit_test(test_local_size),
        cmocka_unit_test(test_refuses),        cmocka_unit_test(test_embedded), cmocka_unit_test(test_fill),
        cmocka_unit_test(test_buffers_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
