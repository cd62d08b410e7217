/* test_graph.c: recording (sticky errors, scopes, binding), fusing, planning (nothing alive shares memory, little is
 * wasted) and the tape, on the reference device. */
#include "graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static tuff_device *device;

static int open_device(void **state)
{
    (void)state;
    return tuff_device_create(&(tuff_device_create_info){.device = "reference"}, &device) != TUFF_SUCCESS;
}

static int close_device(void **state)
{
    (void)state;
    tuff_device_destroy(device);
    return 0;
}

static void a_kernel_variant_is_one_that_exists(void **state)
{
    (void)state;
    char name[] = "t0";
    tuff_device *other = NULL;
    tuff_device_create_info info = {.device = "reference", .kernel_variant = "t99"};
    assert_int_equal(tuff_device_create(&info, &other), TUFF_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(tuff_last_error(), "'t99', wanted one of t0, t1, t0c, or none"));
    info.kernel_variant = name;
    assert_int_equal(tuff_device_create(&info, &other), TUFF_SUCCESS);
    name[1] = '9'; /* the caller's string may change or go */
    assert_string_equal(other->target.kernel_variant, "t0");
    tuff_device_destroy(other);
}

static tuff_graph *new_graph(void)
{
    tuff_graph *graph = NULL;
    assert_int_equal(tuff_graph_create(device, &graph), TUFF_SUCCESS);
    return graph;
}

static void first_error_sticks(void **state)
{
    (void)state;
    tuff_graph *graph = new_graph();
    tuff_graph_scope_push(graph, "layer.3");
    const tuff_tensor a = tuff_graph_input(graph, "a", TUFF_F32, TUFF_SHAPE(2, 3));
    const tuff_tensor b = tuff_graph_input(graph, "b", TUFF_F32, TUFF_SHAPE(4, 5));
    const tuff_tensor wrong = tuff_matmul(graph, a, b, NULL);
    assert_int_equal(wrong.id, 0);
    const tuff_tensor after = tuff_gelu(graph, wrong);
    assert_int_equal(after.id, 0);
    assert_int_equal(tuff_graph_compile(graph, &after, 1), TUFF_ERROR_SHAPE_MISMATCH);
    assert_non_null(strstr(tuff_last_error(), "matmul"));
    assert_non_null(strstr(tuff_last_error(), "layer.3"));
    tuff_graph_destroy(graph);
}

static void a_shape_is_zero_beyond_its_rank(void **state)
{
    (void)state;
    tuff_graph *graph = new_graph();
    const tuff_shape untidy = {.rank = 2, .dims = {2, 3, -7, 99}};
    const tuff_tensor x = tuff_graph_input(graph, "x", TUFF_F32, untidy);
    const tuff_tensor tensors[] = {x, tuff_gelu(graph, x), tuff_reshape(graph, x, untidy), tuff_full(graph, untidy, 1)};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        const tuff_shape shape = tuff_tensor_shape(graph, tensors[i]), wanted = TUFF_SHAPE(2, 3);
        assert_memory_equal(&shape.dims, &wanted.dims, sizeof wanted.dims);
    }
    tuff_graph_destroy(graph);
}

/* One row an operator that runs, with its cost; views run nothing. */
static void a_profile_has_a_row_an_operator(void **state)
{
    (void)state;
    tuff_graph *graph = new_graph();
    const tuff_tensor a = tuff_graph_input(graph, "a", TUFF_F32, TUFF_SHAPE(8, 16));
    const tuff_tensor b = tuff_graph_input(graph, "b", TUFF_F32, TUFF_SHAPE(16, 4));
    tuff_graph_scope_push(graph, "layer.0");
    const tuff_tensor product = tuff_matmul(graph, a, b, NULL);
    const tuff_tensor out = tuff_sum(graph, tuff_reshape(graph, product, TUFF_SHAPE(4, 8)), 1);
    tuff_graph_profile_row *rows = NULL;
    size_t count = 7;
    assert_int_equal(tuff_graph_profile(graph, 3, &rows, &count), TUFF_ERROR_INVALID_ARGUMENT); /* not compiled */
    assert_int_equal(count, 0);
    assert_int_equal(tuff_graph_compile(graph, &out, 1), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_profile(graph, 3, &rows, &count), TUFF_SUCCESS);
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].op, "matmul");
    assert_string_equal(rows[0].label, "layer.0");
    assert_int_equal(rows[0].shape.dims[0], 8);
    assert_true(rows[0].flops == 2 * 8 * 16 * 4);
    assert_true(rows[0].bytes == sizeof(float) * (8 * 16 + 16 * 4 + 8 * 4));
    assert_string_equal(rows[1].op, "sum");
    assert_true(rows[0].seconds >= 0 && rows[1].seconds >= 0);
    tuff_free(rows);
    tuff_graph_destroy(graph);
}

