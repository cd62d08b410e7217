/* rung.h: which devices the rungs of the kernel ladder are meant for, for tables of tuff__variant. */
#ifndef TUFF_RUNTIME_RUNG_H
#define TUFF_RUNTIME_RUNG_H

#include "../op.h"

static inline bool tuff__rung_t0(const tuff__target *target)
{
    (void)target;
    return true;
}

/* Not on a processor: shared memory and barriers cost there, and compiling and timing it to learn that takes
 * seconds. */
static inline bool tuff__rung_t1(const tuff__target *target)
{
    return !target->software && target->max_workgroup_invocations >= 256 && target->max_shared_memory_size >= 32768;
}

static inline bool tuff__rung_t0c(const tuff__target *target)
{
    return target->software;
}

#endif
