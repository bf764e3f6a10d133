using System.Globalization;
using Sluice.Checkpoints;
using Spectre.Console;

namespace Sluice.Cli.Terminal;

/// <summary>
/// Shows a load as it goes, on standard error so that output can be piped: a bar with bytes, GB/s and time left on a terminal, a
/// log line every few seconds elsewhere, nothing at all for loads too short to see.
/// </summary>
internal sealed class LoadDisplay : IProgress<LoadProgress>
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan LogEvery = TimeSpan.FromSeconds(5);

    private readonly string _what;
    private readonly bool _terminal = !Console.IsErrorRedirected;
    private readonly Lock _gate = new();
    private TimeSpan _shown = TimeSpan.MinValue;
    private int _width;

    public LoadDisplay(string what) => _what = what;

    /// <summary>Told of all progress, shown or not.</summary>
    public Action<LoadProgress>? Watch { get; init; }

    public void Report(LoadProgress value)
    {
        Watch?.Invoke(value);
        lock (_gate)
        {
            TimeSpan wait = _terminal ? TimeSpan.FromMilliseconds(100) : LogEvery;
            if (value.Elapsed < Patience || (_shown != TimeSpan.MinValue && value.Elapsed - _shown < wait))
                return;
            _shown = value.Elapsed;
            if (_terminal)
                Draw(value);
            else
                Console.Error.WriteLine($"{_what}: {Describe(value)}");
        }
    }

    /// <summary>Clears the bar and, when anything had been shown, says how it ended.</summary>
    public void Finish(long bytes, TimeSpan elapsed)
    {
        lock (_gate)
        {
            if (_width > 0)
                Console.Error.Write($"\r{new string(' ', _width)}\r");
            if (_shown != TimeSpan.MinValue)
                Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{_what}: {ByteSize.Format(bytes)} in {elapsed.TotalSeconds:F1} s, {Rate(bytes, elapsed)}"));
        }
    }

    private static string Describe(LoadProgress value)
    {
        double share = value.Share;
        TimeSpan left = share > 0 ? value.Elapsed * ((1 - share) / share) : TimeSpan.Zero;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{share:P0} {ByteSize.Format(value.Bytes)} of {ByteSize.Format(value.TotalBytes)}, {Rate(value.Bytes, value.Elapsed)}, {left.TotalSeconds:F0} s left");
    }

    private static string Rate(long bytes, TimeSpan elapsed) =>
        string.Create(CultureInfo.InvariantCulture, $"{bytes / Math.Max(elapsed.TotalSeconds, 1e-9) / 1e9:F2} GB/s");

    private void Draw(LoadProgress value)
    {
        const int Cells = 24;
        int full = value.TotalBytes == 0 ? Cells : (int)(Cells * value.Bytes / value.TotalBytes);
        string line = $"{_what} {new string('━', full)}{new string('╌', Cells - full)} {Describe(value)}";
        int columns = AnsiConsole.Profile.Width;
        if (line.Length >= columns)
            line = line[..Math.Max(0, columns - 1)];
        Console.Error.Write($"\r{line.PadRight(_width)}");
        _width = line.Length;
    }
}
