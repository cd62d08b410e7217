/* prove.c: owns the choice among an operator's kernel variants on one device, and the file that remembers it. A proof
 * itself is proof.c's. */
#include "prove.h"

#include "alloc.h"
#include "env.h"
#include "hash.h"
#include "log.h"
#include "os.h"
#include "proof.h"
#if TUFF_WITH_VULKAN
#include "vk/vk_spirv.h"
#endif

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_VARIANTS = 6 };

/* After so many proofs that never ended a rung is left out: the first may have been killed by a user who would not
 * wait, or by a system that wanted the memory. */
enum { MOST_ATTEMPTS = 2 };

/* Of the verdict file; raised when a line comes to mean something else. */
enum { FILE_FORMAT = 2 };

/* A higher rung is taken although a lower one measured up to this much faster: clocks are noisy, and a choice that
 * flips between two cold caches would change the bits of a result. */
static const double slower_by = 2;

typedef struct op_verdicts {
    bool known;
    uint32_t chosen;
    tuff__prover_row rows[MAX_VARIANTS];
    bool own[MAX_VARIANTS]; /* found, or being found, by this device object; the rest is the file's word */
    uint32_t told;          /* bit v: that the driver refused variant v for a graph */
} op_verdicts;

struct tuff__prover {
    op_verdicts ops[TUFF__OP_COUNT];
    const tuff_op_desc *forced_op; /* while a proof runs: this variant, unasked */
    uint32_t forced_variant;
    uint64_t key;    /* device, driver, shaders */
    char *path;      /* of the verdict file; NULL: none is kept */
    char *lock_path; /* who holds it may prove, and write the file */
    bool warned;     /* that it cannot be written */
};

const char *tuff__verdict_name(tuff__verdict verdict)
{
    static const char *const names[] = {"unknown", "proven", "wrong", "slower", "unsupported", "unneeded", "pending"};
    return names[verdict];
}

/* -- the file ----------------------------------------------------------------------------------------------------- */

/* Device, driver, what `supported` functions and the way a proof is cut may depend on, tuff and its shaders. */
static uint64_t key_of(const tuff_device *device)
{
    const tuff_device_properties *p = &device->properties;
    const tuff__target *t = &device->target;
    const uint64_t numbers[] = {
        p->driver_version,
        t->software,
        t->max_storage_buffer_range,
        t->max_shared_memory_size,
        t->max_workgroup_invocations,
        t->max_workgroup_count[0],
        t->max_workgroup_count[1],
        t->max_workgroup_count[2],
        t->few_registers,
        FILE_FORMAT,
    };
    uint64_t hash = tuff__hash(TUFF__HASH_START, p->uuid, sizeof p->uuid);
    hash = tuff__hash(hash, &t->max_dispatch_flops, sizeof t->max_dispatch_flops);
    hash = tuff__hash(hash, p->pipeline_cache_uuid, sizeof p->pipeline_cache_uuid);
    hash = tuff__hash(hash, numbers, sizeof numbers);
    hash = tuff__hash(hash, p->driver, strlen(p->driver));
    hash = tuff__hash(hash, p->name, strlen(p->name));
    hash = tuff__hash(hash, TUFF_VERSION, strlen(TUFF_VERSION));
#if TUFF_WITH_VULKAN
    for (size_t i = 0; i < tuff__shader_count; i++)
        hash = tuff__hash(hash, tuff__shaders[i].words, tuff__shaders[i].word_count * 4);
#endif
    return hash;
}

/* "verdicts-KEY" and the ending. */
static char *verdict_path(uint64_t key, const char *ending)
{
    char *folder = tuff__cache_folder(), *path = NULL;
    if (folder && tuff__directory_create(folder) == TUFF_SUCCESS)
        path = tuff__asprintf("%s/verdicts-%016llx.%s", folder, (unsigned long long)key, ending);
    tuff__free(folder);
    return path;
}

/* Why a rung is left out that no proof of this process has judged. */
static void explain_wrong(const tuff__prover *prover, tuff__prover_row *row)
{
    if (row->attempts)
        snprintf(row->reason, sizeof row->reason,
                 "its proof began %u times and never ended; to try again remove %.100s", row->attempts, prover->path);
    else
        snprintf(row->reason, sizeof row->reason,
                 "its proof failed, or lost the device, in an earlier run; to try again remove %.100s", prover->path);
}

