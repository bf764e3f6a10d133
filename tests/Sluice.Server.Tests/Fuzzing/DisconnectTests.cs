using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Sluice.Engine;

namespace Sluice.Server.Tests.Fuzzing;

/// <summary>
/// Clients that leave at any moment, in every way, from every API. <c>SLUICE_DISCONNECTS=100000</c> runs a campaign,
/// <c>SLUICE_DISCONNECTS_SEED</c> says where it starts. Every so often all stop, and within two seconds the server has exactly what it had
/// before: pages, slots, file descriptors. A canary that streams all the while says what it says alone. Alone in the process, because
/// others' sockets would count.
/// </summary>
[Collection(nameof(AloneCollection))]
public sealed class DisconnectTests
{
    private const string Canary = "The canary sings: Zwölf Boxkämpfer 日本語 🙂.";
    private const int Workers = 48;
    private const int PerRound = 2_000;
    private const int SettleMs = 2_000;

    private long _canaries;
    private long _answered;

    [Fact]
    public async Task Whoever_leaves_leaves_nothing_behind()
    {
        int count = int.Parse(Environment.GetEnvironmentVariable("SLUICE_DISCONNECTS") ?? "1000", CultureInfo.InvariantCulture);
        int seed = int.Parse(Environment.GetEnvironmentVariable("SLUICE_DISCONNECTS_SEED") ?? "1", CultureInfo.InvariantCulture);
        await using TestServer server = await TestServer.StartAsync(
            new ServerOptions { HeaderTimeout = TimeSpan.FromSeconds(1), StalledReaderTimeout = TimeSpan.FromMilliseconds(500) },
            EchoModel.Create(maxPositions: 512, pages: 2048, slots: 64));
        HostileClient[] clients = [.. Enumerable.Range(0, Workers).Select(worker => new HostileClient(server.Address, HashCode.Combine(seed, worker)))];

        // What is made once, threads and pools among them, is made before anything is counted.
        await RunRoundAsync(server, clients, 4 * Workers);
        await SettleAsync(server, null);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Baseline baseline = await SettleAsync(server, null);
        _canaries = _answered = 0;
        var farewells = new int[Enum.GetValues<Farewell>().Length];
        var watch = Stopwatch.StartNew();
        TimeSpan slowest = TimeSpan.Zero;
        for (int left = count; left > 0; left -= PerRound)
        {
            foreach (Farewell farewell in await RunRoundAsync(server, clients, Math.Min(left, PerRound)))
                farewells[(int)farewell]++;
            var settling = Stopwatch.StartNew();
            baseline = await SettleAsync(server, baseline);
            slowest = settling.Elapsed > slowest ? settling.Elapsed : slowest;
        }

        string kinds = string.Join(", ", Enum.GetValues<Farewell>().Select(f => $"{farewells[(int)f]} {f}"));
        TestContext.Current.SendDiagnosticMessage(string.Create(CultureInfo.InvariantCulture,
            $"seed {seed}: {count} disconnects ({kinds}), {_answered} had seen of an answer, {_canaries} canaries, {count / watch.Elapsed.TotalSeconds:F0} a second; {baseline.Descriptors} descriptors; slowest return to the baseline {slowest.TotalMilliseconds:F0} ms"));
        Assert.True(_canaries > 0 && _answered > count / 10, "the clients were too rough to be a test");
        Assert.DoesNotContain(server.Log, l => l.StartsWith("Error Sluice", StringComparison.Ordinal) || l.StartsWith("Critical", StringComparison.Ordinal));
    }

    private async Task<List<Farewell>> RunRoundAsync(TestServer server, HostileClient[] clients, int count)
    {
        int next = 0;
        using var done = new CancellationTokenSource();
        Task canary = Task.Run(() => RunCanariesAsync(server, done.Token));
        List<Farewell>[] farewells = await Task.WhenAll(clients.Select(client => Task.Run(async () =>
        {
            var own = new List<Farewell>();
            while (Interlocked.Increment(ref next) <= count)
            {
                (Farewell farewell, bool answered) = await client.AttackAsync();
                own.Add(farewell);
                if (answered)
                    Interlocked.Increment(ref _answered);
            }

            return own;
        })));
        await done.CancelAsync();
        await canary;
        while (server.Log.Count > 10_000)
            server.Log.TryDequeue(out _);
        return [.. farewells.SelectMany(f => f)];
    }

    private async Task RunCanariesAsync(TestServer server, CancellationToken done)
    {
        while (!done.IsCancellationRequested)
        {
            using HttpResponseMessage stream = await server.OpenAsync("/v1/chat/completions", TestServer.ChatBody(Canary, "\"stream\":true"), CancellationToken.None);
            List<JsonNode> chunks = await SseReader.ReadChunksAsync(stream);
            Assert.Equal(Canary, string.Concat(chunks.Select(c => (string?)c["choices"]![0]!["delta"]!["content"])));
            _canaries++;
        }
    }

    /// <summary>Waits until nothing runs, no memory is held, and nothing but the baseline's descriptors is open.</summary>
    private static async Task<Baseline> SettleAsync(TestServer server, Baseline? baseline)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            // What the prefix cache keeps is no leak, but only without it can one see that there is none.
            EngineStatus status = server.Engine.Status;
            if (status is { Running: 0, Waiting: 0, Cache: { SequencePages: 0, SequenceSlots: 0 } })
            {
                await server.Engine.ClearCacheAsync(TestContext.Current.CancellationToken);
                CacheUse cache = server.Engine.Status.Cache;
                var now = new Baseline(cache.FreeBytes, cache.CachedPages, cache.CachedSlots, Descriptors());
                if (baseline is null ? watch.ElapsedMilliseconds > SettleMs : now.IsNoMoreThan(baseline))
                    return now;
                status = server.Engine.Status;
            }

            Assert.True(
                watch.ElapsedMilliseconds < SettleMs + (baseline is null ? SettleMs : 0), $"expected {baseline}, found {Descriptors()} descriptors and {status}");
            await Task.Delay(5);
        }
    }

    // Without assemblies: the runtime keeps those open that it loads, whenever it comes to need them.
    private static int Descriptors() => !OperatingSystem.IsLinux()
        ? 0
        : Directory.GetFileSystemEntries("/proc/self/fd").Count(static d => Path.GetExtension(new FileInfo(d).LinkTarget) is not (".dll" or ".pdb"));

    /// <summary>What there is when nobody is served.</summary>
    private sealed record Baseline(long FreeBytes, int CachedPages, int CachedSlots, int Descriptors)
    {
        /// <summary>Fewer descriptors are no leak: something from before was still open when they were counted. From then on they are the measure.</summary>
        public bool IsNoMoreThan(Baseline other) => Descriptors <= other.Descriptors && this with { Descriptors = other.Descriptors } == other;
    }
}

/// <summary>Tests that run while no other does.</summary>
[CollectionDefinition(nameof(AloneCollection), DisableParallelization = true)]
public sealed class AloneCollection;
