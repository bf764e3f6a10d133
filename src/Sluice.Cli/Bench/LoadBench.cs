using System.Globalization;
using Sluice.Checkpoints;
using Sluice.Cli.Terminal;
using Sluice.Core;
using Spectre.Console;

namespace Sluice.Cli.Bench;

/// <summary>Loading with one worker against the default, from the disk and from the system's cache.</summary>
internal static class LoadBench
{
    private const long DefaultBytes = 4L << 30;

    public static int Run(string folder, long bytes, int workers, CancellationToken cancellation)
    {
        if (!Directory.Exists(folder) && !File.Exists(folder))
        {
            ModelConfig config = SyntheticCheckpoint.ConfigOfSize(bytes > 0 ? bytes : DefaultBytes);
            Console.Error.WriteLine($"writing a synthetic checkpoint to {folder}");
            SyntheticCheckpoint.Write(folder, config);
        }

        Table table = new Table().Border(TableBorder.Simple).AddColumn("files");
        foreach (string column in new[] { "workers", "bytes", "seconds", "GB/s", "of memory copy" })
            table.AddColumn(column, c => c.RightAligned());
        foreach (bool cold in new[] { true, false })
        {
            foreach (int threads in new[] { 1, workers })
            {
                LoadDisplay display = new("loading");
                LoadMeasurement run = LoadBenchmark.Run(folder, threads, cold, display, cancellation);
                display.Finish(run.Bytes, run.Elapsed);
                table.AddRow(
                    run.Cold ? "from disk" : cold ? "from disk (cache could not be dropped)" : "cached",
                    run.Workers.ToString(CultureInfo.InvariantCulture),
                    ByteSize.Format(run.Bytes),
                    run.Elapsed.TotalSeconds.ToString("F2", CultureInfo.InvariantCulture),
                    (run.BytesPerSecond / 1e9).ToString("F2", CultureInfo.InvariantCulture),
                    run.FractionOfCopy.ToString("P0", CultureInfo.InvariantCulture));
            }
        }

        AnsiConsole.Write(table);
        return ExitCodes.Success;
    }
}
