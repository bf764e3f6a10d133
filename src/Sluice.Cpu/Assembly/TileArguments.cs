using System.Runtime.InteropServices;

namespace Sluice.Cpu.Assembly;

/// <summary>What an assembled tile works on; its one argument is a pointer to this.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TileArguments
{
    /// <summary>The weights, from the first column on.</summary>
    public byte* Weights;

    /// <summary>The rows, packed as the kernel's kind of product wants them, from the same column on.</summary>
    public byte* Rows;

    /// <summary>The first output of the first row.</summary>
    public float* Outputs;

    /// <summary>Bytes from one row of outputs to the next.</summary>
    public nint OutputStride;

    /// <summary>Whole blocks of columns; for <see cref="CombineTile"/> whole pages. <see cref="Int8PanelTile"/> counts it down.</summary>
    public nint Blocks;

    /// <summary>Pairs of columns, or of tokens, after them.</summary>
    public nint Pairs;

    /// <summary>Not zero when sums go on from the outputs there are.</summary>
    public nint Resumes;

    /// <summary>Factors: of the 32 outputs, for E4M3; of rows, for <see cref="CombineTile"/>.</summary>
    public float* Scales;

    /// <summary>The tables of <see cref="Simd.E4M3Tables"/>, for E4M3.</summary>
    public void* Tables;

    /// <summary>Bytes from one block of rows to the next, for AMX and for <see cref="Int8PanelTile"/>.</summary>
    public nint RowsStep;

    /// <summary>Rows, for <see cref="Int8PanelTile"/>, which takes any number.</summary>
    public nint Height;

    /// <summary>Bytes from one strip of weights to the next, likewise.</summary>
    public nint StripBytes;

    /// <summary>Memory for sums, <see cref="Int8PanelTile.SumBytes"/> a row, likewise.</summary>
    public float* Sums;

    /// <summary>Where that keeps a register of its caller's.</summary>
    public nint SavedExtra;

    /// <summary>Weights that will be needed next, for tiles of AMX that share theirs; for <see cref="ScoreTile"/> a page.</summary>
    public byte* Next;

    /// <summary>The outputs that will be needed next, likewise.</summary>
    public float* NextOutputs;

    /// <summary>The second page of keys, for <see cref="ScoreTile"/>.</summary>
    public byte* MoreWeights;

    /// <summary>A second page that will be needed next, likewise.</summary>
    public byte* MoreNext;

    /// <summary>Pages of values, as many that will be needed next, and one pointer more, for <see cref="CombineTile"/>.</summary>
    public byte** Pages;

    /// <summary>Bytes from a page to the panel that is meant, likewise.</summary>
    public nint PageOffset;

    /// <summary>Shapes of tile registers, for AMX.</summary>
    public AmxShapes Shapes;

    /// <summary>Where a kernel keeps the registers that Windows wants back unchanged: the stack pointer never moves.</summary>
    public fixed byte Saved[160];
}
