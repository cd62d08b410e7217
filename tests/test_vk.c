/*
 * test_vk.c: the Vulkan backend by itself, on the first Vulkan device (software too) and, where it is installed, under
 * the validation layer with synchronization checks, which must stay silent. Skipped where there is no device.
 */
#include "op.h"
#include "recorder.h"
#include "vk/vk_backend.h"
#include "vk/vk_memory.h"
#include "vk/vk_pipeline.h"
#include "vk/vk_queue.h"
#include "vk/vk_quirks.h"
#include "vk/vk_ranges.h"

#include "alloc.h"
#include "check_device.h"
#include "check_file.h"
#include "env.h"
#include "os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <dlfcn.h>
#endif

/* -- free ranges of a block --------------------------------------------------------------------------------------- */

static void test_ranges(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    const uint64_t total = 1u << 20;
    tuff__vk_ranges ranges = {0};
    uint64_t offsets[COUNT], sizes[COUNT], random = 7;
    bool found = false;
    assert_int_equal(tuff__vk_ranges_init(&ranges, total), TUFF_SUCCESS);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < COUNT; i++) {
            sizes[i] = 1 + tuff__check_random(&random) % 8000;
            assert_int_equal(tuff__vk_ranges_take(&ranges, sizes[i], 256, &offsets[i], &found), TUFF_SUCCESS);
            assert_true(found);
            assert_int_equal(offsets[i] % 256, 0);
            for (int k = 0; k < i; k++)
                assert_true(offsets[i] + sizes[i] <= offsets[k] || offsets[k] + sizes[k] <= offsets[i]);
        }
        for (int i = COUNT - 1; i >= 0; i--) { /* a random order */
            const size_t other = tuff__check_random(&random) % (uint64_t)(i + 1);
            tuff__vk_ranges_give(&ranges, offsets[other], sizes[other]);
            offsets[other] = offsets[i];
            sizes[other] = sizes[i];
        }
        assert_int_equal(ranges.count, 1); /* everything grew together again */
        assert_int_equal(ranges.free[0].size, total);
    }
    assert_int_equal(tuff__vk_ranges_take(&ranges, total + 1, 1, &offsets[0], &found), TUFF_SUCCESS);
    assert_false(found);
    assert_int_equal(tuff__vk_ranges_take(&ranges, total, 4096, &offsets[0], &found), TUFF_SUCCESS);
    assert_true(found);
    tuff__vk_ranges_destroy(&ranges);
}

/* -- quirks ------------------------------------------------------------------------------------------------------- */

static void test_quirks(void **state)
{
    (void)state;
    assert_null(tuff__vk_quirk_next(NULL, 0x10005, VK_DRIVER_ID_MESA_LLVMPIPE, 1));
    const tuff__vk_quirk *adreno = tuff__vk_quirk_next(NULL, 0x5143, VK_DRIVER_ID_QUALCOMM_PROPRIETARY, 1);
    assert_non_null(adreno);
    assert_int_equal(adreno->max_storage_buffer_range, 128u << 20);
    assert_null(tuff__vk_quirk_next(NULL, 0x5143, VK_DRIVER_ID_MESA_TURNIP, 1));
    /* A driver that does not tell which it is may be any of its vendor's. */
    assert_ptr_equal(tuff__vk_quirk_next(NULL, 0x5143, 0, 1), adreno);
    assert_null(tuff__vk_quirk_next(NULL, 0x10DE, 0, 1));
    const tuff__vk_quirk *old = tuff__vk_quirk_next(NULL, 0x106B, VK_DRIVER_ID_MOLTENVK, 10211);
    assert_non_null(old);
    assert_true(old->refused);
    assert_null(tuff__vk_quirk_next(NULL, 0x106B, VK_DRIVER_ID_MOLTENVK, 10300));
}

/* -- a device per test -------------------------------------------------------------------------------------------- */

static bool has_validation; /* the layer is installed */

static tuff_status create_first(const tuff_device_create_info *info, tuff_device **out_device)
{
    tuff_device_create_info wanted = *info;
    wanted.device = "vulkan:0";
    return tuff_device_create(&wanted, out_device);
}

static tuff_device *create_device(void)
{
    const tuff_device_create_info info = {.enable_validation = has_validation};
    tuff_device *device = NULL;
    assert_int_equal(create_first(&info, &device), TUFF_SUCCESS);
    return device;
}

static int set_up(void **state)
{
    *state = create_device();
    return 0;
}

static int tear_down(void **state)
{
    tuff_device *device = *state;
    const uint64_t messages = tuff__vk_validation_messages(device);
    device->backend->device_destroy(device);
    return messages == 0 ? 0 : -1;
}

