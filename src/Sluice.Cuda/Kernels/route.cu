// route: choice (route.cuh) for every row, a warp each. If the rows are at most CHUNK, the block that finishes last also aligns, so that a decode step
// needs one launch. Bytes: rows x (4 EXPERTS + 8 TOP_K), nothing against its latency of a few microseconds.
//   grid ceil(rows / WARPS), block 32 WARPS, dynamic shared memory 8 WARPS ROOM
// align_count, align_scatter: the same alignment for more rows, CHUNK rows a block.
//   grid ceil(rows / CHUNK), block 32 WARPS, no dynamic shared memory
//
// The host gives `arrivals`, one int, zero before the first launch and left zero, and `counts` [chunks, EXPERTS].
#ifndef CHUNK
#define CHUNK 256
#endif
#ifndef WARPS
#define WARPS 8
#endif
#include "route.cuh"

KERNEL __launch_bounds__(THREADS) route(
    const float* logits, int logits_stride, int* ids, float* weights, int* sorted, int* plan, int* ready, int* arrivals, int rows, int tile_rows)
{
    extern __shared__ u64 room[];
    __shared__ int is_last;
    __shared__ int own[WARPS * TOP_K];
    __shared__ Alignment shared;
    if (rows > 1)
        shared.clear();
    dependency_wait();
    dependents_launch();
    int row = blockIdx.x * WARPS + threadIdx.x / 32;
    if (row < rows)
        route_row(logits + (i64)row * logits_stride, room, row, rows, ids, weights, own, sorted, plan, ready);
    if (rows > CHUNK || rows == 1)
        return;

    block_sync();
    if (gridDim.x == 1)
    {
        align(shared, [&](int i) { return own[i]; }, nullptr, sorted, plan, ready, rows, tile_rows, 0, 1);
        return;
    }
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
    align(shared, [&](int i) { return load_fresh(ids + i); }, nullptr, sorted, plan, ready, rows, tile_rows, 0, 1);
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
    ids += blockIdx.x * CHUNK * TOP_K;
    align(shared, [&](int i) { return load_fresh(ids + i); }, counts, sorted, plan, ready, rows, tile_rows, blockIdx.x, gridDim.x);
}
