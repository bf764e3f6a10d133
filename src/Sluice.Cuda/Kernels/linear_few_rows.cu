// y = x W^T for few rows: x [rows, COLUMNS], W [outputs, COLUMNS], y [rows, outputs] in bfloat16 or float32, sums in float32.
// Bytes: W once (outputs x COLUMNS x 2), which is all that counts; flops: 2 x rows x outputs x COLUMNS.
//
// A block takes 16 outputs, its warps a share of the columns each, so that a whole block's weights are in flight at once; their sums meet in
// shared memory. The weights take the 16-row side of the matrix instruction and the rows of x its 8-column side. Both are read sixteen
// bytes a lane straight from memory: the instruction's order of columns does not matter as long as both sides have the same, so lane l
// takes columns 8 (l % 4) to 8 (l % 4) + 7 of every 32.
//
// grid: ceil(outputs / 16), block: 32 x WARPS. Macros: COLUMNS (a multiple of 8), TILES (rows / 8 rounded up, 1 to 4), WARPS, FLOAT_RESULT.
#include "sluice.cuh"

#ifndef COLUMNS
#define COLUMNS 2048
#endif
#ifndef TILES
#define TILES 1
#endif
#ifndef WARPS
#define WARPS 8
#endif
#ifndef FLOAT_RESULT
#define FLOAT_RESULT 0
#endif
#define STEPS ((COLUMNS + 31) / 32)
#define WARP_STEPS ((STEPS + WARPS - 1) / WARPS)
// Steps whose weights a lane holds at a time: 2 x 16 bytes each.
#define AHEAD (WARP_STEPS < 8 ? WARP_STEPS : 8)

KERNEL linear_few_rows(const bf16* x, int x_stride, const bf16* weight, void* y, int y_stride, int rows, int outputs)
{
    __shared__ float sums[WARPS][TILES][16][8];
    int lane = threadIdx.x % 32;
    int warp = threadIdx.x / 32;
    int group = lane / 4;
    int first_output = blockIdx.x * 16;
    const vec16 nothing = {};

    // The weights do not depend on the kernel before, so they are asked for first.
    const bf16* w0 = weight + (i64)min_(first_output + group, outputs - 1) * COLUMNS;
    const bf16* w1 = weight + (i64)min_(first_output + group + 8, outputs - 1) * COLUMNS;
    vec16 upper[AHEAD], lower[AHEAD];
    auto load = [&](int base)
    {
#pragma unroll
        for (int s = 0; s < AHEAD; s++)
        {
            int column = (warp * WARP_STEPS + base + s) * 32 + lane % 4 * 8;
            bool is_there = base + s < WARP_STEPS && column < COLUMNS;
            upper[s] = is_there ? load16_stream(w0 + column) : nothing;
            lower[s] = is_there ? load16_stream(w1 + column) : nothing;
        }
    };
    load(0);
    dependency_wait();
    dependents_launch();

    float d[TILES][4] = {};
#pragma unroll 1
    for (int base = 0; base < WARP_STEPS; base += AHEAD)
    {
        if (base > 0)
            load(base);
#pragma unroll
        for (int s = 0; s < AHEAD; s++)
        {
            int column = (warp * WARP_STEPS + base + s) * 32 + lane % 4 * 8;
            bool is_there = base + s < WARP_STEPS && column < COLUMNS;
            u32 first[4] = {upper[s].word[0], lower[s].word[0], upper[s].word[1], lower[s].word[1]};
            u32 second[4] = {upper[s].word[2], lower[s].word[2], upper[s].word[3], lower[s].word[3]};
#pragma unroll
            for (int t = 0; t < TILES; t++)
            {
                int row = t * 8 + group;
                vec16 b = is_there && row < rows ? load16(x + (i64)row * x_stride + column) : nothing;
                multiply(d[t], first, b.word[0], b.word[1]);
                multiply(d[t], second, b.word[2], b.word[3]);
            }
        }
    }

#pragma unroll
    for (int t = 0; t < TILES; t++)
    {
#pragma unroll
        for (int i = 0; i < 4; i++)
            sums[warp][t][group + i / 2 * 8][lane % 4 * 2 + i % 2] = d[t][i];
    }

    block_sync();
    for (int i = threadIdx.x; i < TILES * 128; i += 32 * WARPS)
    {
        int output = i % 16;
        int row = i / 16;
        float sum = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w++)
            sum += sums[w][row / 8][output][row % 8];
        if (row >= rows || first_output + output >= outputs)
            continue;
        i64 at = (i64)row * y_stride + first_output + output;
#if FLOAT_RESULT
        ((float*)y)[at] = sum;
#else
        ((bf16*)y)[at] = to_bf16(sum);
#endif
    }
}
