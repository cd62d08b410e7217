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

void begin(out float sums[ROWS][SHARE], out float largest[ROWS], out float total[ROWS], out uint visible[ROWS])
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        visible[r] = visible_in_window(my_batch(), first_row() + my_row() + r);
        largest[r] = NOTHING_SEEN;
        total[r] = 0.0;
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            sums[r][e] = 0.0;
    }
    if (!has_flag(TUFF_ATTENTION_CONTINUES))
        return;
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = min(first_row() + my_row() + r, push.q_count - 1u);
        largest[r] = lse[row_start() + row];
        total[r] = my_element() == 0u ? total_of(largest[r]) : 0.0; // of all of the row's invocations it is the sum
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            sums[r][e] = element_of(e) < head_size ? o[q_start() + row * push.channels + element_of(e)] : 0.0;
    }
}

// Scores of the tile of keys from `start`, NOTHING_SEEN where a query does not see the key.
void compute_scores(uint start, uint visible[ROWS], out float scores[ROWS][COLUMNS])
{
    clear(scores);
    [[dont_unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
        barrier();
        FETCH(row_tile, TILE_ROWS, q, q_start(), first_row(), push.q_count, chunk)
        FETCH(column_tile, TILE_COLUMNS, k, k_start(), start, push.k_count, chunk)
        barrier();
        add_product(scores);
    }
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        [[unroll]] for (uint c = 0u; c < COLUMNS; c++)
            scores[r][c] = start + my_column() + c < visible[r] ? push.scale * scores[r][c] : NOTHING_SEEN;
}

// Shares a number of each of the rows with the row's other invocations, in row_tile, which nobody needs until more is
// fetched.
void share(float values[ROWS])
{
    barrier();
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        row_tile[(my_row() + r) * STRIDE + my_element()] = values[r];
    barrier();
}

// Raises the rows' largest scores by those of the tile, and rescales what was summed.
void raise_largest(float scores[ROWS][COLUMNS], inout float sums[ROWS][SHARE], inout float largest[ROWS],
                   inout float total[ROWS])
{
    float own[ROWS];
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        own[r] = scores[r][0];
        [[unroll]] for (uint c = 1u; c < COLUMNS; c++)
            own[r] = max(own[r], scores[r][c]);
    }
    share(own);
    float raised[ROWS];
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        raised[r] = largest[r];
    [[dont_unroll]] for (uint t = 0u; t < THREADS_C; t++)
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            raised[r] = max(raised[r], row_tile[(my_row() + r) * STRIDE + t]);
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const float shrink = tuff_exp(largest[r] - raised[r]);
        largest[r] = raised[r];
        total[r] *= shrink;
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            sums[r][e] *= shrink;
    }
}

// From scores to what add_weighted will read; what is dropped counts in the total.
void weigh(uint start, uint visible[ROWS], float largest[ROWS], float scores[ROWS][COLUMNS], inout float total[ROWS])
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        uvec4 words = uvec4(0u);
        const uint key = push.first_k + start + my_column(); // all COLUMNS of them in one block of four
        if (has_dropout)
            words = random_words(my_batch(), my_head(), push.first_q + first_row() + my_row() + r, key / 4u);
        [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
            const float p = start + my_column() + c < visible[r] ? tuff_exp(scores[r][c] - largest[r]) : 0.0;
            total[r] += p;
            weights[(my_row() + r) * WEIGHT_STRIDE + my_column() + c] =
                has_dropout ? p * keep_factor(words, key + c) : p;
        }
    }
}

void finish(float sums[ROWS][SHARE], float largest[ROWS], float total[ROWS])
{
    share(total);
    float whole[ROWS];
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        whole[r] = 0.0;
    [[dont_unroll]] for (uint t = 0u; t < THREADS_C; t++)
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            whole[r] += row_tile[(my_row() + r) * STRIDE + t];
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = first_row() + my_row() + r;
        const float inverse = inverse_of(whole[r], my_batch(), row);
        if (row >= push.q_count)
            continue;
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            if (element_of(e) < head_size)
                o[q_start() + row * push.channels + element_of(e)] = sums[r][e] * inverse;
        if (my_element() == 0u)
            lse[row_start() + row] = lse_of(largest[r], whole[r], inverse);
    }
}

void main()
{
    // total: of the keys that this invocation weighed.
    float sums[ROWS][SHARE], largest[ROWS], total[ROWS], scores[ROWS][COLUMNS];
    uint visible[ROWS]; // keys of the window
    begin(sums, largest, total, visible);
    // The last query of the tile sees the most.
    const uint end = visible_in_window(my_batch(), min(first_row() + TILE_ROWS, push.q_count) - 1u);

    for (uint start = 0u; start < end; start += TILE_COLUMNS) {
        compute_scores(start, visible, scores);
        raise_largest(scores, sums, largest, total);
        weigh(start, visible, largest, scores, total);
        [[unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
            barrier();
            FETCH(column_tile, TILE_COLUMNS, v, k_start(), start, push.k_count, chunk)
            barrier();
            add_weighted(chunk, sums);
        }
    }
    finish(sums, largest, total);
}
