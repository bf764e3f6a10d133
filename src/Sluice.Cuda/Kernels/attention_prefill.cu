// Causal attention of spans of many tokens over their pages: y = softmax(q k^T / sqrt(HEAD_DIM)) v, times sigmoid(gate); a token sees all earlier
// pages of its sequence and itself. Flops: 4 HEAD_DIM a query head, token and key seen (550 GFLOP for 8192 tokens at 16 heads of 256);
// bytes hardly matter, but the keys that blocks read from the second-level cache do: 128 flops a byte.
//
// A tile is TOKENS = 128 / GROUP tokens of a span with all GROUP query heads of a KV head, 128 query rows (row r: token r / GROUP, head
// r % GROUP), so the rows of a tile see nearly the same keys. A block has three groups of 128 threads. Of the first, one warp fetches keys and
// one values, KEYS tokens at once, by bulk copies of the 64-dim parts of pages, two stages each; the two others hold 64 rows each: scores by
// wgmma from shared memory, weights in registers as the left side of the product with the values. The scores of the next keys are computed
// while the weights of the last ones meet their values. Measured and left out: two blocks that fetch together (slower by 30 %), the two
// groups taking turns (no difference).
//
// Grid: min(SMs, tile_count * KV_HEADS): blocks take tiles in a snake, so the host sorts tiles by falling last key.
// Block: 384. Dynamic shared memory: prefill_shared_bytes below (229440 at 256).
// Macros: HEAD_DIM (a multiple of 8, at most 256), KV_HEADS, GROUP (query heads a KV head, at most 128), HAS_GATE.
// The host prepares: tiles, tile_count pairs (span, first token): for each span, first token 0, TOKENS, 2 TOKENS and so on.
#include "sluice.cuh"

#ifndef HEAD_DIM
#define HEAD_DIM 256
#endif
#ifndef KV_HEADS
#define KV_HEADS 2
#endif
#ifndef GROUP
#define GROUP 8
#endif
#ifndef HAS_GATE
#define HAS_GATE 1
#endif

static constexpr int GROUPS = (HEAD_DIM + 63) / 64;                     // of 64 dims
static constexpr int WIDTH = GROUPS * 64;
static constexpr int ROWS = 64, TOKENS = 128 / GROUP, STAGES = 2;
static constexpr int KEYS = HEAD_DIM > 128 ? 80 : 128;                  // of a step
static constexpr int PAGES = KEYS / PAGE_TOKENS;
static constexpr int QUERY_BYTES = ROWS * WIDTH * 2, TILE_BYTES = KEYS * WIDTH * 2;
static constexpr int prefill_shared_bytes = 2 * QUERY_BYTES + 2 * STAGES * TILE_BYTES + 4 * STAGES * 8;
static_assert(HEAD_DIM % 8 == 0 && HEAD_DIM <= 256 && PAGES * GROUPS <= 32 && prefill_shared_bytes <= 232448);

// d (64 x N) = a b^T, or += : as multiply_group, with a choice.
template <int N>
DEVICE void score_step(float (&d)[N / 2], u64 a, u64 b, int accumulate)
{
#define SCORE(n, registers, first, second, third, ...) \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " third ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" registers "}, " \
        first ", " second ", p, 1, 1, 0, 0;\n}" : __VA_ARGS__ : "l"(a), "l"(b), "r"(accumulate))
    if constexpr (N == 80)
        SCORE(80, WGMMA_R5, "%40", "%41", "%42", WGMMA_D5);
    else
        SCORE(128, WGMMA_R8, "%64", "%65", "%66", WGMMA_D8);
}

// d (64 x N) += a b for a 64x16 in registers, as `multiply` holds it, and b 16 x N in shared memory, its rows along N (value_operand).
template <int N>
DEVICE void value_step(float (&d)[N / 2], const u32* w, u64 b, int accumulate)
{
#define VALUE(n, registers, a0, a1, a2, a3, second, third, ...) \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " third ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" registers "}, " \
        "{" a0 "," a1 "," a2 "," a3 "}, " second ", p, 1, 1, 1;\n}" \
        : __VA_ARGS__ : "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]), "l"(b), "r"(accumulate))
    if constexpr (N == 64)
        VALUE(64, WGMMA_R4, "%32", "%33", "%34", "%35", "%36", "%37", WGMMA_D4);
    else if constexpr (N == 128)
        VALUE(128, WGMMA_R8, "%64", "%65", "%66", "%67", "%68", "%69", WGMMA_D8);
    else if constexpr (N == 192)
        VALUE(192, WGMMA_R12, "%96", "%97", "%98", "%99", "%100", "%101", WGMMA_D12);
    else
        VALUE(256, WGMMA_R16, "%128", "%129", "%130", "%131", "%132", "%133", WGMMA_D16);
}

