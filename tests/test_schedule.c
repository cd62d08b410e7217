/* test_schedule.c: learning rates against transformers' (golden/train/schedule.txt), warm-up counts, bias corrections,
 * and the order of rows. */
#include "../runtime/train/metrics.h"
#include "../runtime/train/schedule.h"

#include "check_file.h"

#include <math.h>
#include <stdlib.h>

static tuff_lr_scheduler_type type_of(const char *name)
{
    for (int type = 0; tuff__lr_scheduler_name((tuff_lr_scheduler_type)type); type++)
        if (!strcmp(tuff__lr_scheduler_name((tuff_lr_scheduler_type)type), name))
            return (tuff_lr_scheduler_type)type;
    fail_msg("no scheduler is called %s", name);
    return TUFF_LR_SCHEDULER_LINEAR;
}

static void test_rates(void **state)
{
    (void)state;
    FILE *file = tuff__file_open(TUFF_TEST_DIR "/golden/train/schedule.txt", "rb");
    assert_non_null(file);
    char line[256], name[64];
    size_t count = 0;
    while (fgets(line, sizeof line, file)) {
        double rate, wanted;
        unsigned long long warmup, total, step;
        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%63s %lf %llu %llu %llu %lf", name, &rate, &warmup, &total, &step, &wanted), 6);
        const tuff__schedule schedule = {type_of(name), rate, warmup, total};
        const double got = tuff__schedule_rate(&schedule, step);
        if (!(fabs(got - wanted) <= 4e-16 * rate))
            fail_msg("%s lr %g warm-up %llu of %llu, step %llu: got %.17g, want %.17g", name, rate, warmup, total, step,
                     got, wanted);
        count++;
    }
    fclose(file);
    assert_int_equal(count, 69);
}

static void test_warmup_steps(void **state)
{
    (void)state;
    assert_int_equal(tuff__warmup_steps(0, 0, 100), 0);
    assert_int_equal(tuff__warmup_steps(7, 0.5, 100), 7); /* a count goes before the ratio */
    assert_int_equal(tuff__warmup_steps(1, 0, 100), 1);
    assert_int_equal(tuff__warmup_steps(0.25, 0, 99), 25); /* rounded up */
    assert_int_equal(tuff__warmup_steps(0, 0.1, 101), 11);
}

static void test_step_parameters(void **state)
{
    (void)state;
    const tuff_step_parameters first = tuff__step_parameters(UINT64_C(0x123456789ABCDEF0), 0, 5e-5, 0.9, 0.999);
    assert_int_equal(first.seed[0], 0x9ABCDEF0);
    assert_int_equal(first.seed[1], 0x12345678);
    assert_int_equal(first.step, 0);
    assert_true(first.learning_rate == 5e-5F);
    assert_true(first.bias_correction1 == 0.1F);
    assert_true(first.bias_correction2_sqrt == (float)sqrt(1 - 0.999));
    const tuff_step_parameters later = tuff__step_parameters(0, 99, 0, 0.9, 0.999);
    assert_int_equal(later.step, 99);
    assert_true(later.bias_correction1 == (float)(1 - pow(0.9, 100)));
}

/* -- order -------------------------------------------------------------------------------------------------------- */

static void test_order_is_a_permutation(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 2, 3, 4, 5, 31, 257, 1000};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        uint32_t rows[1000];
        bool seen[1000] = {false};
        tuff__shuffled_rows(42, 3, rows, counts[c]);
        for (uint32_t i = 0; i < counts[c]; i++) {
            assert_true(rows[i] < counts[c]);
            assert_false(seen[rows[i]]);
            seen[rows[i]] = true;
        }
    }
}

static void test_order_depends_on_seed_and_epoch(void **state)
{
    (void)state;
    uint32_t a[64], b[64];
    tuff__shuffled_rows(42, 0, a, 64);
    tuff__shuffled_rows(42, 0, b, 64);
    assert_memory_equal(a, b, sizeof a);
    tuff__shuffled_rows(42, 1, b, 64);
    assert_memory_not_equal(a, b, sizeof a);
    tuff__shuffled_rows(43, 0, b, 64);
    assert_memory_not_equal(a, b, sizeof a);
    tuff__shuffled_rows(42 + (UINT64_C(1) << 32), 0, b, 64);
    assert_memory_not_equal(a, b, sizeof a);
}

