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
#define MARKS_BINDING 5
#include "include/attention.glsl"

layout(set = 0, binding = 0) readonly restrict buffer Q { float q[]; };
layout(set = 0, binding = 1) readonly restrict buffer K { float k[]; };
layout(set = 0, binding = 2) readonly restrict buffer V { float v[]; };
layout(set = 0, binding = 3) readonly restrict buffer DOutput { float dout[]; };
layout(set = 0, binding = 4) readonly restrict buffer Pairs { vec2 pairs[]; }; // (lse, delta): attention_pack
layout(set = 0, binding = 6) restrict buffer DQ { float dq[]; };

void begin(out float sums[ROWS][SHARE])
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            sums[r][e] = 0.0;
    if (!has_flag(TUFF_ATTENTION_CONTINUES))
        return;
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = min(first_row() + my_row() + r, push.q_count - 1u);
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            if (element_of(e) < head_size)
                sums[r][e] = dq[q_start() + row * push.channels + element_of(e)] / push.scale;
    }
}

// q·k and do·v of the tile of keys from `start`.
void compute_products(uint start, out float p[ROWS][COLUMNS], out float ds[ROWS][COLUMNS])
{
    clear(p);
    clear(ds);
    [[dont_unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
        barrier();
        FETCH(row_tile, TILE_ROWS, q, q_start(), first_row(), push.q_count, chunk)
        FETCH(column_tile, TILE_COLUMNS, k, k_start(), start, push.k_count, chunk)
        barrier();
        add_product(p);
        barrier();
        FETCH(row_tile, TILE_ROWS, dout, q_start(), first_row(), push.q_count, chunk)
        FETCH(column_tile, TILE_COLUMNS, v, k_start(), start, push.k_count, chunk)
        barrier();
        add_product(ds);
    }
}

// From products to dS.
void weigh(uint start, float p[ROWS][COLUMNS], inout float ds[ROWS][COLUMNS])
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = first_row() + my_row() + r, visible = visible_in_window(my_batch(), row);
        const vec2 pair = row < push.q_count ? pairs[row_start() + row] : vec2(0.0);
        uvec4 words = uvec4(0u);
        const uint key = push.first_k + start + my_column(); // all COLUMNS of them in one block of four
        if (has_dropout)
            words = random_words(my_batch(), my_head(), push.first_q + row, key / 4u);
        [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
            const float keep = has_dropout ? keep_factor(words, key + c) : 1.0;
            const bool seen = start + my_column() + c < visible;
            const float probability = seen ? tuff_exp(push.scale * p[r][c] - pair.x) : 0.0;
            ds[r][c] = probability * (keep * ds[r][c] - pair.y);
        }
    }
}

void store(float sums[ROWS][SHARE])
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = first_row() + my_row() + r;
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            if (row < push.q_count && element_of(e) < head_size)
                dq[q_start() + row * push.channels + element_of(e)] = push.scale * sums[r][e];
    }
}

void main()
{
    float sums[ROWS][SHARE], p[ROWS][COLUMNS], ds[ROWS][COLUMNS];
    begin(sums);
    const uint end = visible_in_window(my_batch(), min(first_row() + TILE_ROWS, push.q_count) - 1u);

    for (uint start = 0u; start < end; start += TILE_COLUMNS) {
        compute_products(start, p, ds);
        weigh(start, p, ds);
        keep_weights(ds);
        [[unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
            barrier();
            FETCH(column_tile, TILE_COLUMNS, k, k_start(), start, push.k_count, chunk)
            barrier();
            add_weighted(chunk, sums);
        }
    }
    store(sums);
}