static void test_list(void **state)
{
    tuff_device *device = *state;
    tuff_device_properties *devices = NULL;
    size_t count = 0, defaults = 0;
    char problem[256];
    tuff_device *looking = NULL;
    assert_int_equal(tuff__vk_open(false, &looking, &devices, &count, problem), TUFF_SUCCESS);
    assert_true(count > 0);
    assert_string_equal(problem, "");
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(devices[i].vulkan_index, i);
        assert_true(devices[i].name[0] && devices[i].reason[0] && devices[i].driver[0]);
        assert_false(devices[i].is_default && devices[i].type == TUFF_DEVICE_TYPE_CPU);
        defaults += devices[i].is_default;
    }
    assert_true(defaults <= 1);
    assert_string_equal(devices[0].name, device->properties.name);
    tuff__free(devices);
    assert_int_equal(tuff__vk_become(looking, 1000, false), TUFF_ERROR_FEATURE_NOT_PRESENT);
    assert_non_null(strstr(tuff_last_error(), "vulkan:1000"));
}

/* -- buffers ------------------------------------------------------------------------------------------------------ */

static tuff_buffer *create_buffer(tuff_device *device, uint64_t size, tuff__memory memory)
{
    tuff_buffer *buffer = NULL;
    assert_int_equal(device->backend->buffer_create(device, size, memory, &buffer), TUFF_SUCCESS);
    return buffer;
}

/* New memory is zero; what is written comes back, wherever it starts. */
static void check_buffer(tuff_device *device, size_t size, tuff__memory memory)
{
    unsigned char *data = malloc(size), *back = malloc(size);
    uint64_t random = size;
    tuff_buffer *buffer = create_buffer(device, size, memory);
    assert_int_equal(device->backend->buffer_read(buffer, 0, back, size), TUFF_SUCCESS);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(back[i], 0);
        data[i] = (unsigned char)tuff__check_random(&random);
    }
    const size_t offset = size / 3, part = size - offset;
    assert_int_equal(device->backend->buffer_write(buffer, 0, data, size), TUFF_SUCCESS);
    assert_int_equal(device->backend->buffer_write(buffer, offset, data, part), TUFF_SUCCESS);
    assert_int_equal(device->backend->buffer_read(buffer, 0, back, size), TUFF_SUCCESS);
    assert_memory_equal(back, data, offset);
    assert_memory_equal(back + offset, data, part);
    memset(back, 0, part);
    assert_int_equal(device->backend->buffer_read(buffer, offset, back, part), TUFF_SUCCESS);
    assert_memory_equal(back, data, part);
    assert_int_equal(device->backend->buffer_read(buffer, size, back, 1), TUFF_ERROR_INVALID_ARGUMENT);
    device->backend->buffer_destroy(buffer);
    free(data);
    free(back);
}

static void check_all_buffers(tuff_device *device)
{
    static const size_t sizes[] = {1, 4, 255, 256, 257, 65537, (4u << 20) + 5, (21u << 20) + 3};
    static const tuff__memory memories[] = {TUFF__MEMORY_DEVICE, TUFF__MEMORY_UPLOAD, TUFF__MEMORY_READBACK};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t k = 0; k < 3; k++)
            check_buffer(device, sizes[i], memories[k]);
}

static void test_buffers(void **state)
{
    tuff_device *device = *state;
    check_all_buffers(device);
    tuff_buffer *upload = create_buffer(device, 100, TUFF__MEMORY_UPLOAD);
    assert_non_null(upload->host);
    device->backend->buffer_destroy(upload);
}

/* A device whose memory the host shares is treated as one with memory of its own. */
static void test_staging(void **state)
{
    tuff_device *device = *state;
    device->properties.unified_memory = false;
    tuff_buffer *own = create_buffer(device, 100, TUFF__MEMORY_DEVICE);
    assert_null(own->host);
    check_all_buffers(device);
    device->backend->buffer_destroy(own);
}

