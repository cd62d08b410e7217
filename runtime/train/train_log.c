/* train_log.c: owns the entries of log.jsonl and their form. */
#include "train_log.h"

#include "../alloc.h"
#include "../io/file.h"
#include "../io/json.h"
#include "../os.h"

#include <math.h>

tuff_status tuff__train_log_append(tuff__train_log *log, const tuff__log_entry *entry)
{
    TUFF_TRY(tuff__grow((void **)&log->entries, &log->capacity, log->count, sizeof *log->entries, "training log"));
    log->entries[log->count++] = *entry;
    return TUFF_SUCCESS;
}

void tuff__train_log_destroy(tuff__train_log *log)
{
    tuff__free(log->entries);
    *log = (tuff__train_log){0};
}

static void write_float(tuff__json_writer *writer, const char *key, double value)
{
    tuff__json_key(writer, key);
    tuff__json_write_float(writer, (float)value);
}

static void write_double(tuff__json_writer *writer, const char *key, double value)
{
    tuff__json_key(writer, key);
    tuff__json_write_double(writer, value);
}

tuff_status tuff__log_entry_write(const tuff__log_entry *entry, FILE *file, const char *path)
{
    tuff__json_writer writer = {0};
    tuff__json_begin_object(&writer);
    if (entry->evaluation) {
        write_float(&writer, "eval_loss", entry->loss);
        write_double(&writer, "eval_accuracy", entry->accuracy);
        write_double(&writer, "eval_f1", entry->macro_f1);
    } else {
        write_float(&writer, "loss", entry->loss);
        write_float(&writer, "grad_norm", entry->grad_norm);
        write_double(&writer, "learning_rate", entry->learning_rate);
    }
    write_double(&writer, "epoch", round(entry->epoch * 1e4) / 1e4);
    tuff__json_key(&writer, "step");
    tuff__json_write_int(&writer, (int64_t)entry->step);
    tuff__json_end_object(&writer);
    return tuff__json_finish_line(&writer, file, path);
}

tuff_status tuff__train_log_save(const tuff__train_log *log, const char *path)
{
    tuff__file_writer writer;
    tuff_status status = tuff__file_writer_open(&writer, path);
    for (size_t i = 0; i < log->count && status == TUFF_SUCCESS; i++)
        status = tuff__log_entry_write(&log->entries[i], writer.file, path);
    if (status != TUFF_SUCCESS) {
        tuff__file_writer_abort(&writer);
        return status;
    }
    return tuff__file_writer_commit(&writer);
}
