// y = x W^T for few rows, the part of one block: 16 outputs, its warps a share of the columns each, so that a whole block's weights are in flight at
// once; their sums meet in shared memory. The weights take the 16-row side of the matrix instruction and the rows of x its 8-column side. Both
// are sixteen bytes a lane: the instruction's order of columns does not matter as long as both sides have the same, so lane l takes
// columns 8 (l % 4) to 8 (l % 4) + 7 of every 32.
#pragma once
#include "sluice.cuh"

// `x(row, column)` gives eight elements from a column on, `store(row, output, sum)` takes a result; waits for the kernel before, once the weights are asked
// for. What lies at `ahead` is fetched meanwhile. A block of 32 Warps threads; Columns a multiple of 8; rows at most 8 Tiles.
template <int Columns, int Tiles, int Warps, class X, class Store>
DEVICE void few_rows(
    float (&sums)[Warps][Tiles][16][8], const bf16* weight, int block, int outputs, int rows, X x, Store store, const u8* ahead, int ahead_pieces)
{
    constexpr int steps = (Columns + 31) / 32, warp_steps = (steps + Warps - 1) / Warps;
    // Steps whose weights a lane holds at a time: 2 x 16 bytes each.
    constexpr int held = warp_steps < 8 ? warp_steps : 8;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, first_output = block * 16;
    const vec16 nothing = {};

    // The weights do not depend on the kernel before, so they are asked for first.
    const bf16* w0 = weight + (i64)min_(first_output + group, outputs - 1) * Columns;
    const bf16* w1 = weight + (i64)min_(first_output + group + 8, outputs - 1) * Columns;
    vec16 upper[held], lower[held];
    auto load = [&](int base)
    {
#pragma unroll
        for (int s = 0; s < held; s++)
        {
            int column = (warp * warp_steps + base + s) * 32 + lane % 4 * 8;
            bool is_there = base + s < warp_steps && column < Columns;
            upper[s] = is_there ? load16_stream(w0 + column) : nothing;
            lower[s] = is_there ? load16_stream(w1 + column) : nothing;
        }
    };
    load(0);

    // A loop here, even of no turns, keeps the assembler from moving the loads above behind the wait, nearer to their use, which would cost a twentieth of
    // a decode of one sequence. A condition does not: it becomes predicates.
    fetch_ahead(ahead, block, ahead_pieces, 32 * Warps);
    dependency_wait();
    dependents_launch();

    float d[Tiles][4] = {};
#pragma unroll 1
    for (int base = 0; base < warp_steps; base += held)
    {
        if (base > 0)
            load(base);
#pragma unroll
        for (int s = 0; s < held; s++)
        {
            int column = (warp * warp_steps + base + s) * 32 + lane % 4 * 8;
            bool is_there = base + s < warp_steps && column < Columns;
            u32 first[4] = {upper[s].word[0], lower[s].word[0], upper[s].word[1], lower[s].word[1]};
            u32 second[4] = {upper[s].word[2], lower[s].word[2], upper[s].word[3], lower[s].word[3]};
#pragma unroll
            for (int t = 0; t < Tiles; t++)
            {
                int row = t * 8 + group;
                vec16 b = nothing;
                if (is_there && row < rows)
                    b = x(row, column);
                multiply(d[t], first, b.word[0], b.word[1]);
                multiply(d[t], second, b.word[2], b.word[3]);
            }
        }
    }

#pragma unroll
    for (int t = 0; t < Tiles; t++)
    {
#pragma unroll
        for (int i = 0; i < 4; i++)
            sums[warp][t][group + i / 2 * 8][lane % 4 * 2 + i % 2] = d[t][i];
    }

    block_sync();
    for (int i = threadIdx.x; i < Tiles * 128; i += 32 * Warps)
    {
        int output = i % 16;
        int row = i / 16;
        float sum = 0;
#pragma unroll
        for (int w = 0; w < Warps; w++)
            sum += sums[w][row / 8][output][row % 8];
        if (row < rows && first_output + output < outputs)
            store(row, first_output + output, sum);
    }
}
