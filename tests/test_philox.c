/* test_philox.c: Philox4x32-10 against the known-answer vectors of Random123 (Salmon et al. 2011), and how dropout uses
 * it: thresholds, scales, the share of kept elements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ops/philox.h"

typedef struct known_answer {
    uint32_t counter[4], key[2], words[4];
} known_answer;

static void test_known_answers(void **state)
{
    (void)state;
    static const known_answer answers[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u}},
        {{0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu},
         {0xFFFFFFFFu, 0xFFFFFFFFu},
         {0x408F276Du, 0x41C83B0Eu, 0xA20BC7C6u, 0x6D5451FDu}},
        {{0x243F6A88u, 0x85A308D3u, 0x13198A2Eu, 0x03707344u},
         {0xA4093822u, 0x299F31D0u},
         {0xD16CFE09u, 0x94FDCCEBu, 0x5001E420u, 0x24126EA1u}},
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const tuff__philox_words words = tuff__philox(answers[i].counter, answers[i].key);
        for (int w = 0; w < 4; w++)
            assert_int_equal(words.word[w], answers[i].words[w]);
    }
}

static void test_dropout_words(void **state)
{
    (void)state;
    const uint32_t seed[2] = {1, 2}, counter[4] = {7, 3, 9, 0}, far_counter[4] = {7, 3, 9, 5};
    const tuff__philox_words near = tuff__dropout_words(7, 3, 9, seed), want_near = tuff__philox(counter, seed);
    const tuff__philox_words far = tuff__dropout_words((UINT64_C(5) << 32) + 7, 3, 9, seed),
                             want_far = tuff__philox(far_counter, seed);
    assert_memory_equal(&near, &want_near, sizeof near);
    assert_memory_equal(&far, &want_far, sizeof far);
}

static void test_thresholds(void **state)
{
    (void)state;
    assert_int_equal(tuff__dropout_threshold(0.0F), 0);
    assert_int_equal(tuff__dropout_threshold(0.5F), 0x80000000u);
    assert_int_equal(tuff__dropout_threshold(0x1p-40F), 1); /* word 0 is below every p·2³² but 0 */
    assert_int_equal(tuff__dropout_threshold(0.99999994F), 0xFFFFFF00u);
    assert_true(tuff__dropout_scale(0.0F) == 1.0F);
    assert_true(tuff__dropout_scale(0.5F) == 2.0F);
}

static void test_kept_share(void **state)
{
    (void)state;
    enum { BLOCKS = 250000 };
    const uint32_t seed[2] = {42, 0}, threshold = tuff__dropout_threshold(0.1F);
    int64_t kept = 0;
    for (uint64_t block = 0; block < BLOCKS; block++) {
        const tuff__philox_words words = tuff__dropout_words(block, 0, 0, seed);
        for (int w = 0; w < 4; w++)
            kept += words.word[w] >= threshold;
    }
    /* A million trials: the deviation of the share is 3e-4; five of them are allowed. */
    assert_true(fabs((double)kept / (4.0 * BLOCKS) - 0.9) < 1.5e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_dropout_words),
        cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_kept_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
