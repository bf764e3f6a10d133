using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Routing;

namespace Sluice.Server.Tests.Fuzzing;

/// <summary>
/// Mutated bodies to every route that takes one. <c>SLUICE_FUZZ_REQUESTS=1000000</c> runs a campaign, <c>SLUICE_FUZZ_SEED</c> says where it
/// starts. No answer is a 5xx, none fails to come, and canaries that run all the while say exactly what they say alone.
/// </summary>
public sealed class RequestFuzzTests
{
    private const int Workers = 4;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    // Each says how long its answer may be, so that most mutants end soon.
    private static readonly string[] Bodies =
    [
        """{"model":"echo","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi there"}],"max_tokens":4,"temperature":0.7,"top_p":0.9,"top_k":20,"stop":["x","yz"],"seed":7,"stream":false}""",
        """{"messages":[{"role":"user","content":[{"type":"text","text":"héllo 🙂"}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"add","arguments":"{\"a\":2}"}}]},{"role":"tool","tool_call_id":"c1","content":"4"}],"tools":[{"type":"function","function":{"name":"add","parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}}],"max_completion_tokens":3,"stream":true,"stream_options":{"include_usage":true}}""",
        """{"prompt":"Once upon a time","max_tokens":4,"logprobs":2,"logit_bias":{"5":-100,"6":1.5},"presence_penalty":0.5,"frequency_penalty":-0.5,"repetition_penalty":1.1,"min_p":0.05}""",
        """{"prompt":[1,2,3,400],"max_tokens":2,"stream":true}""",
        """{"model":"echo","max_tokens":4,"messages":[{"role":"user","content":"hi"}],"system":"Be brief.","stop_sequences":["x"],"stream":true,"metadata":{"user_id":"u"}}""",
        """{"model":"echo","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}],"max_output_tokens":4,"stream":true,"instructions":"Be brief."}""",
        """{"model":"echo","messages":[{"role":"user","content":"hi"}],"options":{"num_predict":4,"temperature":0.5,"stop":["x"]},"stream":true}""",
        """{"messages":[{"role":"user","content":"hi"}],"add_generation_prompt":true,"add_special_tokens":false}""",
        """{"tokens":[1,2,3,4097,4098]}""",
    ];

