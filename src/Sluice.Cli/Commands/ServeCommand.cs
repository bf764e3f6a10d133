using System.CommandLine;
using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Hosting;
using Sluice.Core;
using Sluice.Engine.Text;
using Sluice.Server;
using Sluice.Text;
using Spectre.Console;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice serve</c>: the OpenAI API over HTTP.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        Option<string?> model = CommonOptions.Model();
        Option<string> host = new("--host") { HelpName = "ADDRESS", DefaultValueFactory = _ => "127.0.0.1", Description = "Address to listen on. Default: 127.0.0.1, this machine alone." };
        Option<int> port = CommonOptions.AtLeast(new("--port") { HelpName = "N", DefaultValueFactory = _ => 8080, Description = "Port; 0 takes a free one. Default: 8080." }, 0);
        Option<int> sequences = CommonOptions.AtLeast(new("--max-sequences") { HelpName = "N", DefaultValueFactory = _ => 64, Description = "Requests that run at a time, memory permitting; others wait. Default: 64." }, 1);
        Option<int> threads = CommonOptions.Threads();
        Option<int> workers = CommonOptions.LoadWorkers();
        Option<long> memory = CommonOptions.Memory();
        Command command = new("serve", "Serve a model over the OpenAI API.") { model, host, port, sequences, threads, workers, memory };
        command.SetAction(async (parsed, cancellation) =>
        {
            if (!IPAddress.TryParse(parsed.GetRequiredValue(host), out IPAddress? address))
                throw new ConfigurationException($"--host: expected an IP address such as 127.0.0.1 or 0.0.0.0, found '{parsed.GetRequiredValue(host)}'");
            string folder = ModelFolder.Resolve(parsed.GetValue(model));
            ServerOptions options = new() { Address = address, Port = parsed.GetValue(port) };
            Task<(Tokenizer Tokenizer, ChatTemplate? Template)> text = Task.Run(() => (Tokenizer.Load(folder), ChatTemplate.Load(folder)), cancellation);
            await using ModelSession session = ModelSession.Load(
                new SessionOptions
                {
                    Folder = folder,
                    Threads = parsed.GetValue(threads),
                    LoadWorkers = parsed.GetValue(workers),
                    Memory = parsed.GetValue(memory),
                    Sequences = parsed.GetValue(sequences),
                },
                cancellation);
            (Tokenizer tokenizer, ChatTemplate? template) = await text;
            ServedModel served = new()
            {
                Id = Path.GetFileName(folder.TrimEnd(Path.DirectorySeparatorChar)),
                Generator = new TextGenerator(session.Engine, tokenizer, session.EndOfText),
                Chat = template,
                Family = session.Config.ModelType,
                Defaults = SamplingFlags.Apply(session.Defaults),
            };
            await using WebApplication app = SluiceServer.Build(options, served);
            await app.StartAsync(cancellation);
            foreach (string url in app.Urls)
                AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"[bold]{served.Id}[/] on {session.BackendName}: {url}/v1, {session.Engine.MaxRunning} requests at a time, {session.Engine.MaxSequenceTokens} tokens each. Ctrl-C drains and ends.");
            await app.WaitForShutdownAsync(cancellation);
            return ExitCodes.Success;
        });
        return command;
    }
}
