// The mixture of experts: for every assignment a of a row to an expert e, results[a] = down_e(silu(gate_e x) * up_e x), which experts_reduce
// weighs and sums.
//
// One persistent kernel does both products, so that device memory is never idle between them: blocks go through a list of items, all of gate-up,
// then all of down; an item is BLOCK_ROWS rows of one expert's weights times one tile of its assignments (route.cu's plan). A tile's down
// items wait on ready[tile] until its gate-up items are done, while their weights are already on the way.
// Weights take the M side of wgmma (64 rows a warpgroup and instruction), assignments the N side (8 to TILE, as many as there are), so that few
// assignments waste nothing and weights come once. Warps:
//   CONSUMERS groups of 4   wgmma, GROUPS x 64 weight rows each, float32 accumulators
//   warp 0 of the last group  one thread copies weights, tiles of 8 KiB by the copy engine
//   warps 1 and 2 of it       gather activations by cp.async
// over a ring of STAGES x (BLOCK_ROWS + TILE) x 128 bytes: 64 columns of weights and activations a stage.
//
// Bytes: distinct experts x 6 HIDDEN INNER + assignments x (4 HIDDEN + 4 INNER); flops: assignments x 6 HIDDEN INNER.
//   grid: multiprocessors, never more blocks than run at once, for they wait for one another; it depends on nothing else
//   block 128 (CONSUMERS + 1), dynamic shared memory 1024 + STAGES (128 (64 GROUPS CONSUMERS + TILE) + 16)
//
// Weights as packed by the host: [expert][rows / 64][columns / 64] tiles of 64 x 64, rows and columns padded with zeros to multiples of 64.
// Element (expert, row R, column C) is at
//   ((expert * RowTiles + R / 64) * ColumnTiles + C / 64) * 4096 + R % 64 * 64 + ((C / 8 % 8) ^ (R % 8)) * 8 + C % 8
// where row R of gate-up (2 INNER rows, HIDDEN columns) is row R / 16 * 8 + R % 8 of gate if R % 16 < 8, else of up; and row R of down (HIDDEN
// rows, INNER columns) is row R / 16 * 16 + R % 8 / 2 * 4 + R / 8 % 2 * 2 + R % 2 of down. So gate and up of one index, and four neighbours of a
// result, meet in one thread.
//
// Rows R of down that have no original, where HIDDEN is no multiple of 16, are zero.
//
// Macros: HIDDEN, INNER (multiples of 8), TOP_K, CONSUMERS, GROUPS, TILE (route's tile_rows; 8, 16, 32, 48, ... 192, 224 or 256), STAGES.
// By assignments an expert, rows x TOP_K / experts (past 60 what binds is what comes from the second-level cache, so tiles are large):
//   below 0.08 or weights of under 256 rows   CONSUMERS 1, GROUPS 1, TILE 32, STAGES 16
//   to 56       CONSUMERS 2, GROUPS 2, TILE 96, STAGES 5
//   to 100      CONSUMERS 2, GROUPS 2, TILE 128, STAGES 4
//   more        CONSUMERS 2, GROUPS 2, TILE 192, STAGES 4
// Arrays: plan, sorted, ready from route.cu; inner [rows x TOP_K, INNER] and results [rows x TOP_K, HIDDEN] scratch.
#include "sluice.cuh"

#ifndef HIDDEN
#define HIDDEN 2048
#endif
#ifndef INNER
#define INNER 512
#endif
#ifndef TOP_K
#define TOP_K 10
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef GROUPS
#define GROUPS 1
#endif
#ifndef TILE
#define TILE 32
#endif
#ifndef STAGES
#define STAGES 16
#endif

#define WEIGHT_TILES (GROUPS * CONSUMERS)
#define WEIGHT_BYTES (WEIGHT_TILES * 8192)
#define STAGE_BYTES (WEIGHT_BYTES + TILE * 128)
// Wide accumulators need the registers that copying threads do not.
#define COPY_REGISTERS 56
#define CONSUMER_REGISTERS (CONSUMERS == 1 ? 240 : (512 - COPY_REGISTERS) / CONSUMERS / 8 * 8)
#define RESHARE (GROUPS * TILE / 2 + 48 > 512 / (CONSUMERS + 1))
// Eight threads copy a row of 128 bytes; with eight rows at a time each thread's place in the swizzle stays the same.
#define GATHERERS 64

// One of the two products: its weights in tiles of 64, and the items it is cut into for one tile of assignments.
template <int Rows, int Columns>
struct Product
{
    static constexpr int row_tiles = (Rows + 63) / 64, steps = (Columns + 63) / 64;
    static constexpr int blocks = (row_tiles + WEIGHT_TILES - 1) / WEIGHT_TILES;
};
typedef Product<2 * INNER, HIDDEN> GateUp;
typedef Product<HIDDEN, INNER> Down;

struct Item
{
    int tile, block, expert, first, count;
    bool is_down;
};

