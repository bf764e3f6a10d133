// Attention of a few query rows of each sequence over its pages: y = softmax(q k^T / sqrt(HEAD_DIM)) v, times sigmoid(gate). One pass over keys
// and values; the GROUP query heads of a KV head share it. Bytes: 4 HEAD_DIM a token and KV head (1 KiB at 256); flops: 4 GROUP HEAD_DIM,
// so bandwidth is the floor.
//
// An item is up to TOKENS = 8 Q_TILES / GROUP tokens of a span, so at most ROWS = 8 Q_TILES query rows. The pages of all (item, KV head)
// lie on one line, which is cut into even ranges, one for each worker (a cluster of CLUSTER blocks), whatever the lengths: contexts are read on the
// device, and a captured graph serves any. A cut near an item's end moves there. Each of a worker's warps takes every n-th page by its own bulk
// copies, STAGES pages ahead, and keeps its own running softmax; both products have the tokens or dims as the matrix instruction's sixteen rows
// and the query rows as its eight columns, so no lane works on padding. At the end of an item's pages the block's warps are combined through
// shared memory, the cluster's blocks through its distributed shared memory, and, where an item crosses a cut, the workers through
// `partial`: the last one to finish reads what the others left.
//
// Grid: CLUSTER * workers, workers = SMs / CLUSTER or less, all resident at once or not. Good: with N = items * KV_HEADS, CLUSTER = the largest of
// 8, 4, 2, 1 with N * CLUSTER <= SMs; workers = N * (W / N) if that is at least 0.9 W, else W, of W = active clusters that fit the device.
// Block: 128. Dynamic shared memory: decode_shared_bytes below. Items: at most MAX_ITEMS a launch.
// Macros: HEAD_DIM (a multiple of 8, at most 256), KV_HEADS, GROUP (query heads a KV head, at most 8 Q_TILES), Q_TILES (1 or 2), CLUSTER, STAGES,
// HAS_GATE, MAX_ITEMS, MIN_PAGES (a worker's least pages of one head, for short contexts).
// The host prepares: items (null: item i is span i), pairs (span, first token), item_count of them; partial, workers * 2 * UNITS * 12
// floats; counters, MAX_ITEMS * KV_HEADS * CLUSTER words, zero before the first launch (each launch leaves them zero).
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
#ifndef STAGES
#define STAGES (HEAD_DIM > 192 ? 4 - Q_TILES : HEAD_DIM > 128 ? 4 - Q_TILES : HEAD_DIM > 64 ? 5 : 8)
#endif
#ifndef HAS_GATE
#define HAS_GATE 1
#endif
#ifndef MAX_ITEMS
#define MAX_ITEMS 256
#endif
#ifndef MIN_PAGES
#define MIN_PAGES (8 * CLUSTER)
#endif

static constexpr int WARPS = 4, THREADS = WARPS * 32;
static constexpr int ROWS = 8 * Q_TILES, TOKENS = ROWS / GROUP;
static constexpr int STEPS = (HEAD_DIM + 15) / 16;              // of sixteen dims
static constexpr int CHAINS = 4 / Q_TILES;
static constexpr int PAGE = 2 * PAGE_TOKENS * ((HEAD_DIM + 63) / 64) * 128;
static constexpr int STRIDE = STEPS * 16 + 4;                   // of a row in the exchange: stores of a fragment meet no bank twice
static constexpr int UNITS = ROWS * HEAD_DIM / 8;               // of eight dims of a row
static constexpr int RING_BYTES = WARPS * STAGES * PAGE;
static constexpr int EXCHANGE_BYTES = WARPS * ROWS * STRIDE * 4;
static constexpr int STATISTICS_BYTES = (WARPS + 1) * ROWS * 8;
static constexpr int BARRIER_BYTES = (WARPS * STAGES + 4) * 8;  // and the scan's sums, and the flag
static constexpr int decode_shared_bytes = RING_BYTES + EXCHANGE_BYTES + STATISTICS_BYTES + BARRIER_BYTES + (2 * MAX_ITEMS + 1) * 4;
static_assert(HEAD_DIM % 8 == 0 && HEAD_DIM <= 256 && TOKENS >= 1 && decode_shared_bytes <= 232448);

#if defined(__clang__) || CLUSTER == 1
#define CLUSTERED
#else
#define CLUSTERED __cluster_dims__(CLUSTER, 1, 1)
#endif