/* Small buffers share blocks; memory that nobody uses goes back to the driver. */
static void test_suballocation(void **state)
{
    enum { COUNT = 300 };
    tuff_device *device = *state;
    const tuff__vk_device *vk = tuff__vk_device_of(device);
    tuff_buffer *buffers[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        buffers[i] = create_buffer(device, 1 + i * 517, TUFF__MEMORY_DEVICE);
    assert_true(vk->allocation_count <= 4);
    for (size_t i = 0; i < COUNT; i += 2)
        device->backend->buffer_destroy(buffers[i]);
    for (size_t i = 1; i < COUNT; i += 2)
        device->backend->buffer_destroy(buffers[i]);
    assert_int_equal(vk->allocation_count, 0);
    tuff_buffer *large = create_buffer(device, 300u << 20, TUFF__MEMORY_DEVICE);
    assert_int_equal(vk->allocation_count, 1);
    device->backend->buffer_destroy(large);
}

/* Whichever allocation fails while a buffer is made, and however many are there already, no two share memory. */
static void test_failed_buffers_take_nothing(void **state)
{
    enum { COUNT = 24 };
    tuff_device *device = *state;
    tuff_buffer *buffers[COUNT], *failed = NULL;
    for (size_t i = 0; i < COUNT; i++) {
        tuff_status status = TUFF_ERROR_OUT_OF_HOST_MEMORY;
        for (uint64_t n = 1; status != TUFF_SUCCESS; n++) {
            assert_true(n < 20);
            tuff__alloc_fail_at(n);
            status = device->backend->buffer_create(device, 1000, TUFF__MEMORY_DEVICE, &failed);
            tuff__alloc_fail_at(0);
        }
        device->backend->buffer_destroy(failed);
        buffers[i] = create_buffer(device, 1000, TUFF__MEMORY_DEVICE);
        const tuff__vk_buffer *made = tuff__vk_buffer_of(buffers[i]);
        for (size_t k = 0; k < i; k++) {
            const tuff__vk_buffer *other = tuff__vk_buffer_of(buffers[k]);
            assert_true(made->block != other->block || made->offset != other->offset);
        }
    }
    for (size_t i = 0; i < COUNT; i++)
        device->backend->buffer_destroy(buffers[i]);
}

static void test_out_of_memory(void **state)
{
    tuff_device *device = *state;
    tuff_buffer *buffer = NULL;
    const uint64_t heap = device->properties.memory_size;
    assert_int_equal(device->backend->buffer_create(device, heap * 2, TUFF__MEMORY_DEVICE, &buffer),
                     TUFF_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_non_null(strstr(tuff_last_error(), "lower the batch size"));
    assert_non_null(strstr(tuff_last_error(), "MiB too few"));
    tuff__vk_device_of(device)->facts.max_memory_allocation_size = UINT64_MAX;
    tuff__vk_device_of(device)->facts.max_buffer_size = UINT64_MAX;
    assert_int_equal(device->backend->buffer_create(device, UINT64_C(1) << 60, TUFF__MEMORY_DEVICE, &buffer),
                     TUFF_ERROR_OUT_OF_DEVICE_MEMORY);
    /* The layer objects to a VkBuffer of that size before the library can ask the driver; that is what was wanted. */
    atomic_store(&tuff__vk_device_of(device)->instance.validation_messages, 0);
}

/* -- programs ----------------------------------------------------------------------------------------------------- */

typedef struct fill_params {
    uint32_t word;
} fill_params;

static tuff_status fill_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const fill_params *params = call->params;
    return tuff__fill_record(recorder, call, call->outputs[0].slice, params->word);
}

static const tuff_op_desc fill_op = {.name = "fill", .output_count = 1, .record = fill_record};

static tuff_op_call fill_call(tuff_buffer *buffer, uint64_t offset, uint64_t size, const fill_params *params)
{
    tuff_op_call call = {
        .op = &fill_op, .params = params, .output_count = 1, .target = &buffer->device->target, .label = "test"};
    call.outputs[0] = (tuff__operand){
        .dtype = TUFF_I32,
        .shape = {1, {(int64_t)(size / 4)}},
        .slice = {buffer, offset, size},
        .present = true,
    };
    return call;
}

static tuff__program *create_program(tuff_device *device, const tuff_op_call *calls, size_t count)
{
    tuff__program *program = NULL;
    assert_int_equal(device->backend->program_create(device, calls, count, NULL, &program), TUFF_SUCCESS);
    return program;
}

static void check_words(tuff_buffer *buffer, uint64_t offset, size_t count, uint32_t word)
{
    uint32_t *words = malloc(count * 4);
    assert_int_equal(buffer->device->backend->buffer_read(buffer, offset, words, count * 4), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(words[i], word);
    free(words);
}

/* Independent fills run without a barrier, overlapping ones with one; the later one wins. */
static void check_fills(tuff_device *device)
{
    static const fill_params one = {0x11111111}, two = {0x22222222}, three = {0x33333333};
    const size_t size = 1u << 20;
    tuff_buffer *buffer = create_buffer(device, 2 * size, TUFF__MEMORY_DEVICE);
    const tuff_op_call calls[] = {
        fill_call(buffer, 0, size, &one),
        fill_call(buffer, size, size, &two),
        fill_call(buffer, size - 256, 512, &three),
        fill_call(buffer, 0, 4, &two),
    };
    tuff__program *program = create_program(device, calls, 4);
    tuff__program_statistics statistics;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(device->backend->program_run(program), TUFF_SUCCESS);
        check_words(buffer, 0, 1, two.word);
        check_words(buffer, 4, (size - 256 - 4) / 4, one.word);
        check_words(buffer, size - 256, 512 / 4, three.word);
        check_words(buffer, size + 256, (size - 256) / 4, two.word);
    }
    device->backend->program_statistics(program, &statistics);
    assert_int_equal(statistics.dispatch_count, 4);
    assert_int_equal(statistics.submit_count, 1);
    assert_true(statistics.last_host_seconds >= 0);
    if (device->target.software && tuff__vk_device_of(device)->time_scale <= 1)
        assert_int_equal(statistics.barrier_count, 1);
    double begin = tuff__clock_seconds(), seconds = -1;
    assert_int_equal(device->backend->program_run_call(program, 0, NULL), TUFF_SUCCESS); /* one call alone */
    assert_int_equal(device->backend->program_run_call(program, 0, &seconds), TUFF_SUCCESS);
    assert_true(seconds > 0 && seconds <= tuff__clock_seconds() - begin);
    check_words(buffer, 0, size / 4, one.word);
    check_words(buffer, size, 64, three.word);
    assert_int_equal(device->backend->program_run_call(program, 4, NULL), TUFF_ERROR_INVALID_ARGUMENT);
    device->backend->program_destroy(program);
    device->backend->buffer_destroy(buffer);
}

static void test_programs(void **state)
{
    check_fills(*state);
}

static void test_programs_staged(void **state)
{
    tuff_device *device = *state;
    device->properties.unified_memory = false;
    check_fills(device);
}

/* Where everything is estimated to take long, each dispatch is a batch of its own, and batches wait for each other. */
static void test_batches(void **state)
{
    tuff__vk_device_of(*state)->time_scale = 1e6;
    check_fills(*state);
}

static void test_many_batches(void **state)
{
    enum { COUNT = 150 };
    static fill_params params[COUNT];
    tuff_device *device = *state;
    tuff__vk_device_of(device)->time_scale = 1e6;
    tuff_buffer *buffer = create_buffer(device, COUNT * 256, TUFF__MEMORY_DEVICE);
    tuff_op_call calls[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        params[i].word = i;
        calls[i] = fill_call(buffer, (uint64_t)i * 256, (uint64_t)(COUNT - i) * 256, &params[i]);
    }
    tuff__program *program = create_program(device, calls, COUNT);
    assert_int_equal(device->backend->program_run(program), TUFF_SUCCESS);
    assert_int_equal(device->backend->program_run(program), TUFF_SUCCESS);
    for (uint32_t i = 0; i < COUNT; i++)
        check_words(buffer, (uint64_t)i * 256, 64, i);
    tuff__program_statistics statistics;
    device->backend->program_statistics(program, &statistics);
    assert_int_equal(statistics.submit_count, 3);
    device->backend->program_destroy(program);
    device->backend->buffer_destroy(buffer);
}

/* What a new program starts from is taught by long runs, rises at once, falls slowly and not to nothing. */
static void test_time_scale(void **state)
{
    (void)state;
    assert_true(tuff__vk_time_scale(1, 5e-6, 1e-3) == 1); /* an embedding of 16 ids */
    assert_true(tuff__vk_time_scale(1, 1, 1e-3) == 1);
    assert_true(tuff__vk_time_scale(1, 0.01, 0.3) == 30);
    assert_true(tuff__vk_time_scale(30, 0.01, 0.3) == 30); /* the same program again */
    double scale = 30;
    for (int i = 0; i < 3; i++)
        scale = tuff__vk_time_scale(scale, 1, 0.01);
    assert_true(scale > 20 && scale < 30);
    for (int i = 0; i < 200; i++)
        scale = tuff__vk_time_scale(scale, 1, 0.01);
    assert_true(scale >= 0.05 && scale < 1);
}

static PFN_vkQueueSubmit real_submit;
static uint32_t batches_sent;

static VKAPI_ATTR VkResult VKAPI_CALL count_batches(VkQueue queue, uint32_t count, const VkSubmitInfo *batches,
                                                    VkFence fence)
{
    batches_sent += count;
    return real_submit(queue, count, batches, fence);
}

static uint32_t batches_of_call(tuff__program *program, double *out_seconds)
{
    batches_sent = 0;
    assert_int_equal(program->device->backend->program_run_call(program, 0, out_seconds), TUFF_SUCCESS);
    return batches_sent;
}

/* A call alone is cut as the whole program is, and its time is that of all its parts. */
static void test_batches_of_one_call(void **state)
{
    enum { PARTS = 16 };
    static const fill_params params = {9};
    const uint64_t size = 1u << 20;
    tuff_device *device = *state;
    tuff__vk_device *vk = tuff__vk_device_of(device);
    tuff_buffer *buffer = create_buffer(device, size, TUFF__MEMORY_DEVICE);
    const tuff_op_call call = fill_call(buffer, 0, size, &params);
    device->target.max_storage_buffer_range = size / PARTS;
    device->properties.type = TUFF_DEVICE_TYPE_DISCRETE_GPU;
    tuff__program *whole = create_program(device, &call, 1);
    vk->time_scale = 1e6;
    tuff__program *cut = create_program(device, &call, 1);
    vk->time_scale = 1;
    real_submit = vk->table.vkQueueSubmit;
    vk->table.vkQueueSubmit = count_batches;
    batches_sent = 0;
    assert_int_equal(device->backend->program_run(cut), TUFF_SUCCESS);
    assert_int_equal(batches_sent, PARTS);
    const double begin = tuff__clock_seconds();
    double seconds = 0;
    assert_int_equal(batches_of_call(cut, &seconds), PARTS);
    assert_true(seconds > 0 && seconds <= tuff__clock_seconds() - begin);
    check_words(buffer, 0, size / 4, params.word);
    assert_int_equal(batches_of_call(whole, NULL), 1);
    vk->time_scale = 1e6; /* what has been learnt since the program was made counts */
    assert_int_equal(batches_of_call(whole, NULL), PARTS);
    vk->table.vkQueueSubmit = real_submit;
    device->backend->program_destroy(whole);
    device->backend->program_destroy(cut);
    device->backend->buffer_destroy(buffer);
}

static PFN_vkWaitForFences real_wait;

/* As if the device had been at work for 0.3 s. */
static VKAPI_ATTR VkResult VKAPI_CALL wait_long(VkDevice device, uint32_t count, const VkFence *fences, VkBool32 all,
                                                uint64_t timeout)
{
    const double begin = tuff__clock_seconds();
    const VkResult result = real_wait(device, count, fences, all, timeout);
    while (tuff__clock_seconds() - begin < 0.3)
        ;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL never_ready(VkDevice device, VkFence fence)
{
    (void)device, (void)fence;
    return VK_NOT_READY;
}

/* On a GPU many times slower than the table of rates a program is cut anew once, and then stays as it is. */
static void test_recut(void **state)
{
    enum { COUNT = 40, ROUNDS = 4 };
    static const fill_params params = {7};
    const uint64_t size = 4u << 20; /* 47 µs by the table */
    tuff_device *device = *state;
    tuff__vk_device *vk = tuff__vk_device_of(device);
    device->target.software = false;
    device->properties.type = TUFF_DEVICE_TYPE_DISCRETE_GPU;
    tuff_buffer *buffer = create_buffer(device, size, TUFF__MEMORY_DEVICE);
    tuff_op_call calls[COUNT];
    for (uint32_t i = 0; i < COUNT; i++)
        calls[i] = fill_call(buffer, 0, size, &params);
    const tuff_op_call small_call = fill_call(buffer, 0, 256, &params);
    tuff__program *small = create_program(device, &small_call, 1);
    for (int i = 0; i < ROUNDS; i++) { /* 900: a machine so busy that even this took 5 ms */
        assert_int_equal(device->backend->program_run(small), TUFF_SUCCESS);
        assert_true(vk->time_scale <= 1 || vk->time_scale > 900);
    }
    vk->time_scale = 1e-3;
    real_wait = vk->table.vkWaitForFences;
    vk->table.vkWaitForFences = wait_long;
    vk->table.vkGetFenceStatus = never_ready;
    tuff__program *large = create_program(device, calls, COUNT);
    tuff__program_statistics statistics[ROUNDS];
    double scale[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(device->backend->program_run(large), TUFF_SUCCESS);
        device->backend->program_statistics(large, &statistics[i]);
        scale[i] = vk->time_scale;
    }
    assert_int_equal(statistics[0].barrier_count, COUNT - 1); /* one batch */
    for (int i = 1; i < ROUNDS; i++) {
        assert_true(statistics[i].barrier_count < COUNT - 1);
        assert_true(statistics[i].barrier_count <= statistics[1].barrier_count);
        assert_true(scale[i] < 5 * scale[0]); /* each run would multiply it */
    }
    vk->table.vkWaitForFences = real_wait;
    check_words(buffer, 0, size / 4, params.word);
    device->backend->program_destroy(small);
    device->backend->program_destroy(large);
    device->backend->buffer_destroy(buffer);
}

/* So does a call alone, from its next run on; of the program it says nothing. */
static void test_recut_of_one_call(void **state)
{
    static const fill_params params = {7};
    const uint64_t size = 4u << 20, parts = 16; /* 100 µs by the table */
    tuff_device *device = *state;
    tuff__vk_device *vk = tuff__vk_device_of(device);
    device->target.software = false;
    device->target.max_storage_buffer_range = size / parts;
    device->properties.type = TUFF_DEVICE_TYPE_DISCRETE_GPU;
    tuff_buffer *buffer = create_buffer(device, size, TUFF__MEMORY_DEVICE);
    const tuff_op_call call = fill_call(buffer, 0, size, &params);
    tuff__program *program = create_program(device, &call, 1);
    real_submit = vk->table.vkQueueSubmit;
    real_wait = vk->table.vkWaitForFences;
    vk->table.vkQueueSubmit = count_batches;
    vk->table.vkWaitForFences = wait_long;
    vk->table.vkGetFenceStatus = never_ready;
    assert_int_equal(batches_of_call(program, NULL), 1);
    assert_true(vk->time_scale > 100);
    assert_true(batches_of_call(program, NULL) > 1);
    batches_sent = 0;
    assert_int_equal(device->backend->program_run(program), TUFF_SUCCESS);
    assert_int_equal(batches_sent, 1);
    vk->table.vkQueueSubmit = real_submit;
    vk->table.vkWaitForFences = real_wait;
    check_words(buffer, 0, size / 4, params.word);
    device->backend->program_destroy(program);
    device->backend->buffer_destroy(buffer);
}

/* A small storage-buffer range splits a fill; an odd end is met exactly. */
static void test_split(void **state)
{
    static const fill_params params = {0xabcdef01};
    tuff_device *device = *state;
    device->target.max_storage_buffer_range = 1000;
    tuff_buffer *buffer = create_buffer(device, 10000, TUFF__MEMORY_DEVICE);
    const tuff_op_call call = fill_call(buffer, 256, 9004, &params);
    tuff__program *program = create_program(device, &call, 1);
    assert_int_equal(device->backend->program_run(program), TUFF_SUCCESS);
    check_words(buffer, 0, 64, 0);
    check_words(buffer, 256, 9004 / 4, params.word);
    check_words(buffer, 256 + 9004, (10000 - 256 - 9004) / 4, 0);
    tuff__program_statistics statistics;
    device->backend->program_statistics(program, &statistics);
    assert_int_equal(statistics.dispatch_count, (9004 + 767) / 768);
    assert_int_equal(statistics.barrier_count, 0);
    device->backend->program_destroy(program);
    device->backend->buffer_destroy(buffer);
}

/* relu(x) read after written, then x overwritten after it was read. */
static void test_hazards(void **state)
{
    static const fill_params minus_one = {0xbf800000}, three = {0x40400000};
    tuff_device *device = *state;
    const size_t count = 5000, size = 5120 * 4;
    tuff_buffer *buffer = create_buffer(device, 2 * size, TUFF__MEMORY_DEVICE);
    tuff_op_call relu = {.op = &tuff__op_relu, .input_count = 1, .output_count = 1, .target = &device->target};
    relu.inputs[0] = (tuff__operand){
        .dtype = TUFF_F32, .shape = {1, {(int64_t)count}}, .slice = {buffer, 0, count * 4}, .present = true};
    relu.outputs[0] = relu.inputs[0];
    relu.outputs[0].slice.offset = size;
    const tuff_op_call calls[] = {fill_call(buffer, 0, count * 4, &three), relu,
                                  fill_call(buffer, 0, count * 4, &minus_one)};
    tuff__program *program = create_program(device, calls, 3);
    assert_int_equal(device->backend->program_run(program), TUFF_SUCCESS);
    check_words(buffer, 0, count, minus_one.word);
    check_words(buffer, size, count, three.word);
    tuff__program_statistics statistics;
    device->backend->program_statistics(program, &statistics);
    assert_int_equal(statistics.barrier_count, 2);
    device->backend->program_destroy(program);
    device->backend->buffer_destroy(buffer);
}

/* -- dispatches that do not fit their shader ---------------------------------------------------------------------- */

static tuff__dispatch broken;

static tuff_status broken_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    return tuff__dispatch_record(recorder, call, &broken);
}

static const tuff_op_desc broken_op = {.name = "broken", .output_count = 1, .record = broken_record};

static void check_refused(tuff_device *device, const char *words)
{
    const tuff_op_call call = {.op = &broken_op, .output_count = 1, .target = &device->target};
    tuff__program *program = NULL;
    assert_int_not_equal(device->backend->program_create(device, &call, 1, NULL, &program), TUFF_SUCCESS);
    assert_null(program);
    assert_non_null(strstr(tuff_last_error(), "broken"));
    if (!strstr(tuff_last_error(), words))
        fail_msg("'%s' does not say '%s'", tuff_last_error(), words);
}

static void test_mismatches(void **state)
{
    static const uint32_t push[32] = {64, 1};
    tuff_device *device = *state;
    tuff_buffer *buffer = create_buffer(device, 4096, TUFF__MEMORY_DEVICE);
    const tuff__dispatch right = {
        .shader = "fill",
        .push_constants = push,
        .push_constants_size = 8,
        .local_size_x = 64,
        .group_count = {1, 1, 1},
        .bindings = {{buffer, 0, 256}},
        .binding_count = 1,
    };
#define REFUSED(change, words)                                                                                         \
    broken = right;                                                                                                    \
    change;                                                                                                            \
    check_refused(device, words)
    REFUSED(broken.shader = "no_such_kernel", "no_such_kernel");
    REFUSED(broken.push_constants_size = 12, "push constants");
    REFUSED(broken.push_constants = NULL, "push constants");
    REFUSED(broken.binding_count = 2, "bindings");
    REFUSED(broken.local_size_x = 1 << 20, "invocations");
    REFUSED(broken.group_count[1] = 0, "workgroup count");
    REFUSED(broken.group_count[0] = UINT32_MAX, "workgroup count");
    REFUSED(broken.bindings[0].buffer = NULL, "no memory");
    REFUSED(broken.bindings[0].offset = 4, "alignment");
    REFUSED(broken.bindings[0].size = 8192, "outside its buffer");
    REFUSED(broken.bindings[0].offset = UINT64_C(1) << 40, "outside its buffer");
    REFUSED((broken.bindings[0].size = UINT64_C(1) << 50), "at once");
#undef REFUSED
    broken = right;
    const tuff_op_call call = {.op = &broken_op, .output_count = 1, .target = &device->target};
    device->backend->program_destroy(create_program(device, &call, 1));
    device->backend->buffer_destroy(buffer);
}

/* -- a lost device, the layer, the cache, host memory ------------------------------------------------------------- */

static void test_lost(void **state)
{
    static const fill_params params = {1};
    tuff_device *device = *state;
    tuff_buffer *buffer = create_buffer(device, 4096, TUFF__MEMORY_DEVICE);
    const tuff_op_call call = fill_call(buffer, 0, 4096, &params);
    tuff__program *program = create_program(device, &call, 1);
    tuff__vk_device_of(device)->lost = true;
    assert_int_equal(device->backend->program_run(program), TUFF_ERROR_DEVICE_LOST);
    assert_int_equal(device->backend->program_run_call(program, 0, NULL), TUFF_ERROR_DEVICE_LOST);
    assert_non_null(strstr(tuff_last_error(), "watchdog"));
    device->backend->program_destroy(program);
    device->backend->buffer_destroy(buffer);
}

static tuff_status run_batches(tuff_device *device, uint32_t count)
{
    static const fill_params params = {1};
    tuff_op_call *calls = malloc(count * sizeof *calls);
    tuff__vk_device_of(device)->time_scale = 1e6;
    tuff_buffer *buffer = create_buffer(device, 256, TUFF__MEMORY_DEVICE);
    for (uint32_t i = 0; i < count; i++)
        calls[i] = fill_call(buffer, 0, 256, &params);
    tuff__program *program = create_program(device, calls, count);
    const tuff_status status = device->backend->program_run(program);
    device->backend->program_destroy(program);
    device->backend->buffer_destroy(buffer);
    free(calls);
    return status;
}

static uint32_t submits_left;

static VKAPI_ATTR VkResult VKAPI_CALL refuse_later(VkQueue queue, uint32_t count, const VkSubmitInfo *batches,
                                                   VkFence fence)
{
    return submits_left-- > 0 ? real_submit(queue, count, batches, fence) : VK_ERROR_OUT_OF_HOST_MEMORY;
}

/* A submit that is refused while earlier ones are in flight: nobody can tell when those are done. */
static void test_refused_submits(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 2; n++) {
        tuff_device *device = create_device();
        tuff__vk_device *vk = tuff__vk_device_of(device);
        real_submit = vk->table.vkQueueSubmit;
        vk->table.vkQueueSubmit = refuse_later;
        submits_left = n;
        assert_int_equal(run_batches(device, 100), n == 0 ? TUFF_ERROR_OUT_OF_HOST_MEMORY : TUFF_ERROR_DEVICE_LOST);
        assert_true(vk->lost == (n > 0) && vk->hung == (n > 0));
        device->backend->device_destroy(device);
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL fail_to_wait(VkDevice device, uint32_t count, const VkFence *fences, VkBool32 all,
                                                   uint64_t timeout)
{
    (void)device, (void)count, (void)fences, (void)all, (void)timeout;
    return VK_ERROR_OUT_OF_HOST_MEMORY;
}

static void test_failed_wait(void **state)
{
    (void)state;
    tuff_device *device = create_device();
    tuff__vk_device *vk = tuff__vk_device_of(device);
    vk->table.vkWaitForFences = fail_to_wait;
    assert_int_equal(run_batches(device, 1), TUFF_ERROR_DEVICE_LOST);
    assert_true(vk->hung);
    device->backend->device_destroy(device);
}

/* A GPU gets a minute and a few times what was planned, however many batches that makes. */
static void test_patience(void **state)
{
    tuff__vk_device *vk = tuff__vk_device_of(*state);
    vk->base.target.software = false;
    assert_true(tuff__vk_patience(vk, 0) == 60);
    assert_true(tuff__vk_patience(vk, 10) > 80 && tuff__vk_patience(vk, 10) < 200);
    vk->base.target.software = true;
    assert_true(tuff__vk_patience(vk, 0) >= 3600);
}

static void ignore_log(void *user, tuff_log_level level, const char *message)
{
    (void)message;
    *(int *)user += level == TUFF_LOG_ERROR;
}

/* The layer is alive: a wrong call is counted and logged. Without that, silence would prove nothing. */
static void test_validation_speaks(void **state)
{
    (void)state;
    tuff_device *device = create_device();
    tuff__vk_device *vk = tuff__vk_device_of(device);
    int errors = 0;
    if (!has_validation) {
        device->backend->device_destroy(device);
        skip();
    }
    assert_non_null(vk->instance.messenger);
    const VkSemaphoreCreateInfo wrong = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkSemaphore semaphore = VK_NULL_HANDLE;
    tuff_set_log(ignore_log, &errors);
    vk->table.vkCreateSemaphore(vk->handle, &wrong, NULL, &semaphore);
    vk->table.vkDestroySemaphore(vk->handle, semaphore, NULL);
    tuff_set_log(NULL, NULL);
    assert_true(errors > 0);
    assert_int_equal(tuff__vk_validation_messages(device), (uint64_t)errors);
    device->backend->device_destroy(device);
}

static void run_one_fill(void)
{
    static const fill_params params = {5};
    tuff_device *device = create_device();
    tuff_buffer *buffer = create_buffer(device, 4096, TUFF__MEMORY_DEVICE);
    const tuff_op_call call = fill_call(buffer, 0, 4096, &params);
    tuff__program *program = create_program(device, &call, 1);
    assert_int_equal(device->backend->program_run(program), TUFF_SUCCESS);
    check_words(buffer, 0, 1024, 5);
    device->backend->program_destroy(program);
    device->backend->buffer_destroy(buffer);
    assert_int_equal(tuff__vk_validation_messages(device), 0);
    device->backend->device_destroy(device);
}

#if defined(__linux__) && defined(TUFF_CBLAS_LIBRARY)
/* The matrix library, which may be the application's too, is opened for a CPU device, and to be named in a list. */
static void test_matrix_library(void **state)
{
    (void)state;
    tuff_device_properties *devices = NULL;
    size_t count = 0;
    tuff_device *device = NULL;
    assert_int_equal(tuff__check_open_device(&(tuff_device_create_info){.device = "vulkan:0"}, &device), 0);
    tuff_device_destroy(device);
    assert_null(dlopen(TUFF_CBLAS_LIBRARY, RTLD_NOW | RTLD_NOLOAD));
    assert_int_equal(tuff_device_list(&devices, &count, NULL), TUFF_SUCCESS);
    assert_string_equal(devices[count - 2].name, "cpu");
    assert_true(devices[count - 2].driver[0] != '\0');
    assert_non_null(dlopen(TUFF_CBLAS_LIBRARY, RTLD_NOW | RTLD_NOLOAD));
    tuff_free(devices);
}
#endif

/* A cache file is written, read, and survives damage of every kind. */
static void test_cache(void **state)
{
    (void)state;
    char folder[512];
    char **names = NULL;
    size_t count = 0;
    if (!tuff__env()->cache_dir)
        skip();
    snprintf(folder, sizeof folder, "%s/pipelines", tuff__env()->cache_dir);
    assert_int_equal(tuff__directory_remove(folder), TUFF_SUCCESS);
    run_one_fill();
    assert_int_equal(tuff__directory_list(folder, &names, &count), TUFF_SUCCESS);
    assert_int_equal(count, 1);
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, names[0]);
    tuff__free(names[0]);
    tuff__free(names);
    run_one_fill();
    tuff__mapped_file file;
    assert_int_equal(tuff__file_map(path, &file), TUFF_SUCCESS);
    const size_t size = file.size;
    unsigned char *whole = malloc(size);
    memcpy(whole, file.data, size);
    tuff__file_unmap(&file);
    const size_t damage[] = {0, 9, 17, 30, 50, size - 1};
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        whole[damage[i]] ^= 0x40;
        tuff__check_write(path, whole, size);
        run_one_fill();
        whole[damage[i]] ^= 0x40;
    }
    tuff__check_write(path, whole, size / 2);
    run_one_fill();
    tuff__check_write(path, "", 0);
    run_one_fill();
    free(whole);
}

