// What every kernel shares: types, vector loads, warp reductions, the PTX instructions that C++ has no word for, and how a step and
// the cache arena look from the device. No CUDA header is included, so that NVRTC needs no installation beside its library and clang
// can compile every kernel where there is no GPU.
#pragma once

#if defined(__clang__)
#include <__clang_cuda_builtin_vars.h>
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#define __forceinline__ inline __attribute__((always_inline))
#define __grid_constant__
#endif

#define DEVICE __device__ __forceinline__
#define KERNEL extern "C" __global__ void

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// ---- numbers ---------------------------------------------------------------------------------------------------------------

// A bfloat16 as stored. Arithmetic is in float32; only matrix instructions take it as it is.
struct bf16
{
    u16 bits;
};

DEVICE float as_float(u32 bits) { return __builtin_bit_cast(float, bits); }
DEVICE u32 as_bits(float value) { return __builtin_bit_cast(u32, value); }
DEVICE float to_float(bf16 value) { return as_float((u32)value.bits << 16); }
DEVICE float low(u32 pair) { return as_float(pair << 16); }
DEVICE float high(u32 pair) { return as_float(pair & 0xffff0000u); }

// Two floats as a pair of bfloat16, rounded to nearest even; the first in the low half.
DEVICE u32 pack(float first, float second)
{
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

DEVICE bf16 to_bf16(float value) { return bf16{(u16)pack(value, 0.0f)}; }

// 2^x, e^x, 1/sqrt(x), 1/x and ln(x) by the special function unit: about 2^-22 of relative error, far below bfloat16's 2^-9.
DEVICE float exp2_(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEVICE float exp_(float x) { return exp2_(x * 1.4426950408889634f); }
DEVICE float rsqrt_(float x)
{
    float y;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEVICE float reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEVICE float log_(float x)
{
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y * 0.6931471805599453f;
}
DEVICE float sigmoid(float x) { return reciprocal(1.0f + exp_(-x)); }
DEVICE float silu(float x) { return x * sigmoid(x); }
// ln(1 + e^x); below -8, where 1 + e^x would round the answer away, e^x itself.
DEVICE float softplus(float x) { return x > 20.0f ? x : x < -8.0f ? exp_(x) : log_(1.0f + exp_(x)); }

DEVICE float fmax_(float a, float b)
{
    float y;
    asm("max.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
    return y;
}
DEVICE int min_(int a, int b) { return a < b ? a : b; }
DEVICE int max_(int a, int b) { return a > b ? a : b; }
DEVICE int ceil_div(int a, int b) { return (a + b - 1) / b; }
#define INFINITY_ as_float(0x7f800000u)
#define NAN_ as_float(0x7fc00000u)

// ---- memory ----------------------------------------------------------------------------------------------------------------

// Sixteen bytes: eight bfloat16 or four floats, one load.
struct alignas(16) vec16
{
    u32 word[4];
};
struct alignas(8) vec8
{
    u32 word[2];
};
struct alignas(16) float4_
{
    float x, y, z, w;
};

DEVICE vec16 load16(const void* address) { return *(const vec16*)address; }
DEVICE void store16(void* address, vec16 value) { *(vec16*)address = value; }

// Through the read-only path, not kept in the first-level cache: for weights, read once by one block.
DEVICE vec16 load16_stream(const void* address)
{
    vec16 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
        : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3]) : "l"(address));
    return v;
}

// From the host's memory, which may have changed since the last kernel.
DEVICE vec16 load16_host(const void* address)
{
    vec16 v;
    asm volatile("ld.volatile.global.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3]) : "l"(address) : "memory");
    return v;
}

DEVICE void unpack(vec16 v, float* out)
{
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        out[2 * i] = low(v.word[i]);
        out[2 * i + 1] = high(v.word[i]);
    }
}

DEVICE vec16 pack8(const float* values)
{
    vec16 v;
#pragma unroll
    for (int i = 0; i < 4; i++)
        v.word[i] = pack(values[2 * i], values[2 * i + 1]);
    return v;
}

// Eight neighbouring numbers of either kind.
DEVICE void load_eight(float (&values)[8], const bf16* from) { unpack(load16(from), values); }
DEVICE void load_eight(float (&values)[8], const float* from)
{
    float4_ a = *(const float4_*)from, b = *(const float4_*)(from + 4);
    values[0] = a.x, values[1] = a.y, values[2] = a.z, values[3] = a.w, values[4] = b.x, values[5] = b.y, values[6] = b.z, values[7] = b.w;
}
DEVICE void store_eight(bf16* to, const float (&values)[8]) { store16(to, pack8(values)); }
DEVICE void store_eight(float* to, const float (&values)[8])
{
    *(float4_*)to = float4_{values[0], values[1], values[2], values[3]};
    *(float4_*)(to + 4) = float4_{values[4], values[5], values[6], values[7]};
}

// Shared memory's 32-bit address, as PTX wants it.
DEVICE u32 shared_address(const void* pointer)
{
    u64 address;
    asm("cvta.to.shared.u64 %0, %1;" : "=l"(address) : "l"(pointer));
    return (u32)address;
}

DEVICE void or_shared(u32* word, u32 bits) { asm volatile("red.shared.or.b32 [%0], %1;" ::"r"(shared_address(word)), "r"(bits) : "memory"); }

DEVICE void copy16_async(u32 shared, const void* global)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(global) : "memory");
}
// Copies the first `bytes` (0 to 16) and fills the rest with zeros.
DEVICE void copy16_async(u32 shared, const void* global, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(bytes) : "memory");
}
DEVICE void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Pending>
DEVICE void copies_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

