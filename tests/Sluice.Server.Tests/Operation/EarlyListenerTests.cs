using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Sluice.Server.Tests.Operation;

/// <summary>The server before there is a model, and how the one that has it takes over.</summary>
public sealed class EarlyListenerTests
{
    private static readonly ServerOptions Anywhere = new() { Port = 0 };

    [Fact]
    public async Task While_loading_it_lives_and_says_how_far_it_is()
    {
        await using var listener = await EarlyListener.StartAsync(Anywhere, TestContext.Current.CancellationToken);
        using var http = new HttpClient { BaseAddress = new Uri(listener.Urls.Single()) };
        Assert.Equal((200, """{"status":"alive"}"""), await GetAsync(http, "/health/live"));
        Assert.Equal((503, """{"status":"loading","loaded":0}"""), await GetAsync(http, "/health/ready"));
        listener.Loaded = 0.42;
        Assert.Equal((503, """{"status":"loading","loaded":0.42}"""), await GetAsync(http, "/health/ready"));
        Assert.Equal((503, """{"status":"loading","loaded":0.42}"""), await GetAsync(http, "/health"));
        Assert.Equal(503, (await GetAsync(http, "/nowhere")).Status);
    }

    [Theory]
    [InlineData("/v1/chat/completions", "error.code", "loading")]
    [InlineData("/v1/messages", "error.type", "overloaded_error")]
    [InlineData("/api/chat", "error", "the model is being loaded, 7 % of it is here")]
    public async Task A_request_is_told_to_come_again_in_its_own_shape(string path, string field, string expected)
    {
        await using var listener = await EarlyListener.StartAsync(Anywhere, TestContext.Current.CancellationToken);
        listener.Loaded = 0.078;
        using var http = new HttpClient { BaseAddress = new Uri(listener.Urls.Single()) };
        using HttpResponseMessage response = await http.PostAsJsonAsync(path, "{}", TestContext.Current.CancellationToken);
        Assert.Equal(503, (int)response.StatusCode);
        Assert.Equal("1", response.Headers.GetValues("Retry-After").Single());
        JsonNode? found = JsonNode.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        foreach (string name in field.Split('.'))
            found = found?[name];
        Assert.Equal(expected, found?.GetValue<string>());
    }

    [Fact]
    public async Task Taking_over_refuses_and_breaks_off_nobody()
    {
        await using var listener = await EarlyListener.StartAsync(Anywhere, TestContext.Current.CancellationToken);
        string url = listener.Urls.Single();
        using var http = new HttpClient { BaseAddress = new Uri(url) };
        using var over = new CancellationTokenSource();
        Task<int>[] callers = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            int answers = 0;
            for (; !over.IsCancellationRequested; answers++)
                Assert.Equal(200, (await GetAsync(http, "/health/live")).Status);
            return answers;
        }))];
        Assert.Equal(503, (await GetAsync(http, "/health/ready")).Status);
        await using (TestServer server = await TestServer.StartAsync(listener: listener))
        {
            Assert.Equal(url, server.App.Urls.Single());
            Assert.Equal((200, """{"status":"ready"}"""), await GetAsync(http, "/health/ready"));
            Assert.Equal("hello", (await server.ChatAsync("hello"))["choices"]![0]!["message"]!["content"]!.GetValue<string>());
            await Task.Delay(100, TestContext.Current.CancellationToken);
            await over.CancelAsync();
            foreach (int answers in await Task.WhenAll(callers))
                Assert.InRange(answers, 1, int.MaxValue);
            await server.App.StopAsync(TestContext.Current.CancellationToken);
            await Assert.ThrowsAsync<HttpRequestException>(() => GetAsync(http, "/health/live"));
        }
    }

    [Fact]
    public async Task A_port_that_is_taken_shows_at_once()
    {
        await using var listener = await EarlyListener.StartAsync(Anywhere, TestContext.Current.CancellationToken);
        int port = new Uri(listener.Urls.Single()).Port;
        await Assert.ThrowsAsync<IOException>(() => EarlyListener.StartAsync(new ServerOptions { Port = port }, TestContext.Current.CancellationToken));
    }

    private static async Task<(int Status, string Body)> GetAsync(HttpClient http, string path)
    {
        using HttpResponseMessage response = await http.GetAsync(new Uri(path, UriKind.Relative), TestContext.Current.CancellationToken);
        return ((int)response.StatusCode, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }
}
