using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// Quantised weights times rows in INT8, with what .NET exposes: AVX-VNNI, AVX2, SSE, Arm's dot product. A block of a strip is unpacked to
/// bytes once for all rows. The arithmetic is the assembled tile's, to the bit.
/// </summary>
internal sealed unsafe class PortableInt8Product<T>(QuantisedFormat format) : PanelProduct
    where T : unmanaged, ISimd<T>
{
    public override RowForm Form => format.Form;

    public override void Multiply(PanelMatrix w, int firstPanel, int panels, in RowGroup x, float* y, nint stride)
    {
        byte* elements = stackalloc byte[512];
        float* factors = stackalloc float[48];
        int* offsets = stackalloc int[QuantisedFormat.Blocks * QuantisedFormat.StripOutputs];
        int* products = stackalloc int[32];
        int blocks = QuantisedFormat.SuperBlocksOf(w.Columns) * QuantisedFormat.Blocks;
        for (int strip = 0; strip < 2 * panels; strip++)
        {
            byte* super = w.Data + (((2 * firstPanel) + strip) * PanelMatrix.BytesOfStrip(w.Type, w.Columns));
            float* to = y + (strip * QuantisedFormat.StripOutputs);
            for (int row = 0; row < x.Count; row++)
                new Span<float>(to + (row * stride), QuantisedFormat.StripOutputs).Clear();
            for (int block = 0; block < blocks; block++)
            {
                int ofSuper = block % QuantisedFormat.Blocks;
                bool subtracts = ofSuper == 0 && format.Factors == FactorKind.WithOffset;
                if (subtracts)
                    QuantisedStrip.ReadOffsets(super, factors + 32, offsets);
                QuantisedStrip.Unpack(format, super, ofSuper, elements);
                QuantisedStrip.ReadFactors(format, super, ofSuper, factors, factors + 16);
                for (int row = 0; row < x.Count;)
                {
                    (int start, int height) = RowPacking.Int8TileOf(row, x.Count);
                    byte* record = x.Packed + (start * x.RowBytes) + (block * (long)(height * RowPacking.Int8RecordBytes));
                    for (; row < start + height; row++, record += RowPacking.Int8RecordBytes)
                    {
                        if (subtracts)
                            SubtractOffsets(offsets, factors + 32, record, height * RowPacking.Int8RecordBytes, products, to + (row * stride));
                        AddBlock(elements, factors, record, products, to + (row * stride));
                        if (block == blocks - 1)
                            Scale((float*)(record + RowPacking.Int8SharedAt), to + (row * stride));
                    }
                }

                if (ofSuper == QuantisedFormat.Blocks - 1)
                    super += format.SuperBytes;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AddBlock(byte* elements, float* factors, byte* record, int* products, float* y)
    {
        int* initial = (int*)(record + RowPacking.Int8InitialAt);
        bool byHalves = format.Factors == FactorKind.ByHalves;
        Dot(elements, record, 0, byHalves ? 4 : 8, initial[0], products);
        if (byHalves)
            Dot(elements, record, 4, 8, initial[1], products + 16);
        T magic = T.BroadcastAt((float*)(record + RowPacking.Int8MagicAt));
        for (int i = 0; i < QuantisedFormat.StripOutputs; i += T.Lanes)
        {
            T total = T.MultiplyAdd(T.Load((float*)products + i) - magic, T.Load(factors + i), T.Load(y + i));
            if (byHalves)
                total = T.MultiplyAdd(T.Load((float*)products + 16 + i) - magic, T.Load(factors + 16 + i), total);
            T.Store(total, y + i);
        }
    }

    /// <summary>What a superblock subtracts from a row's sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SubtractOffsets(int* offsets, float* factor, byte* record, nint recordStride, int* products, float* y)
    {
        for (int i = 0; i < QuantisedFormat.StripOutputs; i += 4)
        {
            var sum = Vector128<int>.Zero;
            for (int block = 0; block < QuantisedFormat.Blocks; block++)
            {
                short ofBlock = ((short*)(record + (block / 2 * 2 * recordStride) + RowPacking.Int8SharedAt))[block % 2];
                sum += Vector128.Load(offsets + (16 * block) + i) * ofBlock;
            }

            sum.Store(products + i);
        }

        T unit = T.Broadcast(1f / (1 << RowPacking.Int8SumBits));
        for (int i = 0; i < QuantisedFormat.StripOutputs; i += T.Lanes)
            T.Store(T.MultiplyAdd(T.Zero - T.LoadIntegers(products + i), T.Load(factor + i) * unit, T.Load(y + i)), y + i);
    }

    private static void Scale(float* factor, float* y)
    {
        for (int i = 0; i < QuantisedFormat.StripOutputs; i += T.Lanes)
            T.Store(T.Load(y + i) * T.BroadcastAt(factor), y + i);
    }

    /// <summary>The products of 16 outputs with some quads of columns of a row.</summary>
    [MethodImpl(Jit.Kernel)]
    private static void Dot(byte* elements, byte* row, int firstQuad, int endQuad, int initial, int* products)
    {
        if (Avx2.IsSupported)
        {
            Vector256<int> low = Vector256.Create(initial), high = low;
            for (int quad = firstQuad; quad < endQuad; quad++)
            {
                var x = Vector256.Create(((int*)row)[quad]);
                low = Add(low, Vector256.Load(elements + (64 * quad)), x);
                high = Add(high, Vector256.Load(elements + (64 * quad) + 32), x);
            }

            low.Store(products);
            high.Store(products + 8);
            return;
        }

        if (Dp.IsSupported)
        {
            DotByFours(elements, row, firstQuad, endQuad, initial, products);
            return;
        }

        for (int part = 0; part < 4; part++)
        {
            var sum = Vector128.Create(initial);
            for (int quad = firstQuad; quad < endQuad; quad++)
                sum = Add(sum, Vector128.Load(elements + (64 * quad) + (16 * part)), Vector128.Create(((int*)row)[quad]));
            sum.Store(products + (4 * part));
        }
    }

    /// <summary>
    /// The same by Arm's dot product, four quads at a time, which one register of the row holds. It takes signed weights alone: w = (w - 128) + 128, of which the latter
    /// is one number for all outputs.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void DotByFours(byte* elements, byte* row, int firstQuad, int endQuad, int initial, int* products)
    {
        Vector128<int> offset = Vector128<int>.Zero;
        for (int quad = firstQuad; quad < endQuad; quad += 4)
            offset = Dp.DotProduct(offset, Vector128.Create((sbyte)64), Vector128.Load((sbyte*)row + (4 * quad)));
        var start = Vector128.Create(initial + (2 * Vector128.Sum(offset)));
        for (int part = 0; part < 4; part++)
        {
            Vector128<int> sum = start;
            for (int quad = firstQuad; quad < endQuad; quad += 4)
            {
                Vector128<sbyte> x = Vector128.Load((sbyte*)row + (4 * quad));
                byte* weights = elements + (64 * quad) + (16 * part);
                sum = Dp.DotProductBySelectedQuadruplet(sum, Signed(weights), x, 0);
                sum = Dp.DotProductBySelectedQuadruplet(sum, Signed(weights + 64), x, 1);
                sum = Dp.DotProductBySelectedQuadruplet(sum, Signed(weights + 128), x, 2);
                sum = Dp.DotProductBySelectedQuadruplet(sum, Signed(weights + 192), x, 3);
            }

            sum.Store(products + (4 * part));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Signed(byte* weights) => (Vector128.Load(weights) ^ Vector128.Create((byte)0x80)).AsSByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Add(Vector256<int> sum, Vector256<byte> weights, Vector256<int> x)
    {
        if (AvxVnni.IsSupported)
            return AvxVnni.MultiplyWideningAndAdd(sum, weights, x.AsSByte());

        // In 16 bits, even columns apart from odd ones: adding products of bytes to 16-bit sums would saturate.
        Vector256<short> words = x.AsInt16();
        Vector256<int> even = Avx2.MultiplyAddAdjacent((weights.AsUInt16() & Vector256.Create((ushort)0xFF)).AsInt16(), (words << 8) >> 8);
        Vector256<int> odd = Avx2.MultiplyAddAdjacent((weights.AsUInt16() >>> 8).AsInt16(), words >> 8);
        return sum + even + odd;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Add(Vector128<int> sum, Vector128<byte> weights, Vector128<int> x)
    {
        Vector128<short> words = x.AsInt16();
        Vector128<short> low = (weights.AsUInt16() & Vector128.Create((ushort)0xFF)).AsInt16();
        Vector128<short> high = (weights.AsUInt16() >>> 8).AsInt16();
        if (Sse2.IsSupported)
            return sum + Sse2.MultiplyAddAdjacent(low, (words << 8) >> 8) + Sse2.MultiplyAddAdjacent(high, words >> 8);

        // Sums of neighbouring pairs, two 32-bit products each, whatever the machine.
        Vector128<int> first = Products(low, (words << 8) >> 8);
        return sum + first + Products(high, words >> 8);
    }

    private static Vector128<int> Products(Vector128<short> a, Vector128<short> b)
    {
        Vector128<int> even = ((a.AsInt32() << 16) >> 16) * ((b.AsInt32() << 16) >> 16);
        return even + ((a.AsInt32() >> 16) * (b.AsInt32() >> 16));
    }
}
