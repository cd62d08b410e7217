/* op_table.c: owns the table of operators made from ops.def, and the checks that infer functions share. */
#include "op.h"

#include <math.h>
#include <stdio.h>

static const tuff_op_desc *const table[TUFF__OP_COUNT] = {
#define TUFF_OP(NAME, name, family) [TUFF__OP_##NAME] = &tuff__op_##name,
#include "ops/ops.def"
#undef TUFF_OP
};

const tuff_op_desc *tuff__op_desc(tuff__op_id id)
{
    return id < TUFF__OP_COUNT ? table[id] : NULL;
}

tuff__op_id tuff__op_id_of(const tuff_op_desc *op)
{
    uint32_t id = 1;
    while (id < TUFF__OP_COUNT && tuff__op_desc((tuff__op_id)id) != op)
        id++;
    return (tuff__op_id)id;
}

double tuff__op_flops(const tuff_op_call *call)
{
    return call->op->flops ? call->op->flops(call) : (double)tuff_shape_count(&call->outputs[0].shape);
}

static double operand_bytes(const tuff__operand *operand)
{
    return (double)tuff_shape_count(&operand->shape) * (double)tuff__dtype_size(operand->dtype);
}

double tuff__op_bytes(const tuff_op_call *call)
{
    double bytes = 0;
    if (call->op->bytes)
        return call->op->bytes(call);
    for (uint32_t i = 0; i < call->input_count; i++)
        if (call->inputs[i].present)
            bytes += operand_bytes(&call->inputs[i]);
    for (uint32_t i = 0; i < call->output_count; i++)
        bytes += operand_bytes(&call->outputs[i]);
    return bytes;
}

const char *tuff__call_variant(const tuff_device *device, const tuff_op_call *call)
{
    const bool has_rungs = device->target.backend == TUFF_BACKEND_VULKAN && call->op->variant_count > 0;
    return has_rungs ? call->op->variants[call->variant].name : "";
}

static tuff_status fail_call(const tuff_op_call *call, tuff_status status, const char *format, va_list arguments)
{
    char message[512];
    vsnprintf(message, sizeof message, format, arguments);
    if (call->label && call->label[0])
        return tuff__fail(status, "%s (%s): %s", call->op->name, call->label, message);
    return tuff__fail(status, "%s: %s", call->op->name, message);
}

tuff_status tuff__fail_shape(const tuff_op_call *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const tuff_status status = fail_call(call, TUFF_ERROR_SHAPE_MISMATCH, format, arguments);
    va_end(arguments);
    return status;
}

tuff_status tuff__fail_value(const tuff_op_call *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const tuff_status status = fail_call(call, TUFF_ERROR_INVALID_ARGUMENT, format, arguments);
    va_end(arguments);
    return status;
}

tuff_status tuff__check_dtype(const tuff_op_call *call, uint32_t input, tuff_dtype dtype)
{
    if (call->inputs[input].dtype == dtype)
        return TUFF_SUCCESS;
    return tuff__fail_shape(call, "input %u is %s, wanted %s", input, tuff__dtype_name(call->inputs[input].dtype),
                            tuff__dtype_name(dtype));
}

void tuff__output_set(tuff_op_call *call, uint32_t output, tuff_dtype dtype, tuff_shape shape)
{
    call->outputs[output].dtype = dtype;
    call->outputs[output].shape = shape;
}

void tuff__output_like(tuff_op_call *call, uint32_t output, uint32_t input)
{
    tuff__output_set(call, output, call->inputs[input].dtype, call->inputs[input].shape);
}

bool tuff__call_has(const tuff_op_call *call, uint32_t input)
{
    return input < call->input_count && call->inputs[input].present;
}
