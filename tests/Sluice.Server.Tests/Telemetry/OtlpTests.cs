using System.Collections.Concurrent;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace Sluice.Server.Tests.Telemetry;

/// <summary>Export over OTLP, to a collector that keeps what it gets.</summary>
public sealed class OtlpTests
{
    [Fact]
    public async Task Spans_and_metrics_go_to_the_collector_that_is_configured()
    {
        var received = new ConcurrentBag<(string Path, string Body)>();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        await using WebApplication collector = builder.Build();
        collector.Run(async context =>
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            received.Add((context.Request.Path, Encoding.Latin1.GetString(body.ToArray())));
            context.Response.ContentType = "application/grpc";
            await context.Response.Body.WriteAsync(new byte[5]);
            context.Response.AppendTrailer("grpc-status", "0");
        });
        await collector.StartAsync(TestContext.Current.CancellationToken);

        await using (TestServer server = await TestServer.StartAsync(new ServerOptions { OtlpEndpoint = new Uri(collector.Urls.Single()) }))
            _ = await server.ChatAsync("xyzzy");
        Assert.Contains(received, r => r.Path.EndsWith("TraceService/Export", StringComparison.Ordinal) && r.Body.Contains("chat echo", StringComparison.Ordinal) && r.Body.Contains("gen_ai.usage.output_tokens", StringComparison.Ordinal));
        Assert.Contains(received, r => r.Path.EndsWith("MetricsService/Export", StringComparison.Ordinal) && r.Body.Contains("gen_ai.server.time_to_first_token", StringComparison.Ordinal) && r.Body.Contains("sluice.engine.step.duration", StringComparison.Ordinal));
        Assert.DoesNotContain(received, r => r.Body.Contains("xyzzy", StringComparison.Ordinal));
    }
}
