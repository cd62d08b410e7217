/*
 * os.h: everything that differs between operating systems. One file a system implements it (os_posix.c, ...; containers
 * are in os_cgroup.c); no other file of the project includes a POSIX or Windows header. Paths are UTF-8 with '/'.
 */
#ifndef TUFF_RUNTIME_OS_H
#define TUFF_RUNTIME_OS_H

#include "status.h"

#include <stdio.h>

/* -- threads ------------------------------------------------------------------------------------------------------ */

typedef struct tuff__thread tuff__thread;
typedef struct tuff__mutex tuff__mutex;
typedef struct tuff__condition tuff__condition;

tuff_status tuff__thread_create(void (*entry)(void *user), void *user, tuff__thread **out_thread);
void tuff__thread_join(tuff__thread *thread); /* waits, then frees; accepts NULL */

tuff_status tuff__mutex_create(tuff__mutex **out_mutex);
void tuff__mutex_destroy(tuff__mutex *mutex); /* accepts NULL */
void tuff__mutex_lock(tuff__mutex *mutex);
void tuff__mutex_unlock(tuff__mutex *mutex);

tuff_status tuff__condition_create(tuff__condition **out_condition);
void tuff__condition_destroy(tuff__condition *condition); /* accepts NULL */
void tuff__condition_wait(tuff__condition *condition, tuff__mutex *mutex);
void tuff__condition_signal_all(tuff__condition *condition);

typedef struct tuff__once {
    int state; /* 0 before, 1 after; changed under one process-wide lock */
} tuff__once;
/* The formatter takes the braces of initialisers for blocks. */
/* clang-format off */
#define TUFF__ONCE_INIT {0}
/* clang-format on */
void tuff__call_once(tuff__once *once, void (*function)(void));
/* One process-wide lock around `function`, for what takes no time and may not call this again. */
void tuff__call_alone(void (*function)(void));

/* Processors this process may run on, or as many as a container's quota of time is worth, rounded up; at least 1. */
uint32_t tuff__cpu_count(void);

/* -- clock -------------------------------------------------------------------------------------------------------- */

double tuff__clock_seconds(void); /* monotonic */

/* -- files -------------------------------------------------------------------------------------------------------- */

typedef struct tuff__mapped_file {
    const unsigned char *data; /* read-only; non-NULL even when size is 0 */
    size_t size;
    void *handle;
} tuff__mapped_file;
/* Fails with TUFF_ERROR_IO, naming the path and the system's reason. */
tuff_status tuff__file_map(const char *path, tuff__mapped_file *out_file);
void tuff__file_unmap(tuff__mapped_file *file); /* accepts a zeroed one */

FILE *tuff__file_open(const char *path, const char *mode); /* fopen with a UTF-8 path */
bool tuff__file_exists(const char *path);
bool tuff__is_directory(const char *path);
bool tuff__is_regular_file(const char *path); /* false for pipes, terminals, devices */
/* Where `path` leads: absolute, without links, "." and "..". What does not exist yet is named in the folder it would be
 * made in. Free with tuff__free. An empty path, and one through something that is no folder, are TUFF_ERROR_IO. */
tuff_status tuff__path_resolve(const char *path, char **out_path);
tuff_status tuff__file_remove(const char *path); /* succeeds when there is none */
/* Atomic replacement of a file within one file system. */
tuff_status tuff__file_rename(const char *from, const char *to);
/* A lock that one holder has at a time, among all processes and, within one, among its threads. */
typedef struct tuff__file_lock tuff__file_lock;
/* Takes the lock that the file `path` stands for; the file is made, stays empty, and is never removed. Where another
 * has the lock: waits for it or, without `wait`, leaves *out_lock NULL. The system releases what an ended process held.
 * TUFF_ERROR_IO where the file cannot be made, or its file system has no locks. */
