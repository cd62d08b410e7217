/* test_os.c: what every system's os_*.c must do alike. */
#include "../runtime/env.h"

#include "check_file.h"

#include <signal.h>
#include <stdlib.h>
#ifdef __unix__
#include "../runtime/os_cgroup.h"

#include <unistd.h>
#endif

/* -- threads ------------------------------------------------------------------------------------------------------ */

typedef struct counter {
    tuff__mutex *mutex;
    tuff__condition *condition;
    int value, target;
} counter;

static void count_up(void *user)
{
    counter *shared = user;
    for (int i = 0; i < 1000; i++) {
        tuff__mutex_lock(shared->mutex);
        shared->value++;
        tuff__condition_signal_all(shared->condition);
        tuff__mutex_unlock(shared->mutex);
    }
}

static void test_threads_share_a_counter(void **state)
{
    (void)state;
    counter shared = {.target = 4000};
    tuff__thread *threads[4];
    assert_int_equal(tuff__mutex_create(&shared.mutex), TUFF_SUCCESS);
    assert_int_equal(tuff__condition_create(&shared.condition), TUFF_SUCCESS);
    for (int i = 0; i < 4; i++)
        assert_int_equal(tuff__thread_create(count_up, &shared, &threads[i]), TUFF_SUCCESS);
    tuff__mutex_lock(shared.mutex);
    while (shared.value < shared.target)
        tuff__condition_wait(shared.condition, shared.mutex);
    tuff__mutex_unlock(shared.mutex);
    for (int i = 0; i < 4; i++)
        tuff__thread_join(threads[i]);
    assert_int_equal(shared.value, 4000);
    tuff__condition_destroy(shared.condition);
    tuff__mutex_destroy(shared.mutex);
    tuff__thread_join(NULL);
    tuff__condition_destroy(NULL);
    tuff__mutex_destroy(NULL);
}

static tuff__once outer_once = TUFF__ONCE_INIT, inner_once = TUFF__ONCE_INIT;
static int outer_runs, inner_runs;

static void run_inner(void)
{
    inner_runs++;
}

static void run_outer(void)
{
    tuff__call_once(&inner_once, run_inner); /* one initialiser may need another */
    outer_runs++;
}

static void call_outer(void *user)
{
    (void)user;
    tuff__call_once(&outer_once, run_outer);
}

static void test_once_runs_once(void **state)
{
    (void)state;
    tuff__thread *threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(tuff__thread_create(call_outer, NULL, &threads[i]), TUFF_SUCCESS);
    for (int i = 0; i < 4; i++)
        tuff__thread_join(threads[i]);
    assert_int_equal(outer_runs, 1);
    assert_int_equal(inner_runs, 1);
}

static void test_machine(void **state)
{
    (void)state;
    const double start = tuff__clock_seconds();
    assert_true(tuff__cpu_count() >= 1);
    assert_true(tuff__process_id() > 0);
    assert_true(tuff__terminal_columns(stdout) > 0);
    assert_true(tuff__clock_seconds() >= start);
    assert_true(tuff__peak_memory() < tuff__total_memory() || tuff__total_memory() == 0);
    assert_null(tuff__library_open("libtuff-no-such-library.so.9"));
    tuff__library_close(NULL);
}

/* The application may change its environment when it likes: the system then moves, overwrites or frees what it was. */
static void test_environment_is_kept(void **state)
{
    (void)state;
    tuff__environment_unset("TUFF_LOG");
    tuff__environment_unset("TUFF_DUMP");
    assert_true(tuff__environment_default("TUFF_LOG", "debug"));
    assert_false(tuff__environment_default("TUFF_LOG", "info"));
    assert_true(tuff__environment_default("TUFF_DUMP", "the folder of the first call"));
    assert_int_equal(tuff__env()->log_level, TUFF_LOG_DEBUG); /* the first call: env.c reads all */
    getenv("TUFF_DUMP")[0] = '\0';
    tuff__environment_unset("TUFF_DUMP");
    assert_null(getenv("TUFF_DUMP"));
    assert_string_equal(tuff__env()->dump, "the folder of the first call");
}

