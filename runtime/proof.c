/*
 * proof.c: owns one rung's proof: its small cases computed on the device and held against the reference, and the timed
 * one. What follows from it is prove.c's.
 */
#include "proof.h"

#include "alloc.h"
#include "compare.h"
#include "graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { RUNS = 5 };

typedef struct proof_run {
    tuff_op_call call; /* host data: inputs, and the reference's outputs */
    tuff_graph *graph;
    tuff_buffer *inputs[TUFF__MAX_INPUTS], *outputs[TUFF__MAX_OUTPUTS];
} proof_run;

/* A linear congruential generator (Knuth's MMIX), of which the high bits are used. */
static uint64_t next_random(uint64_t *state)
{
    return *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

static void *new_integers(const tuff_shape *shape, uint64_t seed)
{
    const int64_t count = tuff_shape_count(shape);
    int32_t *data = tuff__malloc((size_t)count * sizeof *data);
    for (int64_t i = 0; data && i < count; i++) {
        data[i] = (int32_t)(next_random(&seed) >> 58);
    }
    return data;
}

static void *new_numbers(const tuff_shape *shape, uint64_t seed)
{
    const int64_t count = tuff_shape_count(shape);
    float *data = tuff__malloc((size_t)count * sizeof *data);
    for (int64_t i = 0; data && i < count; i++) {
        /* A sum of four uniforms is normal enough, and the same everywhere. */
        int64_t sum = 0;
        for (int j = 0; j < 4; j++) {
            sum += (int64_t)(next_random(&seed) >> 40) - (1 << 23);
        }
        data[i] = (float)sum * 0x1p-24F;
    }
    return data;
}

static tuff_status prepare(const tuff_op_desc *op, const tuff__proof *proof, proof_run *run)
{
    run->call = (tuff_op_call){.op = op,
                               .params = proof->params,
                               .input_count = proof->input_count,
                               .output_count = op->output_count,
                               .label = "proof"};
    for (uint32_t i = 0; i < proof->input_count; i++) {
        const bool integers = proof->integers >> i & 1;
        run->call.inputs[i] = (tuff__operand){
            .dtype = integers ? TUFF_I32 : TUFF_F32, .shape = proof->inputs[i], .present = proof->inputs[i].rank > 0};
        if (!run->call.inputs[i].present)
            continue;
        run->call.inputs[i].data = (integers ? new_integers : new_numbers)(&proof->inputs[i], 17 + i);
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

static size_t operand_size(const tuff__operand *operand)
{
    return (size_t)tuff_shape_count(&operand->shape) * sizeof(float);
}

/* Inputs and outputs are in the device's own memory, as a model's are, and not where the host reads and writes: a
 * discrete GPU would be timed at its bus. */
static tuff_status run_on_device(tuff_device *device, const tuff__proof *proof, proof_run *run)
{
    tuff_tensor inputs[TUFF__MAX_INPUTS] = {{0}}, outputs[TUFF__MAX_OUTPUTS] = {{0}};
    TUFF_TRY(tuff_graph_create(device, &run->graph));
    run->graph->is_proof = true;
    for (uint32_t i = 0; i < proof->input_count; i++) {
        const tuff__operand *input = &run->call.inputs[i];
        if (!input->present)
            continue;
        TUFF_TRY(tuff_buffer_create(device, operand_size(input), &run->inputs[i]));
        TUFF_TRY(tuff_buffer_write(run->inputs[i], 0, input->data, operand_size(input)));
        inputs[i] = tuff_graph_external(run->graph, "proof", input->dtype, input->shape, run->inputs[i], 0);
    }
    tuff__graph_add(run->graph, tuff__op_id_of(run->call.op), proof->params, proof->params_size, inputs,
                    proof->input_count, outputs);
    for (uint32_t i = 0; i < run->call.output_count; i++) {
        TUFF_TRY(tuff_buffer_create(device, operand_size(&run->call.outputs[i]), &run->outputs[i]));
        tuff_graph_bind(run->graph, outputs[i], run->outputs[i], 0);
    }
    TUFF_TRY(tuff_graph_compile(run->graph, NULL, 0));
    return tuff_graph_run(run->graph);
}

/* Holds the device's outputs against the reference; *out_right false leaves the words in `reason`. */
static tuff_status judge(proof_run *run, bool *out_right, char reason[192])
{
    run->call.op->compute(&run->call);
    *out_right = true;
    for (uint32_t i = 0; i < run->call.output_count && *out_right; i++) {
        const size_t size = operand_size(&run->call.outputs[i]);
        void *got = tuff__malloc(size);
        tuff_status status = got ? tuff_buffer_read(run->outputs[i], 0, got, size) : tuff__fail_memory("proof", size);
        tuff__comparison comparison;
        if (status == TUFF_SUCCESS)
            status = tuff__compare_output(&run->call, i, got, &comparison);
        if (status == TUFF_SUCCESS) {
            char words[256];
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

/* The best of several runs of the one call, by the device's clock where it has one; run_on_device was the warm-up. */
static tuff_status measure(const proof_run *run, double *out_seconds)
{
    double best = INFINITY;
    for (int i = 0; i < RUNS; i++) {
        double seconds = 0;
        TUFF_TRY(run->graph->device->backend->program_run_call(run->graph->program, 0, &seconds));
        best = fmin(best, seconds);
    }
    *out_seconds = best;
    return TUFF_SUCCESS;
}

static void release(proof_run *run)
{
    tuff_graph_destroy(run->graph);
    for (uint32_t i = 0; i < run->call.input_count; i++) {
        tuff_buffer_destroy(run->inputs[i]);
        tuff__free(run->call.inputs[i].data);
    }
    for (uint32_t i = 0; i < run->call.output_count; i++) {
        tuff_buffer_destroy(run->outputs[i]);
        tuff__free(run->call.outputs[i].data);
    }
}

/* Neither lack of memory nor a lost device tells that a rung computes wrongly. */
static bool is_verdict(tuff_status status)
{
    return status != TUFF_ERROR_DEVICE_LOST && status != TUFF_ERROR_OUT_OF_HOST_MEMORY &&
           status != TUFF_ERROR_OUT_OF_DEVICE_MEMORY;
}

tuff_status tuff__proof_run(tuff_device *device, const tuff_op_desc *op, tuff__prover_row *row)
{
    *row = (tuff__prover_row){.verdict = TUFF__VERDICT_PROVEN};
    for (uint32_t i = 0; i < op->proof_count && row->verdict == TUFF__VERDICT_PROVEN; i++) {
        proof_run run = {.graph = NULL};
        bool right = true;
        tuff_status status = prepare(op, &op->proofs[i], &run);
        if (status == TUFF_SUCCESS)
            status = run_on_device(device, &op->proofs[i], &run);
        if (status == TUFF_SUCCESS)
            status = op->proofs[i].timed ? measure(&run, &row->seconds) : judge(&run, &right, row->reason);
        release(&run);
        if (!is_verdict(status))
            return status;
        if (status != TUFF_SUCCESS)
            snprintf(row->reason, sizeof row->reason, "%.191s", tuff_last_error());
        if (status != TUFF_SUCCESS || !right)
            row->verdict = TUFF__VERDICT_WRONG;
    }
    return TUFF_SUCCESS;
}