tuff_status tuff__file_lock_take(const char *path, bool wait, tuff__file_lock **out_lock);
void tuff__file_lock_release(tuff__file_lock *lock); /* accepts NULL */
/* Gives the file or symbolic link `from` (itself, not what it points at) the second name `to`, no byte copied; false
 * where the file system cannot, for a folder, and where `to` exists. */
bool tuff__file_link(const char *from, const char *to);
tuff_status tuff__file_sync(FILE *file, const char *path); /* flush to the disk; a full disk shows here at the latest */
tuff_status tuff__directory_create(const char *path);      /* with its parents; succeeds when it is there */
tuff_status tuff__directory_remove(const char *path);      /* with all it holds */
/* Puts the directory `from` in the place of `to`; what was at `to` is then called `from`, for the caller to remove. On
 * failure all is as it was, or the sentence says where the old one is. Where the system can exchange two names (Linux),
 * `to` is the old directory or the new one at every moment; elsewhere, for the blink between two renames, the old one
 * is called `to` + ".tuff-old". */
tuff_status tuff__directory_exchange(const char *from, const char *to);
/* Whether a directory can get another name: not the root, nor where a file system is mounted. */
bool tuff__directory_can_move(const char *path);
/* The names in a directory, without "." and "..", sorted by byte; free each and the array with tuff__free. */
tuff_status tuff__directory_list(const char *path, char ***out_names, size_t *out_count);
/* Where this user's caches go: "$XDG_CACHE_HOME/tuff", "~/.cache/tuff", "%LOCALAPPDATA%\\tuff"; free with tuff__free;
 * NULL when there is none. The directory may not exist yet. */
char *tuff__cache_directory(void);
/* This process's id, for names of files written aside. */
uint64_t tuff__process_id(void);
/* Largest resident set so far, in bytes; 0 when unknown. */
uint64_t tuff__peak_memory(void);
/* Physical memory of the machine, in bytes, or what this process's container may have of it; 0 when unknown. */
uint64_t tuff__total_memory(void);
/* Whether this process may still have that many bytes of addresses in one piece; nothing is taken. */
bool tuff__has_address_space(size_t size);
/* A hint that a large block will be used whole: the system may back it with large pages, which halves the time in which
 * the weights of a small model are loaded. */
void tuff__memory_prefer_large_pages(void *block, size_t size);

/* -- locale ------------------------------------------------------------------------------------------------------- */

/* An application may have set a locale that writes 0,5 for 0.5. Between these two this thread reads and writes numbers
 * as C does; the process and its other threads go on as they are. Pairs nest; `before` is what begin returned. */
void *tuff__c_locale_begin(void);
void tuff__c_locale_end(void *before);

/* -- signals, for a command: a library leaves them to its application --------------------------------------------- */

/* From now on an interrupt, a request to terminate and a hang-up are only noted, the first of them: the next one ends
 * the process as ever. One that the process was started to ignore (nohup) stays ignored. */
void tuff__interrupt_watch(void);
bool tuff__interrupted(void); /* whether one was noted */
/* Ends the process as the noted one would have, so that the shell knows. Returns, with the exit code that says the
 * same, only where the system shields the process (as the first of a container). */
int tuff__interrupt_end(void);
/* Writing to a pipe that nobody reads fails from now on, instead of ending the process. */
void tuff__closed_pipes_fail(void);

/* -- terminal ----------------------------------------------------------------------------------------------------- */

bool tuff__is_terminal(FILE *file);
uint32_t tuff__terminal_columns(FILE *file); /* 80 when unknown */

/* -- shared libraries --------------------------------------------------------------------------------------------- */

typedef struct tuff__library tuff__library;
tuff__library *tuff__library_open(const char *name); /* NULL when not found */
void *tuff__library_symbol(tuff__library *library, const char *name);
void tuff__library_close(tuff__library *library); /* accepts NULL */
/* Sets an environment variable for a library about to be opened, unless it is there; whether it was set. It is the
 * application's environment: unset it again. */
bool tuff__environment_default(const char *name, const char *value);
void tuff__environment_unset(const char *name);

#endif
