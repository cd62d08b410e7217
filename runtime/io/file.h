/*
 * file.h: whole files: a stream read to its end, and a file written aside and renamed, so that under its final name
 * there is only ever the old content or all of the new. What is no regular file (a pipe, a terminal) is written
 * straight.
 */
#ifndef TUFF_RUNTIME_IO_FILE_H
#define TUFF_RUNTIME_IO_FILE_H

#include "../status.h"

#include <stdio.h>

/* TUFF_ERROR_IO: "PATH: cannot write: No space left on device", the reason from errno: call it right after. */
tuff_status tuff__fail_write(const char *path);

/* Opens a file or pipe to read; a folder is refused. TUFF_ERROR_IO names the path and the system's reason. */
tuff_status tuff__stream_open(const char *path, FILE **out_file);
/* Reads `file` to its end, a pipe as well as a disk file. *out_text has a NUL behind its *out_size bytes; free it with
 * tuff__free. `name` is for messages. Errors: TUFF_ERROR_IO; TUFF_ERROR_INVALID_FILE above `max_size` bytes. */
tuff_status tuff__stream_read(FILE *file, const char *name, size_t max_size, char **out_text, size_t *out_size);

/* -- writing a file aside ----------------------------------------------------------------------------------------- */

typedef struct tuff__file_writer {
    FILE *file;
    char *path;   /* as given, for messages */
    char *target; /* what it leads to: a link stays one */
    char *aside;  /* TARGET.tmp-<process id>, which holds the content until commit; NULL: written straight */
} tuff__file_writer;

/* Zeroes `writer`, then opens the file beside what `path` leads to, or that itself where it is no regular file. Each
 * failure, here and in write, has named the path and the system's reason; the caller then calls abort (also after a
 * failed open), and `path` is as it was before. */
tuff_status tuff__file_writer_open(tuff__file_writer *writer, const char *path);
tuff_status tuff__file_writer_write(tuff__file_writer *writer, const void *data, size_t size);
/* Flushes to the disk and renames. Ends the writer, whatever it returns; on failure nothing is left of it. */
tuff_status tuff__file_writer_commit(tuff__file_writer *writer);
/* Removes what was written; accepts a zeroed or committed writer. */
void tuff__file_writer_abort(tuff__file_writer *writer);

/* The three steps in one. */
tuff_status tuff__file_write(const char *path, const void *data, size_t size);
/* A byte-for-byte copy, by the same steps. */
tuff_status tuff__file_copy(const char *from, const char *to);

#endif
