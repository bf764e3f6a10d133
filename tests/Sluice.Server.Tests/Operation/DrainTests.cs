using System.Text.Json.Nodes;

namespace Sluice.Server.Tests.Operation;

/// <summary>A stopping server: not ready first, then closed, and no answer cut.</summary>
public sealed class DrainTests
{
    [Fact]
    public async Task Readiness_goes_first_and_requests_are_served_meanwhile()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { DrainDelay = TimeSpan.FromMilliseconds(700) });
        Assert.Equal(200, (await server.GetAsync("/health/ready")).Status);
        Task stop = server.App.StopAsync(TestContext.Current.CancellationToken);
        Assert.Equal((503, """{"status":"draining"}"""), await server.GetAsync("/health/ready"));
        Assert.Equal(200, (await server.GetAsync("/health/live")).Status);
        Assert.Equal("still here", RequestTests.Content(await server.ChatAsync("still here")));
        await stop;
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => server.ChatAsync("too late"));
    }

    [Fact]
    public async Task Many_drains_with_many_streams_open_cut_none()
    {
        int drains = int.TryParse(Environment.GetEnvironmentVariable("SLUICE_DRAINS"), out int asked) ? asked : 5;
        for (int drain = 0; drain < drains; drain++)
        {
            using var gate = new SemaphoreSlim(0);
            await using TestServer server = await TestServer.StartAsync();
            server.Model.OnForward = _ => gate.Wait(10_000);
            string[] texts = [.. Enumerable.Range(0, 12).Select(i => $"Stream {i} of drain {drain}: {string.Concat(Enumerable.Repeat($"{i} words and more words ", 1 + i))}")];
            HttpResponseMessage[] streams = await Task.WhenAll(texts.Select(text => server.OpenAsync("/v1/chat/completions", TestServer.ChatBody(text, "\"stream\":true"))));
            Task<JsonNode>[] whole = [.. texts.Select(text => server.ChatAsync(text))];
            while (server.Engine.Status is { Running: var running, Waiting: var waiting } && running + waiting < 2 * texts.Length)
                await Task.Delay(1);

            // All are taken; the end comes after so many steps, a different number each time.
            gate.Release(1 + drain);
            Task stop = server.App.StopAsync(TestContext.Current.CancellationToken);
            server.Model.OnForward = null;
            gate.Release(1000);
            for (int i = 0; i < texts.Length; i++)
            {
                List<JsonNode> chunks = await SseReader.ReadChunksAsync(streams[i]);
                Assert.Equal(texts[i], string.Concat(chunks.Select(c => (string?)c["choices"]![0]!["delta"]!["content"])));
                Assert.Equal("stop", (string?)chunks[^1]["choices"]![0]!["finish_reason"]);
                streams[i].Dispose();
            }

            Assert.Equal(texts, (await Task.WhenAll(whole)).Select(RequestTests.Content));
            await stop;
            await server.AssertIdleAsync();
        }
    }
}
