/* test_layer_norm.c: cases of layer_norm and its gradients: rows shorter and longer than a workgroup, rows whose mean is
 * large against their deviation (a variance by cancellation would fail them), with and without residual. */
#include "../op_case.h"
#include "../../runtime/ops/layer_norm.h"

#define EPS(x) .params = &(const tuff__layer_norm_params){x}, .params_size = sizeof(tuff__layer_norm_params)
#define VECTOR(n) {.shape = {1, {n}}}
#define MATRIX(rows, columns) {.shape = {2, {rows, columns}}}
#define WEIGHT(n) {.shape = {1, {n}}, .mean = 1, .scale = 0.3F}
#define NORM(rows, columns) .inputs = {MATRIX(rows, columns), WEIGHT(columns), VECTOR(columns)}
#define NORM_RESIDUAL(rows, columns)                                                                                   \
    .inputs = {MATRIX(rows, columns), WEIGHT(columns), VECTOR(columns), MATRIX(rows, columns)}

TUFF_CASES(layer_norm, {NORM(1, 1), EPS(1e-5F)},
           {NORM(5, 2), EPS(1e-2F), .no_gradient = "two columns: a step, too steep for a wide difference"},
           {NORM(3, 31), EPS(1e-12F)}, {NORM(7, 32), EPS(1e-5F)}, {NORM(4, 33), EPS(1e-5F)},
           {NORM(2, 255), EPS(1e-12F)}, {NORM(3, 256), EPS(1e-12F)}, {NORM(129, 20), EPS(1e-12F)},
           {NORM(2, 1031), EPS(1e-12F)}, {NORM_RESIDUAL(1, 7), EPS(1e-5F)}, {NORM_RESIDUAL(3, 257), EPS(1e-12F)},
           {NORM_RESIDUAL(130, 96), EPS(1e-12F), .no_gradient = "slow"},
           {.inputs = {{.shape = {3, {2, 5, 64}}}, WEIGHT(64), VECTOR(64), {.shape = {3, {2, 5, 64}}}}, EPS(1e-12F)},
           {.inputs = {VECTOR(100), WEIGHT(100), VECTOR(100)}, EPS(1e-5F)},
           {.inputs = {{.shape = {2, {6, 384}}, .mean = 100}, WEIGHT(384), VECTOR(384)}, EPS(1e-12F),
            .no_gradient = "the reference writes f32, whose rounding of 100 swamps a difference"},
           {.inputs = {{.shape = {3, {4, 32, 384}}}, WEIGHT(384), VECTOR(384), {.shape = {3, {4, 32, 384}}}},
            EPS(1e-12F), .no_gradient = "slow"});

#define POSITIVE(n) {.shape = {1, {n}}, .fill = TUFF__FILL_POSITIVE, .mean = 0.5F}
#define BACKWARD(rows, columns)                                                                                        \
    .inputs = {MATRIX(rows, columns), WEIGHT(columns), {.shape = {1, {rows}}, .scale = 0.1F}, POSITIVE(rows),          \
               MATRIX(rows, columns)}
TUFF_CASES(layer_norm_backward, {BACKWARD(1, 1)}, {BACKWARD(3, 31)}, {BACKWARD(5, 32)}, {BACKWARD(7, 33)},
           {BACKWARD(2, 257)}, {BACKWARD(129, 20)}, {BACKWARD(2, 1031)}, {BACKWARD(128, 384)});

#define AFFINE(rows, columns)                                                                                          \
    .inputs = {MATRIX(rows, columns), {.shape = {1, {rows}}, .scale = 0.1F}, POSITIVE(rows), MATRIX(rows, columns)}
TUFF_CASES(layer_norm_backward_affine, {AFFINE(1, 1)}, {AFFINE(15, 31)}, {AFFINE(16, 32)}, {AFFINE(17, 33)},
           {AFFINE(257, 129)}, {AFFINE(4099, 8)}, {AFFINE(300, 384)}, {AFFINE(5, 1031)});
