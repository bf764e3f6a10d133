// What works element by element: SwiGLU, the shared expert's joining, a bias. Bytes are all that counts; eight elements a thread.
// grid: (ceil(width / 8 / 256), rows), block: 256.
#include "sluice.cuh"

// y = silu(gate) * up, gate and up side by side in a row of 2 x width.
template <class T>
DEVICE void swiglu_rows(const T* gate_up, int gate_up_stride, bf16* y, int y_stride, int width)
{
    dependency_wait();
    dependents_launch();
    int i = (int)(blockIdx.x * 256 + threadIdx.x) * 8;
    if (i >= width)
        return;
    const T* row = gate_up + (i64)blockIdx.y * gate_up_stride;
    float gate[8], up[8];
    load_eight(gate, row + i);
    load_eight(up, row + width + i);
#pragma unroll
    for (int j = 0; j < 8; j++)
        gate[j] = silu(gate[j]) * up[j];
    store16(y + (i64)blockIdx.y * y_stride + i, pack8(gate));
}

KERNEL swiglu(const bf16* gate_up, int gate_up_stride, bf16* y, int y_stride, int width)
{
    swiglu_rows(gate_up, gate_up_stride, y, y_stride, width);
}
KERNEL swiglu_float(const float* gate_up, int gate_up_stride, bf16* y, int y_stride, int width)
{
    swiglu_rows(gate_up, gate_up_stride, y, y_stride, width);
}

// y += sigmoid(gate[row]) * x
KERNEL add_gated(const bf16* x, int x_stride, const bf16* gate, int gate_stride, bf16* y, int y_stride, int width)
{
    dependency_wait();
    dependents_launch();
    int i = (int)(blockIdx.x * 256 + threadIdx.x) * 8;
    if (i >= width)
        return;
    float factor = sigmoid(to_float(gate[(i64)blockIdx.y * gate_stride]));
    float values[8], sums[8];
    unpack(load16(x + (i64)blockIdx.y * x_stride + i), values);
    bf16* target = y + (i64)blockIdx.y * y_stride + i;
    unpack(load16(target), sums);
#pragma unroll
    for (int j = 0; j < 8; j++)
        sums[j] += factor * values[j];
    store16(target, pack8(sums));
}

// y += bias, one bias a column.
KERNEL add_bias(bf16* y, int y_stride, const float* bias, int width)
{
    dependency_wait();
    dependents_launch();
    int i = (int)(blockIdx.x * 256 + threadIdx.x) * 8;
    if (i >= width)
        return;
    float sums[8];
    bf16* target = y + (i64)blockIdx.y * y_stride + i;
    unpack(load16(target), sums);
    for (int j = 0; j < 8 && i + j < width; j++)
        sums[j] += bias[i + j];
    if (i + 8 <= width)
        store16(target, pack8(sums));
    else
        for (int j = 0; i + j < width; j++)
            target[j] = to_bf16(sums[j]);
}
