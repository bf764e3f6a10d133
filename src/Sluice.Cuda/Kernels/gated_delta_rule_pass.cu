// The gated delta rule for spans of many tokens, second half: a span's chunks one after another, each as products with the state. The letters and
// the workspace are those of gated_delta_rule_prepare.cu:
//   Y = beta (v - exp(G) (k S));  V = T Y;  o = exp(G) (q S) + P V;  S = exp(G_last) S + k^T (exp(G_last - G) V)
// The state and all sums are float32; products' operands are float16, which saturates at 65504.
//
// Flops: 2 (3 * 128 * 128 + 2 * 64 * 128) a token and value head. Bytes: the workspace read once (by two blocks, from the second-level cache),
// v read, o written, 128 KiB of state a span and value head.
// A block has 64 of a head's 128 value columns, transposed, as the 64 rows of wgmma: S^T [64, 128 keys] stays in one warpgroup's registers, and
// the result of every product is, in the same lanes, the left side of the next; all right sides are copies from the workspace as they are. A
// chunk's chain is k S, Y, V, S; q S and P V fill its gaps: half of q S runs while Y is made, half while V is rounded, P V while S is.
// A fifth warp fetches chunks, STAGES ahead. On an H100 a chunk takes 1.3 us, some 2400 cycles, of which the products need 1024 by wgmma's rate.
// Measured and left out: k S and q S step by step in turn, all of q S early or late (no difference); products with T and P in halves of 32 tokens,
// which skip what is zero (too many registers: ptxas then lets no products overlap, 50 % slower).
// Grid: (VALUE_HEADS * 2, spans), block: 160, dynamic shared memory: pass_shared_bytes below (STAGES * 58368 + 8256).
// Macros: KEY_HEADS, VALUE_HEADS, STAGES (2 or 3). Heads are 128 x 128.
// The host prepares: chunks as there; spans, each (first chunk, count of chunks), long ones best first. A range may begin within a span:
// it goes on from the state that the launch before left.
#include "sluice.cuh"

#ifndef KEY_HEADS
#define KEY_HEADS 16
#endif
#ifndef VALUE_HEADS
#define VALUE_HEADS 32
#endif
#ifndef STAGES
#define STAGES 3
#endif

static constexpr int DIM = 128, TOKENS = 64, COLUMNS = 64, RATIO = VALUE_HEADS / KEY_HEADS;
static constexpr int MATRIX = TOKENS * 128, TILE = 2 * MATRIX;              // 64 x 64 of float16; k or q
// Of a value head's chunk: T, P, and of each token beta and beta exp(G), then exp(G_last - G) of each, then exp(G) of each.
static constexpr int FACTORS = 2 * MATRIX, HEAD = FACTORS + 4 * TOKENS * 4;
static constexpr i64 CHUNK_BYTES = KEY_HEADS * 2 * TILE + VALUE_HEADS * HEAD;
static constexpr int VALUES = 2 * TILE + HEAD, STAGE = VALUES + TOKENS * COLUMNS * 2;
static constexpr int ANSWER = TOKENS * 32;                                  // a warp's 16 columns of o
static constexpr int pass_shared_bytes = STAGES * STAGE + 4 * ANSWER + 64;
static_assert(STAGE % 1024 == 0 && STAGES * 16 <= 64 && pass_shared_bytes <= 232448);

struct alignas(16) Chunk
{
    int span, first, tokens, slot;
};
struct alignas(8) ChunkRange
{
    int first, count;
};
struct alignas(8) float2_
{
    float x, y;
};

// d (64 x N) = a b, or += : a 64x16 of float16 in registers, as `multiply` holds it; b in shared memory (group_operand), if Transposed with its
// rows along N.
template <int N, int Transposed>
DEVICE void product(float (&d)[N / 2], const u32 (&a)[4], u64 b, int accumulate)
{
#define PRODUCT(n, registers, a0, a1, a2, a3, second, third, transposed, ...) \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " third ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n "k16.f32.f16.f16 {" registers "}, " \
        "{" a0 "," a1 "," a2 "," a3 "}, " second ", p, 1, 1, " transposed ";\n}" \
        : __VA_ARGS__ : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate), "n"(Transposed))
    if constexpr (N == 64)
        PRODUCT(64, WGMMA_R4, "%32", "%33", "%34", "%35", "%36", "%37", "%38", WGMMA_D4);
    else
        PRODUCT(128, WGMMA_R8, "%64", "%65", "%66", "%67", "%68", "%69", "%70", WGMMA_D8);
}

