// What sampling mostly needs of rows of logits, found where they are: the LENGTH likeliest tokens of each row, sorted (equal ones by lower id), the sums of
// exp(x - max) and exp((x - max) / temperature) over all tokens, a token drawn by the latter's weights where one is wanted, and whether the row is usable:
// no NaN, no positive infinity, something finite. A step's last kernels, which the host waits for: latency is all that counts.
//
// shortlist_parts: the same of slices of SLICE tokens, so that a single row keeps many multiprocessors busy. A thread has 16 logits. In every one of 16
// warps four threads' maxima are not below the fourth of that warp, so at least LENGTH logits are not below the least of those fourths, and not many more:
// those are put in order by counting, each, how many are above it.
//   grid (ceil(width / SLICE), rows), block THREADS. Bytes: 4 a logit.
// shortlist_merge: the slices' results of a row in the same way: no slice's last may be above the row's, and neither may the least of the slices' n-th
// largest, n so that all the slices together have LENGTH of these. Meanwhile one warp adds up. A draw finds its slice by the slices' sums and then walks it
// in the order of ids.
//   grid (rows), block THREADS
//
// The host gives: asked [rows] of (temperature or 0, uniform number in [0, 1) or -1 for no draw); keys [rows, slices, LENGTH] and sums [rows, slices] as room
// between the two; results [rows] of Result. results and done [rows] are the host's own memory, written across the bus, and the host waits for done[row] to
// be *stamp. At most 64 slices. A slice with very many equal logits gives up (UNUSABLE), and the host reads the row.
#include "sluice.cuh"

#define LENGTH 64
#define SLICE 8192
#define MOST_SLICES 64
#define GATHERED 2048   // of a slice
#define THREADS 512
#define WARPS (THREADS / 32)
#define HELD (SLICE / THREADS)

struct alignas(8) Asked
{
    float temperature, uniform;
};
struct alignas(16) Sums
{
    float max, total, tempered;
    u32 flags;
};
struct alignas(16) Result
{
    float total, tempered;
    int drawn;
    u32 flags;
    float logits[LENGTH];
    int ids[LENGTH];
};
static_assert(sizeof(Result) == 16 + 8 * LENGTH, "shortlist: RowBytes of LogitShortlists");
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

// Of one number of each warp.
DEVICE float max_of_warps(const float* values) { return warp_max(values[threadIdx.x % WARPS]); }
DEVICE float min_of_warps(const float* values) { return -warp_max(-values[threadIdx.x % WARPS]); }
DEVICE float sum_of_warps(const float* values) { return warp_sum(threadIdx.x % 32 < WARPS ? values[threadIdx.x % WARPS] : 0.0f); }

// Writes the LENGTH largest of `count` different keys, largest first, zeros where there are fewer. Four threads compare a key with a quarter each.
template <class Store>
DEVICE void largest(const u64* keys, int count, Store store)
{
    int thread = (int)threadIdx.x;
    if (thread < LENGTH && thread >= count)
        store(thread, 0);
#pragma unroll 1
    for (int first = 0; first < count; first += THREADS / 4)
    {
        int i = first + thread / 4;
        u64 mine = i < count ? keys[i] : ~0ull;
        u32 above = 0;
#pragma unroll 4
        for (int j = thread % 4; j < count; j += 4)
            above += keys[j] > mine;
        above += shuffle_xor(above, 1);
        above += shuffle_xor(above, 2);
        if (thread % 4 == 0 && i < count && above < LENGTH)
            store((int)above, mine);
    }
}

