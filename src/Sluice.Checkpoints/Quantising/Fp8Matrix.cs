using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Checkpoints.Quantising;

/// <summary>One matrix in block-wise E4M3, made a band of <see cref="Fp8Quantiser.Block"/> rows at a time.</summary>
internal sealed class Fp8Matrix(AssembledTensor tensor, ParallelOptions parallel)
{
    private const int Block = Fp8Quantiser.Block;
    private const float LargestStored = 448f;
    private const float SmallestMagnitude = 1e-12f; // a block of zeros needs some scale

    private readonly int _rows = tensor.Rows;
    private readonly int _columns = tensor.Columns;
    private float[]? _scales;

    /// <summary>Blocks down and across.</summary>
    internal int[] ScaleShape => [(_rows + Block - 1) / Block, (_columns + Block - 1) / Block];

    /// <summary>Writes the scales, float32.</summary>
    internal void WriteScales(SafetensorsWriter writer) => writer.Write(MemoryMarshal.AsBytes<float>(Scales()));

    /// <summary>Writes the elements.</summary>
    internal void WriteElements(SafetensorsWriter writer)
    {
        float[] scales = Scales();
        int blocks = ScaleShape[1];
        byte[] elements = new byte[checked(Block * _columns)];
        for (int first = 0; first < _rows; first += Block)
        {
            int start = first;
            int rows = Math.Min(Block, _rows - first);
            ParallelRows.Run(rows, parallel, () => (Values: new float[_columns], Bytes: new byte[tensor.ScratchBytes]), (row, scratch) =>
            {
                tensor.Decode(start + row, scratch.Values, scratch.Bytes);
                for (int c = 0; c < _columns; c++)
                    elements[(row * _columns) + c] = StoredNumbers.ToF8E4M3(scratch.Values[c] / scales[(start / Block * blocks) + (c / Block)]);
            });
            writer.Write(elements.AsSpan(0, rows * _columns));
        }
    }

    /// <summary>The scales of all blocks, [down, across]; found once.</summary>
    private float[] Scales()
    {
        if (_scales is not null)
            return _scales;
        (int down, int blocks) = (ScaleShape[0], ScaleShape[1]);
        float[] scales = new float[checked(down * blocks)];
        float[] largest = new float[Block * blocks];
        for (int first = 0; first < _rows; first += Block)
        {
            int start = first;
            int rows = Math.Min(Block, _rows - first);
            ParallelRows.Run(rows, parallel, () => (Values: new float[_columns], Bytes: new byte[tensor.ScratchBytes]), (row, scratch) =>
            {
                tensor.Decode(start + row, scratch.Values, scratch.Bytes);
                tensor.RequireUpTo(float.MaxValue, start + row, scratch.Values);
                for (int b = 0; b < blocks; b++)
                    largest[(row * blocks) + b] = LargestOf(scratch.Values.AsSpan(b * Block, Math.Min(Block, _columns - (b * Block))));
            });
            for (int b = 0; b < blocks; b++)
            {
                float magnitude = SmallestMagnitude;
                for (int row = 0; row < rows; row++)
                    magnitude = Math.Max(magnitude, largest[(row * blocks) + b]);
                scales[(first / Block * blocks) + b] = magnitude / LargestStored;
            }
        }

        return _scales = scales;
    }

    private static float LargestOf(ReadOnlySpan<float> values)
    {
        float largest = 0;
        foreach (float value in values)
            largest = Math.Max(largest, Math.Abs(value));
        return largest;
    }
}
