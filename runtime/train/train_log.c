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

tuff_status tuff__log_entry_write(const tuff__log_entry *entry, FILE *file, const char *path)
{
    tuff__json_writer writer = {0};
    tuff__json_begin_object(&writer);
    if (entry->evaluation) {
        tuff__json_put_float(&writer, "eval_loss", (float)entry->loss);
        tuff__json_put_double(&writer, "eval_accuracy", entry->accuracy);
        tuff__json_put_double(&writer, "eval_f1", entry->macro_f1);
    } else {
        tuff__json_put_float(&writer, "loss", (float)entry->loss);
        tuff__json_put_float(&writer, "grad_norm", (float)entry->grad_norm);
        tuff__json_put_double(&writer, "learning_rate", entry->learning_rate);
    }
    tuff__json_put_double(&writer, "epoch", round(entry->epoch * 1e4) / 1e4);
    tuff__json_put_count(&writer, "step", entry->step);
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
