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

    /// <summary>Blocks down and across.</summary>
    internal int[] ScaleShape => [(_rows + Block - 1) / Block, (_columns + Block - 1) / Block];

    /// <summary>Writes the scales, float32.</summary>
    internal void WriteScales(SafetensorsWriter writer) => EachBand((_, _, scales) => writer.Write(MemoryMarshal.AsBytes<float>(scales)));

    /// <summary>Writes the elements.</summary>
    internal void WriteElements(SafetensorsWriter writer)
    {
        byte[] elements = new byte[checked(Block * _columns)];
        EachBand((rows, band, scales) =>
        {
            ParallelRows.Run(rows, parallel, () => 0, (row, _) =>
            {
                for (int c = 0; c < _columns; c++)
                    elements[(row * _columns) + c] = StoredNumbers.ToF8E4M3(band[(row * _columns) + c] / scales[c / Block]);
            });
            writer.Write(elements.AsSpan(0, rows * _columns));
        });
    }

    /// <summary>Hands out bands, each as a number of rows, their weights, and the scales of their blocks.</summary>
    private void EachBand(Action<int, float[], float[]> use)
    {
        int blocks = ScaleShape[1];
        float[] band = new float[checked(Block * _columns)];
        float[] largest = new float[Block * blocks];
        float[] scales = new float[blocks];
        for (int first = 0; first < _rows; first += Block)
        {
            int start = first;
            int rows = Math.Min(Block, _rows - first);
            ParallelRows.Run(rows, parallel, () => new byte[tensor.ScratchBytes], (row, scratch) =>
            {
                Span<float> values = band.AsSpan(row * _columns, _columns);
                tensor.Decode(start + row, values, scratch);
                tensor.RequireUpTo(float.MaxValue, start + row, values);
                for (int b = 0; b < blocks; b++)
                    largest[(row * blocks) + b] = LargestOf(values.Slice(b * Block, Math.Min(Block, _columns - (b * Block))));
            });
            for (int b = 0; b < blocks; b++)
            {
                float magnitude = SmallestMagnitude;
                for (int row = 0; row < rows; row++)
                    magnitude = Math.Max(magnitude, largest[(row * blocks) + b]);
                scales[b] = magnitude / LargestStored;
            }

            use(rows, band, scales);
        }
    }

    private static float LargestOf(ReadOnlySpan<float> values)
    {
        float largest = 0;
        foreach (float value in values)
            largest = Math.Max(largest, Math.Abs(value));
        return largest;
    }
}