    private static readonly string[] ContentTypes =
        ["text/plain", "application/json; charset=utf-16", "application/json;charset=\"", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/vnd.api+json"];

    private long _sent;
    private long _accepted;
    private long _canaries;

    [Fact]
    public async Task Whatever_is_sent_is_answered_and_never_by_a_5xx()
    {
        long count = long.Parse(Environment.GetEnvironmentVariable("SLUICE_FUZZ_REQUESTS") ?? "2000", CultureInfo.InvariantCulture);
        int seed = int.Parse(Environment.GetEnvironmentVariable("SLUICE_FUZZ_SEED") ?? "1", CultureInfo.InvariantCulture);
        await using TestServer server = await TestServer.StartAsync(model: EchoModel.Create(maxPositions: 256));
        Uri[] routes =
        [
            .. ((IEndpointRouteBuilder)server.App).DataSources.SelectMany(s => s.Endpoints).OfType<RouteEndpoint>()
                .Where(e => e.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods.Contains("POST") ?? false)
                .Select(e => new Uri(e.RoutePattern.RawText!, UriKind.Relative)),
        ];
        Assert.True(routes.Length >= 4);
        (Uri, byte[])[] valid = await FindValidAsync(server, routes);
        Assert.True(valid.Length >= 4);
        using var done = new CancellationTokenSource();
        Task canary = RunCanariesAsync(server, done.Token);
        var failures = new ConcurrentQueue<string>();
        var watch = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, Workers).Select(worker => Task.Run(() => RunAsync(server, routes, valid, new Mutator(HashCode.Combine(seed, worker)), count / Workers, failures))));
        TimeSpan elapsed = watch.Elapsed;
        await done.CancelAsync();
        await canary;
        string summary = $"seed {seed}: {_sent} requests, {_accepted} of them accepted, {_canaries} canaries, {_sent / elapsed.TotalSeconds:F0} a second";
        TestContext.Current.SendDiagnosticMessage(summary);
        Assert.True(failures.IsEmpty, $"{summary}\n{string.Join('\n', failures.Take(10))}");
        Assert.True(_accepted > _sent / 50 && _accepted < _sent, $"{summary}: the mutations are too rough or too gentle");
        await server.AssertIdleAsync();
        Assert.DoesNotContain(server.Log, l => l.StartsWith("Error Sluice", StringComparison.Ordinal) || l.StartsWith("Critical", StringComparison.Ordinal));
    }

    /// <summary>Which route takes which body as it is: mutants of those get further than into the first check.</summary>
    private static async Task<(Uri Route, byte[] Body)[]> FindValidAsync(TestServer server, Uri[] routes)
    {
        var valid = new List<(Uri, byte[])>();
        foreach ((Uri route, string body) in routes.SelectMany(route => Bodies.Select(body => (route, body))))
        {
            if ((await server.OpenAsync(route.OriginalString, body)).IsSuccessStatusCode)
                valid.Add((route, Encoding.UTF8.GetBytes(body)));
        }

        return [.. valid];
    }

    private async Task RunAsync(TestServer server, Uri[] routes, (Uri Route, byte[] Body)[] valid, Mutator mutator, long count, ConcurrentQueue<string> failures)
    {
        for (long i = 0; i < count; i++)
        {
            (Uri route, byte[] body) = mutator.OneIn(5) ? (mutator.Pick(routes), Encoding.UTF8.GetBytes(mutator.Pick(Bodies))) : mutator.Pick(valid);
            body = mutator.Mutate(body);
            using var request = new HttpRequestMessage(HttpMethod.Post, route) { Content = new ByteArrayContent(body) };
            request.Content.Headers.TryAddWithoutValidation("Content-Type", mutator.OneIn(50) ? mutator.Pick(ContentTypes) : "application/json");
            if (mutator.OneIn(20))
                request.Headers.TransferEncodingChunked = true;
            Interlocked.Increment(ref _sent);
            using var patience = new CancellationTokenSource(Patience);
            try
            {
                using HttpResponseMessage response = await server.Http.SendAsync(request, patience.Token);
                string answer = await response.Content.ReadAsStringAsync(patience.Token);
                if ((int)response.StatusCode >= 500 || (!response.IsSuccessStatusCode && !HasMessage(answer)))
                    failures.Enqueue($"{route} {(int)response.StatusCode} {answer}: {Convert.ToBase64String(body)}");
                if (response.IsSuccessStatusCode)
                    Interlocked.Increment(ref _accepted);
            }
            catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
            {
                failures.Enqueue($"{route} {e.GetType().Name} {e.Message}: {Convert.ToBase64String(body)}");
            }

            // What is logged is looked at in the end; a campaign would drown in it.
            while (server.Log.Count > 10_000)
                server.Log.TryDequeue(out _);
        }
    }

    private async Task RunCanariesAsync(TestServer server, CancellationToken done)
    {
        const string Text = "The canary sings: Zwölf Boxkämpfer 日本語 🙂.";
        while (!done.IsCancellationRequested)
        {
            using HttpResponseMessage stream = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody(Text, "\"stream\":true"), CancellationToken.None);
            List<JsonNode> chunks = await SseReader.ReadChunksAsync(stream);
            Assert.Equal(Text, string.Concat(chunks.Select(c => (string?)c["choices"]![0]!["delta"]!["content"])));
            _canaries++;
        }
    }

    /// <summary>Whether an error tells its reason, in OpenAI's or Anthropic's shape or in Ollama's.</summary>
    private static bool HasMessage(string answer) => JsonNode.Parse(answer)?["error"] switch
    {
        JsonObject error => (string?)error["message"] is { Length: > 0 },
        JsonValue error => error.GetValue<string>().Length > 0,
        _ => false,
    };
}
