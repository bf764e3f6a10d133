// RMS norm of a row by a block, with an addition to the residual stream before it: residual += something;
//   y = residual * rsqrt(mean(residual^2) + eps) * weight
// Macro: FLOAT_X, whether the residual stream is float32 or bfloat16.
#pragma once
#include "sluice.cuh"

#ifndef FLOAT_X
#define FLOAT_X 1
#endif
#if FLOAT_X
typedef float residual_t;
#else
typedef bf16 residual_t;
#endif
// Threads of the block: eight elements each, at most 256; longer rows take several rounds and stay in registers.
#define NORM_THREADS(width) (((width) + 255) / 256 * 32 < 256 ? ((width) + 255) / 256 * 32 : 256)

// `add(column, values)` adds to eight elements from a column on and says whether it did; y may be null: no norm. `scratch` is 32 floats of shared memory.
template <int Width, class Add>
DEVICE void add_norm(residual_t* x, Add add, const float* weight, float epsilon, bf16* y, float* scratch)
{
    constexpr int threads = NORM_THREADS(Width), rounds = (Width + 8 * threads - 1) / (8 * threads);
    float values[rounds][8];
    float sum = 0;
#pragma unroll
    for (int r = 0; r < rounds; r++)
    {
        int i = (r * threads + (int)threadIdx.x) * 8;
        if (i >= Width)
        {
#pragma unroll
            for (int j = 0; j < 8; j++)
                values[r][j] = 0;
            continue;
        }

        load_eight(values[r], x + i);
        if (add(i, values[r]))
        {
            store_eight(x + i, values[r]);
            if (sizeof(residual_t) == 2)
                unpack(pack8(values[r]), values[r]); // the norm is of what the residual stream holds
        }
#pragma unroll
        for (int j = 0; j < 8; j++)
            sum += values[r][j] * values[r][j];
    }

    if (y == nullptr)
        return;
    float factor = rsqrt_(block_sum(sum, scratch) / Width + epsilon);
#pragma unroll
    for (int r = 0; r < rounds; r++)
    {
        int i = (r * threads + (int)threadIdx.x) * 8;
        if (i >= Width)
            continue;
        float4_ w0 = *(const float4_*)(weight + i);
        float4_ w1 = *(const float4_*)(weight + i + 4);
        float w[8] = {w0.x, w0.y, w0.z, w0.w, w1.x, w1.y, w1.z, w1.w};
#pragma unroll
        for (int j = 0; j < 8; j++)
            values[r][j] *= factor * w[j];
        store16(y + i, pack8(values[r]));
    }
}
