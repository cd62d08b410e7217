// matmul_tile.glsl: the tiled matmul. A workgroup owns a TILE_M x TILE_N tile of out and walks over k in steps of
// TILE_K: both operands' pieces lie in shared memory with k slowest, whatever their layout in memory; an invocation
// keeps REG_M x REG_N sums in registers and, with PREFETCH, the next step's piece, fetched while this one is computed.
// Grid: x tiles along n, y tiles along m, z batch·splits + split.
// The kernel defines THREADS, TILE_M, TILE_N, TILE_K, REG_M, REG_N and PREFETCH; REG_* are multiples of 4.
#include "include/matmul_operands.glsl"

layout(local_size_x = THREADS) in;

// Rows of shared memory are padded by one vector, so that stores down a column meet different banks.
const uint STRIDE_A = TILE_M + 4u, STRIDE_B = TILE_N + 4u;
shared float tile_a[TILE_K * STRIDE_A];
shared float tile_b[TILE_K * STRIDE_B];

const uint FETCHES_A = TILE_M * TILE_K / 4u / THREADS, FETCHES_B = TILE_N * TILE_K / 4u / THREADS;
const uint THREADS_N = TILE_N / REG_N;

// Slot s of a tile: which four elements along the memory's fast dimension it is. x: along m or n, y: along k.
uvec2 slot_position(uint slot, bool k_is_fast, uint width)
{
    if (k_is_fast)
        return uvec2(slot / (TILE_K / 4u), slot % (TILE_K / 4u) * 4u);
    return uvec2(slot % (width / 4u) * 4u, slot / (width / 4u));
}

vec4 fetch_a(uint slot, uint batch_base, uint first_m, uint first_k, uint end_k)
{
    const uvec2 p = slot_position(slot, !transpose_a, TILE_M);
    const uint i = first_m + p.x, k = first_k + p.y;
    vec4 value = vec4(0.0);
    if (i >= push.m || k >= end_k)
        return value;
    const uint at = batch_base + (transpose_a ? k * push.lda + i : i * push.lda + k);
    if ((vectors & 1u) != 0u)
        return a_fours[at / 4u];
    const uint left = transpose_a ? push.m - i : end_k - k;
    value.x = a[at];
    if (left > 1u)
        value.y = a[at + 1u];
    if (left > 2u)
        value.z = a[at + 2u];
    if (left > 3u)
        value.w = a[at + 3u];
    return value;
}

vec4 fetch_b(uint slot, uint batch_base, uint first_n, uint first_k, uint end_k)
{
    const uvec2 p = slot_position(slot, transpose_b, TILE_N);
    const uint j = first_n + p.x, k = first_k + p.y;
    vec4 value = vec4(0.0);
    if (j >= push.n || k >= end_k)
        return value;
    const uint at = batch_base + (transpose_b ? j * push.ldb + k : k * push.ldb + j);
    if ((vectors & 2u) != 0u)
        return b_fours[at / 4u];
    const uint left = transpose_b ? end_k - k : push.n - j;
    value.x = b[at];
    if (left > 1u)
        value.y = b[at + 1u];
    if (left > 2u)
        value.z = b[at + 2u];
    if (left > 3u)
        value.w = b[at + 3u];
    return value;
}

void keep_a(uint slot, vec4 value)
{
    const uvec2 p = slot_position(slot, !transpose_a, TILE_M);
    const uint at = p.y * STRIDE_A + p.x, step = transpose_a ? 1u : STRIDE_A;
    tile_a[at] = value.x;
    tile_a[at + step] = value.y;
    tile_a[at + 2u * step] = value.z;
    tile_a[at + 3u * step] = value.w;
}

void keep_b(uint slot, vec4 value)
{
    const uvec2 p = slot_position(slot, transpose_b, TILE_N);
    const uint at = p.y * STRIDE_B + p.x, step = transpose_b ? STRIDE_B : 1u;
    tile_b[at] = value.x;
    tile_b[at + step] = value.y;
    tile_b[at + 2u * step] = value.z;
    tile_b[at + 3u * step] = value.w;
}

