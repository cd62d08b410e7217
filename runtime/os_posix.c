/*
 * os_posix.c: os.h for Linux, Android, macOS and the BSDs. The only file that includes a POSIX header.
 *
 * It decides nothing: no format, no policy, no retry; each failure names the path and the system's own reason.
 */
#define _POSIX_C_SOURCE 200809L
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity, statx, RENAME_EXCHANGE */
#elif defined(__APPLE__)
#define _DARWIN_C_SOURCE /* _SC_NPROCESSORS_ONLN, TIOCGWINSZ */
#endif

#include "os.h"

#include "alloc.h"
#include "os_cgroup.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif
#include <time.h>
#include <unistd.h>
#if defined(__APPLE__) || defined(__FreeBSD__)
#include <xlocale.h> /* uselocale */
#endif

/* "PATH: cannot VERB: No such file or directory". `error` is errno, saved by the caller before anything else. */
static tuff_status fail_path(const char *path, const char *verb, int error)
{
    return tuff__fail(TUFF_ERROR_IO, "%s: cannot %s: %s", path, verb, strerror(error));
}

/* -- threads ------------------------------------------------------------------------------------------------------ */

struct tuff__thread {
    pthread_t handle;
    void (*entry)(void *user);
    void *user;
};

struct tuff__mutex {
    pthread_mutex_t handle;
};

struct tuff__condition {
    pthread_cond_t handle;
};

static void *thread_main(void *argument)
{
    const tuff__thread *thread = argument;
    thread->entry(thread->user);
    return NULL;
}

/* A driver's compiler may run on the thread, and wants more stack than musl and macOS give. */
enum { LEAST_STACK = 4 << 20 };

static int start(pthread_t *handle, tuff__thread *thread)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    size_t size = 0;
    error = pthread_attr_getstacksize(&attributes, &size);
    if (!error && size < LEAST_STACK)
        error = pthread_attr_setstacksize(&attributes, LEAST_STACK);
    if (!error)
        error = pthread_create(handle, &attributes, thread_main, thread);
    pthread_attr_destroy(&attributes);
    return error;
}

tuff_status tuff__thread_create(void (*entry)(void *user), void *user, tuff__thread **out_thread)
{
    *out_thread = NULL;
    tuff__thread *thread = tuff__calloc(1, sizeof *thread);
    if (!thread)
        return tuff__fail_memory("thread", sizeof *thread);
    thread->entry = entry;
    thread->user = user;
    const int error = start(&thread->handle, thread);
    if (error) {
        tuff__free(thread);
        return tuff__fail(TUFF_ERROR_OUT_OF_HOST_MEMORY, "thread: cannot start one: %s", strerror(error));
    }
    *out_thread = thread;
    return TUFF_SUCCESS;
}

void tuff__thread_join(tuff__thread *thread)
{
    if (!thread)
        return;
    pthread_join(thread->handle, NULL);
    tuff__free(thread);
}

tuff_status tuff__mutex_create(tuff__mutex **out_mutex)
{
    *out_mutex = NULL;
    tuff__mutex *mutex = tuff__calloc(1, sizeof *mutex);
    if (!mutex)
        return tuff__fail_memory("mutex", sizeof *mutex);
    const int error = pthread_mutex_init(&mutex->handle, NULL);
    if (error) {
        tuff__free(mutex);
        return tuff__fail(TUFF_ERROR_OUT_OF_HOST_MEMORY, "mutex: cannot make one: %s", strerror(error));
    }
    *out_mutex = mutex;
    return TUFF_SUCCESS;
}

void tuff__mutex_destroy(tuff__mutex *mutex)
{
    if (!mutex)
        return;
    pthread_mutex_destroy(&mutex->handle);
    tuff__free(mutex);
}

void tuff__mutex_lock(tuff__mutex *mutex)
{
    pthread_mutex_lock(&mutex->handle); /* cannot fail: a plain mutex, initialised, not held by this thread */
}

void tuff__mutex_unlock(tuff__mutex *mutex)
{
    pthread_mutex_unlock(&mutex->handle);
}

