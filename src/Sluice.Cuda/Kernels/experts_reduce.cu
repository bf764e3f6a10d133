// The experts' results come together: y[row] = sum over k of weight[row, k] * results[row, k], in the order of the routing, and, if there is a
// shared expert, + sigmoid(gate[row]) * shared[row]. Float32 sums, one rounding.
// Bytes: rows x HIDDEN x 2 (TOP_K + 1, + 1 with a shared expert). A thread has eight elements of a row and all its loads in flight.
//   grid ceil(rows x HIDDEN / 8 / 128), block 128, no shared memory
// results [rows x TOP_K, HIDDEN] is what the experts' kernel wrote; `shared` may be null; gate is [rows, 1] of float32, a column of the router's logits.
// Macros: HIDDEN (a multiple of 8), TOP_K.
#include "sluice.cuh"

#ifndef HIDDEN
#define HIDDEN 2048
#endif
#ifndef TOP_K
#define TOP_K 10
#endif

KERNEL __launch_bounds__(128) experts_reduce(
    const bf16* results, const float* weights, const bf16* shared, int shared_stride, const float* gate, int gate_stride, bf16* y, int y_stride,
    int rows)
{
    dependency_wait();
    dependents_launch();
    int index = blockIdx.x * 128 + threadIdx.x;
    int row = index / (HIDDEN / 8), column = index % (HIDDEN / 8) * 8;
    if (row >= rows)
        return;
    vec16 results_[TOP_K];
    float weight[TOP_K];
#pragma unroll
    for (int k = 0; k < TOP_K; k++)
    {
        results_[k] = load16(results + (i64)(row * TOP_K + k) * HIDDEN + column);
        weight[k] = weights[row * TOP_K + k];
    }
    float sum[8] = {};
#pragma unroll
    for (int k = 0; k < TOP_K; k++)
    {
        float values[8];
        unpack(results_[k], values);
#pragma unroll
        for (int i = 0; i < 8; i++)
            sum[i] += weight[k] * values[i];
    }
    if (shared != nullptr)
    {
        float values[8], scale = sigmoid(gate[(i64)row * gate_stride]);
        unpack(load16(shared + (i64)row * shared_stride + column), values);
#pragma unroll
        for (int i = 0; i < 8; i++)
            sum[i] += scale * values[i];
    }
    store16(y + (i64)row * y_stride + column, pack8(sum));
}
