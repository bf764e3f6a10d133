// The gated delta rule token after token, for spans of any length and heads of any width: per value head h, key head h / (VALUE_HEADS / KEY_HEADS),
//   q, k = l2norm(q) / sqrt(KEY_DIM), l2norm(k); S *= exp(g); d = beta (v - S^T k); S += k d^T; o = S^T q
// with beta = sigmoid(b) and g = -exp(aLog) softplus(a + dtBias). Columns of the state do not depend on each other: a thread has one, KEY_DIM floats
// in registers, read and written once a span, so a step of many single tokens runs at memory speed (8 KEY_DIM VALUE_DIM bytes a head); a
// long span takes 4 KEY_DIM multiply-adds of a thread for each token, one after another.
//
// grid: (VALUE_HEADS, ceil(VALUE_DIM / THREADS), spans), block: THREADS = VALUE_DIM rounded up to a warp, at most 128.
// `list` holds the spans' indices; null: all of them. Macros: KEY_HEADS, VALUE_HEADS, KEY_DIM (at most 128), VALUE_DIM.
#include "gated_delta_rule.cuh"

#define THREADS ((VALUE_DIM + 31) / 32 * 32 < 128 ? (VALUE_DIM + 31) / 32 * 32 : 128)

DEVICE float squares(const bf16* x)
{
    float sum = 0;
    for (int i = threadIdx.x % 32; i < KEY_DIM; i += 32)
        sum += to_float(x[i]) * to_float(x[i]);
    return warp_sum(sum);
}

KERNEL gated_delta_rule_recurrent(
    Step step, States states, int layer, const int* list, const bf16* mixed, int mixed_stride, const bf16* b, int b_stride, const bf16* a, int a_stride,
    const float* a_log, const float* dt_bias, bf16* o, int o_stride)
{
    __shared__ float keys[KEY_DIM], queries[KEY_DIM];
    int head = blockIdx.x;
    int key_head = head / (VALUE_HEADS / KEY_HEADS);
    float rate = -exp_(a_log[head]);
    float bias = dt_bias[head];
    dependency_wait();
    dependents_launch();
    Span span = step.spans[list == nullptr ? (int)blockIdx.z : list[blockIdx.z]];
    if (span.count == 0)
        return;
    int column = blockIdx.y * THREADS + threadIdx.x;
    bool is_there = column < VALUE_DIM;
    i64 offset = (i64)head * KEY_DIM * VALUE_DIM + (is_there ? column : 0);
    float* stored = state_address(states, span.slot, layer) + offset;
    float s[KEY_DIM];
#pragma unroll
    for (int i = 0; i < KEY_DIM; i++)
        s[i] = span.first_position > 0 && is_there ? stored[(i64)i * VALUE_DIM] : 0.0f;

    int next_export = 0;
    for (int t = 0; t < span.count; t++)
    {
        i64 row = span.first_row + t;
        const bf16* q = mixed + row * mixed_stride + key_head * KEY_DIM;
        const bf16* k = q + KEY_HEADS * KEY_DIM;
        const bf16* v = mixed + row * mixed_stride + 2 * KEY_HEADS * KEY_DIM + head * VALUE_DIM;
        float q_factor = rsqrt_(squares(q) + 1e-6f) * rsqrt_((float)KEY_DIM);
        float k_factor = rsqrt_(squares(k) + 1e-6f);
        block_sync();
        for (int i = threadIdx.x; i < KEY_DIM; i += THREADS)
        {
            keys[i] = to_float(k[i]) * k_factor;
            queries[i] = to_float(q[i]) * q_factor;
        }
        block_sync();
        float decay = exp_(rate * softplus(to_float(a[row * a_stride + head]) + bias));
        float beta = sigmoid(to_float(b[row * b_stride + head]));
        float held = 0;
#pragma unroll
        for (int i = 0; i < KEY_DIM; i++)
        {
            s[i] *= decay;
            held += keys[i] * s[i];
        }
        float correction = beta * ((is_there ? to_float(v[column]) : 0.0f) - held);
        float answer = 0;
#pragma unroll
        for (int i = 0; i < KEY_DIM; i++)
        {
            s[i] += keys[i] * correction;
            answer += queries[i] * s[i];
        }
        if (is_there)
            o[row * o_stride + head * VALUE_DIM + column] = to_bf16(answer);
        if (next_export < span.export_count && step.exports[span.first_export + next_export].length == t + 1)
        {
            float* target = state_address(states, step.exports[span.first_export + next_export++].slot, layer) + offset;
#pragma unroll
            for (int i = 0; i < KEY_DIM; i++)
                if (is_there)
                    target[(i64)i * VALUE_DIM] = s[i];
        }
    }

#pragma unroll
    for (int i = 0; i < KEY_DIM; i++)
        if (is_there)
            stored[(i64)i * VALUE_DIM] = s[i];
}