// group_operand for tokens along the sum: parts of 64 dims lie KEYS * 128 bytes apart, parts of 8 tokens 1024.
DEVICE u64 value_operand(u32 shared)
{
    return (u64)((shared >> 4) & 0x3fff) | ((u64)(KEYS * 128 / 16) << 16) | (64ull << 32) | (1ull << 62);
}

// What a block has to do: the same walk for those who fetch and those who compute.
struct Work
{
    Span span;
    int token, head, first_position, keys, steps;

    DEVICE bool find(const Step& step, const int* tiles, int tile_count, int round)
    {
        int blocks = (int)gridDim.x, block = (int)blockIdx.x;
        int index = round * blocks + (round % 2 ? blocks - 1 - block : block);
        if (index >= tile_count * KV_HEADS)
            return false;
        int tile = index / KV_HEADS;
        head = index % KV_HEADS;
        span = step.spans[tiles[2 * tile]];
        token = tiles[2 * tile + 1];
        first_position = span.first_position + token;
        keys = span.first_position + min_(span.count, token + TOKENS);
        steps = ceil_div(keys, KEYS);
        return true;
    }
};

// Sixteen rows of a warp from rows of q or gate to shared memory, swizzled; rows and dims that are not there as zeros.
DEVICE void load_rows(u32 shared, const bf16* source, int stride, const Work& work, int first, int lane)
{
#pragma unroll 4
    for (int i = lane; i < 16 * WIDTH / 8; i += 32)
    {
        int row = i / (WIDTH / 8), part = i % (WIDTH / 8);
        int token = (first + row) / GROUP, column = (work.head * GROUP + (first + row) % GROUP) * HEAD_DIM;
        bool there = token < TOKENS && work.token + token < work.span.count && part * 8 < HEAD_DIM;
        const bf16* from = there ? source + (i64)(work.span.first_row + work.token + token) * stride + column + part * 8 : source;
        copy16_async(shared + part / 8 * (ROWS * 128) + row * 128 + (((part % 8) ^ (row % 8)) * 16), from, there ? 16 : 0);
    }
    copies_commit();
}

// 64 query rows of a group: this thread has two rows of its warp, lane / 4 and 8 further, and of every eight columns two.
struct Rows
{
    float score[KEYS / 2], output[WIDTH / 2];
    u32 weight[KEYS / 4];
    float largest[2], sum[2], factor[2];
    int limit[2], all_see;                  // the last key each row sees; the last one that all rows of the warp see
    bool rescale;

    DEVICE void begin(const Work& work, int first, int lane)
    {
#pragma unroll
        for (int i = 0; i < 2; i++)
        {
            largest[i] = -INFINITY_, sum[i] = 0.0f, factor[i] = 1.0f;
            limit[i] = work.first_position + (first + lane / 4 + 8 * i) / GROUP;
        }
        all_see = work.first_position + first / GROUP;
    }

    DEVICE void issue_scores(u32 queries, u32 keys)
    {
        u64 a = group_operand(queries), b = group_operand(keys);
        group_fence();
#pragma unroll
        for (int k = 0; k < (HEAD_DIM + 15) / 16; k++)
            score_step<KEYS>(score, a + k / 4 * (ROWS * 128 / 16) + k % 4 * 2, b + k / 4 * (KEYS * 128 / 16) + k % 4 * 2, k != 0);
        group_commit();
    }

    DEVICE void issue_values(u32 values, int accumulate)
    {
        u64 b = value_operand(values);
        group_fence();
#pragma unroll
        for (int k = 0; k < PAGES; k++)
            value_step<WIDTH>(output, weight + k * 4, b + k * (PAGE_TOKENS * 128 / 16), k != 0 || accumulate);
        group_commit();
    }