/* Whatever allocation fails, the failure is reported and nothing is left over (AddressSanitizer sees that). */
static void test_host_memory(void **state)
{
    (void)state;
    static const fill_params params = {5};
    uint64_t failures = 0;
    for (uint64_t n = 1;; n++) {
        const tuff_device_create_info info = {0};
        tuff_device *device = NULL;
        tuff_buffer *buffer = NULL;
        tuff__program *program = NULL;
        tuff__alloc_fail_at(n);
        tuff_status status = create_first(&info, &device);
        if (status == TUFF_SUCCESS)
            status = device->backend->buffer_create(device, 4096, TUFF__MEMORY_DEVICE, &buffer);
        if (status == TUFF_SUCCESS) {
            const tuff_op_call call = fill_call(buffer, 0, 4096, &params);
            status = device->backend->program_create(device, &call, 1, NULL, &program);
        }
        if (status == TUFF_SUCCESS)
            status = device->backend->program_run_call(program, 0, NULL);
        const bool done = tuff__alloc_count() < n;
        tuff__alloc_fail_at(0);
        if (device) {
            device->backend->program_destroy(program);
            device->backend->buffer_destroy(buffer);
            device->backend->device_destroy(device);
        }
        if (done) {
            assert_int_equal(status, TUFF_SUCCESS);
            break;
        }
        if (status != TUFF_SUCCESS) { /* the cache file's names may be missed without harm */
            assert_int_equal(status, TUFF_ERROR_OUT_OF_HOST_MEMORY);
            failures++;
        }
    }
    assert_true(failures >= 8);
}