tuff_status tuff__condition_create(tuff__condition **out_condition)
{
    *out_condition = NULL;
    tuff__condition *condition = tuff__calloc(1, sizeof *condition);
    if (!condition)
        return tuff__fail_memory("condition", sizeof *condition);
    const int error = pthread_cond_init(&condition->handle, NULL);
    if (error) {
        tuff__free(condition);
        return tuff__fail(TUFF_ERROR_OUT_OF_HOST_MEMORY, "condition: cannot make one: %s", strerror(error));
    }
    *out_condition = condition;
    return TUFF_SUCCESS;
}

void tuff__condition_destroy(tuff__condition *condition)
{
    if (!condition)
        return;
    pthread_cond_destroy(&condition->handle);
    tuff__free(condition);
}

void tuff__condition_wait(tuff__condition *condition, tuff__mutex *mutex)
{
    pthread_cond_wait(&condition->handle, &mutex->handle);
}

void tuff__condition_signal_all(tuff__condition *condition)
{
    pthread_cond_broadcast(&condition->handle);
}

enum { ONCE_BEFORE = 0, ONCE_AFTER = 1, ONCE_RUNNING = 2 };

static pthread_mutex_t once_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t once_done = PTHREAD_COND_INITIALIZER;

void tuff__call_once(tuff__once *once, void (*function)(void))
{
    pthread_mutex_lock(&once_lock);
    while (once->state == ONCE_RUNNING)
        pthread_cond_wait(&once_done, &once_lock);
    if (once->state == ONCE_BEFORE) {
        once->state = ONCE_RUNNING;
        /* The lock is not held while it runs, so that the function may itself need another tuff__once. */
        pthread_mutex_unlock(&once_lock);
        function();
        pthread_mutex_lock(&once_lock);
        once->state = ONCE_AFTER;
        pthread_cond_broadcast(&once_done);
    }
    pthread_mutex_unlock(&once_lock);
}

void tuff__call_alone(void (*function)(void))
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    function();
    pthread_mutex_unlock(&lock);
}