    // The running softmax of the scores of keys from `key`, which become weights in place.
    DEVICE void soften(int key, int lane, float scale)
    {
        if (key + KEYS - 1 > all_see)
        {
#pragma unroll
            for (int i = 0; i < KEYS / 2; i++)
                if (key + i / 4 * 8 + lane % 4 * 2 + i % 2 > limit[i / 2 % 2])
                    score[i] = -INFINITY_;
        }
        float now[2] = {score[0], score[2]};
#pragma unroll
        for (int i = 0; i < KEYS / 2; i++)
            now[i / 2 % 2] = fmax_(now[i / 2 % 2], score[i]);
#pragma unroll
        for (int row = 0; row < 2; row++)
        {
            now[row] = fmax_(now[row], shuffle_xor(now[row], 1));
            now[row] = fmax_(now[row], shuffle_xor(now[row], 2)) * scale;
        }
        // The largest may lag by 8 (weights up to 2^8 harm nothing), so that the outputs are rarely rescaled.
        rescale = warp_any(now[0] > largest[0] + 8.0f || now[1] > largest[1] + 8.0f);
        if (rescale)
        {
#pragma unroll
            for (int row = 0; row < 2; row++)
            {
                now[row] = fmax_(now[row], largest[row]);
                factor[row] = exp2_(largest[row] - now[row]);
                largest[row] = now[row];
                sum[row] *= factor[row];
            }
        }
#pragma unroll
        for (int i = 0; i < KEYS / 2; i++)
        {
            score[i] = exp2_(score[i] * scale - largest[i / 2 % 2]);
            sum[i / 2 % 2] += score[i];
        }
    }

    DEVICE void pack_weights()
    {
#pragma unroll
        for (int i = 0; i < KEYS / 4; i++)
            weight[i] = pack(score[2 * i], score[2 * i + 1]);
    }

    DEVICE void rescale_output()
    {
        if (rescale)
        {
#pragma unroll
            for (int i = 0; i < WIDTH / 2; i++)
                output[i] *= factor[i / 2 % 2];
        }
    }
};