// Asks for memory to be brought into the second-level cache, without waiting: `pieces` of 2 KiB for each block of so many threads, block after block.
#define AHEAD_PIECE 2048
DEVICE void fetch_ahead(const u8* from, int block, int pieces, int threads)
{
    from += (i64)block * pieces * AHEAD_PIECE;
#pragma unroll 1
    for (int i = (int)threadIdx.x; i < pieces; i += threads)
        asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from + i * AHEAD_PIECE), "n"(AHEAD_PIECE) : "memory");
}

// ---- threads ---------------------------------------------------------------------------------------------------------------

DEVICE void block_sync() { asm volatile("bar.sync 0;" ::: "memory"); }
DEVICE void warp_sync() { asm volatile("bar.warp.sync 0xffffffff;" ::: "memory"); }
// A barrier among `threads` threads of the block (a multiple of 32), named 1 to 15.
DEVICE void named_sync(int name, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(name), "r"(threads) : "memory"); }

DEVICE u32 shuffle_xor(u32 value, int mask)
{
    u32 result;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=r"(result) : "r"(value), "r"(mask));
    return result;
}
DEVICE float shuffle_xor(float value, int mask) { return as_float(shuffle_xor(as_bits(value), mask)); }
DEVICE u32 shuffle(u32 value, int lane)
{
    u32 result;
    asm volatile("shfl.sync.idx.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=r"(result) : "r"(value), "r"(lane));
    return result;
}
DEVICE float shuffle(float value, int lane) { return as_float(shuffle(as_bits(value), lane)); }
DEVICE float shuffle_up(float value, int lanes)
{
    u32 result;
    asm volatile("shfl.sync.up.b32 %0, %1, %2, 0, 0xffffffff;" : "=r"(result) : "r"(as_bits(value)), "r"(lanes));
    return as_float(result);
}

DEVICE float warp_sum(float value)
{
#pragma unroll
    for (int mask = 16; mask > 0; mask >>= 1)
        value += shuffle_xor(value, mask);
    return value;
}
DEVICE float warp_max(float value)
{
#pragma unroll
    for (int mask = 16; mask > 0; mask >>= 1)
        value = fmax_(value, shuffle_xor(value, mask));
    return value;
}

