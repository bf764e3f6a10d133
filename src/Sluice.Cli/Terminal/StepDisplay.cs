using System.Diagnostics;
using System.Globalization;

namespace Sluice.Cli.Terminal;

/// <summary>Progress of work that counts tokens: one line redrawn on a terminal, a log line every few seconds elsewhere.</summary>
internal sealed class StepDisplay(string what, int total) : IProgress<int>
{
    private readonly bool _terminal = !Console.IsErrorRedirected;
    private readonly long _start = Stopwatch.GetTimestamp();
    private TimeSpan _shown = TimeSpan.Zero;
    private int _width;

    public void Report(int value)
    {
        TimeSpan elapsed = Stopwatch.GetElapsedTime(_start);
        if (elapsed - _shown < (_terminal ? TimeSpan.FromMilliseconds(200) : TimeSpan.FromSeconds(5)))
            return;
        _shown = elapsed;
        double left = elapsed.TotalSeconds * (total - value) / Math.Max(1, value);
        string line = string.Create(CultureInfo.InvariantCulture, $"{what}: {value} of {total} tokens, {value / elapsed.TotalSeconds:F0} tokens/s, {left:F0} s left");
        if (!_terminal)
        {
            Console.Error.WriteLine(line);
            return;
        }

        Console.Error.Write($"\r{line.PadRight(_width)}");
        _width = line.Length;
    }

    public void Finish()
    {
        if (_width > 0)
            Console.Error.Write($"\r{new string(' ', _width)}\r");
    }
}
