/* test_blas.c: both matrix products of the CPU device against sums in double, that no CPU with AVX-512 is taken for an
 * older one, and that an application with the same library finds it as it was. */
#define _DEFAULT_SOURCE /* alarm, setenv */
#include "../runtime/alloc.h"
#include "../runtime/cpu/blas.h"
#include "../runtime/os.h"
#include "check.h"

#include "tuff/tuff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <dlfcn.h>
#include <sys/resource.h>
#include <unistd.h>
#endif
#if defined(__linux__) && defined(TUFF_CBLAS_LIBRARY)
#define SHARES_LIBRARY 1
#else
#define SHARES_LIBRARY 0
#endif

typedef void (*sgemm_function)(const tuff__sgemm_call *call);

static uint32_t random_state = 1;

static float random_float(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) * (2.0f / 16777216.0f) - 1.0f;
}

static float *random_array(int64_t count)
{
    float *array = tuff__malloc((size_t)count * sizeof *array);
    assert_non_null(array);
    for (int64_t i = 0; i < count; i++)
        array[i] = random_float();
    return array;
}

static void check_element(const tuff__sgemm_call *call, const float *before, int64_t i, int64_t j)
{
    double sum = 0, terms = 0;
    for (int64_t p = 0; p < call->k; p++) {
        const float a = call->transpose_a ? call->a[p * call->lda + i] : call->a[i * call->lda + p];
        const float b = call->transpose_b ? call->b[j * call->ldb + p] : call->b[p * call->ldb + j];
        sum += (double)a * (double)b;
        terms += fabs((double)a * (double)b);
    }
    double want = (double)call->alpha * sum;
    if (call->beta != 0)
        want += (double)call->beta * (double)before[i * call->ldc + j];
    const double got = (double)call->c[i * call->ldc + j];
    /* One rounding a term at most, each at most half a unit of the sum of the magnitudes. */
    const double allowed = ldexp((double)(call->k + 4) * (fabs((double)call->alpha) * terms + fabs(want)), -24);
    if (!(fabs(got - want) <= allowed))
        fail_msg("%lldx%lldx%lld transposes %d %d: [%lld, %lld] is %.9g, wanted %.9g +- %.2g", (long long)call->m,
                 (long long)call->n, (long long)call->k, call->transpose_a, call->transpose_b, (long long)i,
                 (long long)j, got, want, allowed);
}

static void check_product(sgemm_function sgemm, int64_t m, int64_t n, int64_t k, int transposes, float beta)
{
    const int64_t gap = 3; /* between the rows, which must stay as they are */
    tuff__sgemm_call call = {.transpose_a = (transposes & 1) != 0,
                             .transpose_b = (transposes & 2) != 0,
                             .m = m,
                             .n = n,
                             .k = k,
                             .alpha = 0.75f,
                             .beta = beta,
                             .ldc = n + gap};
    call.lda = (call.transpose_a ? m : k) + gap;
    call.ldb = (call.transpose_b ? k : n) + gap;
    float *a = random_array((call.transpose_a ? k : m) * call.lda + 1);
    float *b = random_array((call.transpose_b ? n : k) * call.ldb + 1);
    float *before = random_array(m * call.ldc), *c = random_array(m * call.ldc);
    if (beta == 0)
        before[0] = NAN;
    memcpy(c, before, (size_t)(m * call.ldc) * sizeof *c);
    call.a = a;
    call.b = b;
    call.c = c;
    sgemm(&call);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++)
            check_element(&call, before, i, j);
        assert_memory_equal(c + i * call.ldc + n, before + i * call.ldc + n, (size_t)gap * sizeof *c);
    }
    tuff__free(a);
    tuff__free(b);
    tuff__free(before);
    tuff__free(c);
}

static void check_products(sgemm_function sgemm)
{
    const int64_t sizes[][3] = {{1, 1, 1},     {1, 33, 7},     {5, 1, 3},    {12, 32, 192},
                                {13, 33, 193}, {11, 31, 191},  {72, 64, 40}, {73, 65, 129},
                                {71, 63, 385}, {145, 17, 257}, {3, 5, 0}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int transposes = 0; transposes < 4; transposes++)
            for (int beta = 0; beta < 3; beta++)
                check_product(sgemm, sizes[s][0], sizes[s][1], sizes[s][2], transposes, (float)beta / 2);
}