// The sum over a block of at most 1024 threads, for every thread. `scratch` is 32 floats of shared memory, free again after the call.
DEVICE float block_sum(float value, float* scratch)
{
    value = warp_sum(value);
    int warps = (int)(blockDim.x + 31) / 32;
    if (threadIdx.x % 32 == 0)
        scratch[threadIdx.x / 32] = value;
    block_sync();
    value = warp_sum((int)(threadIdx.x % 32) < warps ? scratch[threadIdx.x % 32] : 0.0f);
    block_sync();
    return value;
}

// Programmatic dependent launch: wait for what the kernel before wrote; let the kernel after begin. Without the launch attribute both
// do nothing.
DEVICE void dependency_wait() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
DEVICE void dependents_launch() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }

// ---- matrix instructions -----------------------------------------------------------------------------------------------------

// Four 8x8 tiles of 16-bit elements; lane l gives the address of row l % 8 of tile l / 8.
DEVICE void load_tiles(u32 (&tile)[4], u32 shared)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(tile[0]), "=r"(tile[1]), "=r"(tile[2]), "=r"(tile[3]) : "r"(shared) : "memory");
}
DEVICE void load_tiles_transposed(u32 (&tile)[4], u32 shared)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(tile[0]), "=r"(tile[1]), "=r"(tile[2]), "=r"(tile[3]) : "r"(shared) : "memory");
}

// d += a b for a 16x16 (row major), b 16x8 (column major), d 16x8 in float32.
DEVICE void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// ---- a step ------------------------------------------------------------------------------------------------------------------

#define PAGE_TOKENS 16

// One sequence's part of a step; its pages are Step::pages[first_page...], its exports Step::exports[first_export...].
struct Span
{
    int first_row, count, first_position, slot, first_page, first_export, export_count, unused;
};

// The state after the first `length` tokens of a span goes to `slot` too.
struct Export
{
    int length, slot;
};

// What a step computes; the pointers stay the same for the life of the backend, so that graphs may hold them.
struct Step
{
    const int* tokens;      // [rows]
    const int* positions;   // [rows]
    const int* sequence;    // [rows], the span of each row
    const Span* spans;      // [sequences]
    const int* pages;       // page tables of all spans
    const Export* exports;  // of all spans
    const int* logit_rows;
    const int* counts;      // rows, sequences, exports, logit rows, stamp of the shortlists, words of the whole
};

// The arena's KV pages. A layer of a page is [kv head][keys | values][head dim / 64, rounded up][16 tokens][64 elements], bfloat16, the eight
// 16-byte groups of each 128-byte line swizzled by the token (group ^ token % 8): copied as it is, it is what ldmatrix and wgmma
// (128-byte swizzle) read without bank conflicts. Elements beyond the head dimension are zero.
struct Pages
{
    u8* arena;
    i64 superblock_bytes, page_bytes, layer_bytes;
    int pages_per_superblock;
    int unused;
};

DEVICE u8* page_address(const Pages& pages, int page, int layer)
{
    return pages.arena + (i64)(page / pages.pages_per_superblock) * pages.superblock_bytes
        + (i64)(page % pages.pages_per_superblock) * pages.page_bytes + layer * pages.layer_bytes;
}

// Bytes from the keys of a head in a page to those of the next head, and half of it to the head's values.
DEVICE constexpr int head_bytes(int head_dim) { return 2 * PAGE_TOKENS * ((head_dim + 63) / 64) * 128; }

// Byte offset of eight elements from `dim` (a multiple of 8) of a token in a page, from the head's keys or values.
DEVICE int page_offset(int token, int dim) { return (dim / 64) * (PAGE_TOKENS * 128) + token * 128 + ((((dim / 8) % 8) ^ (token % 8)) * 16); }

// The arena's states. A layer of a slot is [value heads, key dim, value dim] of recurrent state, then [taps - 1, channels] of the convolution's
// last inputs, oldest first; all float32.
struct States
{
    u8* arena;
    const int* slots;       // [slot, superblocks_per_slot]
    i64 superblock_bytes, layer_bytes;
    int superblocks_per_slot, layers_per_superblock;
};

