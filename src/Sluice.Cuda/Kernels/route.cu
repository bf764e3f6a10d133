// The choice of experts and the order in which the experts' kernel works.
//
// route: per row the TOP_K largest of EXPERTS logits (equal ones by lower index), largest first, with weights softmax(logits) over all experts,
// divided by their sum if NORMALISE. A warp a row: each lane holds every 32nd logit as an integer that orders as the float does; a round is a
// tree of maxima in registers and two warp reductions. If the rows are at most CHUNK, the block that finishes last also aligns (below), so that
// a decode step needs one launch. Bytes: rows x (4 EXPERTS + 8 TOP_K), nothing against its latency of a few microseconds.
//   grid ceil(rows / WARPS), block 32 WARPS, no dynamic shared memory
// align_count, align_scatter: the same alignment for more rows, CHUNK rows a block.
//   grid ceil(rows / CHUNK), block 32 WARPS, no dynamic shared memory
//
// Alignment is a counting sort of the assignments (row x TOP_K + k) by expert, ascending within one: a bit for each row and expert, from which
// a rank is a count of bits, so that the order does not depend on timing. It writes
//   sorted [rows x TOP_K]          assignments in that order
//   plan   [1 + tiles] of 4 ints   plan[0] = (tiles, 0, 0, 0), then for each tile (expert, first place in sorted, count, 0): at most tile_rows
//                                  assignments of one expert (tile_rows a multiple of 8), an expert's tiles being about equal
//   ready  [tiles]                 zeroed: how many blocks of the tile's inner activations are done, for the experts' kernel
// There are at most min(EXPERTS, assignments) + assignments / tile_rows tiles; let plan hold 1 + max(256, that), ready max(256, that).
//
// Macros: EXPERTS (2 to 1024), TOP_K (at most 32 and EXPERTS), NORMALISE, CHUNK (a multiple of 32), WARPS. The host gives `arrivals`, one int,
// zero before the first launch and left zero, and `counts` [chunks, EXPERTS].
#include "sluice.cuh"

#ifndef EXPERTS
#define EXPERTS 512
#endif
#ifndef TOP_K
#define TOP_K 10
#endif
#ifndef NORMALISE
#define NORMALISE 1
#endif
#ifndef CHUNK
#define CHUNK 256
#endif
#ifndef WARPS
#define WARPS 8
#endif

#define THREADS (32 * WARPS)
#define HELD ((EXPERTS + 31) / 32)
#define WORDS (CHUNK / 32)
// Assignments of one thread in alignment.
#define HELD_ASSIGNMENTS ((CHUNK * TOP_K + THREADS - 1) / THREADS)
// Experts of one thread in the scan, consecutive.
#define SCANNED ((EXPERTS + THREADS - 1) / THREADS)
static_assert(TOP_K <= 32 && TOP_K <= EXPERTS && EXPERTS <= 1024, "route: shape");

DEVICE u32 warp_max(u32 value)
{
    u32 result;
    asm volatile("redux.sync.max.u32 %0, %1, 0xffffffff;" : "=r"(result) : "r"(value));
    return result;
}
DEVICE u32 warp_min(u32 value)
{
    u32 result;
    asm volatile("redux.sync.min.u32 %0, %1, 0xffffffff;" : "=r"(result) : "r"(value));
    return result;
}
DEVICE int count_bits(u32 value)
{
    u32 result;
    asm("popc.b32 %0, %1;" : "=r"(result) : "r"(value));
    return (int)result;
}
DEVICE void add_shared(u32* word, u32 value) { asm volatile("red.shared.add.u32 [%0], %1;" ::"r"(shared_address(word)), "r"(value) : "memory"); }
// Past the first-level cache, which does not see other blocks' stores.
DEVICE int load_fresh(const int* address)
{
    int value;
    asm volatile("ld.global.cg.u32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
    return value;
}
DEVICE u32 add_returning(int* address, u32 value)
{
    u32 old;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(old) : "l"(address), "r"(value) : "memory");
    return old;
}

// Floats as integers of the same order; 0 is less than any, and -0 is the same as 0.
DEVICE u32 ordered(float value)
{
    u32 bits = as_bits(value + 0.0f);
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return bits == 0 ? 1 : bits;
}
DEVICE float unordered(u32 key) { return as_float(key >> 31 ? key & 0x7fffffffu : ~key); }

