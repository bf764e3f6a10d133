// Between the projections and attention: per head, q and k are RMS-normed, x * rsqrt(mean(x^2) + epsilon) * w, and their first ROTARY_DIM
// elements rotated by position * inverse_frequency[i] (element i pairs with i + ROTARY_DIM / 2); q stays in place, k and v go to the KV pages.
// Bytes: q twice, k and v once in and once out: 2 (2 Hq + 4 Hkv) HEAD_DIM a row, 20 KiB at 16:2 heads of 256. Nothing to speak of in flops.
//
// Grid: rows. Block: THREADS = min(1024, 32 * ceil((Hq + 2 Hkv) * LANES / 32)), LANES the power of two that holds a padded head eight
// elements a lane (32 at 256, 16 at 128, 8 at 64 and below). No dynamic shared memory.
// Macros: HEAD_DIM (a multiple of 8, at most 256), QUERY_HEADS, KV_HEADS, ROTARY_DIM (even, at most HEAD_DIM).
#include "sluice.cuh"

#ifndef HEAD_DIM
#define HEAD_DIM 256
#endif
#ifndef QUERY_HEADS
#define QUERY_HEADS 16
#endif
#ifndef KV_HEADS
#define KV_HEADS 2
#endif
#ifndef ROTARY_DIM
#define ROTARY_DIM 64
#endif

static constexpr int HALF = ROTARY_DIM / 2;
static constexpr int PADDED_DIM = (HEAD_DIM + 63) / 64 * 64;
static constexpr int LANES = PADDED_DIM <= 64 ? 8 : PADDED_DIM <= 128 ? 16 : 32;
static constexpr int HEADS = QUERY_HEADS + 2 * KV_HEADS;
static constexpr int THREADS = HEADS * LANES >= 1024 ? 1024 : (HEADS * LANES + 31) / 32 * 32;
static constexpr bool PAIRED_LANES = HALF % 8 == 0;     // a lane's eight elements pair with all eight of another lane
static_assert(HEAD_DIM % 8 == 0 && HEAD_DIM <= 256 && ROTARY_DIM % 2 == 0 && ROTARY_DIM <= HEAD_DIM);

// Sine and cosine of an angle of up to 2^18 as float32 rounds it, which is what transformers computes with. The special function unit is good
// to 2^-21 from -pi to pi; taking away turns of 2 pi in two parts, each in one rounding, keeps that.
DEVICE void sine_cosine(float angle, float& sine, float& cosine)
{
    float turns;
    asm("cvt.rni.f32.f32 %0, %1;" : "=f"(turns) : "f"(angle * 0.15915494309189535f));
    asm("fma.rn.f32 %0, %1, %2, %0;" : "+f"(angle) : "f"(turns), "f"(-6.2831854820251465f));
    asm("fma.rn.f32 %0, %1, %2, %0;" : "+f"(angle) : "f"(turns), "f"(1.7484556000744883e-7f));
    asm("sin.approx.f32 %0, %1;" : "=f"(sine) : "f"(angle));
    asm("cos.approx.f32 %0, %1;" : "=f"(cosine) : "f"(angle));
}

