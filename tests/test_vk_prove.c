/*
 * test_vk_prove.c: the choice among kernel variants on the first Vulkan device (software too): what is remembered, what
 * of it is believed, and what a failure in the middle of a proof leaves behind. It owns the cache folder it is given
 * and is skipped without one, or without a device.
 */
#include "prove.h"
#include "vk/vk_context.h"
#include "vk/vk_pipeline.h"

#include "check.h"
#include "check_file.h"
#include "env.h"

#include <stdio.h>
#include <stdlib.h>

static tuff_device *open_device(void)
{
    tuff_device *device = NULL;
    assert_int_equal(tuff_device_create(&(tuff_device_create_info){.device = "vulkan:0"}, &device), TUFF_SUCCESS);
    return device;
}

static int forget(void **state)
{
    (void)state;
    return tuff__directory_remove(tuff__env()->cache_dir) == TUFF_SUCCESS ? 0 : -1;
}

static tuff_status choose(tuff_device *device, uint32_t *out_variant)
{
    tuff_op_call call = {.op = &tuff__op_matmul, .target = &device->target};
    const tuff_status status = tuff__prove_variant(device, &call);
    *out_variant = call.variant;
    return status;
}

/* The one verdict file; fails where there is another file beside it, but its lock. */
static const char *verdict_file(void)
{
    static char path[1024];
    char **names = NULL;
    size_t count = 0, found = 0;
    assert_int_equal(tuff__directory_list(tuff__env()->cache_dir, &names, &count), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++) {
        if (!strncmp(names[i], "verdicts-", 9) && strcmp(names[i] + strlen(names[i]) - 5, ".lock") != 0) {
            found++;
            snprintf(path, sizeof path, "%s/%s", tuff__env()->cache_dir, names[i]);
            assert_non_null(strstr(names[i], ".txt"));
            assert_null(strstr(names[i], ".txt."));
        }
        tuff__free(names[i]);
    }
    tuff__free(names);
    assert_int_equal(found, 1);
    return path;
}

