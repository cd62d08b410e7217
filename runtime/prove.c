/* prove.c: owns the choice among an operator's kernel variants on one device, and the file that remembers it. */
#include "prove.h"

#include "alloc.h"
#include "compare.h"
#include "env.h"
#include "graph.h"
#include "log.h"
#include "os.h"
#if TUFF_WITH_VULKAN
#include "vk/vk_spirv.h"
#endif

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_VARIANTS = 6, RUNS = 3 };

/* A higher rung stays although a lower one measured this much faster: clocks are noisy, and a choice that flips would
 * change the bits of a result. */
static const double slower_by = 1.15;

typedef struct op_verdicts {
    bool known;
    uint32_t chosen;
    tuff__prover_row rows[MAX_VARIANTS];
} op_verdicts;

struct tuff__prover {
    op_verdicts ops[TUFF__OP_COUNT];
    const tuff_op_desc *forced_op; /* while a proof runs: this variant, unasked */
    uint32_t forced_variant;
    uint64_t key; /* device, driver, shaders */
    char *path;   /* of the verdict file; NULL: none is kept */
};

const char *tuff__verdict_name(tuff__verdict verdict)
{
    static const char *const names[] = {"unknown", "proven", "wrong", "slower", "unsupported"};
    return names[verdict];
}

static tuff__op_id id_of(const tuff_op_desc *op)
{
    uint32_t id = 1;
    while (id < TUFF__OP_COUNT && tuff__op_desc((tuff__op_id)id) != op)
        id++;
    return (tuff__op_id)id;
}

/* -- the file ----------------------------------------------------------------------------------------------------- */

/* FNV-1a. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static uint64_t key_of(const tuff_device *device)
{
    const tuff_device_properties *p = &device->properties;
    uint64_t hash = hash_bytes(UINT64_C(0xCBF29CE484222325), p->uuid, sizeof p->uuid);
    hash = hash_bytes(hash, &p->driver_version, sizeof p->driver_version);
    hash = hash_bytes(hash, p->driver, strlen(p->driver));
    hash = hash_bytes(hash, p->name, strlen(p->name));
#if TUFF_WITH_VULKAN
    for (size_t i = 0; i < tuff__shader_count; i++)
        hash = hash_bytes(hash, tuff__shaders[i].words, tuff__shaders[i].word_count * 4);
#endif
    return hash;
}

static char *verdict_path(uint64_t key)
{
    const char *wanted = tuff__env()->cache_dir;
    char *own = wanted ? NULL : tuff__cache_directory();
    const char *directory = wanted ? wanted : own;
    char *path = NULL;
    if (directory && tuff__directory_create(directory) == TUFF_SUCCESS)
        path = tuff__asprintf("%s/verdicts-%016llx.txt", directory, (unsigned long long)key);
    tuff__free(own);
    return path;
}

/* Takes a line "op variant verdict seconds" into the table; a line that makes no sense is passed over. */
static void read_line(tuff__prover *prover, const char *line)
{
    char op[64], variant[32];
    int verdict = 0;
    double seconds = 0;
    if (sscanf(line, "%63s %31s %d %lf", op, variant, &verdict, &seconds) != 4 || verdict < TUFF__VERDICT_PROVEN ||
        verdict > TUFF__VERDICT_UNSUPPORTED)
        return;
    for (uint32_t id = 1; id < TUFF__OP_COUNT; id++) {
        const tuff_op_desc *desc = tuff__op_desc((tuff__op_id)id);
        for (uint32_t v = 0; v < desc->variant_count && v < MAX_VARIANTS && !strcmp(desc->name, op); v++) {
            if (strcmp(desc->variants[v].name, variant) != 0)
                continue;
            prover->ops[id].rows[v].verdict = (tuff__verdict)verdict;
            prover->ops[id].rows[v].seconds = seconds;
        }
    }
}

/* An operator is known when every one of its variants has a line and one of them is proven. */
static void settle(tuff__prover *prover)
{
    for (uint32_t id = 1; id < TUFF__OP_COUNT; id++) {
        op_verdicts *verdicts = &prover->ops[id];
        const uint32_t count = tuff__op_desc((tuff__op_id)id)->variant_count;
        bool all = true, any = false;
        for (uint32_t v = 0; v < count && v < MAX_VARIANTS; v++) {
            all = all && verdicts->rows[v].verdict != TUFF__VERDICT_UNKNOWN;
            if (verdicts->rows[v].verdict == TUFF__VERDICT_PROVEN) {
                verdicts->chosen = v;
                any = true;
            }
        }
        verdicts->known = all && any;
    }
}

static void read_verdicts(tuff__prover *prover)
{
    char line[256];
    FILE *file = prover->path ? tuff__file_open(prover->path, "r") : NULL;
    if (!file)
        return;
    while (fgets(line, sizeof line, file))
        read_line(prover, line);
    fclose(file);
    settle(prover);
}

