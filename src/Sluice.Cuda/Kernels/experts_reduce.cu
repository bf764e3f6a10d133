// The experts' results come together: y[row] = sum over k of weight[row, k] * results[row, k], in the order of the routing, and, if there is a
// shared expert, + sigmoid(gate[row]) * shared[row]. Float32 sums, one rounding.
// Bytes: rows x HIDDEN x 2 (TOP_K + 1, + 1 with a shared expert). A thread has eight elements of a row and all its loads in flight.
//   grid ceil(rows x HIDDEN / 8 / 128), block 128, no shared memory
// results [rows x TOP_K, HIDDEN] is what the experts' kernel wrote; `shared` may be null; gate is [rows, 1] of float32, a column of the router's logits.
// experts_add_norm: that sum goes straight to the residual stream, and the norm of it to y (rms_norm.cuh). Without y no norm.
// Bytes: rows x HIDDEN x (2 TOP_K + 2 for a shared expert + 8 or 4 of the residual stream + 2). A block a row, its numbers in registers.
//   grid rows, block NORM_THREADS(HIDDEN)
// Macros: HIDDEN (a multiple of 8), TOP_K, FLOAT_X (of the residual stream).
#include "rms_norm.cuh"

#ifndef HIDDEN
#define HIDDEN 2048
#endif
#ifndef TOP_K
#define TOP_K 10
#endif

struct Sum
{
    const bf16* results;
    const float* weights;
    const bf16* shared;
    const float* gate;
    int shared_stride, gate_stride;
};

// Eight neighbouring elements of a row's sum.
DEVICE void sum_of(const Sum& from, int row, int column, float (&sum)[8])
{
    vec16 results[TOP_K];
    float weight[TOP_K];
#pragma unroll
    for (int k = 0; k < TOP_K; k++)
    {
        results[k] = load16(from.results + (i64)(row * TOP_K + k) * HIDDEN + column);
        weight[k] = from.weights[row * TOP_K + k];
    }
    vec16 shared = {};
    float scale = 0;
    if (from.shared != nullptr)
    {
        shared = load16(from.shared + (i64)row * from.shared_stride + column);
        scale = sigmoid(from.gate[(i64)row * from.gate_stride]);
    }
#pragma unroll
    for (int i = 0; i < 8; i++)
        sum[i] = 0;
#pragma unroll
    for (int k = 0; k < TOP_K; k++)
    {
        float values[8];
        unpack(results[k], values);
#pragma unroll
        for (int i = 0; i < 8; i++)
            sum[i] += weight[k] * values[i];
    }
    if (from.shared != nullptr)
    {
        float values[8];
        unpack(shared, values);
#pragma unroll
        for (int i = 0; i < 8; i++)
            sum[i] += scale * values[i];
    }
}

KERNEL __launch_bounds__(128) experts_reduce(const Sum from, bf16* y, int y_stride, int rows)
{
    dependency_wait();
    dependents_launch();
    int index = blockIdx.x * 128 + threadIdx.x;
    int row = index / (HIDDEN / 8), column = index % (HIDDEN / 8) * 8;
    if (row >= rows)
        return;
    float sum[8];
    sum_of(from, row, column, sum);
    store16(y + (i64)row * y_stride + column, pack8(sum));
}

KERNEL __launch_bounds__(NORM_THREADS(HIDDEN)) experts_add_norm(
    const Sum from, residual_t* x, int x_stride, const float* norm_weight, float epsilon, bf16* y, int y_stride)
{
    __shared__ float scratch[32];
    int row = (int)blockIdx.x;
    dependency_wait();
    dependents_launch();
    add_norm<HIDDEN>(
        x + (i64)row * x_stride,
        [&](int column, float (&values)[8])
        {
            float sum[8];
            sum_of(from, row, column, sum);
#pragma unroll
            for (int j = 0; j < 8; j++)
                values[j] += sum[j];
            return true;
        },
        norm_weight, epsilon, y == nullptr ? nullptr : y + (i64)row * y_stride, scratch);
}
