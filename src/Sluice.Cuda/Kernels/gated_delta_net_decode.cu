// The whole of gated DeltaNet between its projections, for spans of one token, in one launch: causal_conv.cu, gated_delta_rule_decode.cu and
// gated_rms_norm.cu in turn, without their results in between going through memory (nor being rounded to bfloat16).
//   x = silu(conv(qkv)) = [all q | all k | all v];  o = the gated delta rule of x;  y = o * rsqrt(mean(o^2) + eps) * weight * silu(z), by heads
//
// Bytes: 8 KEY_DIM VALUE_DIM a value head and token, 8 (TAPS - 1) a channel and token. See gated_delta_rule_decode.cu for the state's part.
// A cluster has a key head and its value heads: they share q and k, whose convolution each block makes for itself, and whose last inputs may only
// be replaced when all have read them. With few sequences a head's value columns are cut over blocks too, which then exchange sums of squares.
//
// Grid: (KEY_HEADS * CLUSTER, spans), CLUSTER = VALUE_HEADS / KEY_HEADS * VALUE_DIM / COLUMNS, at most 8 (the kernel has it as an attribute, the
// launch needs none); block: 32 * WARPS; no dynamic shared memory.
// Macros: KEY_HEADS, VALUE_HEADS, KEY_DIM, VALUE_DIM (multiples of 8), TAPS, COLUMNS (32, 64 or 128, which divides VALUE_DIM), WARPS.
// `list` holds the spans' indices; null: all of them.
#include "gated_delta_rule.cuh"

#ifndef TAPS
#define TAPS 4
#endif
#ifndef COLUMNS
#define COLUMNS 128
#endif
#ifndef WARPS
#define WARPS 8
#endif

static constexpr int THREADS = 32 * WARPS, BEFORE = TAPS - 1;
static constexpr int LANES = COLUMNS / 4;                   // of a row
static constexpr int GROUPS = THREADS / LANES;              // rows at once
static constexpr int KEYS = (KEY_DIM + GROUPS - 1) / GROUPS;
static constexpr int SLICES = VALUE_DIM / COLUMNS, RATIO = VALUE_HEADS / KEY_HEADS, CLUSTER = RATIO * SLICES;
static constexpr int CHANNELS = 2 * KEY_HEADS * KEY_DIM + VALUE_HEADS * VALUE_DIM, STATE = VALUE_HEADS * KEY_DIM * VALUE_DIM;
static constexpr int OWN = 2 * KEY_DIM + COLUMNS, ITEMS = (OWN + THREADS - 1) / THREADS;    // channels of a block and of a thread
static_assert((COLUMNS == 32 || COLUMNS == 64 || COLUMNS == 128) && VALUE_DIM % COLUMNS == 0 && CLUSTER <= 8 && TAPS >= 2);

