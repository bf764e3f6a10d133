using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Sluice.Cli.Tests;

/// <summary>
/// A server that is killed outright loses the requests in flight and nothing else: their clients see that the answers are not whole, and
/// another server takes the port at once.
/// </summary>
public sealed class KillTests
{
    private const string Endless = "\"max_tokens\":4000,\"temperature\":1.5,\"logit_bias\":{\"4098\":-100,\"4096\":-100}";
    private static readonly (string Path, string Body)[] Streams =
    [
        ("/v1/completions", $$"""{"prompt":"The",{{Endless}},"stream":true}"""),
        ("/v1/chat/completions", $$"""{"messages":[{"role":"user","content":"Tell me a story."}],{{Endless}},"stream":true}"""),
        ("/v1/messages", $$"""{"messages":[{"role":"user","content":"Tell me a story."}],{{Endless}},"stream":true}"""),
        ("/v1/responses", """{"input":"Tell me a story.","max_output_tokens":4000,"temperature":1.5,"logit_bias":{"4098":-100,"4096":-100},"stream":true}"""),
        ("/api/chat", """{"model":"demo","messages":[{"role":"user","content":"Tell me a story."}],"options":{"num_predict":4000,"temperature":1.5,"logit_bias":{"4098":-100,"4096":-100}}}"""),
    ];

    [Fact]
    public async Task A_killed_server_cuts_its_streams_visibly_and_another_takes_its_place()
    {
        string port = FreePort().ToString(CultureInfo.InvariantCulture);
        string[] arguments = ["serve", "--port", port, "--max-sequences", "8", "--memory", "64MiB"];
        for (int round = 0; round < 2; round++)
        {
            using Process process = SluiceProgram.Start(arguments);
            using var http = new HttpClient { BaseAddress = await ReadyAsync(process) };

            // The one before left nothing that is in the way: this one answers first.
            Assert.Contains("92 + 30 = 122", await AnswerAsync(http), StringComparison.Ordinal);
            HttpResponseMessage[] streams = await Task.WhenAll(Streams.Select(s => OpenAsync(http, s.Path, s.Body)));
            Stream[] bodies = await Task.WhenAll(streams.Select(s => s.Content.ReadAsStreamAsync()));
            foreach (Stream body in bodies)
                Assert.True(await body.ReadAsync(new byte[100]) > 0);
            Task<HttpResponseMessage> whole = http.PostAsync(new Uri("/v1/completions", UriKind.Relative), Json($$"""{"prompt":"The",{{Endless}}}"""));
            await Task.Delay(100 * round);
            Assert.False(process.HasExited);
            process.Kill();
            foreach ((Stream body, string path) in bodies.Zip(Streams, (body, s) => (body, s.Path)))
            {
                Exception error = await Assert.ThrowsAnyAsync<Exception>(() => ReadToEndAsync(body));
                Assert.True(error is IOException or HttpRequestException, $"{path}: {error}");
            }

            await Assert.ThrowsAsync<HttpRequestException>(() => whole);
            foreach (HttpResponseMessage stream in streams)
                stream.Dispose();
            await process.WaitForExitAsync();
        }

        using Process last = SluiceProgram.Start(arguments);
        using var client = new HttpClient { BaseAddress = await ReadyAsync(last) };
        Assert.Contains("92 + 30 = 122", await AnswerAsync(client), StringComparison.Ordinal);
        last.Kill();
        await last.WaitForExitAsync();
    }

    private static async Task<Uri> ReadyAsync(Process process)
    {
        Uri address = await ServeTests.AddressAsync(process, new StringBuilder());
        _ = process.StandardError.ReadToEndAsync();
        _ = process.StandardOutput.ReadToEndAsync();
        return address;
    }

    private static async Task<string> AnswerAsync(HttpClient http)
    {
        using HttpResponseMessage response = await http.PostAsync(
            new Uri("/v1/chat/completions", UriKind.Relative), Json("""{"messages":[{"role":"user","content":"What is 92 + 30?"}],"temperature":0}"""));
        return await response.Content.ReadAsStringAsync();
    }

    private static async Task<HttpResponseMessage> OpenAsync(HttpClient http, string path, string body)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = Json(body) };
        HttpResponseMessage response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.True(response.IsSuccessStatusCode, path);
        return response;
    }

    private static async Task ReadToEndAsync(Stream body)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var buffer = new byte[16 << 10];
        while (await body.ReadAsync(buffer, patience.Token) > 0)
        {
        }
    }

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
