using System.Runtime.InteropServices;
using Sluice.Backends;

namespace Sluice.Tests;

/// <summary>What a device's shortlists must hold, by a full sort and sums in double.</summary>
internal static class HostShortlists
{
    /// <summary>Fills in the shortlists asked for.</summary>
    public static void Fill(IReadOnlyList<float[]> logits, LogitShortlists lists)
    {
        ReadOnlySpan<float> asked = MemoryMarshal.Cast<byte, float>(lists.Asked);
        for (int row = 0; row < lists.Count; row++)
        {
            (float temperature, float uniform) = (asked[2 * row], asked[(2 * row) + 1]);
            float[] values = logits[row];
            Span<byte> bytes = lists.Rows.Slice(row * LogitShortlists.RowBytes, LogitShortlists.RowBytes);
            Span<float> numbers = MemoryMarshal.Cast<byte, float>(bytes);
            Span<int> integers = MemoryMarshal.Cast<byte, int>(bytes);
            float max = values.Max();
            double[] weights = [.. values.Select(x => Math.Exp((x - max) / Math.Max(temperature, 1e-30f)))];
            numbers[0] = (float)values.Sum(x => Math.Exp(x - max));
            numbers[1] = (float)weights.Sum();
            integers[2] = uniform < 0 || temperature == 0 ? -1 : Draw(weights, uniform);
            integers[3] = float.IsFinite(max) ? 0 : 1;
            int[] ids = [.. Enumerable.Range(0, values.Length).Where(id => values[id] > float.NegativeInfinity).OrderByDescending(id => values[id]).ThenBy(id => id).Take(LogitShortlists.Length)];
            integers[(4 + LogitShortlists.Length)..].Fill(-1);
            for (int i = 0; i < ids.Length; i++)
            {
                numbers[4 + i] = values[ids[i]];
                integers[4 + LogitShortlists.Length + i] = ids[i];
            }
        }
    }

    private static int Draw(double[] weights, double uniform)
    {
        double target = uniform * weights.Sum();
        int id = 0;
        while (id < weights.Length - 1 && (target -= weights[id]) >= 0)
            id++;
        return id;
    }
}
