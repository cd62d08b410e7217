/* check_golden.h: the golden BERT folders of tests/golden/models: their files, and what transformers computed with
 * them. */
#ifndef TUFF_TESTS_CHECK_GOLDEN_H
#define TUFF_TESTS_CHECK_GOLDEN_H

#include "../runtime/io/json.h"
#include "check_file.h"

#include <math.h>
#include <stdlib.h>

/* "…/golden/models/NAME"; valid until the fourth call from now. */
static inline const char *tuff__golden_folder(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/golden/models/%s", TUFF_TEST_DIR, name);
    return path;
}

static inline tuff__json *tuff__golden_load(const char *name)
{
    char path[560];
    tuff__json *json = NULL;
    snprintf(path, sizeof path, "%s/golden.json", tuff__golden_folder(name));
    if (tuff__json_load(path, NULL, &json) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    return json;
}

/* Every element of `got` is within `allowed` of the array's; NaN is not. */
static inline void tuff__golden_compare(const char *what, size_t row, const float *got, size_t count,
                                        const cJSON *wanted, double allowed)
{
    size_t i = 0, worst = 0;
    double largest = -1, worst_wanted = 0;
    const cJSON *item;
    assert_int_equal(cJSON_GetArraySize(wanted), count);
    cJSON_ArrayForEach(item, wanted)
    {
        const double difference = fabs((double)got[i] - item->valuedouble);
        if (!(difference <= largest)) {
            largest = difference;
            worst = i;
            worst_wanted = item->valuedouble;
        }
        i++;
    }
    if (!(largest <= allowed))
        fail_msg("%s, row %zu: worst at %zu: got %.9g, want %.9g, allowed %g", what, row, worst, (double)got[worst],
                 worst_wanted, allowed);
}

/* Copies a golden folder's files into the test's folder, so that one can be broken. Returns the copy's path. */
static inline const char *tuff__golden_copy(const char *name, const char *copy)
{
    const char *folder = tuff__golden_folder(name), *target = tuff__check_path(copy);
    char **names = NULL, from[600], to[600];
    size_t count = 0;
    assert_int_equal(tuff__directory_create(target), TUFF_SUCCESS);
    assert_int_equal(tuff__directory_list(folder, &names, &count), TUFF_SUCCESS);
    for (size_t i = 0; i < count; i++) {
        tuff__mapped_file file;
        snprintf(from, sizeof from, "%s/%s", folder, names[i]);
        snprintf(to, sizeof to, "%s/%s", target, names[i]);
        if (!tuff__is_directory(from)) {
            assert_int_equal(tuff__file_map(from, &file), TUFF_SUCCESS);
            tuff__check_write(to, file.data, file.size);
            tuff__file_unmap(&file);
        }
        tuff__free(names[i]);
    }
    tuff__free(names);
    return target;
}

#endif