// The line of pages: item i's begin at start[i], KV head by KV head.
struct Line
{
    const int* start;
    int items, total, workers;

    DEVICE void find(int at, int& item, int& head, int& page, int& count) const
    {
        int low = 0, high = items;
        while (high - low > 1)
        {
            int middle = (low + high) / 2;
            if (start[middle] <= at)
                low = middle;
            else
                high = middle;
        }
        item = low;
        count = (start[low + 1] - start[low]) / KV_HEADS;
        page = at - start[low];
        head = KV_HEADS == 1 ? 0 : page / count;
        page -= head * count;
    }

    // Where worker i begins.
    DEVICE int cut(int i) const
    {
        if (i <= 0 || i >= workers)
            return i <= 0 ? 0 : total;
        int at = (int)((u64)(u32)i * (u32)total / (u32)workers);
        int slack = total / workers / 6;
        int item, head, page, count;
        find(at, item, head, page, count);
        return page <= slack ? at - page : count - page <= slack ? at - page + count : at;
    }

    // The worker that has page `at`.
    DEVICE int worker_of(int at) const
    {
        int i = (int)((u64)(u32)at * (u32)workers / (u32)total);
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
        const float* first = &a.x;
        const float* second = &b.x;
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            value[i] = value[i] * mine + first[i] * other;
            value[4 + i] = value[4 + i] * mine + second[i] * other;
        }
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

KERNEL CLUSTERED __launch_bounds__(THREADS, 1) attention_decode(
    Step step, Pages pages, int layer, const int* items, int item_count, const bf16* q, int q_stride, const bf16* gate, int gate_stride,
    bf16* y, int y_stride, float* partial, u32* counters)
{
    extern __shared__ __attribute__((aligned(1024))) u8 shared[];
    float* exchange = (float*)(shared + RING_BYTES);
    float* statistics = (float*)(shared + RING_BYTES + EXCHANGE_BYTES);                 // [warp, row, (largest, sum)]
    float* block_statistics = statistics + WARPS * ROWS * 2;                            // [row, (largest, sum)]
    u8* barriers = shared + RING_BYTES + EXCHANGE_BYTES + STATISTICS_BYTES;
    int* scratch = (int*)(barriers + WARPS * STAGES * 8);
    int* start = (int*)(barriers + BARRIER_BYTES);
    int* first_page = start + MAX_ITEMS + 1;

    int thread = (int)threadIdx.x, warp = thread / 32, lane = thread % 32;
    int rank = CLUSTER > 1 ? cluster_rank() : 0;
    int worker = (int)blockIdx.x / CLUSTER;
    u32 ring = shared_address(shared) + warp * STAGES * PAGE, full = shared_address(barriers) + warp * STAGES * 8;
    if (lane == 0)
    {
        for (int i = 0; i < STAGES; i++)
            barrier_init(full + i * 8, 1);
        barrier_init_fence();
    }
    dependency_wait();
    dependents_launch();

    // Lay out the line.
    Line line{start, item_count, 0, 1};
    for (int first = 0; first < item_count; first += THREADS)
    {
        int item = first + thread, own = 0;
        int span_index = item >= item_count ? -1 : items ? items[2 * item] : item < step.counts[1] ? item : -1;
        if (span_index >= 0)
        {
            Span span = step.spans[span_index];
            int token = items ? items[2 * item + 1] : 0;
            int tokens = min_(span.count - token, TOKENS);
            own = tokens > 0 ? ceil_div(span.first_position + token + tokens, PAGE_TOKENS) * KV_HEADS : 0;
            first_page[item] = span.first_page;
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
        int before_warp = line.total;
#pragma unroll
        for (int i = 0; i < WARPS; i++)
        {
            before_warp += i < warp ? scratch[i] : 0;
            line.total += scratch[i];
        }
        if (item < item_count)
            start[item + 1] = before_warp + through;
        if (item == 0)
            start[0] = 0;
        block_sync();
    }
    if (line.total == 0)
        return;
    int wanted = item_count * KV_HEADS, most = (int)gridDim.x / CLUSTER;
    line.workers = wanted >= most ? most : min_(most / wanted, max_(1, line.total / (MIN_PAGES * wanted))) * wanted;
    if (wanted < most && line.total >= MIN_PAGES * most)
        line.workers = most;
    line.workers = min_(line.workers, line.total);
    if (worker >= line.workers)
        return;

    int begin = line.cut(worker), end = line.cut(worker + 1);
    int offset = rank * WARPS + warp, every = CLUSTER * WARPS;                          // this warp's pages: begin + offset + every * turn
    int turns = begin + offset < end ? ceil_div(end - begin - offset, every) : 0;

    // Pages are looked up 32 turns at once, a lane each, and a batch ahead of their use.
    u64 address = 0;
    int next_page = 0, next_head = 0;
    auto look_up = [&](int first_turn)
    {
        int turn = first_turn + lane;
        if (turn >= turns)
            return;
        int item, page, count;
        line.find(begin + offset + every * turn, item, next_head, page, count);
        next_page = step.pages[first_page[item] + page];
    };
    auto fetch = [&](int turn)
    {
        if (turn % 32 == 0)
        {
            address = (u64)page_address(pages, next_page, layer) + (u64)(next_head * PAGE);
            look_up(turn + 32);
        }
        u64 source = (u64)shuffle((u32)(address >> 32), turn % 32) << 32 | shuffle((u32)address, turn % 32);
        if (lane == 0)
        {
            u32 barrier = full + turn % STAGES * 8;
            barrier_expect(barrier, PAGE);
            copy_bulk(ring + turn % STAGES * PAGE, (const void*)source, PAGE, barrier);
        }
    };
    look_up(0);
    for (int turn = 0; turn < STAGES && turn < turns; turn++)
        fetch(turn);

    // ldmatrix's lane addresses within a page: keys are taken as they lie (rows are tokens), values transposed (rows are dims).
    u32 key_lane = (u32)((lane % 8 + lane / 8 % 2 * 8) * 128 + ((lane / 16) ^ (lane % 8)) * 16);
    u32 value_lane = (u32)(PAGE / 2 + (lane % 8 + lane / 16 * 8) * 128 + ((lane / 8 % 2) ^ (lane % 8)) * 16);
    float scale = rsqrt_((float)HEAD_DIM) * 1.4426950408889634f;

    int turn = 0, stage = 0;
    u32 parity = 0;
    for (int at = begin; at < end;)
    {
        int item, head, page, count;
        line.find(at, item, head, page, count);
        int item_begin = at - page, item_end = min_(end, item_begin + count);
        Span span = step.spans[items ? items[2 * item] : item];
        int token = items ? items[2 * item + 1] : 0;
        int tokens = min_(span.count - token, TOKENS), first_row = span.first_row + token;
        int first_limit = span.first_position + token, length = first_limit + tokens;   // keys that the first token sees, less one; that all see

        u32 query[Q_TILES][STEPS][2];
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
        }
        float output[Q_TILES][STEPS][4] = {};
        float largest[Q_TILES][2], sum[Q_TILES][2] = {};
#pragma unroll
        for (int tile = 0; tile < Q_TILES; tile++)
            largest[tile][0] = largest[tile][1] = -INFINITY_;

        for (; turn < turns && begin + offset + every * turn < item_end; turn++)
        {
            int first_token = (begin + offset + every * turn - item_begin) * PAGE_TOKENS;
            u32 keys = ring + stage * PAGE + key_lane, values = ring + stage * PAGE + value_lane;
            barrier_wait(full + stage * 8, parity);
            if (first_token + PAGE_TOKENS > length)
            {
                // Tokens past the end may hold anything, NaN too, which a weight of zero would not silence.
                int missing = first_token + PAGE_TOKENS - length;
                u8* last = shared + (warp * STAGES + stage) * PAGE + PAGE / 2 + (PAGE_TOKENS - 1) * 128;
                for (int i = lane; i < missing * ((HEAD_DIM + 63) / 64) * 8; i += 32)
                    store16(last + i / 8 / missing * (PAGE_TOKENS * 128) - i / 8 % missing * 128 + i % 8 * 16, vec16{});
                fence_async_proxy();
                warp_sync();
            }

            float score[Q_TILES][CHAINS][4] = {};   // several sums, so that a matrix instruction need not wait for the one before
#pragma unroll
            for (int k = 0; k < STEPS; k++)
            {
                u32 a[4];
                load_tiles(a, (keys ^ (k % 4 * 32)) + k / 4 * (PAGE_TOKENS * 128));
#pragma unroll
                for (int tile = 0; tile < Q_TILES; tile++)
                    multiply(score[tile][k % CHAINS], a, query[tile][k][0], query[tile][k][1]);
            }

            u32 weight[Q_TILES][2];
#pragma unroll
            for (int tile = 0; tile < Q_TILES; tile++)
            {
                float s[4], most_now[2];
#pragma unroll
                for (int i = 0; i < 4; i++)
                {
                    s[i] = score[tile][0][i];
#pragma unroll
                    for (int chain = 1; chain < CHAINS; chain++)
                        s[i] += score[tile][chain][i];
                    s[i] *= scale;
                }
                if (first_token + PAGE_TOKENS - 1 > first_limit)
                {
#pragma unroll
                    for (int i = 0; i < 4; i++)
                    {
                        int limit = first_limit + min_((tile * 8 + lane % 4 * 2 + i % 2) / GROUP, tokens - 1);
                        if (first_token + lane / 4 + i / 2 * 8 > limit)
                            s[i] = -INFINITY_;
                    }
                }
#pragma unroll
                for (int i = 0; i < 2; i++)
                {
                    most_now[i] = fmax_(s[i], s[i + 2]);
#pragma unroll
                    for (int mask = 4; mask < 32; mask *= 2)
                        most_now[i] = fmax_(most_now[i], shuffle_xor(most_now[i], mask));
                }
                // The largest may lag by 8: weights up to 2^8 harm neither bfloat16 nor the sums, and rescaling is rare.
                if (warp_any(most_now[0] > largest[tile][0] + 8.0f || most_now[1] > largest[tile][1] + 8.0f))
                {
#pragma unroll
                    for (int i = 0; i < 2; i++)
                    {
                        float now = fmax_(largest[tile][i], most_now[i]);
                        float factor = largest[tile][i] == -INFINITY_ ? 0.0f : exp2_(largest[tile][i] - now);
                        largest[tile][i] = now;
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
#pragma unroll
            for (int k = 0; k < STEPS; k++)
            {
                u32 a[4];
                load_tiles_transposed(a, (values ^ (k % 4 * 32)) + k / 4 * (PAGE_TOKENS * 128));
#pragma unroll
                for (int tile = 0; tile < Q_TILES; tile++)
                    multiply(output[tile][k], a, weight[tile][0], weight[tile][1]);
            }
            warp_sync();
            if (turn + STAGES < turns)
                fetch(turn + STAGES);
            if (++stage == STAGES)
                stage = 0, parity ^= 1;
        }

        // Hand this warp's part over.
#pragma unroll
        for (int tile = 0; tile < Q_TILES; tile++)
        {
            float* mine = exchange + (warp * ROWS + tile * 8 + lane % 4 * 2) * STRIDE + lane / 4;
#pragma unroll
            for (int k = 0; k < STEPS; k++)
            {
                mine[k * 16] = output[tile][k][0];
                mine[k * 16 + STRIDE] = output[tile][k][1];
                mine[k * 16 + 8] = output[tile][k][2];
                mine[k * 16 + 8 + STRIDE] = output[tile][k][3];
            }
#pragma unroll
            for (int i = 0; i < 2; i++)
            {
#pragma unroll
                for (int mask = 4; mask < 32; mask *= 2)
                    sum[tile][i] += shuffle_xor(sum[tile][i], mask);
                if (lane < 4)
                {
                    float* place = statistics + (warp * ROWS + tile * 8 + lane * 2 + i) * 2;
                    place[0] = largest[tile][i], place[1] = sum[tile][i];
                }
            }
        }
        block_sync();

        bool whole = at == item_begin && item_end == item_begin + count;
        float* place = partial + (i64)(worker * 2 + (at == item_begin ? 1 : 0)) * UNITS * 12;
        auto write_out = [&](int unit, Unit& u)
        {
            int row = unit / (HEAD_DIM / 8), dim = unit % (HEAD_DIM / 8) * 8;
            if (row / GROUP >= tokens)
                return;
            i64 to = first_row + row / GROUP;
            int column = (head * GROUP + row % GROUP) * HEAD_DIM + dim;
            float inverse = reciprocal(u.sum), by[8];
#if HAS_GATE
            unpack(load16(gate + to * gate_stride + column), by);
#pragma unroll
            for (int i = 0; i < 8; i++)
                u.value[i] *= sigmoid(by[i]);
#endif
#pragma unroll
            for (int i = 0; i < 8; i++)
                by[i] = u.value[i] * inverse;
            store16(y + to * y_stride + column, pack8(by));
        };
        auto finish = [&](int unit, Unit& u)
        {
            if (whole)
                write_out(unit, u);
            else
            {
                float4_* to = (float4_*)(place + unit * 12);
                to[0] = {u.value[0], u.value[1], u.value[2], u.value[3]};
                to[1] = {u.value[4], u.value[5], u.value[6], u.value[7]};
                to[2] = {u.largest, u.sum, 0.0f, 0.0f};
            }
        };
#pragma unroll 1
        for (int unit = thread; unit < UNITS; unit += THREADS)
        {
            int row = unit / (HEAD_DIM / 8);
            float* from = exchange + row * STRIDE + unit % (HEAD_DIM / 8) * 8;
            Unit u{{}, -INFINITY_, 0.0f};
#pragma unroll
            for (int i = 0; i < WARPS; i++)
            {
                const float4_* part = (const float4_*)(from + i * ROWS * STRIDE);
                u.add(part[0], part[1], statistics[(i * ROWS + row) * 2], statistics[(i * ROWS + row) * 2 + 1]);
            }
            if constexpr (CLUSTER == 1)
                finish(unit, u);
            else
            {
                // In the place of the first warp's, which no other thread reads.
                ((float4_*)from)[0] = {u.value[0], u.value[1], u.value[2], u.value[3]};
                ((float4_*)from)[1] = {u.value[4], u.value[5], u.value[6], u.value[7]};
                if (unit % (HEAD_DIM / 8) == 0)
                    block_statistics[row * 2] = u.largest, block_statistics[row * 2 + 1] = u.sum;
            }
        }
        if constexpr (CLUSTER > 1)
        {
            cluster_sync();
            for (int unit = thread * CLUSTER + rank; unit < UNITS; unit += THREADS * CLUSTER)
            {
                int row = unit / (HEAD_DIM / 8);
                u32 from = shared_address(exchange + row * STRIDE + unit % (HEAD_DIM / 8) * 8);
                u32 from_statistics = shared_address(block_statistics + row / 2 * 4);
                Unit u{{}, -INFINITY_, 0.0f};
                float4_ a[CLUSTER], b[CLUSTER], c[CLUSTER];
#pragma unroll
                for (int i = 0; i < CLUSTER; i++)
                {
                    a[i] = load_cluster(cluster_address(from, i));
                    b[i] = load_cluster(cluster_address(from, i) + 16);
                    c[i] = load_cluster(cluster_address(from_statistics, i));
                }
#pragma unroll
                for (int i = 0; i < CLUSTER; i++)
                    u.add(a[i], b[i], row % 2 ? c[i].z : c[i].x, row % 2 ? c[i].w : c[i].y);
                finish(unit, u);
            }
        }

        if (!whole)
        {
            // A worker leaves the part of an item that began before it in its first place, of one that goes on after it in the second.
            int first_worker = line.worker_of(item_begin), last_worker = line.worker_of(item_begin + count - 1);
            u32* counter = counters + (item * KV_HEADS + head) * CLUSTER + rank;
            fence_device();
            block_sync();
            if (thread == 0)
            {
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
#pragma unroll 1
                for (int unit = thread * CLUSTER + rank; unit < UNITS; unit += THREADS * CLUSTER)
                {
                    Unit u{{}, -INFINITY_, 0.0f};
#pragma unroll 1
                    for (int i = first_worker; i <= last_worker; i += 4)
                    {
                        float4_ part[4][3];
#pragma unroll
                        for (int j = 0; j < 12; j++)
                        {
                            int left = min_(i + j / 3, last_worker);
                            part[j / 3][j % 3] = load_device(partial + ((i64)(left * 2 + (left == first_worker)) * UNITS + unit) * 12 + j % 3 * 4);
                        }
#pragma unroll
                        for (int j = 0; j < 4; j++)
                            if (i + j <= last_worker)
                                u.add(part[j][0], part[j][1], part[j][2].x, part[j][2].y);
                    }
                    write_out(unit, u);
                }
            }
        }
        if constexpr (CLUSTER > 1)
            cluster_sync();
        else
            block_sync();
        at = item_end;
    }
}