// A float of the shared memory of the cluster's block of that rank.
DEVICE float load_shared_of(const float* mine, int rank)
{
    float value;
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(cluster_address(shared_address(mine), rank)) : "memory");
    return value;
}
// cluster_arrive where only reads came before: does not wait for writes to be seen.
DEVICE void cluster_arrive_relaxed() { asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory"); }

KERNEL __launch_bounds__(THREADS) CLUSTER_OF(CLUSTER) gated_delta_net_decode(
    Step step, States states, int layer, const int* list, const bf16* qkv, int qkv_stride, const float* conv_weight, const bf16* b, int b_stride,
    const bf16* a, int a_stride, const float* a_log, const float* dt_bias, const bf16* z, int z_stride, const float* norm_weight, float epsilon,
    bf16* y, int y_stride)
{
    __shared__ float inputs[OWN];                           // q, k, v after convolution
    __shared__ float sums[4];                               // k . k, q . q, k . q
    __shared__ float squares;
    __shared__ float4_ partial[WARPS][2][LANES];            // S^T k and S^T q of each warp's rows
    int thread = (int)threadIdx.x, lane = thread % 32, warp = thread / 32;
    int key_head = (int)blockIdx.x / CLUSTER, rank = (int)blockIdx.x % CLUSTER, head = key_head * RATIO + rank / SLICES;
    int row_lane = thread % LANES, group = thread / LANES, column = head * VALUE_DIM + rank % SLICES * COLUMNS + row_lane * 4;
    float rate = -exp_(a_log[head]), bias = dt_bias[head];
    int channel[ITEMS];
    float weight[ITEMS][TAPS];
#pragma unroll
    for (int n = 0; n < ITEMS; n++)
    {
        int i = thread + n * THREADS;
        channel[n] = i < KEY_DIM ? key_head * KEY_DIM + i
            : i < 2 * KEY_DIM    ? (KEY_HEADS + key_head) * KEY_DIM + i - KEY_DIM
                                 : 2 * KEY_HEADS * KEY_DIM + head * VALUE_DIM + rank % SLICES * COLUMNS + i - 2 * KEY_DIM;
#pragma unroll
        for (int t = 0; t < TAPS; t++)
            weight[n][t] = OWN % THREADS == 0 || i < OWN ? conv_weight[channel[n] * TAPS + t] : 0.0f;
    }
    float4_ scale = *(const float4_*)(norm_weight + column - head * VALUE_DIM);
    dependency_wait();
    dependents_launch();
    Span span = step.spans[list == nullptr ? (int)blockIdx.y : list[blockIdx.y]];
    if (span.count == 0)
        return;
    i64 row = span.first_row;
    float* own = state_address(states, span.slot, layer);
    i64 offset = ((i64)head * KEY_DIM + group) * VALUE_DIM + column - head * VALUE_DIM;

    float now[ITEMS], before[ITEMS][BEFORE];
#pragma unroll
    for (int n = 0; n < ITEMS; n++)
    {
        bool is_there = OWN % THREADS == 0 || thread + n * THREADS < OWN;
        now[n] = is_there ? to_float(qkv[row * qkv_stride + channel[n]]) : 0.0f;
#pragma unroll
        for (int t = 0; t < BEFORE; t++)
            before[n][t] = is_there && span.first_position > 0 ? own[STATE + t * CHANNELS + channel[n]] : 0.0f;
    }
    float4_ s[KEYS];
#pragma unroll
    for (int i = 0; i < KEYS; i++)
    {
        s[i] = float4_{0.0f, 0.0f, 0.0f, 0.0f};
        if (span.first_position > 0 && (KEY_DIM % GROUPS == 0 || group + i * GROUPS < KEY_DIM))
            s[i] = load_once(own + offset + (i64)i * GROUPS * VALUE_DIM);
    }
    vec8 gates = {};
    if (group == 0)
        gates = *(const vec8*)(z + row * z_stride + column);
    float decay = exp_(rate * softplus(to_float(a[row * a_stride + head]) + bias));
    float beta = sigmoid(to_float(b[row * b_stride + head]));

#pragma unroll
    for (int n = 0; n < ITEMS; n++)
    {
        float sum = weight[n][BEFORE] * now[n];
#pragma unroll
        for (int t = 0; t < BEFORE; t++)
            sum += weight[n][t] * before[n][t];
        if (OWN % THREADS == 0 || thread + n * THREADS < OWN)
            inputs[thread + n * THREADS] = silu(sum);
    }
    if (SLICES == 1 && CLUSTER > 1)
        cluster_arrive_relaxed();                           // this block has read the last inputs
    block_sync();
    if (warp == 0)
    {
        float kk = 0, qq = 0, kq = 0;
#pragma unroll
        for (int i = lane; i < KEY_DIM; i += 32)
        {
            float q = inputs[i], k = inputs[KEY_DIM + i];
            kk += k * k;
            qq += q * q;
            kq += k * q;
        }
        kk = warp_sum(kk);
        qq = warp_sum(qq);
        kq = warp_sum(kq);
        if (lane == 0)
            sums[0] = kk, sums[1] = qq, sums[2] = kq;
    }

    float held[4] = {}, asked[4] = {};
#pragma unroll
    for (int i = 0; i < KEYS; i++)
    {
        if (KEY_DIM % GROUPS != 0 && group + i * GROUPS >= KEY_DIM)
            continue;
        float q = inputs[group + i * GROUPS], k = inputs[KEY_DIM + group + i * GROUPS];
        held[0] += k * s[i].x, held[1] += k * s[i].y, held[2] += k * s[i].z, held[3] += k * s[i].w;
        asked[0] += q * s[i].x, asked[1] += q * s[i].y, asked[2] += q * s[i].z, asked[3] += q * s[i].w;
    }
    float4_ all_held, all_asked;
    sum_over_rows(partial, held, asked, all_held, all_asked);
    float k_factor = rsqrt_(sums[0] + 1e-6f), q_factor = rsqrt_(sums[1] + 1e-6f) * rsqrt_((float)KEY_DIM);
    float kept = decay * k_factor, answered = decay * q_factor, overlap = sums[2] * k_factor * q_factor;
    const float* v = inputs + 2 * KEY_DIM + row_lane * 4;
    float d[4] = {beta * (v[0] - kept * all_held.x), beta * (v[1] - kept * all_held.y),
        beta * (v[2] - kept * all_held.z), beta * (v[3] - kept * all_held.w)};
    float answer[4] = {answered * all_asked.x + overlap * d[0], answered * all_asked.y + overlap * d[1],
        answered * all_asked.z + overlap * d[2], answered * all_asked.w + overlap * d[3]};
    float square = answer[0] * answer[0] + answer[1] * answer[1] + answer[2] * answer[2] + answer[3] * answer[3];
#pragma unroll
    for (int mask = 1; mask < LANES; mask *= 2)
        square += shuffle_xor(square, mask);
    if (SLICES > 1)
    {
        if (thread == 0)
            squares = square;
        cluster_arrive();                                   // and this block has read the last inputs
    }
#pragma unroll
    for (int j = 0; j < 4; j++)
        d[j] *= k_factor;
#pragma unroll
    for (int i = 0; i < KEYS; i++)
    {
        if (KEY_DIM % GROUPS != 0 && group + i * GROUPS >= KEY_DIM)
            continue;
        float k = inputs[KEY_DIM + group + i * GROUPS];
        s[i] = step_row(s[i], decay, k, d);
        store_once(own + offset + (i64)i * GROUPS * VALUE_DIM, s[i]);
    }
    if (CLUSTER > 1)
        cluster_wait();
    if (group == 0)
    {
        if (SLICES > 1)
        {
            square = 0;
#pragma unroll
            for (int i = 0; i < SLICES; i++)
                square += load_shared_of(&squares, rank / SLICES * SLICES + i);
        }
        float factor = rsqrt_(square * (1.0f / VALUE_DIM) + epsilon);
        vec8 result = {pack(answer[0] * factor * scale.x * silu(low(gates.word[0])), answer[1] * factor * scale.y * silu(high(gates.word[0]))),
            pack(answer[2] * factor * scale.z * silu(low(gates.word[1])), answer[3] * factor * scale.w * silu(high(gates.word[1])))};
        *(vec8*)(y + row * y_stride + column) = result;
    }
    if (SLICES > 1)
        cluster_arrive_relaxed();                           // here, as the store above needed what the loads from other blocks brought

    for (int e = -1; e < span.export_count; e++)            // the slot's own first
    {
        float* target = e < 0 ? own : state_address(states, step.exports[span.first_export + e].slot, layer);
#pragma unroll
        for (int n = 0; n < ITEMS; n++)
        {
            int i = thread + n * THREADS;
            if (i >= OWN || (i < 2 * KEY_DIM && rank != 0))
                continue;
#pragma unroll
            for (int t = 0; t < BEFORE; t++)
                target[STATE + t * CHANNELS + channel[n]] = t + 1 < BEFORE ? before[n][t + 1] : now[n];
        }
#pragma unroll
        for (int i = 0; i < KEYS; i++)
            if (e >= 0 && (KEY_DIM % GROUPS == 0 || group + i * GROUPS < KEY_DIM))
                store_once(target + offset + (i64)i * GROUPS * VALUE_DIM, s[i]);
    }
    if (SLICES > 1)
        cluster_wait();                                     // the others have read this block's sum
}
