/* test_arguments.c: what a caller can get wrong (pointers, enums, numbers) is refused in a sentence, with the status
 * that status.h promises for it, by the graph when it is compiled and by other functions at once. */
#include "tuff/tuff.h"

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

static tuff_graph *new_graph(void)
{
    tuff_graph *graph = NULL;
    assert_int_equal(tuff_graph_create(device, &graph), TUFF_SUCCESS);
    return graph;
}

static void check_refusal(tuff_status got, tuff_status wanted, const char *words)
{
    if (got != wanted || !strstr(tuff_last_error(), words))
        fail_msg("%s '%s', wanted %s saying '%s'", tuff_status_name(got), tuff_last_error(), tuff_status_name(wanted),
                 words);
}

/* -- operators ---------------------------------------------------------------------------------------------------- */

/* What the operators below are recorded from. */
typedef struct operands {
    tuff_graph *graph;
    tuff_tensor x;     /* F32 [4] */
    tuff_tensor q;     /* F32 [2, 3, 8] */
    tuff_tensor table; /* F32 [4, 4] */
    tuff_tensor ids;   /* I32 [4] */
    tuff_tensor step;
} operands;

typedef struct refusal {
    tuff_tensor (*record)(const operands *o);
    tuff_status status;
    const char *words;
} refusal;

static void check_operators(const refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tuff_graph *graph = new_graph();
        const operands o = {
            .graph = graph,
            .x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(4)),
            .q = tuff_graph_input(graph, "q", TUFF_F32, TUFF_SHAPE(2, 3, 8)),
            .table = tuff_graph_input(graph, "table", TUFF_F32, TUFF_SHAPE(4, 4)),
            .ids = tuff_graph_input(graph, "ids", TUFF_I32, TUFF_SHAPE(4)),
            .step = tuff_graph_step_parameters(graph),
        };
        const tuff_tensor result = refusals[i].record(&o);
        assert_int_equal(result.id, 0);
        check_refusal(tuff_graph_compile(graph, &o.x, 1), refusals[i].status, refusals[i].words);
        tuff_graph_destroy(graph);
    }
}

static tuff_tensor attention_without_info(const operands *o)
{
    return tuff_attention(o->graph, o->q, o->q, o->q, NULL);
}

static tuff_tensor adamw_without_info(const operands *o)
{
    return tuff_adamw(o->graph, o->x, o->x, o->x, o->x, NULL);
}

static tuff_tensor concat_without_tensors(const operands *o)
{
    return tuff_concat(o->graph, NULL, 2, 0);
}

static tuff_tensor transpose_without_permutation(const operands *o)
{
    return tuff_transpose(o->graph, o->x, NULL);
}

static void operators_without_their_pointers_are_refused(void **state)
{
    (void)state;
    static const refusal refusals[] = {
        {attention_without_info, TUFF_ERROR_INVALID_ARGUMENT, "attention: info is NULL"},
        {adamw_without_info, TUFF_ERROR_INVALID_ARGUMENT, "adamw: info is NULL"},
        {concat_without_tensors, TUFF_ERROR_INVALID_ARGUMENT, "concat: tensors is NULL"},
        {transpose_without_permutation, TUFF_ERROR_INVALID_ARGUMENT, "transpose: permutation is NULL"},
    };
    check_operators(refusals, sizeof refusals / sizeof refusals[0]);
}

static tuff_tensor dropout_of_all(const operands *o)
{
    return tuff_dropout(o->graph, o->x, 1, o->step);
}

static tuff_tensor dropout_without_step_parameters(const operands *o)
{
    return tuff_dropout(o->graph, o->x, 0.5F, (tuff_tensor){0});
}

static tuff_tensor smoothing_beyond_one(const operands *o)
{
    return tuff_cross_entropy(o->graph, o->table, o->ids, 2);
}

static tuff_tensor norm_of_negative_eps(const operands *o)
{
    return tuff_layer_norm(o->graph, o->x, (tuff_tensor){0}, o->x, o->x, -1);
}