/* -- containers --------------------------------------------------------------------------------------------------- */

#ifdef __unix__
static void test_limits_in_words(void **state)
{
    (void)state;
    const char *const no_bytes[] = {"",        "max\n", "-1\n",  "0\n",
                                    "12 34\n", "12k\n", " 12\n", "99999999999999999999999\n"};
    const char *const no_quota[] = {"",         "max 100000\n", "-1 100000\n", "0 100000\n", "100000 0\n",
                                    "100000\n", "100000 max\n", "1 1 1\n",     "5,5\n"};
    for (size_t i = 0; i < sizeof no_bytes / sizeof *no_bytes; i++)
        assert_true(tuff__cgroup_parse_bytes(no_bytes[i]) == UINT64_MAX);
    for (size_t i = 0; i < sizeof no_quota / sizeof *no_quota; i++)
        assert_true(tuff__cgroup_parse_quota(no_quota[i]) == UINT64_MAX);
    assert_int_equal(tuff__cgroup_parse_bytes("1073741824\n"), 1 << 30);
    assert_int_equal(tuff__cgroup_parse_bytes("1"), 1);
    assert_int_equal(tuff__cgroup_parse_quota("200000 100000\n"), 2);
    assert_int_equal(tuff__cgroup_parse_quota("200001 100000\n"), 3);
    assert_int_equal(tuff__cgroup_parse_quota("1000 100000"), 1);
}

static void check_group(const char *groups, const char *controller, const char *wanted)
{
    char path[16] = "none";
    tuff__cgroup_parse_path(groups, controller, path, sizeof path);
    assert_string_equal(path, wanted);
}

static void test_groups_in_words(void **state)
{
    (void)state;
    const char *const v1 = "11:cpuset:/a\n4:cpu,cpuacct:/b\n3:memory:/c:d\n2:name=systemd:/e\n0::/f\n";
    check_group(v1, "cpu", "/b");
    check_group(v1, "cpuacct", "/b");
    check_group(v1, "cpuset", "/a");
    check_group(v1, "memory", "/c:d");
    check_group(v1, "", "/f");
    check_group(v1, "pids", "none");
    check_group(v1, "acct", "none");
    check_group("0::/", "", "/");
    check_group("0::/", "cpu", "none");
    check_group("3:memory:/longer than it fits\n0::/f\n", "memory", "none");
    check_group("", "cpu", "none");
    check_group("odd\n\n:", "", "none");
    check_group("1:cpu:", "cpu", "none");
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s%s", folder, name);
    assert_int_equal(tuff__directory_create(tuff__check_path(folder)), TUFF_SUCCESS);
    tuff__check_write_text(tuff__check_path(path), text);
}

static void check_limits(const char *root, uint64_t memory, uint64_t processors)
{
    char path[512];
    snprintf(path, sizeof path, "%s", tuff__check_path(root));
    assert_int_equal(tuff__cgroup_memory(path), memory);
    assert_int_equal(tuff__cgroup_processors(path), processors);
}

static void test_limits_in_files(void **state)
{
    (void)state;
    check_limits("v2", UINT64_MAX, UINT64_MAX);
    put("v2/proc/self/", "cgroup", "0::/a/b\n");
    check_limits("v2", UINT64_MAX, UINT64_MAX);
    put("v2/sys/fs/cgroup/a/b/", "memory.max", "max\n");
    put("v2/sys/fs/cgroup/a/b/", "cpu.max", "350000 100000\n");
    check_limits("v2", UINT64_MAX, 4);
    put("v2/sys/fs/cgroup/a/", "memory.max", "5000\n"); /* those above count too */
    put("v2/sys/fs/cgroup/a/", "cpu.max", "200000 100000\n");
    check_limits("v2", 5000, 2);
    put("v2/sys/fs/cgroup/", "memory.max", "4000\n"); /* the root, as a container sees its own group */
    check_limits("v2", 4000, 2);
    put("v1/proc/self/", "cgroup", "5:cpu,cpuacct:/host/path\n4:memory:/m\n0::/\n");
    put("v1/sys/fs/cgroup/cpu/", "cpu.cfs_quota_us", "150000\n");
    check_limits("v1", UINT64_MAX, UINT64_MAX);
    put("v1/sys/fs/cgroup/cpu/", "cpu.cfs_period_us", "100000\n");
    check_limits("v1", UINT64_MAX, 2);
    put("v1/sys/fs/cgroup/cpu/host/path/", "cpu.cfs_quota_us", "-1\n");
    put("v1/sys/fs/cgroup/cpu/host/path/", "cpu.cfs_period_us", "100000\n");
    put("v1/sys/fs/cgroup/memory/m/", "memory.limit_in_bytes", "3000\n");
    put("v1/sys/fs/cgroup/memory/", "memory.limit_in_bytes", "9223372036854771712\n");
    check_limits("v1", 3000, 2);
}