KERNEL __launch_bounds__(THREADS) shortlist_parts(const float* logits, int stride, int width, const Asked* asked, u64* keys, Sums* sums)
{
    __shared__ u64 gathered[GATHERED];
    __shared__ float maxima[THREADS];
    __shared__ float tops[WARPS], bars[WARPS], totals[WARPS], tempereds[WARPS];
    __shared__ u32 count, flags;
    int thread = (int)threadIdx.x, lane = thread % 32, warp = thread / 32, first = (int)blockIdx.x * SLICE;
    if (thread == 0)
        count = 0, flags = 0;
    dependency_wait();
    dependents_launch();
    Asked wanted = asked[blockIdx.y];
    const float* row = logits + (i64)blockIdx.y * stride + first;
    width -= first;

    float x[HELD];
#pragma unroll
    for (int j = 0; j < HELD; j += 4)
    {
        int at = thread * 4 + j * THREADS;
        if (at + 4 <= width)
        {
            *(float4_*)(x + j) = *(const float4_*)(row + at);
            continue;
        }
#pragma unroll
        for (int k = 0; k < 4; k++)
            x[j + k] = at + k < width ? row[at + k] : -INFINITY_;
    }
    float most = -INFINITY_;
    bool is_strange = false;
#pragma unroll
    for (int j = 0; j < HELD; j++)
    {
        is_strange = is_strange || !(x[j] < INFINITY_);
        most = fmax_(most, x[j]);
    }
    maxima[thread] = most;
    warp_sync();
    int above = 0;
#pragma unroll
    for (int i = 0; i < 32; i++)
    {
        float other = maxima[warp * 32 + i];
        above += other > most || (other == most && i < lane);
    }
    if (above == LENGTH / WARPS - 1)
        bars[warp] = most;
    if (above == 0)
        tops[warp] = most;
    block_sync();
    if (is_strange)
        or_shared(&flags, UNUSABLE);
    float max = max_of_warps(tops), bar = min_of_warps(bars), base = max > -INFINITY_ ? max : 0.0f;

    bool is_tempered = wanted.temperature > 0.0f && wanted.temperature != 1.0f;
    float factor = wanted.temperature > 0.0f ? reciprocal(wanted.temperature) : 0.0f, total = 0, tempered = 0;
#pragma unroll
    for (int j = 0; j < HELD; j++)
    {
        total += exp_(x[j] - base);
        if (x[j] >= bar && x[j] > -INFINITY_)
        {
            u32 at = add_shared(&count, 1);
            if (at < GATHERED)
                gathered[at] = key_of(x[j], first + thread * 4 + j / 4 * 4 * THREADS + j % 4);
        }
    }
    if (is_tempered)
    {
#pragma unroll
        for (int j = 0; j < HELD; j++)
            tempered += exp_((x[j] - base) * factor);
    }
    total = warp_sum(total);
    tempered = warp_sum(tempered);
    if (lane == 0)
        totals[warp] = total, tempereds[warp] = tempered;
    block_sync();
    i64 part = (i64)blockIdx.y * gridDim.x + blockIdx.x;
    if (warp == 0)
    {
        total = sum_of_warps(totals);
        tempered = is_tempered ? sum_of_warps(tempereds) : total;
        if (lane == 0)
            sums[part] = Sums{max, total, tempered, flags | (count > GATHERED ? UNUSABLE : 0)};
    }
    u64* target = keys + part * LENGTH;
    largest(gathered, min_((int)count, GATHERED), [&](int at, u64 key) { target[at] = key; });
}

