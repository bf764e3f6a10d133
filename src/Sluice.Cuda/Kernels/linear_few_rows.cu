// y = x W^T for few rows: x [rows, COLUMNS], W [outputs, COLUMNS], y [rows, outputs] in bfloat16 or float32, sums in float32.
// Bytes: W once (outputs x COLUMNS x 2), which is all that counts; flops: 2 x rows x outputs x COLUMNS.
//
// grid: ceil(outputs / 16), block: 32 x WARPS. Macros: COLUMNS (a multiple of 8), TILES (rows / 8 rounded up, 1 to 4), WARPS, FLOAT_RESULT.
#include "few_rows.cuh"

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

// `ahead`: what to bring into the second-level cache meanwhile; `ahead_pieces` (fetch_ahead) of each block.
KERNEL linear_few_rows(
    const bf16* x, int x_stride, const bf16* weight, void* y, int y_stride, int rows, int outputs, const u8* ahead, int ahead_pieces)
{
    __shared__ float sums[WARPS][TILES][16][8];
    few_rows<COLUMNS, TILES, WARPS>(
        sums, weight, (int)blockIdx.x, outputs, rows, [&](int row, int column) { return load16(x + (i64)row * x_stride + column); },
        [&](int row, int output, float sum)
        {
            i64 at = (i64)row * y_stride + output;
#if FLOAT_RESULT
            ((float*)y)[at] = sum;
#else
            ((bf16*)y)[at] = to_bf16(sum);
#endif
        },
        ahead, ahead_pieces);
}