static void test_limits_of_this_process(void **state)
{
    (void)state;
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    assert_true(processors < 1 || tuff__cpu_count() <= (uint64_t)processors);
    assert_true(tuff__cpu_count() <= tuff__cgroup_processors(""));
    assert_true(tuff__total_memory() <= tuff__cgroup_memory(""));
#ifdef _SC_PHYS_PAGES
    assert_true(tuff__total_memory() > 0);
    assert_true(tuff__total_memory() <= (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
#endif
}
#endif

/* -- files -------------------------------------------------------------------------------------------------------- */

static void test_map(void **state)
{
    (void)state;
    tuff__mapped_file file;
    tuff__check_write(tuff__check_path("full"), "a\0b", 3);
    tuff__check_write(tuff__check_path("empty"), "", 0);
    assert_int_equal(tuff__file_map(tuff__check_path("full"), &file), TUFF_SUCCESS);
    assert_int_equal(file.size, 3);
    assert_memory_equal(file.data, "a\0b", 3);
    tuff__file_unmap(&file);
    assert_null(file.data);
    tuff__file_unmap(&file);
    assert_int_equal(tuff__file_map(tuff__check_path("empty"), &file), TUFF_SUCCESS);
    assert_int_equal(file.size, 0);
    assert_non_null(file.data);
    tuff__file_unmap(&file);
    tuff__check_failed(tuff__file_map(tuff__check_path("none"), &file), TUFF_ERROR_IO,
                       "none: cannot open: No such file");
    tuff__check_failed(tuff__file_map(tuff__check_folder, &file), TUFF_ERROR_IO, "Is a directory");
    assert_null(file.data);
}

static void test_exists_and_remove(void **state)
{
    (void)state;
    const char *path = tuff__check_path("there");
    tuff__check_write_text(path, "x");
    assert_true(tuff__file_exists(path));
    assert_false(tuff__is_directory(path));
    assert_false(tuff__file_exists(tuff__check_folder));
    assert_true(tuff__is_directory(tuff__check_folder));
    assert_int_equal(tuff__file_remove(path), TUFF_SUCCESS);
    assert_false(tuff__file_exists(path));
    assert_int_equal(tuff__file_remove(path), TUFF_SUCCESS);
}

static void test_rename_and_link(void **state)
{
    (void)state;
    tuff__check_write_text(tuff__check_path("from"), "new");
    tuff__check_write_text(tuff__check_path("to"), "old");
    assert_false(tuff__file_link(tuff__check_path("from"), tuff__check_path("to")));
    assert_int_equal(tuff__file_rename(tuff__check_path("from"), tuff__check_path("to")), TUFF_SUCCESS);
    tuff__check_content(tuff__check_path("to"), "new");
    tuff__check_failed(tuff__file_rename(tuff__check_path("from"), tuff__check_path("to")), TUFF_ERROR_IO,
                       "cannot rename");
    assert_false(tuff__file_link(tuff__check_folder, tuff__check_path("folder")));
    if (tuff__file_link(tuff__check_path("to"), tuff__check_path("second")))
        tuff__check_content(tuff__check_path("second"), "new");
}

static void test_sync_reports_a_full_disk(void **state)
{
    (void)state;
    FILE *file = tuff__file_open("/dev/full", "wb");
    if (!file)
        skip(); /* only Linux and some BSDs have this disk that is always full */
    assert_true(fputs("text", file) >= 0);
    tuff__check_failed(tuff__file_sync(file, "model.safetensors"), TUFF_ERROR_IO,
                       "model.safetensors: cannot write: No space left on device");
    fclose(file);
}

typedef struct lock_race {
    const char *path;
    tuff__mutex *mutex; /* of `released` */
    bool released;
    tuff_status status;
    bool waited;
} lock_race;

static void take_lock(void *user)
{
    lock_race *race = user;
    tuff__file_lock *lock = NULL;
    race->status = tuff__file_lock_take(race->path, true, &lock);
    tuff__mutex_lock(race->mutex);
    race->waited = lock && race->released;
    tuff__mutex_unlock(race->mutex);
    tuff__file_lock_release(lock);
}

/* Among the threads of one process as among processes: a lock is its taker's alone. */
static void test_lock(void **state)
{
    (void)state;
    lock_race race = {.path = tuff__check_path("lock"), .status = TUFF_ERROR_IO};
    tuff__file_lock *lock = NULL, *second = NULL;
    tuff__thread *thread = NULL;
    assert_int_equal(tuff__mutex_create(&race.mutex), TUFF_SUCCESS);
    assert_int_equal(tuff__file_lock_take(race.path, true, &lock), TUFF_SUCCESS);
    assert_non_null(lock);
    assert_int_equal(tuff__file_lock_take(race.path, false, &second), TUFF_SUCCESS);
    assert_null(second);
    assert_int_equal(tuff__thread_create(take_lock, &race, &thread), TUFF_SUCCESS);
    const double start = tuff__clock_seconds();
    while (tuff__clock_seconds() < start + 0.05) { /* a thread that does not wait would be through by then */
    }
    tuff__mutex_lock(race.mutex);
    race.released = true;
    tuff__mutex_unlock(race.mutex);
    tuff__file_lock_release(lock);
    tuff__thread_join(thread);
    assert_int_equal(race.status, TUFF_SUCCESS);
    assert_true(race.waited);
    assert_int_equal(tuff__file_lock_take(race.path, false, &lock), TUFF_SUCCESS);
    assert_non_null(lock);
    tuff__file_lock_release(lock);
    tuff__file_lock_release(NULL);
    tuff__check_content(race.path, "");
    tuff__mutex_destroy(race.mutex);
}

static void test_lock_tells_why_not(void **state)
{
    (void)state;
    tuff__file_lock *lock = NULL;
    tuff__check_failed(tuff__file_lock_take(tuff__check_path("none/lock"), true, &lock), TUFF_ERROR_IO,
                       "none/lock: cannot lock: No such file");
    tuff__check_failed(tuff__file_lock_take(tuff__check_folder, false, &lock), TUFF_ERROR_IO, "Is a directory");
    assert_null(lock);
}

/* -- directories -------------------------------------------------------------------------------------------------- */

static void test_create_list_remove(void **state)
{
    (void)state;
    char **names = NULL;
    size_t count = 0;
    assert_int_equal(tuff__directory_create(tuff__check_path("a/b/c")), TUFF_SUCCESS);
    assert_int_equal(tuff__directory_create(tuff__check_path("a/b/c/")), TUFF_SUCCESS);
    tuff__check_write_text(tuff__check_path("a/z"), "");
    tuff__check_write_text(tuff__check_path("a/B"), "");
    tuff__check_write_text(tuff__check_path("a/b/c/d"), "x");
    assert_int_equal(tuff__directory_list(tuff__check_path("a"), &names, &count), TUFF_SUCCESS);
    const char *const wanted[] = {"B", "b", "z"};
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(names[i], wanted[i]);
        tuff__free(names[i]);
    }
    tuff__free(names);
    tuff__check_failed(tuff__directory_create(tuff__check_path("a/z/under-a-file")), TUFF_ERROR_IO, "cannot create");
    tuff__check_failed(tuff__directory_list(tuff__check_path("a/none"), &names, &count), TUFF_ERROR_IO, "cannot list");
    assert_int_equal(tuff__directory_remove(tuff__check_path("a")), TUFF_SUCCESS);
    assert_false(tuff__is_directory(tuff__check_path("a")));
    assert_int_equal(tuff__directory_remove(tuff__check_path("a")), TUFF_SUCCESS);
}

/* mkdir's own reason is told: asking whether the folder is there sets another. */
static void test_create_tells_why(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof command, "ln -s none '%s'", tuff__check_path("dangling"));
    if (system(command) != 0)
        skip();
    tuff__check_failed(tuff__directory_create(tuff__check_path("dangling")), TUFF_ERROR_IO,
                       "dangling: cannot create the folder: Not a directory");
}