/* The order is part of what "equal arguments, equal files" promises, so it may not change by accident. */
static void test_order_is_what_it_was(void **state)
{
    (void)state;
    uint32_t rows[8];
    tuff__shuffled_rows(42, 0, rows, 8);
    static const uint32_t wanted[8] = {0, 2, 5, 3, 6, 1, 7, 4};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(rows[i], wanted[i]);
}

/* Each of the 24 orders of 4 rows is equally likely: 24,000 epochs, expected 1,000 each, deviation 31. */
static void test_order_is_uniform(void **state)
{
    (void)state;
    unsigned counts[256] = {0}, orders = 0;
    for (uint32_t epoch = 0; epoch < 24000; epoch++) {
        uint32_t rows[4];
        tuff__shuffled_rows(7, epoch, rows, 4);
        counts[rows[0] | rows[1] << 2 | rows[2] << 4 | rows[3] << 6]++;
    }
    for (size_t i = 0; i < 256; i++) {
        if (counts[i] == 0)
            continue;
        orders++;
        assert_true(counts[i] >= 1000 - 155 && counts[i] <= 1000 + 155);
    }
    assert_int_equal(orders, 24);
}

/* -- metrics ------------------------------------------------------------------------------------------------------ */

/* scikit-learn on these rows: accuracy 0.5714285714285714, f1_score(average="macro") 0.3666666666666667 (labels 0, 1, 2
 * and 3 occur; 4 does not). */
static void test_metrics(void **state)
{
    (void)state;
    static const int32_t labels[] = {0, 0, 1, 1, 1, 2, 0, -100}, predictions[] = {0, 0, 1, 1, 3, 0, 2, 4};
    tuff__metrics metrics = {0};
    assert_int_equal(tuff__metrics_create(&metrics, 5, 0), TUFF_SUCCESS);
    assert_true(tuff__metrics_accuracy(&metrics) == 0 && tuff__metrics_macro_f1(&metrics) == 0);
    for (size_t i = 0; i < 8; i++) {
        float logits[5] = {0};
        logits[predictions[i]] = 2;
        tuff__metrics_add(&metrics, logits, &labels[i], 1);
    }
    assert_int_equal(metrics.row_count, 7);
    assert_true(fabs(tuff__metrics_accuracy(&metrics) - 4.0 / 7) < 1e-15);
    assert_true(fabs(tuff__metrics_macro_f1(&metrics) - 11.0 / 30) < 1e-15);
    const double right = log(exp(2.0) + 4) - 2, wrong = log(exp(2.0) + 4);
    assert_true(fabs(tuff__metrics_loss(&metrics) - (4 * right + 3 * wrong) / 7) < 1e-14);
    tuff__metrics_destroy(&metrics);
}

/* Logits beyond what exp can take give the loss they have. */
static void test_metrics_of_large_logits(void **state)
{
    (void)state;
    const float logits[] = {1e4F, -1e4F};
    const int32_t label = 1;
    tuff__metrics metrics = {0};
    assert_int_equal(tuff__metrics_create(&metrics, 2, 0), TUFF_SUCCESS);
    tuff__metrics_add(&metrics, logits, &label, 1);
    assert_true(tuff__metrics_loss(&metrics) == 2e4);
    tuff__metrics_destroy(&metrics);
}

/* torch.nn.functional.cross_entropy in float64 on these rows; transformers' LabelSmoother, which sums in float32, gives
 * 3.0450776631 and 2.9117443335. */
static void test_metrics_with_label_smoothing(void **state)
{
    (void)state;
    static const struct {
        double label_smoothing, loss;
    } rows[] = {{0.1, 3.045077653721066}, {0.3, 2.9117443203877325}};
    static const float logits[] = {0.5F, -1.25F, 2, 3, 0, -0.5F, 1, 1, 1, -2, 4, 0.25F};
    static const int32_t labels[] = {2, 1, -100, 0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tuff__metrics metrics = {0};
        assert_int_equal(tuff__metrics_create(&metrics, 3, rows[i].label_smoothing), TUFF_SUCCESS);
        tuff__metrics_add(&metrics, logits, labels, 4);
        assert_true(fabs(tuff__metrics_loss(&metrics) - rows[i].loss) < 1e-14);
        tuff__metrics_destroy(&metrics);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_warmup_steps),
        cmocka_unit_test(test_step_parameters),
        cmocka_unit_test(test_order_is_a_permutation),
        cmocka_unit_test(test_order_depends_on_seed_and_epoch),
        cmocka_unit_test(test_order_is_what_it_was),
        cmocka_unit_test(test_order_is_uniform),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_metrics_of_large_logits),
        cmocka_unit_test(test_metrics_with_label_smoothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
