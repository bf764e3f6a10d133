// route: choice and alignment (route.cuh) of at most CHUNK rows, so that a decode step needs one launch: CHOOSERS warps a block choose, a row each, and the
// last block aligns what they chose, for which it waits at a word each: a choice is its own signal, with no barrier and no fence.
// Bytes: rows x (4 EXPERTS + 8 TOP_K), nothing against its latency of a few microseconds.
//   grid ceil(rows / CHOOSERS) + 1, or 1 for one row; block 32 WARPS, dynamic shared memory the larger of 8 CHOOSERS ROOM and 4 rows TOP_K
// choose_rows: the choice alone, of any number of rows.
//   grid ceil(rows / WARPS), block 32 WARPS, dynamic shared memory 8 WARPS ROOM
// align_count, align_scatter: the alignment after it, CHUNK rows a block.
//   grid ceil(rows / CHUNK), block 32 WARPS, no dynamic shared memory
//
// The host gives `box`, CHUNK TOP_K ints, zero before the first launch and left zero, and `counts` [chunks, EXPERTS].
#ifndef CHUNK
#define CHUNK 256
#endif
#ifndef WARPS
#define WARPS 16
#endif
#include "route.cuh"

// Past the first-level cache, which does not see other blocks' stores.
DEVICE int load_fresh(const int* address)
{
    int value;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
    return value;
}
DEVICE void store_fresh(int* address, int value) { asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(address), "r"(value) : "memory"); }

// load_assignments from a box where other blocks put them, each an expert + 1, when they know; it is left zero, as it was before.
DEVICE void take_assignments(int (&experts)[HELD_ASSIGNMENTS], int* box, int assignments)
{
    int missing;
    do
    {
        missing = 0;
#pragma unroll
        for (int j = 0; j < HELD_ASSIGNMENTS; j++)
            experts[j] = (int)threadIdx.x + j * THREADS < assignments ? load_fresh(box + threadIdx.x + j * THREADS) : 1;
#pragma unroll
        for (int j = 0; j < HELD_ASSIGNMENTS; j++)
            missing += experts[j] == 0;
    } while (missing > 0);
#pragma unroll
    for (int j = 0; j < HELD_ASSIGNMENTS; j++)
    {
        if ((int)threadIdx.x + j * THREADS < assignments)
            box[threadIdx.x + j * THREADS] = 0;
        experts[j]--;
    }
}

// Warps of a block that choose: few, as each has much to compute.
#define CHOOSERS 4

KERNEL __launch_bounds__(THREADS) route(
    const float* logits, int logits_stride, int* ids, float* weights, int* sorted, int* plan, int* ready, int* box, int rows, int tile_rows)
{
    extern __shared__ u64 room[];
    __shared__ Alignment shared;
    bool aligns = rows > 1 && blockIdx.x == gridDim.x - 1;
    if (aligns)
        shared.clear();
    dependency_wait();
    dependents_launch();
    if (!aligns)
    {
        int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = blockIdx.x * CHOOSERS + warp;
        if (warp >= CHOOSERS || row >= rows)
            return;
        int expert = route_row(logits, logits_stride, room, row, ids, weights);
        if (rows == 1)
            align_one(expert, sorted, plan, ready);
        else if (lane < TOP_K)
            store_fresh(box + row * TOP_K + lane, expert + 1);
        return;
    }

    int experts[HELD_ASSIGNMENTS], assignments = rows * TOP_K;
    take_assignments(experts, box, assignments);
    int* in_order = (int*)room;                             // where they are cheaper to scatter
    align(shared, experts, nullptr, in_order, plan, ready, rows, tile_rows, 0, 1);
    block_sync();
    for (int i = threadIdx.x; i < assignments; i += THREADS)
        sorted[i] = in_order[i];
}

KERNEL __launch_bounds__(THREADS) choose_rows(const float* logits, int logits_stride, int* ids, float* weights, int rows)
{
    extern __shared__ u64 room[];
    dependency_wait();
    dependents_launch();
    int row = blockIdx.x * WARPS + threadIdx.x / 32;
    if (row < rows)
        route_row(logits, logits_stride, room, row, ids, weights);
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
    int experts[HELD_ASSIGNMENTS];
    load_assignments(experts, ids + blockIdx.x * CHUNK * TOP_K, min_(rows - blockIdx.x * CHUNK, CHUNK) * TOP_K);
    align(shared, experts, counts, sorted, plan, ready, rows, tile_rows, blockIdx.x, gridDim.x);
}
