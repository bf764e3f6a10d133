using System.Globalization;
using Spectre.Console;

namespace Sluice.Cli.Terminal;

/// <summary>One line on standard error, red where there are colours.</summary>
internal static class ErrorLine
{
    private static readonly IAnsiConsole Console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(System.Console.Error) });

    public static void Write(string message) => Console.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[red]error:[/] {message}");
}