/* What the file says of a rung holds only where the rung is meant for the device now as it was then. */
static void settle_row(const tuff_device *device, const tuff__variant *variant, tuff__prover_row *row)
{
    const bool supported = variant->supported(&device->target);
    if (supported == (row->verdict == TUFF__VERDICT_UNSUPPORTED))
        *row = (tuff__prover_row){.verdict = supported ? TUFF__VERDICT_UNKNOWN : TUFF__VERDICT_UNSUPPORTED};
    if (row->verdict == TUFF__VERDICT_WRONG)
        explain_wrong(device->prover, row);
}

/* Takes a line "op variant verdict seconds attempts" into the table; a line that makes no sense is passed over. */
static void read_line(const tuff_device *device, const char *line)
{
    char op[64], variant[32];
    int verdict = 0;
    double seconds = 0;
    uint32_t attempts = 0;
    if (sscanf(line, "%63s %31s %d %lf %u", op, variant, &verdict, &seconds, &attempts) < 4 ||
        verdict < TUFF__VERDICT_PROVEN || verdict > TUFF__VERDICT_PENDING)
        return;
    for (uint32_t id = 1; id < TUFF__OP_COUNT; id++) {
        const tuff_op_desc *desc = tuff__op_desc((tuff__op_id)id);
        op_verdicts *verdicts = &device->prover->ops[id];
        for (uint32_t v = 0; v < desc->variant_count && v < MAX_VARIANTS && !strcmp(desc->name, op); v++) {
            if (strcmp(desc->variants[v].name, variant) != 0 || verdicts->own[v])
                continue;
            verdicts->rows[v] =
                (tuff__prover_row){.verdict = (tuff__verdict)verdict, .seconds = seconds, .attempts = attempts};
            settle_row(device, &desc->variants[v], &verdicts->rows[v]);
        }
    }
}

static void read_lines(const tuff_device *device)
{
    char line[256];
    FILE *file = device->prover->path ? tuff__file_open(device->prover->path, "r") : NULL;
    while (file && fgets(line, sizeof line, file))
        read_line(device, line);
    if (file)
        fclose(file);
}

/* An operator is known when every one of its variants has a verdict and one alone is proven: while there are two, the
 * choice between them is still to be made, perhaps by another process at this moment. */
static void settle_op(const tuff_device *device, tuff__op_id id)
{
    op_verdicts *verdicts = &device->prover->ops[id];
    const tuff_op_desc *desc = tuff__op_desc(id);
    uint32_t open = 0, proven = 0;
    for (uint32_t v = 0; v < desc->variant_count && v < MAX_VARIANTS; v++) {
        tuff__prover_row *row = &verdicts->rows[v];
        if (!verdicts->own[v])
            settle_row(device, &desc->variants[v], row);
        open += row->verdict == TUFF__VERDICT_UNKNOWN || row->verdict == TUFF__VERDICT_PENDING;
        if (row->verdict == TUFF__VERDICT_PROVEN) {
            verdicts->chosen = v;
            proven++;
        }
    }
    verdicts->known = open == 0 && proven == 1;
}

/* What this device object has found, or chosen before, stays; of the rest the file as it is now is believed. */
static void read_verdicts(const tuff_device *device)
{
    tuff__prover *prover = device->prover;
    for (uint32_t id = 1; id < TUFF__OP_COUNT; id++)
        for (uint32_t v = 0; v < MAX_VARIANTS; v++)
            if (!prover->ops[id].known && !prover->ops[id].own[v])
                prover->ops[id].rows[v] = (tuff__prover_row){.verdict = TUFF__VERDICT_UNKNOWN};
    read_lines(device);
    for (uint32_t id = 1; id < TUFF__OP_COUNT; id++)
        if (!prover->ops[id].known)
            settle_op(device, (tuff__op_id)id);
}

static bool write_lines(const tuff__prover *prover, const char *path)
{
    FILE *file = tuff__file_open(path, "w");
    bool written = file != NULL;
    for (uint32_t id = 1; file && id < TUFF__OP_COUNT; id++) {
        const tuff_op_desc *desc = tuff__op_desc((tuff__op_id)id);
        for (uint32_t v = 0; v < desc->variant_count && v < MAX_VARIANTS; v++) {
            const tuff__prover_row *row = &prover->ops[id].rows[v];
            if (row->verdict != TUFF__VERDICT_UNKNOWN)
                written = fprintf(file, "%s %s %d %.9g %u\n", desc->name, desc->variants[v].name, (int)row->verdict,
                                  row->seconds, row->attempts) > 0 &&
                          written;
        }
    }
    return file && fclose(file) == 0 && written;
}