static void make_folder(const char *name, const char *content)
{
    char file[80];
    snprintf(file, sizeof file, "%s/content", name);
    assert_int_equal(tuff__directory_create(tuff__check_path(name)), TUFF_SUCCESS);
    tuff__check_write_text(tuff__check_path(file), content);
}

static void test_exchange(void **state)
{
    (void)state;
    make_folder("new1", "first");
    assert_int_equal(tuff__directory_exchange(tuff__check_path("new1"), tuff__check_path("place/")), TUFF_SUCCESS);
    tuff__check_content(tuff__check_path("place/content"), "first");
    assert_false(tuff__is_directory(tuff__check_path("new1")));
    make_folder("new2", "second");
    assert_int_equal(tuff__directory_exchange(tuff__check_path("new2"), tuff__check_path("place")), TUFF_SUCCESS);
    tuff__check_content(tuff__check_path("place/content"), "second");
    tuff__check_content(tuff__check_path("new2/content"), "first");
    assert_false(tuff__is_directory(tuff__check_path("place.tuff-old")));
    tuff__check_failed(tuff__directory_exchange(tuff__check_path("none"), tuff__check_path("place")), TUFF_ERROR_IO,
                       "cannot rename");
    tuff__check_content(tuff__check_path("place/content"), "second");
    tuff__check_write_text(tuff__check_path("file"), "mine");
    make_folder("new3", "third");
    tuff__check_failed(tuff__directory_exchange(tuff__check_path("new3"), tuff__check_path("file")), TUFF_ERROR_IO,
                       "cannot replace");
    tuff__check_content(tuff__check_path("file"), "mine");
    /* What a kill between two renames left is the only copy until the new one is in place. */
    make_folder("gone.tuff-old", "old");
    assert_int_equal(tuff__directory_exchange(tuff__check_path("new3"), tuff__check_path("gone")), TUFF_SUCCESS);
    tuff__check_content(tuff__check_path("gone/content"), "third");
    tuff__check_content(tuff__check_path("new3/content"), "old");
}