// Walks the slice that a draw falls in, in the order of ids, by a whole block; `rest` is what of the draw is left for the slice.
DEVICE void draw(const float* row, int width, int slice, float rest, float max, float factor, float* scratch, u32* chosen, int* drawn)
{
    int thread = (int)threadIdx.x, first = slice * SLICE + thread * (HELD), lane = thread % 32, last = -1;
    float weights[HELD], own = 0;
#pragma unroll
    for (int i = 0; i < HELD; i++)
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
    for (int i = 0; i < HELD; i++)
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

// One warp's part of the merge, for up to 64 slices: the sums of the row and, if one is wanted, the slice that a draw falls in and what is left of it there.
DEVICE void add_up(Sums* parts, int slices, Asked wanted, Result& result, u32* flags, float* row_max, int* slice, float* rest)
{
    int lane = threadIdx.x % 32;
    float max = -INFINITY_, total = 0, tempered = 0, factor = wanted.temperature > 0.0f ? reciprocal(wanted.temperature) : 0.0f;
    for (int i = lane; i < slices; i += 32)
        max = fmax_(max, parts[i].max);
    max = warp_max(max);
    for (int i = lane; i < slices; i += 32)
    {
        Sums& part = parts[i];
        if (part.flags != 0)
            or_shared(flags, part.flags);
        if (!(part.max > -INFINITY_))
            continue;
        total += part.total * exp_(part.max - max);
        tempered += part.tempered *= exp_((part.max - max) * factor);
    }
    total = warp_sum(total);
    tempered = warp_sum(tempered);
    warp_sync();
    if (lane > 0)
        return;
    result.total = total, result.tempered = tempered, result.drawn = -1;
    result.flags = *flags | (max > -INFINITY_ ? 0 : UNUSABLE);
    *row_max = max;
    float target = wanted.uniform * tempered;
#pragma unroll 1
    for (int i = 0; i < slices && wanted.uniform >= 0.0f && wanted.temperature > 0.0f; i++)
    {
        if (parts[i].max == -INFINITY_)
            continue;
        *slice = i, *rest = target;             // the last one with any weight, should rounding lead past the end
        target -= parts[i].tempered;
        if (target < 0.0f)
            break;
    }
}

KERNEL __launch_bounds__(THREADS) shortlist_merge(
    const float* logits, int stride, int width, const Asked* asked, const u64* keys, const Sums* sums, int slices, Result* results, int* done, const int* stamp)
{
    __shared__ u64 gathered[MOST_SLICES * LENGTH];
    __shared__ u64 lasts[MOST_SLICES], nths[MOST_SLICES];
    __shared__ Sums parts[MOST_SLICES];
    __shared__ Result result;
    __shared__ float scratch[WARPS];
    __shared__ u32 count, flags, chosen;
    __shared__ int slice;
    __shared__ float rest, max;
    int thread = (int)threadIdx.x;
    if (thread == 0)
        count = 0, flags = 0, chosen = 0xffffffffu, slice = -1;
    dependency_wait();
    dependents_launch();
    Asked wanted = asked[blockIdx.x];
    keys += (i64)blockIdx.x * slices * LENGTH;
    u64 own[MOST_SLICES * LENGTH / THREADS];
#pragma unroll
    for (int i = 0; i < MOST_SLICES * LENGTH / THREADS; i++)
        own[i] = thread + i * THREADS < slices * LENGTH ? keys[thread + i * THREADS] : 0;
    if (thread < slices)
    {
        parts[thread] = sums[(i64)blockIdx.x * slices + thread];
        lasts[thread] = keys[thread * LENGTH + LENGTH - 1];
        nths[thread] = keys[thread * LENGTH + ceil_div(LENGTH, slices) - 1];
    }
    block_sync();

    if (thread / 32 == WARPS - 1)
        add_up(parts, slices, wanted, result, &flags, &max, &slice, &rest);
    u64 bar = 0, least = ~0ull;
#pragma unroll 4
    for (int i = 0; i < slices; i++)
    {
        bar = lasts[i] > bar ? lasts[i] : bar;
        least = nths[i] < least ? nths[i] : least;
    }
    bar = least > bar ? least : bar;
#pragma unroll
    for (int i = 0; i < MOST_SLICES * LENGTH / THREADS; i++)
    {
        if (own[i] != 0 && own[i] >= bar)
            gathered[add_shared(&count, 1)] = own[i];
    }
    block_sync();
    largest(gathered, (int)count, [&](int at, u64 key)
    {
        result.logits[at] = key == 0 ? -INFINITY_ : from_ordered((u32)(key >> 32));
        result.ids[at] = key == 0 ? -1 : (int)~(u32)key;
    });
    if (slice >= 0)
        draw(logits + (i64)blockIdx.x * stride, width, slice, rest, max, reciprocal(wanted.temperature), scratch, &chosen, &result.drawn);

    // By one warp, in few large pieces: each crosses the bus by itself.
    block_sync();
    if (thread >= 32)
        return;
    for (int i = thread; i < (int)(sizeof(Result) / sizeof(vec16)); i += 32)
        store16((vec16*)(results + blockIdx.x) + i, ((vec16*)&result)[i]);
    warp_sync();
    if (thread == 0)
    {
        fence_system();
        store_relaxed_system(done + blockIdx.x, *stamp);
    }
}