/* Written aside and renamed; a cache that cannot be written is no failure. What another process has found since then is
 * kept. */
static void write_verdicts(const tuff_device *device)
{
    tuff__prover *prover = device->prover;
    read_lines(device);
    char *aside = prover->path ? tuff__asprintf("%s.%llx.%llx", prover->path, (unsigned long long)tuff__process_id(),
                                                (unsigned long long)(uintptr_t)prover)
                               : NULL;
    const bool kept = aside && write_lines(prover, aside) && tuff__file_rename(aside, prover->path) == TUFF_SUCCESS;
    if (aside && !kept)
        (void)tuff__file_remove(aside);
    tuff__free(aside);
    if (!kept && !prover->warned)
        tuff__log(TUFF_LOG_WARNING,
                  "kernel verdicts cannot be kept (%s): every start proves the kernels anew, and where two are nearly "
                  "as fast may choose differently; set TUFF_CACHE_DIR to a folder that can be written",
                  prover->path ? prover->path : "there is no folder for caches");
    prover->warned = prover->warned || !kept;
}

/* -- proving ------------------------------------------------------------------------------------------------------ */

bool tuff__prover_choose(tuff__prover_row *rows, uint32_t count, uint32_t *out_chosen)
{
    double fastest = INFINITY;
    bool any = false;
    for (uint32_t v = 0; v < count; v++)
        if (rows[v].verdict == TUFF__VERDICT_PROVEN)
            fastest = fmin(fastest, rows[v].seconds);
    for (uint32_t v = count; v-- > 0;) {
        if (rows[v].verdict != TUFF__VERDICT_PROVEN)
            continue;
        if (any || rows[v].seconds > fastest * slower_by) {
            rows[v].verdict = TUFF__VERDICT_SLOWER;
            continue;
        }
        *out_chosen = v;
        any = true;
    }
    return any;
}

/* A rung that takes the process down must not do so at every start: the file counts the proofs that have not ended. The
 * caller holds the lock. */
static tuff_status prove_rung(tuff_device *device, const tuff_op_desc *op, uint32_t v)
{
    tuff__prover *prover = device->prover;
    op_verdicts *verdicts = &prover->ops[tuff__op_id_of(op)];
    tuff__prover_row *row = &verdicts->rows[v], found;
    const tuff__prover_row before = *row;
    verdicts->own[v] = true;
    *row = (tuff__prover_row){.verdict = TUFF__VERDICT_PENDING, .attempts = before.attempts + 1};
    write_verdicts(device);
    prover->forced_op = op;
    prover->forced_variant = v;
    const tuff_status status = tuff__proof_run(device, op, &found);
    prover->forced_op = NULL;
    if (status == TUFF_SUCCESS)
        *row = found;
    else if (status == TUFF_ERROR_DEVICE_LOST)
        *row = (tuff__prover_row){.verdict = TUFF__VERDICT_WRONG, .reason = "the device was lost during its proof"};
    else
        *row = before;
    write_verdicts(device);
    verdicts->own[v] = status == TUFF_SUCCESS || status == TUFF_ERROR_DEVICE_LOST;
    return status;
}

/* A rung whose proofs never ended is wrong. Only who holds the lock may say so: to others the last of those proofs may
 * still run. */
static void give_up(const tuff__prover *prover, op_verdicts *verdicts, uint32_t v)
{
    tuff__prover_row *row = &verdicts->rows[v];
    if (row->verdict != TUFF__VERDICT_PENDING || row->attempts < MOST_ATTEMPTS)
        return;
    row->verdict = TUFF__VERDICT_WRONG;
    explain_wrong(prover, row);
    verdicts->own[v] = true;
}

/* All rungs that are meant for the device, from the highest down; those that the file calls wrong only where `again`. A
 * processor wants no other than the one made for it, and its driver compiles the others for seconds. */