static void scopes_nest_and_names_may_hold_dots(void **state)
{
    (void)state;
    tuff_graph *graph = new_graph();
    tuff_graph_scope_push(graph, "bert.encoder");
    tuff_graph_scope_push(graph, "layer.0");
    assert_string_equal(graph->scope, "bert.encoder.layer.0");
    tuff_graph_scope_pop(graph);
    assert_string_equal(graph->scope, "bert.encoder");
    tuff_graph_scope_pop(graph);
    tuff_graph_scope_pop(graph);
    assert_string_equal(graph->scope, "");
    tuff_graph_destroy(graph);
}

static size_t count_calls(const tuff_graph *graph, const char *op)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->call_count; i++)
        count += !strcmp(graph->calls[i].op->name, op);
    return count;
}

/* y = gelu(x·wᵀ + b) + x, twice: each layer becomes one or two products and nothing else. */
static void epilogues_are_fused_where_nobody_else_looks(void **state)
{
    (void)state;
    tuff_graph *graph = new_graph();
    const tuff_tensor x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(3, 8));
    const tuff_tensor w = tuff_graph_input(graph, "w", TUFF_F32, TUFF_SHAPE(8, 8));
    const tuff_tensor b = tuff_graph_input(graph, "b", TUFF_F32, TUFF_SHAPE(8));
    const tuff_matmul_info info = {.transpose_b = true, .bias = b};
    const tuff_tensor y = tuff_add(graph, tuff_gelu(graph, tuff_matmul(graph, x, w, &info)), x);
    const tuff_tensor looked_at = tuff_matmul(graph, y, w, &info);
    const tuff_tensor outputs[] = {tuff_gelu(graph, looked_at), looked_at};
    assert_int_equal(tuff_graph_compile(graph, outputs, 2), TUFF_SUCCESS);
    assert_int_equal(graph->call_count, 3);
    assert_int_equal(count_calls(graph, "matmul"), 2);
    assert_int_equal(count_calls(graph, "gelu"), 1);
    float data[64] = {0}, xs[24], got[24];
    for (int i = 0; i < 24; i++)
        xs[i] = (float)i * 0.25F - 3;
    for (int i = 0; i < 8; i++)
        data[i * 9] = 1; /* the identity */
    const float zeros[8] = {0};
    assert_int_equal(tuff_graph_write(graph, x, xs, sizeof xs), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_write(graph, w, data, sizeof data), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_write(graph, b, zeros, sizeof zeros), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_run(graph), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_read(graph, looked_at, got, sizeof got), TUFF_SUCCESS);
    for (int i = 0; i < 24; i++) {
        const double v = (double)xs[i], want = v * 0.5 * (1 + erf(v * 0.70710678118654752)) + v;
        assert_true(fabs((double)got[i] - want) <= 1e-6 * (1 + fabs(want)));
    }
    tuff_graph_destroy(graph);
}

static void unneeded_nodes_are_dropped(void **state)
{
    (void)state;
    tuff_graph *graph = new_graph();
    const tuff_tensor x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(16));
    const tuff_tensor wanted = tuff_scale(graph, x, 2);
    tuff_tanh(graph, tuff_gelu(graph, x));
    assert_int_equal(tuff_graph_compile(graph, &wanted, 1), TUFF_SUCCESS);
    assert_int_equal(graph->call_count, 1);
    tuff_graph_destroy(graph);
}

