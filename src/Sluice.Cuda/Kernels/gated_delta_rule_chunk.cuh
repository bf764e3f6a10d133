// What the two kernels of the delta rule in chunks agree on: the host's lists, and where a chunk's parts lie in the workspace.
#pragma once
#include "gated_delta_rule.cuh"

static constexpr int DIM = 128, TOKENS = 64, RATIO = VALUE_HEADS / KEY_HEADS;
static constexpr int ROW = DIM * 2, TILE = TOKENS * ROW;        // a row of q or k: sixteen 16-byte groups, group g of row r at g ^ r % 8
// Of a value head's chunk: factors of tokens, then T and P, each as ten 16x16 blocks on and under the diagonal in the order in which a warp
// takes them as the right side of a product (16 bytes a lane).
static constexpr int FACTORS = 4 * TOKENS * 4, BLOCK = 512, TRIANGLE = 10 * BLOCK, HEAD = FACTORS + 2 * TRIANGLE;
static constexpr i64 CHUNK_BYTES = KEY_HEADS * 2 * TILE + VALUE_HEADS * HEAD;

struct alignas(16) Chunk
{
    int span, first, tokens, slot;
};
struct alignas(8) ChunkRange
{
    int first, count;
};

// Where lane's row of four 8x8 tiles lies in a q or k tile: 16 rows from `row` and 16 dims from `dim`. `down`: the second tile is below the first,
// not beside it.
DEVICE int tile_offset(int row, int dim, int lane, bool down)
{
    int part = lane / 8, below = down ? part % 2 : part / 2, beside = down ? part / 2 : part % 2;
    return (row + below * 8 + lane % 8) * ROW + (((dim / 8 + beside) ^ (lane % 8)) * 16);
}