static tuff_status prove_rungs(tuff_device *device, const tuff_op_desc *op, bool again)
{
    op_verdicts *verdicts = &device->prover->ops[tuff__op_id_of(op)];
    bool settled = false;
    for (uint32_t v = op->variant_count; v-- > 0;) {
        tuff__prover_row *row = &verdicts->rows[v];
        give_up(device->prover, verdicts, v);
        const bool tried = row->verdict != TUFF__VERDICT_UNSUPPORTED && (row->verdict != TUFF__VERDICT_WRONG || again);
        if (tried && settled) {
            *row = (tuff__prover_row){.verdict = TUFF__VERDICT_UNNEEDED};
            verdicts->own[v] = true;
        } else if (tried) {
            TUFF_TRY(prove_rung(device, op, v));
        }
        settled = settled || (device->target.software && row->verdict == TUFF__VERDICT_PROVEN);
        if (row->verdict == TUFF__VERDICT_WRONG)
            tuff__log(TUFF_LOG_WARNING, "%s.%s: left out on '%s': %s", op->name, op->variants[v].name,
                      device->properties.name, row->reason);
    }
    verdicts->known = tuff__prover_choose(verdicts->rows, op->variant_count, &verdicts->chosen);
    return TUFF_SUCCESS;
}

static tuff_status prove_variants(tuff_device *device, const tuff_op_desc *op)
{
    op_verdicts *verdicts = &device->prover->ops[tuff__op_id_of(op)];
    TUFF_TRY(prove_rungs(device, op, false));
    if (!verdicts->known) /* nothing to lose: the file's word may be that of a run somebody interrupted */
        TUFF_TRY(prove_rungs(device, op, true));
    if (!verdicts->known)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "%s: no kernel proved itself on '%s' (%s)", op->name,
                          device->properties.name, verdicts->rows[0].reason);
    write_verdicts(device);
    return TUFF_SUCCESS;
}

/* One at a time proves kernels: two would time each other's, and each would find the other's proofs not ended. NULL,
 * and no harm but that, where the folder has no locks. */
static tuff__file_lock *lock_proofs(const tuff_device *device)
{
    const char *path = device->prover->lock_path;
    tuff__file_lock *lock = NULL;
    if (!path)
        return NULL;
    tuff_status status = tuff__file_lock_take(path, false, &lock);
    if (status == TUFF_SUCCESS && !lock) {
        tuff__log(TUFF_LOG_INFO, "prove: waiting for another process or device object, which proves kernels on '%s'",
                  device->properties.name);
        status = tuff__file_lock_take(path, true, &lock);
    }
    if (status != TUFF_SUCCESS)
        tuff__log(TUFF_LOG_DEBUG, "prove: without a lock: %s", tuff_last_error());
    return lock;
}

static tuff_status prove_op(tuff_device *device, const tuff_op_desc *op)
{
    tuff__file_lock *lock = lock_proofs(device);
    read_verdicts(device); /* another may have found them since the file was read */
    const tuff_status status =
        device->prover->ops[tuff__op_id_of(op)].known ? TUFF_SUCCESS : prove_variants(device, op);
    tuff__file_lock_release(lock);
    return status;
}

/* -- the choice --------------------------------------------------------------------------------------------------- */

static tuff_status need_prover(tuff_device *device)
{
    if (device->prover)
        return TUFF_SUCCESS;
    tuff__prover *prover = tuff__calloc(1, sizeof *prover);
    if (!prover)
        return tuff__fail_memory("device", sizeof *prover);
    prover->key = key_of(device);
    prover->path = verdict_path(prover->key, "txt");
    prover->lock_path = verdict_path(prover->key, "lock");
    device->prover = prover;
    read_verdicts(device);
    return TUFF_SUCCESS;
}

/* The rung that the caller insists on; where this operator has no such rung, the highest meant for the device,
 * unproven. */
static bool insisted(const tuff_device *device, const tuff_op_desc *op, uint32_t *out_variant)
{
    const char *wanted = device->target.kernel_variant;
    *out_variant = 0;
    for (uint32_t v = 0; wanted && v < op->variant_count; v++) {
        if (op->variants[v].supported(&device->target))
            *out_variant = v;
        if (!strcmp(op->variants[v].name, wanted)) {
            *out_variant = v;
            break;
        }
    }
    return wanted != NULL;
}