/* Binding a value that already lives elsewhere appends a copy; the memory is the caller's. */
static void values_are_bound_to_buffers(void **state)
{
    (void)state;
    tuff_buffer *buffer = NULL;
    assert_int_equal(tuff_buffer_create(device, 1024, &buffer), TUFF_SUCCESS);
    tuff_graph *graph = new_graph();
    const tuff_tensor x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(4));
    const tuff_tensor y = tuff_scale(graph, x, 3);
    tuff_graph_bind(graph, y, buffer, 0);
    tuff_graph_bind(graph, y, buffer, 256);
    assert_int_equal(tuff_graph_bind(graph, x, buffer, 512).id != 0, 1);
    assert_int_equal(tuff_graph_compile(graph, NULL, 0), TUFF_SUCCESS);
    const float xs[4] = {1, 2, 3, 4};
    float got[4];
    assert_int_equal(tuff_graph_write(graph, x, xs, sizeof xs), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_run(graph), TUFF_SUCCESS);
    for (uint64_t offset = 0; offset <= 512; offset += 256) {
        assert_int_equal(tuff_buffer_read(buffer, offset, got, sizeof got), TUFF_SUCCESS);
        for (int i = 0; i < 4; i++)
            assert_true(got[i] == xs[i] * (offset < 512 ? 3 : 1));
    }
    tuff_graph_destroy(graph);
    graph = new_graph();
    const tuff_tensor z = tuff_graph_external(graph, "z", TUFF_F32, TUFF_SHAPE(300), buffer, 0);
    assert_int_equal(z.id, 0);
    assert_int_equal(tuff_graph_compile(graph, NULL, 0), TUFF_ERROR_INVALID_ARGUMENT);
    tuff_graph_destroy(graph);
    tuff_buffer_destroy(buffer);
}

/* y = gelu(2x) + 2x over `count` elements, of which two values live in shared memory. */
typedef struct turn {
    tuff_graph *graph;
    tuff_tensor x, y;
} turn;

static turn new_turn(tuff__shared_arenas *arenas, int64_t count)
{
    turn t = {.graph = new_graph()};
    t.graph->shared_arenas = arenas;
    t.x = tuff_graph_input(t.graph, "x", TUFF_F32, TUFF_SHAPE(count));
    const tuff_tensor doubled = tuff_scale(t.graph, t.x, 2);
    t.y = tuff_add(t.graph, tuff_gelu(t.graph, doubled), doubled);
    assert_int_equal(tuff_graph_compile(t.graph, &t.y, 1), TUFF_SUCCESS);
    return t;
}

static void check_turn(const turn *t, int64_t count)
{
    float numbers[4096];
    const size_t size = (size_t)count * sizeof *numbers;
    for (int64_t i = 0; i < count; i++)
        numbers[i] = 5;
    assert_int_equal(tuff_graph_write(t->graph, t->x, numbers, size), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_run(t->graph), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_read(t->graph, t->y, numbers, size), TUFF_SUCCESS);
    for (int64_t i = 0; i < count; i++)
        assert_true(numbers[i] == 20);
}

static void give_back(void *user)
{
    turn *t = user;
    assert_non_null(t->graph);
    tuff_graph_destroy(t->graph);
    t->graph = NULL;
}

static void graphs_take_turns_in_shared_memory(void **state)
{
    (void)state;
    turn small;
    tuff__shared_arenas arenas = {.give_back = give_back, .user = &small};
    small = new_turn(&arenas, 100);
    check_turn(&small, 100);
    turn large = new_turn(&arenas, 4096);
    assert_null(small.graph); /* its memory made way */
    turn middle = new_turn(&arenas, 1000);
    for (int i = 0; i < 2; i++) {
        check_turn(&large, 4096);
        check_turn(&middle, 1000);
    }
    assert_int_equal(arenas.count, 1);
    assert_true(arenas.buffers[0]->size >= 4096 * sizeof(float) && arenas.buffers[0]->size < 3 * 4096 * sizeof(float));
    tuff_graph_destroy(middle.graph);
    check_turn(&large, 4096);
    tuff_graph_destroy(large.graph);
    tuff__shared_arenas_destroy(&arenas);
}