static tuff_tensor product_with_no_activation(const operands *o)
{
    return tuff_matmul(o->graph, o->table, o->table, &(tuff_matmul_info){.activation = (tuff_activation)50});
}

static tuff_tensor activation_of_no_value(const operands *o)
{
    return tuff_activate(o->graph, o->x, (tuff_activation)50);
}

static tuff_tensor attention_of_no_heads(const operands *o)
{
    return tuff_attention(o->graph, o->q, o->q, o->q, &(tuff_attention_info){0});
}

static tuff_tensor attention_drops_without_step_parameters(const operands *o)
{
    return tuff_attention(o->graph, o->q, o->q, o->q,
                          &(tuff_attention_info){.num_attention_heads = 2, .dropout = 0.1F});
}

static tuff_tensor attention_drops_all(const operands *o)
{
    return tuff_attention(o->graph, o->q, o->q, o->q,
                          &(tuff_attention_info){.num_attention_heads = 2, .dropout = 1, .step_parameters = o->step});
}

static tuff_tensor slice_from_far(const operands *o)
{
    return tuff_slice(o->graph, o->x, 0, INT64_MAX, 2);
}

static tuff_tensor slice_of_far_too_much(const operands *o)
{
    return tuff_slice(o->graph, o->x, 0, 1, INT64_MAX);
}

static tuff_tensor gradient_of_a_norm(const operands *o)
{
    tuff_tensor gradient;
    tuff_graph_backward(o->graph, tuff_norm(o->graph, o->x), &o->x, 1, &gradient);
    return gradient;
}

static void an_operator_without_gradient_is_named_and_placed(void **state)
{
    (void)state;
    static const refusal refusals[] = {
        {gradient_of_a_norm, TUFF_ERROR_FEATURE_NOT_PRESENT, "norm (at the top level): has no gradient"},
    };
    check_operators(refusals, 1);
}

static void slices_beyond_the_numbers_are_told(void **state)
{
    (void)state;
    static const refusal refusals[] = {
        {slice_from_far, TUFF_ERROR_SHAPE_MISMATCH,
         "slice: start is 9223372036854775807 and length 2, wanted a part of the 4 indices of dimension 0"},
        {slice_of_far_too_much, TUFF_ERROR_SHAPE_MISMATCH, "start is 1 and length 9223372036854775807, wanted a part"},
    };
    check_operators(refusals, sizeof refusals / sizeof refusals[0]);
}

static void numbers_out_of_range_are_no_mismatch_of_shapes(void **state)
{
    (void)state;
    static const refusal refusals[] = {
        {dropout_of_all, TUFF_ERROR_INVALID_ARGUMENT, "dropout: p is 1, wanted 0 <= p < 1"},
        {dropout_without_step_parameters, TUFF_ERROR_INVALID_ARGUMENT, "dropout: input 1 is none"},
        {smoothing_beyond_one, TUFF_ERROR_INVALID_ARGUMENT, "cross_entropy: label_smoothing is 2, wanted 0 to 1"},
        {norm_of_negative_eps, TUFF_ERROR_INVALID_ARGUMENT, "layer_norm: eps is -1, wanted at least 0"},
        {product_with_no_activation, TUFF_ERROR_INVALID_ARGUMENT, "matmul: activation 50, wanted 0 to 5"},
        {activation_of_no_value, TUFF_ERROR_INVALID_ARGUMENT, "activate: 50 is no activation"},
        {attention_of_no_heads, TUFF_ERROR_INVALID_ARGUMENT, "attention: num_attention_heads is 0"},
        {attention_drops_without_step_parameters, TUFF_ERROR_INVALID_ARGUMENT, "dropout is 0.1 without step param"},
        {attention_drops_all, TUFF_ERROR_INVALID_ARGUMENT, "dropout is 1, wanted 0 <= dropout < 1"},
    };
    check_operators(refusals, sizeof refusals / sizeof refusals[0]);
}

