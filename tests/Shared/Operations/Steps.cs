using Sluice.Backends;

namespace Sluice.Tests.Operations;

/// <summary>
/// A few sequences advanced together by random steps: decodes and chunks mixed, pages scattered, states exported and sequences continued
/// from them.
/// </summary>
internal static class Steps
{
    public const int Slots = 8;
    public const int Pages = 80;
    public const int MaxTokens = Sequences * LongestSpan;

    private const int Sequences = 3;
    private const int LongestSpan = 50;
    private const int PagesOfSequence = Pages / Sequences;

    /// <summary>Runs steps until each sequence has a few hundred tokens.</summary>
    /// <param name="backend">Is told of each step.</param>
    /// <param name="random">Where choices come from.</param>
    /// <param name="step">Does the operation.</param>
    /// <param name="longest">Spans have fewer tokens.</param>
    /// <param name="singles">Whether in half of the steps no span has more than one token.</param>
    public static void Run(IBackend backend, Random random, Action<StepBatch> step, int longest = LongestSpan, bool singles = false)
    {
        int[] shuffled = [.. Enumerable.Range(0, Pages).OrderBy(_ => random.Next())];
        int[][] tables = [.. Enumerable.Range(0, Sequences).Select(s => shuffled[(s * PagesOfSequence)..((s + 1) * PagesOfSequence)])];
        int[] lengths = new int[Sequences];
        int[] slots = [.. Enumerable.Range(0, Slots).OrderBy(_ => random.Next())];
        StepBatch batch = new(Sequences * longest);
        for (int i = 0; i < 12; i++)
        {
            batch.Clear();
            List<(int Sequence, StateExport Export)> exports = [];
            bool single = singles && random.Next(2) == 0;
            for (int s = 0; s < Sequences; s++)
            {
                int count = random.Next(4) switch { 0 => 0, 1 => 1, _ when single => 1, 2 => random.Next(2, 9), _ => random.Next(9, longest) };
                count = Math.Min(count, (PagesOfSequence * KvCache.PageTokens) - lengths[s]);
                if (count == 0)
                    continue;

                // Two exports at most; the sequence goes on from its live state or, sometimes, from the first exported one.
                int at = random.Next(1, count + 1);
                StateExport[] asked = random.Next(3) switch
                {
                    0 => [],
                    1 => [new StateExport(at, slots[Sequences + s])],
                    _ when at < count && s == 0 => [new StateExport(at, slots[Sequences]), new StateExport(count, slots[2 * Sequences])],
                    _ => [new StateExport(at, slots[Sequences + s])],
                };
                batch.Add(new int[count], lengths[s], slots[s], tables[s], LogitsWanted.None, asked);
                lengths[s] += count;
                if (asked.Length > 0 && random.Next(2) == 0)
                    exports.Add((s, new StateExport(lengths[s] - count + at, asked[0].Slot)));
            }

            if (batch.TokenCount == 0)
                continue;
            backend.BeginStep(batch);
            step(batch);
            foreach ((int s, StateExport export) in exports)
            {
                lengths[s] = export.Length;
                (slots[s], slots[Sequences + s]) = (slots[Sequences + s], slots[s]);
            }
        }
    }
}
