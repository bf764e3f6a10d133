// The choice of experts and the order in which the experts' kernel works: what route.cu and route_beside_shared.cu share.
//
// Choice: per row the TOP_K largest of EXPERTS logits (equal ones by lower index), largest first, with weights softmax(logits) over all experts,
// divided by their sum if NORMALISE. A warp a row: each lane holds every 32nd logit as an integer that orders as the float does. Whatever is among
// the TOP_K largest is not below the TOP_K-th of the lanes' maxima, and little else is not: that is put in order by counting, each, what is above it.
//
// Alignment is a counting sort of the assignments (row x TOP_K + k) by expert, ascending within one: a bit for each row and expert, from which
// a rank is a count of bits, so that the order does not depend on timing. It writes
//   sorted [rows x TOP_K]          assignments in that order
//   plan   [1 + tiles] of 4 ints   plan[0] = (tiles, 0, 0, 0), then for each tile (expert, first place in sorted, count, 0): at most tile_rows
//                                  assignments of one expert (tile_rows a multiple of 8), an expert's tiles being about equal
//   ready  [tiles]                 zeroed: how many blocks of the tile's inner activations are done, for the experts' kernel
// There are at most min(EXPERTS, assignments) + assignments / tile_rows tiles; let plan hold 1 + max(256, that), ready max(256, that).
//
// Macros: EXPERTS (2 to 1024), TOP_K (at most 32 and EXPERTS), NORMALISE, CHUNK (rows aligned at a time, a multiple of 32), WARPS.
#pragma once
#include "sluice.cuh"

#ifndef EXPERTS
#define EXPERTS 512
#endif
#ifndef TOP_K
#define TOP_K 10
#endif
#ifndef NORMALISE
#define NORMALISE 1
#endif
#define THREADS (32 * WARPS)
#define HELD ((EXPERTS + 31) / 32)
#define WORDS (CHUNK / 32)
// Assignments of one thread in alignment.
#define HELD_ASSIGNMENTS ((CHUNK * TOP_K + THREADS - 1) / THREADS)
// Experts of one thread in the scan, consecutive.
#define SCANNED ((EXPERTS + THREADS - 1) / THREADS)
// Keys of shared memory that a warp needs to choose.
#define CANDIDATES (TOP_K * HELD > 32 ? TOP_K * HELD : 32)
#define ROOM (CANDIDATES + TOP_K)
static_assert(TOP_K <= 32 && TOP_K <= EXPERTS && EXPERTS <= 1024 && WORDS <= 8, "route: shape");

DEVICE int count_bits(u32 value)
{
    u32 result;
    asm("popc.b32 %0, %1;" : "=r"(result) : "r"(value));
    return (int)result;
}
DEVICE u32 ballot(bool is)
{
    u32 lanes;
    asm volatile("{.reg .pred p; setp.ne.u32 p, %1, 0; vote.sync.ballot.b32 %0, p, 0xffffffff;}" : "=r"(lanes) : "r"((u32)is));
    return lanes;
}
DEVICE void add_shared(u32* word, u32 value) { asm volatile("red.shared.add.u32 [%0], %1;" ::"r"(shared_address(word)), "r"(value) : "memory"); }
DEVICE u32 warp_min(u32 value)
{
    u32 result;
    asm volatile("redux.sync.min.u32 %0, %1, 0xffffffff;" : "=r"(result) : "r"(value));
    return result;
}
// Floats as integers of the same order; 0 is less than any, and -0 is the same as 0.
DEVICE u32 ordered(float value)
{
    u32 bits = as_bits(value + 0.0f);
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return bits == 0 ? 1 : bits;
}
DEVICE float unordered(u32 key) { return as_float(key >> 31 ? key & 0x7fffffffu : ~key); }

// Larger logits first, equal ones by lower index; never 0.
DEVICE u64 key_of(u32 ordered_logit, int expert) { return (u64)ordered_logit << 32 | (u32)~expert; }

// The choice where so many logits equal the bar that there is no room for all: those above it, which are less than TOP_K, then the first that equal it.
DEVICE void choose_among_equals(const u32 (&keys)[HELD], u32 bar, u64* chosen)
{
    int lane = threadIdx.x % 32, found = 0;
    u64 last = ~0ull;
    while (found < TOP_K)
    {
        u64 best = 0;
#pragma unroll
        for (int j = 0; j < HELD; j++)
        {
            u64 key = key_of(keys[j], lane + 32 * j);
            best = keys[j] >= bar && key < last && key > best ? key : best;
        }
#pragma unroll
        for (int mask = 16; mask > 0; mask /= 2)
        {
            u64 other = (u64)shuffle_xor((u32)(best >> 32), mask) << 32 | shuffle_xor((u32)best, mask);
            best = other > best ? other : best;
        }
        if (lane == 0)
            chosen[found] = best;
        last = best;
        found++;
    }
}

