/*
 * test_random_graphs.c: graphs of random operators, whose results are bound at random to a few buffers that others
 * read, against the same operators one after the other in double: whatever is fused, reordered, placed or copied on the
 * way, the numbers are those of the recorded order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "check_device.h"

#include <math.h>
#include <stdlib.h>

enum { N = 24, ELEMENTS = N * N, BUFFERS = 4, MOST_VALUES = 64, GRAPHS = 60 };

/* A matrix [N, N], in a buffer or in memory of its own. */
typedef struct matrix {
    tuff_tensor tensor;
    int buffer; /* -1: none */
    double own[ELEMENTS];
} matrix;

typedef struct run {
    tuff_graph *graph;
    uint64_t random;
    tuff_buffer *buffers[BUFFERS];
    double contents[BUFFERS][ELEMENTS];
    matrix values[MOST_VALUES];
    int count;
} run;

static tuff_device *device;

static int draw(run *r, int below)
{
    return (int)(tuff__check_random(&r->random) % (uint64_t)below);
}

static const double *content(const run *r, int value)
{
    const matrix *m = &r->values[value];
    return m->buffer >= 0 ? r->contents[m->buffer] : m->own;
}

static void multiply(const double *a, const double *b, bool transpose_b, double *out)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int k = 0; k < N; k++)
                sum += a[i * N + k] * (transpose_b ? b[j * N + k] : b[k * N + j]);
            out[i * N + j] = sum / N;
        }
}

static double map(int operation, double a, double b)
{
    switch (operation) {
    case 0:
        return a + b;
    case 1:
        return a * b;
    case 2:
        return tanh(a);
    case 3:
        return a > 0 ? a : 0;
    case 4:
        return 0.5 * a * erfc(-a * 0.70710678118654752440);
    default:
        return a * 0.5;
    }
}

static tuff_tensor record_map(tuff_graph *graph, int operation, tuff_tensor a, tuff_tensor b)
{
    switch (operation) {
    case 0:
        return tuff_add(graph, a, b);
    case 1:
        return tuff_mul(graph, a, b);
    case 2:
        return tuff_tanh(graph, a);
    case 3:
        return tuff_relu(graph, a);
    case 4:
        return tuff_gelu(graph, a);
    default:
        return tuff_scale(graph, a, 0.5F);
    }
}

/* Appends an operator over earlier values, to the graph and, at once, to the numbers. */
static void append(run *r)
{
    static const uint32_t swapped[TUFF_MAX_RANK] = {1, 0};
    matrix *out = &r->values[r->count];
    const int a = draw(r, r->count), b = draw(r, r->count), operation = draw(r, 10);
    const tuff_tensor ta = r->values[a].tensor, tb = r->values[b].tensor;
    out->buffer = -1;
    if (operation < 3) {
        const tuff_matmul_info info = {.alpha = 1.0F / N, .transpose_b = operation == 0};
        out->tensor = tuff_matmul(r->graph, ta, tb, &info);
        multiply(content(r, a), content(r, b), info.transpose_b, out->own);
    } else if (operation == 3) {
        out->tensor = tuff_transpose(r->graph, ta, swapped);
        for (int i = 0; i < ELEMENTS; i++)
            out->own[i] = content(r, a)[i % N * N + i / N];
    } else {
        out->tensor = record_map(r->graph, operation - 4, ta, tb);
        for (int i = 0; i < ELEMENTS; i++)
            out->own[i] = map(operation - 4, content(r, a)[i], content(r, b)[i]);
    }
    r->count++;
}

/* The latest value takes the place of what is in a buffer, which may be what it was made from. */
static void bind_latest(run *r)
{
    const int buffer = draw(r, BUFFERS);
    matrix *latest = &r->values[r->count - 1];
    memcpy(r->contents[buffer], latest->own, sizeof latest->own);
    latest->tensor = tuff_graph_bind(r->graph, latest->tensor, r->buffers[buffer], 0);
    latest->buffer = buffer;
}

static void start(run *r, uint64_t seed)
{
    float numbers[ELEMENTS];
    r->random = seed;
    r->count = 0;
    assert_int_equal(tuff_graph_create(device, &r->graph), TUFF_SUCCESS);
    for (int i = 0; i < BUFFERS; i++) {
        for (int k = 0; k < ELEMENTS; k++)
            r->contents[i][k] = (double)(numbers[k] = (float)tuff__check_normal(&r->random));
        assert_int_equal(tuff_buffer_create(device, sizeof numbers, &r->buffers[i]), TUFF_SUCCESS);
        assert_int_equal(tuff_buffer_write(r->buffers[i], 0, numbers, sizeof numbers), TUFF_SUCCESS);
        r->values[r->count].buffer = i;
        r->values[r->count++].tensor = tuff_graph_external(r->graph, "x", TUFF_F32, TUFF_SHAPE(N, N), r->buffers[i], 0);
    }
}

static void check(const float *got, const double *want, uint64_t seed, const char *what, int number)
{
    double largest = 1;
    for (int i = 0; i < ELEMENTS; i++)
        largest = fmax(largest, fabs(want[i]));
    for (int i = 0; i < ELEMENTS; i++)
        if (!(fabs((double)got[i] - want[i]) <= 1e-4 * largest))
            fail_msg("graph %d: %s %d, element %d: got %g, want %g", (int)seed, what, number, i, (double)got[i],
                     want[i]);
}

static void finish(run *r, uint64_t seed)
{
    float got[ELEMENTS];
    int outputs[8], count = 0;
    tuff_tensor tensors[8];
    for (int i = 0; i < 8; i++) {
        const int value = draw(r, r->count);
        if (r->values[value].buffer < 0)
            tensors[count] = r->values[outputs[count] = value].tensor, count++;
    }
    if (tuff_graph_compile(r->graph, tensors, (size_t)count) != TUFF_SUCCESS ||
        tuff_graph_run(r->graph) != TUFF_SUCCESS)
        fail_msg("graph %d: %s", (int)seed, tuff_last_error());
    for (int i = 0; i < count; i++) {
        assert_int_equal(tuff_graph_read(r->graph, tensors[i], got, sizeof got), TUFF_SUCCESS);
        check(got, r->values[outputs[i]].own, seed, "value", outputs[i]);
    }
    for (int i = 0; i < BUFFERS; i++) {
        assert_int_equal(tuff_buffer_read(r->buffers[i], 0, got, sizeof got), TUFF_SUCCESS);
        check(got, r->contents[i], seed, "buffer", i);
    }
    tuff_graph_destroy(r->graph);
    for (int i = 0; i < BUFFERS; i++)
        tuff_buffer_destroy(r->buffers[i]);
}

static void run_graphs(bool bind)
{
    run *r = malloc(sizeof *r);
    assert_non_null(r);
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        start(r, seed);
        for (int length = 10 + draw(r, MOST_VALUES - BUFFERS - 10); r->count < BUFFERS + length;) {
            append(r);
            if (bind && draw(r, 3) == 0)
                bind_latest(r);
        }
        finish(r, seed);
    }
    free(r);
}

static void test_graphs(void **state)
{
    (void)state;
    run_graphs(false);
}

static void test_graphs_in_shared_buffers(void **state)
{
    (void)state;
    run_graphs(true);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graphs),
        cmocka_unit_test(test_graphs_in_shared_buffers),
    };
    const int unopened = tuff__check_open_device(NULL, &device);
    if (unopened)
        return unopened;
    const int failures = cmocka_run_group_tests(tests, NULL, NULL);
    tuff_device_destroy(device);
    return failures;
}
