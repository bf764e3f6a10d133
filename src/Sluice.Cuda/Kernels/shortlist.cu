// What sampling mostly needs of rows of logits, found where they are: the LENGTH likeliest tokens of each row, sorted (equal ones by lower id), the sums of
// exp(x - max) and exp((x - max) / temperature) over all tokens, a token drawn by the latter's weights where one is wanted, and whether the row is usable:
// no NaN, no positive infinity, something finite.
//
// shortlist_parts: the same of slices of SLICE tokens, so that a single row keeps many multiprocessors busy. A thread has 32 logits. In every one of eight
// warps eight threads' maxima are not below the eighth of that warp, so at least LENGTH logits are not below the least of those eighths, and not many
// more: those are put in order by counting, each, how many are above it.
//   grid (ceil(width / SLICE), rows), block 256. Bytes: 4 a logit.
// shortlist_merge: the slices' results of a row in the same way: no slice's last may be above the row's. A draw finds its slice by the slices' sums and then
// walks it in the order of ids.
//   grid (rows), block 1024
//
// Both run once a step, so that their instructions come from device memory each time: loops are not unrolled, for a kilobyte of code costs more than a turn.
//
// The host gives: asked [rows] of (temperature or 0, uniform number in [0, 1) or -1 for no draw); keys [rows, slices, LENGTH] and sums [rows, slices] as room
// between the two; results [rows] of Result. asked, results and done [rows] are the host's own memory, read and written across the bus, and the host waits
// for done[row] to be `stamp`. At most 64 slices. A slice with very many equal logits gives up (UNUSABLE), and the host reads the row.
#include "sluice.cuh"

#define LENGTH 64
#define SLICE 8192
#define MOST_SLICES 64
#define GATHERED 1024   // of a slice

struct alignas(8) Asked
{
    float temperature, uniform;
};
struct alignas(16) Sums
{
    float max, total, tempered;
    u32 flags;
};
struct Result
{
    float total, tempered;
    int drawn;
    u32 flags;
    float logits[LENGTH];
    int ids[LENGTH];
};
static constexpr u32 UNUSABLE = 1;

// Orders as the float does; no key of a number is 0.
DEVICE u32 ordered(float x)
{
    u32 bits = as_bits(x);
    return (int)bits < 0 ? ~bits : bits | 0x80000000u;
}
DEVICE float from_ordered(u32 key) { return as_float((int)key < 0 ? key & 0x7fffffffu : ~key); }
DEVICE u64 key_of(float x, int id) { return (u64)ordered(x) << 32 | (u32)~id; }

DEVICE u32 add_shared(u32* counter, u32 value)
{
    u32 before;
    asm volatile("atom.shared.add.u32 %0, [%1], %2;" : "=r"(before) : "r"(shared_address(counter)), "r"(value) : "memory");
    return before;
}
DEVICE void min_shared(u32* value, u32 other)
{
    asm volatile("red.shared.min.u32 [%0], %1;" ::"r"(shared_address(value)), "r"(other) : "memory");
}

DEVICE float block_max(float value, float* scratch)
{
    value = warp_max(value);
    if (threadIdx.x % 32 == 0)
        scratch[threadIdx.x / 32] = value;
    block_sync();
    value = warp_max(threadIdx.x % 32 < blockDim.x / 32 ? scratch[threadIdx.x % 32] : -INFINITY_);
    block_sync();
    return value;
}

DEVICE float warp_min_of_eight(const float* values)
{
    float least = values[threadIdx.x % 8];
#pragma unroll
    for (int mask = 4; mask > 0; mask >>= 1)
        least = -fmax_(-least, -shuffle_xor(least, mask));
    return least;
}

// Writes the LENGTH largest of `count` different keys, largest first, zeros where there are fewer.
template <class Store>
DEVICE void largest(const u64* keys, int count, Store store)
{
#pragma unroll 1
    for (int i = (int)threadIdx.x; i < LENGTH; i += (int)blockDim.x)
        if (i >= count)
            store(i, 0);
#pragma unroll 1
    for (int i = (int)threadIdx.x; i < count; i += (int)blockDim.x)
    {
        u64 mine = keys[i];
        int above = 0;
#pragma unroll 4
        for (int j = 0; j < count; j++)
            above += keys[j] > mine;
        if (above < LENGTH)
            store(above, mine);
    }
}

