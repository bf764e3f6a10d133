// Attention of a few query rows of each sequence over its pages: y = softmax(q k^T / sqrt(HEAD_DIM)) v, times sigmoid(gate). One pass over keys
// and values; the GROUP query heads of a KV head share it. Bytes: 4 HEAD_DIM a token and KV head (1 KiB at 256); flops: 4 GROUP HEAD_DIM,
// so bandwidth is the floor.
//
// An item is up to TOKENS = 8 Q_TILES / GROUP tokens of a span: at most ROWS = 8 Q_TILES query rows. The pages of all (item, KV head) lie on one
// line, which is cut into even ranges, one for each worker (a cluster of CLUSTER blocks), whatever the lengths: contexts are read on the device,
// and a captured graph serves any. A warp takes every n-th page of its worker's range by its own bulk copies, keys and values apart, the next
// ones under way while it computes, with its own running softmax; both products have tokens or dims as the matrix instruction's sixteen rows
// and the query rows as its eight columns, so no lane works on padding. Where the pages of an item end, a block's warps are combined through shared
// memory, a cluster's blocks through each other's and, where an item crosses a cut, workers through `partial`: the last to finish reads
// what the others left.
//
// Grid: CLUSTER * W; block: 128; dynamic shared memory: decode_shared_bytes (102 KiB at 256 with Q_TILES 1, so two blocks a multiprocessor).
// W: the clusters that fit the device at once (cuOccupancyMaxActiveClusters; without clusters, blocks a multiprocessor times multiprocessors).
// CLUSTER: with N = item_count * KV_HEADS, 8 if its W is at least 2 N, else 4 likewise, else 2 if its W is at least N, else 1 (timed). How many of
// the W work is decided on the device.
// Macros: HEAD_DIM (a multiple of 8, at most 256), KV_HEADS, GROUP (query heads a KV head, at most 8 Q_TILES), Q_TILES (1 or 2), CLUSTER, HAS_GATE,
// MAX_ITEMS (of a launch).
// The host prepares: items (null: item i is span i), item_count pairs (span, first token); partial, W * 2 * UNITS * 12 floats (UNITS = ROWS *
// HEAD_DIM / 8); counters, MAX_ITEMS * KV_HEADS * CLUSTER words, zero before the first launch (each launch leaves them zero).
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
#ifndef Q_TILES
#define Q_TILES 1
#endif
#ifndef CLUSTER
#define CLUSTER 1
#endif
#ifndef HAS_GATE
#define HAS_GATE 1
#endif
#ifndef MAX_ITEMS
#define MAX_ITEMS 256
#endif

static constexpr int WARPS = 4, THREADS = WARPS * 32;
static constexpr int ROWS = 8 * Q_TILES, TOKENS = ROWS / GROUP;
static constexpr int STEPS = (HEAD_DIM + 15) / 16;              // of sixteen dims
static constexpr int CHAINS = 4 / Q_TILES;                      // sums of scores, so that a matrix instruction need not wait for the last
static constexpr int PARTS = (HEAD_DIM + 63) / 64;              // of 64 dims
static constexpr int HALF = PAGE_TOKENS * PARTS * 128;          // keys or values of a page
static constexpr int STAGES = PARTS > 2 ? 1 : 4 / PARTS;
static constexpr int STRIDE = STEPS * 16 + 4;                   // of a row in the exchange: stores of a fragment meet no bank twice
static constexpr int PER_ROW = HEAD_DIM / 8, UNITS = ROWS * PER_ROW;            // a unit is eight dims of a row
static constexpr int OWN = (UNITS + THREADS * CLUSTER - 1) / (THREADS * CLUSTER);
static constexpr int EXTRA = 3 * CLUSTER;                       // what an item costs beside its pages, in pages
static constexpr int RING_BYTES = WARPS * STAGES * 2 * HALF;
static constexpr int EXCHANGE_BYTES = WARPS * ROWS * STRIDE * 4;
static constexpr int STATISTICS_BYTES = (WARPS + 1) * ROWS * 8;
static constexpr int BARRIER_BYTES = WARPS * STAGES * 2 * 8 + 16;               // and the scan's sums, later a flag
static constexpr int decode_shared_bytes = RING_BYTES + EXCHANGE_BYTES + STATISTICS_BYTES + BARRIER_BYTES + MAX_ITEMS * 16 + (MAX_ITEMS + 1) * 4;
static_assert(HEAD_DIM % 8 == 0 && HEAD_DIM <= 256 && TOKENS >= 1 && decode_shared_bytes <= 232448);