KERNEL __launch_bounds__(384, 1) attention_prefill(
    Step step, Pages pages, int layer, const int* tiles, int tile_count, const bf16* q, int q_stride, const bf16* gate, int gate_stride,
    bf16* y, int y_stride)
{
    extern __shared__ __attribute__((aligned(1024))) u8 shared[];
    u32 queries = shared_address(shared), key_ring = queries + 2 * QUERY_BYTES, value_ring = key_ring + STAGES * TILE_BYTES;
    u32 full = value_ring + STAGES * TILE_BYTES, empty = full + 2 * STAGES * 8;         // keys' stages, then values'
    int thread = (int)threadIdx.x, lane = thread % 32, warp = (int)shuffle((u32)(thread / 32), 0);
    if (thread == 0)
    {
        for (int i = 0; i < 2 * STAGES; i++)
        {
            barrier_init(full + i * 8, 1);
            barrier_init(empty + i * 8, 8);         // the warps that compute
        }
        barrier_init_fence();
    }
    block_sync();
    dependency_wait();
    dependents_launch();
    Work work;

    if (warp < 4)
    {
        registers_lower<40>();
        if (warp < 2)
        {
            // Warp 0 fetches keys, warp 1 values. A lane has a page and a part of 64 dims.
            u32 ring = warp == 0 ? key_ring : value_ring;
            full += warp * STAGES * 8, empty += warp * STAGES * 8;
            int place = lane / GROUPS, part = lane % GROUPS;
            u32 stage = 0, parity = 1;
            for (int round = 0; work.find(step, tiles, tile_count, round); round++)
            {
                int count = ceil_div(work.keys, PAGE_TOKENS);
                const int* table = step.pages + work.span.first_page;
                int offset = work.head * head_bytes(HEAD_DIM) + warp * (head_bytes(HEAD_DIM) / 2) + part * (PAGE_TOKENS * 128);
                int page = place < PAGES && place < count ? table[place] : -1;
                for (int i = 0; i < work.steps; i++)
                {
                    int ahead = (i + 1) * PAGES + place;
                    int next = place < PAGES && ahead < count ? table[ahead] : -1;
                    const u8* source = page_address(pages, max_(page, 0), layer) + offset;
                    barrier_wait(empty + stage * 8, parity);
                    if (lane == 0)
                        barrier_expect(full + stage * 8, min_(PAGES, count - i * PAGES) * GROUPS * (PAGE_TOKENS * 128));
                    warp_sync();
                    u32 to = ring + stage * TILE_BYTES + part * (KEYS * 128) + place * (PAGE_TOKENS * 128);
                    if (page >= 0)
                        copy_bulk(to, source, PAGE_TOKENS * 128, full + stage * 8);
                    page = next;
                    if (++stage == STAGES)
                        stage = 0, parity ^= 1;
                }
            }
        }
    }
    else
    {
        registers_raise<232>();
        int group = warp / 4 - 1, name = 1 + group;                                     // of the two that compute
        u32 own_queries = queries + group * QUERY_BYTES, own_rows = own_queries + warp % 4 * 16 * 128;
        int first = group * ROWS + warp % 4 * 16;                                       // this warp's first row
        float scale = rsqrt_((float)HEAD_DIM) * 1.4426950408889634f;
        u32 stage_k = 0, parity_k = 0, stage_v = 0, parity_v = 0;
        auto read = [&](u32 barrier)                                                    // this warp has read a stage
        {
            if (lane == 0)
                barrier_arrive(barrier);
        };

        for (int round = 0; work.find(step, tiles, tile_count, round); round++)
        {
            load_rows(own_rows, q, q_stride, work, first, lane);
            copies_wait<0>();
            fence_async_proxy();
            named_sync(name, 128);

            Rows r;
            r.begin(work, first, lane);
            barrier_wait(full + stage_k * 8, parity_k);
            r.issue_scores(own_queries, key_ring + stage_k * TILE_BYTES);
            group_wait<0>();
            group_hold(r.score);
            read(empty + stage_k * 8);
            stage_k ^= 1, parity_k ^= stage_k == 0;
            r.soften(0, lane, scale);
            r.pack_weights();
            r.rescale = false;
            for (int i = 1; i < work.steps; i++)
            {
                barrier_wait(full + stage_k * 8, parity_k);
                r.issue_scores(own_queries, key_ring + stage_k * TILE_BYTES);
                r.rescale_output();
                barrier_wait(full + (STAGES + stage_v) * 8, parity_v);
                r.issue_values(value_ring + stage_v * TILE_BYTES, i > 1);
                group_wait<1>();
                group_hold(r.score);
                read(empty + stage_k * 8);
                stage_k ^= 1, parity_k ^= stage_k == 0;
                r.soften(i * KEYS, lane, scale);
                group_wait<0>();
                group_hold(r.output);
                group_hold(r.score);                // the weights in use may be overwritten only now
                read(empty + (STAGES + stage_v) * 8);
                stage_v ^= 1, parity_v ^= stage_v == 0;
                r.pack_weights();
            }
            named_sync(name, 128);                  // all have read the queries; the gate takes their place
            if (HAS_GATE)
                load_rows(own_rows, gate, gate_stride, work, first, lane);
            r.rescale_output();
            barrier_wait(full + (STAGES + stage_v) * 8, parity_v);
            int missing = work.steps * KEYS - work.keys;
            if (missing > 0)
            {
                // Past the end lies what an earlier step left or NaN, which a weight of zero would not silence.
                u8* values = shared + 2 * QUERY_BYTES + (STAGES + stage_v) * TILE_BYTES;
                for (int i = thread % 128; i < missing * GROUPS * 8; i += 128)
                    store16(values + i / 8 / missing * (KEYS * 128) + (KEYS - 1 - i / 8 % missing) * 128 + i % 8 * 16, vec16{});
                fence_async_proxy();
                named_sync(name, 128);
            }
            r.issue_values(value_ring + stage_v * TILE_BYTES, work.steps > 1);
            group_wait<0>();
            group_hold(r.output);
            read(empty + (STAGES + stage_v) * 8);
            stage_v ^= 1, parity_v ^= stage_v == 0;

            // Through the rows' place in shared memory, so that rows are written sixteen bytes a lane.
#pragma unroll
            for (int row = 0; row < 2; row++)
            {
                r.sum[row] += shuffle_xor(r.sum[row], 1);
                r.sum[row] = reciprocal(r.sum[row] + shuffle_xor(r.sum[row], 2));
            }
            copies_wait<0>();
            warp_sync();
            u8* rows = shared + (own_rows - queries);
#pragma unroll
            for (int i = 0; i < WIDTH / 4; i++)
            {
                int row = lane / 4 + i % 2 * 8, part = i / 2;
                u32* at = (u32*)(rows + part / 8 * (ROWS * 128) + row * 128 + ((part % 8) ^ (row % 8)) * 16) + lane % 4;
                float a = r.output[2 * i] * r.sum[i % 2], b = r.output[2 * i + 1] * r.sum[i % 2];
                if (HAS_GATE)
                    a *= sigmoid(low(*at)), b *= sigmoid(high(*at));
                *at = pack(a, b);
            }
            warp_sync();
#pragma unroll 4
            for (int i = lane; i < 16 * HEAD_DIM / 8; i += 32)
            {
                int row = i / (HEAD_DIM / 8), part = i % (HEAD_DIM / 8);
                int token = (first + row) / GROUP, column = (work.head * GROUP + (first + row) % GROUP) * HEAD_DIM;
                if (token < TOKENS && work.token + token < work.span.count)
                    store16(y + (i64)(work.span.first_row + work.token + token) * y_stride + column + part * 8,
                        load16(rows + part / 8 * (ROWS * 128) + row * 128 + ((part % 8) ^ (row % 8)) * 16));
            }
            warp_sync();
        }
    }
}
