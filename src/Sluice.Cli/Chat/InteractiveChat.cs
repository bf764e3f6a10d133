using System.Globalization;
using Sluice.Cli.Terminal;
using Sluice.Core;
using Sluice.Engine;
using Spectre.Console;

namespace Sluice.Cli.Chat;

/// <summary>A conversation on the terminal. Ctrl-C stops the answer, not the program.</summary>
internal sealed class InteractiveChat(ChatRunner runner, Conversation conversation, ModelSession session)
{
    private const string Help =
        """
        /help          this list
        /reset         forget the conversation, keep the system message
        /system TEXT   set the system message and start anew; without text, show it
        /save FILE     write the conversation as JSON messages
        /exit          end (so does Ctrl-D)
        Ctrl-C         stop the answer
        """;

    private const string Prompt = "[bold blue]›[/] ";

    private readonly Lock _gate = new();
    private CancellationTokenSource? _answering;

    public async Task RunAsync()
    {
        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[bold]{ModelPath.NameOf(session.Folder)}[/] on {session.BackendName}. [grey]/help lists commands.[/]");
        Console.CancelKeyPress += Interrupt;
        try
        {
            while (ReadLine() is { } line)
            {
                string text = line.Trim();
                if (text.Length == 0)
                    continue;
                if (text == "/exit")
                    return;
                if (text[0] == '/')
                    Command(text);
                else
                    await AskAsync(text);
            }
        }
        finally
        {
            Console.CancelKeyPress -= Interrupt;
        }
    }

    private static string? ReadLine()
    {
        AnsiConsole.Markup(Prompt);
        string? line = Console.ReadLine();
        if (line is null)
            Console.WriteLine();
        return line;
    }

    private async Task AskAsync(string text)
    {
        conversation.Add("user", text);
        using CancellationTokenSource stop = new();
        lock (_gate)
            _answering = stop;
        try
        {
            Completion completion = await runner.AnswerAsync(conversation, Console.Out, stop.Token);
            Console.WriteLine();
            Footer(completion);
        }
        catch (SluiceException error)
        {
            conversation.RemoveLast();
            Console.WriteLine();
            ErrorLine.Write(error.Message);
        }
        finally
        {
            lock (_gate)
                _answering = null;
        }
    }

    private void Command(string text)
    {
        string[] parts = text.Split(' ', 2, StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        string argument = parts.Length > 1 ? parts[1] : "";
        switch (parts[0])
        {
            case "/help":
                Console.WriteLine(Help);
                break;
            case "/reset":
                conversation.Reset();
                AnsiConsole.MarkupLine("[grey]forgotten[/]");
                break;
            case "/system" when argument.Length > 0:
                conversation.Begin(argument);
                AnsiConsole.MarkupLine("[grey]a new conversation with this system message[/]");
                break;
            case "/system":
                Console.WriteLine(conversation.System ?? "(no system message)");
                break;
            case "/save" when argument.Length > 0:
                Save(argument);
                break;
            case "/save":
                ErrorLine.Write("/save takes a file name");
                break;
            default:
                ErrorLine.Write($"unknown command {parts[0]}; /help lists the commands");
                break;
        }
    }

    private void Save(string path)
    {
        try
        {
            conversation.Save(path);
            AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[grey]saved to {path}[/]");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            ErrorLine.Write(error.Message);
        }
    }

    private static void Footer(Completion completion)
    {
        GenerationUsage usage = completion.Usage;
        string why = completion.Reason switch
        {
            FinishReason.Cancelled => "stopped, ",
            FinishReason.Length => "cut at the token limit, ",
            _ => "",
        };
        double rate = usage.DecodeTime > TimeSpan.Zero ? (usage.OutputTokens - 1) / usage.DecodeTime.TotalSeconds : 0;
        string text = string.Create(CultureInfo.InvariantCulture, $"{why}{usage.PromptTokens} + {usage.OutputTokens} tokens, first after {(usage.QueueTime + usage.PrefillTime).TotalMilliseconds:F0} ms, {rate:F0} tokens/s");
        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[grey]{text}[/]");
    }

    private void Interrupt(object? sender, ConsoleCancelEventArgs e)
    {
        e.Cancel = true;
        lock (_gate)
        {
            if (_answering is { } answering)
                answering.Cancel();
            else
                AnsiConsole.Markup($"\n[grey]/exit ends the program[/]\n{Prompt}");
        }
    }
}
