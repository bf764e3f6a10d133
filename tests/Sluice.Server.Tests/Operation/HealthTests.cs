using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using Sluice.Server.Health;

namespace Sluice.Server.Tests.Operation;

/// <summary>Ready means that a request sent now would be answered, not that a process exists.</summary>
public sealed class HealthTests
{
    [Fact]
    public async Task An_idle_server_is_ready_and_proves_it_once()
    {
        await using TestServer server = await TestServer.StartAsync();
        Assert.Equal((200, """{"status":"alive"}"""), await server.GetAsync("/health/live"));
        Assert.Equal(0, server.Engine.Status.Steps);
        await Task.WhenAll(Enumerable.Range(0, 20).Select(async _ => Assert.Equal((200, """{"status":"ready"}"""), await server.GetAsync("/health/ready"))));
        Assert.Equal(1, server.Engine.Status.Steps);
        await server.AssertIdleAsync();
    }

    [Fact]
    public async Task An_engine_whose_steps_hang_is_alive_but_not_ready_and_recovers()
    {
        using var gate = new SemaphoreSlim(0);
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { StallTimeout = TimeSpan.FromMilliseconds(100) });
        ProgressWatch watch = server.App.Services.GetRequiredService<ProgressWatch>();
        server.Model.OnForward = _ => gate.Wait(20_000);
        Task<JsonNode> answer = server.ChatAsync("hi");
        while (server.Engine.Status.Running == 0)
            await Task.Delay(5);
        watch.Look();
        Assert.Equal(200, (await server.GetAsync("/health/ready")).Status);
        await Task.Delay(150);
        watch.Look();
        Assert.Equal((503, """{"status":"stalled"}"""), await server.GetAsync("/health/ready"));
        Assert.Equal((503, """{"status":"stalled","running":1,"waiting":0}"""), await server.GetAsync("/health"));
        Assert.Equal(200, (await server.GetAsync("/health/live")).Status);
        await server.LoggedAsync("no step was completed");
        gate.Release(1000);
        _ = await answer;
        watch.Look();
        Assert.Equal(200, (await server.GetAsync("/health/ready")).Status);
    }

    [Fact]
    public async Task Work_that_goes_on_slowly_is_not_stalled_and_is_not_checked_on_top()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { StallTimeout = TimeSpan.FromMilliseconds(200) });
        ProgressWatch watch = server.App.Services.GetRequiredService<ProgressWatch>();
        server.Model.OnForward = batch =>
        {
            Thread.Sleep(20);
        };
        Task<JsonNode> answer = server.ChatAsync("one two three four five six seven eight nine ten");
        while (!answer.IsCompleted)
        {
            watch.Look();
            Assert.Equal(200, (await server.GetAsync("/health/ready")).Status);
            await Task.Delay(10);
        }

        _ = await answer;
    }

    [Fact]
    public async Task An_engine_that_has_stopped_is_not_ready()
    {
        await using TestServer server = await TestServer.StartAsync();
        await server.Engine.DisposeAsync();
        Assert.Equal((503, """{"status":"unavailable"}"""), await server.GetAsync("/health/ready"));
        Assert.Equal(200, (await server.GetAsync("/health/live")).Status);
    }

    [Fact]
    public async Task An_idle_engine_that_cannot_generate_is_not_ready()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Model.OnForward = _ => throw new InvalidOperationException("the device is gone");
        Assert.Equal((503, """{"status":"stalled"}"""), await server.GetAsync("/health/ready"));
        server.Model.OnForward = null;
        Assert.Equal(200, (await server.GetAsync("/health/ready")).Status);
    }
}
