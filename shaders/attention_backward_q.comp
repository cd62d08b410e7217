// attention_backward_q: dq[i] = scale·sum over j of dS[i, j]·k[j], with P = exp(s - lse) and dS = P·(m·do·v - delta).
// Rows are queries; the workgroup walks over the keys that they see.
// Grid: x tiles of 8·ROWS queries, y heads, z batches of the dispatch (include/attention.glsl).
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#define THREADS_R 8u
#define THREADS_C 16u
#define COLUMNS 2u
#define CHUNK 32u
#define LENGTHS_BINDING 6
#include "include/attention.glsl"

layout(set = 0, binding = 0) readonly restrict buffer Q { float q[]; };
layout(set = 0, binding = 1) readonly restrict buffer K { float k[]; };
layout(set = 0, binding = 2) readonly restrict buffer V { float v[]; };
layout(set = 0, binding = 3) readonly restrict buffer DOutput { float dout[]; };
layout(set = 0, binding = 4) readonly restrict buffer Lse { float lse[]; };
layout(set = 0, binding = 5) readonly restrict buffer Delta { float delta[]; };
layout(set = 0, binding = 8) restrict buffer DQ { float dq[]; };

void main()
{
    const uint head = gl_WorkGroupID.y, batch = gl_WorkGroupID.z, first_row = gl_WorkGroupID.x * TILE_ROWS;
    const uint q_start = push.q_base + batch * push.tq * push.channels + head * head_size;
    const uint k_start = push.k_base + batch * push.tk * push.channels + head * head_size;
    const uint row_start = push.row_base + (batch * push.heads + head) * push.tq;

    float sums[ROWS][SHARE], row_lse[ROWS], row_delta[ROWS];
    uint visible[ROWS]; // keys of the window
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = first_row + my_row() + r;
        const bool inside = row < push.q_count;
        visible[r] = visible_in_window(batch, row);
        row_lse[r] = inside ? lse[row_start + row] : 0.0;
        row_delta[r] = inside ? delta[row_start + row] : 0.0;
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            sums[r][e] = 0.0;
    }
    if (has_flag(TUFF_ATTENTION_CONTINUES))
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            const uint row = min(first_row + my_row() + r, push.q_count - 1u);
            [[unroll]] for (uint e = 0u; e < SHARE; e++)
                if (element_of(e) < head_size)
                    sums[r][e] = dq[q_start + row * push.channels + element_of(e)] / push.scale;
        }
    const uint end = visible_in_window(batch, min(first_row + TILE_ROWS, push.q_count) - 1u);

    for (uint start = 0u; start < end; start += TILE_COLUMNS) {
        float p[ROWS][COLUMNS], ds[ROWS][COLUMNS];
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            [[unroll]] for (uint c = 0u; c < COLUMNS; c++)
                p[r][c] = ds[r][c] = 0.0;
        [[dont_unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
            barrier();
            FETCH(row_tile, TILE_ROWS, q, q_start, first_row, push.q_count, chunk)
            FETCH(column_tile, TILE_COLUMNS, k, k_start, start, push.k_count, chunk)
            barrier();
            add_product(p);
            barrier();
            FETCH(row_tile, TILE_ROWS, dout, q_start, first_row, push.q_count, chunk)
            FETCH(column_tile, TILE_COLUMNS, v, k_start, start, push.k_count, chunk)
            barrier();
            add_product(ds);
        }
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            uvec4 words = uvec4(0u);
            const uint key = push.first_k + start + my_column(); // all COLUMNS of them in one block of four
            if (has_dropout)
                words = random_words(batch, head, push.first_q + first_row + my_row() + r, key / 4u);
            [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
                const float keep = has_dropout ? keep_factor(words, key + c) : 1.0;
                const bool seen = start + my_column() + c < visible[r];
                const float probability = seen ? tuff_exp(push.scale * p[r][c] - row_lse[r]) : 0.0;
                weights[(my_row() + r) * WEIGHT_STRIDE + my_column() + c] =
                    probability * (keep * ds[r][c] - row_delta[r]);
            }
        }
        [[unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
            barrier();
            FETCH(column_tile, TILE_COLUMNS, k, k_start, start, push.k_count, chunk)
            barrier();
            add_weighted(chunk, sums);
        }
    }

    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = first_row + my_row() + r;
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            if (row < push.q_count && element_of(e) < head_size)
                dq[q_start + row * push.channels + element_of(e)] = push.scale * sums[r][e];
    }
}
