// The gated delta rule for spans of many tokens, second half: a span's chunks one after another, each as products with the state. The letters and
// the workspace are those of gated_delta_rule_chunks.cu:
//   Y = beta (v - exp(G) (k S));  V = T Y;  o = exp(G) (q S) + P V;  S = exp(G_last) S + k^T (exp(G_last - G) V)
// The state and all sums are float32; products' operands are float16, which saturates at 65504.
//
// Flops: 2 (3 * 128 * 128 + 64 * 128) a token and value head. Bytes: the workspace read once (by four blocks, from the second-level cache), v read,
// o written, 128 KiB of state a span and value head.
// Grid: (VALUE_HEADS * 4, spans), block: 160, dynamic shared memory: scan_shared_bytes below (STAGES * 49152 + 12416).
// A block has 32 of a head's 128 value columns. Two warps have 16 columns of the state each, transposed, in registers: then the result of a
// product is, in the same lanes, the left side of the next, and the chain from chunk to chunk waits for no other warp. Two warps make o of the
// state and the values that those hand them; one fetches chunks, STAGES ahead. Measured and left out: the four blocks of a
// head, which need the same but v, fetching together as a cluster (slower by half); q from mixed by the fetching warp (slower by a third).
// Macros: KEY_HEADS, VALUE_HEADS, STAGES (4; or 2, so that two blocks share a multiprocessor: better where blocks outnumber those). Heads are
// 128 x 128.
// The host prepares: chunks as there; spans, each (first chunk, count of chunks), long ones best first. A range may be a part of a span: it takes
// up the state that the range before left in the span's slot.
#include "gated_delta_rule_chunk.cuh"

#ifndef STAGES
#define STAGES 4
#endif

static constexpr int COLUMNS = 32, VALUE_ROW = COLUMNS * 2 + 16;
static constexpr int STAGE = 2 * TILE + HEAD + TOKENS * VALUE_ROW, STAGE_SHARED = 2 * TILE + HEAD;
static constexpr int HANDED = 12 * BLOCK;               // a warp's state and values as left sides
static constexpr int scan_shared_bytes = STAGES * STAGE + 2 * HANDED + 128;
static_assert(STAGE == 49152 && scan_shared_bytes <= 232448);

// The right sides of 16 keys' part of a product with q or k.
DEVICE void load_step(u32 (&right)[4][4], u32 tile, int k, int lane)
{
#pragma unroll
    for (int n = 0; n < 4; n++)
        load_tiles(right[n], tile + tile_offset(n * 16, k * 16, lane, false));
}

// d (16 x 64 tokens) = S^T x^T for q or k, of which `right` has the first step already. Here and below what a product needs is loaded a step ahead,
// as there is one warp to a scheduler: `later` loads what comes after this.
template <class Later>
DEVICE void ask(float (&d)[8][4], const u32 (&state)[8][4], u32 (&right)[2][4][4], u32 tile, int lane, Later later)
{
#pragma unroll
    for (int k = 0; k < 8; k++)
    {
        if (k < 7)
            load_step(right[(k + 1) % 2], tile, k + 1, lane);
        else
            later();
#pragma unroll
        for (int n = 0; n < 4; n++)
        {
            multiply_half(d[2 * n], state[k], right[k % 2][n][0], right[k % 2][n][1]);
            multiply_half(d[2 * n + 1], state[k], right[k % 2][n][2], right[k % 2][n][3]);
        }
    }
}

DEVICE void load_triangle(vec16 (&m)[10], const u8* triangle, int lane)
{
#pragma unroll
    for (int i = 0; i < 10; i++)
        m[i] = load16(triangle + i * BLOCK + lane * 16);
}

// d (16 x 64 tokens) += x^T M^T for lower triangular M.
DEVICE void apply(float (&d)[8][4], const u32 (&x)[4][4], const vec16 (&m)[10])
{
#pragma unroll
    for (int j = 0; j < 4; j++)
    {
#pragma unroll
        for (int i = j; i < 4; i++)
        {
            const vec16& right = m[i * (i + 1) / 2 + j];
            multiply_half(d[2 * i], x[j], right.word[0], right.word[1]);
            multiply_half(d[2 * i + 1], x[j], right.word[2], right.word[3]);
        }
    }
}