/* Written aside and renamed; a cache that cannot be written is no failure. */
static void write_verdicts(const tuff__prover *prover)
{
    char *aside = prover->path ? tuff__asprintf("%s.%llu", prover->path, (unsigned long long)tuff__process_id()) : NULL;
    FILE *file = aside ? tuff__file_open(aside, "w") : NULL;
    for (uint32_t id = 1; file && id < TUFF__OP_COUNT; id++) {
        const tuff_op_desc *desc = tuff__op_desc((tuff__op_id)id);
        for (uint32_t v = 0; v < desc->variant_count && v < MAX_VARIANTS && prover->ops[id].known; v++)
            fprintf(file, "%s %s %d %.9g\n", desc->name, desc->variants[v].name, (int)prover->ops[id].rows[v].verdict,
                    prover->ops[id].rows[v].seconds);
    }
    if (file && fclose(file) == 0)
        (void)tuff__file_rename(aside, prover->path);
    tuff__free(aside);
}

/* -- a proof ------------------------------------------------------------------------------------------------------ */

typedef struct proof_run {
    tuff_op_call call; /* host data: inputs, and the reference's outputs */
    tuff_graph *graph;
    tuff_tensor inputs[TUFF__MAX_INPUTS], outputs[TUFF__MAX_OUTPUTS];
} proof_run;

static float *new_numbers(const tuff_shape *shape, uint64_t seed)
{
    const int64_t count = tuff_shape_count(shape);
    float *data = tuff__malloc((size_t)count * sizeof *data);
    for (int64_t i = 0; data && i < count; i++) {
        /* A sum of four uniforms is normal enough, and the same everywhere. */
        int64_t sum = 0;
        for (int j = 0; j < 4; j++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            sum += (int64_t)(seed >> 40) - (1 << 23);
        }
        data[i] = (float)sum * 0x1p-24F;
    }
    return data;
}

static tuff_status prepare(const tuff_op_desc *op, const tuff__proof *proof, proof_run *run)
{
    run->call = (tuff_op_call){.op = op, .params = proof->params, .input_count = proof->input_count,
                               .output_count = op->output_count, .label = "proof"};
    for (uint32_t i = 0; i < proof->input_count; i++) {
        run->call.inputs[i] = (tuff__operand){.shape = proof->inputs[i], .present = proof->inputs[i].rank > 0};
        if (!run->call.inputs[i].present)
            continue;
        run->call.inputs[i].data = new_numbers(&proof->inputs[i], 17 + i);
        if (!run->call.inputs[i].data)
            return tuff__fail_memory("proof", 0);
    }
    TUFF_TRY(op->infer(&run->call));
    for (uint32_t i = 0; i < run->call.output_count; i++) {
        const size_t size = (size_t)tuff_shape_count(&run->call.outputs[i].shape) * sizeof(float);
        run->call.outputs[i].data = tuff__malloc(size);
        if (!run->call.outputs[i].data)
            return tuff__fail_memory("proof", size);
    }
    return TUFF_SUCCESS;
}

static tuff_status run_on_device(tuff_device *device, const tuff__proof *proof, proof_run *run)
{
    TUFF_TRY(tuff_graph_create(device, &run->graph));
    run->graph->is_proof = true;
    for (uint32_t i = 0; i < proof->input_count; i++)
        if (run->call.inputs[i].present)
            run->inputs[i] = tuff_graph_input(run->graph, "proof", TUFF_F32, proof->inputs[i]);
    tuff__graph_add(run->graph, id_of(run->call.op), proof->params, proof->params_size, run->inputs,
                    proof->input_count, 0, run->outputs);
    TUFF_TRY(tuff_graph_compile(run->graph, run->outputs, run->call.output_count));
    for (uint32_t i = 0; i < proof->input_count; i++)
        if (run->call.inputs[i].present)
            TUFF_TRY(tuff_graph_write(run->graph, run->inputs[i], run->call.inputs[i].data,
                                      (size_t)tuff_shape_count(&proof->inputs[i]) * sizeof(float)));
    return tuff_graph_run(run->graph);
}

/* Holds the device's outputs against the reference; *out_right false leaves the words in `reason`. */
static tuff_status judge(proof_run *run, bool *out_right, char reason[192])
{
    run->call.op->compute(&run->call);
    *out_right = true;
    for (uint32_t i = 0; i < run->call.output_count && *out_right; i++) {
        const size_t size = (size_t)tuff_shape_count(&run->call.outputs[i].shape) * sizeof(float);
        void *got = tuff__malloc(size);
        tuff_status status = got ? tuff_graph_read(run->graph, run->outputs[i], got, size)
                                 : tuff__fail_memory("proof", size);
        if (status == TUFF_SUCCESS) {
            tuff__comparison comparison;
            char words[256];
            tuff__compare_output(&run->call, i, got, &comparison);
            tuff__comparison_text(&comparison, &run->call.outputs[i].shape, words);
            *out_right = comparison.bad == 0;
            if (!*out_right)
                snprintf(reason, 192, "%.191s", words);
        }
        tuff__free(got);
        TUFF_TRY(status);
    }
    return TUFF_SUCCESS;
}