/* The product's gradient for w needs x as it was; PyTorch refuses this too. */
static void a_gradient_of_what_was_overwritten_is_refused(void **state)
{
    (void)state;
    tuff_buffer *buffer = NULL;
    assert_int_equal(tuff_buffer_create(device, 256, &buffer), TUFF_SUCCESS);
    for (int overwritten = 0; overwritten < 2; overwritten++) {
        tuff_graph *graph = new_graph();
        tuff_graph_scope_push(graph, "layer.1");
        const tuff_tensor x = tuff_graph_external(graph, "x", TUFF_F32, TUFF_SHAPE(1, 1), buffer, 0);
        const tuff_tensor w = tuff_graph_input(graph, "w", TUFF_F32, TUFF_SHAPE(1, 1));
        const tuff_tensor y = tuff_matmul(graph, x, w, NULL);
        if (overwritten)
            tuff_graph_bind(graph, tuff_scale(graph, x, 2), buffer, 0);
        tuff_tensor gradient;
        tuff_graph_backward(graph, tuff_reshape(graph, y, TUFF_SHAPE(1)), &w, 1, &gradient);
        if (overwritten) {
            assert_int_equal(tuff_graph_compile(graph, &gradient, 1), TUFF_ERROR_INVALID_ARGUMENT);
            assert_non_null(
                strstr(tuff_last_error(), "matmul (layer.1): its gradient needs a tensor that was overwritten"));
        } else {
            assert_int_equal(tuff_graph_compile(graph, &gradient, 1), TUFF_SUCCESS);
        }
        tuff_graph_destroy(graph);
    }
    tuff_buffer_destroy(buffer);
}

/* What would be an error later, or be forgotten, is the graph's first error. */
static void none_is_refused_where_it_is_named(void **state)
{
    (void)state;
    tuff_buffer *buffer = NULL, *foreign = NULL;
    tuff_device *other = NULL;
    assert_int_equal(tuff_buffer_create(device, 256, &buffer), TUFF_SUCCESS);
    assert_int_equal(tuff_device_create(&(tuff_device_create_info){.device = "cpu"}, &other), TUFF_SUCCESS);
    assert_int_equal(tuff_buffer_create(other, 256, &foreign), TUFF_SUCCESS);
    static const char *const words[] = {"the tensor to bind is none", "tensor 1 of wrt is none",
                                        "'x' is in a buffer of"};
    for (size_t i = 0; i < 3; i++) {
        tuff_graph *graph = new_graph();
        const tuff_tensor x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(1)), y = tuff_scale(graph, x, 2);
        tuff_tensor gradients[2];
        if (i == 0)
            tuff_graph_bind(graph, (tuff_tensor){99}, buffer, 0);
        if (i == 1)
            tuff_graph_backward(graph, y, (tuff_tensor[]){x, {0}}, 2, gradients);
        if (i == 2)
            tuff_graph_external(graph, "x", TUFF_F32, TUFF_SHAPE(1), foreign, 0);
        assert_int_equal(tuff_graph_compile(graph, &y, 1), TUFF_ERROR_INVALID_ARGUMENT);
        if (!strstr(tuff_last_error(), words[i]))
            fail_msg("'%s' does not say '%s'", tuff_last_error(), words[i]);
        tuff_graph_destroy(graph);
    }
    tuff_buffer_destroy(foreign);
    tuff_device_destroy(other);
    tuff_buffer_destroy(buffer);
}

static void what_nobody_reads_has_no_memory(void **state)
{
    (void)state;
    tuff_graph *graph = new_graph();
    float x[4] = {1, 2, 3, 4};
    const tuff_tensor a = tuff_graph_input(graph, "a", TUFF_F32, TUFF_SHAPE(4));
    const tuff_tensor unread = tuff_graph_input(graph, "unread", TUFF_F32, TUFF_SHAPE(4));
    const tuff_tensor y = tuff_gelu(graph, a);
    assert_int_equal(tuff_graph_compile(graph, &y, 1), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_write(graph, unread, x, sizeof x), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_read(graph, unread, x, sizeof x), TUFF_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(tuff_last_error(), "no operator reads it"));
    assert_int_equal(tuff_graph_write(graph, a, x, sizeof x), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_read(graph, a, x, sizeof x), TUFF_SUCCESS);
    tuff_graph_destroy(graph);
}