static uint32_t machine_processors(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

uint32_t tuff__cpu_count(void)
{
    const uint32_t there = machine_processors();
    const uint64_t allowed = tuff__cgroup_processors("");
    return allowed < there ? (uint32_t)allowed : there;
}

/* -- clock -------------------------------------------------------------------------------------------------------- */

double tuff__clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* -- files -------------------------------------------------------------------------------------------------------- */

static const unsigned char empty_file[1] = {0}; /* what an empty file's `data` points at: mmap refuses size 0 */

static tuff_status map_descriptor(const char *path, int descriptor, tuff__mapped_file *out_file)
{
    struct stat information;
    if (fstat(descriptor, &information) != 0)
        return fail_path(path, "read", errno);
    if (S_ISDIR(information.st_mode))
        return fail_path(path, "read", EISDIR);
    if (!S_ISREG(information.st_mode))
        return tuff__fail(TUFF_ERROR_IO, "%s: cannot map: not a regular file", path);
    if ((uint64_t)information.st_size > SIZE_MAX)
        return fail_path(path, "map", EFBIG);
    *out_file = (tuff__mapped_file){.data = empty_file, .size = (size_t)information.st_size};
    if (out_file->size == 0)
        return TUFF_SUCCESS;
    void *const address = mmap(NULL, out_file->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) {
        const int error = errno;
        *out_file = (tuff__mapped_file){0};
        return fail_path(path, "map", error);
    }
    out_file->data = address;
    out_file->handle = address;
    return TUFF_SUCCESS;
}

tuff_status tuff__file_map(const char *path, tuff__mapped_file *out_file)
{
    *out_file = (tuff__mapped_file){0};
    /* Without O_NONBLOCK, opening a named pipe would wait for a writer before it can be refused. */
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return fail_path(path, "open", errno);
    const tuff_status status = map_descriptor(path, descriptor, out_file);
    close(descriptor); /* a mapping outlives its descriptor */
    return status;
}

void tuff__file_unmap(tuff__mapped_file *file)
{
    if (file->handle)
        munmap(file->handle, file->size);
    *file = (tuff__mapped_file){0};
}

FILE *tuff__file_open(const char *path, const char *mode)
{
    return fopen(path, mode);
}

bool tuff__file_exists(const char *path)
{
    struct stat information;
    return stat(path, &information) == 0 && !S_ISDIR(information.st_mode);
}

bool tuff__is_directory(const char *path)
{
    struct stat information;
    return stat(path, &information) == 0 && S_ISDIR(information.st_mode);
}

bool tuff__is_regular_file(const char *path)
{
    struct stat information;
    return stat(path, &information) == 0 && S_ISREG(information.st_mode);
}

tuff_status tuff__file_remove(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return fail_path(path, "remove", errno);
    return TUFF_SUCCESS;
}

/* fsync without complaint where a thing cannot be synced (pipes, terminals, some network folders). 0 or errno. */
static int sync_descriptor(int descriptor)
{
    while (fsync(descriptor) != 0) {
        if (errno == EINTR)
            continue;
        return errno == EINVAL || errno == ENOTSUP || errno == EROFS ? 0 : errno;
    }
    return 0;
}

/* The folder that holds `path`; NULL when memory is out. */
static char *parent_of(const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    while (end > 0 && path[end - 1] != '/')
        end--;
    while (end > 1 && path[end - 1] == '/')
        end--;
    return end ? tuff__strndup(path, end) : tuff__strdup(".");
}

/* The last name of `path`, up to slashes at its end; empty for the root. */
static char *name_of(const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    return tuff__strndup(path + begin, end - begin);
}

/* `path`, a name in `folder` that realpath does not find: made there, or behind a link that leads nowhere yet. */
static tuff_status resolve_name(const char *path, const char *folder, const char *name, char **out_path)
{
    char target[4096];
    char *joined = strcmp(name, ".") == 0 ? tuff__strdup(folder)
                                          : tuff__asprintf("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name);
    if (!joined)
        return tuff__fail_memory("path", strlen(path));
    const ssize_t length = readlink(joined, target, sizeof target - 1);
    if (length < 0) {
        *out_path = joined;
        return TUFF_SUCCESS;
    }
    target[length] = '\0';
    tuff__free(joined);
    char *next = target[0] == '/' ? tuff__strdup(target) : tuff__asprintf("%s/%s", folder, target);
    const tuff_status status = next ? tuff__path_resolve(next, out_path) : tuff__fail_memory("path", strlen(path));
    tuff__free(next);
    return status;
}

static tuff_status resolve_missing(const char *path, char **out_path)
{
    char *parent = parent_of(path), *name = name_of(path), *folder = NULL;
    tuff_status status = parent && name ? TUFF_SUCCESS : tuff__fail_memory("path", strlen(path));
    if (status == TUFF_SUCCESS && (strcmp(name, "..") == 0 || strcmp(parent, path) == 0))
        status = fail_path(path, "find", ENOENT); /* the latter: "." where the working directory was removed */
    if (status == TUFF_SUCCESS)
        status = tuff__path_resolve(parent, &folder);
    if (status == TUFF_SUCCESS)
        status = resolve_name(path, folder, name, out_path);
    tuff__free(folder);
    tuff__free(name);
    tuff__free(parent);
    return status;
}

tuff_status tuff__path_resolve(const char *path, char **out_path)
{
    *out_path = NULL;
    char *found = realpath(path, NULL);
    if (!found && errno == ENOENT && path[0])
        return resolve_missing(path, out_path);
    if (!found)
        return fail_path(path, "find", errno);
    *out_path = tuff__strdup(found); /* the allocator is ours, realpath's is not */
    free(found);
    return *out_path ? TUFF_SUCCESS : tuff__fail_memory("path", strlen(path));
}

/* Makes a rename durable. Not an error where it fails: the rename itself has already happened. */
static void sync_parent(const char *path)
{
    char *parent = parent_of(path);
    const int descriptor = parent ? open(parent, O_RDONLY | O_CLOEXEC) : -1;
    if (descriptor >= 0) {
        sync_descriptor(descriptor);
        close(descriptor);
    }
    tuff__free(parent);
}

tuff_status tuff__file_rename(const char *from, const char *to)
{
    if (rename(from, to) != 0) {
        const int error = errno;
        return tuff__fail(TUFF_ERROR_IO, "%s: cannot rename to '%s': %s", from, to, strerror(error));
    }
    sync_parent(to);
    return TUFF_SUCCESS;
}

struct tuff__file_lock {
    int descriptor;
};

/* flock and not fcntl, whose locks are the process's: they exclude none of its threads, and are lost when any
 * descriptor of the file is closed. 0 or errno. */
static int lock_descriptor(int descriptor, bool wait)
{
    while (flock(descriptor, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

tuff_status tuff__file_lock_take(const char *path, bool wait, tuff__file_lock **out_lock)
{
    *out_lock = NULL;
    tuff__file_lock *lock = tuff__calloc(1, sizeof *lock);
    if (!lock)
        return tuff__fail_memory("file lock", sizeof *lock);
    lock->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    const int error = lock->descriptor < 0 ? errno : lock_descriptor(lock->descriptor, wait);
    if (!error) {
        *out_lock = lock;
        return TUFF_SUCCESS;
    }
    if (lock->descriptor >= 0)
        close(lock->descriptor);
    tuff__free(lock);
    return error == EWOULDBLOCK ? TUFF_SUCCESS : fail_path(path, "lock", error);
}

void tuff__file_lock_release(tuff__file_lock *lock)
{
    if (!lock)
        return;
    flock(lock->descriptor, LOCK_UN); /* closing alone leaves it to a child process that was forked meanwhile */
    close(lock->descriptor);
    tuff__free(lock);
}

bool tuff__file_link(const char *from, const char *to)
{
    if (linkat(AT_FDCWD, from, AT_FDCWD, to, 0) == 0)
        return true;
    /* Some systems give no second name to a symbolic link: make another that says the same. */
    char target[4096];
    const ssize_t length = readlink(from, target, sizeof target - 1);
    if (length < 0)
        return false;
    target[length] = '\0';
    return symlink(target, to) == 0;
}

tuff_status tuff__file_sync(FILE *file, const char *path)
{
    errno = 0;
    if (fflush(file) != 0)
        return fail_path(path, "write", errno);
    if (ferror(file)) /* an earlier write failed; its reason is gone, so ask the disk for one */
        return fail_path(path, "write", errno ? errno : EIO);
    const int error = sync_descriptor(fileno(file));
    return error ? fail_path(path, "write", error) : TUFF_SUCCESS;
}

/* -- directories -------------------------------------------------------------------------------------------------- */

tuff_status tuff__directory_create(const char *path)
{
    char *partial = tuff__strdup(path);
    if (!partial)
        return tuff__fail_memory("path", strlen(path) + 1);
    int error = 0;
    for (char *end = partial; !error && *end; end++) {
        const char *const next = end + 1;
        if (*next != '/' && *next != '\0')
            continue;
        const char kept = *next;
        end[1] = '\0';
        if (mkdir(partial, 0777) != 0) {
            const int reason = errno; /* the next call sets its own */
            if (!tuff__is_directory(partial))
                error = reason == EEXIST ? ENOTDIR : reason;
        }
        end[1] = kept;
    }
    tuff__free(partial);
    return error ? fail_path(path, "create the folder", error) : TUFF_SUCCESS;
}

static tuff_status remove_entries(const char *path)
{
    char **names = NULL;
    size_t count = 0;
    TUFF_TRY(tuff__directory_list(path, &names, &count));
    tuff_status status = TUFF_SUCCESS;
    for (size_t i = 0; i < count; i++) {
        char *entry = status == TUFF_SUCCESS ? tuff__asprintf("%s/%s", path, names[i]) : NULL;
        if (entry)
            status = tuff__directory_remove(entry);
        else if (status == TUFF_SUCCESS)
            status = tuff__fail_memory("path", strlen(path) + strlen(names[i]));
        tuff__free(entry);
        tuff__free(names[i]);
    }
    tuff__free(names);
    return status;
}

tuff_status tuff__directory_remove(const char *path)
{
    struct stat information;
    if (lstat(path, &information) != 0)
        return errno == ENOENT ? TUFF_SUCCESS : fail_path(path, "remove", errno);
    if (!S_ISDIR(information.st_mode)) /* a link to a folder is a link: what it points at is not ours */
        return tuff__file_remove(path);
    TUFF_TRY(remove_entries(path));
    return rmdir(path) == 0 || errno == ENOENT ? TUFF_SUCCESS : fail_path(path, "remove", errno);
}

bool tuff__directory_can_move(const char *path)
{
#if defined(STATX_ATTR_MOUNT_ROOT) && defined(__GLIBC__) /* others may have the word and not the call */
    struct statx extended;                               /* tells also of a folder mounted from its own file system */
    if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, 0, &extended) == 0 &&
        (extended.stx_attributes_mask & extended.stx_attributes & STATX_ATTR_MOUNT_ROOT))
        return false;
#endif
    struct stat here, above;
    char *parent = tuff__asprintf("%s/..", path);
    const bool known = parent && stat(path, &here) == 0 && stat(parent, &above) == 0;
    tuff__free(parent);
    /* The root of this process's files, a mount's or that of a chroot, is its own parent. */
    return !known || (here.st_dev == above.st_dev && here.st_ino != above.st_ino);
}

/* Two names change places in one step. 0 or errno. */
static int exchange_names(const char *a, const char *b)
{
#if defined(SYS_renameat2) && defined(RENAME_EXCHANGE)
    return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0 ? 0 : errno;
#else
    (void)a;
    (void)b;
    return ENOSYS;
#endif
}

/* `to` is moved to `old`, `from` to `to`, `old` to `from`; put back when the second step fails. */
static tuff_status exchange_by_renames(const char *from, const char *to, const char *old)
{
    const bool replaces = tuff__is_directory(to);
    if (replaces) {
        TUFF_TRY(tuff__directory_remove(old));
        TUFF_TRY(tuff__file_rename(to, old));
    }
    if (rename(from, to) != 0) {
        const int error = errno;
        if (replaces && rename(old, to) != 0)
            return tuff__fail(TUFF_ERROR_IO, "%s: cannot rename to '%s': %s; the old folder is now '%s'", from, to,
                              strerror(error), old);
        return tuff__fail(TUFF_ERROR_IO, "%s: cannot rename to '%s': %s", from, to, strerror(error));
    }
    sync_parent(to);
    /* Also what a kill between the two renames of an earlier call left; until now it was the only copy. */
    return rename(old, from) == 0 || errno == ENOENT ? TUFF_SUCCESS : fail_path(old, "rename", errno);
}

static tuff_status exchange(const char *from, const char *to, const char *old)
{
    struct stat information;
    if (lstat(to, &information) == 0 && !S_ISDIR(information.st_mode))
        return fail_path(to, "replace", ENOTDIR);
    const int error = tuff__is_directory(to) ? exchange_names(from, to) : ENOSYS;
    if (error == ENOSYS || error == EINVAL || error == ENOTSUP) /* not this system, or not this file system */
        return exchange_by_renames(from, to, old);
    if (error)
        return tuff__fail(TUFF_ERROR_IO, "%s: cannot rename to '%s': %s", from, to, strerror(error));
    sync_parent(to);
    return TUFF_SUCCESS;
}

tuff_status tuff__directory_exchange(const char *from, const char *to)
{
    size_t length = strlen(to);
    while (length > 1 && to[length - 1] == '/')
        length--;
    char *target = tuff__strndup(to, length);
    char *old = target ? tuff__asprintf("%s.tuff-old", target) : NULL;
    const tuff_status status = old ? exchange(from, target, old) : tuff__fail_memory("path", length);
    tuff__free(old);
    tuff__free(target);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

typedef struct name_list {
    char **names;
    size_t count, capacity;
} name_list;

static tuff_status append_name(name_list *list, const char *name)
{
    void *items = list->names;
    TUFF_TRY(tuff__grow(&items, &list->capacity, list->count, sizeof *list->names, "folder listing"));
    list->names = items;
    list->names[list->count] = tuff__strdup(name);
    if (!list->names[list->count])
        return tuff__fail_memory("folder listing", strlen(name) + 1);
    list->count++;
    return TUFF_SUCCESS;
}

static tuff_status read_names(DIR *directory, const char *path, name_list *list)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry)
            return errno ? fail_path(path, "list", errno) : TUFF_SUCCESS;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            TUFF_TRY(append_name(list, entry->d_name));
    }
}

tuff_status tuff__directory_list(const char *path, char ***out_names, size_t *out_count)
{
    *out_names = NULL;
    *out_count = 0;
    DIR *directory = opendir(path);
    if (!directory)
        return fail_path(path, "list", errno);
    name_list list = {0};
    const tuff_status status = read_names(directory, path, &list);
    closedir(directory);
    if (status != TUFF_SUCCESS) {
        for (size_t i = 0; i < list.count; i++)
            tuff__free(list.names[i]);
        tuff__free(list.names);
        return status;
    }
    if (list.count)
        qsort(list.names, list.count, sizeof *list.names, compare_names);
    *out_names = list.names;
    *out_count = list.count;
    return TUFF_SUCCESS;
}

/* -- this process and machine ------------------------------------------------------------------------------------- */

char *tuff__cache_directory(void)
{
    /* Where a user's folders are is the system's convention, not one of tuff's variables, hence here and not env.c. */
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') /* the XDG rule: a relative path is ignored */
        return tuff__asprintf("%s/tuff", cache);
    return home && home[0] == '/' ? tuff__asprintf("%s/.cache/tuff", home) : NULL;
}

uint64_t tuff__process_id(void)
{
    return (uint64_t)getpid();
}

uint64_t tuff__peak_memory(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_maxrss < 0)
        return 0;
#if defined(__APPLE__)
    return (uint64_t)usage.ru_maxrss; /* bytes there, KiB everywhere else */
#else
    return (uint64_t)usage.ru_maxrss * 1024;
#endif
}

