// The gated delta rule for spans of one token: per value head h, with key head h / (VALUE_HEADS / KEY_HEADS),
//   q, k = l2norm(q) / sqrt(KEY_DIM), l2norm(k); S *= exp(g); d = beta (v - S^T k); S += k d^T; o = S^T q
// with beta = sigmoid(b) and g = -exp(aLog) softplus(a + dtBias). S [KEY_DIM, VALUE_DIM] float32 in place; an export gets the new one too.
//
// Bytes: 8 KEY_DIM VALUE_DIM a head and token, all else is small; flops: 8 KEY_DIM VALUE_DIM. So it is a copy that computes as it goes. As
// S_new^T q = exp(g) S^T q + (k . q) d, both products are taken of the old state while it arrives: one exchange between warps, no second pass.
//
// A block has COLUMNS value columns of a head, a thread four of them in KEYS rows (row group + i GROUPS), all loaded at once to registers.
// Grid: (VALUE_HEADS * ceil(VALUE_DIM / COLUMNS), spans), block: 32 * WARPS, no dynamic shared memory.
// Macros: KEY_HEADS, VALUE_HEADS, KEY_DIM and VALUE_DIM (multiples of 8), COLUMNS (32, 64 or 128), WARPS (1 to 16; KEY_DIM * COLUMNS / WARPS is best
// 1024 to 2048). Few sequences: COLUMNS 32, so that all multiprocessors have a part. `list` holds the spans' indices; null: all of them.
#include "gated_delta_rule.cuh"

#ifndef COLUMNS
#define COLUMNS 64
#endif
#ifndef WARPS
#define WARPS 4
#endif

static constexpr int LANES = COLUMNS / 4;                   // of a row
static constexpr int GROUPS = WARPS * 32 / LANES;           // rows at once
static constexpr int KEYS = (KEY_DIM + GROUPS - 1) / GROUPS;
static constexpr int SLICES = (VALUE_DIM + COLUMNS - 1) / COLUMNS;
static_assert(COLUMNS == 32 || COLUMNS == 64 || COLUMNS == 128);

// Four neighbouring bfloat16.
DEVICE void load_four(float (&values)[4], const bf16* from)
{
    vec8 v = *(const vec8*)from;
    values[0] = low(v.word[0]), values[1] = high(v.word[0]), values[2] = low(v.word[1]), values[3] = high(v.word[1]);
}

