// The gated delta rule for spans of many tokens, first half: what needs no state, of all chunks at once. gated_delta_rule_scan.cu is the second half.
//
// The WY form of 64 tokens at a time (see GatedDeltaRule.Chunked). With G the running sum of g within a chunk, k and q normalised, q scaled,
// T = (I + A)^-1, A[i, j] = beta_i (k_i . k_j) exp(G_i - G_j) for i > j, P[i, j] = (q_i . k_j) exp(G_i - G_j) for i >= j:
//   Y = beta (v - exp(G) (k S));  V = T Y;  o = exp(G) (q S) + P V;  S = exp(G_last) S + k^T (exp(G_last - G) V)
// Here q, k, T, P and the factors of tokens are made; applying T to beta v - ... instead of to beta v and beta k exp(G) keeps the workspace
// small and rounds a difference rather than its terms. Products' operands are float16: all here is at most 1, and its rounding (2^-12) keeps
// the state within 1e-3 where bfloat16's (2^-9) would not. Sums and decays are float32.
//
// Flops: 2 * 2 * 64 * 128 / 2 a token and key head, little more a value head. Bytes: q, k of mixed read, the workspace written.
// Grid: (KEY_HEADS, chunks), block: 128, dynamic shared memory: chunks_shared_bytes below (33792 at two value heads a key head).
// A block has a key head's chunk and all its value heads. Warp w has the tokens 16 w and on.
// Workspace: chunks * CHUNK_BYTES, CHUNK_BYTES = KEY_HEADS * 32768 + VALUE_HEADS * 11264, from a multiple of 16 bytes.
// Macros: KEY_HEADS, VALUE_HEADS (1 to 8 times as many). Heads are 128 x 128.
// The host prepares: chunks, each (span, first token within the span, tokens 1 to 64, slot that the state after it also goes to or -1), spans one
// behind another, cut where exports are.
#include "gated_delta_rule_chunk.cuh"

static_assert(VALUE_HEADS % KEY_HEADS == 0 && RATIO <= 8);

DEVICE constexpr int block_of(int i, int j) { return (i * (i + 1) / 2 + j) * BLOCK; }

// A value head's scratch: blocks of A under the diagonal as right sides, the diagonal blocks of A in float32, those of T in float16.
static constexpr int SOLVE_ROW = 20, SOLVE_BLOCK = 16 * SOLVE_ROW + 4, INVERSE_ROW = 48, INVERSE_BLOCK = 16 * INVERSE_ROW;
static constexpr int UNDER = 6 * BLOCK, SOLVE = 4 * SOLVE_BLOCK * 4, SCRATCH = UNDER + SOLVE + 4 * INVERSE_BLOCK;
static constexpr int FRONT = 2 * TILE > RATIO * SCRATCH ? 2 * TILE : RATIO * SCRATCH;
static constexpr int chunks_shared_bytes = FRONT + RATIO * 2 * TOKENS * 4;
static_assert(chunks_shared_bytes <= 232448);

// Rows of this warp, normalised, to shared and global memory.
DEVICE void normalise(const bf16* source, int stride, int tokens, float scale, int warp, int lane, u8* tile, u8* target)
{
    vec16 raw[8];
#pragma unroll
    for (int i = 0; i < 8; i++)
    {
        int row = warp * 16 + i * 2 + lane / 16;
        raw[i] = vec16{};
        if (row < tokens)
            raw[i] = load16(source + (i64)row * stride + lane % 16 * 8);
    }
#pragma unroll
    for (int i = 0; i < 8; i++)
    {
        int row = warp * 16 + i * 2 + lane / 16;
        float x[8], sum = 0;
        unpack(raw[i], x);
#pragma unroll
        for (int j = 0; j < 8; j++)
            sum += x[j] * x[j];
#pragma unroll
        for (int mask = 8; mask > 0; mask >>= 1)
            sum += shuffle_xor(sum, mask);
        float factor = rsqrt_(sum + 1e-6f) * scale;
        vec16 y;
#pragma unroll
        for (int j = 0; j < 4; j++)
            y.word[j] = pack_half(x[2 * j] * factor, x[2 * j + 1] * factor);
        int offset = row * ROW + ((lane % 16) ^ (row % 8)) * 16;
        store16(tile + offset, y);
        store16(target + offset, y);
    }
}

