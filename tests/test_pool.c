/* test_pool.c: every index runs once, whatever the number of threads, and jobs follow each other without mixing. */
#include "../runtime/alloc.h"
#include "../runtime/cpu/cpu_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_COUNT = 1000 };

typedef struct visit_job {
    uint32_t visits[MAX_COUNT];
    uint32_t threads[MAX_COUNT];
} visit_job;

static void visit(void *user, size_t index, uint32_t thread)
{
    visit_job *job = user;
    job->visits[index]++;
    job->threads[index] = thread;
}

static void test_every_index_once(void **state)
{
    (void)state;
    const uint32_t thread_counts[] = {1, 2, 3, 7};
    const size_t counts[] = {0, 1, 2, 3, 31, 1000};
    for (size_t t = 0; t < sizeof thread_counts / sizeof *thread_counts; t++) {
        tuff__pool *pool = NULL;
        assert_int_equal(tuff__pool_create(thread_counts[t], &pool), TUFF_SUCCESS);
        assert_int_equal(tuff__pool_thread_count(pool), thread_counts[t]);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            visit_job job = {{0}, {0}};
            tuff__pool_run(pool, counts[c], visit, &job);
            for (size_t i = 0; i < MAX_COUNT; i++)
                assert_int_equal(job.visits[i], i < counts[c] ? 1 : 0);
            for (size_t i = 0; i < counts[c]; i++)
                assert_true(job.threads[i] < thread_counts[t]);
        }
        tuff__pool_destroy(pool);
    }
}

static void test_many_short_jobs(void **state)
{
    (void)state;
    tuff__pool *pool = NULL;
    assert_int_equal(tuff__pool_create(3, &pool), TUFF_SUCCESS);
    visit_job job = {{0}, {0}};
    const uint32_t rounds = 20000;
    for (uint32_t round = 0; round < rounds; round++)
        tuff__pool_run(pool, 5, visit, &job);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(job.visits[i], rounds);
    tuff__pool_destroy(pool);
}

static void visit_range(void *user, int64_t first, int64_t last)
{
    visit_job *job = user;
    assert_true(first < last);
    for (int64_t i = first; i < last; i++) {
        job->visits[i]++;
        job->threads[i] = (uint32_t)(last - first);
    }
}

static void test_ranges(void **state)
{
    (void)state;
    const int64_t grains[] = {0, 1, 7, 100, 5000};
    tuff__pool *pool = NULL;
    assert_int_equal(tuff__pool_create(2, &pool), TUFF_SUCCESS);
    for (size_t g = 0; g < sizeof grains / sizeof *grains; g++)
        for (int64_t count = 0; count <= MAX_COUNT; count += count < 40 ? 1 : 96) {
            visit_job job = {{0}, {0}};
            tuff__pool_run_range(pool, count, grains[g], visit_range, &job);
            for (int64_t i = 0; i < MAX_COUNT; i++)
                assert_int_equal(job.visits[i], i < count ? 1 : 0);
            for (int64_t i = 0; i < count; i++)
                assert_true(job.threads[i] >= (uint32_t)(grains[g] < count ? grains[g] : count));
        }
    tuff__pool_destroy(pool);
}

static void test_no_pool(void **state)
{
    (void)state;
    visit_job job = {{0}, {0}};
    tuff__pool_run(NULL, 10, visit, &job);
    tuff__pool_run_range(NULL, 10, 1, visit_range, &job);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(job.visits[i], 2);
    assert_int_equal(tuff__pool_thread_count(NULL), 1);
    tuff__pool_destroy(NULL);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    tuff__alloc_fail_at(0);
    tuff__pool *pool = NULL;
    assert_int_equal(tuff__pool_create(3, &pool), TUFF_SUCCESS);
    tuff__pool_destroy(pool);
    const uint64_t allocations = tuff__alloc_count();
    for (uint64_t n = 1; n <= allocations; n++) {
        tuff__alloc_fail_at(n);
        assert_int_not_equal(tuff__pool_create(3, &pool), TUFF_SUCCESS);
        assert_null(pool);
    }
    tuff__alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_index_once), cmocka_unit_test(test_many_short_jobs), cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_no_pool),          cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