// The invocation's vectors of a step's pieces, from first_k on.
void fetch_pieces(uint batch, uvec2 first, uint first_k, uint end_k, out vec4 piece_a[FETCHES_A],
                  out vec4 piece_b[FETCHES_B])
{
    const uint thread = gl_LocalInvocationID.x;
    for (uint f = 0u; f < FETCHES_A; f++)
        piece_a[f] = fetch_a(thread + f * THREADS, push.a_base + batch * push.a_batch, first.y, first_k, end_k);
    for (uint f = 0u; f < FETCHES_B; f++)
        piece_b[f] = fetch_b(thread + f * THREADS, push.b_base + batch * push.b_batch, first.x, first_k, end_k);
}

// Register r of an invocation stands for row (or column) spread(r, its number, the tile's size): groups of four, so
// that neighbours read neighbouring vectors.
uint spread(uint r, uint number, uint tile, uint registers)
{
    return r / 4u * (tile / (registers / 4u)) + number * 4u + r % 4u;
}

void main()
{
    const uint thread = gl_LocalInvocationID.x, z = gl_WorkGroupID.z;
    const uint batch = z / push.splits, start_k = z % push.splits * push.split_k;
    const uint end_k = min(start_k + push.split_k, push.k);
    const uvec2 first = gl_WorkGroupID.xy * uvec2(TILE_N, TILE_M);
    const uint row = thread / THREADS_N, column = thread % THREADS_N;

    float sums[REG_M][REG_N];
    for (uint i = 0u; i < REG_M; i++)
        for (uint j = 0u; j < REG_N; j++)
            sums[i][j] = 0.0;
    vec4 piece_a[FETCHES_A], piece_b[FETCHES_B];
    if (PREFETCH)
        fetch_pieces(batch, first, start_k, end_k, piece_a, piece_b);

    for (uint k = start_k; k < end_k; k += TILE_K) {
        if (!PREFETCH)
            fetch_pieces(batch, first, k, end_k, piece_a, piece_b);
        for (uint f = 0u; f < FETCHES_A; f++)
            keep_a(thread + f * THREADS, piece_a[f]);
        for (uint f = 0u; f < FETCHES_B; f++)
            keep_b(thread + f * THREADS, piece_b[f]);
        barrier();
        if (PREFETCH && k + TILE_K < end_k)
            fetch_pieces(batch, first, k + TILE_K, end_k, piece_a, piece_b);
        for (uint p = 0u; p < TILE_K; p++) {
            float left[REG_M], right[REG_N];
            for (uint i = 0u; i < REG_M; i++)
                left[i] = tile_a[p * STRIDE_A + spread(i, row, TILE_M, REG_M)];
            for (uint j = 0u; j < REG_N; j++)
                right[j] = tile_b[p * STRIDE_B + spread(j, column, TILE_N, REG_N)];
            for (uint i = 0u; i < REG_M; i++)
                for (uint j = 0u; j < REG_N; j++)
                    sums[i][j] = fma(left[i], right[j], sums[i][j]);
        }
        barrier();
    }

    // Row by row, the rows behind moving up: where a driver keeps this loop, it compiles the epilogue for one row and
    // not for REG_M of them (64 copies of an activation take Mali's compiler minutes).
    for (uint i = 0u; i < REG_M; i++) {
        const uint m = first.y + spread(i, row, TILE_M, REG_M);
        for (uint j = 0u; j < REG_N; j++) {
            const uint n = first.x + spread(j, column, TILE_N, REG_N);
            if (m < push.m && n < push.n)
                store(z, m, n, sums[0][j]);
        }
        for (uint r = 1u; r < REG_M; r++)
            for (uint j = 0u; j < REG_N; j++)
                sums[r - 1u][j] = sums[r][j];
    }
}