tuff_status tuff__prove_variant(tuff_device *device, tuff_op_call *call)
{
    const tuff_op_desc *op = call->op;
    if (!op->variant_count || device->target.backend != TUFF_BACKEND_VULKAN || insisted(device, op, &call->variant))
        return TUFF_SUCCESS;
    TUFF_TRY(need_prover(device));
    if (device->prover->forced_op == op) {
        call->variant = device->prover->forced_variant;
        return TUFF_SUCCESS;
    }
    op_verdicts *verdicts = &device->prover->ops[tuff__op_id_of(op)];
    if (!verdicts->known)
        TUFF_TRY(prove_op(device, op));
    call->variant = verdicts->chosen;
    return TUFF_SUCCESS;
}

/* A rung that no need had been seen for. Though right it is taken in one graph alone. */
static tuff_status prove_spare(tuff_device *device, const tuff_op_desc *op, uint32_t v)
{
    op_verdicts *verdicts = &device->prover->ops[tuff__op_id_of(op)];
    tuff__prover_row *row = &verdicts->rows[v];
    tuff_status status = TUFF_SUCCESS;
    tuff__file_lock *lock = lock_proofs(device);
    read_verdicts(device);
    give_up(device->prover, verdicts, v);
    if (row->verdict == TUFF__VERDICT_UNNEEDED || row->verdict == TUFF__VERDICT_PENDING) {
        status = prove_rung(device, op, v);
        if (row->verdict == TUFF__VERDICT_PROVEN)
            row->verdict = TUFF__VERDICT_SLOWER;
    }
    write_verdicts(device);
    tuff__file_lock_release(lock);
    return status;
}

/* The highest rung that is right and not among the refused. */
static tuff_status find_other(tuff_device *device, const tuff_op_desc *op, uint32_t refused, uint32_t *out_variant,
                              bool *out_found)
{
    tuff__prover_row *rows = device->prover->ops[tuff__op_id_of(op)].rows;
    for (uint32_t v = op->variant_count; v-- > 0 && !*out_found;) {
        if (refused >> v & 1)
            continue;
        if (rows[v].verdict == TUFF__VERDICT_UNNEEDED || rows[v].verdict == TUFF__VERDICT_PENDING)
            TUFF_TRY(prove_spare(device, op, v));
        *out_found = rows[v].verdict == TUFF__VERDICT_PROVEN || rows[v].verdict == TUFF__VERDICT_SLOWER;
        *out_variant = v;
    }
    return TUFF_SUCCESS;
}

tuff_status tuff__prove_other(tuff_device *device, const tuff_op_desc *op, uint32_t refused, uint32_t *out_variant)
{
    bool found = false;
    char words[512]; /* a proof has errors of its own */
    snprintf(words, sizeof words, "%s", tuff_last_error());
    if (device->prover && !device->target.kernel_variant)
        TUFF_TRY(find_other(device, op, refused, out_variant, &found));
    if (!found)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "%s", words);
    op_verdicts *verdicts = &device->prover->ops[tuff__op_id_of(op)];
    if (refused & ~verdicts->told)
        tuff__log(TUFF_LOG_WARNING, "%s.%s runs in place of a faster kernel: %s", op->name,
                  op->variants[*out_variant].name, words);
    verdicts->told |= refused;
    return TUFF_SUCCESS;
}

tuff_status tuff__prove_all(tuff_device *device, tuff__prover_row **out_rows, size_t *out_count)
{
    *out_rows = tuff__calloc((size_t)TUFF__OP_COUNT * MAX_VARIANTS, sizeof **out_rows);
    *out_count = 0;
    if (!*out_rows)
        return tuff__fail_memory("device", sizeof **out_rows);
    if (device->target.backend != TUFF_BACKEND_VULKAN)
        return TUFF_SUCCESS;
    TUFF_TRY(need_prover(device));
    for (uint32_t id = 1; id < TUFF__OP_COUNT; id++) {
        const tuff_op_desc *op = tuff__op_desc((tuff__op_id)id);
        if (!op->variant_count)
            continue;
        if (!device->prover->ops[id].known)
            TUFF_TRY(prove_op(device, op));
        for (uint32_t v = 0; v < op->variant_count; v++) {
            tuff__prover_row *row = &(*out_rows)[(*out_count)++];
            *row = device->prover->ops[id].rows[v];
            row->op = op->name;
            row->variant = op->variants[v].name;
        }
    }
    return TUFF_SUCCESS;
}

void tuff__prover_destroy(tuff__prover *prover)
{
    if (!prover)
        return;
    tuff__free(prover->lock_path);
    tuff__free(prover->path);
    tuff__free(prover);
}
