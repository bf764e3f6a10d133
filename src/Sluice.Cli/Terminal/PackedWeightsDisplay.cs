using System.Diagnostics;
using System.Globalization;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Cpu;

namespace Sluice.Cli.Terminal;

/// <summary>Says, on standard error, where a model's packed weights came from, and writes the file of them where that is asked for and they did not come from it.</summary>
internal static class PackedWeightsDisplay
{
    /// <summary>Says and writes, with progress as for loading.</summary>
    public static void Finish(IBackend backend, CancellationToken cancellation)
    {
        if (Unwritten(backend) is { } packed)
            Write(packed, new LoadDisplay("writing packed weights"), cancellation);
    }

    /// <summary>Says now and writes beside whatever runs: until it is done, or <paramref name="cancellation"/> is cancelled.</summary>
    public static Task FinishAsync(IBackend backend, CancellationToken cancellation)
    {
        if (Unwritten(backend) is not { } packed)
            return Task.CompletedTask;
        return Task.Run(
            () =>
            {
                try
                {
                    Write(packed, null, cancellation);
                }
                catch (OperationCanceledException)
                {
                    // The program ends; the next start writes it.
                }
            },
            CancellationToken.None);
    }

    private static PackedWeights? Unwritten(IBackend backend)
    {
        if (backend is not CpuBackend { PackedWeights: { } packed })
            return null;
        if (packed.AreMapped)
            Console.Error.WriteLine($"packed weights: {ByteSize.Format(packed.Bytes)} mapped from {packed.Path}");
        else if (packed.Refusal is { } refusal)
            Console.Error.WriteLine($"packed weights: {packed.Path} {refusal}; packed anew");
        return packed.AreMapped ? null : packed;
    }

    private static void Write(PackedWeights packed, LoadDisplay? display, CancellationToken cancellation)
    {
        long total = packed.Bytes;
        long start = Stopwatch.GetTimestamp();
        bool isWritten = packed.TryWrite(display is null ? null : new Progress(display, total, start, packed.Path), cancellation);
        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        display?.Finish(total, elapsed);
        Console.Error.WriteLine(isWritten
            ? string.Create(CultureInfo.InvariantCulture, $"packed weights: {ByteSize.Format(total)} written to {packed.Path} in {elapsed.TotalSeconds:F1} s")
            : $"warning: packed weights are not kept in {packed.Path}: {packed.Failure}");
    }

    private sealed class Progress(LoadDisplay display, long total, long start, string path) : IProgress<long>
    {
        public void Report(long value) => display.Report(new LoadProgress(value, total, Stopwatch.GetElapsedTime(start), path));
    }
}