/* The end of what `name` in the test's folder resolves to. */
static void check_resolved(const char *name, const char *end)
{
    char *path = NULL;
    if (tuff__path_resolve(tuff__check_path(name), &path) != TUFF_SUCCESS)
        fail_msg("%s", tuff_last_error());
    const char *found = strstr(path, tuff__check_folder);
    if (path[0] != '/' || !found || strcmp(found + strlen(tuff__check_folder), end) != 0)
        fail_msg("%s is %s, wanted %s at its end", name, path, end);
    tuff__free(path);
}

static void test_resolve(void **state)
{
    (void)state;
    char command[300], *path = NULL;
    assert_int_equal(tuff__directory_create(tuff__check_path("real/inner")), TUFF_SUCCESS);
    check_resolved("real", "/real");
    check_resolved("real/.", "/real");
    check_resolved("real//inner/..//", "/real");
    check_resolved("real/new", "/real/new");
    check_resolved("real/new/deep/.", "/real/new/deep");
    tuff__check_failed(tuff__path_resolve(tuff__check_path("real/new/.."), &path), TUFF_ERROR_IO, "cannot find");
    tuff__check_failed(tuff__path_resolve("", &path), TUFF_ERROR_IO, "cannot find");
    assert_null(path);
    assert_int_equal(tuff__path_resolve("new", &path), TUFF_SUCCESS);
    assert_true(path[0] == '/' && strcmp(path + strlen(path) - 4, "/new") == 0);
    tuff__free(path);
    snprintf(command, sizeof command, "cd '%s' && ln -s real link && ln -s real/later waits && ln -s round round",
             tuff__check_folder);
    if (system(command) != 0)
        skip();
    check_resolved("link", "/real");
    check_resolved("link/new", "/real/new");
    check_resolved("waits", "/real/later");
    check_resolved("waits/", "/real/later");
    check_resolved("waits/new", "/real/later/new");
    tuff__check_failed(tuff__path_resolve(tuff__check_path("round"), &path), TUFF_ERROR_IO, "round: cannot find");
}