int main(void)
{
    static const struct CMUnitTest alone[] = {cmocka_unit_test(test_ranges), cmocka_unit_test(test_quirks),
                                              cmocka_unit_test(test_time_scale)};
    static const struct CMUnitTest tests[] = {
#if defined(__linux__) && defined(TUFF_CBLAS_LIBRARY)
        cmocka_unit_test(test_matrix_library),
#endif
        cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_buffers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_staging, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_suballocation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_buffers_take_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_programs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_programs_staged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_batches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_batches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_batches_of_one_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recut_of_one_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_split, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hazards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mismatches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_patience, set_up, tear_down),
        cmocka_unit_test(test_refused_submits),
        cmocka_unit_test(test_failed_wait),
        cmocka_unit_test(test_validation_speaks),
        cmocka_unit_test(test_cache),
        cmocka_unit_test(test_host_memory),
    };
    const int failed = cmocka_run_group_tests(alone, NULL, NULL);
    tuff_device *device = NULL;
    const int unopened = tuff__check_open_device(&(tuff_device_create_info){.device = "vulkan:0"}, &device);
    if (unopened)
        return failed ? failed : unopened;
    tuff_device_destroy(device);
    const tuff_device_create_info validated = {.enable_validation = true};
    has_validation = create_first(&validated, &device) == TUFF_SUCCESS;
    if (has_validation)
        device->backend->device_destroy(device);
    else
        printf("without the validation layer: %s\n", tuff_last_error());
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