DEVICE float* state_address(const States& states, int slot, int layer)
{
    int superblock = states.slots[slot * states.superblocks_per_slot + layer / states.layers_per_superblock];
    return (float*)(states.arena + superblock * states.superblock_bytes + (layer % states.layers_per_superblock) * states.layer_bytes);
}

// ---- barriers in shared memory, bulk copies, warpgroup matrix instructions (Hopper) ------------------------------------------------

// A barrier is 8 bytes of shared memory that counts arrivals and, for bulk copies, bytes. Its phases alternate in parity, the first is 0;
// waiting for parity 1 on a fresh one returns at once.
DEVICE void barrier_init(u32 barrier, int arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// After all barrier_init and before block_sync: the copy engine sees the barriers too.
DEVICE void barrier_init_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
DEVICE void barrier_arrive(u32 barrier) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory"); }
// Arrives and adds `bytes` that the phase waits for.
DEVICE void barrier_expect(u32 barrier, int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
// Arrives when this thread's copy16_async so far are done; it is one of the arrivals that barrier_init was told of.
DEVICE void barrier_arrive_copies(u32 barrier)
{
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}
DEVICE void barrier_wait(u32 barrier, u32 parity)
{
    u32 done;
    do
        asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
            : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
    while (done == 0);
}
// `bytes` (a multiple of 16, as both addresses) by the copy engine; they count on the barrier.
DEVICE void copy_bulk(u32 shared, const void* global, int bytes, u32 barrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        ::"r"(shared), "l"(global), "r"(bytes), "r"(barrier) : "memory");
}
// Between the writing of shared memory by ordinary stores or copy16_async and its reading by wgmma or the copy engine.
DEVICE void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// The whole device sees what this thread, and those it met in a barrier before, wrote; and this thread what they saw.
DEVICE void fence_system() { asm volatile("fence.acq_rel.sys;" ::: "memory"); }
DEVICE void store_relaxed_system(int* address, int value) { asm volatile("st.relaxed.sys.global.s32 [%0], %1;" ::"l"(address), "r"(value) : "memory"); }
DEVICE void fence_device() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }
DEVICE u32 load_acquire(const void* address)
{
    u32 value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(address) : "memory");
    return value;
}
DEVICE void add_relaxed(void* address, u32 value)
{
    asm volatile("red.relaxed.gpu.global.add.u32 [%0], %1;" ::"l"(address), "r"(value) : "memory");
}

// An 8x8 matrix of bfloat16 over a warp (lane l: row l / 4, columns 2 (l % 4) and the next) to its transpose.
DEVICE u32 transpose(u32 pair)
{
    u32 result;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(pair));
    return result;
}

// wgmma's view of rows of 64 bfloat16 (128 bytes) in shared memory, 128-byte swizzled (16-byte group g of row r lies at g ^ r % 8), from a
// multiple of 1024 bytes. Sixteen elements further along the rows is + 2.
DEVICE u64 group_operand(u32 shared) { return (u64)((shared >> 4) & 0x3fff) | (1ull << 16) | (64ull << 32) | (1ull << 62); }
DEVICE void group_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void group_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int Pending>
DEVICE void group_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}
// Keeps the compiler from moving reads and writes of accumulators across.
template <int Count>
DEVICE void group_hold(float (&d)[Count])
{
#pragma unroll
    for (int i = 0; i < Count; i++)
        asm volatile("" : "+f"(d[i])::"memory");
}