uint64_t tuff__total_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page_size = sysconf(_SC_PAGESIZE);
    const uint64_t there = pages > 0 && page_size > 0 ? (uint64_t)pages * (uint64_t)page_size : 0;
    const uint64_t allowed = tuff__cgroup_memory("");
    return allowed < there ? allowed : there;
}

bool tuff__has_address_space(size_t size)
{
    void *const address = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return address != MAP_FAILED && munmap(address, size) == 0;
}

void tuff__memory_prefer_large_pages(void *block, size_t size)
{
#ifdef MADV_HUGEPAGE
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)block + page - 1) / page * page, end = ((uintptr_t)block + size) / page * page;
    if (end > begin)
        (void)madvise((char *)block + (begin - (uintptr_t)block), end - begin, MADV_HUGEPAGE);
#else
    (void)block;
    (void)size;
#endif
}

/* -- locale ------------------------------------------------------------------------------------------------------- */

static locale_t c_locale; /* null where the system had no memory for it: then the application's stays */

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

void *tuff__c_locale_begin(void)
{
    static tuff__once made = TUFF__ONCE_INIT;
    tuff__call_once(&made, make_c_locale);
    return c_locale ? (void *)uselocale(c_locale) : NULL;
}

void tuff__c_locale_end(void *before)
{
    if (before)
        uselocale((locale_t)before);
}