// group_operand of k for a sum over tokens: its two parts of 64 keys are MATRIX bytes apart.
DEVICE u64 token_operand(u32 shared)
{
    return (u64)((shared >> 4) & 0x3fff) | ((u64)(MATRIX / 16) << 16) | (64ull << 32) | (1ull << 62);
}

// Columns 16 s and on of a product's result as a left side.
DEVICE void as_left(u32 (&a)[4], const float* d)
{
    a[0] = pack_half(d[0], d[1]);
    a[1] = pack_half(d[2], d[3]);
    a[2] = pack_half(d[4], d[5]);
    a[3] = pack_half(d[6], d[7]);
}

template <int Count>
DEVICE void hold(u32 (&a)[Count][4])
{
#pragma unroll
    for (int i = 0; i < Count; i++)
        asm volatile("" : "+r"(a[i][0]), "+r"(a[i][1]), "+r"(a[i][2]), "+r"(a[i][3])::"memory");
}

// A warp's 16 columns of o for a chunk, as pairs of tokens, by way of its own shared memory.
DEVICE void store_answer(const u32 (&pairs)[16], u32 shared, bf16* target, int stride, int tokens, int lane)
{
    warp_sync();
#pragma unroll
    for (int s = 0; s < 4; s++)
    {
        int token = s * 16 + lane / 16 * 8 + lane % 8, half = lane / 8 % 2;
        asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};"
            ::"r"(shared + token * 32 + ((half ^ (token / 4 % 2)) * 16)), "r"(pairs[4 * s]), "r"(pairs[4 * s + 1]), "r"(pairs[4 * s + 2]),
            "r"(pairs[4 * s + 3]) : "memory");
    }
    warp_sync();
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        int token = i * 16 + lane / 2, half = lane % 2;
        vec16 v;
        asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
            : "r"(shared + token * 32 + ((half ^ (token / 4 % 2)) * 16)) : "memory");
        if (token < tokens)
            store16(target + (i64)token * stride + half * 8, v);
    }
}

// This thread's part of a state: of every eight keys two, of columns lane / 4 and 8 further of its warp's.
DEVICE void store_state(float* target, const float (&s)[64])
{
#pragma unroll
    for (int i = 0; i < 64; i++)
        target[(i / 4 * 8 + i % 2) * DIM + i / 2 % 2 * 8] = s[i];
}