#define WGMMA_R1 "%0,%1,%2,%3,%4,%5,%6,%7"
#define WGMMA_R2 WGMMA_R1 "," "%8,%9,%10,%11,%12,%13,%14,%15"
#define WGMMA_R3 WGMMA_R2 "," "%16,%17,%18,%19,%20,%21,%22,%23"
#define WGMMA_R4 WGMMA_R3 "," "%24,%25,%26,%27,%28,%29,%30,%31"
#define WGMMA_R5 WGMMA_R4 "," "%32,%33,%34,%35,%36,%37,%38,%39"
#define WGMMA_R6 WGMMA_R5 "," "%40,%41,%42,%43,%44,%45,%46,%47"
#define WGMMA_R7 WGMMA_R6 "," "%48,%49,%50,%51,%52,%53,%54,%55"
#define WGMMA_R8 WGMMA_R7 "," "%56,%57,%58,%59,%60,%61,%62,%63"
#define WGMMA_R9 WGMMA_R8 "," "%64,%65,%66,%67,%68,%69,%70,%71"
#define WGMMA_R10 WGMMA_R9 "," "%72,%73,%74,%75,%76,%77,%78,%79"
#define WGMMA_R11 WGMMA_R10 "," "%80,%81,%82,%83,%84,%85,%86,%87"
#define WGMMA_R12 WGMMA_R11 "," "%88,%89,%90,%91,%92,%93,%94,%95"
#define WGMMA_R13 WGMMA_R12 "," "%96,%97,%98,%99,%100,%101,%102,%103"
#define WGMMA_R14 WGMMA_R13 "," "%104,%105,%106,%107,%108,%109,%110,%111"
#define WGMMA_R15 WGMMA_R14 "," "%112,%113,%114,%115,%116,%117,%118,%119"
#define WGMMA_R16 WGMMA_R15 "," "%120,%121,%122,%123,%124,%125,%126,%127"
#define WGMMA_D(i) \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define WGMMA_D1 WGMMA_D(0)
#define WGMMA_D2 WGMMA_D1, WGMMA_D(8)
#define WGMMA_D3 WGMMA_D2, WGMMA_D(16)
#define WGMMA_D4 WGMMA_D3, WGMMA_D(24)
#define WGMMA_D5 WGMMA_D4, WGMMA_D(32)
#define WGMMA_D6 WGMMA_D5, WGMMA_D(40)
#define WGMMA_D7 WGMMA_D6, WGMMA_D(48)
#define WGMMA_D8 WGMMA_D7, WGMMA_D(56)
#define WGMMA_D9 WGMMA_D8, WGMMA_D(64)
#define WGMMA_D10 WGMMA_D9, WGMMA_D(72)
#define WGMMA_D11 WGMMA_D10, WGMMA_D(80)
#define WGMMA_D12 WGMMA_D11, WGMMA_D(88)
#define WGMMA_D13 WGMMA_D12, WGMMA_D(96)
#define WGMMA_D14 WGMMA_D13, WGMMA_D(104)
#define WGMMA_D15 WGMMA_D14, WGMMA_D(112)
#define WGMMA_D16 WGMMA_D15, WGMMA_D(120)
#define WGMMA(n, registers, first, second, accumulate, ...) \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " accumulate ", 0;\n" \
        "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" registers "}, " first ", " second ", p, 1, 1, 0, 0;\n}" \
        : __VA_ARGS__ : "l"(a), "l"(b), "r"(1))

