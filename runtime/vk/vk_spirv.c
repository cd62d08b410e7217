/*
 * vk_spirv.c: owns reading SPIR-V modules back. It trusts no word of them: a module is embedded by the build, but may
 * come from a folder of ready files that somebody else compiled.
 */
#include "vk_spirv.h"

#include "../alloc.h"

#include <string.h>

/* The part of the SPIR-V specification (version 1.6, sections 3.x) that this file reads. */
enum {
    SPIRV_MAGIC = 0x07230203,
    SPIRV_HEADER_WORDS = 5,
    SPIRV_MAX_BOUND = 0x3fffff, /* universal limit on the Result <id> bound */
    OP_ENTRY_POINT = 15,
    OP_EXECUTION_MODE = 16,
    OP_CAPABILITY = 17,
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_TYPE_VECTOR = 23,
    OP_TYPE_ARRAY = 28,
    OP_TYPE_STRUCT = 30,
    OP_TYPE_POINTER = 32,
    OP_CONSTANT = 43,
    OP_SPEC_CONSTANT_TRUE = 48,
    OP_SPEC_CONSTANT_FALSE = 49,
    OP_SPEC_CONSTANT = 50,
    OP_CONSTANT_COMPOSITE = 44,
    OP_SPEC_CONSTANT_COMPOSITE = 51,
    OP_VARIABLE = 59,
    OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72,
    OP_EXECUTION_MODE_ID = 331,
    DECORATION_SPEC_ID = 1,
    DECORATION_BUFFER_BLOCK = 3,
    DECORATION_ARRAY_STRIDE = 6,
    DECORATION_BUILT_IN = 11,
    DECORATION_NON_WRITABLE = 24,
    DECORATION_NON_READABLE = 25,
    DECORATION_BINDING = 33,
    DECORATION_DESCRIPTOR_SET = 34,
    DECORATION_OFFSET = 35,
    BUILT_IN_WORKGROUP_SIZE = 25,
    CAPABILITY_SHADER = 1,
    EXECUTION_MODE_LOCAL_SIZE = 17,
    EXECUTION_MODE_LOCAL_SIZE_ID = 38,
    EXECUTION_MODEL_COMPUTE = 5,
    STORAGE_UNIFORM_CONSTANT = 0,
    STORAGE_UNIFORM = 2,
    STORAGE_PUSH_CONSTANT = 9,
    STORAGE_STORAGE_BUFFER = 12,
};

typedef struct spirv_module {
    const char *name;
    const uint32_t *words;
    size_t word_count;
    uint32_t bound;
    uint32_t *definitions; /* word index of the instruction that defines an id; 0: none seen */
    uint32_t entry_points;
    tuff__spirv_info *info;
} spirv_module;

/* One instruction: its opcode and operands, without the word that holds opcode and length. */
typedef struct instruction {
    uint32_t opcode, operand_count, at;
    const uint32_t *operands;
} instruction;

static tuff_status fail_at(const spirv_module *module, size_t word, const char *what)
{
    return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "shader '%s': SPIR-V word %zu: %s", module->name, word, what);
}

/* Reads the instruction at `*at` and moves past it. Only for modules that check_structure has seen. */
static bool next_instruction(const spirv_module *module, size_t *at, instruction *out)
{
    if (*at >= module->word_count)
        return false;
    const uint32_t first = module->words[*at];
    *out = (instruction){
        .opcode = first & 0xffff,
        .operand_count = (first >> 16) - 1,
        .at = (uint32_t)*at,
        .operands = module->words + *at + 1,
    };
    *at += first >> 16;
    return true;
}

/* The operand that holds the result id of what this file follows; -1 for other instructions. */
static int result_operand(uint32_t opcode)
{
    switch (opcode) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
    case OP_TYPE_VECTOR:
    case OP_TYPE_ARRAY:
    case OP_TYPE_STRUCT:
    case OP_TYPE_POINTER:
        return 0;
    case OP_CONSTANT:
    case OP_CONSTANT_COMPOSITE:
    case OP_SPEC_CONSTANT_TRUE:
    case OP_SPEC_CONSTANT_FALSE:
    case OP_SPEC_CONSTANT:
    case OP_SPEC_CONSTANT_COMPOSITE:
    case OP_VARIABLE:
        return 1;
    default:
        return -1;
    }
}