KERNEL __launch_bounds__(256) shortlist_parts(const float* logits, int stride, int width, const Asked* asked, u64* keys, Sums* sums)
{
    __shared__ float4_ staged[SLICE / 4];
    __shared__ u64 gathered[GATHERED];
    __shared__ float maxima[256];
    __shared__ float scratch[32];
    __shared__ float bars[8];
    __shared__ u32 count, flags;
    float* values = (float*)staged;
    int thread = (int)threadIdx.x, first = (int)blockIdx.x * SLICE;
    if (thread == 0)
        count = 0, flags = 0;
    Asked wanted = asked[blockIdx.y];
    dependency_wait();
    dependents_launch();
    const float* row = logits + (i64)blockIdx.y * stride;

    // Every thread looks at what it copies itself.
#pragma unroll 1
    for (int i = thread * 4; i < SLICE; i += 1024)
    {
        if (first + i + 4 <= width)
        {
            copy16_async(shared_address(values + i), row + first + i);
            continue;
        }
#pragma unroll 1
        for (int j = i; j < i + 4; j++)
            values[j] = first + j < width ? row[first + j] : -INFINITY_;
    }
    copies_commit();
    copies_wait<0>();
    float most = -INFINITY_;
    bool is_strange = false;
#pragma unroll 1
    for (int i = thread * 4; i < SLICE; i += 1024)
    {
        float4_ x = staged[i / 4];
        is_strange = is_strange || !(x.x < INFINITY_) || !(x.y < INFINITY_) || !(x.z < INFINITY_) || !(x.w < INFINITY_);
        most = fmax_(fmax_(most, fmax_(x.x, x.y)), fmax_(x.z, x.w));
    }
    maxima[thread] = most;
    block_sync();
    if (is_strange)
        or_shared(&flags, UNUSABLE);
    int above = 0;
#pragma unroll 4
    for (int i = 0; i < 32; i++)
    {
        float other = maxima[thread / 32 * 32 + i];
        above += other > most || (other == most && i < thread % 32);
    }
    if (above == LENGTH / 8 - 1)
        bars[thread / 32] = most;
    float max = block_max(most, scratch), bar = warp_min_of_eight(bars);

    bool is_tempered = wanted.temperature > 0.0f && wanted.temperature != 1.0f;
    float factor = wanted.temperature > 0.0f ? reciprocal(wanted.temperature) : 0.0f, total = 0, tempered = 0;
#pragma unroll 1
    for (int i = thread * 4; i < SLICE; i += 1024)
    {
#pragma unroll 1
        for (int j = 0; j < 4; j++)
        {
            float x = values[i + j];
            if (!(x > -INFINITY_))
                continue;
            total += exp_(x - max);
            if (is_tempered)
                tempered += exp_((x - max) * factor);
            if (x >= bar)
            {
                u32 at = add_shared(&count, 1);
                if (at < GATHERED)
                    gathered[at] = key_of(x, first + i + j);
            }
        }
    }
    total = block_sum(total, scratch);          // its barriers also end the gathering
    tempered = is_tempered ? block_sum(tempered, scratch) : total;
    i64 part = (i64)blockIdx.y * gridDim.x + blockIdx.x;
    if (thread == 0)
        sums[part] = Sums{max, total, tempered, flags | (count > GATHERED ? UNUSABLE : 0)};
    u64* target = keys + part * LENGTH;
    largest(gathered, min_((int)count, GATHERED), [&](int at, u64 key) { target[at] = key; });
}

// Walks the slice that a draw falls in, in the order of ids, by a whole block; `rest` is what of the draw is left for the slice.
DEVICE void draw(const float* row, int width, int slice, float rest, float max, float factor, float* scratch, u32* chosen, int* drawn)
{
    int thread = (int)threadIdx.x, first = slice * SLICE + thread * (SLICE / 1024), lane = thread % 32, last = -1;
    float weights[SLICE / 1024], own = 0;
#pragma unroll
    for (int i = 0; i < SLICE / 1024; i++)
    {
        weights[i] = first + i < width ? exp_((row[first + i] - max) * factor) : 0.0f;
        own += weights[i];
        last = weights[i] > 0.0f ? first + i : last;
    }
    float before = own;                         // then the sum up to this thread's, its own included
#pragma unroll
    for (int lanes = 1; lanes < 32; lanes *= 2)
    {
        float other = shuffle_up(before, lanes);
        before += lane >= lanes ? other : 0.0f;
    }
    if (lane == 31)
        scratch[thread / 32] = before;
    block_sync();
    for (int i = 0; i < thread / 32; i++)
        before += scratch[i];
    if (before > rest && own > 0.0f)
        min_shared(chosen, (u32)thread);
    block_sync();
    if (*chosen == 0xffffffffu)                 // rounding led past the end: the last with any weight
    {
        block_sync();
        if (last >= 0)
            min_shared(chosen, (u32)~last);
        block_sync();
        if (thread == 0)
            *drawn = (int)~*chosen;
        return;
    }
    if (thread != (int)*chosen)
        return;
    float target = rest - (before - own);
    for (int i = 0; i < SLICE / 1024; i++)
    {
        if (weights[i] <= 0.0f)
            continue;
        last = first + i;
        target -= weights[i];
        if (target < 0.0f)
            break;
    }
    *drawn = last;
}

