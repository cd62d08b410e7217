// attention_backward_kv.glsl: dv[j] = sum over i of m·P[i, j]·do[i], dk[j] = scale·sum over i of dS[i, j]·q[i], with
// P = exp(s - lse) and dS = P·(m·do·v - delta). Rows are keys; the workgroup walks over the queries that see them.
// Grid: x tiles of TILE_ROWS keys, y heads, z batches of the dispatch (include/attention.glsl).
#define MARKS_BINDING 5
#include "include/attention.glsl"

layout(set = 0, binding = 0) readonly restrict buffer Q { float q[]; };
layout(set = 0, binding = 1) readonly restrict buffer K { float k[]; };
layout(set = 0, binding = 2) readonly restrict buffer V { float v[]; };
layout(set = 0, binding = 3) readonly restrict buffer DOutput { float dout[]; };
layout(set = 0, binding = 4) readonly restrict buffer Pairs { vec2 pairs[]; }; // (lse, delta): attention_pack
layout(set = 0, binding = 6) restrict buffer DK { float dk[]; };
layout(set = 0, binding = 7) restrict buffer DV { float dv[]; };

void begin(out float k_sums[ROWS][SHARE], out float v_sums[ROWS][SHARE])
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            k_sums[r][e] = v_sums[r][e] = 0.0;
    if (!has_flag(TUFF_ATTENTION_CONTINUES))
        return;
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = min(first_row() + my_row() + r, push.k_count - 1u);
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            if (element_of(e) < head_size) {
                k_sums[r][e] = dk[k_start() + row * push.channels + element_of(e)] / push.scale;
                v_sums[r][e] = dv[k_start() + row * push.channels + element_of(e)];
            }
    }
}

// k·q and v·do of the tile of queries from `start`.
void compute_products(uint start, out float p[ROWS][COLUMNS], out float ds[ROWS][COLUMNS])
{
    clear(p);
    clear(ds);
    [[dont_unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
        barrier();
        FETCH(row_tile, TILE_ROWS, k, k_start(), first_row(), push.k_count, chunk)
        FETCH(column_tile, TILE_COLUMNS, q, q_start(), start, push.q_count, chunk)
        barrier();
        add_product(p);
        barrier();
        FETCH(row_tile, TILE_ROWS, v, k_start(), first_row(), push.k_count, chunk)
        FETCH(column_tile, TILE_COLUMNS, dout, q_start(), start, push.q_count, chunk)
        barrier();
        add_product(ds);
    }
}

// From products to m·P and dS.
void weigh(uint start, inout float p[ROWS][COLUMNS], inout float ds[ROWS][COLUMNS])
{
    [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
        const uint query = start + my_column() + c, i = push.first_q + query;
        const bool inside = query < push.q_count;
        const uint visible = inside ? visible_keys(my_batch(), i) : 0u;
        const vec2 pair = inside ? pairs[row_start() + query] : vec2(0.0);
        uvec4 words = uvec4(0u);
        [[unroll]] for (uint r = 0u; r < ROWS; r++) {
            const uint row = first_row() + my_row() + r, key = push.first_k + row;
            if (has_dropout && (r == 0u || key % 4u == 0u))
                words = random_words(my_batch(), my_head(), i, key / 4u);
            const float keep = has_dropout ? keep_factor(words, key) : 1.0;
            const bool seen = row < push.k_count && key < visible;
            const float probability = seen ? tuff_exp(push.scale * p[r][c] - pair.x) : 0.0;
            ds[r][c] = probability * (keep * ds[r][c] - pair.y);
            p[r][c] = keep * probability;
        }
    }
}

void store(float k_sums[ROWS][SHARE], float v_sums[ROWS][SHARE])
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        const uint row = first_row() + my_row() + r;
        [[unroll]] for (uint e = 0u; e < SHARE; e++)
            if (row < push.k_count && element_of(e) < head_size) {
                dk[k_start() + row * push.channels + element_of(e)] = push.scale * k_sums[r][e];
                dv[k_start() + row * push.channels + element_of(e)] = v_sums[r][e];
            }
    }
}

void main()
{
    float k_sums[ROWS][SHARE], v_sums[ROWS][SHARE], p[ROWS][COLUMNS], ds[ROWS][COLUMNS];
    begin(k_sums, v_sums);
    // With a causal mask, earlier queries see no key of the tile.
    const uint begin_query = first_seeing(first_row()) / TILE_COLUMNS * TILE_COLUMNS;
    uint end = push.q_count;
    if (push.first_k + first_row() >= visible_keys(my_batch(), push.tq - 1u)) // no query sees the tile
        end = 0u;

    for (uint start = begin_query; start < end; start += TILE_COLUMNS) {
        compute_products(start, p, ds);
        weigh(start, p, ds);
        keep_weights(p);
        [[unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
            barrier();
            FETCH(column_tile, TILE_COLUMNS, dout, q_start(), start, push.q_count, chunk)
            barrier();
            add_weighted(chunk, v_sums);
        }
        barrier();
        keep_weights(ds);
        [[unroll]] for (uint chunk = 0u; chunk < CHUNKS; chunk++) {
            barrier();
            FETCH(column_tile, TILE_COLUMNS, q, q_start(), start, push.q_count, chunk)
            barrier();
            add_weighted(chunk, k_sums);
        }
    }
    store(k_sums, v_sums);
}
