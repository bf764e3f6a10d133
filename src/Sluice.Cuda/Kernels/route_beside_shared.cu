// The choice of experts and their alignment (route.cuh) for up to 16 rows and, beside it, the shared expert's result,
//   result = (silu(gate) * up) W^T, W [outputs, COLUMNS] in bfloat16, gate and up side by side in float32:
// neither needs the other, and one launch of latency is better than three. Memory has little to do meanwhile, so what the next layer reads first
// (`ahead`) is fetched into the second-level cache.
// Bytes: outputs x COLUMNS x 2 + ahead.
//   grid 1 + ceil(outputs / 16): block 0 chooses and aligns, since to hear from other blocks would take long while `ahead` is fetched;
//   block 32 WARPS, dynamic shared memory 8 WARPS ROOM
// Macros: route.cuh's; COLUMNS (a multiple of 8), TILES (1 or 2: rows / 8 rounded up).
#define CHUNK 32
#define WARPS 16
#include "route.cuh"
#include "few_rows.cuh"

#ifndef COLUMNS
#define COLUMNS 512
#endif
#ifndef TILES
#define TILES 1
#endif

// `ahead_pieces` (fetch_ahead) of each product's block.
KERNEL __launch_bounds__(THREADS) route_beside_shared(
    const float* logits, int logits_stride, int* ids, float* weights, int* sorted, int* plan, int* ready, int rows, int tile_rows,
    const float* gate_up, int gate_up_stride, const bf16* weight, bf16* result, int result_stride, int outputs, const u8* ahead, int ahead_pieces)
{
    extern __shared__ u64 room[];
    __shared__ int chosen[WARPS * TOP_K];
    __shared__ Alignment shared;
    __shared__ float sums[WARPS][TILES][16][8];
    if (blockIdx.x > 0)
    {
        few_rows<COLUMNS, TILES, WARPS>(
            sums, weight, (int)blockIdx.x - 1, outputs, rows,
            [&](int row, int column)
            {
                const float* from = gate_up + (i64)row * gate_up_stride + column;
                float gate[8], up[8];
                load_eight(gate, from);
                load_eight(up, from + COLUMNS);
#pragma unroll
                for (int i = 0; i < 8; i++)
                    gate[i] = silu(gate[i]) * up[i];
                return pack8(gate);
            },
            [&](int row, int output, float sum) { result[(i64)row * result_stride + output] = to_bf16(sum); },
            ahead, ahead_pieces);
        return;
    }

    if (rows > 1)
        shared.clear();
    dependency_wait();
    dependents_launch();
    int lane = threadIdx.x % 32, row = threadIdx.x / 32;
    if (row < rows)
    {
        int expert = route_row(logits, logits_stride, room, row, ids, weights);
        if (rows == 1)
            align_one(expert, sorted, plan, ready);
        else if (lane < TOP_K)
            chosen[row * TOP_K + lane] = expert;
    }
    if (rows == 1)
        return;
    block_sync();
    int experts[HELD_ASSIGNMENTS];
    load_assignments(experts, chosen, rows * TOP_K);
    align(shared, experts, nullptr, sorted, plan, ready, rows, tile_rows, 0, 1);
}