static void adamw_takes_the_settings_that_the_trainer_takes(void **state)
{
    (void)state;
    static const struct {
        tuff_adamw_info info;
        const char *words;
    } cases[] = {
        {{.beta1 = 2}, "adamw: beta1 is 2, wanted 0 <= beta1 < 1"},
        {{.beta1 = NAN}, "adamw: beta1 is"},
        {{.beta2 = 1}, "adamw: beta2 is 1, wanted 0 <= beta2 < 1"},
        {{.eps = -1}, "adamw: eps is -1, wanted 0 to 1e6"},
        {{.weight_decay = -0.5F}, "adamw: weight_decay is -0.5, wanted 0 to 1e6"},
        {{.max_grad_norm = -1}, "adamw: max_grad_norm is -1, wanted at least 0"},
        {{.max_grad_norm = 1}, "adamw: max_grad_norm is 1, but there is no norm"},
        {{.decay_count = 5}, "adamw: decay_count is 5 of 4 elements"},
        {{.decay_count = -1}, "adamw: decay_count is -1 of 4 elements"},
        {{.beta1 = 0}, "adamw: step_parameters is none"},
    };
    const size_t count = sizeof cases / sizeof cases[0];
    for (size_t i = 0; i < count; i++) {
        tuff_graph *graph = new_graph();
        const tuff_tensor x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(4));
        tuff_adamw_info info = cases[i].info;
        if (i + 1 < count)
            info.step_parameters = tuff_graph_step_parameters(graph);
        assert_int_equal(tuff_adamw(graph, x, x, x, x, &info).id, 0);
        check_refusal(tuff_graph_compile(graph, &x, 1), TUFF_ERROR_INVALID_ARGUMENT, cases[i].words);
        tuff_graph_destroy(graph);
    }
}

/* -- objects ------------------------------------------------------------------------------------------------------ */

static void graphs_and_buffers_without_their_pointers_are_refused(void **state)
{
    (void)state;
    const tuff_status wanted = TUFF_ERROR_INVALID_ARGUMENT;
    tuff_graph *graph = NULL;
    tuff_buffer *buffer = NULL;
    check_refusal(tuff_graph_create(NULL, &graph), wanted, "graph: device is NULL");
    check_refusal(tuff_buffer_create(NULL, 256, &buffer), wanted, "buffer: device is NULL");
    graph = new_graph();
    check_refusal(tuff_graph_compile(graph, NULL, 1), wanted, "graph: outputs is NULL");
    tuff_graph_destroy(graph);
    graph = new_graph();
    const tuff_tensor x = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(4)), y = tuff_scale(graph, x, 2);
    assert_int_equal(tuff_graph_compile(graph, &y, 1), TUFF_SUCCESS);
    check_refusal(tuff_graph_write(graph, x, NULL, 16), wanted, "data is NULL");
    check_refusal(tuff_graph_read(graph, y, NULL, 16), wanted, "data is NULL");
    tuff_graph_destroy(graph);
    assert_int_equal(tuff_buffer_create(device, 256, &buffer), TUFF_SUCCESS);
    check_refusal(tuff_buffer_write(buffer, 0, NULL, 4), wanted, "data is NULL");
    check_refusal(tuff_buffer_read(buffer, 0, NULL, 4), wanted, "data is NULL");
    tuff_buffer_destroy(buffer);
}

static void models_and_pipelines_without_their_pointers_are_refused(void **state)
{
    (void)state;
    const tuff_status wanted = TUFF_ERROR_INVALID_ARGUMENT;
    char *dir = NULL;
    tuff_model *model = NULL;
    tuff_tokenizer *tokenizer = NULL;
    tuff_text_classification *classification = NULL;
    tuff_feature_extraction *extraction = NULL;
    check_refusal(tuff_model_find(NULL, &dir), wanted, "name is NULL");
    check_refusal(tuff_model_describe(NULL, &model), wanted, "dir is NULL");
    check_refusal(tuff_model_load(device, NULL, &model), wanted, "dir is NULL");
    check_refusal(tuff_model_load(NULL, ".", &model), wanted, "device is NULL");
    check_refusal(tuff_tokenizer_load(NULL, &tokenizer), wanted, "dir is NULL");
    check_refusal(tuff_text_classification_create(device, NULL, NULL, &classification), wanted, "dir is NULL");
    check_refusal(tuff_text_classification_create(NULL, ".", NULL, &classification), wanted, "device is NULL");
    check_refusal(tuff_feature_extraction_create(device, NULL, NULL, &extraction), wanted, "dir is NULL");
    check_refusal(tuff_feature_extraction_create(NULL, ".", NULL, &extraction), wanted, "device is NULL");
    assert_null(model);
    assert_null(extraction);
}

