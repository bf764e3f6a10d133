using System.CommandLine;
using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Hosting;
using Sluice.Backends;
using Sluice.Cli.Terminal;
using Sluice.Cpu;
using Sluice.Engine.Sampling;
using Sluice.Engine.Text;
using Sluice.Server;
using Sluice.Server.Configuration;
using Sluice.Text;
using Spectre.Console;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice serve</c>: the API over HTTP.</summary>
internal static class ServeCommand
{
    public const int DefaultSequences = 64;

    public static Command Create()
    {
        ServeFlags flags = new();
        Command command = new(
            "serve",
            "Serve a model over the OpenAI API. Each option is also a setting of the section Sluice of a JSON file, and an environment "
            + "variable SLUICE__NAME: --max-body-bytes is MaxBodyBytes and SLUICE__MaxBodyBytes. Flags win over the environment, that over the file.");
        flags.AddTo(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var settings = Settings.Load(parsed.GetValue(flags.File), flags.Given(parsed), flags.Names);
            ServerOptions options = ServerSettings.Read(settings, parsed.GetValue(flags.Keys) ?? []);
            SessionOptions session = ReadSession(settings);
            settings.RefuseUnknown();
            await ServeAsync(options, session, cancellation);
            return ExitCodes.Success;
        });
        return command;
    }

    private static SessionOptions ReadSession(Settings settings) => new()
    {
        Folder = ModelPath.Resolve(settings.Text("Model")),
        Compute = new Compute(
            settings.Text("Device") ?? Devices.Cpu,
            Devices.Options(
                AtLeast(settings, "Threads", 0, 0),
                Choice(settings, "Activations", ActivationPrecision.Fast),
                Choice(settings, "KvDtype", KvDtype.Auto),
                Choice(settings, "Pin", ThreadPinning.Off),
                Choice(settings, "Numa", NumaPlacement.Auto)),
            settings.Text("PackedWeights")),
        ServesWhileWriting = true,
        LoadWorkers = AtLeast(settings, "LoadWorkers", 0, 0),
        Memory = ReadMemory(settings),
        Sequences = AtLeast(settings, "MaxSequences", 1, DefaultSequences),
    };

    private static T Choice<T>(Settings settings, string name, T otherwise)
        where T : struct, Enum => settings.Text(name) switch
        {
            null => otherwise,
            { } text when Enum.TryParse(text, ignoreCase: true, out T choice) && Enum.IsDefined(choice) && !char.IsAsciiDigit(text[0]) => choice,
            { } text => throw settings.Invalid(name, $"expected one of {string.Join(", ", Enum.GetNames<T>()).ToLowerInvariant()}, found '{text}'"),
        };

    private static async Task ServeAsync(ServerOptions options, SessionOptions sessionOptions, CancellationToken cancellation)
    {
        string folder = sessionOptions.Folder;
        Task<(Tokenizer Tokenizer, ChatTemplate? Template)> text = Task.Run(() => (Tokenizer.Load(folder), ChatTemplate.Load(folder)), cancellation);

        // Balancers and people see that something is coming; a port that is taken shows before the load, not after it.
        await using EarlyListener listener = await EarlyListener.StartAsync(options, cancellation);
        await using var session = await Task.Run(() => ModelSession.Load(sessionOptions, cancellation, progress => listener.Loaded = progress.Share), cancellation);
        (Tokenizer tokenizer, ChatTemplate? template) = await text;

        // What loading leaves behind goes back to the system: a server makes so little garbage that nobody would look for it.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        ServedModel served = new()
        {
            Id = ModelPath.NameOf(folder),
            Generator = new TextGenerator(session.Engine, tokenizer, session.EndOfText),
            Chat = template,
            Family = session.Config.ModelType,
            Defaults = SamplingOptions.Suggested(session.Defaults),
        };
        await using WebApplication app = SluiceServer.Build(options, served, listener: listener);
        await app.StartAsync(cancellation);
        string access = options.ApiKeys.Count > 0 ? $"{options.ApiKeys.Count} API keys" : "no API key needed";
        foreach (string url in app.Urls)
            AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[bold]{served.Id}[/] on {session.BackendName}: {url}/v1, {session.Engine.MaxRunning} requests at a time, {session.Engine.MaxSequenceTokens} tokens each, {access}. Ctrl-C drains and ends.");
        await app.WaitForShutdownAsync(cancellation);
    }

    private static int AtLeast(Settings settings, string name, int least, int otherwise) => settings.Integer(name) is not { } value ? otherwise
        : value >= least ? value
        : throw settings.Invalid(name, $"must be at least {least}, found {value}");

    private static long ReadMemory(Settings settings)
    {
        if (settings.Text("Memory") is not { } text)
            return 0;
        return ByteSize.TryParse(text, out long bytes) && bytes > 0
            ? bytes
            : throw settings.Invalid("Memory", $"expected a size such as 8GiB, found '{text}'");
    }
}
