/* cpu_pool.h: the CPU device's threads. */
#ifndef TUFF_RUNTIME_CPU_POOL_H
#define TUFF_RUNTIME_CPU_POOL_H

#include "../status.h"

typedef struct tuff__pool tuff__pool;

/* `thread_count` counts the caller's thread too; at least 1. */
tuff_status tuff__pool_create(uint32_t thread_count, tuff__pool **out_pool);
void tuff__pool_destroy(tuff__pool *pool);
uint32_t tuff__pool_thread_count(const tuff__pool *pool); /* 1 for NULL */

/* Runs task(user, index, thread) for every index in [0, count); thread is below tuff__pool_thread_count. Returns when
 * all are done. Which thread takes which index varies, so a task must write only what is its own. NULL pool: in turn
 * here. */
typedef void (*tuff__pool_task)(void *user, size_t index, uint32_t thread);
void tuff__pool_run(tuff__pool *pool, size_t count, tuff__pool_task task, void *user);

/* Cuts [0, count) into ranges of at least `grain` items, about four a thread, and runs task(user, first, last). */
typedef void (*tuff__pool_range_task)(void *user, int64_t first, int64_t last);
void tuff__pool_run_range(tuff__pool *pool, int64_t count, int64_t grain, tuff__pool_range_task task, void *user);

#endif