#if CLUSTER == 1
#define CLUSTERED
#else
#define CLUSTERED CLUSTER_OF(CLUSTER)
#endif

struct alignas(16) Item
{
    int first_page, first_row, first_limit, length;             // the last key that its first token sees; keys that its last token sees
};

// The line of pages: those of an item KV head by KV head. start[i] counts, before item i, pages and EXTRA for each KV head.
struct Line
{
    const int* start;
    int items, workers, each, rest;         // start[items] = workers * each + rest

    DEVICE int before(int item) const { return start[item] - item * (EXTRA * KV_HEADS); }

    // The last item with start[item] - item * less <= at.
    DEVICE int item_at(int at, int less) const
    {
        int low = 0, high = items;
        while (high - low > 1)
        {
            int middle = (low + high) / 2;
            if (start[middle] - middle * less <= at)
                low = middle;
            else
                high = middle;
        }
        return low;
    }

    DEVICE void find(int at, int& item, int& head, int& page, int& count) const
    {
        item = item_at(at, EXTRA * KV_HEADS);
        count = (before(item + 1) - before(item)) / KV_HEADS;
        page = at - before(item);
        head = KV_HEADS == 1 ? 0 : page / count;
        page -= head * count;
    }

    // The page at which worker i begins; near an item's end, the end.
    DEVICE int cut(int i) const
    {
        if (i <= 0 || i >= workers)
            return i <= 0 ? 0 : before(items);
        int at = i * each + (int)((u32)(i * rest) / (u32)workers), item = item_at(at, 0);
        int of_head = (start[item + 1] - start[item]) / KV_HEADS, count = of_head - EXTRA;
        int head = KV_HEADS == 1 ? 0 : (at - start[item]) / of_head, page = min_(at - start[item] - head * of_head, count);
        int slack = min_(EXTRA, each / 8);
        page = page <= slack ? 0 : count - page <= slack ? count : page;
        return before(item) + head * count + page;
    }

    // The worker that has page `at`.
    DEVICE int worker_of(int at) const
    {
        int i = (int)((float)at * (float)workers * reciprocal((float)before(items)));
        while (cut(i) > at)
            i--;
        while (cut(i + 1) <= at)
            i++;
        return i;
    }
};

// A sum of values weighted by 2^score, as far as it got.
struct Unit
{
    float value[8], largest, sum;

