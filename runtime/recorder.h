/*
 * recorder.h: what an operator's record function may say. It names a kernel, its constants and what it binds; the
 * recorder (vk/vk_recorder.c) finds the pipeline, writes the descriptors, places barriers and labels.
 */
#ifndef TUFF_RUNTIME_RECORDER_H
#define TUFF_RUNTIME_RECORDER_H

#include "op.h"

enum { TUFF__MAX_BINDINGS = 8, TUFF__MAX_CONSTANTS = 16 };

typedef struct tuff__recorder tuff__recorder;

typedef struct tuff__dispatch {
    const char *shader;                      /* shaders/<shader>.comp */
    const void *push_constants;              /* struct tuff_push_* of shaders/<family>.h; may be NULL */
    uint32_t push_constants_size;            /* at most 128, a multiple of 4 */
    uint32_t local_size_x;                   /* specialization constant 0; 0: what the shader says */
    uint32_t constants[TUFF__MAX_CONSTANTS]; /* specialization constants with ids 3, 4, ... */
    uint32_t constant_count;
    uint32_t group_count[3]; /* each at least 1 and within the target's limits */
    /* Set 0, by binding number. Which are read and which written is read from the SPIR-V (readonly, writeonly). Two
     * bindings may be the same slice. A binding the specialized shader never touches still needs a slice: pass any. */
    tuff__slice bindings[TUFF__MAX_BINDINGS];
    uint32_t binding_count;
} tuff__dispatch;

/* Appends the dispatch. Errors: no such shader, bindings or push constants that differ from the SPIR-V, a slice above
 * max_storage_buffer_range, a pipeline the driver refuses; each names operator and shader. */
tuff_status tuff__dispatch_record(tuff__recorder *recorder, const tuff_op_call *call, const tuff__dispatch *dispatch);

/* Sets all 32-bit words of the slice (size a multiple of 4; any length) to `word`. */
tuff_status tuff__fill_record(tuff__recorder *recorder, const tuff_op_call *call, tuff__slice slice, uint32_t word);

/* -- splitting what exceeds a binding: rows.c --------------------------------------------------------------------- */

/* How many rows of `row_size` bytes one binding can span: all `rows` where they fit, else a multiple of 64 (128 where
 * row_size is not a multiple of 4) so that each part starts at a TUFF__ALIGNMENT boundary. 0 if not even those fit. */
int64_t tuff__rows_per_binding(const tuff__target *target, int64_t rows, uint64_t row_size);
/* The part of an operand that holds rows [first, first + count) of `row_size` bytes. */
tuff__slice tuff__slice_rows(const tuff__operand *operand, int64_t first, int64_t count, uint64_t row_size);
/* A bindable slice of a workspace: bytes [offset, offset + size) of call->workspace_slice. */
tuff__slice tuff__slice_part(tuff__slice slice, uint64_t offset, uint64_t size);
/* Workgroups for `count` items at `per_group` each, at least 1 and at most the target's limit in x: the kernel strides
 * over the rest. */
uint32_t tuff__groups_for(const tuff__target *target, int64_t count, uint32_t per_group);

#endif
