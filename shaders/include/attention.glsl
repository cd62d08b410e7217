// attention.glsl: what the attention kernels share. A workgroup owns TILE_ROWS rows (queries, or keys for dK and dV) of one
// head and walks over the other side in tiles of TILE_COLUMNS. Scores and their gradients are products of the two tiles over
// the head size, fetched into shared memory CHUNK elements at a time; an invocation keeps ROWS x COLUMNS of them in
// registers, and ROWS rows of its own share of the head size as sums.
// The kernel defines THREADS_R, THREADS_C (rows and columns of invocations), CHUNK, LENGTHS_BINDING; the step parameters
// follow the lengths.
#extension GL_EXT_control_flow_attributes : require
#include "attention.h"
#include "include/math.glsl"
#include "include/philox.glsl"

layout(local_size_x = THREADS_R * THREADS_C) in;
layout(push_constant) uniform Push { tuff_push_attention push; };
layout(constant_id = TUFF_ATTENTION_HEAD_SIZE) const uint head_size = 64u;
layout(constant_id = TUFF_ATTENTION_CAUSAL) const bool causal = false;
layout(constant_id = TUFF_ATTENTION_LENGTHS) const bool has_lengths = false;
layout(constant_id = TUFF_ATTENTION_DROPOUT) const bool has_dropout = false;
layout(constant_id = TUFF_ATTENTION_ROWS) const uint ROWS = 4u;
layout(constant_id = TUFF_ATTENTION_CONTINUE) const bool continues = false;
layout(constant_id = TUFF_ATTENTION_LAST) const bool is_last = true;

layout(set = 0, binding = LENGTHS_BINDING) readonly restrict buffer Lengths { int key_lengths[]; };
layout(set = 0, binding = LENGTHS_BINDING + 1) readonly restrict buffer Step { uint step_parameters[]; };

const uint THREADS = THREADS_R * THREADS_C, COLUMNS = 4u;
const uint MAX_ROWS = 4u, TILE_COLUMNS = THREADS_C * COLUMNS, STRIDE = CHUNK + 1u, WEIGHT_STRIDE = TILE_COLUMNS + 1u;
const uint TILE_ROWS = THREADS_R * ROWS;
const uint CHUNKS = (head_size + CHUNK - 1u) / CHUNK;
const uint CHUNK_SHARE = CHUNK / THREADS_C; // elements of a chunk that an invocation sums, THREADS_C apart
const uint SHARE = CHUNKS * CHUNK_SHARE;

shared float row_tile[THREADS_R * MAX_ROWS * STRIDE];
shared float column_tile[TILE_COLUMNS * STRIDE];
shared float weights[THREADS_R * MAX_ROWS * WEIGHT_STRIDE];

uint my_row() { return gl_LocalInvocationID.x / THREADS_C * ROWS; }      // of the tile; ROWS of them
uint my_column() { return gl_LocalInvocationID.x % THREADS_C * COLUMNS; } // COLUMNS of them
uint my_element() { return gl_LocalInvocationID.x % THREADS_C; }          // of each CHUNK_SHARE group of a chunk

// Fetches rows [first, first + ROWS_WANTED) of one head, elements of one chunk; zeros beyond `count` rows and the head.
#define FETCH(TILE, ROWS_WANTED, BUFFER, START, FIRST, COUNT, CHUNK_INDEX)                                                \
    for (uint slot = gl_LocalInvocationID.x; slot < (ROWS_WANTED) * CHUNK; slot += THREADS) {                             \
        const uint fetch_row = slot / CHUNK, fetch_d = (CHUNK_INDEX) * CHUNK + slot % CHUNK;                              \
        const bool inside = (FIRST) + fetch_row < (COUNT) && fetch_d < head_size;                                         \
        TILE[fetch_row * STRIDE + slot % CHUNK] =                                                                         \
            inside ? BUFFER[(START) + ((FIRST) + fetch_row) * push.channels + fetch_d] : 0.0;                             \
    }

// Adds the product of the two tiles' chunks.
void add_product(inout float products[ROWS][COLUMNS])
{
    for (uint d = 0u; d < CHUNK; d++) {
        float left[ROWS];
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            left[r] = row_tile[(my_row() + r) * STRIDE + d];
        [[unroll]] for (uint c = 0u; c < COLUMNS; c++) {
            const float right = column_tile[(my_column() + c) * STRIDE + d];
            [[unroll]] for (uint r = 0u; r < ROWS; r++)
                products[r][c] = fma(left[r], right, products[r][c]);
        }
    }
}

// Adds weights·column_tile for one chunk, of which the invocation sums its share.
void add_weighted(uint chunk, inout float sums[ROWS][SHARE])
{
    for (uint c = 0u; c < TILE_COLUMNS; c++) {
        float left[ROWS];
        [[unroll]] for (uint r = 0u; r < ROWS; r++)
            left[r] = weights[(my_row() + r) * WEIGHT_STRIDE + c];
        [[unroll]] for (uint e = 0u; e < CHUNK_SHARE; e++) {
            const float right = column_tile[c * STRIDE + my_element() + e * THREADS_C];
            [[unroll]] for (uint r = 0u; r < ROWS; r++)
                sums[r][chunk * CHUNK_SHARE + e] = fma(left[r], right, sums[r][chunk * CHUNK_SHARE + e]);
        }
    }
}

// Which element of the head sums[..][index] is.
uint element_of(uint index)
{
    return index / CHUNK_SHARE * CHUNK + index % CHUNK_SHARE * THREADS_C + my_element();
}

// Query i (of all) sees the keys [0, this) of batch `batch` (of the dispatch).
uint visible_keys(uint batch, uint i)
{
    int visible = int(push.tk);
    if (has_lengths)
        visible = min(visible, key_lengths[push.lengths_base + batch]);
    if (causal)
        visible = min(visible, int(i) + int(push.tk) - int(push.tq) + 1);
    return uint(max(visible, 0));
}

// The random words of keys 4·block .. 4·block + 3 of query i, all counted from 0 of the whole tensor.
uvec4 random_words(uint batch, uint head, uint i, uint block)
{
    const uint row = ((push.first_batch + batch) * push.heads + head) * push.tq + i;
    uint high, low, carry;
    umulExtended(row, (push.tk + 3u) / 4u, high, low);
    low = uaddCarry(low, block, carry);
    return tuff_philox(uvec4(low, push.site, step_parameters[2], high + carry),
                       uvec2(step_parameters[0], step_parameters[1]));
}

// 1/(1-p) or 0 for one of the words.
float keep_factor(uvec4 words, uint key)
{
    return words[key % 4u] >= push.threshold ? push.keep_scale : 0.0;
}