// The n-th item of this block: gate-up items in turns, then down items. In the first turns of these the blocks that had a gate-up item more
// than others stand back, as many as it is worth. Beyond the last item: ups + downs or more.
DEVICE int item_index(int n, int ups, int downs)
{
    int block = blockIdx.x, blocks = gridDim.x;
    int turns = block < ups ? (ups - 1 - block) / blocks + 1 : 0;
    if (n < turns)
        return block + n * blocks;
    n -= turns;
    int late = ups % blocks, worth = late > 0 ? GateUp::steps / Down::steps : 0;
    if (block >= late && n < worth)
        return ups + n * (blocks - late) + block - late;
    n -= block >= late ? worth : 0;
    return ups + worth * (blocks - late) + n * blocks + (block >= late ? block - late : block + blocks - late);
}

DEVICE Item item_at(const int* plan, int tiles, int index)
{
    Item item;
    item.is_down = index >= tiles * GateUp::blocks;
    index -= item.is_down ? tiles * GateUp::blocks : 0;
    int blocks = item.is_down ? Down::blocks : GateUp::blocks;
    item.tile = index / blocks;
    item.block = index % blocks;
    vec16 entry = load16(plan + 4 * (1 + item.tile));
    item.expert = (int)entry.word[0];
    item.first = (int)entry.word[1];
    item.count = (int)entry.word[2];
    return item;
}

// Where a warp is in the ring of stages: all go through it in the same order.
struct Ring
{
    u32 stages, full, empty;
    int stage;
    u32 parity;

    DEVICE u32 weights() const { return stages + stage * STAGE_BYTES; }
    DEVICE u32 activations() const { return weights() + WEIGHT_BYTES; }
    DEVICE u32 full_barrier() const { return full + stage * 8; }
    DEVICE u32 empty_barrier() const { return empty + stage * 8; }
    DEVICE void next()
    {
        if (++stage == STAGES)
        {
            stage = 0;
            parity ^= 1;
        }
    }
};

template <class P>
DEVICE void copy_weights(Ring& ring, const bf16* weights, const Item& item)
{
    u64 policy = evict_first();
    int first = item.block * WEIGHT_TILES;
    int present = min_(WEIGHT_TILES, P::row_tiles - first);
    const bf16* source = weights + (i64)(item.expert * P::row_tiles + first) * P::steps * 4096;
    for (int step = 0; step < P::steps; step++, ring.next())
    {
        barrier_wait(ring.empty_barrier(), ring.parity ^ 1);
        barrier_expect(ring.full_barrier(), present * 8192);
        for (int tile = 0; tile < present; tile++)
            copy_bulk(ring.weights() + tile * 8192, source + (i64)(tile * P::steps + step) * 4096, 8192, ring.full_barrier(), policy);
    }
}

// `rows` is where this thread's rows begin, at its eight columns of the first step. Rows beyond `count` are left as they are: they only
// spoil columns of the product that nobody reads. Columns beyond the matrix are zero, as its weights are there: garbage might be NaN.
template <int Columns>
DEVICE void gather(Ring& ring, const bf16* source, const int (&rows)[TILE / 8], int count, int thread)
{
    int row = thread / 8, group = thread % 8;
    for (int step = 0; step < (Columns + 63) / 64; step++, ring.next())
    {
        barrier_wait(ring.empty_barrier(), ring.parity ^ 1);
        u32 target = ring.activations() + row * 128 + (group ^ row) * 16;
        int bytes = Columns % 64 == 0 || step * 64 + group * 8 < Columns ? 16 : 0;
#pragma unroll
        for (int i = 0; i < TILE / 8; i++)
        {
            if (row + 8 * i < count)
                copy16_async(target + i * 1024, source + rows[i] + step * 64, bytes);
        }
        barrier_arrive_copies(ring.full_barrier());
    }
}

template <int N>
DEVICE void multiply_item(Ring& ring, float (&sums)[GROUPS][N / 2], int steps, int group, int lane)
{
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
    {
#pragma unroll
        for (int i = 0; i < N / 2; i++)
            sums[g][i] = 0;
        group_hold(sums[g]);
    }
    u32 previous = 0;
    for (int step = 0; step < steps; step++, ring.next())
    {
        barrier_wait(ring.full_barrier(), ring.parity);
        fence_async_proxy();
        u64 weights = group_operand(ring.weights() + group * GROUPS * 8192), activations = group_operand(ring.activations());
        group_fence();
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
            for (int g = 0; g < GROUPS; g++)
                multiply_group<N>(sums[g], weights + g * (8192 >> 4) + 2 * k, activations + 2 * k);
        group_commit();
        group_wait<1>();
        if (step > 0 && lane == 0)
            barrier_arrive(previous);
        previous = ring.empty_barrier();
    }
    group_wait<0>();
    if (lane == 0)
        barrier_arrive(previous);
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
        group_hold(sums[g]);
}

