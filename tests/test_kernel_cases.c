/* test_kernel_cases.c: `tuff kernels` shows the vendors' compilers every operator that has kernels: each occurs among
 * the graphs of apps/tuff/kernel_cases.c. The reference device compiles them, so this needs no Vulkan. */
#include "graph.h"
#include "kernel_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* How often an operator runs in the graphs of one step of a family. One that comes in rungs counts where the family is
 * built for each of them. */
static void count_step(tuff_device *device, const tuff__kernel_family *family, tuff__kernel_case *c, size_t *counts)
{
    assert_int_equal(tuff_graph_create(device, &c->graph), TUFF_SUCCESS);
    family->build(c);
    if (tuff_graph_compile(c->graph, c->outputs, c->output_count) != TUFF_SUCCESS)
        fail_msg("%s, %s: %s", family->name, c->name, tuff_last_error());
    for (size_t i = 0; i < c->graph->call_count; i++) {
        const tuff__op_id op = c->graph->nodes[c->graph->call_nodes[i]].op;
        counts[op] += family->op || !tuff__op_desc(op)->variant_count;
    }
    tuff_graph_destroy(c->graph);
}

static void every_operator_with_kernels_has_a_case(void **state)
{
    (void)state;
    size_t counts[TUFF__OP_COUNT] = {0};
    tuff_device *device = NULL;
    tuff__kernel_case *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_int_equal(tuff_device_create(&(tuff_device_create_info){.device = "reference"}, &device), TUFF_SUCCESS);
    for (const tuff__kernel_family *family = tuff__kernel_families; family->name; family++) {
        bool last = false;
        for (uint32_t step = 0; !last; step++) {
            *c = (tuff__kernel_case){.step = step};
            count_step(device, family, c, counts);
            last = c->last;
        }
    }
    tuff_device_destroy(device);
    free(c);
    for (uint32_t id = 1; id < TUFF__OP_COUNT; id++) {
        const tuff_op_desc *op = tuff__op_desc((tuff__op_id)id);
        if (op->record && !op->view && !counts[id])
            fail_msg("%s has kernels%s, but no graph of apps/tuff/kernel_cases.c makes them", op->name,
                     op->variant_count ? " in rungs" : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_operator_with_kernels_has_a_case)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
