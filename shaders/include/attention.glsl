// attention.glsl: what the tiled attention kernels share. A workgroup owns TILE_ROWS rows (queries, or keys for dK and
// dV) of one head and walks over the other side in tiles of TILE_COLUMNS. Scores and their gradients are products of
// the two tiles over the head size, fetched into shared memory CHUNK elements at a time; an invocation keeps ROWS x
// COLUMNS of them in registers, and ROWS rows of its own share of the head size as sums.
// The kernel defines THREADS_R, THREADS_C (rows and columns of invocations), COLUMNS, CHUNK, LENGTHS_BINDING.
// Loops over tiles are unrolled by hand and no further: compilers that unroll them whole run out of registers.
// Nor are the rounds of Philox: woven into each other, the calls of several rows want all registers of Mali's.
#define PHILOX_LOOP [[dont_unroll]]
#include "include/attention_mask.glsl"

layout(local_size_x = THREADS_R * THREADS_C) in;
layout(constant_id = TUFF_ATTENTION_ROWS) const uint ROWS = 4u;

const uint THREADS = THREADS_R * THREADS_C;
const uint MAX_ROWS = 4u, TILE_COLUMNS = THREADS_C * COLUMNS, STRIDE = CHUNK + 1u, WEIGHT_STRIDE = TILE_COLUMNS + 1u;
const uint TILE_ROWS = THREADS_R * ROWS;
const uint CHUNKS = (head_size + CHUNK - 1u) / CHUNK;
const uint CHUNK_SHARE = CHUNK / THREADS_C; // elements of a chunk that an invocation sums, THREADS_C apart
const uint SHARE = CHUNKS * CHUNK_SHARE;

shared float row_tile[THREADS_R * MAX_ROWS * STRIDE];
shared float column_tile[TILE_COLUMNS * STRIDE];
shared float weights[THREADS_R * MAX_ROWS * WEIGHT_STRIDE];

uint my_batch() { return gl_WorkGroupID.z; }
uint my_head() { return gl_WorkGroupID.y; }
uint first_row() { return gl_WorkGroupID.x * TILE_ROWS; } // of the window
// Where this head starts in q and its like, in k and its like, in the log-sum-exps.
uint q_start() { return push.q_base + my_batch() * push.tq * push.channels + my_head() * head_size; }
uint k_start() { return push.k_base + my_batch() * push.tk * push.channels + my_head() * head_size; }
uint row_start() { return push.row_base + (my_batch() * push.heads + my_head()) * push.tq; }

uint my_row() { return gl_LocalInvocationID.x / THREADS_C * ROWS; }      // of the tile; ROWS of them
uint my_column() { return gl_LocalInvocationID.x % THREADS_C * COLUMNS; } // COLUMNS of them
uint my_element() { return gl_LocalInvocationID.x % THREADS_C; }          // of each CHUNK_SHARE group of a chunk

// Fetches rows [first, first + ROWS_WANTED) of one head, elements of one chunk; zeros beyond `count` rows and the head.
#define FETCH(TILE, ROWS_WANTED, BUFFER, START, FIRST, COUNT, CHUNK_INDEX)                                             \
    for (uint slot = gl_LocalInvocationID.x; slot < (ROWS_WANTED) * CHUNK; slot += THREADS) {                          \
        const uint fetch_row = slot / CHUNK, fetch_d = (CHUNK_INDEX) * CHUNK + slot % CHUNK;                           \
        const bool inside = (FIRST) + fetch_row < (COUNT) && fetch_d < head_size;                                      \
        TILE[fetch_row * STRIDE + slot % CHUNK] =                                                                      \
            inside ? BUFFER[(START) + ((FIRST) + fetch_row) * push.channels + fetch_d] : 0.0;                          \
    }

void clear(out float values[ROWS][COLUMNS])
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        [[unroll]] for (uint c = 0u; c < COLUMNS; c++)
            values[r][c] = 0.0;
}

// What add_weighted will read.
void keep_weights(float values[ROWS][COLUMNS])
{
    [[unroll]] for (uint r = 0u; r < ROWS; r++)
        [[unroll]] for (uint c = 0u; c < COLUMNS; c++)
            weights[(my_row() + r) * WEIGHT_STRIDE + my_column() + c] = values[r][c];
}

// Adds the product of the two tiles' chunks.
void add_product(inout float products[ROWS][COLUMNS])
{
    [[dont_unroll]] for (uint first = 0u; first < CHUNK; first += 4u)
        [[unroll]] for (uint d = first; d < first + 4u; d++) {
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
    [[dont_unroll]] for (uint first = 0u; first < TILE_COLUMNS; first += 4u)
        [[unroll]] for (uint c = first; c < first + 4u; c++) {
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
