/*
 * checkpoint.h: the weights of a Hugging Face model folder, in one file or in shards; and the writing of such a folder
 * aside, so that a kill at any moment leaves the old folder or the new one (where the system cannot exchange two names:
 * or, for the blink between two renames, the old one as FOLDER.tuff-old).
 *
 * Pickle files (pytorch_model.bin) are refused: reading one runs whatever it contains.
 */
#ifndef TUFF_RUNTIME_IO_CHECKPOINT_H
#define TUFF_RUNTIME_IO_CHECKPOINT_H

#include "safetensors.h"

/* -- reading ------------------------------------------------------------------------------------------------------ */

typedef struct tuff__checkpoint tuff__checkpoint;

/* Opens `folder`/model.safetensors, or else all shards that `folder`/model.safetensors.index.json names, which must lie
 * in the folder itself. Errors: TUFF_ERROR_IO for a folder without weights, or with a shard missing;
 * TUFF_ERROR_INVALID_FILE for a broken file, for a tensor that is not in the shard the index gives, or is in two, and
 * for a folder that has its weights under another name: shards without an index, or a pickle file, with the way to
 * convert it. *out_checkpoint is NULL on failure. */
tuff_status tuff__checkpoint_open(const char *folder, tuff__checkpoint **out_checkpoint);
void tuff__checkpoint_destroy(tuff__checkpoint *checkpoint); /* accepts NULL */

/* Whether the folder has weights of any kind, ones that open refuses included; false: a config.json alone, to be
 * initialised. */
bool tuff__checkpoint_has_weights(const char *folder);

/* All tensors, sorted by the bytes of their names; borrowed from the checkpoint. */
size_t tuff__checkpoint_count(const tuff__checkpoint *checkpoint);
const tuff__safetensors_entry *tuff__checkpoint_entry(const tuff__checkpoint *checkpoint, size_t index);
/* "DIR/model.safetensors", or the index: what to name when a tensor is missing. */
const char *tuff__checkpoint_path(const tuff__checkpoint *checkpoint);

/* -- writing ------------------------------------------------------------------------------------------------------ */

/* A folder being written aside, as FOLDER.tmp-<process id>, where FOLDER is what `folder` leads to: a link stays one.
 *
 *     tuff__checkpoint_save *save = NULL;
 *     tuff_status status = tuff__checkpoint_save_begin(folder, &save);
 *     if (status == TUFF_SUCCESS)
 *         status = tuff__checkpoint_save_text(save, "config.json", text, length);
 *     if (status == TUFF_SUCCESS)
 *         status = tuff__checkpoint_save_tensors(save, "model.safetensors", items, count);
 *     if (status == TUFF_SUCCESS)
 *         status = tuff__checkpoint_save_commit(save);
 *     tuff__checkpoint_save_destroy(save);
 *
 * After any failure `folder` is as it was, and destroy removes what lies aside; but for a commit that fails at its last
 * step, the renaming: then the new folder stays aside, and the sentence names it. */
typedef struct tuff__checkpoint_save tuff__checkpoint_save;

/* Makes the folder aside, and what is missing above it. Refuses (TUFF_ERROR_INVALID_ARGUMENT) a `folder` that is a
 * file, or a file system's root, which cannot be renamed; or that holds other things than a model or the checkpoints
 * and log of a training run: somebody's files; and an empty name. */
tuff_status tuff__checkpoint_save_begin(const char *folder, tuff__checkpoint_save **out_save);
/* The folder aside, for those who write their own files. */
const char *tuff__checkpoint_save_folder(const tuff__checkpoint_save *save);
/* Each adds one file. `name` may have folders in it ("1_Pooling/config.json"), which are made. */
tuff_status tuff__checkpoint_save_tensors(tuff__checkpoint_save *save, const char *name,
                                          const tuff__safetensors_item *items, size_t count);
tuff_status tuff__checkpoint_save_text(tuff__checkpoint_save *save, const char *name, const char *text, size_t length);
/* Says that the old folder's `name` (kept until destroy) does not come along, as it would speak of another model. */
tuff_status tuff__checkpoint_save_drop(tuff__checkpoint_save *save, const char *name);
/* Puts the new folder in the old one's place. Whatever else the old folder held, and was neither written anew nor
 * dropped, comes along, but for its weights: a stale shard beside a new model would be read. */
tuff_status tuff__checkpoint_save_commit(tuff__checkpoint_save *save);
/* Frees; removes the folder aside unless it was committed. Accepts NULL. */
void tuff__checkpoint_save_destroy(tuff__checkpoint_save *save);

/* Warns of what lies beside `folder` (a resolved path) under a name that begins with the folder's and `mark`: a run
 * that was killed leaves such things. They are not removed unasked: another run may be at work. `doing`: "saving". */
void tuff__checkpoint_tell_of_others(const char *folder, const char *mark, const char *doing);

#endif