static tuff_status measure(proof_run *run, double *out_seconds)
{
    double best = INFINITY;
    for (int i = 0; i < RUNS; i++) {
        tuff_graph_statistics statistics;
        TUFF_TRY(tuff_graph_run(run->graph));
        tuff_graph_get_statistics(run->graph, &statistics);
        best = fmin(best, statistics.last_run_seconds);
    }
    *out_seconds = best;
    return TUFF_SUCCESS;
}

static void release(proof_run *run)
{
    tuff_graph_destroy(run->graph);
    for (uint32_t i = 0; i < run->call.input_count; i++)
        tuff__free(run->call.inputs[i].data);
    for (uint32_t i = 0; i < run->call.output_count; i++)
        tuff__free(run->call.outputs[i].data);
}

/* One variant through all proofs. A failure of the device itself is passed up; a refused pipeline is a verdict. */
static tuff_status prove_one(tuff_device *device, const tuff_op_desc *op, tuff__prover_row *row)
{
    row->verdict = TUFF__VERDICT_PROVEN;
    for (uint32_t i = 0; i < op->proof_count && row->verdict == TUFF__VERDICT_PROVEN; i++) {
        proof_run run = {.graph = NULL};
        bool right = true;
        tuff_status status = prepare(op, &op->proofs[i], &run);
        if (status == TUFF_SUCCESS)
            status = run_on_device(device, &op->proofs[i], &run);
        if (status == TUFF_SUCCESS)
            status = op->proofs[i].timed ? measure(&run, &row->seconds) : judge(&run, &right, row->reason);
        release(&run);
        if (status == TUFF_ERROR_DEVICE_LOST || status == TUFF_ERROR_OUT_OF_HOST_MEMORY)
            return status;
        if (status != TUFF_SUCCESS)
            snprintf(row->reason, sizeof row->reason, "%.191s", tuff_last_error());
        if (status != TUFF_SUCCESS || !right)
            row->verdict = TUFF__VERDICT_WRONG;
    }
    return TUFF_SUCCESS;
}

/* Among the right ones the highest rung that no lower one clearly beats. */
static tuff_status choose(const tuff_device *device, const tuff_op_desc *op, op_verdicts *verdicts)
{
    bool any = false;
    for (uint32_t v = 0; v < op->variant_count; v++) {
        tuff__prover_row *row = &verdicts->rows[v];
        tuff__prover_row *best = &verdicts->rows[verdicts->chosen];
        if (row->verdict != TUFF__VERDICT_PROVEN)
            continue;
        if (any && row->seconds > best->seconds * slower_by) {
            row->verdict = TUFF__VERDICT_SLOWER;
            continue;
        }
        if (any)
            best->verdict = TUFF__VERDICT_SLOWER;
        verdicts->chosen = v;
        any = true;
    }
    verdicts->known = any;
    if (any)
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "%s: no kernel proved itself on '%s' (%s)", op->name,
                      device->properties.name, verdicts->rows[0].reason);
}

static tuff_status prove_op(tuff_device *device, const tuff_op_desc *op)
{
    tuff__prover *prover = device->prover;
    op_verdicts *verdicts = &prover->ops[id_of(op)];
    for (uint32_t v = 0; v < op->variant_count; v++) {
        verdicts->rows[v] = (tuff__prover_row){.verdict = TUFF__VERDICT_UNSUPPORTED};
        if (!op->variants[v].supported(&device->target))
            continue;
        prover->forced_op = op;
        prover->forced_variant = v;
        const tuff_status status = prove_one(device, op, &verdicts->rows[v]);
        prover->forced_op = NULL;
        TUFF_TRY(status);
        if (verdicts->rows[v].verdict == TUFF__VERDICT_WRONG)
            tuff__log(TUFF_LOG_WARNING, "%s.%s: left out on '%s': %s", op->name, op->variants[v].name,
                      device->properties.name, verdicts->rows[v].reason);
    }
    TUFF_TRY(choose(device, op, verdicts));
    write_verdicts(prover);
    return TUFF_SUCCESS;
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
    prover->path = verdict_path(prover->key);
    read_verdicts(prover);
    device->prover = prover;
    return TUFF_SUCCESS;
}

/* The rung that the caller insists on; where this operator has no such rung, the highest meant for the device, unproven. */
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
    op_verdicts *verdicts = &device->prover->ops[id_of(op)];
    if (!verdicts->known)
        TUFF_TRY(prove_op(device, op));
    call->variant = verdicts->chosen;
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
    if (prover)
        tuff__free(prover->path);
    tuff__free(prover);
}