/* Fewest operands of the instructions this file reads without further checks. */
static uint32_t least_operands(uint32_t opcode)
{
    switch (opcode) {
    case OP_CAPABILITY:
    case OP_TYPE_STRUCT:
        return 1;
    case OP_TYPE_INT:
    case OP_TYPE_ARRAY:
    case OP_TYPE_VECTOR:
    case OP_TYPE_POINTER:
    case OP_CONSTANT:
    case OP_SPEC_CONSTANT:
    case OP_VARIABLE:
    case OP_ENTRY_POINT:
    case OP_MEMBER_DECORATE:
        return 3;
    case OP_TYPE_FLOAT:
    case OP_DECORATE:
    case OP_EXECUTION_MODE:
    case OP_EXECUTION_MODE_ID:
    case OP_SPEC_CONSTANT_TRUE:
    case OP_SPEC_CONSTANT_FALSE:
    case OP_CONSTANT_COMPOSITE:
    case OP_SPEC_CONSTANT_COMPOSITE:
        return 2;
    default:
        return 0;
    }
}

static tuff_status check_structure(spirv_module *module)
{
    if (module->word_count < SPIRV_HEADER_WORDS || module->words[0] != SPIRV_MAGIC)
        return fail_at(module, 0, "not a SPIR-V module of this machine's byte order");
    if (module->word_count > UINT32_MAX)
        return fail_at(module, 0, "the module is too long");
    module->bound = module->words[3];
    if (module->bound == 0 || module->bound > SPIRV_MAX_BOUND)
        return fail_at(module, 3, "the id bound is outside the specification's limit");
    module->definitions = tuff__calloc(module->bound, sizeof *module->definitions);
    if (!module->definitions)
        return tuff__fail_memory("a shader's ids", module->bound * sizeof *module->definitions);
    for (size_t at = SPIRV_HEADER_WORDS; at < module->word_count;) {
        const uint32_t length = module->words[at] >> 16, opcode = module->words[at] & 0xffff;
        if (length == 0 || length > module->word_count - at)
            return fail_at(module, at, "an instruction runs over the end of the module");
        if (length - 1 < least_operands(opcode))
            return fail_at(module, at, "an instruction is too short");
        const int result = result_operand(opcode);
        if (result >= 0) {
            const uint32_t id = module->words[at + 1 + (size_t)result];
            if (id == 0 || id >= module->bound || module->definitions[id] != 0)
                return fail_at(module, at, "a result id is out of bounds or defined twice");
            module->definitions[id] = (uint32_t)at;
        }
        at += length;
    }
    return TUFF_SUCCESS;
}

/* The instruction that defines `id`, if it is one of those in result_operand. */
static bool find_definition(const spirv_module *module, uint32_t id, instruction *out)
{
    if (id >= module->bound || module->definitions[id] == 0)
        return false;
    size_t at = module->definitions[id];
    return next_instruction(module, &at, out);
}

/* Whether `id` (member -1) or a member of it carries the decoration; its first literal, or 0, goes to out_value. */
static bool find_decoration(const spirv_module *module, uint32_t id, int64_t member, uint32_t decoration,
                            uint32_t *out_value)
{
    const uint32_t opcode = member < 0 ? OP_DECORATE : OP_MEMBER_DECORATE;
    const uint32_t skip = member < 0 ? 1 : 2;
    instruction found;
    for (size_t at = SPIRV_HEADER_WORDS; next_instruction(module, &at, &found);) {
        if (found.opcode != opcode || found.operands[0] != id || found.operands[skip] != decoration)
            continue;
        if (member >= 0 && found.operands[1] != (uint32_t)member)
            continue;
        if (out_value)
            *out_value = found.operand_count > skip + 1 ? found.operands[skip + 1] : 0;
        return true;
    }
    return false;
}

/* Whether the variable, or every member of its block, carries the decoration: `readonly` is written either way. */
static bool fully_decorated(const spirv_module *module, uint32_t variable, const instruction *block,
                            uint32_t decoration)
{
    if (find_decoration(module, variable, -1, decoration, NULL))
        return true;
    const uint32_t members = block->operand_count - 1;
    for (uint32_t i = 0; i < members; i++)
        if (!find_decoration(module, block->operands[0], i, decoration, NULL))
            return false;
    return members > 0;
}

static uint64_t layout_size(const spirv_module *module, uint32_t type, int depth);