// d += a b^T by the four warps of a group: a 64x16, b N x 16, both in shared memory (group_operand). Warp w holds rows 16 w and on, of every eight
// columns what `multiply` holds. Between group_fence and group_commit.
template <int N>
DEVICE void multiply_group(float (&d)[N / 2], u64 a, u64 b)
{
    if constexpr (N == 8)
        WGMMA(8, "%0,%1,%2,%3", "%4", "%5", "%6", "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]));
    else if constexpr (N == 16)
        WGMMA(16, WGMMA_R1, "%8", "%9", "%10", WGMMA_D1);
    else if constexpr (N == 32)
        WGMMA(32, WGMMA_R2, "%16", "%17", "%18", WGMMA_D2);
    else if constexpr (N == 48)
        WGMMA(48, WGMMA_R3, "%24", "%25", "%26", WGMMA_D3);
    else if constexpr (N == 64)
        WGMMA(64, WGMMA_R4, "%32", "%33", "%34", WGMMA_D4);
    else if constexpr (N == 80)
        WGMMA(80, WGMMA_R5, "%40", "%41", "%42", WGMMA_D5);
    else if constexpr (N == 96)
        WGMMA(96, WGMMA_R6, "%48", "%49", "%50", WGMMA_D6);
    else if constexpr (N == 112)
        WGMMA(112, WGMMA_R7, "%56", "%57", "%58", WGMMA_D7);
    else if constexpr (N == 128)
        WGMMA(128, WGMMA_R8, "%64", "%65", "%66", WGMMA_D8);
    else if constexpr (N == 144)
        WGMMA(144, WGMMA_R9, "%72", "%73", "%74", WGMMA_D9);
    else if constexpr (N == 160)
        WGMMA(160, WGMMA_R10, "%80", "%81", "%82", WGMMA_D10);
    else if constexpr (N == 176)
        WGMMA(176, WGMMA_R11, "%88", "%89", "%90", WGMMA_D11);
    else if constexpr (N == 192)
        WGMMA(192, WGMMA_R12, "%96", "%97", "%98", WGMMA_D12);
    else if constexpr (N == 224)
        WGMMA(224, WGMMA_R14, "%112", "%113", "%114", WGMMA_D14);
    else if constexpr (N == 256)
        WGMMA(256, WGMMA_R16, "%128", "%129", "%130", WGMMA_D16);
    else
        static_assert(N == 0, "multiply_group: not a width it knows");
}

// A warpgroup takes more registers, or gives some back: `Count` a thread, a multiple of 8. For kernels with __launch_bounds__(threads, 1) whose
// groups have different roles.
template <int Count>
DEVICE void registers_raise()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
}
template <int Count>
DEVICE void registers_lower()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
}

// Whether the condition holds for any thread of the warp.
DEVICE bool warp_any(bool condition)
{
    u32 result;
    asm volatile("{\n.reg .pred p, q;\nsetp.ne.u32 p, %1, 0;\nvote.sync.any.pred q, p, 0xffffffff;\nselp.u32 %0, 1, 0, q;\n}"
        : "=r"(result) : "r"((u32)condition));
    return result != 0;
}

// ---- clusters: blocks on neighbouring multiprocessors that see each other's shared memory ------------------------------------------

// How many blocks; clang, which only checks kernels, does not know the attribute.
#ifdef __clang__
#define CLUSTER_OF(blocks)
#else
#define CLUSTER_OF(blocks) __cluster_dims__(blocks, 1, 1)
#endif
DEVICE int cluster_rank()
{
    u32 rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return (int)rank;
}
// Every thread of every block of the cluster arrives, then waits; what they wrote before arriving, to shared memory too, is seen after.
DEVICE void cluster_arrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
DEVICE void cluster_wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
DEVICE void cluster_sync()
{
    cluster_arrive();
    cluster_wait();
}
// This block's shared address, as it is in the block of that rank.
DEVICE u32 cluster_address(u32 shared, int rank)
{
    u32 address;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared), "r"(rank));
    return address;
}
DEVICE float4_ load_cluster(u32 address)
{
    float4_ v;
    asm volatile("ld.shared::cluster.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "r"(address) : "memory");
    return v;
}

// Tells the second-level cache that what a copy reads will not be read again soon.
DEVICE u64 evict_first()
{
    u64 policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}
DEVICE void copy_bulk(u32 shared, const void* global, int bytes, u32 barrier, u64 policy)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;"
        ::"r"(shared), "l"(global), "r"(bytes), "r"(barrier), "l"(policy) : "memory");
}

// ---- float16 operands ------------------------------------------------------------------------------------------------------------

// Two floats as a pair of float16, the first in the low half.
DEVICE u32 pack_half(float first, float second)
{
    u32 pair;
    asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

// d += a b as `multiply`, of float16.
DEVICE void multiply_half(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The results of two neighbouring products, 16x8 each, as the left side of another.
DEVICE void as_left(u32 (&a)[4], const float (&d0)[4], const float (&d1)[4])
{
    a[0] = pack_half(d0[0], d0[1]);
    a[1] = pack_half(d0[2], d0[3]);
    a[2] = pack_half(d1[0], d1[1]);
    a[3] = pack_half(d1[2], d1[3]);
}