// Column j of blocks of T by a warp, transposed so that products chain: T[i, j]^T = -(sum over m from j to i - 1 of T[m, j]^T A[i, m]^T) T[i, i]^T.
template <int J>
DEVICE void invert_column(const u8* under, u32 inverse, u8* target, int lane)
{
    int part = lane / 8, plain = (part / 2 * 8 + lane % 8) * INVERSE_ROW + part % 2 * 16;
    u32 column[4][4];
    load_tiles_transposed(column[J], inverse + J * INVERSE_BLOCK + plain);
    vec16 diagonal;
    load_tiles(diagonal.word, inverse + J * INVERSE_BLOCK + plain);
    store16(target + block_of(J, J) + lane * 16, diagonal);
#pragma unroll
    for (int i = J + 1; i < 4; i++)
    {
        float sum[2][4] = {}, result[2][4] = {};
#pragma unroll
        for (int m = J; m < i; m++)
        {
            vec16 a = load16(under + (i * (i - 1) / 2 + m) * BLOCK + lane * 16);
            multiply_half(sum[0], column[m], a.word[0], a.word[1]);
            multiply_half(sum[1], column[m], a.word[2], a.word[3]);
        }
        u32 left[4], right[4];
        as_left(left, sum[0], sum[1]);
        load_tiles(right, inverse + i * INVERSE_BLOCK + plain);
        multiply_half(result[0], left, right[0], right[1]);
        multiply_half(result[1], left, right[2], right[3]);
        as_left(column[i], result[0], result[1]);
        vec16 block;
#pragma unroll
        for (int n = 0; n < 4; n++)
        {
            column[i][n] ^= 0x80008000u;
            block.word[n] = transpose(column[i][n]);
        }
        store16(target + block_of(i, J) + lane * 16, block);
    }
}

KERNEL __launch_bounds__(128, 4) gated_delta_rule_chunks(
    Step step, const Chunk* chunks, const bf16* mixed, int mixed_stride, const bf16* b, int b_stride, const bf16* a, int a_stride,
    const float* a_log, const float* dt_bias, u8* workspace)
{
    extern __shared__ __attribute__((aligned(1024))) u8 shared[];
    float* sums = (float*)(shared + FRONT);             // [RATIO][TOKENS], G
    float* betas = sums + RATIO * TOKENS;
    int thread = (int)threadIdx.x, lane = thread % 32, warp = (int)shuffle((u32)(thread / 32), 0), key_head = (int)blockIdx.x;
    dependency_wait();
    dependents_launch();
    Chunk chunk = chunks[blockIdx.y];
    i64 first_row = step.spans[chunk.span].first_row + chunk.first;
    u8* own = workspace + blockIdx.y * CHUNK_BYTES;
    u8* tiles = own + key_head * (2 * TILE);
    u8* heads = own + KEY_HEADS * (2 * TILE) + key_head * RATIO * HEAD;

    // Half a warp's worth of G each; the second half adds the first's last below.
    for (int i = thread; i < RATIO * TOKENS; i += 128)
    {
        int head = key_head * RATIO + i / TOKENS, token = i % TOKENS;
        bool there = token < chunk.tokens;
        i64 row = first_row + (there ? token : 0);
        float sum = -exp_(a_log[head]) * softplus(to_float(a[row * a_stride + head]) + dt_bias[head]);
        float beta = sigmoid(to_float(b[row * b_stride + head]));
        sum = there ? sum : 0.0f;
#pragma unroll
        for (int lanes = 1; lanes < 32; lanes *= 2)
        {
            float before = shuffle_up(sum, lanes);
            sum += lane >= lanes ? before : 0.0f;
        }
        sums[i] = sum;
        betas[i] = there ? beta : 0.0f;
    }
    const bf16* q = mixed + first_row * mixed_stride + key_head * DIM;
    normalise(q + KEY_HEADS * DIM, mixed_stride, chunk.tokens, 1.0f, warp, lane, shared, tiles);
    normalise(q, mixed_stride, chunk.tokens, 0.08838834764831845f, warp, lane, shared + TILE, tiles + TILE);
    block_sync();
    for (int i = thread; i < RATIO * TOKENS; i += 128)  // who reads it: after the next barrier
        if (i % TOKENS >= 32)
            sums[i] += sums[i / TOKENS * TOKENS + 31];

    float kk[4][2][4] = {}, qk[4][2][4] = {};           // of this warp's tokens with 16 earlier ones each
    u32 base = shared_address(shared);
#pragma unroll
    for (int d = 0; d < DIM; d += 16)
    {
        u32 left_k[4], left_q[4];
        load_tiles(left_k, base + tile_offset(warp * 16, d, lane, true));
        load_tiles(left_q, base + TILE + tile_offset(warp * 16, d, lane, true));
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            if (j <= warp)
            {
                u32 right[4];
                load_tiles(right, base + tile_offset(j * 16, d, lane, false));
#pragma unroll
                for (int n = 0; n < 2; n++)
                {
                    multiply_half(kk[j][n], left_k, right[2 * n], right[2 * n + 1]);
                    multiply_half(qk[j][n], left_q, right[2 * n], right[2 * n + 1]);
                }
            }
        }
    }
    block_sync();                                       // the tiles' place is free, the sums are whole

    for (int i = thread; i < RATIO * TOKENS; i += 128)
    {
        float* factors = (float*)(heads + i / TOKENS * HEAD);
        int token = i % TOKENS;
        float sum = sums[i], fade = exp_(sum);
        *(float2_*)(factors + 2 * token) = float2_{betas[i], betas[i] * fade};
        factors[2 * TOKENS + token] = exp_(sums[i / TOKENS * TOKENS + TOKENS - 1] - sum);
        factors[3 * TOKENS + token] = fade;
    }