// One warp's choice for one row: lane k gets the k-th expert and its weight. `room` is ROOM keys of shared memory of this warp's own.
DEVICE void choose(const float* logits, u64* room, int& my_expert, float& my_weight)
{
    int lane = threadIdx.x % 32;
    u32 keys[HELD];
#pragma unroll
    for (int j = 0; j < HELD; j++)
        keys[j] = lane + 32 * j < EXPERTS ? ordered(logits[lane + 32 * j]) : 0;
    u32 most = keys[0];
#pragma unroll
    for (int j = 1; j < HELD; j++)
        most = keys[j] > most ? keys[j] : most;
    u32* maxima = (u32*)room;
    maxima[lane] = most;
    warp_sync();
    int above = 0;
#pragma unroll
    for (int i = 0; i < 32; i += 2)
    {
        vec8 others = *(const vec8*)(maxima + i);
        above += (others.word[0] > most) + (others.word[1] > most);
    }
    u32 bar = warp_min(above < TOP_K ? most : 0xffffffffu);

    warp_sync();
    int count = 0;
#pragma unroll
    for (int j = 0; j < HELD; j++)
    {
        u32 lanes = ballot(keys[j] >= bar);
        int place = count + count_bits(lanes & ((1u << lane) - 1));
        if (keys[j] >= bar && place < CANDIDATES)
            room[place] = key_of(keys[j], lane + 32 * j);
        count += count_bits(lanes);
    }
    u64* chosen = room + CANDIDATES;
    warp_sync();
    if (count > CANDIDATES)
        choose_among_equals(keys, bar, chosen);
    for (int i = lane; i < count && count <= CANDIDATES; i += 32)
    {
        u64 mine = room[i];
        above = 0;
#pragma unroll 4
        for (int other = 0; other < count; other++)
            above += room[other] > mine;
        if (above < TOP_K)
            chosen[above] = mine;
    }
    warp_sync();
    u64 mine = chosen[min_(lane, TOP_K - 1)];
    float largest = unordered((u32)(chosen[0] >> 32));
    my_expert = (int)~(u32)mine;
    float weight = lane < TOP_K ? exp_(unordered((u32)(mine >> 32)) - largest) : 0;
    float all = weight;
    if (!NORMALISE)
    {
        all = 0;
#pragma unroll
        for (int j = 0; j < HELD; j++)
            all += keys[j] != 0 ? exp_(unordered(keys[j]) - largest) : 0;
    }
    my_weight = weight * reciprocal(warp_sum(all));
}

// The alignment of a single row by the warp that chose for it.
DEVICE void align_one(int my_expert, int* sorted, int* plan, int* ready)
{
    int lane = threadIdx.x % 32, place = 0;
#pragma unroll
    for (int k = 0; k < TOP_K; k++)
        place += (int)shuffle((u32)my_expert, k) < my_expert;
    if (lane < TOP_K)
    {
        sorted[place] = lane;
        store16(plan + 4 * (1 + place), vec16{{(u32)my_expert, (u32)place, 1, 0}});
        ready[place] = 0;
    }
    if (lane == 0)
        store16(plan, vec16{{TOP_K, 0, 0, 0}});
}

// One warp's choice for one row, written down; lane k returns the k-th expert.
DEVICE int route_row(const float* logits, int logits_stride, u64* room, int row, int* ids, float* weights)
{
    int lane = threadIdx.x % 32, expert;
    float weight;
    choose(logits + (i64)row * logits_stride, room + threadIdx.x / 32 * ROOM, expert, weight);
    if (lane < TOP_K)
    {
        ids[row * TOP_K + lane] = expert;
        weights[row * TOP_K + lane] = weight;
    }
    return expert;
}

// Two sums over the threads before this one; the second's over all.
DEVICE void scan(u32& first, u32& second, u32& all_second, u32 (*warp_sums)[WARPS])
{
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 a = first, b = second;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2)
    {
        u32 other_a = as_bits(shuffle_up(as_float(a), distance)), other_b = as_bits(shuffle_up(as_float(b), distance));
        a += lane >= distance ? other_a : 0;
        b += lane >= distance ? other_b : 0;
    }
    if (lane == 31)
    {
        warp_sums[0][warp] = a;
        warp_sums[1][warp] = b;
    }
    block_sync();
    first = a - first;
    second = b - second;
    all_second = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++)
    {
        first += w < warp ? warp_sums[0][w] : 0;
        second += w < warp ? warp_sums[1][w] : 0;
        all_second += warp_sums[1][w];
    }
}

