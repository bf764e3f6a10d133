using System.Diagnostics.Metrics;

namespace Sluice.Engine.Telemetry;

/// <summary>
/// Everything the engine measures, under the meter <see cref="MeterName"/>; gauges and what the cache counts read <see cref="EngineStatus"/>. Recording is
/// free while nobody listens.
/// </summary>
public sealed class EngineMeters : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "Sluice.Engine";

    private static readonly string[] ReasonNames = ["stop", "length", "cancelled", "failed"];
    private static readonly string[] MissNames = ["none", "key_miss", "no_state", "evicted", "salt", "disabled"];

    private readonly Meter _meter = new(MeterName);
    private readonly Counter<long> _promptTokens;
    private readonly Counter<long> _outputTokens;
    private readonly Counter<long> _preemptions;
    private readonly Counter<long> _finished;
    private readonly Histogram<double> _stepDuration;
    private readonly Histogram<int> _stepTokens;
    private readonly Histogram<double> _queueTime;
    private readonly Histogram<double> _timeToFirstToken;
    private readonly Counter<long> _cachedTokens;
    private readonly Counter<long> _missedTokens;

    internal EngineMeters(InferenceEngine engine)
    {
        _promptTokens = _meter.CreateCounter<long>("sluice.engine.tokens.prompt", "{token}", "Prompt tokens of finished requests");
        _outputTokens = _meter.CreateCounter<long>("sluice.engine.tokens.output", "{token}", "Tokens generated");
        _preemptions = _meter.CreateCounter<long>("sluice.engine.preemptions", "{sequence}", "Sequences put back to wait for memory");
        _finished = _meter.CreateCounter<long>("sluice.engine.requests.finished", "{request}", "Requests ended, by reason");
        _stepDuration = _meter.CreateHistogram<double>("sluice.engine.step.duration", "s", "Time of a step");
        _stepTokens = _meter.CreateHistogram<int>("sluice.engine.step.tokens", "{token}", "Tokens of a step");
        _queueTime = _meter.CreateHistogram<double>("sluice.engine.request.queue_time", "s", "Time a request waited for admission");
        _timeToFirstToken = _meter.CreateHistogram<double>("sluice.engine.request.first_token", "s", "Time from submission to first token");
        _cachedTokens = _meter.CreateCounter<long>("sluice.engine.tokens.cached", "{token}", "Prompt tokens of finished requests that were not computed");
        _missedTokens = _meter.CreateCounter<long>("sluice.cache.tokens.missed", "{token}", "Prompt tokens of finished requests that were computed, by what the cache lacked");
        Observe(() => engine.Status);
    }

    /// <summary>The meter, for listeners that want this engine's alone.</summary>
    public Meter Meter => _meter;

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    internal void Step(TimeSpan duration, int tokens, int outputTokens, long preemptions)
    {
        _stepDuration.Record(duration.TotalSeconds);
        _stepTokens.Record(tokens);
        _outputTokens.Add(outputTokens);
        if (preemptions > 0)
            _preemptions.Add(preemptions);
    }

    internal void Finished(Completion completion, bool wasAdmitted)
    {
        GenerationUsage usage = completion.Usage;
        _promptTokens.Add(usage.PromptTokens);
        if (wasAdmitted)
        {
            _cachedTokens.Add(usage.CachedTokens);
            _missedTokens.Add(usage.PromptTokens - usage.CachedTokens, new KeyValuePair<string, object?>("reason", MissNames[(int)usage.Prefix.Miss]));
        }

        _finished.Add(1, new KeyValuePair<string, object?>("reason", ReasonNames[(int)completion.Reason]));
        _queueTime.Record(usage.QueueTime.TotalSeconds);
        if (usage.OutputTokens > 0)
            _timeToFirstToken.Record((usage.QueueTime + usage.PrefillTime).TotalSeconds);
    }

    private void Observe(Func<EngineStatus> status)
    {
        Gauge("sluice.engine.requests.running", "{request}", "Requests running", s => s.Running);
        Gauge("sluice.engine.requests.waiting", "{request}", "Requests waiting", s => s.Waiting);
        Gauge("sluice.memory.total", "By", "Memory for KV pages and states", s => s.Cache.TotalBytes);
        Gauge("sluice.memory.free", "By", "Memory nobody uses", s => s.Cache.FreeBytes);
        Gauge("sluice.memory.sequences.kv", "By", "KV pages of running sequences", s => s.Cache.SequencePages * s.Cache.PageBytes);
        Gauge("sluice.memory.sequences.states", "By", "States of running sequences", s => s.Cache.SequenceSlots * s.Cache.SlotBytes);
        Gauge("sluice.memory.cache.kv", "By", "KV pages that only the prefix cache holds", s => s.Cache.CachedPages * s.Cache.PageBytes);
        Gauge("sluice.memory.cache.states", "By", "State checkpoints of the prefix cache", s => s.Cache.CachedSlots * s.Cache.SlotBytes);
        Gauge("sluice.cache.nodes", "{node}", "Nodes of the prefix tree", s => s.Cache.Nodes);
        Gauge("sluice.cache.ghosts", "{node}", "Nodes without KV", s => s.Cache.Ghosts);
        Count("sluice.cache.checkpoints.published", "{checkpoint}", "States the cache took", s => s.Cache.Counters.Published);
        Count("sluice.cache.checkpoints.skipped", "{checkpoint}", "States not exported for want of memory", s => s.Cache.Counters.Skipped);
        Count("sluice.cache.checkpoints.evicted", "{checkpoint}", "States evicted", s => s.Cache.Counters.Evicted);

        void Gauge(string name, string unit, string description, Func<EngineStatus, long> value) =>
            _meter.CreateObservableGauge(name, () => value(status()), unit, description);

        void Count(string name, string unit, string description, Func<EngineStatus, long> value) =>
            _meter.CreateObservableCounter(name, () => value(status()), unit, description);
    }
}
