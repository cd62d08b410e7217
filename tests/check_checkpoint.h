/* check_checkpoint.h: a tensor of a checkpoint by its name. */
#ifndef TUFF_TESTS_CHECK_CHECKPOINT_H
#define TUFF_TESTS_CHECK_CHECKPOINT_H

#include "../runtime/io/checkpoint.h"

#include <string.h>

/* NULL when there is none; borrowed from the checkpoint. */
static inline const tuff__safetensors_entry *tuff__check_find(const tuff__checkpoint *checkpoint, const char *name)
{
    for (size_t i = 0; i < tuff__checkpoint_count(checkpoint); i++)
        if (strcmp(tuff__checkpoint_entry(checkpoint, i)->name, name) == 0)
            return tuff__checkpoint_entry(checkpoint, i);
    return NULL;
}

#endif
