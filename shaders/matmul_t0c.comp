// matmul_t0c: out = act(alpha·op(a)·op(b) + bias) + residual for Vulkan on a CPU, where shared memory and barriers
// cost and every load is a gather, so arithmetic per load is everything: 16 x 4 sums in registers, a's elements equal
// in all lanes.
// Grid: x 64 columns each, y 16 rows each, z batch·splits + split. A lane owns 4 columns, 16 apart.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "include/matmul_operands.glsl"

const uint ROWS = 16u, COLUMNS = 4u, LANES = 16u;
layout(local_size_x = 16) in;

// Starts of the rows of a and the columns of b: clamped, so that no element of the inner loop needs a check.
uint a_at[ROWS], b_at[COLUMNS];
vec4 sums[ROWS]; // [row][column]

vec4 read_a(uint at)
{
    return (vectors & 1u) != 0u ? a_fours[at / 4u] : vec4(a[at], a[at + 1u], a[at + 2u], a[at + 3u]);
}

vec4 read_b(uint at)
{
    return (vectors & 2u) != 0u ? b_fours[at / 4u] : vec4(b[at], b[at + 1u], b[at + 2u], b[at + 3u]);
}

// Adds the products of one k: left[row] and the row of b.
void add_products(float left[ROWS], vec4 right)
{
    [[unroll]] for (uint i = 0u; i < ROWS; i++)
        sums[i] += left[i] * right;
}

vec4 row_of_b(uint k)
{
    const uint at = transpose_b ? k : k * push.ldb;
    return vec4(b[at + b_at[0]], b[at + b_at[1]], b[at + b_at[2]], b[at + b_at[3]]);
}

void add_step(uint k)
{
    float left[ROWS];
    const uint step = transpose_a ? k * push.lda : k;
    if (transpose_a && (vectors & 1u) != 0u) // m is a multiple of four: four rows are inside or outside together
        [[unroll]] for (uint i = 0u; i < ROWS; i += 4u) {
            const vec4 rows = a_fours[(a_at[i] + step) / 4u];
            left[i] = rows.x;
            left[i + 1u] = rows.y;
            left[i + 2u] = rows.z;
            left[i + 3u] = rows.w;
        }
    else
        [[unroll]] for (uint i = 0u; i < ROWS; i++)
            left[i] = a[a_at[i] + step];
    add_products(left, row_of_b(k));
}

void add_four_steps(uint k)
{
    if (transpose_a) {
        add_step(k);
        add_step(k + 1u);
        add_step(k + 2u);
        add_step(k + 3u);
        return;
    }
    mat4 right; // [k][column]
    if (transpose_b)
        right = transpose(mat4(read_b(b_at[0] + k), read_b(b_at[1] + k), read_b(b_at[2] + k), read_b(b_at[3] + k)));
    else
        right = mat4(row_of_b(k), row_of_b(k + 1u), row_of_b(k + 2u), row_of_b(k + 3u));
    [[unroll]] for (uint i = 0u; i < ROWS; i++) {
        const vec4 left = read_a(a_at[i] + k);
        sums[i] += left.x * right[0];
        sums[i] += left.y * right[1];
        sums[i] += left.z * right[2];
        sums[i] += left.w * right[3];
    }
}

void store_sums(uint z, uint first_m, uint first_n)
{
    [[unroll]] for (uint i = 0u; i < ROWS; i++)
        [[unroll]] for (uint j = 0u; j < COLUMNS; j++) {
            const uint m = first_m + i, n = first_n + j * LANES;
            if (m >= push.m || n >= push.n)
                continue;
            const uint at = position(z, m, n);
            if ((epilogue & TUFF_MATMUL_PARTIAL) != 0u)
                c[push.c_base + (z * push.m + m) * push.n + n] = sums[i][j];
            else
                c[push.c_base + at] = begin_epilogue(at, sums[i][j]);
        }
}

// In a loop of its own, from memory: 64 copies of an activation take the driver's compiler seconds.
void end_epilogues(uint z, uint first_m, uint first_n)
{
    const uint rows = min(ROWS, push.m - first_m);
    for (uint i = 0u; i < rows; i++)
        for (uint n = first_n; n < min(push.n, first_n + LANES * COLUMNS); n += LANES) {
            const uint at = position(z, first_m + i, n);
            c[push.c_base + at] = end_epilogue(at, n, c[push.c_base + at]);
        }
}

void main()
{
    const uint z = gl_WorkGroupID.z, batch = z / push.splits, start_k = z % push.splits * push.split_k;
    const uint end_k = min(start_k + push.split_k, push.k);
    const uint first_m = gl_WorkGroupID.y * ROWS;
    const uint first_n = gl_WorkGroupID.x * LANES * COLUMNS + gl_LocalInvocationID.x;
    const uint a_start = push.a_base + batch * push.a_batch, b_start = push.b_base + batch * push.b_batch;
    [[unroll]] for (uint i = 0u; i < ROWS; i++) {
        a_at[i] = a_start + min(first_m + i, push.m - 1u) * (transpose_a ? 1u : push.lda);
        sums[i] = vec4(0.0);
    }
    [[unroll]] for (uint j = 0u; j < COLUMNS; j++)
        b_at[j] = b_start + min(first_n + j * LANES, push.n - 1u) * (transpose_b ? push.ldb : 1u);

    uint k = start_k;
    for (; k + 4u <= end_k; k += 4u)
        add_four_steps(k);
    for (; k < end_k; k++)
        add_step(k);

    store_sums(z, first_m, first_n);
    if ((epilogue & (TUFF_MATMUL_ADD_BIAS | TUFF_MATMUL_ADD_RESIDUAL)) != 0u || activation != 0u)
        end_epilogues(z, first_m, first_n);
}
