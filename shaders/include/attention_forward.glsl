// attention_forward.glsl: o = softmax(scale·q·kᵀ + mask)·v and lse, by the online softmax of Milakov & Gimelshein
// 2018: each tile of keys raises a row's maximum and rescales what was summed so far. Rows are queries.
// Grid: x tiles of TILE_ROWS queries, y heads, z batches of the dispatch.
#define LENGTHS_BINDING 3
#include "include/attention.glsl"

layout(set = 0, binding = 0) readonly restrict buffer Q { float q[]; };
layout(set = 0, binding = 1) readonly restrict buffer K { float k[]; };
layout(set = 0, binding = 2) readonly restrict buffer V { float v[]; };
layout(set = 0, binding = 5) restrict buffer Output { float o[]; };
layout(set = 0, binding = 6) restrict buffer Lse { float lse[]; };

void main()
{
    const uint head = gl_WorkGroupID.y, batch = gl_WorkGroupID.z, first_row = gl_WorkGroupID.x * TILE_ROWS;
    const uint q_start = push.q_base + batch * push.tq * push.channels + head * head_size;
    const uint k_start = push.k_base + batch * push.tk * push.channels + head * head_size;
    const uint row_start = push.row_base + (batch * push.heads + head) * push.tq;

    float sums[ROWS][SHARE], largest[ROWS], total[ROWS];
    uint visible[ROWS]; // keys of the window
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = first_row + my_row() + r;
        visible[r] = visible_in_window(batch, row);
        largest[r] = NOTHING_SEEN;
        total[r] = 0.0;
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            sums[r][e] = 0.0;
    }
    if (has_flag(TUFF_ATTENTION_CONTINUES))
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            const uint row = min(first_row + my_row() + r, push.q_count - 1u);
            largest[r] = lse[row_start + row];
            total[r] = total_of(largest[r]);
            [[unroll]] for (uint e = 0u; e < SHARE; e++)
                sums[r][e] = element_of(e) < head_size ? o[q_start + row * push.channels + element_of(e)] : 0.0;
        }
    // The last query of the tile sees the most.
    const uint end = visible_in_window(batch, min(first_row + TILE_ROWS, push.q_count) - 1u);

    for (uint start = 0u; start < end; start += TILE_COLUMNS) {
        float scores[ROWS][COLUMNS];
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            [[unroll]] for (uint c = 0u; c < COLUMNS; c++)
                scores[r][c] = 0.0;
        [[dont_unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
            barrier();
            FETCH(row_tile, TILE_ROWS, q, q_start, first_row, push.q_count, chunk)
            FETCH(column_tile, TILE_COLUMNS, k, k_start, start, push.k_count, chunk)
            barrier();
            add_product(scores);
        }
        // Every invocation of a row needs its maximum.
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
                scores[r][c] = start + my_column() + c < visible[r] ? push.scale * scores[r][c] : NOTHING_SEEN;
                weights[(my_row() + r) * WEIGHT_STRIDE + my_column() + c] = scores[r][c];
            }
        barrier();
        float new_largest[ROWS];
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            new_largest[r] = largest[r];
            [[dont_unroll]] for (uint c = 0u; c < TILE_COLUMNS; c++)
                new_largest[r] = max(new_largest[r], weights[(my_row() + r) * WEIGHT_STRIDE + c]);
            const float shrink = tuff_exp(largest[r] - new_largest[r]);
            largest[r] = new_largest[r];
            total[r] *= shrink;
            [[unroll]] for (uint e = 0u; e < SHARE; e++)
                sums[r][e] *= shrink;
        }
        barrier();
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            uvec4 words = uvec4(0u);
            const uint key = push.first_k + start + my_column(); // all COLUMNS of them in one block of four
            if (has_dropout)
                words = random_words(batch, head, push.first_q + first_row + my_row() + r, key / 4u);
            [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
                float p = start + my_column() + c < visible[r] ? tuff_exp(scores[r][c] - largest[r]) : 0.0;
                // The sign tells add_weighted's reader below that the element is dropped, but counts in the total.
                if (has_dropout && words[(key + c) % 4u] < push.threshold)
                    p = -p;
                weights[(my_row() + r) * WEIGHT_STRIDE + my_column() + c] = p;
            }
        }
        barrier();
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            [[dont_unroll]] for (uint c = 0u; c < TILE_COLUMNS; c++)
                total[r] += abs(weights[(my_row() + r) * WEIGHT_STRIDE + c]);
        if (has_dropout) {
            barrier();
            [[unroll]] for (uint r = 0u; r < ROWS; r++)
                [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
                    const uint at = (my_row() + r) * WEIGHT_STRIDE + my_column() + c;
                    weights[at] = weights[at] < 0.0 ? 0.0 : weights[at] * push.keep_scale; // NaN stays
                }
        }
        [[unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
            barrier();
            FETCH(column_tile, TILE_COLUMNS, v, k_start, start, push.k_count, chunk)
            barrier();
            add_weighted(chunk, sums);
        }
    }

    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = first_row + my_row() + r;
        if (row >= push.q_count)
            continue;
        const float inverse = inverse_of(total[r], batch, row);
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            if (element_of(e) < head_size)
                o[q_start + row * push.channels + element_of(e)] = sums[r][e] * inverse;
        if (my_element() == 0u)
            lse[row_start + row] = lse_of(largest[r], total[r], inverse);
    }
}