// The largest of the first Width keys comes to the front with its index. Neighbours meet, so that the left one is always of lower index; it
// stays if they are equal.
template <int Width>
DEVICE void find_largest(u32 (&keys)[HELD], u32 (&index)[HELD])
{
    if constexpr (Width > 1)
    {
#pragma unroll
        for (int j = 0; j < Width / 2; j++)
        {
            bool right = keys[2 * j + 1] > keys[2 * j];
            keys[j] = right ? keys[2 * j + 1] : keys[2 * j];
            index[j] = right ? index[2 * j + 1] : index[2 * j];
        }
        if constexpr (Width % 2 == 1)
        {
            keys[Width / 2] = keys[Width - 1];
            index[Width / 2] = index[Width - 1];
        }
        find_largest<(Width + 1) / 2>(keys, index);
    }
}

// Two sums over the threads before this one; the second's over all.
DEVICE void scan(u32& first, u32& second, u32& all_second, u32 (*warp_sums)[WARPS])
{
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 a = first, b = second;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2)
    {
        u32 other_a = as_bits(shuffle_up(as_float(a), distance)), other_b = as_bits(shuffle_up(as_float(b), distance));
        a += lane >= distance ? other_a : 0;
        b += lane >= distance ? other_b : 0;
    }
    if (lane == 31)
    {
        warp_sums[0][warp] = a;
        warp_sums[1][warp] = b;
    }
    block_sync();
    first = a - first;
    second = b - second;
    all_second = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++)
    {
        first += w < warp ? warp_sums[0][w] : 0;
        second += w < warp ? warp_sums[1][w] : 0;
        all_second += warp_sums[1][w];
    }
}

// What alignment keeps in shared memory. `chosen` begins as zeros.
struct Alignment
{
    vec16 chosen[(WORDS * EXPERTS + 3) / 4];
    u32 warp_sums[2][WARPS];    // before what is of odd length: read in wide loads, which else would touch both
    int places[EXPERTS];

    DEVICE u32& word(int row, int expert) { return ((u32*)chosen)[row / 32 * EXPERTS + expert]; }
    DEVICE void clear()
    {
        for (int i = threadIdx.x; i < (WORDS * EXPERTS + 3) / 4; i += THREADS)
            chosen[i] = vec16{};
    }
};

// The alignment of one chunk of rows by one block. `counts` may be null if there is only this chunk.
DEVICE void align(
    Alignment& shared, const int* ids, const int* counts, int* sorted, int* plan, int* ready, int rows, int tile_rows, int chunk, int chunks)
{
    int first_row = chunk * CHUNK;
    int assignments = min_(rows - first_row, CHUNK) * TOP_K;
    ids += first_row * TOP_K;
    int experts[HELD_ASSIGNMENTS];
#pragma unroll
    for (int j = 0; j < HELD_ASSIGNMENTS; j++)
        experts[j] = (int)threadIdx.x + j * THREADS < assignments ? load_fresh(ids + threadIdx.x + j * THREADS) : 0;
    block_sync();
#pragma unroll
    for (int j = 0; j < HELD_ASSIGNMENTS; j++)
    {
        int i = threadIdx.x + j * THREADS;
        if (i < assignments)
            or_shared(&shared.word(i / TOP_K, experts[j]), 1u << (i / TOP_K % 32));
    }
    block_sync();

    int first_expert = threadIdx.x * SCANNED;
    int total[SCANNED], before[SCANNED];
    u32 place = 0, tile = 0, tiles;
#pragma unroll
    for (int p = 0; p < SCANNED; p++)
    {
        int expert = first_expert + p;
        total[p] = before[p] = 0;
        if (expert < EXPERTS)
        {
            if (chunks == 1)
            {
#pragma unroll
                for (int w = 0; w < WORDS; w++)
                    total[p] += count_bits(shared.word(32 * w, expert));
            }
            else
            {
#pragma unroll 8
                for (int c = 0; c < chunks; c++)
                {
                    int count = counts[c * EXPERTS + expert];
                    total[p] += count;
                    before[p] += c < chunk ? count : 0;
                }
            }
        }
        place += total[p];
        tile += ceil_div(total[p], tile_rows);
    }
    scan(place, tile, tiles, shared.warp_sums);

#pragma unroll
    for (int p = 0; p < SCANNED; p++)
    {
        u32 expert = first_expert + p;
        if (expert < EXPERTS)
            shared.places[expert] = (int)place + before[p];
        int pieces = ceil_div(total[p], tile_rows);
        int piece = pieces == 0 ? 0 : ceil_div(ceil_div(total[p], pieces), 8) * 8;
        for (int i = 0; chunk == 0 && i < pieces; i++, tile++)
        {
            u32 count = min_(piece, total[p] - i * piece);
            store16(plan + 4 * (1 + tile), vec16{{expert, place + i * piece, count, 0}});
            ready[tile] = 0;
        }
        place += total[p];
    }
    if (chunk == 0 && threadIdx.x == 0)
        store16(plan, vec16{{tiles, 0, 0, 0}});
    block_sync();

#pragma unroll
    for (int j = 0; j < HELD_ASSIGNMENTS; j++)
    {
        int i = threadIdx.x + j * THREADS, row = i / TOP_K;
        if (i < assignments)
        {
            int rank = count_bits(shared.word(row, experts[j]) & ((1u << (row % 32)) - 1));
#pragma unroll
            for (int w = 0; w < WORDS - 1; w++)
                rank += w < row / 32 ? count_bits(shared.word(32 * w, experts[j])) : 0;
            sorted[shared.places[experts[j]] + rank] = first_row * TOP_K + i;
        }
    }
}

