// What the gated delta rule's kernels share: the shape of heads, the state's way past the cache, and the sums over a state's rows for a single token.
#pragma once
#include "sluice.cuh"

#ifndef KEY_HEADS
#define KEY_HEADS 16
#endif
#ifndef VALUE_HEADS
#define VALUE_HEADS 32
#endif
#ifndef KEY_DIM
#define KEY_DIM 128
#endif
#ifndef VALUE_DIM
#define VALUE_DIM 128
#endif

struct alignas(8) float2_
{
    float x, y;
};

// The state is not read again before all of it has gone by.
DEVICE float4_ load_once(const float* address)
{
    float4_ v;
    asm volatile("ld.global.cs.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(address) : "memory");
    return v;
}
DEVICE void store_once(float* address, float4_ v)
{
    asm volatile("st.global.cs.v4.f32 [%0], {%1,%2,%3,%4};" ::"l"(address), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w) : "memory");
}

// s = factor s + key d of a row of four columns.
DEVICE float4_ step_row(float4_ s, float factor, float key, const float (&d)[4])
{
    return float4_{factor * s.x + key * d[0], factor * s.y + key * d[1], factor * s.z + key * d[2], factor * s.w + key * d[3]};
}

// S^T k and S^T q of four columns over all rows, from what each thread has of its own rows: first within a warp, of which Lanes lanes have a row,
// then over the block's warps. For every thread of the block.
template <int Warps, int Lanes>
DEVICE void sum_over_rows(float4_ (&partial)[Warps][2][Lanes], float (&held)[4], float (&asked)[4], float4_& all_held, float4_& all_asked)
{
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, row_lane = (int)threadIdx.x % Lanes;
#pragma unroll
    for (int mask = Lanes; mask < 32; mask *= 2)
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            held[j] += shuffle_xor(held[j], mask);
            asked[j] += shuffle_xor(asked[j], mask);
        }
    if (lane < Lanes)
    {
        partial[warp][0][row_lane] = float4_{held[0], held[1], held[2], held[3]};
        partial[warp][1][row_lane] = float4_{asked[0], asked[1], asked[2], asked[3]};
    }
    block_sync();

    all_held = {}, all_asked = {};
#pragma unroll
    for (int i = 0; i < Warps; i++)
    {
        float4_ x = partial[i][0][row_lane], y = partial[i][1][row_lane];
        all_held.x += x.x, all_held.y += x.y, all_held.z += x.z, all_held.w += x.w;
        all_asked.x += y.x, all_asked.y += y.y, all_asked.z += y.z, all_asked.w += y.w;
    }
}