static void test_library(void **state)
{
    (void)state;
    tuff__blas_take();
    check_products(tuff__sgemm);
    tuff__blas_give_back();
}

static void test_own_loops(void **state)
{
    (void)state;
    check_products(tuff__sgemm_own);
}

static void test_same_bits_again(void **state)
{
    (void)state;
    const int64_t n = 97;
    float *a = random_array(n * n), *b = random_array(n * n), *c = random_array(n * n), *again = random_array(n * n);
    tuff__sgemm_call call = {.m = n, .n = n, .k = n, .alpha = 1, .a = a, .lda = n, .b = b, .ldb = n, .c = c, .ldc = n};
    tuff__blas_take();
    tuff__sgemm(&call);
    call.c = again;
    tuff__sgemm(&call);
    tuff__blas_give_back();
    assert_memory_equal(c, again, (size_t)(n * n) * sizeof *c);
    tuff__free(a);
    tuff__free(b);
    tuff__free(c);
    tuff__free(again);
}

/* As a linear layer's, cut into 1 to 5 parts. (OpenBLAS takes other kernels for a small product of which nothing is
 * transposed, so that its bits depend on the size of the parts.) */
enum { DEEP = 384, WIDE = 65, TALL = 1300 };

static void multiply_on(uint32_t threads, const float *a, const float *b, float *out)
{
    tuff_device *device = NULL;
    tuff_graph *graph = NULL;
    const tuff_device_create_info info = {.device = "cpu", .thread_count = threads};
    assert_int_equal(tuff_device_create(&info, &device), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_create(device, &graph), TUFF_SUCCESS);
    const tuff_tensor x = tuff_graph_input(graph, "a", TUFF_F32, TUFF_SHAPE(TALL, DEEP));
    const tuff_tensor y = tuff_graph_input(graph, "b", TUFF_F32, TUFF_SHAPE(WIDE, DEEP));
    const tuff_tensor product = tuff_matmul(graph, x, y, &(tuff_matmul_info){.transpose_b = true});
    assert_int_equal(tuff_graph_compile(graph, &product, 1), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_write(graph, x, a, TALL * DEEP * sizeof *a), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_write(graph, y, b, DEEP * WIDE * sizeof *b), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_run(graph), TUFF_SUCCESS);
    assert_int_equal(tuff_graph_read(graph, product, out, TALL * WIDE * sizeof *out), TUFF_SUCCESS);
    tuff_graph_destroy(graph);
    tuff_device_destroy(device);
}

static void test_same_bits_on_any_threads(void **state)
{
    (void)state;
    float *a = random_array(TALL * DEEP), *b = random_array(DEEP * WIDE);
    float *want = random_array(TALL * WIDE), *got = random_array(TALL * WIDE);
    multiply_on(1, a, b, want);
    for (uint32_t threads = 2; threads <= 5; threads++) {
        multiply_on(threads, a, b, got);
        assert_memory_equal(got, want, TALL * WIDE * sizeof *got);
    }
    tuff__free(a);
    tuff__free(b);
    tuff__free(want);
    tuff__free(got);
}

#if defined(__linux__) && !SANITIZED
/* OpenBLAS waits for ever for a work buffer that it does not get: all threads have theirs once it is loaded, and
 * multiply where there is no more memory. */
static void test_no_room_after_loading(void **state)
{
    (void)state;
    float *a = random_array(TALL * DEEP), *b = random_array(DEEP * WIDE);
    float *want = random_array(TALL * WIDE), *got = random_array(TALL * WIDE);
    tuff__blas_name();
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    const rlim_t little = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)24 << 20);
    assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){.rlim_cur = little, .rlim_max = before.rlim_max}), 0);
    alarm(60);
    multiply_on(tuff__cpu_count() > 1 ? 2 : 1, a, b, got); /* as many as have theirs */
    alarm(0);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    multiply_on(1, a, b, want);
    assert_memory_equal(got, want, TALL * WIDE * sizeof *got);
    tuff__free(a);
    tuff__free(b);
    tuff__free(want);
    tuff__free(got);
}
#endif