KERNEL __launch_bounds__(1024) shortlist_merge(
    const float* logits, int stride, int width, const Asked* asked, const u64* keys, const Sums* sums, int slices, Result* results, int* done, int stamp)
{
    __shared__ u64 gathered[MOST_SLICES * LENGTH];
    __shared__ u64 lasts[MOST_SLICES];
    __shared__ Sums parts[MOST_SLICES];
    __shared__ float scratch[32];
    __shared__ u32 count, flags, chosen;
    __shared__ int slice;
    __shared__ float rest;
    int thread = (int)threadIdx.x;
    Asked wanted = asked[blockIdx.x];
    dependency_wait();
    dependents_launch();
    Result* result = results + blockIdx.x;
    keys += (i64)blockIdx.x * slices * LENGTH;
    u64 own[MOST_SLICES * LENGTH / 1024];
#pragma unroll
    for (int i = 0; i < MOST_SLICES * LENGTH / 1024; i++)
        own[i] = thread + i * 1024 < slices * LENGTH ? keys[thread + i * 1024] : 0;
    if (thread == 0)
        count = 0, flags = 0, chosen = 0xffffffffu, slice = -1;
    if (thread < slices)
    {
        parts[thread] = sums[(i64)blockIdx.x * slices + thread];
        lasts[thread] = keys[thread * LENGTH + LENGTH - 1];
    }
    block_sync();

    float max = block_max(thread < slices ? parts[thread].max : -INFINITY_, scratch);
    float factor = wanted.temperature > 0.0f ? reciprocal(wanted.temperature) : 0.0f, total = 0, tempered = 0;
    if (thread < slices)
    {
        Sums& part = parts[thread];
        if (part.max > -INFINITY_)
        {
            total = part.total * exp_(part.max - max);
            tempered = part.tempered *= exp_((part.max - max) * factor);
        }
        if (part.flags != 0)
            or_shared(&flags, part.flags);
    }
    total = block_sum(total, scratch);
    tempered = block_sum(tempered, scratch);

    u64 bar = 0;
#pragma unroll 4
    for (int i = 0; i < slices; i++)
        bar = lasts[i] > bar ? lasts[i] : bar;
#pragma unroll
    for (int i = 0; i < MOST_SLICES * LENGTH / 1024; i++)
    {
        if (own[i] != 0 && own[i] >= bar)
            gathered[add_shared(&count, 1)] = own[i];
    }
    block_sync();
    largest(gathered, (int)count, [&](int at, u64 key)
    {
        result->logits[at] = key == 0 ? -INFINITY_ : from_ordered((u32)(key >> 32));
        result->ids[at] = key == 0 ? -1 : (int)~(u32)key;
    });

    bool draws = wanted.uniform >= 0.0f && wanted.temperature > 0.0f;
    if (thread == 0)
    {
        result->total = total, result->tempered = tempered, result->drawn = -1;
        result->flags = flags | (max > -INFINITY_ ? 0 : UNUSABLE);
        float target = wanted.uniform * tempered;
#pragma unroll 1
        for (int i = 0; i < slices && draws; i++)
        {
            if (parts[i].max == -INFINITY_)
                continue;
            slice = i, rest = target;           // the last one with any weight, should rounding lead past the end
            target -= parts[i].tempered;
            if (target < 0.0f)
                break;
        }
    }
    block_sync();
    if (draws && slice >= 0)
        draw(logits + (i64)blockIdx.x * stride, width, slice, rest, max, factor, scratch, &chosen, &result->drawn);

    block_sync();
    if (thread == 0)
    {
        fence_system();
        store_relaxed_system(done + blockIdx.x, stamp);
    }
}
