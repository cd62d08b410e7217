/* check_file.h: what the tests of files share: a folder of their own, files written and read, messages compared. */
#ifndef TUFF_TESTS_CHECK_FILE_H
#define TUFF_TESTS_CHECK_FILE_H

#include "../runtime/alloc.h"
#include "../runtime/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* "test_json.tmp-123" in the working directory: setup makes it, teardown removes it. */
static char tuff__check_folder[64];

static inline int tuff__check_folder_create(const char *test)
{
    snprintf(tuff__check_folder, sizeof tuff__check_folder, "%s.tmp-%llu", test,
             (unsigned long long)tuff__process_id());
    return tuff__directory_create(tuff__check_folder) == TUFF_SUCCESS ? 0 : -1;
}

static inline int tuff__check_folder_remove(void **state)
{
    (void)state;
    return tuff__directory_remove(tuff__check_folder) == TUFF_SUCCESS ? 0 : -1;
}

/* A path in the test's folder; valid until the fourth call from now. */
static inline const char *tuff__check_path(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", tuff__check_folder, name);
    return path;
}

static inline void tuff__check_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = tuff__file_open(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void tuff__check_write_text(const char *path, const char *text)
{
    tuff__check_write(path, text, strlen(text));
}

static inline void tuff__check_content(const char *path, const char *text)
{
    tuff__mapped_file file;
    assert_int_equal(tuff__file_map(path, &file), TUFF_SUCCESS);
    assert_int_equal(file.size, strlen(text));
    assert_memory_equal(file.data, text, file.size);
    tuff__file_unmap(&file);
}

/* The whole file, a NUL behind it; free with tuff__free. */
static inline char *tuff__check_read_text(const char *path)
{
    tuff__mapped_file file;
    if (tuff__file_map(path, &file) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    char *text = tuff__strndup((const char *)file.data, file.size);
    assert_non_null(text);
    tuff__file_unmap(&file);
    return text;
}

static inline void tuff__check_equal_files(const char *one, const char *two)
{
    tuff__mapped_file a, b;
    assert_int_equal(tuff__file_map(one, &a), TUFF_SUCCESS);
    assert_int_equal(tuff__file_map(two, &b), TUFF_SUCCESS);
    if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0)
        fail_msg("%s and %s differ", one, two);
    tuff__file_unmap(&a);
    tuff__file_unmap(&b);
}

/* The latest failure is of `wanted` status and says `part`. */
static inline void tuff__check_failed(tuff_status status, tuff_status wanted, const char *part)
{
    if (status != wanted || !strstr(tuff_last_error(), part))
        fail_msg("%s: \"%s\", wanted %s with \"%s\"", tuff_status_name(status), tuff_last_error(),
                 tuff_status_name(wanted), part);
}

#endif