#pragma unroll 1
    for (int head = 0; head < RATIO; head++)
    {
        u8* scratch = shared + head * SCRATCH;
        const float* sum = sums + head * TOKENS;
        int row = warp * 16 + lane / 4;
        float sum_i[2] = {sum[row], sum[row + 8]}, beta_i[2] = {betas[head * TOKENS + row], betas[head * TOKENS + row + 8]};
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            if (j > warp)
                continue;
            float score[2][4], write[2][4];
#pragma unroll
            for (int n = 0; n < 2; n++)
            {
#pragma unroll
                for (int e = 0; e < 4; e++)
                {
                    int i = row + e / 2 * 8, other = j * 16 + n * 8 + lane % 4 * 2 + e % 2;
                    float fade = i >= other ? exp_(sum_i[e / 2] - sum[other]) : 0.0f;
                    score[n][e] = qk[j][n][e] * fade;
                    write[n][e] = i > other ? beta_i[e / 2] * kk[j][n][e] * fade : 0.0f;
                }
            }
            vec16 p = {pack_half(score[0][0], score[0][1]), pack_half(score[1][0], score[1][1]),
                pack_half(score[0][2], score[0][3]), pack_half(score[1][2], score[1][3])};
            store16(heads + head * HEAD + FACTORS + TRIANGLE + block_of(warp, j) + lane * 16, p);
            if (j < warp)
            {
                vec16 under = {pack_half(write[0][0], write[0][1]), pack_half(write[1][0], write[1][1]),
                    pack_half(write[0][2], write[0][3]), pack_half(write[1][2], write[1][3])};
                store16(scratch + (warp * (warp - 1) / 2 + j) * BLOCK + lane * 16, under);
            }
            else
            {
                float* solve = (float*)(scratch + UNDER) + warp * SOLVE_BLOCK + lane / 4 * SOLVE_ROW + lane % 4 * 2;
#pragma unroll
                for (int e = 0; e < 4; e++)
                {
                    *(float2_*)(solve + e % 2 * 8 * SOLVE_ROW + e / 2 * 8) = float2_{write[e / 2][e % 2 * 2], write[e / 2][e % 2 * 2 + 1]};
                }
            }
        }
    }
    block_sync();

    // The inverse of a diagonal block by half a warp, a column each: x[i] = (i == column) - sum over m < i of A[i, m] x[m].
    for (int i = thread / 16; i < RATIO * 4; i += 8)
    {
        u8* scratch = shared + i / 4 * SCRATCH;
        const float* solve = (const float*)(scratch + UNDER) + i % 4 * SOLVE_BLOCK;
        u8* inverse = scratch + UNDER + SOLVE + i % 4 * INVERSE_BLOCK + thread % 16 * 2;
        float x[16];
#pragma unroll
        for (int row = 0; row < 16; row++)
        {
            float even = row == thread % 16 ? 1.0f : 0.0f, odd = 0.0f;
#pragma unroll
            for (int m = 0; m < row; m += 4)
            {
                float4_ part = *(const float4_*)(solve + row * SOLVE_ROW + m);
                even -= part.x * x[m];
                if (m + 1 < row)
                    odd -= part.y * x[m + 1];
                if (m + 2 < row)
                    even -= part.z * x[m + 2];
                if (m + 3 < row)
                    odd -= part.w * x[m + 3];
            }
            x[row] = even + odd;
            *(u16*)(inverse + row * INVERSE_ROW) = (u16)pack_half(x[row], 0.0f);
        }
    }
    block_sync();

#pragma unroll 1
    for (int head = 0; head < RATIO; head++)
    {
        const u8* scratch = shared + head * SCRATCH;
        u32 inverse = base + head * SCRATCH + UNDER + SOLVE;
        u8* target = heads + head * HEAD + FACTORS;
        int column = head % 2 == 0 ? warp : 3 - warp;   // the first has most to do
        if (column == 0)
            invert_column<0>(scratch, inverse, target, lane);
        else if (column == 1)
            invert_column<1>(scratch, inverse, target, lane);
        else if (column == 2)
            invert_column<2>(scratch, inverse, target, lane);
        else
            invert_column<3>(scratch, inverse, target, lane);
    }
}