// What alignment keeps in shared memory. `chosen` begins as zeros.
struct Alignment
{
    vec16 chosen[(WORDS * EXPERTS + 3) / 4];
    u64 before[EXPERTS];        // how often an expert was chosen before each 32 rows, a byte each
    u32 warp_sums[2][WARPS];    // before what is of odd length: read in wide loads, which else would touch both
    int places[EXPERTS];

    DEVICE u32& word(int row, int expert) { return ((u32*)chosen)[row / 32 * EXPERTS + expert]; }
    DEVICE void clear()
    {
        for (int i = threadIdx.x; i < (WORDS * EXPERTS + 3) / 4; i += THREADS)
            chosen[i] = vec16{};
    }
};

// Assignment threadIdx.x + j THREADS of `assignments` in experts[j].
DEVICE void load_assignments(int (&experts)[HELD_ASSIGNMENTS], const int* ids, int assignments)
{
#pragma unroll
    for (int j = 0; j < HELD_ASSIGNMENTS; j++)
        experts[j] = (int)threadIdx.x + j * THREADS < assignments ? ids[(int)threadIdx.x + j * THREADS] : 0;
}

// The alignment of one chunk of rows by one block, which has the chunk's assignments in `experts`; `counts` may be null if there is only this chunk.
DEVICE void align(
    Alignment& shared, const int (&experts)[HELD_ASSIGNMENTS], const int* counts, int* sorted, int* plan, int* ready, int rows, int tile_rows, int chunk,
    int chunks)
{
    int first_row = chunk * CHUNK;
    int assignments = min_(rows - first_row, CHUNK) * TOP_K;
    block_sync();
#pragma unroll
    for (int j = 0; j < HELD_ASSIGNMENTS; j++)
    {
        int i = threadIdx.x + j * THREADS;
        if (i < assignments)
            or_shared(&shared.word(i / TOP_K, experts[j]), 1u << (i / TOP_K % 32));
    }
    block_sync();

    int first_expert = threadIdx.x * SCANNED;
    int total[SCANNED], before[SCANNED];
    u32 place = 0, tile = 0, tiles;
#pragma unroll
    for (int p = 0; p < SCANNED; p++)
    {
        int expert = first_expert + p;
        total[p] = before[p] = 0;
        if (expert < EXPERTS)
        {
            u64 earlier = 0;
            u32 here = 0;
#pragma unroll
            for (int w = 0; w < WORDS; w++)
            {
                earlier |= (u64)here << (8 * w);
                here += count_bits(shared.word(32 * w, expert));
            }
            shared.before[expert] = earlier;
            if (chunks == 1)
                total[p] = (int)here;
            else
            {
#pragma unroll 8
                for (int c = 0; c < chunks; c++)
                {
                    int count = counts[c * EXPERTS + expert];
                    total[p] += count;
                    before[p] += c < chunk ? count : 0;
                }
            }
        }
        place += total[p];
        tile += ceil_div(total[p], tile_rows);
    }
    scan(place, tile, tiles, shared.warp_sums);

#pragma unroll
    for (int p = 0; p < SCANNED; p++)
    {
        u32 expert = first_expert + p;
        if (expert < EXPERTS)
            shared.places[expert] = (int)place + before[p];
        int pieces = ceil_div(total[p], tile_rows);
        int piece = pieces == 0 ? 0 : ceil_div(ceil_div(total[p], pieces), 8) * 8;
        for (int i = 0; chunk == 0 && i < pieces; i++, tile++)
        {
            u32 count = min_(piece, total[p] - i * piece);
            store16(plan + 4 * (1 + tile), vec16{{expert, place + i * piece, count, 0}});
            ready[tile] = 0;
        }
        place += total[p];
    }
    if (chunk == 0 && threadIdx.x == 0)
        store16(plan, vec16{{tiles, 0, 0, 0}});
    block_sync();

#pragma unroll
    for (int j = 0; j < HELD_ASSIGNMENTS; j++)
    {
        int i = threadIdx.x + j * THREADS, row = i / TOP_K;
        if (i < assignments)
        {
            int rank = count_bits(shared.word(row, experts[j]) & ((1u << (row % 32)) - 1));
            rank += (int)(shared.before[experts[j]] >> (row / 32 * 8)) & 0xff;
            sorted[shared.places[experts[j]] + rank] = first_row * TOP_K + i;
        }
    }
}
