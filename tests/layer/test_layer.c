/*
 * test_layer.c: the library on what looks like a small discrete GPU (discrete_layer.c): memory the host cannot map, a
 * device that is lost at any submit, and one that has no more memory. Skipped where there is no software Vulkan driver.
 */
#define _POSIX_C_SOURCE 200809L /* setenv */

#include "alloc.h"
#include "graph.h"
#include "tuff/train.h"
#include "vk/vk_context.h"
#include "vk/vk_memory.h"

#include "check.h"
#include "check_file.h"

#include <stdio.h>
#include <stdlib.h>

#define GOLDEN TUFF_TEST_DIR "/golden/train/"

static void set_switch(const char *name, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    assert_int_equal(setenv(name, text, 1), 0);
}

static int clear_switches(void **state)
{
    (void)state;
    set_switch("TUFF_LAYER_LOSE_AT", 0);
    set_switch("TUFF_LAYER_LOSE_QUIETLY", 0);
    set_switch("TUFF_LAYER_NO_MEMORY_AT", 0);
    set_switch("TUFF_LAYER_TWICE", 0);
    set_switch("TUFF_LAYER_NO_EXTENSIONS", 0);
    return 0;
}

static tuff_device *open_device(const char *variant)
{
    tuff_device *device = NULL;
    const tuff_device_create_info info = {.device = "vulkan:0", .kernel_variant = variant};
    if (tuff_device_create(&info, &device) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    return device;
}

/* One sentence that says what happened. */
static void check_words(const char *part)
{
    assert_non_null(strstr(tuff_last_error(), part));
    assert_null(strchr(tuff_last_error(), '\n'));
}

/* -- the device --------------------------------------------------------------------------------------------------- */

/* Without this every other test of this kind would prove nothing. */
static void test_it_looks_discrete(void **state)
{
    (void)state;
    tuff_device *device = open_device(NULL);
    const tuff_device_properties *p = tuff_device_get_properties(device);
    assert_int_equal(p->type, TUFF_DEVICE_TYPE_DISCRETE_GPU);
    assert_true(p->is_default || p->usable);
    assert_false(p->unified_memory);
    assert_false(device->target.software);
    assert_true(device->target.few_registers);
    assert_int_equal(p->max_storage_buffer_range, 128u << 20);
    assert_int_equal(p->max_shared_memory_size, 16384);
    assert_int_equal(p->max_workgroup_invocations, 128);
    assert_true(device->target.max_dispatch_flops > 0);
    tuff_device_destroy(device);
}

static void count_warnings(void *user, tuff_log_level level, const char *message)
{
    *(int *)user += level == TUFF_LOG_WARNING && strstr(message, "is left out: vulkan: vkEnumerateDeviceExtension");
}

/* How many devices are listed when the n-th fails to say what it can do; `out_index` of the first. */
static size_t list_without(uint64_t n, uint32_t *out_index, char problem[256])
{
    tuff_device_properties *devices = NULL;
    size_t count = 0;
    int warnings = 0;
    set_switch("TUFF_LAYER_NO_EXTENSIONS", n);
    tuff_set_log(count_warnings, &warnings);
    assert_int_equal(tuff_device_list(&devices, &count, problem), TUFF_SUCCESS);
    tuff_set_log(NULL, NULL);
    assert_true(count >= 2); /* the CPUs */
    *out_index = devices[0].vulkan_index;
    if (count > 2)
        assert_true(devices[0].backend == TUFF_BACKEND_VULKAN && devices[0].usable);
    tuff_free(devices);
    assert_int_equal(warnings, n < 100 ? n > 0 : 2);
    return count - 2;
}

static void test_one_of_two_fails(void **state)
{
    (void)state;
    uint32_t first = 0;
    char problem[256] = "";
    set_switch("TUFF_LAYER_TWICE", 1);
    assert_int_equal(list_without(0, &first, problem), 2);
    assert_int_equal(list_without(1, &first, problem), 1);
    assert_int_equal(first, 1); /* the other keeps its number */
    assert_int_equal(list_without(2, &first, problem), 1);
    assert_int_equal(first, 0);
    assert_string_equal(problem, "");
    assert_int_equal(list_without(100, &first, problem), 0);
    assert_non_null(strstr(problem, "vkEnumerateDeviceExtensionProperties: the driver answered"));
}

static void test_memory(void **state)
{
    (void)state;
    static const tuff__memory memories[] = {TUFF__MEMORY_DEVICE, TUFF__MEMORY_UPLOAD, TUFF__MEMORY_READBACK};
    const size_t size = (9u << 20) + 12; /* more than the staging ring */
    tuff_device *device = open_device(NULL);
    unsigned char *data = malloc(size), *back = malloc(size);
    for (size_t m = 0; m < 3; m++) {
        tuff_buffer *buffer = NULL;
        assert_int_equal(device->backend->buffer_create(device, size, memories[m], &buffer), TUFF_SUCCESS);
        assert_true((buffer->host == NULL) == (memories[m] == TUFF__MEMORY_DEVICE));
        assert_int_equal(tuff_buffer_read(buffer, 0, back, size), TUFF_SUCCESS);
        for (size_t i = 0; i < size; i++) { /* not the rubbish that the layer fills memory with */
            if (back[i] != 0)
                fail_msg("byte %zu of new memory is 0x%02x", i, back[i]);
            data[i] = (unsigned char)(i * 7 + i / 251);
        }
        assert_int_equal(tuff_buffer_write(buffer, 0, data, size), TUFF_SUCCESS);
        assert_int_equal(tuff_buffer_read(buffer, 0, back, size), TUFF_SUCCESS);
        assert_memory_equal(back, data, size);
        tuff_buffer_destroy(buffer);
    }
    free(data);
    free(back);
    tuff_device_destroy(device);
}

/* What the host writes and every invocation reads lies in the device's window, while that has room, and in the host's
 * memory after that; what the host reads does not. */
static void test_window(void **state)
{
    (void)state;
    enum { COUNT = 5 };
    const size_t size = 20u << 20; /* three fit into the window */
    tuff_device *device = open_device(NULL);
    tuff_buffer *buffers[COUNT] = {NULL}, *readback = NULL;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(device->backend->buffer_create(device, size, TUFF__MEMORY_UPLOAD, &buffers[i]), TUFF_SUCCESS);
        assert_non_null(buffers[i]->host);
        assert_int_equal(tuff__vk_buffer_of(buffers[i])->local, i < 3);
    }
    assert_int_equal(device->backend->buffer_create(device, size, TUFF__MEMORY_READBACK, &readback), TUFF_SUCCESS);
    assert_false(tuff__vk_buffer_of(readback)->local);
    for (int i = 0; i < COUNT; i++)
        tuff_buffer_destroy(buffers[i]);
    tuff_buffer_destroy(readback);
    tuff_device_destroy(device);
}

