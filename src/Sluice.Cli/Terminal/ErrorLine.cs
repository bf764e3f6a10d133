using System.Globalization;
using Spectre.Console;

namespace Sluice.Cli.Terminal;

/// <summary>One line on standard error, red where there are colours.</summary>
internal static class ErrorLine
{
    private static readonly IAnsiConsole Console = Create();

    public static void Write(string message) => Console.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[red]error:[/] {message}");

    private static IAnsiConsole Create()
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(System.Console.Error) });

        // Lines break at the edge of a terminal, and nowhere else.
        if (System.Console.IsErrorRedirected)
            console.Profile.Width = int.MaxValue;
        return console;
    }
}
