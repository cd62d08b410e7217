/* test_binary.c: cases of add and mul: equal shapes, and each way of broadcasting b. */
#include "../op_case.h"

#define S1(a) {.shape = {1, {a}}}
#define S2(a, b) {.shape = {2, {a, b}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define SLOW .no_gradient = "slow"

#define BINARY_CASES                                                                                                   \
    {.inputs = {S1(1), S1(1)}}, {.inputs = {S1(33), S1(33)}}, {.inputs = {S2(31, 33), S2(31, 33)}},                    \
        {.inputs = {S4(2, 3, 5, 7), S4(2, 3, 5, 7)}}, {.inputs = {S3(4, 32, 384), S3(4, 32, 384)}, SLOW},              \
        {.inputs = {S2(5, 31), S1(31)}}, {.inputs = {S2(5, 31), S1(1)}}, {.inputs = {S2(257, 3), S2(257, 1)}},         \
        {.inputs = {S2(3, 129), S2(1, 129)}}, {.inputs = {S3(4, 5, 6), S2(5, 6)}},                                     \
        {.inputs = {S3(4, 5, 6), S3(4, 1, 6)}}, {.inputs = {S3(4, 5, 6), S3(1, 5, 1)}},                                \
        {.inputs = {S4(2, 3, 4, 5), S4(2, 1, 4, 1)}}, {.inputs = {S4(2, 3, 4, 5), S4(1, 3, 1, 5)}},                    \
        {.inputs = {S4(2, 3, 4, 5), S2(4, 1)}}, {.inputs = {S4(3, 1, 4, 1), S4(3, 1, 1, 1)}},                          \
        {.inputs = {S3(4, 32, 384), S1(384)}, SLOW}, {.inputs = {S3(3, 64, 128), S3(1, 64, 128)}, SLOW},               \
        {.inputs = {S3(3, 97, 101), S2(97, 101)}, SLOW}, {.inputs = {S2(9001, 3), S2(9001, 1)}, SLOW}

TUFF_CASES(add, BINARY_CASES);
TUFF_CASES(mul, BINARY_CASES);