/* -- enums -------------------------------------------------------------------------------------------------------- */

static tuff_tensor input_of_no_dtype(const operands *o)
{
    return tuff_graph_input(o->graph, "nine", (tuff_dtype)9, TUFF_SHAPE(4));
}

static tuff_tensor cast_to_no_dtype(const operands *o)
{
    return tuff_cast(o->graph, o->x, (tuff_dtype)9);
}

static void dtypes_are_those_of_the_enum(void **state)
{
    (void)state;
    static const refusal refusals[] = {
        {input_of_no_dtype, TUFF_ERROR_INVALID_ARGUMENT, "graph: 'nine' has the dtype 9, wanted 0 to 3"},
        {cast_to_no_dtype, TUFF_ERROR_SHAPE_MISMATCH, "from f32 to no dtype"},
    };
    check_operators(refusals, sizeof refusals / sizeof refusals[0]);
    tuff_buffer *buffer = NULL;
    tuff_graph *graph = new_graph();
    assert_int_equal(tuff_buffer_create(device, 256, &buffer), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_external(graph, "far", (tuff_dtype)-1, TUFF_SHAPE(4), buffer, 0).id, 0);
    check_refusal(tuff_graph_compile(graph, NULL, 0), TUFF_ERROR_INVALID_ARGUMENT, "'far' has the dtype -1");
    tuff_graph_destroy(graph);
    tuff_buffer_destroy(buffer);
}

static void settings_are_those_of_their_enums(void **state)
{
    (void)state;
    const tuff_status wanted = TUFF_ERROR_INVALID_ARGUMENT;
    const char *dir = TUFF_TEST_DIR "/../apps/demo/model";
    tuff_model *model = NULL;
    tuff_text_classification *classification = NULL;
    tuff_feature_extraction *extraction = NULL;
    tuff_model_create_info model_info = {.random_weights = true, .head = (tuff_model_head)9};
    check_refusal(tuff_model_create(device, dir, &model_info, &model), wanted, "model: head is 9, wanted 0 to 2");
    model_info = (tuff_model_create_info){.random_weights = true, .problem_type = (tuff_problem_type)9};
    check_refusal(tuff_model_create(device, dir, &model_info, &model), wanted,
                  "model: problem_type is 9, wanted 0 to 3");
    const tuff_text_classification_info applied = {.function_to_apply = (tuff_function_to_apply)9};
    check_refusal(tuff_text_classification_create(device, dir, &applied, &classification), wanted,
                  "text-classification: function_to_apply is 9, wanted 0 to 3");
    tuff_feature_extraction_info info = {.pooling = (tuff_pooling)77};
    check_refusal(tuff_feature_extraction_create(device, dir, &info, &extraction), wanted,
                  "feature-extraction: pooling is 77, wanted 0 to 4");
    info = (tuff_feature_extraction_info){.normalize = (tuff_normalize)55};
    check_refusal(tuff_feature_extraction_create(device, dir, &info, &extraction), wanted,
                  "feature-extraction: normalize is 55, wanted 0 to 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_without_their_pointers_are_refused),
        cmocka_unit_test(numbers_out_of_range_are_no_mismatch_of_shapes),
        cmocka_unit_test(adamw_takes_the_settings_that_the_trainer_takes),
        cmocka_unit_test(an_operator_without_gradient_is_named_and_placed),
        cmocka_unit_test(slices_beyond_the_numbers_are_told),
        cmocka_unit_test(graphs_and_buffers_without_their_pointers_are_refused),
        cmocka_unit_test(models_and_pipelines_without_their_pointers_are_refused),
        cmocka_unit_test(dtypes_are_those_of_the_enum),
        cmocka_unit_test(settings_are_those_of_their_enums),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
