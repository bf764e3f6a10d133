// Per head of WIDTH elements: y = o * rsqrt(mean(o^2) + eps) * weight * silu(z). Bytes: 3 x rows x heads x WIDTH x 2.
// A part of a warp takes a head, eight elements a lane: LANES lanes, the next power of two of WIDTH / 8. Wider heads go round.
// grid: ceil(rows x heads / (256 / LANES)), block: 256. Macros: WIDTH (a multiple of 8).
#include "sluice.cuh"

#ifndef WIDTH
#define WIDTH 128
#endif
#define LANES (WIDTH <= 8 ? 1 : WIDTH <= 16 ? 2 : WIDTH <= 32 ? 4 : WIDTH <= 64 ? 8 : WIDTH <= 128 ? 16 : 32)
#define ROUNDS ((WIDTH + 8 * LANES - 1) / (8 * LANES))

KERNEL gated_rms_norm(
    const bf16* o, int o_stride, const bf16* z, int z_stride, const float* weight, float epsilon, bf16* y, int y_stride, int rows, int heads)
{
    dependency_wait();
    dependents_launch();
    int item = (int)(blockIdx.x * (256 / LANES) + threadIdx.x / LANES);
    int lane = threadIdx.x % LANES;
    bool is_there = item < rows * heads;
    i64 row = is_there ? item / heads : 0;
    int column = is_there ? item % heads * WIDTH : 0;
    float values[ROUNDS][8];
    float sum = 0;
#pragma unroll
    for (int r = 0; r < ROUNDS; r++)
    {
        int i = (r * LANES + lane) * 8;
        if (i < WIDTH)
            unpack(load16(o + row * o_stride + column + i), values[r]);
#pragma unroll
        for (int j = 0; j < 8; j++)
            sum += i < WIDTH ? values[r][j] * values[r][j] : 0.0f;
    }

#pragma unroll
    for (int mask = LANES / 2; mask > 0; mask >>= 1)
        sum += shuffle_xor(sum, mask);
    float factor = rsqrt_(sum / WIDTH + epsilon);
#pragma unroll
    for (int r = 0; r < ROUNDS; r++)
    {
        int i = (r * LANES + lane) * 8;
        if (i >= WIDTH || !is_there)
            continue;
        float gate[8];
        unpack(load16(z + row * z_stride + column + i), gate);
#pragma unroll
        for (int j = 0; j < 8; j++)
            values[r][j] *= factor * weight[i + j] * silu(gate[j]);
        store16(y + row * y_stride + column + i, pack8(values[r]));
    }
}
