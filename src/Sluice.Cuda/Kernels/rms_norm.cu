// RMS norm of rows, with the addition to the residual stream before it if there is one:
//   residual += delta; y = residual * rsqrt(mean(residual^2) + eps) * weight
// The residual stream is float32 or bfloat16, delta and y are bfloat16.
// Bytes: rows x width x (2 or 4 a number of the residual stream, read and perhaps written; 2 each of delta and y). A block a row; a row of up to 8 x threads x ROUNDS elements stays in registers.
// block: ceil(width / 8) rounded up to a warp, at most 256. Macros: WIDTH, FLOAT_X.
#include "sluice.cuh"

#ifndef WIDTH
#define WIDTH 2048
#endif
#ifndef FLOAT_X
#define FLOAT_X 1
#endif
#if FLOAT_X
typedef float residual_t;
#else
typedef bf16 residual_t;
#endif
#define THREADS ((WIDTH + 255) / 256 * 32 < 256 ? (WIDTH + 255) / 256 * 32 : 256)
#define ROUNDS ((WIDTH + 8 * THREADS - 1) / (8 * THREADS))

// grid: rows. `delta` and `y` may be null: no addition, no norm.
KERNEL rms_norm(residual_t* x, int x_stride, const bf16* delta, int delta_stride, const float* weight, float epsilon, bf16* y, int y_stride)
{
    __shared__ float scratch[32];
    dependency_wait();
    dependents_launch();
    i64 row = blockIdx.x;
    float values[ROUNDS][8];
    float sum = 0;
#pragma unroll
    for (int r = 0; r < ROUNDS; r++)
    {
        int i = (r * THREADS + (int)threadIdx.x) * 8;
        if (i >= WIDTH)
        {
#pragma unroll
            for (int j = 0; j < 8; j++)
                values[r][j] = 0;
            continue;
        }

        load_eight(values[r], x + row * x_stride + i);
        if (delta != nullptr)
        {
            float added[8];
            unpack(load16(delta + row * delta_stride + i), added);
#pragma unroll
            for (int j = 0; j < 8; j++)
                values[r][j] += added[j];
            store_eight(x + row * x_stride + i, values[r]);
            if (sizeof(residual_t) == 2)
                unpack(pack8(values[r]), values[r]); // the norm is of what the residual stream holds
        }
#pragma unroll
        for (int j = 0; j < 8; j++)
            sum += values[r][j] * values[r][j];
    }

    if (y == nullptr)
        return;
    float factor = rsqrt_(block_sum(sum, scratch) / WIDTH + epsilon);
#pragma unroll
    for (int r = 0; r < ROUNDS; r++)
    {
        int i = (r * THREADS + (int)threadIdx.x) * 8;
        if (i >= WIDTH)
            continue;
        float4_ w0 = *(const float4_*)(weight + i);
        float4_ w1 = *(const float4_*)(weight + i + 4);
        float w[8] = {w0.x, w0.y, w0.z, w0.w, w1.x, w1.y, w1.z, w1.w};
#pragma unroll
        for (int j = 0; j < 8; j++)
            values[r][j] *= factor * w[j];
        store16(y + row * y_stride + i, pack8(values[r]));
    }
}