static void an_output_is_zeros_before_the_first_run(void **state)
{
    (void)state;
    tuff_graph *graph = new_graph();
    float got[4] = {9, 9, 9, 9};
    const tuff_tensor y = tuff_full(graph, TUFF_SHAPE(4), 3);
    assert_int_equal(tuff_graph_compile(graph, &y, 1), TUFF_SUCCESS);
    for (int run = 0; run < 2; run++) {
        assert_int_equal(tuff_graph_read(graph, y, got, sizeof got), TUFF_SUCCESS);
        for (int i = 0; i < 4; i++)
            assert_true(got[i] == (run ? 3.0F : 0.0F));
        assert_int_equal(tuff_graph_run(graph), TUFF_SUCCESS);
    }
    tuff_graph_destroy(graph);
}

static void a_graph_is_compiled_once(void **state)
{
    (void)state;
    tuff_graph *graph = new_graph();
    const tuff_tensor a = tuff_graph_input(graph, "a", TUFF_F32, TUFF_SHAPE(4));
    const tuff_tensor y = tuff_gelu(graph, a), none = {0};
    assert_int_equal(tuff_graph_compile(graph, &none, 1), TUFF_ERROR_INVALID_ARGUMENT);
    assert_int_equal(tuff_graph_compile(graph, &y, 1), TUFF_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(tuff_last_error(), "failed before"));
    assert_int_equal(tuff_graph_run(graph), TUFF_ERROR_INVALID_ARGUMENT);
    tuff_graph_destroy(graph);
}

/* A program cannot take in more: what comes too late ends the next run, and is no tensor. */
static void nothing_is_recorded_after_compiling(void **state)
{
    (void)state;
    static const char *const words[] = {"'scale' is recorded after", "'late' is recorded after",
                                        "'bind' is recorded after", "'full' is recorded after"};
    tuff_buffer *buffer = NULL;
    assert_int_equal(tuff_buffer_create(device, 256, &buffer), TUFF_SUCCESS);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        tuff_graph *graph = new_graph();
        const tuff_tensor x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(1)), y = tuff_gelu(graph, x);
        assert_int_equal(tuff_graph_compile(graph, &y, 1), TUFF_SUCCESS);
        assert_int_equal(tuff_graph_run(graph), TUFF_SUCCESS);
        tuff_tensor late = {0};
        if (i == 0)
            late = tuff_scale(graph, y, 2);
        if (i == 1)
            late = tuff_graph_input(graph, "late", TUFF_F32, TUFF_SHAPE(1));
        if (i == 2)
            late = tuff_graph_bind(graph, y, buffer, 0);
        if (i == 3)
            tuff_graph_backward(graph, y, &x, 1, &late);
        assert_int_equal(late.id, 0);
        assert_int_equal(tuff_graph_run(graph), TUFF_ERROR_INVALID_ARGUMENT);
        if (!strstr(tuff_last_error(), words[i]))
            fail_msg("'%s' does not say '%s'", tuff_last_error(), words[i]);
        tuff_graph_destroy(graph);
    }
    tuff_buffer_destroy(buffer);
}

/* -- planning ----------------------------------------------------------------------------------------------------- */

enum { LAYERS = 6 };

/* A feed-forward stack with residuals, its loss and its gradients: values with short and with long lives. */
static tuff_graph *training_graph(void)
{
    tuff_graph *graph = new_graph();
    tuff_tensor weights[2 * LAYERS], gradients[2 * LAYERS], outputs[2 * LAYERS + 1];
    tuff_tensor x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(24, 48));
    const tuff_tensor labels = tuff_graph_input(graph, "labels", TUFF_I32, TUFF_SHAPE(24));
    for (int i = 0; i < LAYERS; i++) {
        weights[2 * i] = tuff_graph_input(graph, "up", TUFF_F32, TUFF_SHAPE(96, 48));
        weights[2 * i + 1] = tuff_graph_input(graph, "down", TUFF_F32, TUFF_SHAPE(48, 96));
        const tuff_matmul_info info = {.transpose_b = true};
        const tuff_tensor hidden = tuff_gelu(graph, tuff_matmul(graph, x, weights[2 * i], &info));
        x = tuff_add(graph, tuff_matmul(graph, hidden, weights[2 * i + 1], &info), x);
    }
    outputs[0] = tuff_cross_entropy(graph, x, labels, 0);
    tuff_graph_backward(graph, outputs[0], weights, 2 * LAYERS, gradients);
    memcpy(outputs + 1, gradients, sizeof gradients);
    assert_int_equal(tuff_graph_compile(graph, outputs, 2 * LAYERS + 1), TUFF_SUCCESS);
    return graph;
}