/* -- signals ------------------------------------------------------------------------------------------------------ */

static const int watched[] = {SIGINT, SIGTERM, SIGHUP};
enum { WATCHED_COUNT = sizeof watched / sizeof watched[0] };

static volatile sig_atomic_t noted; /* the signal, or 0: the system gives a handler no other place to write to */

static void note(int number)
{
    noted = number;
    for (size_t i = 0; i < WATCHED_COUNT; i++) {
        struct sigaction action;
        if (sigaction(watched[i], NULL, &action) == 0 && action.sa_handler == note)
            signal(watched[i], SIG_DFL);
    }
}

void tuff__interrupt_watch(void)
{
    /* Reads and writes go on where they were: what is under way is to be finished. */
    struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < WATCHED_COUNT; i++)
        if (sigaction(watched[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(watched[i], &action, NULL);
}

bool tuff__interrupted(void)
{
    return noted != 0;
}

int tuff__interrupt_end(void)
{
    raise(noted); /* the handler has put the default action back */
    return 128 + noted;
}

void tuff__closed_pipes_fail(void)
{
    signal(SIGPIPE, SIG_IGN);
}

/* -- terminal ----------------------------------------------------------------------------------------------------- */

bool tuff__is_terminal(FILE *file)
{
    return isatty(fileno(file)) == 1;
}

uint32_t tuff__terminal_columns(FILE *file)
{
    struct winsize size;
    return ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* -- shared libraries --------------------------------------------------------------------------------------------- */

/* The handle that dlopen gives stands for the object, so that nothing needs to be allocated. */
tuff__library *tuff__library_open(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

void *tuff__library_symbol(tuff__library *library, const char *name)
{
    return dlsym(library, name);
}

void tuff__library_close(tuff__library *library)
{
    if (library)
        dlclose(library);
}

bool tuff__environment_default(const char *name, const char *value)
{
    return !getenv(name) && setenv(name, value, 1) == 0;
}

void tuff__environment_unset(const char *name)
{
    unsetenv(name);
}