/* The layer's folder holds no other layer. */
static void test_validation_that_is_not_there(void **state)
{
    (void)state;
    tuff_device *device = NULL;
    const tuff_device_create_info info = {.device = "vulkan:0", .enable_validation = true};
    assert_int_equal(tuff_device_create(&info, &device), TUFF_ERROR_FEATURE_NOT_PRESENT);
    assert_null(device);
    check_words("VK_LAYER_KHRONOS_validation is not installed");
}

/* -- a small network ---------------------------------------------------------------------------------------------- */

/* Weights in the device's memory, a step of training forwards and backwards, its loss read back. */
static tuff_status run_network(tuff_device *device, float *out_loss)
{
    enum { ROWS = 40, COLUMNS = 48, HIDDEN = 64 };
    static float x[ROWS * COLUMNS], weights[HIDDEN * COLUMNS];
    static int32_t labels[ROWS];
    tuff_graph *graph = NULL;
    tuff_buffer *buffer = NULL;
    uint64_t random = 5;
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        x[i] = (float)tuff__check_normal(&random);
    for (size_t i = 0; i < HIDDEN * COLUMNS; i++)
        weights[i] = (float)tuff__check_normal(&random);
    tuff_status status = tuff_graph_create(device, &graph);
    if (status == TUFF_SUCCESS)
        status = tuff_buffer_create(device, sizeof weights, &buffer);
    if (status == TUFF_SUCCESS)
        status = tuff_buffer_write(buffer, 0, weights, sizeof weights);
    if (status == TUFF_SUCCESS) {
        const tuff_tensor in = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(ROWS, COLUMNS));
        const tuff_tensor wanted = tuff_graph_input(graph, "labels", TUFF_I32, TUFF_SHAPE(ROWS));
        const tuff_tensor w = tuff_graph_external(graph, "w", TUFF_F32, TUFF_SHAPE(HIDDEN, COLUMNS), buffer, 0);
        const tuff_matmul_info info = {.transpose_b = true};
        tuff_tensor outputs[2];
        outputs[0] = tuff_cross_entropy(graph, tuff_gelu(graph, tuff_matmul(graph, in, w, &info)), wanted, 0);
        tuff_graph_backward(graph, outputs[0], &w, 1, &outputs[1]);
        status = tuff_graph_compile(graph, outputs, 2);
        if (status == TUFF_SUCCESS)
            status = tuff_graph_write(graph, in, x, sizeof x);
        if (status == TUFF_SUCCESS)
            status = tuff_graph_write(graph, wanted, labels, sizeof labels);
        for (int i = 0; i < 3 && status == TUFF_SUCCESS; i++)
            status = tuff_graph_run(graph);
        if (status == TUFF_SUCCESS)
            status = tuff_graph_read(graph, outputs[0], out_loss, sizeof *out_loss);
    }
    tuff_graph_destroy(graph);
    tuff_buffer_destroy(buffer);
    return status;
}

