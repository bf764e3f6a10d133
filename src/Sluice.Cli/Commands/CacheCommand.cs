using System.CommandLine;
using System.Net.Http.Headers;
using Sluice.Cli.Terminal;

namespace Sluice.Cli.Commands;

/// <summary><c>sluice cache</c>: what the prefix cache of a running server holds.</summary>
internal static class CacheCommand
{
    public static Command Create()
    {
        Option<string> url = new("--url") { HelpName = "URL", DefaultValueFactory = _ => "http://127.0.0.1:8080", Description = "The server. Default: http://127.0.0.1:8080." };
        Option<string?> key = new("--api-key") { HelpName = "KEY", DefaultValueFactory = _ => Environment.GetEnvironmentVariable("SLUICE_API_KEY"), Description = "API key, if the server has any. Default: the environment's SLUICE_API_KEY." };
        Option<int> nodes = CommonOptions.AtLeast(new("--nodes") { HelpName = "N", DefaultValueFactory = _ => 64, Description = "Nodes of the tree to show, those used last. Default: 64." }, 0);
        Option<bool> clear = new("--clear") { Description = "Forget everything that no running request needs." };
        Command command = new("cache", "Show the prefix cache of a running server: budget, hit rates, tree.") { url, key, nodes, clear };
        url.Validators.Add(result =>
        {
            if (!Uri.TryCreate(result.GetValueOrDefault<string>(), UriKind.Absolute, out Uri? given) || given.Scheme is not ("http" or "https"))
                result.AddError("--url: expected an address such as http://127.0.0.1:8080");
        });
        command.SetAction(async (parsed, cancellation) =>
        {
            using HttpClient http = new() { BaseAddress = new Uri(parsed.GetRequiredValue(url)) };
            bool isClearing = parsed.GetValue(clear);
            using HttpRequestMessage request = new(
                isClearing ? HttpMethod.Post : HttpMethod.Get, isClearing ? "debug/cache/clear" : $"debug/cache?nodes={parsed.GetValue(nodes)}");
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/plain"));
            if (parsed.GetValue(key) is { Length: > 0 } secret)
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", secret);
            try
            {
                using HttpResponseMessage response = await http.SendAsync(request, cancellation);
                string text = await response.Content.ReadAsStringAsync(cancellation);
                if (!response.IsSuccessStatusCode)
                {
                    ErrorLine.Write($"{http.BaseAddress} answered {(int)response.StatusCode}: {text}");
                    return ExitCodes.Failure;
                }

                Console.Out.Write(text);
                return ExitCodes.Success;
            }
            catch (HttpRequestException e)
            {
                ErrorLine.Write($"no server answers at {http.BaseAddress}: {e.Message}");
                return ExitCodes.Failure;
            }
        });
        return command;
    }
}
