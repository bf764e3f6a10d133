// Causal depthwise convolution over TAPS tokens, then SiLU: mixed[t, c] = silu(sum over j of weight[c, j] * input[t - TAPS + 1 + j, c]). Before a
// sequence's first token come zeros; before a span's, the last TAPS - 1 inputs that its slot holds, [TAPS - 1, channels] float32 behind the
// recurrent state. The slot and the exports get the inputs up to their tokens.
//
// Bytes: 4 x rows x channels, and for each span 8 x (TAPS - 1) x channels of state. A thread walks ROWS rows of eight channels with the last inputs
// in registers. Rows that need the state, a span's first TAPS - 1, are all computed where its first row is: one thread alone reads and writes a
// state's channels, so that nobody reads what another has already replaced.
//
// grid: (ceil(channels / 8 / 128), ceil(rows / ROWS)), block: 128. Macros: TAPS, CHANNELS (a multiple of 8), STATE (floats of recurrent state before
// the inputs), ROWS (1 only where every span has one token; else 8, from about 3000 rows on 16).
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
#ifndef ROWS
#define ROWS 16
#endif
static constexpr int BEFORE = TAPS - 1;
static constexpr int HELD = BEFORE > 0 ? BEFORE : 1;

DEVICE void load_floats(float* values, const float* from)
{
    float4_ first = ((const float4_*)from)[0], second = ((const float4_*)from)[1];
    values[0] = first.x, values[1] = first.y, values[2] = first.z, values[3] = first.w;
    values[4] = second.x, values[5] = second.y, values[6] = second.z, values[7] = second.w;
}

DEVICE void store_floats(float* to, const float* values)
{
    ((float4_*)to)[0] = float4_{values[0], values[1], values[2], values[3]};
    ((float4_*)to)[1] = float4_{values[4], values[5], values[6], values[7]};
}

// window holds the BEFORE inputs before `now`, oldest first; afterwards those before the next.
DEVICE void convolve(float (&window)[HELD][8], const float (&now)[8], const float (&weight)[8][TAPS], bf16* target)
{
    float sums[8];
#pragma unroll
    for (int j = 0; j < 8; j++)
    {
        sums[j] = weight[j][BEFORE] * now[j];
#pragma unroll
        for (int i = 0; i < BEFORE; i++)
            sums[j] += weight[j][i] * window[i][j];
        sums[j] = silu(sums[j]);
    }
    store16(target, pack8(sums));
}

DEVICE void shift(float (&window)[HELD][8], const float (&now)[8])
{
#pragma unroll
    for (int i = 0; i < BEFORE; i++)
#pragma unroll
        for (int j = 0; j < 8; j++)
            window[i][j] = i + 1 < BEFORE ? window[i + 1][j] : now[j];
}

// The inputs before token `length` of a span, as its slot or an export keeps them: its own, and of `old` what it is too short for.
DEVICE void keep(float* state, const bf16* x, int x_stride, const float (&old)[HELD][8], int length)
{
#pragma unroll
    for (int i = 0; i < BEFORE; i++)
    {
        int index = length - BEFORE + i;
        float values[8];
        if (index >= 0)
            unpack(load16(x + (i64)index * x_stride), values);
        else
#pragma unroll
            for (int from = 0; from < BEFORE; from++)
#pragma unroll
                for (int j = 0; j < 8; j++)
                    values[j] = from == index + BEFORE ? old[from][j] : values[j];
        store_floats(state + i * CHANNELS, values);
    }
}

// A span's first rows, its state and its exports.
DEVICE void begin_span(
    const Step& step, const States& states, int layer, const Span& span, int channel, const float (&weight)[8][TAPS], const bf16* x, int x_stride,
    bf16* mixed, int mixed_stride)
{
    float old[HELD][8] = {}, window[HELD][8] = {};
    float* state = state_address(states, span.slot, layer) + STATE + channel;
    if (span.first_position > 0)
    {
#pragma unroll
        for (int i = 0; i < BEFORE; i++)
        {
            load_floats(old[i], state + i * CHANNELS);
#pragma unroll
            for (int j = 0; j < 8; j++)
                window[i][j] = old[i][j];
        }
    }

    for (int i = 0; i < min_(span.count, HELD); i++)
    {
        float now[8];
        unpack(load16(x + (i64)i * x_stride), now);
        convolve(window, now, weight, mixed + (i64)i * mixed_stride);
        shift(window, now);
    }
    for (int i = 0; i < span.export_count; i++)
    {
        Export wanted = step.exports[span.first_export + i];
        keep(state_address(states, wanted.slot, layer) + STATE + channel, x, x_stride, old, wanted.length);
    }
    keep(state, x, x_stride, old, span.count);
}

KERNEL __launch_bounds__(128) causal_conv(
    Step step, States states, int layer, const bf16* x, int x_stride, const float* weights, bf16* mixed, int mixed_stride, int rows)
{
    int channel = (int)(blockIdx.x * 128 + threadIdx.x) * 8;
    if (channel >= CHANNELS)
        return;
    float weight[8][TAPS];
#pragma unroll
    for (int i = 0; i < 2 * TAPS; i++)
    {
        float4_ four = ((const float4_*)(weights + channel * TAPS))[i];
        weight[4 * i / TAPS][4 * i % TAPS] = four.x;
        weight[(4 * i + 1) / TAPS][(4 * i + 1) % TAPS] = four.y;
        weight[(4 * i + 2) / TAPS][(4 * i + 2) % TAPS] = four.z;
        weight[(4 * i + 3) / TAPS][(4 * i + 3) % TAPS] = four.w;
    }
    dependency_wait();
    dependents_launch();

    int first = blockIdx.y * ROWS;
    x += channel;
    mixed += channel;
    // Inputs of rows before the first; where they are another sequence's, nothing is computed from them.
    float window[HELD][8] = {};
#pragma unroll
    for (int i = 0; i < BEFORE; i++)
        if (ROWS > 1 && first - BEFORE + i >= 0)
            unpack(load16(x + (i64)(first - BEFORE + i) * x_stride), window[i]);
    if (ROWS > 1 && first + ROWS <= rows && step.sequence[first] == step.sequence[first + ROWS - 1]
        && first - step.spans[step.sequence[first]].first_row >= HELD)
    {
        // All of one span and none of its first: all inputs are asked for at once.
        vec16 inputs[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; r++)
            inputs[r] = load16(x + (i64)(first + r) * x_stride);
#pragma unroll
        for (int r = 0; r < ROWS; r++)
        {
            float now[8];
            unpack(inputs[r], now);
            convolve(window, now, weight, mixed + (i64)(first + r) * mixed_stride);
            shift(window, now);
        }
        return;
    }

#pragma unroll 1
    for (int row = first; row < min_(first + ROWS, rows); row++)
    {
        Span span = step.spans[step.sequence[row]];
        int index = row - span.first_row;
        if (span.count > 0 && index == 0)
            begin_span(
                step, states, layer, span, channel, weight, x + (i64)row * x_stride, x_stride, mixed + (i64)row * mixed_stride, mixed_stride);
        if constexpr (ROWS == 1)
            return;
        float now[8];
        unpack(load16(x + (i64)row * x_stride), now);
        if (index >= HELD)
            convolve(window, now, weight, mixed + (i64)row * mixed_stride);
        shift(window, now);
    }
}