static float loss_without_trouble(const char *variant)
{
    float loss = 0;
    tuff_device *device = open_device(variant);
    if (run_network(device, &loss) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    tuff_device_destroy(device);
    assert_true(loss > 0 && loss < 100);
    return loss;
}

/* -- a lost device ------------------------------------------------------------------------------------------------ */

/* At every submit of the network in turn, told at once or only to whoever waits: one sentence, the same answer from
 * then on, and the next device works. */
static void check_losses(const char *variant)
{
    const float wanted = loss_without_trouble(variant);
    tuff_status status = TUFF_ERROR_DEVICE_LOST;
    uint64_t n = 1;
    for (; status != TUFF_SUCCESS; n++) {
        float loss = 0;
        assert_true(n < 200);
        set_switch("TUFF_LAYER_LOSE_AT", n);
        set_switch("TUFF_LAYER_LOSE_QUIETLY", n % 2);
        tuff_device *device = open_device(variant);
        status = run_network(device, &loss);
        if (status == TUFF_SUCCESS) {
            assert_true(loss == wanted);
        } else {
            assert_int_equal(status, TUFF_ERROR_DEVICE_LOST);
            check_words("was lost");
            assert_int_equal(run_network(device, &loss), TUFF_ERROR_DEVICE_LOST);
            check_words("was lost");
        }
        tuff_device_destroy(device);
    }
    clear_switches(NULL);
    assert_true(n > 4);
    assert_true(loss_without_trouble(variant) == wanted);
}

static void test_lost(void **state)
{
    (void)state;
    check_losses("t0");
}

/* The first submits are those of the proofs. */
static void test_lost_while_proving(void **state)
{
    (void)state;
    char **names = NULL;
    size_t count = 0;
    assert_int_equal(tuff__directory_remove(getenv("TUFF_CACHE_DIR")), TUFF_SUCCESS);
    check_losses(NULL);
    assert_int_equal(tuff__directory_list(getenv("TUFF_CACHE_DIR"), &names, &count), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++) { /* pipelines, verdicts-x.txt and its lock, and nothing written aside */
        const char *ending = strrchr(names[i], '.');
        assert_true(!strcmp(names[i], "pipelines") ||
                    (ending && (!strcmp(ending, ".txt") || !strcmp(ending, ".lock"))));
        tuff__free(names[i]);
    }
    tuff__free(names);
}

static tuff_status train(const char *output)
{
    const tuff_training_arguments arguments = {
        .model = GOLDEN "initial",
        .train_file = GOLDEN "train.tsv",
        .text_column = "first",
        .text_pair_column = "second",
        .label_column = "class",
        .output_dir = output,
        .per_device_train_batch_size = 4,
        .max_steps = 2,
        .logging_steps = 1,
    };
    tuff_device *device = open_device("t0");
    const tuff_status status = tuff_train_text_classification(device, &arguments, NULL);
    tuff_device_destroy(device);
    return status;
}

/* All files of a folder, names and bytes, in one number. */
static uint64_t digest(const char *folder)
{
    char **names = NULL;
    size_t count = 0;
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    assert_int_equal(tuff__directory_list(folder, &names, &count), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++) {
        char path[512];
        tuff__mapped_file file;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(tuff__file_map(path, &file), TUFF_SUCCESS);
        for (const char *c = names[i]; *c; c++)
            hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001B3);
        for (size_t k = 0; k < file.size; k++)
            hash = (hash ^ file.data[k]) * UINT64_C(0x100000001B3);
        tuff__file_unmap(&file);
        tuff__free(names[i]);
    }
    tuff__free(names);
    return hash;
}

