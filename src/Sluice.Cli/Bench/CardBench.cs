using System.Globalization;
using Sluice.Backends;
using Sluice.Cuda;
using Sluice.Cuda.Profiling;
using Sluice.Models;
using Spectre.Console;

namespace Sluice.Cli.Bench;

/// <summary>Times steps on a card and every operation in them, against what the card was measured to do in the same run.</summary>
internal sealed class CardBench(CudaBackend card, LanguageModel model, int repeats)
{
    private readonly CardLimits _limits = card.MeasureLimits();
    private readonly StepBatch _batch = new(model.MaxStepTokens);
    private readonly Random _random = new(1);

    /// <summary>What the card can do, in words.</summary>
    public string Limits => string.Create(
        CultureInfo.InvariantCulture, $"{card.Name}; it copies {_limits.BytesPerSecond / 1e12:F2} TB/s and multiplies {_limits.FlopsPerSecond / 1e12:F0} TFLOP/s in bfloat16");

    /// <summary>A prompt in one step.</summary>
    public void Prefill(int tokens)
    {
        Fill(ModelBench.Pages(0, tokens), 0, 0, tokens, LogitsWanted.Last);

        // Compiles kernels and grows scratch memory before anything is recorded.
        model.Forward(_batch);
        Print($"prefill of {tokens}", tokens, card.Profile(() => model.Forward(_batch), repeats));
    }

    /// <summary>One token of each of many sequences that have <paramref name="context"/> tokens already.</summary>
    public void Decode(int sequences, int context)
    {
        int[][] pages = [.. Enumerable.Range(0, sequences).Select(i => ModelBench.Pages(i, context + 1))];
        for (int i = 0; i < sequences; i++)
        {
            for (int first = 0; first < context; first += model.MaxStepTokens)
            {
                Fill(pages[i], i, first, Math.Min(model.MaxStepTokens, context - first), LogitsWanted.None);
                model.Forward(_batch);
            }
        }

        _batch.Clear();
        for (int i = 0; i < sequences; i++)
            _batch.Add([Token()], context, i, pages[i], LogitsWanted.Last);
        Print($"decode of {sequences} at {context}", sequences, card.Profile(() => model.Forward(_batch), repeats));
    }

    private void Fill(int[] pages, int slot, int first, int count, LogitsWanted logits)
    {
        int[] tokens = new int[count];
        foreach (ref int token in tokens.AsSpan())
            token = Token();
        _batch.Clear();
        _batch.Add(tokens, first, slot, pages, logits);
    }

    private int Token() => _random.Next(model.Config.VocabularySize);

    private void Print(string what, int tokens, IReadOnlyList<OperationTime> times)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumn(what);
        foreach (string column in new[] { "calls", "us", "MB", "GFLOP", "floor us", "of floor" })
            table.AddColumn(column, c => c.RightAligned());
        OperationTime[] parts = [.. times.Skip(1).Where(time => time.IsPart).OrderByDescending(time => time.Microseconds)];
        double floor = parts.Sum(Floor);
        foreach (OperationTime time in parts)
            Add(time.Name, time.Calls, time.Microseconds, time.Bytes, time.Flops, Floor(time));
        Add("sum", parts.Sum(time => time.Calls), parts.Sum(time => time.Microseconds), times[0].Bytes, times[0].Flops, floor);
        Add("step", 1, times[0].Microseconds, times[0].Bytes, times[0].Flops, floor);
        foreach (OperationTime piece in times.Skip(1).Where(time => !time.IsPart))
            Add(piece.Name, piece.Calls, piece.Microseconds, piece.Bytes, piece.Flops, Floor(piece));
        AnsiConsole.Write(table);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{what}: {tokens / times[0].Microseconds * 1e6:F0} tokens/s, {floor / times[0].Microseconds:P1} of the floor ({tokens / floor * 1e6:F0} tokens/s)"));

        double Floor(OperationTime time) => _limits.Floor(time.Bytes, time.Flops) * 1e6;

        void Add(string name, int calls, double us, double bytes, double flops, double least) => table.AddRow(
            name, calls.ToString(CultureInfo.InvariantCulture), Number(us, "F1"), Number(bytes / 1e6, "F1"), Number(flops / 1e9, "F1"), Number(least, "F1"),
            Number(least / us, "P0"));

        static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
    }
}
