/* file.c: owns how whole files are read and written. It never looks at their content. */
#include "file.h"

#include "../alloc.h"
#include "../os.h"

#include <errno.h>
#include <string.h>

tuff_status tuff__fail_write(const char *path)
{
    return tuff__fail(TUFF_ERROR_IO, "%s: cannot write: %s", path, strerror(errno ? errno : EIO));
}

tuff_status tuff__stream_open(const char *path, FILE **out_file)
{
    *out_file = NULL;
    errno = 0;
    FILE *file = tuff__is_directory(path) ? NULL : tuff__file_open(path, "rb");
    if (!file)
        return tuff__fail(TUFF_ERROR_IO, "%s: cannot open: %s", path, strerror(errno ? errno : EISDIR));
    *out_file = file;
    return TUFF_SUCCESS;
}

static tuff_status read_chunks(FILE *file, const char *name, size_t max_size, char **text, size_t *size)
{
    size_t capacity = 0;
    for (;;) {
        void *block = *text;
        TUFF_TRY(tuff__grow(&block, &capacity, *size + 65536, 1, name));
        *text = block;
        const size_t got = fread(*text + *size, 1, capacity - *size - 1, file);
        *size += got;
        if (*size > max_size)
            return tuff__fail(TUFF_ERROR_INVALID_FILE, "%s: more than the %zu bytes that are accepted", name, max_size);
        if (got == 0)
            break;
    }
    if (ferror(file))
        return tuff__fail(TUFF_ERROR_IO, "%s: cannot read: %s", name, strerror(errno ? errno : EIO));
    (*text)[*size] = '\0';
    return TUFF_SUCCESS;
}

tuff_status tuff__stream_read(FILE *file, const char *name, size_t max_size, char **out_text, size_t *out_size)
{
    char *text = NULL;
    size_t size = 0;
    *out_text = NULL;
    *out_size = 0;
    errno = 0;
    const tuff_status status = read_chunks(file, name, max_size, &text, &size);
    if (status != TUFF_SUCCESS) {
        tuff__free(text);
        return status;
    }
    *out_text = text;
    *out_size = size;
    return TUFF_SUCCESS;
}

tuff_status tuff__file_writer_open(tuff__file_writer *writer, const char *path)
{
    *writer = (tuff__file_writer){0};
    writer->path = tuff__strdup(path);
    if (!writer->path)
        return tuff__fail_memory(path, strlen(path));
    if (tuff__is_directory(path)) /* rename would say so too, but only after all has been written */
        return tuff__fail(TUFF_ERROR_IO, "%s: cannot write: is a folder", path);
    if (!tuff__file_exists(path) || tuff__is_regular_file(path)) { /* else a rename would take the device's place */
        TUFF_TRY(tuff__path_resolve(path, &writer->target));
        writer->aside = tuff__asprintf("%s.tmp-%llu", writer->target, (unsigned long long)tuff__process_id());
        if (!writer->aside)
            return tuff__fail_memory(path, strlen(path));
    }
    errno = 0;
    writer->file = tuff__file_open(writer->aside ? writer->aside : path, "wb");
    if (!writer->file)
        return tuff__fail_write(path);
    return TUFF_SUCCESS;
}

tuff_status tuff__file_writer_write(tuff__file_writer *writer, const void *data, size_t size)
{
    errno = 0;
    if (size && fwrite(data, 1, size, writer->file) != size)
        return tuff__fail_write(writer->path);
    return TUFF_SUCCESS;
}

tuff_status tuff__file_writer_commit(tuff__file_writer *writer)
{
    tuff_status status = tuff__file_sync(writer->file, writer->path);
    FILE *file = writer->file;
    writer->file = NULL;
    errno = 0;
    if (fclose(file) != 0 && status == TUFF_SUCCESS)
        status = tuff__fail_write(writer->path);
    if (status == TUFF_SUCCESS && writer->aside)
        status = tuff__file_rename(writer->aside, writer->target);
    if (status == TUFF_SUCCESS) { /* nothing is aside any more */
        tuff__free(writer->aside);
        writer->aside = NULL;
    }
    tuff__file_writer_abort(writer);
    return status;
}

void tuff__file_writer_abort(tuff__file_writer *writer)
{
    if (writer->file)
        fclose(writer->file);
    if (writer->aside)
        remove(writer->aside); /* best effort: the failure to report is the one that led here */
    tuff__free(writer->aside);
    tuff__free(writer->target);
    tuff__free(writer->path);
    *writer = (tuff__file_writer){0};
}

tuff_status tuff__file_write(const char *path, const void *data, size_t size)
{
    tuff__file_writer writer;
    tuff_status status = tuff__file_writer_open(&writer, path);
    if (status == TUFF_SUCCESS)
        status = tuff__file_writer_write(&writer, data, size);
    if (status == TUFF_SUCCESS)
        return tuff__file_writer_commit(&writer);
    tuff__file_writer_abort(&writer);
    return status;
}

tuff_status tuff__file_copy(const char *from, const char *to)
{
    tuff__mapped_file file;
    TUFF_TRY(tuff__file_map(from, &file));
    const tuff_status status = tuff__file_write(to, file.data, file.size);
    tuff__file_unmap(&file);
    return status;
}