/* The verdict that the file has of a rung of matmul; 0 where it has none. */
static int verdict_of(const char *variant)
{
    char line[256], wanted[64];
    int verdict = 0;
    snprintf(wanted, sizeof wanted, "matmul %s %%d", variant);
    FILE *file = tuff__file_open(verdict_file(), "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, wanted, strlen(wanted) - 2))
            verdict = atoi(line + strlen(wanted) - 2);
    fclose(file);
    return verdict;
}

static void write_verdict_file(const char *text)
{
    tuff__check_write(verdict_file(), text, strlen(text));
}

/* -- the choice --------------------------------------------------------------------------------------------------- */

static uint32_t chosen_of(double t0, double t1, double t2)
{
    tuff__prover_row rows[] = {{.verdict = t0 < 0 ? TUFF__VERDICT_WRONG : TUFF__VERDICT_PROVEN, .seconds = t0},
                               {.verdict = t1 < 0 ? TUFF__VERDICT_WRONG : TUFF__VERDICT_PROVEN, .seconds = t1},
                               {.verdict = t2 < 0 ? TUFF__VERDICT_UNSUPPORTED : TUFF__VERDICT_PROVEN, .seconds = t2}};
    uint32_t chosen = 99;
    if (!tuff__prover_choose(rows, 3, &chosen))
        return 99;
    for (uint32_t v = 0; v < 3; v++)
        assert_int_equal(rows[v].verdict == TUFF__VERDICT_PROVEN, v == chosen);
    return chosen;
}

/* The highest rung, unless another is clearly faster; noise of a few tens of percent changes nothing. */
static void test_choice(void **state)
{
    (void)state;
    assert_int_equal(chosen_of(1, 0.5, -1), 1);
    assert_int_equal(chosen_of(1, 1.3, -1), 1);
    assert_int_equal(chosen_of(1.3, 1, -1), 1);
    assert_int_equal(chosen_of(1, 1.9, 3.6), 1); /* two steps down may not add up to a slow one */
    assert_int_equal(chosen_of(1, 2.5, -1), 0);
    assert_int_equal(chosen_of(1, -1, -1), 0);
    assert_int_equal(chosen_of(-1, -1, 5), 2);
    assert_int_equal(chosen_of(-1, -1, -1), 99);
}

/* -- the file ----------------------------------------------------------------------------------------------------- */

static void test_remembers(void **state)
{
    (void)state;
    uint32_t first = 99, again = 98;
    tuff_device *device = open_device();
    assert_int_equal(choose(device, &first), TUFF_SUCCESS);
    tuff_device_destroy(device);
    assert_int_equal(verdict_of(tuff__op_matmul.variants[first].name), TUFF__VERDICT_PROVEN);
    device = open_device();
    tuff__vk_device_of(device)->lost = true; /* nothing may be run */
    assert_int_equal(choose(device, &again), TUFF_SUCCESS);
    assert_int_equal(again, first);
    tuff_device_destroy(device);
}

/* The rung that is chosen on a device nothing is known of; no test where that is no processor. */
static uint32_t choose_on_a_processor(void)
{
    uint32_t chosen = 99;
    tuff_device *device = open_device();
    const bool software = device->target.software;
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    tuff_device_destroy(device);
    if (!software)
        skip();
    return chosen;
}

/* Where the rung made for a processor is right, the others cost their compilation alone. */
static void test_proves_no_unneeded_rung(void **state)
{
    (void)state;
    uint32_t chosen = choose_on_a_processor();
    assert_int_equal(chosen, 2);
    assert_int_equal(verdict_of("t0"), TUFF__VERDICT_UNNEEDED);
    assert_int_equal(verdict_of("t0c"), TUFF__VERDICT_PROVEN);
    write_verdict_file("matmul t0 5 0\nmatmul t1 4 0\nmatmul t0c 2 0\n"); /* needed after all */
    tuff_device *device = open_device();
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    assert_int_equal(chosen, 0);
    assert_int_equal(verdict_of("t0"), TUFF__VERDICT_PROVEN);
    tuff_device_destroy(device);
}

/* t1 is not meant for a software device, whatever the file says. */
static void test_believes_no_unsupported_rung(void **state)
{
    (void)state;
    uint32_t chosen = choose_on_a_processor();
    write_verdict_file("matmul t0 3 0.1\nmatmul t1 1 0.01\nmatmul t0c 3 0.1\nnonsense\nmatmul t9 1 1\n");
    tuff_device *device = open_device();
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    assert_int_not_equal(chosen, 1);
    assert_int_equal(verdict_of("t1"), TUFF__VERDICT_UNSUPPORTED);
    tuff_device_destroy(device);
}

/* Two rungs are proven, and who proved them was killed before it chose: its word is not taken for a choice. */
static void test_believes_no_choice_half_made(void **state)
{
    (void)state;
    uint32_t chosen = choose_on_a_processor();
    write_verdict_file("matmul t0 1 0.1 0\nmatmul t1 4 0 0\nmatmul t0c 1 0.1 0\n");
    tuff_device *device = open_device();
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    assert_int_equal(chosen, 2);
    assert_int_equal(verdict_of("t0"), TUFF__VERDICT_UNNEEDED);
    tuff_device_destroy(device);
}

/* -- failures in the middle of a proof ---------------------------------------------------------------------------- */

/* A rung that loses the device is left out at the next start; where that leaves none, all are tried again. */
static void test_a_lost_device_is_remembered(void **state)
{
    (void)state;
    uint32_t chosen = 99;
    tuff_device *device = open_device();
    tuff__vk_device_of(device)->lost = true;
    assert_int_equal(choose(device, &chosen), TUFF_ERROR_DEVICE_LOST);
    tuff_device_destroy(device);
    device = open_device();
    if (device->target.software) /* the highest rung is tried first */
        assert_int_equal(verdict_of("t0c"), TUFF__VERDICT_WRONG);
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    if (device->target.software) { /* it has t0 as well */
        assert_int_equal(chosen, 0);
        assert_int_equal(verdict_of("t0c"), TUFF__VERDICT_WRONG);
    }
    tuff_device_destroy(device);
    write_verdict_file("matmul t0 2 0\nmatmul t1 2 0\nmatmul t0c 2 0\n");
    device = open_device();
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    assert_int_equal(verdict_of(tuff__op_matmul.variants[chosen].name), TUFF__VERDICT_PROVEN);
    tuff_device_destroy(device);
}

/* Too little memory says nothing about a kernel. */
static void test_no_memory_is_no_verdict(void **state)
{
    (void)state;
    uint32_t chosen = 99;
    tuff_device *device = open_device();
    tuff__vk_facts *facts = &tuff__vk_device_of(device)->facts;
    const uint64_t allowed = facts->max_memory_allocation_size;
    facts->max_memory_allocation_size = 0;
    assert_int_equal(choose(device, &chosen), TUFF_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(verdict_of("t0"), 0);
    facts->max_memory_allocation_size = allowed;
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    assert_int_not_equal(verdict_of("t0"), TUFF__VERDICT_WRONG);
    tuff_device_destroy(device);
}

/* Nor does it count as a proof that never ended. */
static void test_no_memory_is_no_attempt(void **state)
{
    (void)state;
    uint32_t chosen = choose_on_a_processor();
    write_verdict_file("matmul t0c 6 0 1\n");
    tuff_device *device = open_device();
    tuff__vk_facts *facts = &tuff__vk_device_of(device)->facts;
    const uint64_t allowed = facts->max_memory_allocation_size;
    facts->max_memory_allocation_size = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(choose(device, &chosen), TUFF_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_int_equal(verdict_of("t0c"), TUFF__VERDICT_PENDING);
    facts->max_memory_allocation_size = allowed;
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    assert_int_equal(chosen, 2);
    tuff_device_destroy(device);
}

static void count_warnings(void *user, tuff_log_level level, const char *message)
{
    *(int *)user += level == TUFF_LOG_WARNING && strstr(message, "verdicts cannot be kept");
}

static void test_a_cache_that_cannot_be_written_is_told_once(void **state)
{
    (void)state;
    int warnings = 0;
    uint32_t chosen = 99;
    tuff__check_write(tuff__env()->cache_dir, "a file", 6); /* where the folder should be */
    tuff_set_log(count_warnings, &warnings);
    tuff_device *device = open_device();
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    tuff_device_destroy(device);
    tuff_set_log(NULL, NULL);
    assert_int_equal(warnings, 1);
    assert_int_equal(tuff__file_remove(tuff__env()->cache_dir), TUFF_SUCCESS);
}

/* -- a process that is killed in the middle of a proof ------------------------------------------------------------ */

static struct {
    PFN_vkCreateBuffer honest;
    char left[2048]; /* what the verdict file held when the first proof began */
    size_t size;
} killed;

static VKAPI_ATTR VkResult VKAPI_CALL keep_verdicts(VkDevice device, const VkBufferCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkBuffer *buffer)
{
    FILE *file = killed.size ? NULL : tuff__file_open(verdict_file(), "r");
    if (file) {
        killed.size = fread(killed.left, 1, sizeof killed.left, file);
        fclose(file);
    }
    return killed.honest(device, info, allocator, buffer);
}

/* Proves, and leaves the file as a kill at the first proof's beginning would have. */
static void choose_and_be_killed(void)
{
    uint32_t chosen = 99;
    tuff_device *device = open_device();
    killed.honest = tuff__vk_device_of(device)->table.vkCreateBuffer;
    killed.size = 0;
    tuff__vk_device_of(device)->table.vkCreateBuffer = keep_verdicts;
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    tuff_device_destroy(device);
    assert_true(killed.size > 0 && killed.size < sizeof killed.left);
    tuff__check_write(verdict_file(), killed.left, killed.size);
}

static struct {
    int warnings;
    char last[512];
} heard;

static void hear_warnings(void *user, tuff_log_level level, const char *message)
{
    (void)user;
    if (level != TUFF_LOG_WARNING)
        return;
    heard.warnings++;
    snprintf(heard.last, sizeof heard.last, "%s", message);
}

/* What is chosen; how many warnings that brings is in `heard`. */
static uint32_t choose_and_listen(void)
{
    uint32_t chosen = 99;
    tuff_device *device = open_device();
    heard.warnings = 0;
    tuff_set_log(hear_warnings, NULL);
    const tuff_status status = choose(device, &chosen);
    tuff_set_log(NULL, NULL);
    assert_int_equal(status, TUFF_SUCCESS);
    tuff_device_destroy(device);
    return chosen;
}

static void test_a_proof_killed_once_is_tried_again(void **state)
{
    const uint32_t wanted = choose_on_a_processor();
    assert_int_equal(forget(state), 0);
    choose_and_be_killed();
    assert_int_equal(verdict_of("t0c"), TUFF__VERDICT_PENDING);
    assert_int_equal(choose_and_listen(), wanted);
    assert_int_equal(heard.warnings, 0);
    assert_int_equal(verdict_of("t0c"), TUFF__VERDICT_PROVEN);
}

/* The reason in words that `tuff devices --prove` gives for t0c of matmul. */
static void check_reason(const char *part)
{
    tuff__prover_row *rows = NULL;
    size_t count = 0, found = 0;
    tuff_device *device = open_device();
    assert_int_equal(tuff__prove_all(device, &rows, &count), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(rows[i].op, "matmul") && !strcmp(rows[i].variant, "t0c"))
            found += strstr(rows[i].reason, part) != NULL;
    tuff__free(rows);
    tuff_device_destroy(device);
    assert_int_equal(found, 1);
}

static void test_a_proof_killed_twice_is_left_out(void **state)
{
    static const char reason[] = "its proof began 2 times and never ended; to try again remove ";
    char wanted[192];
    choose_on_a_processor();
    assert_int_equal(forget(state), 0);
    choose_and_be_killed();
    choose_and_be_killed();
    assert_int_equal(verdict_of("t0c"), TUFF__VERDICT_PENDING); /* to this one that reads it its proof may still run */
    assert_int_equal(choose_and_listen(), 0);
    assert_int_equal(heard.warnings, 1);
    snprintf(wanted, sizeof wanted, "%s%.100s", reason, verdict_file());
    if (!strstr(heard.last, "matmul.t0c: left out") || !strstr(heard.last, wanted))
        fail_msg("'%s' does not tell why, and how to try again", heard.last);
    assert_int_equal(verdict_of("t0c"), TUFF__VERDICT_WRONG);
    assert_int_equal(choose_and_listen(), 0);
    assert_int_equal(heard.warnings, 0);
    check_reason(reason);
    write_verdict_file("matmul t0 6 0 2\nmatmul t0c 6 0 2\n"); /* nothing to lose */
    assert_int_equal(choose_and_listen(), 2);
    assert_int_equal(verdict_of("t0c"), TUFF__VERDICT_PROVEN);
}

/* -- several at once ---------------------------------------------------------------------------------------------- */

enum { CHOOSERS = 3 };

typedef struct meeting {
    tuff__mutex *mutex;
    tuff__condition *condition;
    int count; /* of device objects that are open */
} meeting;

typedef struct chooser {
    meeting *meeting;
    tuff_status opened, status;
    uint32_t chosen;
    bool proved;
    int warnings;
} chooser;

static void count_all_warnings(void *user, tuff_log_level level, const char *message)
{
    (void)message;
    *(int *)user += level <= TUFF_LOG_WARNING;
}

static bool made_pipelines(const tuff__vk_device *vk)
{
    bool made = false;
    for (size_t i = 0; i < tuff__shader_count; i++)
        made = made || (vk->shaders[i].module && !strncmp(tuff__shaders[i].name, "matmul", 6));
    return made;
}

/* Opens a device, waits until all have, and chooses. */
static void choose_in_a_thread(void *user)
{
    chooser *self = user;
    meeting *all = self->meeting;
    tuff_device *device = NULL;
    tuff_set_log(count_all_warnings, &self->warnings);
    self->opened = tuff_device_create(&(tuff_device_create_info){.device = "vulkan:0"}, &device);
    tuff__mutex_lock(all->mutex);
    all->count++;
    tuff__condition_signal_all(all->condition);
    while (all->count < CHOOSERS)
        tuff__condition_wait(all->condition, all->mutex);
    tuff__mutex_unlock(all->mutex);
    if (!device)
        return;
    self->status = choose(device, &self->chosen);
    self->proved = made_pipelines(tuff__vk_device_of(device));
    tuff_device_destroy(device);
}

/* One proves, the others wait for what it finds. */
static void test_device_objects_at_once_choose_alike(void **state)
{
    (void)state;
    meeting all = {.count = 0};
    chooser choosers[CHOOSERS];
    tuff__thread *threads[CHOOSERS];
    int proved = 0;
    assert_int_equal(tuff__mutex_create(&all.mutex), TUFF_SUCCESS);
    assert_int_equal(tuff__condition_create(&all.condition), TUFF_SUCCESS);
    for (int i = 0; i < CHOOSERS; i++) {
        choosers[i] = (chooser){.meeting = &all, .chosen = 99};
        assert_int_equal(tuff__thread_create(choose_in_a_thread, &choosers[i], &threads[i]), TUFF_SUCCESS);
    }
    for (int i = 0; i < CHOOSERS; i++)
        tuff__thread_join(threads[i]);
    for (int i = 0; i < CHOOSERS; i++) {
        assert_int_equal(choosers[i].opened, TUFF_SUCCESS);
        assert_int_equal(choosers[i].status, TUFF_SUCCESS);
        assert_int_equal(choosers[i].chosen, choosers[0].chosen);
        assert_int_equal(choosers[i].warnings, 0);
        proved += choosers[i].proved;
    }
    assert_int_equal(proved, 1);
    tuff__condition_destroy(all.condition);
    tuff__mutex_destroy(all.mutex);
}

/* Who knows the verdicts needs no lock: whoever holds it may take its time. */
static void test_known_verdicts_want_no_lock(void **state)
{
    (void)state;
    uint32_t first = 99, again = 98;
    char path[1024];
    tuff__file_lock *lock = NULL;
    tuff_device *device = open_device();
    assert_int_equal(choose(device, &first), TUFF_SUCCESS);
    tuff_device_destroy(device);
    snprintf(path, sizeof path, "%s", verdict_file());
    snprintf(strrchr(path, '.'), 6, ".lock");
    assert_true(tuff__file_exists(path));
    assert_int_equal(tuff__file_lock_take(path, false, &lock), TUFF_SUCCESS);
    assert_non_null(lock); /* nothing holds it on */
    device = open_device();
    assert_int_equal(choose(device, &again), TUFF_SUCCESS);
    assert_int_equal(again, first);
    tuff_device_destroy(device);
    tuff__file_lock_release(lock);
}

/* -- a kernel that a driver refuses for one graph's sizes -----------------------------------------------------------
 */

static struct {
    PFN_vkCreateComputePipelines honest;
    const tuff__vk_device *device;
    char shader[32]; /* "matmul_t0c": this one, and those whose names go on with '_' */
    bool all;        /* of matmul's */
    int warnings;
} refusal;

static bool is_refused(VkShaderModule module)
{
    const size_t length = strlen(refusal.shader);
    for (size_t i = 0; i < tuff__shader_count; i++) {
        const char *name = tuff__shaders[i].name;
        if (refusal.device->shaders[i].module == module && !strncmp(name, "matmul", 6))
            return refusal.all ||
                   (!strncmp(name, refusal.shader, length) && (name[length] == '\0' || name[length] == '_'));
    }
    return false;
}

static VKAPI_ATTR VkResult VKAPI_CALL refuse_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                       const VkComputePipelineCreateInfo *infos,
                                                       const VkAllocationCallbacks *allocator, VkPipeline *pipelines)
{
    if (is_refused(infos[0].stage.module))
        return VK_ERROR_INITIALIZATION_FAILED;
    return refusal.honest(device, cache, count, infos, allocator, pipelines);
}

static void count_replacements(void *user, tuff_log_level level, const char *message)
{
    (void)user;
    refusal.warnings +=
        level == TUFF_LOG_WARNING && strstr(message, "runs in place of a faster") && strstr(message, refusal.shader);
}

/* Twice [rows, 3]·[3, 2] of ones. */
static tuff_status multiply(tuff_device *device, int64_t rows)
{
    enum { MOST = 40 };
    float ones[MOST * 3], product[MOST * 2] = {0};
    for (size_t i = 0; i < MOST * 3; i++)
        ones[i] = 1;
    tuff_graph *graph = NULL;
    assert_int_equal(tuff_graph_create(device, &graph), TUFF_SUCCESS);
    const tuff_tensor a = tuff_graph_input(graph, "a", TUFF_F32, TUFF_SHAPE(rows, 3));
    const tuff_tensor b = tuff_graph_input(graph, "b", TUFF_F32, TUFF_SHAPE(3, 2));
    const tuff_matmul_info info = {0};
    const tuff_tensor c = tuff_add(graph, tuff_matmul(graph, a, b, &info), tuff_matmul(graph, a, b, &info));
    const tuff_status status = tuff_graph_compile(graph, &c, 1);
    if (status == TUFF_SUCCESS) {
        assert_int_equal(tuff_graph_write(graph, a, ones, (size_t)rows * 12), TUFF_SUCCESS);
        assert_int_equal(tuff_graph_write(graph, b, ones, 24), TUFF_SUCCESS);
        assert_int_equal(tuff_graph_run(graph), TUFF_SUCCESS);
        assert_int_equal(tuff_graph_read(graph, c, product, (size_t)rows * 8), TUFF_SUCCESS);
        for (int64_t i = 0; i < rows * 2; i++)
            assert_true(product[i] == 6);
    }
    tuff_graph_destroy(graph);
    return status;
}

/* A device that knows its rungs and has made no pipeline yet, whose driver refuses that rung's of matmul, or all. */
static tuff_device *open_refusing(const char *rung, bool all)
{
    tuff_device *device = open_device();
    tuff__vk_device *vk = tuff__vk_device_of(device);
    refusal.device = vk;
    refusal.honest = vk->table.vkCreateComputePipelines;
    refusal.all = all;
    refusal.warnings = 0;
    snprintf(refusal.shader, sizeof refusal.shader, "matmul_%s", rung);
    vk->table.vkCreateComputePipelines = refuse_pipelines;
    return device;
}

/* The operator takes its next rung in that graph, which is told once, and keeps its own elsewhere. */
static void test_a_refused_kernel_is_replaced(void **state)
{
    (void)state;
    uint32_t again = 99;
    const uint32_t chosen = choose_on_a_processor();
    tuff_device *device = open_refusing(tuff__op_matmul.variants[chosen].name, false);
    tuff_set_log(count_replacements, NULL);
    assert_int_equal(multiply(device, 40), TUFF_SUCCESS);
    assert_int_equal(multiply(device, 7), TUFF_SUCCESS);
    tuff_set_log(NULL, NULL);
    assert_int_equal(refusal.warnings, 1);
    assert_int_equal(choose(device, &again), TUFF_SUCCESS);
    assert_int_equal(again, chosen);
    assert_int_equal(verdict_of("t0"), TUFF__VERDICT_SLOWER);
    tuff_device_destroy(device);
    assert_int_equal(verdict_of("t0c"), TUFF__VERDICT_PROVEN);
}

/* Where every rung is refused, or the caller insists on the one that is, the driver's answer is the error. */
static void test_no_kernel_left(void **state)
{
    (void)state;
    uint32_t chosen = 99;
    tuff_device *device = open_device();
    assert_int_equal(choose(device, &chosen), TUFF_SUCCESS);
    tuff_device_destroy(device);
    const char *rung = tuff__op_matmul.variants[chosen].name;
    for (int insisting = 0; insisting < 2; insisting++) {
        device = open_refusing(rung, !insisting);
        device->target.kernel_variant = insisting ? rung : NULL;
        assert_int_equal(multiply(device, 40), TUFF_ERROR_FEATURE_NOT_PRESENT);
        if (!strstr(tuff_last_error(), "refused the pipeline of shader 'matmul"))
            fail_msg("'%s' does not tell what was refused", tuff_last_error());
        tuff_device_destroy(device);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test_setup(test_remembers, forget),
        cmocka_unit_test_setup(test_proves_no_unneeded_rung, forget),
        cmocka_unit_test_setup(test_believes_no_unsupported_rung, forget),
        cmocka_unit_test_setup(test_believes_no_choice_half_made, forget),
        cmocka_unit_test_setup(test_a_lost_device_is_remembered, forget),
        cmocka_unit_test_setup(test_no_memory_is_no_verdict, forget),
        cmocka_unit_test_setup(test_no_memory_is_no_attempt, forget),
        cmocka_unit_test_setup(test_a_proof_killed_once_is_tried_again, forget),
        cmocka_unit_test_setup(test_a_proof_killed_twice_is_left_out, forget),
        cmocka_unit_test_setup(test_device_objects_at_once_choose_alike, forget),
        cmocka_unit_test_setup(test_known_verdicts_want_no_lock, forget),
        cmocka_unit_test_setup(test_a_refused_kernel_is_replaced, forget),
        cmocka_unit_test_setup(test_no_kernel_left, forget),
        cmocka_unit_test_setup(test_a_cache_that_cannot_be_written_is_told_once, forget),
    };
    tuff_device *device = NULL;
    if (!tuff__env()->cache_dir ||
        tuff_device_create(&(tuff_device_create_info){.device = "vulkan:0"}, &device) != TUFF_SUCCESS) {
        printf("skipped: %s\n", tuff__env()->cache_dir ? tuff_last_error() : "TUFF_CACHE_DIR is not set");
        return TUFF__SKIPPED;
    }
    tuff_device_destroy(device);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