// This warp's 16 columns of a state: of every eight keys two, of columns lane / 4 and 8 further.
DEVICE void store_state(float* target, const float (&s)[16][4], int lane)
{
    target += lane % 4 * 2 * DIM + lane / 4;
#pragma unroll
    for (int n = 0; n < 16; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            target[(n * 8 + e % 2) * DIM + e / 2 * 8] = s[n][e];
}

KERNEL __launch_bounds__(160, STAGES <= 2 ? 2 : 1) gated_delta_rule_scan(
    Step step, States states, int layer, const Chunk* chunks, const ChunkRange* spans, const bf16* mixed, int mixed_stride, const u8* workspace,
    bf16* o, int o_stride)
{
    extern __shared__ __attribute__((aligned(1024))) u8 shared[];
    u32 base = shared_address(shared), full = base + STAGES * STAGE + 2 * HANDED, empty = full + STAGES * 8;
    int thread = (int)threadIdx.x, lane = thread % 32, warp = (int)shuffle((u32)(thread / 32), 0), pair = warp % 2;
    u32 handed = empty + STAGES * 8 + pair * 32;        // state ready, values ready, both taken: every lane arrives for itself
    int head = (int)blockIdx.x / 4, column = head * DIM + (int)blockIdx.x % 4 * COLUMNS;
    if (thread == 0)
    {
        for (int i = 0; i < STAGES; i++)
        {
            barrier_init(full + i * 8, 33);     // the bulk copies, and each lane's part of v
            barrier_init(empty + i * 8, 4);     // the warps that compute
        }
        for (int i = 0; i < 8; i++)
            barrier_init(empty + STAGES * 8 + i * 8, 32);
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
    auto tell = [&](u32 barrier)
    {
        warp_sync();
        if (lane == 0)
            barrier_arrive(barrier);
    };

    if (warp == 4)
    {
        const bf16* v = mixed + 2 * KEY_HEADS * DIM + column;
        const u8* tiles = workspace + head / RATIO * (2 * TILE);
        const u8* factors = workspace + KEY_HEADS * (2 * TILE) + head * HEAD;
        for (int c = 0; c < range.count; c++)
        {
            Chunk chunk = next;
            if (c + 1 < range.count)
                next = chunks[c + 1];
            int stage = c % STAGES;
            u32 to = base + stage * STAGE, barrier = full + stage * 8;
            barrier_wait(empty + stage * 8, c / STAGES % 2 ^ 1);
            if (lane == 0)
            {
                barrier_expect(barrier, STAGE_SHARED);
                copy_bulk(to, tiles + c * CHUNK_BYTES, 2 * TILE, barrier);
                copy_bulk(to + 2 * TILE, factors + c * CHUNK_BYTES, HEAD, barrier);
            }
            warp_sync();
            // Rows of 64 bytes are too small for the copy engine (66 cycles each). Past the end the last row again, which beta silences.
#pragma unroll
            for (int i = lane; i < TOKENS * 4; i += 32)
                copy16_async(to + STAGE_SHARED + i / 4 * VALUE_ROW + i % 4 * 16,
                    v + (i64)(span.first_row + chunk.first + min_(i / 4, chunk.tokens - 1)) * mixed_stride + i % 4 * 8);
            barrier_arrive_copies(barrier);
        }
    }
    else if (warp < 2)
    {
        u8* handing = shared + STAGES * STAGE + pair * HANDED + lane * 16;
        i64 offset = (i64)head * DIM * DIM + (int)blockIdx.x % 4 * COLUMNS + pair * 16;
        float s[16][4];
        bool continues = span.first_position > 0 || next.first > 0;
        const float* stored = state_address(states, span.slot, layer) + offset + lane % 4 * 2 * DIM + lane / 4;
#pragma unroll
        for (int n = 0; n < 16; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                s[n][e] = continues ? stored[(n * 8 + e % 2) * DIM + e / 2 * 8] : 0.0f;

        u32 state[8][4];
#pragma unroll
        for (int k = 0; k < 8; k++)
            as_left(state[k], s[2 * k], s[2 * k + 1]);

        for (int c = 0; c < range.count; c++)
        {
            Chunk chunk = next;
            if (c + 1 < range.count)
                next = chunks[c + 1];
            int stage = c % STAGES;
            const float* factors = (const float*)(shared + stage * STAGE + 2 * TILE) + lane % 4 * 2;
            u32 tile = base + stage * STAGE, values = tile + 2 * TILE + HEAD;

            // To those who make o.
            barrier_wait(handed + 16, c % 2 ^ 1);
#pragma unroll
            for (int k = 0; k < 8; k++)
                store16(handing + k * BLOCK, vec16{state[k][0], state[k][1], state[k][2], state[k][3]});
            barrier_arrive(handed);

            barrier_wait(full + stage * 8, c / STAGES % 2);
            u32 right[2][4][4], v[4][4], left[4][4], plain[4][4];
            float held[8][4] = {}, value[8][4] = {};
            float4_ steps[8];                           // of two tokens beta and beta exp(G)
            float2_ fades[8];
            vec16 inverse[10];
            load_step(right[0], tile, 0, lane);
#pragma unroll
            for (int n = 0; n < 4; n++)
                load_tiles_transposed(v[n], values + (n * 16 + lane / 16 * 8 + lane % 8) * VALUE_ROW + pair * 32 + lane / 8 % 2 * 16);
            float kept = factors[4 * TOKENS - 1 - lane % 4 * 2];
            ask(held, state, right, tile, lane, [&]()
            {
#pragma unroll
                for (int n = 0; n < 8; n++)
                    steps[n] = *(const float4_*)(factors + lane % 4 * 2 + n * 16);
                load_triangle(inverse, shared + stage * STAGE + 2 * TILE + FACTORS, lane);
            });
#pragma unroll
            for (int n = 0; n < 16; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    s[n][e] *= kept;
#pragma unroll
            for (int n = 0; n < 8; n++)
            {
                float (&y)[4] = held[n];
                const u32* pairs = v[n / 2] + n % 2 * 2;
                y[0] = steps[n].x * low(pairs[0]) - steps[n].y * y[0];
                y[1] = steps[n].z * high(pairs[0]) - steps[n].w * y[1];
                y[2] = steps[n].x * low(pairs[1]) - steps[n].y * y[2];
                y[3] = steps[n].z * high(pairs[1]) - steps[n].w * y[3];
            }
#pragma unroll
            for (int n = 0; n < 4; n++)
                as_left(left[n], held[2 * n], held[2 * n + 1]);
#pragma unroll
            for (int n = 0; n < 8; n++)
                fades[n] = *(const float2_*)(factors + 2 * TOKENS + n * 8);
#pragma unroll
            for (int n = 0; n < 4; n++)
                load_tiles_transposed(right[0][n], tile + tile_offset(0, n * 16, lane, true));
            apply(value, left, inverse);

#pragma unroll
            for (int n = 0; n < 8; n++)
            {
                float (&x)[4] = value[n];
                plain[n / 2][n % 2 * 2] = pack_half(x[0], x[1]);
                plain[n / 2][n % 2 * 2 + 1] = pack_half(x[2], x[3]);
                left[n / 2][n % 2 * 2] = pack_half(x[0] * fades[n].x, x[1] * fades[n].y);
                left[n / 2][n % 2 * 2 + 1] = pack_half(x[2] * fades[n].x, x[3] * fades[n].y);
            }
#pragma unroll
            for (int part = 0; part < 8; part++)        // half of the keys, 16 tokens
            {
                int keys = (part + 1) / 4 * 64, j = (part + 1) % 4;
#pragma unroll
                for (int n = 0; n < 4 && part < 7; n++)
                    load_tiles_transposed(right[(part + 1) % 2][n], tile + tile_offset(j * 16, keys + n * 16, lane, true));
#pragma unroll
                for (int n = 0; n < 4; n++)
                {
                    int to = part / 4 * 8 + n * 2;
                    multiply_half(s[to], left[part % 4], right[part % 2][n][0], right[part % 2][n][1]);
                    multiply_half(s[to + 1], left[part % 4], right[part % 2][n][2], right[part % 2][n][3]);
                }
                if (part == 0)
                {
#pragma unroll
                    for (int n = 0; n < 4; n++)
                        store16(handing + (8 + n) * BLOCK, vec16{plain[n][0], plain[n][1], plain[n][2], plain[n][3]});
                    barrier_arrive(handed + 8);
                }
                if (part >= 4)                          // the half that is done, while the other is at work
                    as_left(state[part - 4], s[2 * (part - 4)], s[2 * (part - 4) + 1]);
            }
            tell(empty + stage * 8);
#pragma unroll
            for (int k = 4; k < 8; k++)
                as_left(state[k], s[2 * k], s[2 * k + 1]);
            if (chunk.slot >= 0)
                store_state(state_address(states, chunk.slot, layer) + offset, s, lane);
        }
        store_state(state_address(states, span.slot, layer) + offset, s, lane);
    }
    else
    {
        const u8* handing = shared + STAGES * STAGE + pair * HANDED + lane * 16;
        bf16* target = o + column + pair * 16 + lane % 4 * 2;
        for (int c = 0; c < range.count; c++)
        {
            Chunk chunk = next;
            if (c + 1 < range.count)
                next = chunks[c + 1];
            int stage = c % STAGES;
            const u8* head_data = shared + stage * STAGE + 2 * TILE;
            const float* factors = (const float*)head_data + 3 * TOKENS + lane % 4 * 2;

            u32 state[8][4], value[4][4], right[2][4][4], tile = base + stage * STAGE + TILE;
            float answer[8][4] = {};
            vec16 scores[10];
            barrier_wait(full + stage * 8, c / STAGES % 2);
            load_step(right[0], tile, 0, lane);
            barrier_wait(handed, c % 2);
#pragma unroll
            for (int k = 0; k < 8; k++)
            {
                vec16 part = load16(handing + k * BLOCK);
                state[k][0] = part.word[0], state[k][1] = part.word[1], state[k][2] = part.word[2], state[k][3] = part.word[3];
            }
            ask(answer, state, right, tile, lane, [&]() { load_triangle(scores, head_data + FACTORS + TRIANGLE, lane); });
#pragma unroll
            for (int n = 0; n < 8; n++)
            {
                float2_ fade = *(const float2_*)(factors + n * 8);
                answer[n][0] *= fade.x, answer[n][1] *= fade.y, answer[n][2] *= fade.x, answer[n][3] *= fade.y;
            }
            barrier_wait(handed + 8, c % 2);
#pragma unroll
            for (int n = 0; n < 4; n++)
            {
                vec16 part = load16(handing + (8 + n) * BLOCK);
                value[n][0] = part.word[0], value[n][1] = part.word[1], value[n][2] = part.word[2], value[n][3] = part.word[3];
            }
            barrier_arrive(handed + 16);
            apply(answer, value, scores);
            tell(empty + stage * 8);
#pragma unroll
            for (int n = 0; n < 8; n++)
            {
                u32 first = transpose(pack(answer[n][0], answer[n][1])), second = transpose(pack(answer[n][2], answer[n][3]));
                int token = n * 8 + lane / 4;
                if (token < chunk.tokens)
                {
                    bf16* row = target + (i64)(span.first_row + chunk.first + token) * o_stride;
                    *(u32*)row = first;
                    *(u32*)(row + 8) = second;
                }
            }
        }
    }
}