template <int N>
DEVICE void run_item(Ring& ring, const Item& item, const int* sorted, bf16* inner, bf16* results, int* ready, int group)
{
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    float sums[GROUPS][N / 2];
    // After the transposes a lane has assignment n of every eight and, of the warp's 16 weight rows, those of its quarter.
    int n = lane / 4, quarter = lane % 4;
    int places[N / 8];
#pragma unroll
    for (int j = 0; j < N / 8; j++)
    {
        places[j] = item.first + min_(8 * j + n, item.count - 1);
        if (item.is_down)
            places[j] = sorted[places[j]];
    }
    multiply_item<N>(ring, sums, item.is_down ? Down::steps : GateUp::steps, group, lane);

#pragma unroll
    for (int g = 0; g < GROUPS; g++)
    {
        int row = (item.block * WEIGHT_TILES + group * GROUPS + g) * 64 + warp * 16;
        if (item.is_down)
        {
            int column = row + 4 * quarter;
#pragma unroll
            for (int j = 0; j < N / 8; j++)
            {
                const float* s = sums[g] + 4 * j;
                vec8 values = {{transpose(pack(s[0], s[1])), transpose(pack(s[2], s[3]))}};
                if (8 * j + n < item.count && column < HIDDEN)
                    *(vec8*)(results + (i64)places[j] * HIDDEN + column) = values;
            }
        }
        else
        {
            int column = row / 2 + 2 * quarter;
#pragma unroll
            for (int j = 0; j < N / 8; j++)
            {
                const float* s = sums[g] + 4 * j;
                u32 values = transpose(pack(silu(s[0]) * s[2], silu(s[1]) * s[3]));
                if (8 * j + n < item.count && column < INNER)
                    *(u32*)(inner + (i64)places[j] * INNER + column) = values;
            }
        }
    }
    if (!item.is_down)
    {
        named_sync(1 + group, 128);
        if (threadIdx.x % 128 == 0)
        {
            fence_device();
            add_relaxed(ready + item.tile, 1);
        }
    }
}

// The narrowest product that holds the item's assignments.
template <int N, int... Wider>
DEVICE void run_narrowest(Ring& ring, const Item& item, const int* sorted, bf16* inner, bf16* results, int* ready, int group)
{
    if constexpr (N >= TILE || sizeof...(Wider) == 0)
        run_item<N>(ring, item, sorted, inner, results, ready, group);
    else if (item.count <= N)
        run_item<N>(ring, item, sorted, inner, results, ready, group);
    else
        run_narrowest<Wider...>(ring, item, sorted, inner, results, ready, group);
}

// `phases`: 3, or 1 for gate-up and 2 for down alone, to time them.
KERNEL __launch_bounds__(128 * (CONSUMERS + 1), 1) experts(
    const bf16* x, int x_stride, const int* plan, const int* sorted, const bf16* gate_up, const bf16* down, bf16* inner, bf16* results, int* ready,
    int phases)
{
    extern __shared__ u8 memory[];
    u32 base = (shared_address(memory) + 1023) & ~1023u;
    Ring ring = {base, base + STAGES * STAGE_BYTES, base + STAGES * STAGE_BYTES + STAGES * 8, 0, 0};
    if (threadIdx.x == 0)
    {
        for (int stage = 0; stage < STAGES; stage++)
        {
            barrier_init(ring.full + stage * 8, 1 + GATHERERS);
            barrier_init(ring.empty + stage * 8, 4 * CONSUMERS);
        }
        barrier_init_fence();
    }
    block_sync();
    dependency_wait();
    dependents_launch();

    int tiles = plan[0];
    int ups = tiles * GateUp::blocks, downs = tiles * Down::blocks;
    int end = phases == 1 ? ups : ups + downs;
    int n = phases == 2 && (int)blockIdx.x < ups ? (ups - 1 - blockIdx.x) / gridDim.x + 1 : 0;
    int group = threadIdx.x / 128, thread = threadIdx.x % 128;
    if (group < CONSUMERS)
    {
        if constexpr (RESHARE)
            registers_raise<CONSUMER_REGISTERS>();
        for (int index; (index = item_index(n, ups, downs)) < end; n++)
        {
            Item item = item_at(plan, tiles, index);
            run_narrowest<8, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256>(ring, item, sorted, inner, results, ready, group);
        }
        return;
    }

    if constexpr (RESHARE)
        registers_lower<COPY_REGISTERS>();
    thread -= 32;
    if (thread >= GATHERERS)
        return;
    if (thread < 0)
    {
        for (int index; thread == -32 && (index = item_index(n, ups, downs)) < end; n++)
        {
            Item item = item_at(plan, tiles, index);
            if (item.is_down)
                copy_weights<Down>(ring, down, item);
            else
                copy_weights<GateUp>(ring, gate_up, item);
        }
        return;
    }
    for (int index; (index = item_index(n, ups, downs)) < end; n++)
    {
        Item item = item_at(plan, tiles, index);
        int rows[TILE / 8];
#pragma unroll
        for (int i = 0; i < TILE / 8; i++)
        {
            int place = item.first + min_(thread / 8 + 8 * i, item.count - 1);
            rows[i] = thread % 8 * 8 + (item.is_down ? place * INNER : sorted[place] / TOP_K * x_stride);
        }
        if (item.is_down)
        {
            while (load_acquire(ready + item.tile) < GateUp::blocks * CONSUMERS)
                ;
            gather<INNER>(ring, inner, rows, item.count, thread);
        }
        else
            gather<HIDDEN>(ring, x, rows, item.count, thread);
    }
}