#if SHARES_LIBRARY
static tuff_device *create(const char *name)
{
    tuff_device *device = NULL;
    const tuff_device_create_info info = {.device = name, .thread_count = 2};
    if (tuff_device_create(&info, &device) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    return device;
}

static bool is_loaded(void)
{
    return dlopen(TUFF_CBLAS_LIBRARY, RTLD_NOW | RTLD_NOLOAD) != NULL;
}

static void test_loaded_for_the_cpu_device_alone(void **state)
{
    (void)state;
    const char *const names[] = {"OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE"};
    char before[2][32] = {"", ""};
    assert_false(is_loaded());
    tuff_device_destroy(create("reference"));
    assert_false(is_loaded());
    for (int i = 0; i < 2; i++)
        if (getenv(names[i]))
            snprintf(before[i], sizeof before[i], "%s", getenv(names[i]));
    tuff_device_destroy(create("cpu"));
    assert_true(is_loaded());
    for (int i = 0; i < 2; i++)
        assert_string_equal(getenv(names[i]) ? getenv(names[i]) : "", before[i]);
}

typedef struct library_threads {
    int (*get)(void);
    void (*set)(int count);
} library_threads;

/* As an application that has opened the library itself. NULL functions where it has no number for the process. */
static library_threads open_as_application(void)
{
    library_threads threads = {NULL, NULL};
    void *library = dlopen(TUFF_CBLAS_LIBRARY, RTLD_NOW);
    assert_non_null(library);
    void *get = dlsym(library, "openblas_get_num_threads"), *set = dlsym(library, "openblas_set_num_threads");
    memcpy(&threads.get, &get, sizeof get);
    memcpy(&threads.set, &set, sizeof set);
    return threads;
}

static void test_threads_are_put_back(void **state)
{
    (void)state;
    const library_threads threads = open_as_application();
    if (!threads.get || !threads.set || dlsym(RTLD_DEFAULT, "omp_set_num_threads"))
        skip();
    const int at_first = threads.get();
    threads.set(3);
    tuff_device *first = create("cpu"), *second = create("cpu");
    assert_int_equal(threads.get(), 1);
    tuff_device_destroy(first);
    assert_int_equal(threads.get(), 1);
    tuff_device_destroy(second);
    assert_int_equal(threads.get(), 3);
    first = create("cpu");
    threads.set(2); /* chosen anew: ours again for the next device, the application's after the last */
    second = create("cpu");
    assert_int_equal(threads.get(), 1);
    tuff_device_destroy(first);
    tuff_device_destroy(second);
    assert_int_equal(threads.get(), 2);
    first = create("cpu");
    threads.set(3);
    tuff_device_destroy(first);
    assert_int_equal(threads.get(), 3);
    threads.set(at_first);
}

static void test_threads_of_no_device(void **state)
{
    (void)state;
    const library_threads threads = open_as_application();
    if (!threads.get || !threads.set)
        skip();
    const int at_first = threads.get();
    threads.set(3);
    assert_true(tuff__blas_name()[0] != '\0'); /* as in a list of devices */
    tuff_status status = TUFF_ERROR_OUT_OF_HOST_MEMORY;
    for (uint64_t n = 1; status != TUFF_SUCCESS; n++) { /* a device that fails gives it back too */
        tuff_device *device = NULL;
        assert_int_equal(threads.get(), 3);
        tuff__alloc_fail_at(n);
        status = tuff_device_create(&(tuff_device_create_info){.device = "cpu"}, &device);
        tuff__alloc_fail_at(0);
        tuff_device_destroy(device);
    }
    assert_int_equal(threads.get(), 3);
    threads.set(at_first);
}
#endif

static void test_kernel_fits_the_processor(void **state)
{
    (void)state;
    const char *name = tuff__blas_name();
    print_message("matrix products: %s\n", name);
    assert_true(name[0] != '\0');
#if defined(__GNUC__) && defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
        assert_null(strstr(name, "Haswell"));
        assert_null(strstr(name, "Zen"));
    }
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#if SHARES_LIBRARY
        cmocka_unit_test(test_loaded_for_the_cpu_device_alone), /* before any other CPU device */
#endif
#if defined(__linux__) && !SANITIZED
        cmocka_unit_test(test_no_room_after_loading), /* now: no product has made OpenBLAS take its memory */
#endif
        cmocka_unit_test(test_library),
        cmocka_unit_test(test_own_loops),
        cmocka_unit_test(test_same_bits_again),
        cmocka_unit_test(test_same_bits_on_any_threads),
#if SHARES_LIBRARY
        cmocka_unit_test(test_threads_are_put_back),
        cmocka_unit_test(test_threads_of_no_device),
#endif
        cmocka_unit_test(test_kernel_fits_the_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