KERNEL __launch_bounds__(160, 1) gated_delta_rule_pass(
    Step step, States states, int layer, const Chunk* chunks, const ChunkRange* spans, const bf16* mixed, int mixed_stride, const u8* workspace,
    bf16* o, int o_stride)
{
    extern __shared__ __attribute__((aligned(1024))) u8 shared[];
    u32 base = shared_address(shared), full = base + STAGES * STAGE + 4 * ANSWER, empty = full + STAGES * 8;
    int thread = (int)threadIdx.x, lane = thread % 32, warp = (int)shuffle((u32)(thread / 32), 0);
    int head = (int)blockIdx.x / 2, column = head * DIM + (int)blockIdx.x % 2 * COLUMNS;
    if (thread == 0)
    {
        for (int i = 0; i < STAGES; i++)
        {
            barrier_init(full + i * 8, 33);
            barrier_init(empty + i * 8, 4);
        }
        barrier_init_fence();
    }
    block_sync();
    dependency_wait();
    dependents_launch();
    ChunkRange range = spans[blockIdx.y];
    if (range.count == 0)
        return;
    chunks += range.first;
    workspace += range.first * CHUNK_BYTES;
    Chunk next = chunks[0];
    Span span = step.spans[next.span];

    if (warp == 4)
    {
        const bf16* v = mixed + 2 * KEY_HEADS * DIM + column + lane % 8 * 8;
        const u8* tiles = workspace + head / RATIO * (2 * TILE);
        const u8* factors = workspace + KEY_HEADS * (2 * TILE) + head * HEAD;
        for (int c = 0; c < range.count; c++)
        {
            Chunk chunk = next;
            if (c + 1 < range.count)
                next = chunks[c + 1];
            u32 to = base + c % STAGES * STAGE, barrier = full + c % STAGES * 8;
            barrier_wait(empty + c % STAGES * 8, c / STAGES % 2 ^ 1);
            if (lane == 0)
            {
                barrier_expect(barrier, VALUES);
                copy_bulk(to, tiles + c * CHUNK_BYTES, 2 * TILE, barrier);
                copy_bulk(to + 2 * TILE, factors + c * CHUNK_BYTES, HEAD, barrier);
            }
            warp_sync();
            i64 row = span.first_row + chunk.first;
#pragma unroll
            for (int i = 0; i < 16; i++)
            {
                int token = i * 4 + lane / 8;
                bool there = token < chunk.tokens;
                const bf16* from = v + (row + (there ? token : 0)) * mixed_stride;
                copy16_async(to + VALUES + token * 128 + (((lane % 8) ^ (token % 8)) * 16), from, there ? 16 : 0);
            }
            barrier_arrive_copies(barrier);
        }
        copies_commit();
        copies_wait<0>();
        return;
    }

    i64 offset = (i64)head * DIM * DIM + lane % 4 * 2 * DIM + (int)blockIdx.x % 2 * COLUMNS + warp * 16 + lane / 4;
    u32 answer = base + STAGES * STAGE + warp * ANSWER;
    bf16* target = o + (i64)span.first_row * o_stride + column + warp * 16;
    const float* stored = state_address(states, span.slot, layer) + offset;
    float s[64], x[32] = {}, out[32] = {};
    u32 state[8][4], left[4][4], value[4][4], written[4][4];
#pragma unroll
    for (int i = 0; i < 64; i++)
        s[i] = span.first_position + next.first > 0 ? stored[(i / 4 * 8 + i % 2) * DIM + i / 2 % 2 * 8] : 0.0f;
#pragma unroll
    for (int k = 0; k < 8; k++)
        as_left(state[k], s + 8 * k);
    Chunk last = next;
    u32 pairs[16] = {};                                     // o of the chunk before
    last.tokens = 0;

    for (int c = 0; c < range.count; c++)
    {
        Chunk chunk = next;
        if (c + 1 < range.count)
            next = chunks[c + 1];
        int stage = c % STAGES;
        u32 tile = base + stage * STAGE;
        const float* factors = (const float*)(shared + stage * STAGE + 2 * TILE + FACTORS);
        u64 keys = group_operand(tile), queries = group_operand(tile + TILE);
        barrier_wait(full + stage * 8, c / STAGES % 2);
        group_fence();
#pragma unroll
        for (int k = 0; k < 8; k++)                         // k S
            product<64, 0>(x, state[k], keys + k / 4 * (MATRIX / 16) + k % 4 * 2, k != 0);
        group_commit();

#pragma unroll
        for (int k = 0; k < 4; k++)                         // q S, its first half
            product<64, 0>(out, state[k], queries + k * 2, k != 0);
        group_commit();

        store_answer(pairs, answer, target + (i64)last.first * o_stride, o_stride, last.tokens, lane);
        last = chunk;
        float wanted[32], faded[16];                        // beta v, beta exp(G)
#pragma unroll
        for (int n = 0; n < 4; n++)
        {
            u32 v[4];
            int token = n * 16 + lane / 16 * 8 + lane % 8;
            load_tiles_transposed(v, tile + VALUES + token * 128 + (((warp * 2 + lane / 8 % 2) ^ (lane % 8)) * 16));
#pragma unroll
            for (int half = 0; half < 2; half++)
            {
                float4_ beta = *(const float4_*)(factors + 2 * (n * 16 + half * 8 + lane % 4 * 2));
                wanted[8 * n + 4 * half] = beta.x * low(v[2 * half]);
                wanted[8 * n + 4 * half + 1] = beta.z * high(v[2 * half]);
                wanted[8 * n + 4 * half + 2] = beta.x * low(v[2 * half + 1]);
                wanted[8 * n + 4 * half + 3] = beta.z * high(v[2 * half + 1]);
                faded[4 * n + 2 * half] = beta.y;
                faded[4 * n + 2 * half + 1] = beta.w;
            }
        }
        group_wait<1>();
        group_hold(x);
#pragma unroll
        for (int i = 0; i < 32; i++)                        // Y
            x[i] = wanted[i] - faded[i / 4 * 2 + i % 2] * x[i];
#pragma unroll
        for (int n = 0; n < 4; n++)
            as_left(left[n], x + 8 * n);

        group_fence();
        u64 inverse = group_operand(tile + 2 * TILE);
#pragma unroll
        for (int j = 0; j < 4; j++)                         // V
            product<64, 0>(x, left[j], inverse + j * 2, j != 0);
        group_commit();
        group_fence();
#pragma unroll
        for (int k = 4; k < 8; k++)                         // q S, its second half
            product<64, 0>(out, state[k], queries + MATRIX / 16 + (k - 4) * 2, 1);
        group_commit();
        float kept = factors[4 * TOKENS - 1];
#pragma unroll
        for (int i = 0; i < 64; i++)
            s[i] *= kept;

        group_wait<1>();
        group_hold(x);
        hold(left);
#pragma unroll
        for (int n = 0; n < 4; n++)
        {
            as_left(value[n], x + 8 * n);
            float2_ first = *(const float2_*)(factors + 2 * TOKENS + n * 16 + lane % 4 * 2);
            float2_ second = *(const float2_*)(factors + 2 * TOKENS + n * 16 + 8 + lane % 4 * 2);
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                x[8 * n + i] *= i % 2 == 0 ? first.x : first.y;
                x[8 * n + 4 + i] *= i % 2 == 0 ? second.x : second.y;
            }
            as_left(written[n], x + 8 * n);
        }
        group_fence();
        u64 tokens = token_operand(tile);
#pragma unroll
        for (int j = 0; j < 4; j++)                         // S
            product<128, 1>(s, written[j], tokens + j * (16 * 128 / 16), 1);
        group_commit();

        group_wait<1>();                                    // q S
        group_hold(out);
        hold(state);
#pragma unroll
        for (int n = 0; n < 8; n++)
        {
            float2_ fade = *(const float2_*)(factors + 3 * TOKENS + n * 8 + lane % 4 * 2);
            out[4 * n] *= fade.x, out[4 * n + 1] *= fade.y, out[4 * n + 2] *= fade.x, out[4 * n + 3] *= fade.y;
        }
        group_fence();
        u64 scores = group_operand(tile + 2 * TILE + MATRIX);
#pragma unroll
        for (int j = 0; j < 4; j++)                         // + P V
            product<64, 0>(out, value[j], scores + j * 2, 1);
        group_commit();

        group_wait<1>();                                    // S
        group_hold(s);
        hold(written);
#pragma unroll
        for (int k = 0; k < 8; k++)
            as_left(state[k], s + 8 * k);
        group_wait<0>();                                    // o; nothing is under way where the loop turns, or ptxas would let no products overlap
        group_hold(out);
        hold(value);
        if (lane == 0)
            barrier_arrive(empty + stage * 8);
#pragma unroll
        for (int i = 0; i < 16; i++)
            pairs[i] = pack(out[2 * i], out[2 * i + 1]);
        if (chunk.slot >= 0)
            store_state(state_address(states, chunk.slot, layer) + offset, s);
    }
    store_answer(pairs, answer, target + (i64)last.first * o_stride, o_stride, last.tokens, lane);
    store_state(state_address(states, span.slot, layer) + offset, s);
}