KERNEL __launch_bounds__(THREADS, 2048 / THREADS) qk_norm_rope_store(
    Step step, Pages pages, int layer, bf16* q, int q_stride, const bf16* k, int k_stride, const bf16* v, int v_stride, const float* q_norm,
    const float* k_norm, const float* inverse_frequency, float epsilon)
{
    __shared__ float turn[2][HALF > 0 ? HALF : 1];                                   // cosines, sines
    __shared__ float exchange[PAIRED_LANES ? 1 : THREADS / LANES][PAIRED_LANES ? 1 : ROTARY_DIM];

    int row = (int)blockIdx.x, thread = (int)threadIdx.x;
    float frequency[(HALF + THREADS - 1) / THREADS + 1];
#pragma unroll
    for (int i = 0; i * THREADS < HALF; i++)
        frequency[i] = thread + i * THREADS < HALF ? inverse_frequency[thread + i * THREADS] : 0.0f;
    dependency_wait();
    dependents_launch();

    // Loads that need nothing are all under way before the first is used; rows past the last are read (every buffer has them), not written.
    int row_count = step.counts[0], position = step.positions[row], sequence = step.sequence[row], page = 0;
    int lane = thread % LANES, dim = lane * 8;
    bool inside = dim < HEAD_DIM;
#pragma unroll 1
    for (int first = 0; first < HEADS; first += THREADS / LANES)
    {
        int head = first + thread / LANES;
        bool is_query = head < QUERY_HEADS, is_key = !is_query && head < QUERY_HEADS + KV_HEADS, present = head < HEADS;
        int kv_head = is_key ? head - QUERY_HEADS : head - QUERY_HEADS - KV_HEADS;
        const bf16* source = is_query ? q + (i64)row * q_stride + head * HEAD_DIM
            : is_key ? k + (i64)row * k_stride + kv_head * HEAD_DIM : v + (i64)row * v_stride + kv_head * HEAD_DIM;
        vec16 raw{};
        float weight[8] = {};
        if (present && inside)
        {
            raw = load16(source + dim);
            if (is_query || is_key)
            {
                const float4_* w = (const float4_*)((is_query ? q_norm : k_norm) + dim);
                float4_ a = w[0], b = w[1];
                weight[0] = a.x, weight[1] = a.y, weight[2] = a.z, weight[3] = a.w;
                weight[4] = b.x, weight[5] = b.y, weight[6] = b.z, weight[7] = b.w;
            }
        }
        if (first == 0)
        {
            if (row >= row_count)
                return;
            int first_page = step.spans[sequence].first_page;
            // Sines and cosines once a row, by its first threads.
#pragma unroll
            for (int i = 0; i * THREADS < HALF; i++)
                if (thread + i * THREADS < HALF)
                    sine_cosine((float)position * frequency[i], turn[1][thread + i * THREADS], turn[0][thread + i * THREADS]);
            block_sync();
            page = step.pages[first_page + position / PAGE_TOKENS];
        }

        float x[8];
        unpack(raw, x);
        float squares = 0.0f;
#pragma unroll
        for (int i = 0; i < 8; i++)
            squares += x[i] * x[i];
#pragma unroll
        for (int mask = LANES / 2; mask > 0; mask >>= 1)
            squares += shuffle_xor(squares, mask);
        float scale = rsqrt_(squares * (1.0f / HEAD_DIM) + epsilon);
#pragma unroll
        for (int i = 0; i < 8; i++)
            x[i] = x[i] * scale * weight[i];

        if constexpr (ROTARY_DIM > 0 && PAIRED_LANES)
        {
            bool rotated = dim < ROTARY_DIM, second = dim >= HALF;
            int partner = (thread % 32) + (rotated ? (second ? -HALF / 8 : HALF / 8) : 0);
#pragma unroll
            for (int i = 0; i < 8; i++)
            {
                float other = shuffle(x[i], partner);
                int at = rotated ? dim + i - (second ? HALF : 0) : 0;
                float cosine = turn[0][at], sine = turn[1][at];
                if (rotated)
                    x[i] = second ? x[i] * cosine + other * sine : x[i] * cosine - other * sine;
            }
        }
        else if constexpr (ROTARY_DIM > 0)
        {
            float* mine = exchange[thread / LANES];
#pragma unroll
            for (int i = 0; i < 8; i++)
                if (dim + i < ROTARY_DIM)
                    mine[dim + i] = x[i];
            warp_sync();
#pragma unroll
            for (int i = 0; i < 8; i++)
            {
                int at = dim + i;
                if (at < HALF)
                    x[i] = x[i] * turn[0][at] - mine[at + HALF] * turn[1][at];
                else if (at < ROTARY_DIM)
                    x[i] = x[i] * turn[0][at - HALF] + mine[at - HALF] * turn[1][at - HALF];
            }
            warp_sync();
        }

        if (!present)
            continue;
        if (is_query)
        {
            if (inside)
                store16(q + (i64)row * q_stride + head * HEAD_DIM + dim, pack8(x));
        }
        else if (dim < PADDED_DIM)
        {
            // A lane past the head holds zeros, which is the padding.
            u8* keys = page_address(pages, page, layer) + kv_head * head_bytes(HEAD_DIM);
            store16(keys + (is_key ? 0 : head_bytes(HEAD_DIM) / 2) + page_offset(position % PAGE_TOKENS, dim), is_key ? pack8(x) : raw);
        }
    }
}
