using System.Runtime.CompilerServices;
using Sluice.Cpu.Simd;

namespace Sluice.Cpu.Kernels;

/// <content>Several rows, one group: prefill, where the weights in registers are used again and again.</content>
internal static unsafe partial class PanelTile<T, TFormat>
{
    /// <summary>Twelve rows, one group.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Rows12(
        float** x, nint column, byte* w, int columns, float* y, nint stride, float* scale, bool resume)
    {
        float* x0 = x[0] + column;
        float* x1 = x[1] + column;
        float* x2 = x[2] + column;
        float* x3 = x[3] + column;
        float* x4 = x[4] + column;
        float* x5 = x[5] + column;
        float* x6 = x[6] + column;
        float* x7 = x[7] + column;
        float* x8 = x[8] + column;
        float* x9 = x[9] + column;
        float* x10 = x[10] + column;
        float* x11 = x[11] + column;
        T l0 = T.Zero, h0 = T.Zero, l1 = T.Zero, h1 = T.Zero, l2 = T.Zero, h2 = T.Zero;
        T l3 = T.Zero, h3 = T.Zero, l4 = T.Zero, h4 = T.Zero, l5 = T.Zero, h5 = T.Zero;
        T l6 = T.Zero, h6 = T.Zero, l7 = T.Zero, h7 = T.Zero, l8 = T.Zero, h8 = T.Zero;
        T l9 = T.Zero, h9 = T.Zero, l10 = T.Zero, h10 = T.Zero, l11 = T.Zero, h11 = T.Zero;
        if (resume && !TFormat.Scaled)
        {
            Load(y, ref l0, ref h0);
            Load(y + stride, ref l1, ref h1);
            Load(y + (2 * stride), ref l2, ref h2);
            Load(y + (3 * stride), ref l3, ref h3);
            Load(y + (4 * stride), ref l4, ref h4);
            Load(y + (5 * stride), ref l5, ref h5);
            Load(y + (6 * stride), ref l6, ref h6);
            Load(y + (7 * stride), ref l7, ref h7);
            Load(y + (8 * stride), ref l8, ref h8);
            Load(y + (9 * stride), ref l9, ref h9);
            Load(y + (10 * stride), ref l10, ref h10);
            Load(y + (11 * stride), ref l11, ref h11);
        }

        E4M3Tables tables = TFormat.Tables;
        nint i = 0;
        for (; i < columns - 1; i += 2, w += PairBytes)
        {
            PrefetchAhead(w);
            TFormat.LoadFirst(w, tables, out T low, out T high, out T kept);
            Add(x0 + i, low, high, ref l0, ref h0);
            Add(x1 + i, low, high, ref l1, ref h1);
            Add(x2 + i, low, high, ref l2, ref h2);
            Add(x3 + i, low, high, ref l3, ref h3);
            Add(x4 + i, low, high, ref l4, ref h4);
            Add(x5 + i, low, high, ref l5, ref h5);
            Add(x6 + i, low, high, ref l6, ref h6);
            Add(x7 + i, low, high, ref l7, ref h7);
            Add(x8 + i, low, high, ref l8, ref h8);
            Add(x9 + i, low, high, ref l9, ref h9);
            Add(x10 + i, low, high, ref l10, ref h10);
            Add(x11 + i, low, high, ref l11, ref h11);
            TFormat.LoadSecond(w, kept, out low, out high);
            Add(x0 + i + 1, low, high, ref l0, ref h0);
            Add(x1 + i + 1, low, high, ref l1, ref h1);
            Add(x2 + i + 1, low, high, ref l2, ref h2);
            Add(x3 + i + 1, low, high, ref l3, ref h3);
            Add(x4 + i + 1, low, high, ref l4, ref h4);
            Add(x5 + i + 1, low, high, ref l5, ref h5);
            Add(x6 + i + 1, low, high, ref l6, ref h6);
            Add(x7 + i + 1, low, high, ref l7, ref h7);
            Add(x8 + i + 1, low, high, ref l8, ref h8);
            Add(x9 + i + 1, low, high, ref l9, ref h9);
            Add(x10 + i + 1, low, high, ref l10, ref h10);
            Add(x11 + i + 1, low, high, ref l11, ref h11);
        }

        if (i < columns)
        {
            TFormat.LoadFirst(w, tables, out T low, out T high, out _);
            Add(x0 + i, low, high, ref l0, ref h0);
            Add(x1 + i, low, high, ref l1, ref h1);
            Add(x2 + i, low, high, ref l2, ref h2);
            Add(x3 + i, low, high, ref l3, ref h3);
            Add(x4 + i, low, high, ref l4, ref h4);
            Add(x5 + i, low, high, ref l5, ref h5);
            Add(x6 + i, low, high, ref l6, ref h6);
            Add(x7 + i, low, high, ref l7, ref h7);
            Add(x8 + i, low, high, ref l8, ref h8);
            Add(x9 + i, low, high, ref l9, ref h9);
            Add(x10 + i, low, high, ref l10, ref h10);
            Add(x11 + i, low, high, ref l11, ref h11);
        }

        Store(l0, h0, y, scale, resume);
        Store(l1, h1, y + stride, scale, resume);
        Store(l2, h2, y + (2 * stride), scale, resume);
        Store(l3, h3, y + (3 * stride), scale, resume);
        Store(l4, h4, y + (4 * stride), scale, resume);
        Store(l5, h5, y + (5 * stride), scale, resume);
        Store(l6, h6, y + (6 * stride), scale, resume);
        Store(l7, h7, y + (7 * stride), scale, resume);
        Store(l8, h8, y + (8 * stride), scale, resume);
        Store(l9, h9, y + (9 * stride), scale, resume);
        Store(l10, h10, y + (10 * stride), scale, resume);
        Store(l11, h11, y + (11 * stride), scale, resume);
    }

    /// <summary>Six rows, one group.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Rows6(
        float** x, nint column, byte* w, int columns, float* y, nint stride, float* scale, bool resume)
    {
        float* x0 = x[0] + column;
        float* x1 = x[1] + column;
        float* x2 = x[2] + column;
        float* x3 = x[3] + column;
        float* x4 = x[4] + column;
        float* x5 = x[5] + column;
        T l0 = T.Zero, h0 = T.Zero, l1 = T.Zero, h1 = T.Zero, l2 = T.Zero, h2 = T.Zero;
        T l3 = T.Zero, h3 = T.Zero, l4 = T.Zero, h4 = T.Zero, l5 = T.Zero, h5 = T.Zero;
        if (resume && !TFormat.Scaled)
        {
            Load(y, ref l0, ref h0);
            Load(y + stride, ref l1, ref h1);
            Load(y + (2 * stride), ref l2, ref h2);
            Load(y + (3 * stride), ref l3, ref h3);
            Load(y + (4 * stride), ref l4, ref h4);
            Load(y + (5 * stride), ref l5, ref h5);
        }

        E4M3Tables tables = TFormat.Tables;
        nint i = 0;
        for (; i < columns - 1; i += 2, w += PairBytes)
        {
            PrefetchAhead(w);
            TFormat.LoadFirst(w, tables, out T low, out T high, out T kept);
            Add(x0 + i, low, high, ref l0, ref h0);
            Add(x1 + i, low, high, ref l1, ref h1);
            Add(x2 + i, low, high, ref l2, ref h2);
            Add(x3 + i, low, high, ref l3, ref h3);
            Add(x4 + i, low, high, ref l4, ref h4);
            Add(x5 + i, low, high, ref l5, ref h5);
            TFormat.LoadSecond(w, kept, out low, out high);
            Add(x0 + i + 1, low, high, ref l0, ref h0);
            Add(x1 + i + 1, low, high, ref l1, ref h1);
            Add(x2 + i + 1, low, high, ref l2, ref h2);
            Add(x3 + i + 1, low, high, ref l3, ref h3);
            Add(x4 + i + 1, low, high, ref l4, ref h4);
            Add(x5 + i + 1, low, high, ref l5, ref h5);
        }

        if (i < columns)
        {
            TFormat.LoadFirst(w, tables, out T low, out T high, out _);
            Add(x0 + i, low, high, ref l0, ref h0);
            Add(x1 + i, low, high, ref l1, ref h1);
            Add(x2 + i, low, high, ref l2, ref h2);
            Add(x3 + i, low, high, ref l3, ref h3);
            Add(x4 + i, low, high, ref l4, ref h4);
            Add(x5 + i, low, high, ref l5, ref h5);
        }

        Store(l0, h0, y, scale, resume);
        Store(l1, h1, y + stride, scale, resume);
        Store(l2, h2, y + (2 * stride), scale, resume);
        Store(l3, h3, y + (3 * stride), scale, resume);
        Store(l4, h4, y + (4 * stride), scale, resume);
        Store(l5, h5, y + (5 * stride), scale, resume);
    }

    /// <summary>Four rows, one group.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Rows4(
        float** x, nint column, byte* w, int columns, float* y, nint stride, float* scale, bool resume)
    {
        float* x0 = x[0] + column;
        float* x1 = x[1] + column;
        float* x2 = x[2] + column;
        float* x3 = x[3] + column;
        T l0 = T.Zero, h0 = T.Zero, l1 = T.Zero, h1 = T.Zero, l2 = T.Zero, h2 = T.Zero;
        T l3 = T.Zero, h3 = T.Zero;
        if (resume && !TFormat.Scaled)
        {
            Load(y, ref l0, ref h0);
            Load(y + stride, ref l1, ref h1);
            Load(y + (2 * stride), ref l2, ref h2);
            Load(y + (3 * stride), ref l3, ref h3);
        }

        E4M3Tables tables = TFormat.Tables;
        nint i = 0;
        for (; i < columns - 1; i += 2, w += PairBytes)
        {
            PrefetchAhead(w);
            TFormat.LoadFirst(w, tables, out T low, out T high, out T kept);
            Add(x0 + i, low, high, ref l0, ref h0);
            Add(x1 + i, low, high, ref l1, ref h1);
            Add(x2 + i, low, high, ref l2, ref h2);
            Add(x3 + i, low, high, ref l3, ref h3);
            TFormat.LoadSecond(w, kept, out low, out high);
            Add(x0 + i + 1, low, high, ref l0, ref h0);
            Add(x1 + i + 1, low, high, ref l1, ref h1);
            Add(x2 + i + 1, low, high, ref l2, ref h2);
            Add(x3 + i + 1, low, high, ref l3, ref h3);
        }

        if (i < columns)
        {
            TFormat.LoadFirst(w, tables, out T low, out T high, out _);
            Add(x0 + i, low, high, ref l0, ref h0);
            Add(x1 + i, low, high, ref l1, ref h1);
            Add(x2 + i, low, high, ref l2, ref h2);
            Add(x3 + i, low, high, ref l3, ref h3);
        }

        Store(l0, h0, y, scale, resume);
        Store(l1, h1, y + stride, scale, resume);
        Store(l2, h2, y + (2 * stride), scale, resume);
        Store(l3, h3, y + (3 * stride), scale, resume);
    }

    /// <summary>Two rows, one group.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Rows2(
        float** x, nint column, byte* w, int columns, float* y, nint stride, float* scale, bool resume)
    {
        float* x0 = x[0] + column;
        float* x1 = x[1] + column;
        T l0 = T.Zero, h0 = T.Zero, l1 = T.Zero, h1 = T.Zero;
        if (resume && !TFormat.Scaled)
        {
            Load(y, ref l0, ref h0);
            Load(y + stride, ref l1, ref h1);
        }

        E4M3Tables tables = TFormat.Tables;
        nint i = 0;
        for (; i < columns - 1; i += 2, w += PairBytes)
        {
            PrefetchAhead(w);
            TFormat.LoadFirst(w, tables, out T low, out T high, out T kept);
            Add(x0 + i, low, high, ref l0, ref h0);
            Add(x1 + i, low, high, ref l1, ref h1);
            TFormat.LoadSecond(w, kept, out low, out high);
            Add(x0 + i + 1, low, high, ref l0, ref h0);
            Add(x1 + i + 1, low, high, ref l1, ref h1);
        }

        if (i < columns)
        {
            TFormat.LoadFirst(w, tables, out T low, out T high, out _);
            Add(x0 + i, low, high, ref l0, ref h0);
            Add(x1 + i, low, high, ref l1, ref h1);
        }

        Store(l0, h0, y, scale, resume);
        Store(l1, h1, y + stride, scale, resume);
    }

    /// <summary>One row, one group.</summary>
    [MethodImpl(Jit.Kernel)]
    public static void Rows1(
        float** x, nint column, byte* w, int columns, float* y, nint stride, float* scale, bool resume)
    {
        float* x0 = x[0] + column;
        T l0 = T.Zero, h0 = T.Zero;
        if (resume && !TFormat.Scaled)
        {
            Load(y, ref l0, ref h0);
        }

        E4M3Tables tables = TFormat.Tables;
        nint i = 0;
        for (; i < columns - 1; i += 2, w += PairBytes)
        {
            PrefetchAhead(w);
            TFormat.LoadFirst(w, tables, out T low, out T high, out T kept);
            Add(x0 + i, low, high, ref l0, ref h0);
            TFormat.LoadSecond(w, kept, out low, out high);
            Add(x0 + i + 1, low, high, ref l0, ref h0);
        }

        if (i < columns)
        {
            TFormat.LoadFirst(w, tables, out T low, out T high, out _);
            Add(x0 + i, low, high, ref l0, ref h0);
        }

        Store(l0, h0, y, scale, resume);
    }
}
