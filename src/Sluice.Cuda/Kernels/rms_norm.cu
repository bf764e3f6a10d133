// RMS norm of rows, with the addition to the residual stream before it if there is one (rms_norm.cuh). The residual stream is float32 or bfloat16, delta and
// y are bfloat16.
// Bytes: rows x width x (2 or 4 a number of the residual stream, read and perhaps written; 2 each of delta and y). A block a row.
// block: NORM_THREADS(WIDTH). Macros: WIDTH, FLOAT_X.
#include "rms_norm.cuh"

#ifndef WIDTH
#define WIDTH 2048
#endif

// grid: rows. `delta` and `y` may be null: no addition, no norm.
KERNEL rms_norm(residual_t* x, int x_stride, const bf16* delta, int delta_stride, const float* weight, float epsilon, bf16* y, int y_stride)
{
    __shared__ float scratch[32];
    dependency_wait();
    dependents_launch();
    i64 row = blockIdx.x;
    add_norm<WIDTH>(
        x + row * x_stride,
        [&](int column, float (&values)[8])
        {
            if (delta == nullptr)
                return false;
            float added[8];
            unpack(load16(delta + row * delta_stride + column), added);
#pragma unroll
            for (int j = 0; j < 8; j++)
                values[j] += added[j];
            return true;
        },
        weight, epsilon, y == nullptr ? nullptr : y + row * y_stride, scratch);
}