static void test_kinds_of_places(void **state)
{
    (void)state;
    char command[160];
    make_folder("kinds", "text");
    assert_true(tuff__is_regular_file(tuff__check_path("kinds/content")));
    assert_false(tuff__is_regular_file(tuff__check_path("kinds")));
    assert_true(tuff__directory_can_move(tuff__check_path("kinds")));
    assert_false(tuff__directory_can_move("/"));
    if (tuff__is_directory("/proc/self"))
        assert_false(tuff__directory_can_move("/proc"));
    snprintf(command, sizeof command, "mkfifo '%s'", tuff__check_path("kinds/pipe"));
    if (system(command) == 0)
        assert_false(tuff__is_regular_file(tuff__check_path("kinds/pipe")));
}

/* -- memory running out ------------------------------------------------------------------------------------------- */

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    assert_int_equal(tuff__directory_create(tuff__check_path("oom/a")), TUFF_SUCCESS);
    tuff_status status = TUFF_ERROR_OUT_OF_HOST_MEMORY;
    for (uint64_t n = 1; status != TUFF_SUCCESS; n++) {
        char **names = NULL;
        size_t count = 0;
        assert_true(n < 100);
        tuff__alloc_fail_at(n);
        status = tuff__directory_list(tuff__check_path("oom"), &names, &count);
        tuff__alloc_fail_at(0);
        if (status != TUFF_SUCCESS)
            assert_int_equal(status, TUFF_ERROR_OUT_OF_HOST_MEMORY);
        for (size_t i = 0; i < count; i++)
            tuff__free(names[i]);
        tuff__free(names);
    }
}

/* -- signals ------------------------------------------------------------------------------------------------------ */

static void test_interrupts(void **state)
{
    (void)state;
    signal(SIGINT, SIG_DFL);  /* whatever this program was started with */
    signal(SIGTERM, SIG_IGN); /* as nohup does with another */
    tuff__interrupt_watch();
    assert_false(tuff__interrupted());
    assert_int_equal(raise(SIGTERM), 0);
    assert_false(tuff__interrupted());
    assert_int_equal(raise(SIGINT), 0);
    assert_true(tuff__interrupted());
    assert_true(signal(SIGINT, SIG_DFL) == SIG_DFL); /* the next one ends the process */
    assert_true(signal(SIGTERM, SIG_DFL) == SIG_IGN);
}

static int create_folder(void **state)
{
    (void)state;
    return tuff__check_folder_create("test_os");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_share_a_counter),
        cmocka_unit_test(test_once_runs_once),
        cmocka_unit_test(test_machine),
        cmocka_unit_test(test_interrupts),
        cmocka_unit_test(test_environment_is_kept),
#ifdef __unix__
        cmocka_unit_test(test_limits_in_words),
        cmocka_unit_test(test_groups_in_words),
        cmocka_unit_test(test_limits_in_files),
        cmocka_unit_test(test_limits_of_this_process),
#endif
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_exists_and_remove),
        cmocka_unit_test(test_rename_and_link),
        cmocka_unit_test(test_sync_reports_a_full_disk),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_lock_tells_why_not),
        cmocka_unit_test(test_create_list_remove),
        cmocka_unit_test(test_create_tells_why),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_kinds_of_places),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, create_folder, tuff__check_folder_remove);
}