KERNEL __launch_bounds__(32 * WARPS) gated_delta_rule_decode(
    Step step, States states, int layer, const int* list, const bf16* mixed, int mixed_stride, const bf16* b, int b_stride,
    const bf16* a, int a_stride, const float* a_log, const float* dt_bias, bf16* o, int o_stride)
{
    __shared__ float2_ pairs[KEY_DIM];                      // k and q, not yet normalised
    __shared__ float sums[4];                               // k . k, q . q, k . q
    __shared__ float4_ partial[WARPS][2][LANES];            // S^T k and S^T q of each warp's rows
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    int head = (int)blockIdx.x / SLICES, key_head = head / (VALUE_HEADS / KEY_HEADS);
    int row_lane = (int)threadIdx.x % LANES, group = (int)threadIdx.x / LANES, column = (int)blockIdx.x % SLICES * COLUMNS + row_lane * 4;
    float rate = -exp_(a_log[head]), bias = dt_bias[head];
    dependency_wait();
    dependents_launch();
    Span span = step.spans[list == nullptr ? (int)blockIdx.y : list[blockIdx.y]];
    if (span.count == 0)
        return;
    bool is_there = column < VALUE_DIM;
    i64 offset = ((i64)head * KEY_DIM + group) * VALUE_DIM + column;
    float* stored = state_address(states, span.slot, layer) + offset;
    float4_ s[KEYS];
#pragma unroll
    for (int i = 0; i < KEYS; i++)
    {
        s[i] = float4_{0.0f, 0.0f, 0.0f, 0.0f};
        if (span.first_position > 0 && is_there && (KEY_DIM % GROUPS == 0 || group + i * GROUPS < KEY_DIM))
            s[i] = load_once(stored + (i64)i * GROUPS * VALUE_DIM);
    }

    i64 row = span.first_row;
    const bf16* q = mixed + row * mixed_stride + key_head * KEY_DIM;
    float v[4] = {};
    if (is_there)
        load_four(v, mixed + row * mixed_stride + 2 * KEY_HEADS * KEY_DIM + head * VALUE_DIM + column);
    float decay = exp_(rate * softplus(to_float(a[row * a_stride + head]) + bias));
    float beta = sigmoid(to_float(b[row * b_stride + head]));
    if (warp == 0)
    {
        float kk = 0, qq = 0, kq = 0;
#pragma unroll
        for (int i = lane * 4; i < KEY_DIM; i += 128)
        {
            float x[4], y[4];
            load_four(x, q + KEY_HEADS * KEY_DIM + i);
            load_four(y, q + i);
#pragma unroll
            for (int j = 0; j < 4; j++)
            {
                kk += x[j] * x[j];
                qq += y[j] * y[j];
                kq += x[j] * y[j];
                pairs[i + j] = float2_{x[j], y[j]};
            }
        }
        kk = warp_sum(kk);
        qq = warp_sum(qq);
        kq = warp_sum(kq);
        if (lane == 0)
            sums[0] = kk, sums[1] = qq, sums[2] = kq;
    }
    block_sync();

    float held[4] = {}, asked[4] = {};
#pragma unroll
    for (int i = 0; i < KEYS; i++)
    {
        if (KEY_DIM % GROUPS != 0 && group + i * GROUPS >= KEY_DIM)
            continue;
        float2_ pair = pairs[group + i * GROUPS];
        held[0] += pair.x * s[i].x, held[1] += pair.x * s[i].y, held[2] += pair.x * s[i].z, held[3] += pair.x * s[i].w;
        asked[0] += pair.y * s[i].x, asked[1] += pair.y * s[i].y, asked[2] += pair.y * s[i].z, asked[3] += pair.y * s[i].w;
    }
    float4_ all_held, all_asked;
    sum_over_rows(partial, held, asked, all_held, all_asked);
    float k_factor = rsqrt_(sums[0] + 1e-6f), q_factor = rsqrt_(sums[1] + 1e-6f) * rsqrt_((float)KEY_DIM);
    float kept = decay * k_factor, answered = decay * q_factor, overlap = sums[2] * k_factor * q_factor;
    float d[4] = {beta * (v[0] - kept * all_held.x), beta * (v[1] - kept * all_held.y),
        beta * (v[2] - kept * all_held.z), beta * (v[3] - kept * all_held.w)};
    if (group == 0 && is_there)
    {
        vec8 answer = {pack(answered * all_asked.x + overlap * d[0], answered * all_asked.y + overlap * d[1]),
            pack(answered * all_asked.z + overlap * d[2], answered * all_asked.w + overlap * d[3])};
        *(vec8*)(o + row * o_stride + head * VALUE_DIM + column) = answer;
    }
#pragma unroll
    for (int j = 0; j < 4; j++)
        d[j] *= k_factor;

#pragma unroll
    for (int i = 0; i < KEYS; i++)
    {
        if (!is_there || (KEY_DIM % GROUPS != 0 && group + i * GROUPS >= KEY_DIM))
            continue;
        s[i] = step_row(s[i], decay, pairs[group + i * GROUPS].x, d);
        store_once(stored + (i64)i * GROUPS * VALUE_DIM, s[i]);
    }
    for (int e = 0; e < span.export_count; e++)
    {
        float* target = state_address(states, step.exports[span.first_export + e].slot, layer) + offset;
#pragma unroll
        for (int i = 0; i < KEYS; i++)
            if (is_there && (KEY_DIM % GROUPS == 0 || group + i * GROUPS < KEY_DIM))
                store_once(target + (i64)i * GROUPS * VALUE_DIM, s[i]);
    }
}
