/*
 * cpu_pool.c: owns the CPU device's threads. One job runs at a time; its indices are handed out one by one, so a core
 * that others keep busy takes fewer. It does not nest: a task must not start another job of the same pool.
 */
#include "cpu_pool.h"

#include "../alloc.h"
#include "../os.h"

#include <stdatomic.h>

/* An operator of a graph follows the one before within microseconds, while waking a sleeping thread costs ten and more:
 * workers and the caller look for about this many turns (some 40 µs) before they sleep. */
enum { SPIN_TURNS = 4000 };

typedef struct pool_worker {
    tuff__pool *pool;
    tuff__thread *thread;
    uint32_t index;
} pool_worker;

struct tuff__pool {
    uint32_t thread_count;
    uint32_t spin_turns;
    pool_worker *workers; /* thread_count - 1 */
    tuff__mutex *mutex;   /* guards task, user, count, open and stop */
    tuff__condition *work, *done;
    tuff__pool_task task;
    void *user;
    size_t count;
    bool open; /* the job still takes workers */
    bool stop;
    atomic_uint_fast64_t generation; /* of the job; written under the mutex, watched without it */
    atomic_uint_fast32_t joined;     /* workers inside the job; written under the mutex, watched without it */
    atomic_size_t next;              /* first index that nobody took */
};

static void pause_turn(void)
{
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    __builtin_ia32_pause();
#endif
}

static void take_indices(tuff__pool *pool, tuff__pool_task task, void *user, size_t count, uint32_t thread)
{
    for (;;) {
        const size_t index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (index >= count)
            return;
        task(user, index, thread);
    }
}

/* Waits for a job that is not `*seen`; false when the pool ends. On true the mutex is held and the job is joined. */
static bool join_next(tuff__pool *pool, uint_fast64_t *seen)
{
    for (uint32_t turn = 0; turn < pool->spin_turns; turn++) {
        if (atomic_load_explicit(&pool->generation, memory_order_relaxed) != *seen)
            break;
        pause_turn();
    }
    tuff__mutex_lock(pool->mutex);
    for (;;) {
        if (pool->stop)
            return false;
        if (atomic_load_explicit(&pool->generation, memory_order_relaxed) != *seen && pool->open)
            break;
        tuff__condition_wait(pool->work, pool->mutex);
    }
    *seen = atomic_load_explicit(&pool->generation, memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->joined, 1, memory_order_relaxed);
    return true;
}

static void worker_main(void *user)
{
    pool_worker *worker = user;
    tuff__pool *pool = worker->pool;
    uint_fast64_t seen = 0;
    while (join_next(pool, &seen)) {
        const tuff__pool_task task = pool->task;
        void *task_user = pool->user;
        const size_t count = pool->count;
        tuff__mutex_unlock(pool->mutex);
        take_indices(pool, task, task_user, count, worker->index);
        tuff__mutex_lock(pool->mutex);
        const bool last = atomic_fetch_sub_explicit(&pool->joined, 1, memory_order_release) == 1;
        if (last && !pool->open)
            tuff__condition_signal_all(pool->done);
        tuff__mutex_unlock(pool->mutex);
    }
    tuff__mutex_unlock(pool->mutex);
}

tuff_status tuff__pool_create(uint32_t thread_count, tuff__pool **out_pool)
{
    *out_pool = NULL;
    tuff__pool *pool = tuff__calloc(1, sizeof *pool);
    if (!pool)
        return tuff__fail_memory("the thread pool", sizeof *pool);
    pool->thread_count = 1; /* grows with each thread that starts, so that destroy joins those alone */
    tuff_status status = tuff__mutex_create(&pool->mutex);
    if (status == TUFF_SUCCESS)
        status = tuff__condition_create(&pool->work);
    if (status == TUFF_SUCCESS)
        status = tuff__condition_create(&pool->done);
    if (status == TUFF_SUCCESS && thread_count > 1) {
        pool->workers = tuff__calloc(thread_count - 1, sizeof *pool->workers);
        if (!pool->workers)
            status = tuff__fail_memory("the thread pool", (thread_count - 1) * sizeof *pool->workers);
    }
    /* More threads than processors: whoever spins keeps a processor from one that works. */
    pool->spin_turns = thread_count <= tuff__cpu_count() ? SPIN_TURNS : 0;
    for (uint32_t i = 1; status == TUFF_SUCCESS && i < thread_count; i++) {
        pool_worker *worker = &pool->workers[i - 1];
        worker->pool = pool;
        worker->index = i;
        status = tuff__thread_create(worker_main, worker, &worker->thread);
        if (status == TUFF_SUCCESS)
            pool->thread_count++;
    }
    if (status != TUFF_SUCCESS) {
        tuff__pool_destroy(pool);
        return status;
    }
    *out_pool = pool;
    return TUFF_SUCCESS;
}