    DEVICE void add(float4_ a, float4_ b, float other_largest, float other_sum)
    {
        float now = fmax_(largest, other_largest);
        float mine = largest == -INFINITY_ ? 0.0f : exp2_(largest - now), other = other_largest == -INFINITY_ ? 0.0f : exp2_(other_largest - now);
        float more[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
        for (int i = 0; i < 8; i++)
            value[i] = value[i] * mine + more[i] * other;
        sum = sum * mine + other_sum * other;
        largest = now;
    }
};

DEVICE float4_ load_device(const float* address)
{
    float4_ v;
    asm volatile("ld.relaxed.gpu.global.v4.f32 {%0,%1,%2,%3}, [%4];"
        : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(address) : "memory");
    return v;
}

KERNEL CLUSTERED __launch_bounds__(THREADS, Q_TILES == 1 ? 2 : 1) attention_decode(
    Step step, Pages pages, int layer, const int* items, int item_count, const bf16* q, int q_stride, const bf16* gate, int gate_stride,
    bf16* y, int y_stride, float* partial, u32* counters)
{
    extern __shared__ __attribute__((aligned(1024))) u8 shared[];
    float* exchange = (float*)(shared + RING_BYTES);                                    // [warp, row, STRIDE]
    Item* table = (Item*)(shared + RING_BYTES + EXCHANGE_BYTES);
    float* statistics = (float*)(table + MAX_ITEMS);                                    // [warp, row, (largest, sum)]
    float* block_statistics = statistics + WARPS * ROWS * 2;                            // [row, (largest, sum)]
    u8* barriers = (u8*)(block_statistics + ROWS * 2);
    int* scratch = (int*)(barriers + WARPS * STAGES * 2 * 8);
    int* start = scratch + 4;

    int thread = (int)threadIdx.x, warp = thread / 32, lane = thread % 32;
    int rank = CLUSTER > 1 ? cluster_rank() : 0, worker = (int)blockIdx.x / CLUSTER;
    u32 ring = shared_address(shared) + warp * STAGES * 2 * HALF, full = shared_address(barriers) + warp * STAGES * 2 * 8;
    if (lane == 0)
    {
        for (int i = 0; i < 2 * STAGES; i++)
            barrier_init(full + i * 8, 1);
        barrier_init_fence();
    }
    dependency_wait();
    dependents_launch();

    // Lay out the line. A span that is not there may be read, as the array has room for it, so that its load need not wait for the count.
    int total = 0;
    for (int first = 0; first < item_count; first += THREADS)
    {
        int item = first + thread, own = 0;
        if (item < item_count)
        {
            int token = items ? items[2 * item + 1] : 0;
            Span span = step.spans[items ? items[2 * item] : item];
            int tokens = items || item < step.counts[1] ? min_(span.count - token, TOKENS) : 0;
            int limit = span.first_position + token;
            table[item] = Item{span.first_page, span.first_row + token, limit, tokens > 0 ? limit + tokens : 0};
            own = (tokens > 0 ? ceil_div(limit + tokens, PAGE_TOKENS) + EXTRA : EXTRA) * KV_HEADS;
        }
        int through = own;
#pragma unroll
        for (int distance = 1; distance < 32; distance *= 2)
        {
            int before = (int)as_bits(shuffle_up(as_float((u32)through), distance));
            through += lane >= distance ? before : 0;
        }
        if (lane == 31)
            scratch[warp] = through;
        block_sync();
        int before_warp = total;
#pragma unroll
        for (int i = 0; i < WARPS; i++)
        {
            before_warp += i < warp ? scratch[i] : 0;
            total += scratch[i];
        }
        if (item < item_count)
            start[item + 1] = before_warp + through;
        if (item == 0)
            start[0] = 0;
        block_sync();
    }
    // Handing partial results over costs as much as some pages, so an item's KV head is one worker's as long as a warp has at most 8 pages of
    // it, or 16 where these workers fill two fifths of the device; beyond, a warp has at least two. Equal contexts should not straddle cuts.
    Line line{start, item_count};
    int wanted = item_count * KV_HEADS, most = (int)gridDim.x / CLUSTER, page_count = total - wanted * EXTRA;
    line.workers = min_(wanted, most);
    if (page_count > (5 * wanted >= 2 * most ? 16 : 8) * WARPS * CLUSTER * wanted && wanted < most)
    {
        int useful = page_count / (2 * WARPS * CLUSTER), even = min_(useful, most) / wanted * wanted;
        line.workers = useful < most || even * 8 >= most * 7 ? even : most;
    }
    line.each = total / line.workers, line.rest = total % line.workers;
    if (page_count == 0 || worker >= line.workers)
        return;

    int begin = line.cut(worker), end = line.cut(worker + 1);
    int mine = begin + rank * WARPS + warp, every = CLUSTER * WARPS;                    // this warp's pages: mine + every * turn
    int turns = mine < end ? ceil_div(end - mine, every) : 0;

    // Pages are looked up 32 turns at once, a lane each, and a batch ahead of their use.
    u64 address = 0;
    int next_page = 0, next_head = 0;
    auto look_up = [&](int turn)
    {
        if (turn >= turns)
            return;
        int item, page, count;
        line.find(mine + every * turn, item, next_head, page, count);
        next_page = step.pages[table[item].first_page + page];
    };
    auto fetch = [&](int turn, int half)
    {
        if (half == 0 && turn % 32 == 0)
        {
            address = (u64)page_address(pages, next_page, layer) + (u64)(next_head * 2 * HALF);
            look_up(turn + 32 + lane);
        }
        u64 source = ((u64)shuffle((u32)(address >> 32), turn % 32) << 32 | shuffle((u32)address, turn % 32)) + (u64)(half * HALF);
        if (lane == 0)
        {
            int place = turn % STAGES * 2 + half;
            barrier_expect(full + place * 8, HALF);
            copy_bulk(ring + place * HALF, (const void*)source, HALF, full + place * 8);
        }
    };
    look_up(lane);
    for (int turn = 0; turn < STAGES && turn < turns; turn++)
    {
        fetch(turn, 0);
        fetch(turn, 1);
    }

    // ldmatrix's lane addresses within a half: keys are taken as they lie (rows are tokens), values transposed (rows are dims).
    u32 key_lane = ring + (u32)((lane % 8 + lane / 8 % 2 * 8) * 128 + ((lane / 16) ^ (lane % 8)) * 16);
    u32 value_lane = ring + (u32)(HALF + (lane % 8 + lane / 16 * 8) * 128 + ((lane / 8 % 2) ^ (lane % 8)) * 16);
    float scale = rsqrt_((float)HEAD_DIM) * 1.4426950408889634f;
    bool reading = false;                                                               // others of the cluster may still read the exchange

    int turn = 0;
    for (int at = begin; at < end;)
    {
        int item, head, page, count;
        line.find(at, item, head, page, count);
        int item_begin = at - page, item_end = min_(end, item_begin + count);
        int first_row = table[item].first_row, first_limit = table[item].first_limit, length = table[item].length, tokens = length - first_limit;

        u32 query[Q_TILES][STEPS][2];
        float output[Q_TILES][STEPS][4] = {}, largest[Q_TILES][2], sum[Q_TILES][2] = {};
#pragma unroll
        for (int tile = 0; tile < Q_TILES; tile++)
        {
            int row = tile * 8 + lane / 4;
            bool valid = row / GROUP < tokens;
            const bf16* source = q + (i64)(first_row + row / GROUP) * q_stride + (head * GROUP + row % GROUP) * HEAD_DIM + lane % 4 * 2;
#pragma unroll
            for (int k = 0; k < STEPS; k++)
            {
                query[tile][k][0] = valid ? *(const u32*)(source + k * 16) : 0;
                query[tile][k][1] = valid && k * 16 + 8 < HEAD_DIM ? *(const u32*)(source + k * 16 + 8) : 0;
            }
            largest[tile][0] = largest[tile][1] = -INFINITY_;
        }
        bool whole = at == item_begin && item_end == item_begin + count;
        int first_worker = worker, last_worker = worker;                                // who has pages of it; found while the first are under way
        if (!whole)
            first_worker = line.worker_of(item_begin), last_worker = line.worker_of(item_begin + count - 1);

        for (; turn < turns && mine + every * turn < item_end; turn++)
        {
            int first_token = (mine + every * turn - item_begin) * PAGE_TOKENS, stage = turn % STAGES;
            u32 parity = (u32)(turn / STAGES) & 1;
            barrier_wait(full + stage * 16, parity);
            float score[Q_TILES][CHAINS][4] = {};
#pragma unroll
            for (int k = 0; k < STEPS; k++)
            {
                u32 a[4];
                load_tiles(a, ((key_lane + stage * 2 * HALF) ^ (k % 4 * 32)) + k / 4 * (PAGE_TOKENS * 128));
#pragma unroll
                for (int tile = 0; tile < Q_TILES; tile++)
                    multiply(score[tile][k % CHAINS], a, query[tile][k][0], query[tile][k][1]);
            }
            warp_sync();
            if (turn + STAGES < turns)
                fetch(turn + STAGES, 0);

            u32 weight[Q_TILES][2];
#pragma unroll
            for (int tile = 0; tile < Q_TILES; tile++)
            {
                float s[4], now[2];
#pragma unroll
                for (int i = 0; i < 4; i++)
                {
                    s[i] = score[tile][0][i];
#pragma unroll
                    for (int chain = 1; chain < CHAINS; chain++)
                        s[i] += score[tile][chain][i];
                    int limit = first_limit + (TOKENS == 1 ? 0 : min_((tile * 8 + lane % 4 * 2 + i % 2) / GROUP, tokens - 1));
                    s[i] = first_token + lane / 4 + i / 2 * 8 > limit ? -INFINITY_ : s[i] * scale;
                }
#pragma unroll
                for (int i = 0; i < 2; i++)
                {
                    now[i] = fmax_(s[i], s[i + 2]);
#pragma unroll
                    for (int mask = 4; mask < 32; mask *= 2)
                        now[i] = fmax_(now[i], shuffle_xor(now[i], mask));
                }
                // The largest may lag by 8: weights up to 2^8 harm neither bfloat16 nor the sums, and rescaling is rare.
                if (warp_any(now[0] > largest[tile][0] + 8.0f || now[1] > largest[tile][1] + 8.0f))
                {
#pragma unroll
                    for (int i = 0; i < 2; i++)
                    {
                        now[i] = fmax_(largest[tile][i], now[i]);
                        float factor = largest[tile][i] == -INFINITY_ ? 0.0f : exp2_(largest[tile][i] - now[i]);
                        largest[tile][i] = now[i];
                        sum[tile][i] *= factor;
#pragma unroll
                        for (int k = 0; k < STEPS; k++)
                            output[tile][k][i] *= factor, output[tile][k][i + 2] *= factor;
                    }
                }
#pragma unroll
                for (int i = 0; i < 4; i++)
                    s[i] = exp2_(s[i] - (largest[tile][i % 2] == -INFINITY_ ? 0.0f : largest[tile][i % 2]));
                sum[tile][0] += s[0] + s[2];
                sum[tile][1] += s[1] + s[3];
                weight[tile][0] = transpose(pack(s[0], s[1]));
                weight[tile][1] = transpose(pack(s[2], s[3]));
            }

            barrier_wait(full + stage * 16 + 8, parity);
            int missing = first_token + PAGE_TOKENS - length;
            if (missing > 0)
            {
                // Tokens past the end may hold anything, NaN too, which a weight of zero would not silence.
                u8* last = shared + ((warp * STAGES + stage) * 2 + 1) * HALF + (PAGE_TOKENS - 1) * 128;
                for (int i = lane; i < missing * PARTS * 8; i += 32)
                    store16(last + i / 8 / missing * (PAGE_TOKENS * 128) - i / 8 % missing * 128 + i % 8 * 16, vec16{});
                fence_async_proxy();
                warp_sync();
            }
#pragma unroll
            for (int k = 0; k < STEPS; k++)
            {
                u32 a[4];
                load_tiles_transposed(a, ((value_lane + stage * 2 * HALF) ^ (k % 4 * 32)) + k / 4 * (PAGE_TOKENS * 128));
#pragma unroll
                for (int tile = 0; tile < Q_TILES; tile++)
                    multiply(output[tile][k], a, weight[tile][0], weight[tile][1]);
            }
            warp_sync();
            if (turn + STAGES < turns)
                fetch(turn + STAGES, 1);
        }

        // Hand this warp's part over. A thread will write out units (thread + THREADS j) CLUSTER + rank; their gates are under way meanwhile.
        vec16 gates[OWN]{};
        auto unit_of = [&](int j) { return (thread + THREADS * j) * CLUSTER + rank; };
        auto present = [&](int unit) { return unit < UNITS && unit / PER_ROW / GROUP < tokens; };
        auto row_of = [&](int unit) { return (i64)(first_row + unit / PER_ROW / GROUP); };
        auto column_of = [&](int unit) { return (head * GROUP + unit / PER_ROW % GROUP) * HEAD_DIM + unit % PER_ROW * 8; };
#pragma unroll
        for (int j = 0; j < OWN; j++)
            if (HAS_GATE && present(unit_of(j)))
                gates[j] = load16(gate + row_of(unit_of(j)) * gate_stride + column_of(unit_of(j)));
        if (CLUSTER > 1 && reading)
            cluster_wait();
#pragma unroll
        for (int tile = 0; tile < Q_TILES; tile++)
        {
            float* to = exchange + (warp * ROWS + tile * 8 + lane % 4 * 2) * STRIDE + lane / 4;
#pragma unroll
            for (int k = 0; k < STEPS; k++)
            {
#pragma unroll
                for (int i = 0; i < 4; i++)
                    to[k * 16 + i / 2 * 8 + i % 2 * STRIDE] = output[tile][k][i];
            }
#pragma unroll
            for (int i = 0; i < 2; i++)
            {
#pragma unroll
                for (int mask = 4; mask < 32; mask *= 2)
                    sum[tile][i] += shuffle_xor(sum[tile][i], mask);
                float* place = statistics + (warp * ROWS + tile * 8 + lane * 2 + i) * 2;
                if (lane < 4)
                    place[0] = largest[tile][i], place[1] = sum[tile][i];
            }
        }
        block_sync();

        auto write_out = [&](int j, Unit& u)
        {
            float by[8];
            unpack(gates[j], by);
            float inverse = reciprocal(u.sum);
#pragma unroll
            for (int i = 0; i < 8; i++)
                by[i] = u.value[i] * inverse * (HAS_GATE ? sigmoid(by[i]) : 1.0f);
            if (present(unit_of(j)))
                store16(y + row_of(unit_of(j)) * y_stride + column_of(unit_of(j)), pack8(by));
        };
        auto of_block = [&](int unit)
        {
            Unit u{{}, -INFINITY_, 0.0f};
#pragma unroll
            for (int i = 0; i < WARPS; i++)
            {
                int row = i * ROWS + unit / PER_ROW;
                const float4_* part = (const float4_*)(exchange + row * STRIDE + unit % PER_ROW * 8);
                u.add(part[0], part[1], statistics[row * 2], statistics[row * 2 + 1]);
            }
            return u;
        };
        if constexpr (CLUSTER > 1)
        {
#pragma unroll
            for (int unit = thread; unit < UNITS; unit += THREADS)
            {
                // To the place of the first warp's, which no other thread reads.
                Unit u = of_block(unit);
                float4_* to = (float4_*)(exchange + unit / PER_ROW * STRIDE + unit % PER_ROW * 8);
                to[0] = {u.value[0], u.value[1], u.value[2], u.value[3]};
                to[1] = {u.value[4], u.value[5], u.value[6], u.value[7]};
                if (unit % PER_ROW == 0)
                    block_statistics[unit / PER_ROW * 2] = u.largest, block_statistics[unit / PER_ROW * 2 + 1] = u.sum;
            }
            cluster_sync();
        }
#pragma unroll
        for (int j = 0; j < OWN; j++)
        {
            int unit = unit_of(j), row = unit / PER_ROW;
            if (unit >= UNITS)
                continue;
            Unit u{{}, -INFINITY_, 0.0f};
            if constexpr (CLUSTER == 1)
                u = of_block(unit);
            else
            {
                u32 from = shared_address(exchange + row * STRIDE + unit % PER_ROW * 8), beside = shared_address(block_statistics + row / 2 * 4);
                float4_ part[CLUSTER][3];
#pragma unroll
                for (int i = 0; i < CLUSTER; i++)
                {
                    part[i][0] = load_cluster(cluster_address(from, i));
                    part[i][1] = load_cluster(cluster_address(from, i) + 16);
                    part[i][2] = load_cluster(cluster_address(beside, i));
                }
#pragma unroll
                for (int i = 0; i < CLUSTER; i++)
                    u.add(part[i][0], part[i][1], row % 2 ? part[i][2].z : part[i][2].x, row % 2 ? part[i][2].w : part[i][2].y);
            }
            if (whole)
                write_out(j, u);
            else
            {
                // A worker leaves its part of an item that began before it in its first place, of one that began in it in the second.
                float4_* to = (float4_*)(partial + ((i64)(worker * 2 + (at == item_begin)) * UNITS + unit) * 12);
                to[0] = {u.value[0], u.value[1], u.value[2], u.value[3]};
                to[1] = {u.value[4], u.value[5], u.value[6], u.value[7]};
                to[2] = {u.largest, u.sum, 0.0f, 0.0f};
            }
        }
        if constexpr (CLUSTER > 1)
        {
            warp_sync();
            cluster_arrive();
            reading = true;
        }

        if (!whole)
        {
            fence_device();
            block_sync();
            if (thread == 0)
            {
                u32* counter = counters + (item * KV_HEADS + head) * CLUSTER + rank;
                u32 before;
                asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
                scratch[0] = before == (u32)(last_worker - first_worker);
                if (scratch[0])
                    *counter = 0;
            }
            block_sync();
            if (scratch[0])
            {
                fence_device();
#pragma unroll
                for (int j = 0; j < OWN; j++)
                {
                    Unit u{{}, -INFINITY_, 0.0f};
                    int unit = min_(unit_of(j), UNITS - 1);
#pragma unroll 1
                    for (int i = first_worker; i <= last_worker; i += 8)
                    {
                        float4_ part[24];
#pragma unroll
                        for (int k = 0; k < 24; k++)
                        {
                            int left = min_(i + k / 3, last_worker);
                            part[k] = load_device(partial + ((i64)(left * 2 + (left == first_worker)) * UNITS + unit) * 12 + k % 3 * 4);
                        }
#pragma unroll
                        for (int k = 0; k < 8; k++)
                            if (i + k <= last_worker)
                                u.add(part[3 * k], part[3 * k + 1], part[3 * k + 2].x, part[3 * k + 2].y);
                    }
                    write_out(j, u);
                }
            }
        }
        if constexpr (CLUSTER == 1)
            block_sync();
        at = item_end;
    }
    // A block's shared memory must stay while another may read it.
    if (CLUSTER > 1 && reading)
        cluster_wait();
}