/* Levels in which a root is in use, found again from the calls alone. */
static void find_life(const tuff_graph *graph, uint32_t root, uint32_t *first, uint32_t *last)
{
    *first = UINT32_MAX;
    *last = 0;
    for (size_t c = 0; c < graph->call_count; c++) {
        const tuff__node *node = &graph->nodes[graph->call_nodes[c]];
        bool uses = false;
        for (uint32_t i = 0; i < node->input_count; i++)
            uses = uses || (node->inputs[i] && graph->values[node->inputs[i]].root == root);
        for (uint32_t i = 0; i < node->output_count; i++)
            uses = uses || graph->values[node->outputs[i]].root == root;
        if (uses && node->level < *first)
            *first = node->level;
        if (uses && node->level > *last)
            *last = node->level;
    }
}

static void living_values_share_no_memory(void **state)
{
    (void)state;
    tuff_graph *graph = training_graph();
    size_t pairs = 0;
    for (uint32_t a = 1; a < graph->value_count; a++) {
        for (uint32_t b = 1; b < a; b++) {
            const tuff__value *left = &graph->values[a], *right = &graph->values[b];
            uint32_t first_a, last_a, first_b, last_b;
            if (left->root != a || right->root != b || !left->slice.buffer || left->slice.buffer != right->slice.buffer)
                continue;
            find_life(graph, a, &first_a, &last_a);
            find_life(graph, b, &first_b, &last_b);
            const bool fixed = left->is_output || right->is_output || left->kind || right->kind;
            if (!fixed && (last_a < first_b || last_b < first_a))
                continue;
            pairs++;
            assert_true(left->slice.offset + left->slice.size <= right->slice.offset ||
                        right->slice.offset + right->slice.size <= left->slice.offset);
        }
    }
    assert_true(pairs > 100);
    tuff_graph_destroy(graph);
}

static void every_call_follows_what_it_waits_for(void **state)
{
    (void)state;
    tuff_graph *graph = training_graph();
    for (size_t c = 0; c < graph->call_count; c++) {
        const tuff__node *node = &graph->nodes[graph->call_nodes[c]];
        assert_true(c == 0 || graph->calls[c - 1].level <= graph->calls[c].level);
        for (uint32_t i = 0; i < node->input_count; i++) {
            const uint32_t producer = graph->values[graph->values[node->inputs[i]].root].producer;
            if (node->inputs[i] && producer != TUFF__NO_NODE)
                assert_true(graph->nodes[producer].level < node->level);
        }
    }
    tuff_graph_destroy(graph);
}

static void little_more_is_planned_than_is_alive(void **state)
{
    (void)state;
    tuff_graph *graph = training_graph();
    tuff_graph_statistics statistics;
    tuff_graph_get_statistics(graph, &statistics);
    assert_true(statistics.activation_live > 0);
    assert_true((double)statistics.activation_size <= 1.10 * (double)statistics.activation_live);
    tuff_graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kernel_variant_is_one_that_exists),
        cmocka_unit_test(first_error_sticks),
        cmocka_unit_test(a_shape_is_zero_beyond_its_rank),
        cmocka_unit_test(a_profile_has_a_row_an_operator),
        cmocka_unit_test(scopes_nest_and_names_may_hold_dots),
        cmocka_unit_test(epilogues_are_fused_where_nobody_else_looks),
        cmocka_unit_test(unneeded_nodes_are_dropped),
        cmocka_unit_test(values_are_bound_to_buffers),
        cmocka_unit_test(what_nobody_reads_has_no_memory),
        cmocka_unit_test(graphs_take_turns_in_shared_memory),
        cmocka_unit_test(a_gradient_of_what_was_overwritten_is_refused),
        cmocka_unit_test(none_is_refused_where_it_is_named),
        cmocka_unit_test(an_output_is_zeros_before_the_first_run),
        cmocka_unit_test(a_graph_is_compiled_once),
        cmocka_unit_test(nothing_is_recorded_after_compiling),
        cmocka_unit_test(living_values_share_no_memory),
        cmocka_unit_test(every_call_follows_what_it_waits_for),
        cmocka_unit_test(little_more_is_planned_than_is_alive),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