/* Where the last member of a block ends; 0 when a member has no layout. */
static uint64_t struct_size(const spirv_module *module, const instruction *block, int depth)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i + 1 < block->operand_count; i++) {
        uint32_t offset = 0;
        const uint64_t member = layout_size(module, block->operands[i + 1], depth + 1);
        if (member == 0 || !find_decoration(module, block->operands[0], i, DECORATION_OFFSET, &offset))
            return 0;
        if (offset + member > size)
            size = offset + member;
    }
    return size;
}

/* Bytes of a type with explicit layout; 0 for what push constants of this project never hold. */
static uint64_t layout_size(const spirv_module *module, uint32_t type, int depth)
{
    instruction found, length;
    uint32_t stride = 0;
    if (depth > 4 || !find_definition(module, type, &found))
        return 0;
    switch (found.opcode) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
        return found.operands[1] / 8;
    case OP_TYPE_VECTOR:
        return layout_size(module, found.operands[1], depth + 1) * found.operands[2];
    case OP_TYPE_ARRAY:
        if (!find_definition(module, found.operands[2], &length) || length.opcode != OP_CONSTANT ||
            !find_decoration(module, type, -1, DECORATION_ARRAY_STRIDE, &stride))
            return 0;
        return (uint64_t)stride * length.operands[2];
    case OP_TYPE_STRUCT:
        return struct_size(module, &found, depth);
    default:
        return 0;
    }
}

static tuff_status read_push_constants(const spirv_module *module, const instruction *variable,
                                       const instruction *block)
{
    const uint64_t size = struct_size(module, block, 0);
    if (size == 0 || size > 128 || size % 4 != 0)
        return fail_at(module, variable->at, "push constants must be scalars, vectors or arrays of 4 to 128 bytes");
    module->info->push_constants_size = (uint32_t)size;
    return TUFF_SUCCESS;
}

static tuff_status read_binding(const spirv_module *module, const instruction *variable, const instruction *block)
{
    const uint32_t id = variable->operands[1];
    uint32_t set = 0, binding = 0;
    if (!find_decoration(module, id, -1, DECORATION_BINDING, &binding) ||
        !find_decoration(module, id, -1, DECORATION_DESCRIPTOR_SET, &set))
        return fail_at(module, variable->at, "a buffer has no binding number");
    if (set != 0 || binding >= TUFF__SPIRV_MAX_BINDINGS)
        return fail_at(module, variable->at, "a buffer is bound outside set 0 or above binding 31");
    const uint32_t bit = 1u << binding;
    module->info->bindings |= bit;
    /* One binding may be declared more than once, with other element types: the union counts. */
    if (!fully_decorated(module, id, block, DECORATION_NON_READABLE))
        module->info->readable |= bit;
    if (!fully_decorated(module, id, block, DECORATION_NON_WRITABLE))
        module->info->writable |= bit;
    return TUFF_SUCCESS;
}

static tuff_status read_variable(const spirv_module *module, const instruction *variable)
{
    const uint32_t storage = variable->operands[2];
    if (storage == STORAGE_UNIFORM_CONSTANT)
        return fail_at(module, variable->at, "images, samplers and texel buffers are not used by tuff");
    if (storage != STORAGE_UNIFORM && storage != STORAGE_PUSH_CONSTANT && storage != STORAGE_STORAGE_BUFFER)
        return TUFF_SUCCESS;
    instruction pointer, block;
    if (!find_definition(module, variable->operands[0], &pointer) || pointer.opcode != OP_TYPE_POINTER ||
        !find_definition(module, pointer.operands[2], &block) || block.opcode != OP_TYPE_STRUCT)
        return fail_at(module, variable->at, "a buffer is not a block, or an array of them");
    if (storage == STORAGE_PUSH_CONSTANT)
        return read_push_constants(module, variable, &block);
    if (storage == STORAGE_UNIFORM && !find_decoration(module, block.operands[0], -1, DECORATION_BUFFER_BLOCK, NULL))
        return fail_at(module, variable->at, "uniform buffers are not used by tuff");
    return read_binding(module, variable, &block);
}

