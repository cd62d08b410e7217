/*
 * op_case.h: an operator's test cases are data; test_ops.c holds each of them to every device at hand: shapes, the CPU
 * device and Vulkan against the reference (every element, tuff_op_desc.allowance), splitting, each kernel variant, and
 * gradients against central differences.
 *
 * tests/ops/test_<family>.c defines one table per operator of the family:
 *
 *     TUFF_CASES(gelu, {.inputs = {{.shape = {2, {3, 31}}}}}, {.inputs = {{.shape = {1, {257}}}}});
 *
 * An operator without a table does not link.
 */
#ifndef TUFF_TESTS_OP_CASE_H
#define TUFF_TESTS_OP_CASE_H

#include "../runtime/op.h"

typedef enum tuff__case_fill {
    TUFF__FILL_NORMAL = 0,   /* F32/F16/BF16: normal numbers with deviation `scale` (0 means 1) around `mean` */
    TUFF__FILL_INTEGERS = 1, /* I32: uniform in [low, high) */
    TUFF__FILL_VALUES = 2,   /* copied from `values` (elements of dtype) */
    TUFF__FILL_POSITIVE = 3, /* |normal|·scale + mean */
} tuff__case_fill;

typedef struct tuff__case_input {
    tuff_shape shape; /* rank 0 with absent: an optional input left out; else rank 0 is a scalar */
    bool absent;
    tuff_dtype dtype;
    tuff__case_fill fill;
    float scale, mean;
    int32_t low, high;
    const void *values;
} tuff__case_input;

typedef struct tuff__op_case {
    tuff__case_input inputs[TUFF__MAX_INPUTS];
    uint32_t input_count; /* 0: all up to the last with a shape */
    const void *params;   /* the operator's params struct of runtime/ops/<family>.h */
    size_t params_size;
    const char *no_gradient;   /* why central differences cannot judge this case; NULL: they do */
    float gradient_tolerance;  /* of max(1, |gradient|) ; default 2e-3 */
    bool too_large_when_split; /* a row alone exceeds the small storage-buffer range: refused in words */
} tuff__op_case;

typedef struct tuff__op_cases {
    const tuff__op_case *cases;
    size_t count;
} tuff__op_cases;

#define TUFF_CASES(name, ...)                                                                                          \
    static const tuff__op_case name##_cases_[] = {__VA_ARGS__};                                                        \
    const tuff__op_cases tuff__cases_##name = {name##_cases_, sizeof name##_cases_ / sizeof name##_cases_[0]}

#define TUFF_OP(NAME, name, family) extern const tuff__op_cases tuff__cases_##name;
#include "../runtime/ops/ops.def"
#undef TUFF_OP

#endif