KERNEL __launch_bounds__(THREADS) route(
    const float* logits, int logits_stride, int* ids, float* weights, int* sorted, int* plan, int* ready, int* arrivals, int rows, int tile_rows)
{
    __shared__ int is_last;
    __shared__ Alignment shared;
    shared.clear();
    dependency_wait();
    dependents_launch();
    int lane = threadIdx.x % 32;
    int row = blockIdx.x * WARPS + threadIdx.x / 32;
    if (row < rows)
    {
        const float* source = logits + (i64)row * logits_stride;
        u32 keys[HELD];
#pragma unroll
        for (int j = 0; j < HELD; j++)
            keys[j] = lane + 32 * j < EXPERTS ? ordered(source[lane + 32 * j]) : 0;

        float largest = 0, all = 0, mine = 0;
        int my_expert = 0;
#pragma unroll 1
        for (int k = 0; k < TOP_K; k++)
        {
            u32 tree[HELD], index[HELD];
#pragma unroll
            for (int j = 0; j < HELD; j++)
            {
                tree[j] = keys[j];
                index[j] = j;
            }
            find_largest<HELD>(tree, index);
            u32 best = warp_max(tree[0]);
            u32 expert = warp_min(tree[0] == best ? lane + 32 * index[0] : 0xffffffffu);
            float value = unordered(best);
            if (k == 0)
            {
                largest = value;
#pragma unroll
                for (int j = 0; j < HELD; j++)
                    all += keys[j] != 0 ? exp_(unordered(keys[j]) - largest) : 0;
            }
#pragma unroll
            for (int j = 0; j < HELD; j++)
                keys[j] = expert - lane == 32 * j ? 0 : keys[j];
            if (lane == k)
            {
                my_expert = (int)expert;
                mine = exp_(value - largest);
            }
        }
        float scale = reciprocal(NORMALISE ? warp_sum(mine) : warp_sum(all));
        if (lane < TOP_K)
        {
            ids[row * TOP_K + lane] = my_expert;
            weights[row * TOP_K + lane] = mine * scale;
        }
    }
    if (rows > CHUNK)
        return;

    block_sync();
    if (gridDim.x > 1)
    {
        if (threadIdx.x == 0)
        {
            fence_device();
            is_last = add_returning(arrivals, 1) == gridDim.x - 1;
        }
        block_sync();
        if (!is_last)
            return;
        if (threadIdx.x == 0)
            *arrivals = 0;
    }
    align(shared, ids, nullptr, sorted, plan, ready, rows, tile_rows, 0, 1);
}

KERNEL __launch_bounds__(THREADS) align_count(const int* ids, int* counts, int rows)
{
    __shared__ u32 count[EXPERTS];
    dependency_wait();
    dependents_launch();
    int assignments = min_(rows - blockIdx.x * CHUNK, CHUNK) * TOP_K;
    ids += blockIdx.x * CHUNK * TOP_K;
    for (int expert = threadIdx.x; expert < EXPERTS; expert += THREADS)
        count[expert] = 0;
    block_sync();
    for (int i = threadIdx.x; i < assignments; i += THREADS)
        add_shared(&count[ids[i]], 1);
    block_sync();
    for (int expert = threadIdx.x; expert < EXPERTS; expert += THREADS)
        counts[blockIdx.x * EXPERTS + expert] = (int)count[expert];
}

KERNEL __launch_bounds__(THREADS) align_scatter(
    const int* ids, const int* counts, int* sorted, int* plan, int* ready, int rows, int tile_rows)
{
    __shared__ Alignment shared;
    shared.clear();
    dependency_wait();
    dependents_launch();
    align(shared, ids, counts, sorted, plan, ready, rows, tile_rows, blockIdx.x, gridDim.x);
}
