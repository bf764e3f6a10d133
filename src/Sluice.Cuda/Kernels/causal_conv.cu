// Causal depthwise convolution over TAPS tokens, then SiLU: mixed[t, c] = silu(sum over j of weight[c, j] * input[t - TAPS + 1 + j, c]). Before a
// sequence's first token come zeros; before a span's, the last TAPS - 1 inputs that its slot holds, [TAPS - 1, channels] float32 behind the
// recurrent state. The slot and the exports get the inputs up to their tokens.
//
// Bytes: 4 x rows x channels, and for each span 8 x (TAPS - 1) x channels of state. A thread has eight channels of a row; inputs of neighbouring
// rows come from the cache. The thread of a span's first row computes the first TAPS - 1 rows and alone reads and writes the state, so that
// nobody reads what another has already replaced.
//
// grid: (ceil(channels / 8 / 128), rows), block: 128. Macros: TAPS, CHANNELS (a multiple of 8), STATE (floats of recurrent state before the inputs).
#include "sluice.cuh"

#ifndef TAPS
#define TAPS 4
#endif
#ifndef CHANNELS
#define CHANNELS 8192
#endif
#ifndef STATE
#define STATE (32 * 128 * 128)
#endif
static constexpr int BEFORE = TAPS - 1;

// Input `index` of a span, eight channels: negative ones from what the slot held.
DEVICE void input_at(float* values, const bf16* x, int x_stride, const float (*old)[8], int index)
{
    if (index >= 0)
    {
        unpack(load16(x + (i64)index * x_stride), values);
        return;
    }
#pragma unroll
    for (int i = 0; i < BEFORE; i++)
    {
        if (index + BEFORE != i)
            continue;
#pragma unroll
        for (int j = 0; j < 8; j++)
            values[j] = old[i][j];
    }
}

DEVICE void convolve(const bf16* x, int x_stride, const float (*old)[8], const float (*weight)[TAPS], int index, bf16* target)
{
    float sums[8] = {};
#pragma unroll
    for (int tap = 0; tap < TAPS; tap++)
    {
        float values[8];
        input_at(values, x, x_stride, old, index - BEFORE + tap);
#pragma unroll
        for (int j = 0; j < 8; j++)
            sums[j] += weight[j][tap] * values[j];
    }
#pragma unroll
    for (int j = 0; j < 8; j++)
        sums[j] = silu(sums[j]);
    store16(target, pack8(sums));
}

// The inputs before token `length` of the span, as its slot or an export keeps them.
DEVICE void keep(float* state, const bf16* x, int x_stride, const float (*old)[8], int length)
{
    for (int i = 0; i < BEFORE; i++)
    {
        float values[8];
        input_at(values, x, x_stride, old, length - BEFORE + i);
        float4_* to = (float4_*)(state + i * CHANNELS);
        to[0] = float4_{values[0], values[1], values[2], values[3]};
        to[1] = float4_{values[4], values[5], values[6], values[7]};
    }
}

KERNEL causal_conv(
    Step step, States states, int layer, const bf16* x, int x_stride, const float* weights, bf16* mixed, int mixed_stride)
{
    int channel = (int)(blockIdx.x * 128 + threadIdx.x) * 8;
    if (channel >= CHANNELS)
        return;
    float weight[8][TAPS];
#pragma unroll
    for (int j = 0; j < 8; j++)
#pragma unroll
        for (int tap = 0; tap < TAPS; tap++)
            weight[j][tap] = weights[(channel + j) * TAPS + tap];
    dependency_wait();
    dependents_launch();
    int row = blockIdx.y;
    Span span = step.spans[step.sequence[row]];
    int index = row - span.first_row;
    if (span.count == 0)
        return;
    float old[BEFORE > 0 ? BEFORE : 1][8] = {};
    const bf16* inputs = x + (i64)span.first_row * x_stride + channel;
    bf16* outputs = mixed + (i64)span.first_row * mixed_stride + channel;
    if (index >= BEFORE && index > 0)
    {
        convolve(inputs, x_stride, old, weight, index, outputs + (i64)index * mixed_stride);
        return;
    }

    if (index > 0)
        return;
    float* state = state_address(states, span.slot, layer) + STATE + channel;
    if (span.first_position > 0)
    {
#pragma unroll
        for (int i = 0; i < BEFORE; i++)
        {
            const float4_* from = (const float4_*)(state + i * CHANNELS);
            float4_ first = from[0], second = from[1];
            float values[8] = {first.x, first.y, first.z, first.w, second.x, second.y, second.z, second.w};
#pragma unroll
            for (int j = 0; j < 8; j++)
                old[i][j] = values[j];
        }
    }

    for (int i = 0; i < min_(span.count, max_(BEFORE, 1)); i++)
        convolve(inputs, x_stride, old, weight, i, outputs + (i64)i * mixed_stride);
    for (int i = 0; i < span.export_count; i++)
    {
        Export wanted = step.exports[span.first_export + i];
        keep(state_address(states, wanted.slot, layer) + STATE + channel, inputs, x_stride, old, wanted.length);
    }
    keep(state, inputs, x_stride, old, span.count);
}