/* What an earlier run saved stays as it was, and nothing is left beside it. */
static void test_lost_while_training(void **state)
{
    (void)state;
    const char *output = tuff__check_path("kept");
    tuff_status status = train(output);
    size_t lost = 0;
    if (status != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    const uint64_t before = digest(output);
    for (uint64_t n = 1; lost == 0 || status != TUFF_SUCCESS; n += 1 + n / 6) {
        char **names = NULL;
        size_t count = 0;
        set_switch("TUFF_LAYER_LOSE_AT", n);
        set_switch("TUFF_LAYER_LOSE_QUIETLY", n % 2);
        output = tuff__check_path("kept");
        status = train(output);
        if (status == TUFF_SUCCESS)
            continue;
        lost++;
        assert_int_equal(status, TUFF_ERROR_DEVICE_LOST);
        check_words("was lost");
        assert_true(digest(output) == before);
        assert_int_equal(tuff__directory_list(tuff__check_folder, &names, &count), TUFF_SUCCESS);
        assert_int_equal(count, 1);
        tuff__free(names[0]);
        tuff__free(names);
    }
    assert_true(lost >= 8);
}

/* -- no memory ---------------------------------------------------------------------------------------------------- */

/* From every allocation on in turn; and with less than the model needs by the heap's own size. */
static void test_no_memory(void **state)
{
    (void)state;
    const float wanted = loss_without_trouble("t0");
    tuff_status status = TUFF_ERROR_OUT_OF_DEVICE_MEMORY;
    for (uint64_t n = 1; status != TUFF_SUCCESS; n++) {
        float loss = 0;
        assert_true(n < 50);
        set_switch("TUFF_LAYER_NO_MEMORY_AT", n);
        tuff_device *device = open_device("t0");
        status = run_network(device, &loss);
        if (status != TUFF_SUCCESS) {
            assert_int_equal(status, TUFF_ERROR_OUT_OF_DEVICE_MEMORY);
            check_words("lower the batch size");
            set_switch("TUFF_LAYER_NO_MEMORY_AT", 0); /* the device itself is as good as before */
            assert_int_equal(run_network(device, &loss), TUFF_SUCCESS);
        }
        assert_true(loss == wanted);
        tuff_device_destroy(device);
    }
}

static void test_full_heap(void **state)
{
    (void)state;
    enum { COUNT = 16 };
    tuff_device *device = open_device(NULL);
    tuff_buffer *buffers[COUNT] = {NULL};
    size_t made = 0;
    tuff_status status = TUFF_SUCCESS;
    while (made < COUNT && status == TUFF_SUCCESS) {
        status = tuff_buffer_create(device, 300u << 20, &buffers[made]);
        made += status == TUFF_SUCCESS;
    }
    assert_int_equal(status, TUFF_ERROR_OUT_OF_DEVICE_MEMORY); /* after the device's 1 GiB and the host's 2 */
    assert_true(made >= 3);
    check_words("300.0 MiB of device memory were wanted");
    check_words("MiB too few");
    for (size_t i = 0; i < made; i++)
        tuff_buffer_destroy(buffers[i]);
    tuff_device_destroy(device);
}

static int set_up(void **state)
{
    (void)state;
    return tuff__check_folder_create("test_layer");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_it_looks_discrete, clear_switches),
        cmocka_unit_test_setup(test_one_of_two_fails, clear_switches),
        cmocka_unit_test_setup(test_memory, clear_switches),
        cmocka_unit_test_setup(test_window, clear_switches),
        cmocka_unit_test_setup(test_validation_that_is_not_there, clear_switches),
        cmocka_unit_test_setup(test_lost, clear_switches),
        cmocka_unit_test_setup(test_lost_while_proving, clear_switches),
        cmocka_unit_test_setup(test_lost_while_training, clear_switches),
        cmocka_unit_test_setup(test_no_memory, clear_switches),
        cmocka_unit_test_setup(test_full_heap, clear_switches),
    };
    tuff_device *device = NULL;
    if (!getenv("TUFF_CACHE_DIR") ||
        tuff_device_create(&(tuff_device_create_info){.device = "vulkan:0"}, &device) != TUFF_SUCCESS) {
        printf("skipped: %s\n", getenv("TUFF_CACHE_DIR") ? tuff_last_error() : "TUFF_CACHE_DIR is not set");
        return TUFF__SKIPPED;
    }
    tuff_device_destroy(device);
    return cmocka_run_group_tests(tests, set_up, tuff__check_folder_remove);
}