void tuff__pool_destroy(tuff__pool *pool)
{
    if (!pool)
        return;
    if (pool->thread_count > 1) {
        tuff__mutex_lock(pool->mutex);
        pool->stop = true;
        atomic_fetch_add_explicit(&pool->generation, 1, memory_order_relaxed); /* ends the spinning */
        tuff__condition_signal_all(pool->work);
        tuff__mutex_unlock(pool->mutex);
        for (uint32_t i = 1; i < pool->thread_count; i++)
            tuff__thread_join(pool->workers[i - 1].thread);
    }
    tuff__free(pool->workers);
    tuff__condition_destroy(pool->work);
    tuff__condition_destroy(pool->done);
    tuff__mutex_destroy(pool->mutex);
    tuff__free(pool);
}

uint32_t tuff__pool_thread_count(const tuff__pool *pool)
{
    return pool ? pool->thread_count : 1;
}

static void open_job(tuff__pool *pool, size_t count, tuff__pool_task task, void *user)
{
    tuff__mutex_lock(pool->mutex);
    pool->task = task;
    pool->user = user;
    pool->count = count;
    pool->open = true;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_relaxed);
    tuff__condition_signal_all(pool->work);
    tuff__mutex_unlock(pool->mutex);
}

/* Waits only for the workers that joined: one that did not wake in time finds the job closed. */
static void close_job(tuff__pool *pool)
{
    tuff__mutex_lock(pool->mutex);
    pool->open = false;
    tuff__mutex_unlock(pool->mutex);
    for (uint32_t turn = 0; turn < pool->spin_turns; turn++) {
        if (atomic_load_explicit(&pool->joined, memory_order_acquire) == 0)
            return;
        pause_turn();
    }
    tuff__mutex_lock(pool->mutex);
    while (atomic_load_explicit(&pool->joined, memory_order_acquire) != 0)
        tuff__condition_wait(pool->done, pool->mutex);
    tuff__mutex_unlock(pool->mutex);
}

void tuff__pool_run(tuff__pool *pool, size_t count, tuff__pool_task task, void *user)
{
    if (tuff__pool_thread_count(pool) == 1 || count < 2) {
        for (size_t i = 0; i < count; i++)
            task(user, i, 0);
        return;
    }
    open_job(pool, count, task, user);
    take_indices(pool, task, user, count, 0);
    close_job(pool);
}

typedef struct range_job {
    tuff__pool_range_task task;
    void *user;
    int64_t count, pieces;
} range_job;

/* The first index of a piece; the larger ones come first. No product, so that no count overflows. */
static int64_t piece_start(const range_job *job, int64_t piece)
{
    const int64_t size = job->count / job->pieces, larger = job->count % job->pieces;
    return piece * size + (piece < larger ? piece : larger);
}

static void run_piece(void *user, size_t index, uint32_t thread)
{
    (void)thread;
    const range_job *job = user;
    job->task(job->user, piece_start(job, (int64_t)index), piece_start(job, (int64_t)index + 1));
}

void tuff__pool_run_range(tuff__pool *pool, int64_t count, int64_t grain, tuff__pool_range_task task, void *user)
{
    if (count <= 0)
        return;
    const int64_t most = 4 * (int64_t)tuff__pool_thread_count(pool);
    int64_t pieces = grain > 1 ? count / grain : count;
    if (pieces > most)
        pieces = most;
    if (pieces < 2 || tuff__pool_thread_count(pool) == 1) {
        task(user, 0, count);
        return;
    }
    range_job job = {.task = task, .user = user, .count = count, .pieces = pieces};
    tuff__pool_run(pool, (size_t)pieces, run_piece, &job);
}
