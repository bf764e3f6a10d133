using System.Diagnostics;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Models;

namespace Sluice.Cli.Bench;

/// <summary>A speed and the work behind it.</summary>
/// <param name="What">For people.</param>
/// <param name="Tokens">Tokens of one repetition.</param>
/// <param name="Seconds">Of each repetition, ascending.</param>
/// <param name="Bytes">Memory that one repetition must read or write: weights once a step, states; in decoding keys and values.</param>
/// <param name="MultiplyAdds">Multiply-adds of one repetition.</param>
internal sealed record SpeedRow(string What, int Tokens, double[] Seconds, double Bytes, double MultiplyAdds)
{
    public double Median => Seconds[Seconds.Length / 2];

    public double Best => Seconds[0];

    public double TokensPerSecond => Tokens / Median;
}

/// <summary>Times a model's forward pass alone, without an engine: prefill of prompts and decode of one or more sequences.</summary>
internal sealed class ModelBench(LanguageModel model, ModelFootprint footprint, int chunk, Func<int, double>? weightBytesOfStep = null)
{
    private readonly StepBatch _batch = new(model.MaxStepTokens);
    private readonly int[] _ids = RandomIds(model.Config.VocabularySize, 1 << 14);

    public SpeedRow Prefill(int tokens, int repeats, CancellationToken cancellation)
    {
        int[] pages = Pages(0, tokens);
        double[] seconds = Repeat(repeats, () =>
        {
            for (int first = 0; first < tokens; first += chunk)
            {
                _batch.Clear();
                int count = Math.Min(chunk, tokens - first);
                _batch.Add(Ids(first, count), first, 0, pages, first + count == tokens ? LogitsWanted.Last : LogitsWanted.None);
                model.Forward(_batch);
            }
        }, cancellation);
        double multiplyAdds = footprint.MultiplyAdds(0).Head;
        for (int position = 0; position < tokens; position++)
            multiplyAdds += footprint.MultiplyAdds(position + 1).Prompt;
        double bytes = 0;
        for (int first = 0; first < tokens; first += chunk)
            bytes += StepBytes(sequences: 1, Math.Min(chunk, tokens - first));
        return new SpeedRow($"prefill {tokens}", tokens, seconds, bytes, multiplyAdds);
    }

    /// <summary>Decodes <paramref name="tokens"/> tokens of each of <paramref name="sequences"/> sequences that have <paramref name="context"/> already.</summary>
    public SpeedRow Decode(int sequences, int context, int tokens, int repeats, CancellationToken cancellation)
    {
        int[][] pages = [.. Enumerable.Range(0, sequences).Select(i => Pages(i, context + tokens))];
        for (int sequence = 0; sequence < sequences; sequence++)
        {
            for (int first = 0; first < context; first += chunk)
            {
                _batch.Clear();
                _batch.Add(Ids(first, Math.Min(chunk, context - first)), first, sequence, pages[sequence], LogitsWanted.None);
                model.Forward(_batch);
            }
        }

        double[] seconds = Repeat(repeats, () =>
        {
            for (int step = 0; step < tokens; step++)
            {
                _batch.Clear();
                for (int sequence = 0; sequence < sequences; sequence++)
                    _batch.Add(Ids((sequence * 977) + step, 1), context + step, sequence, pages[sequence], LogitsWanted.Last);
                model.Forward(_batch);
            }
        }, cancellation);
        double multiplyAdds = 0;
        double kv = 0;
        for (int step = 0; step < tokens; step++)
        {
            multiplyAdds += sequences * (double)footprint.MultiplyAdds(context + step + 1).Decode;
            kv += sequences * (double)(context + step) * model.Caches.Geometry.PageBytes / KvCache.PageTokens;
        }

        double bytes = (tokens * StepBytes(sequences, sequences)) + kv;
        return new SpeedRow(sequences == 1 ? "decode" : $"decode x{sequences}", sequences * tokens, seconds, bytes, multiplyAdds);
    }

    /// <summary>Pages that the largest measurement needs.</summary>
    public static int PagesNeeded(int sequences, int longest) => sequences * ((longest + KvCache.PageTokens - 1) / KvCache.PageTokens);

    // Every sequence reads and writes its state; weights are read once a step, experts as far as the rows differ.
    private double StepBytes(int sequences, int rows) =>
        (weightBytesOfStep ?? WeightBytesOfStep)(rows) + (2.0 * sequences * (footprint.StateBytes + footprint.ConvStateBytes(DType.F32)));

    // Experts that at least one of several independent rows chooses, on average.
    private double WeightBytesOfStep(int rows)
    {
        double bytes = 0;
        foreach (WeightGroup group in footprint.Weights)
        {
            bytes += group.Role == WeightRole.Experts
                ? group.Bytes * (1 - Math.Pow(1 - ((double)group.ActiveBytes / group.Bytes), rows))
                : group.Role == WeightRole.Embedding && !model.Config.TiedEmbeddings ? rows * (double)group.ActiveBytes : group.Bytes;
        }

        return bytes;
    }

    // A first repetition warms caches and lets the runtime compile; it does not count.
    private static double[] Repeat(int repeats, Action work, CancellationToken cancellation)
    {
        double[] seconds = new double[repeats];
        work();
        for (int i = 0; i < repeats; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            work();
            seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        Array.Sort(seconds);
        return seconds;
    }

    /// <summary>The pages of a sequence that has <paramref name="tokens"/> at most, as all of a measurement have.</summary>
    public static int[] Pages(int sequence, int tokens)
    {
        int count = (tokens + KvCache.PageTokens - 1) / KvCache.PageTokens;
        return [.. Enumerable.Range(sequence * count, count)];
    }

    private static int[] RandomIds(int vocabulary, int count)
    {
        Random random = new(1);
        int[] ids = new int[count];
        for (int i = 0; i < count; i++)
            ids[i] = random.Next(vocabulary);
        return ids;
    }

    private ReadOnlySpan<int> Ids(int first, int count)
    {
        int start = first % (_ids.Length - model.MaxStepTokens);
        return _ids.AsSpan(start, count);
    }
}
