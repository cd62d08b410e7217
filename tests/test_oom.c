/*
 * test_oom.c: the n-th allocation fails, for every n, while a small network is recorded, differentiated, compiled, run
 * and read. Each time the answer is OUT_OF_HOST_MEMORY (or OUT_OF_DEVICE_MEMORY, where the CPU device's memory is
 * meant) in words, nothing leaks (AddressSanitizer's build says so), and without the failure it all succeeds.
 */
#include "alloc.h"
#include "tuff/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { ROWS = 5, COLUMNS = 7, HIDDEN = 12 };

typedef struct network {
    tuff_tensor x, labels, loss, gradient;
} network;

static void record(tuff_graph *graph, network *net)
{
    tuff_graph_scope_push(graph, "network");
    net->x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(ROWS, COLUMNS));
    net->labels = tuff_graph_input(graph, "labels", TUFF_I32, TUFF_SHAPE(ROWS));
    const tuff_tensor w = tuff_graph_input(graph, "w", TUFF_F32, TUFF_SHAPE(HIDDEN, COLUMNS));
    const tuff_tensor hidden = tuff_matmul(graph, net->x, w, &(tuff_matmul_info){.transpose_b = true});
    const tuff_tensor active = tuff_gelu(graph, hidden);
    net->loss = tuff_cross_entropy(graph, active, net->labels, 0);
    tuff_graph_backward(graph, net->loss, &w, 1, &net->gradient);
    tuff_graph_scope_pop(graph);
}

static tuff_status run(tuff_device *device)
{
    tuff_graph *graph = NULL;
    network net;
    float loss = 0, gradient[HIDDEN * COLUMNS];
    const float x[ROWS * COLUMNS] = {1, 2, 3};
    const int32_t labels[ROWS] = {0, 1, 2, 3, -100};
    tuff_status status = tuff_graph_create(device, &graph);
    if (status != TUFF_SUCCESS)
        return status;
    record(graph, &net);
    status = tuff_graph_compile(graph, (tuff_tensor[]){net.loss, net.gradient}, 2);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_write(graph, net.x, x, sizeof x);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_write(graph, net.labels, labels, sizeof labels);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_run(graph);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_read(graph, net.loss, &loss, sizeof loss);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_read(graph, net.gradient, gradient, sizeof gradient);
    if (status != TUFF_SUCCESS) {
        tuff__alloc_fail_at(0);
        /* Not even with all the memory of the world: a compile that failed half-way left half of its work. */
        assert_int_not_equal(tuff_graph_compile(graph, &net.loss, 1), TUFF_SUCCESS);
    }
    tuff_graph_destroy(graph);
    return status;
}

static void fails_cleanly_at_every_allocation(void **state)
{
    (void)state;
    tuff_device *device = NULL;
    assert_int_equal(tuff_device_create(&(tuff_device_create_info){.device = "cpu", .thread_count = 1}, &device),
                     TUFF_SUCCESS);
    tuff__alloc_fail_at(0);
    assert_int_equal(run(device), TUFF_SUCCESS);
    const uint64_t allocations = tuff__alloc_count();
    assert_true(allocations > 20);
    uint64_t survived = 0;
    for (uint64_t n = 1; n <= allocations; n++) {
        tuff__alloc_fail_at(n);
        const tuff_status status = run(device);
        tuff__alloc_fail_at(0);
        /* What only makes a graph faster may do without memory. */
        survived += status == TUFF_SUCCESS;
        if (status == TUFF_SUCCESS)
            continue;
        assert_true(status == TUFF_ERROR_OUT_OF_HOST_MEMORY || status == TUFF_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_true(tuff_last_error()[0] != '\0');
    }
    assert_true(survived <= allocations / 10);
    assert_int_equal(run(device), TUFF_SUCCESS);
    tuff_device_destroy(device);
}

static void device_creation_fails_cleanly(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 64; n++) {
        tuff_device *device = NULL;
        tuff__alloc_fail_at(n);
        const tuff_status status =
            tuff_device_create(&(tuff_device_create_info){.device = "cpu", .thread_count = 3}, &device);
        tuff__alloc_fail_at(0);
        tuff_device_destroy(device);
        if (status == TUFF_SUCCESS)
            return;
        assert_int_equal(status, TUFF_ERROR_OUT_OF_HOST_MEMORY);
    }
    fail_msg("64 allocations were not enough to create the CPU device");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fails_cleanly_at_every_allocation),
        cmocka_unit_test(device_creation_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