/* A component of the workgroup size: a constant, or the specialization constant with id 0. */
static tuff_status read_local_size(const spirv_module *module, uint32_t axis, uint32_t id, size_t at)
{
    instruction constant;
    if (!find_definition(module, id, &constant) || constant.operand_count < 3 ||
        (constant.opcode != OP_CONSTANT && constant.opcode != OP_SPEC_CONSTANT))
        return fail_at(module, at, "a workgroup size is not a constant");
    module->info->local_size[axis] = constant.operands[2];
    uint32_t spec_id = 0;
    if (constant.opcode == OP_SPEC_CONSTANT && find_decoration(module, id, -1, DECORATION_SPEC_ID, &spec_id)) {
        if (axis != 0 || spec_id != 0)
            return fail_at(module, at, "only local_size_x may be specialized, by constant 0");
        module->info->local_size_x_specialized = true;
    }
    return TUFF_SUCCESS;
}

static tuff_status read_decoration(const spirv_module *module, const instruction *found)
{
    if (found->operands[1] == DECORATION_SPEC_ID) {
        if (found->operand_count < 3 || found->operands[2] >= TUFF__SPIRV_MAX_SPECIALIZATION)
            return fail_at(module, found->at, "a specialization constant's id is above 31");
        module->info->specialization_ids |= 1u << found->operands[2];
    }
    if (found->operands[1] != DECORATION_BUILT_IN || found->operand_count < 3 ||
        found->operands[2] != BUILT_IN_WORKGROUP_SIZE)
        return TUFF_SUCCESS;
    instruction composite;
    if (!find_definition(module, found->operands[0], &composite) || composite.operand_count != 5 ||
        (composite.opcode != OP_SPEC_CONSTANT_COMPOSITE && composite.opcode != OP_CONSTANT_COMPOSITE))
        return fail_at(module, found->at, "the workgroup size is not three constants");
    for (uint32_t axis = 0; axis < 3; axis++)
        TUFF_TRY(read_local_size(module, axis, composite.operands[2 + axis], found->at));
    return TUFF_SUCCESS;
}

static tuff_status read_execution_mode(const spirv_module *module, const instruction *found)
{
    const uint32_t mode = found->operands[1];
    if (found->opcode == OP_EXECUTION_MODE && mode == EXECUTION_MODE_LOCAL_SIZE) {
        if (found->operand_count < 5)
            return fail_at(module, found->at, "LocalSize has fewer than three numbers");
        memcpy(module->info->local_size, found->operands + 2, sizeof module->info->local_size);
    }
    if (found->opcode == OP_EXECUTION_MODE_ID && mode == EXECUTION_MODE_LOCAL_SIZE_ID) {
        if (found->operand_count < 5)
            return fail_at(module, found->at, "LocalSizeId has fewer than three ids");
        for (uint32_t axis = 0; axis < 3; axis++)
            TUFF_TRY(read_local_size(module, axis, found->operands[2 + axis], found->at));
    }
    return TUFF_SUCCESS;
}

static tuff_status read_instruction(spirv_module *module, const instruction *found)
{
    switch (found->opcode) {
    case OP_CAPABILITY:
        if (found->operands[0] != CAPABILITY_SHADER)
            return fail_at(module, found->at, "a capability besides Shader is not used by tuff");
        return TUFF_SUCCESS;
    case OP_ENTRY_POINT:
        if (found->operands[0] != EXECUTION_MODEL_COMPUTE || ++module->entry_points > 1)
            return fail_at(module, found->at, "one compute entry point is wanted");
        return TUFF_SUCCESS;
    case OP_EXECUTION_MODE:
    case OP_EXECUTION_MODE_ID:
        return read_execution_mode(module, found);
    case OP_DECORATE:
        return read_decoration(module, found);
    case OP_VARIABLE:
        return read_variable(module, found);
    default:
        return TUFF_SUCCESS;
    }
}

static tuff_status read_module(spirv_module *module)
{
    TUFF_TRY(check_structure(module));
    instruction found;
    for (size_t at = SPIRV_HEADER_WORDS; next_instruction(module, &at, &found);)
        TUFF_TRY(read_instruction(module, &found));
    const uint32_t *size = module->info->local_size;
    if (module->entry_points != 1 || size[0] == 0 || size[1] == 0 || size[2] == 0)
        return fail_at(module, 0, "no compute entry point with a workgroup size");
    return TUFF_SUCCESS;
}

tuff_status tuff__spirv_reflect(const char *name, const uint32_t *words, size_t word_count, tuff__spirv_info *out_info)
{
    *out_info = (tuff__spirv_info){0};
    spirv_module module = {.name = name, .words = words, .word_count = word_count, .info = out_info};
    const tuff_status status = read_module(&module);
    tuff__free(module.definitions);
    return status;
}
