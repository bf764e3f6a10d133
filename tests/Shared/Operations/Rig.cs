using System.Runtime.CompilerServices;
using Sluice.Backends;

namespace Sluice.Tests.Operations;

/// <summary>Activations for tests: views into wider ones full of NaN, so that reading or writing beside them shows.</summary>
internal static class Rig
{
    private static readonly ConditionalWeakTable<Activation, Activation> Outer = [];

    /// <summary>A matrix of random normal numbers, [rows, width].</summary>
    public static float[] Normal(Random random, int count, float scale = 1)
    {
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = Granularity.Round(scale * (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())));
        return values;
    }

    /// <summary>Rows for a result: NaN all over, and guards on both sides.</summary>
    public static Activation Empty(IBackend backend, int rows, int width, bool isPrecise = false)
    {
        Activation outer = backend.Allocate(rows + 1, width + (2 * Granularity.Guard), isPrecise);
        float[] nothing = new float[outer.Width];
        Array.Fill(nothing, float.NaN);
        for (int row = 0; row <= rows; row++)
            backend.Write(nothing, outer, row);
        Activation view = outer.Columns(Granularity.Guard, width);
        Outer.AddOrUpdate(view, outer);
        return view;
    }

    /// <summary>Rows with values, [rows, width].</summary>
    public static Activation Of(IBackend backend, float[] values, int rows, bool isPrecise = false)
    {
        Activation view = Empty(backend, rows, values.Length / rows, isPrecise);
        for (int row = 0; row < rows; row++)
            backend.Write(values.AsSpan(row * view.Width, view.Width), view, row);
        return view;
    }

    /// <summary>All values of the first <paramref name="rows"/> rows, after a look at the guards.</summary>
    public static float[] Read(IBackend backend, Activation view, int rows)
    {
        Assert.True(Outer.TryGetValue(view, out Activation? outer));
        int guard = Granularity.Guard;
        float[] result = new float[rows * view.Width];
        float[] line = new float[outer.Width];
        for (int row = 0; row < outer.Rows; row++)
        {
            backend.Read(outer, row, line);
            if (row < rows)
            {
                backend.Read(view, row, result.AsSpan(row * view.Width, view.Width));
                Assert.Equal(result.AsSpan(row * view.Width, view.Width), line.AsSpan(guard, view.Width));
            }

            for (int i = 0; i < line.Length; i++)
            {
                bool inside = row < rows && i >= guard && i < guard + view.Width;
                if (!inside && !float.IsNaN(line[i]))
                    Assert.Fail($"row {row}, column {i - guard}: written outside the result of {rows} rows of {view.Width}");
            }
        }

        return result;
    }
}
