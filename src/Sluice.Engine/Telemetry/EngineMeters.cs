using System.Diagnostics.Metrics;

namespace Sluice.Engine.Telemetry;

/// <summary>
/// Everything the engine measures, under the meter <see cref="MeterName"/>; the gauges read <see cref="EngineStatus"/>. Recording is
/// free while nobody listens.
/// </summary>
public sealed class EngineMeters : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "Sluice.Engine";

    private static readonly string[] ReasonNames = ["stop", "length", "cancelled", "failed"];

    private readonly Meter _meter = new(MeterName);
    private readonly Counter<long> _promptTokens;
    private readonly Counter<long> _outputTokens;
    private readonly Counter<long> _preemptions;
    private readonly Counter<long> _finished;
    private readonly Histogram<double> _stepDuration;
    private readonly Histogram<int> _stepTokens;
    private readonly Histogram<double> _queueTime;
    private readonly Histogram<double> _timeToFirstToken;

    internal EngineMeters(Func<EngineStatus> status)
    {
        _promptTokens = _meter.CreateCounter<long>("sluice.engine.tokens.prompt", "{token}", "Prompt tokens of finished requests");
        _outputTokens = _meter.CreateCounter<long>("sluice.engine.tokens.output", "{token}", "Tokens generated");
        _preemptions = _meter.CreateCounter<long>("sluice.engine.preemptions", "{sequence}", "Sequences put back to wait for memory");
        _finished = _meter.CreateCounter<long>("sluice.engine.requests.finished", "{request}", "Requests ended, by reason");
        _stepDuration = _meter.CreateHistogram<double>("sluice.engine.step.duration", "s", "Time of a step");
        _stepTokens = _meter.CreateHistogram<int>("sluice.engine.step.tokens", "{token}", "Tokens of a step");
        _queueTime = _meter.CreateHistogram<double>("sluice.engine.request.queue_time", "s", "Time a request waited for admission");
        _timeToFirstToken = _meter.CreateHistogram<double>("sluice.engine.request.first_token", "s", "Time from submission to first token");
        _meter.CreateObservableGauge("sluice.engine.requests.running", () => status().Running, "{request}", "Requests running");
        _meter.CreateObservableGauge("sluice.engine.requests.waiting", () => status().Waiting, "{request}", "Requests waiting");
        _meter.CreateObservableGauge("sluice.engine.pages.free", () => status().FreePages, "{page}", "KV pages free");
        _meter.CreateObservableGauge("sluice.engine.pages.total", () => status().Pages, "{page}", "KV pages");
        _meter.CreateObservableGauge("sluice.engine.slots.free", () => status().FreeSlots, "{slot}", "State slots free");
        _meter.CreateObservableGauge("sluice.engine.slots.total", () => status().Slots, "{slot}", "State slots");
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

    internal void Finished(Completion completion)
    {
        GenerationUsage usage = completion.Usage;
        _promptTokens.Add(usage.PromptTokens);
        _finished.Add(1, new KeyValuePair<string, object?>("reason", ReasonNames[(int)completion.Reason]));
        _queueTime.Record(usage.QueueTime.TotalSeconds);
        if (usage.OutputTokens > 0)
            _timeToFirstToken.Record((usage.QueueTime + usage.PrefillTime).TotalSeconds);
    }
}
