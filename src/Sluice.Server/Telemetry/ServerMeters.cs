using System.Diagnostics;
using System.Diagnostics.Metrics;
using Sluice.Engine;

namespace Sluice.Server.Telemetry;

/// <summary>
/// What the server measures itself, under the meter <see cref="MeterName"/>. Requests by route and status are measured by ASP.NET Core
/// (<c>http.server.request.duration</c>), steps and memory by the engine. No attribute holds what a client wrote.
/// </summary>
internal sealed class ServerMeters : IDisposable
{
    public const string MeterName = "Sluice.Server";

    private readonly Histogram<double> _duration;
    private readonly Histogram<double> _firstToken;
    private readonly Histogram<double> _perToken;
    private readonly Histogram<double> _outputRate;
    private readonly Histogram<double> _eventGap;
    private readonly Counter<long> _requests;
    private readonly Counter<long> _tokens;
    private readonly Counter<long> _stalled;
    private readonly string _model;

    public ServerMeters(string model)
    {
        _model = model;
        _duration = Meter.CreateHistogram<double>(SemanticNames.RequestDuration, "s", "Time of a generating request, from its arrival to its last byte");
        _firstToken = Meter.CreateHistogram<double>(SemanticNames.TimeToFirstToken, "s", "Time from submission to the first token");
        _perToken = Meter.CreateHistogram<double>(SemanticNames.TimePerOutputToken, "s", "Mean time of a token after the first");
        _outputRate = Meter.CreateHistogram<double>("sluice.server.output_rate", "{token}/s", "Tokens a second of a request, after the first token");
        _eventGap = Meter.CreateHistogram<double>("sluice.server.event_gap", "s", "Time between two events of a stream: the inter-token time as its client sees it");
        _requests = Meter.CreateCounter<long>("sluice.server.requests", "{request}", "Requests by client and outcome");
        _tokens = Meter.CreateCounter<long>("sluice.server.tokens", "{token}", "Tokens of finished texts by client");
        _stalled = Meter.CreateCounter<long>("sluice.server.readers_stalled", "{stream}", "Streams broken off because their reader did not read");
    }

    /// <summary>The meter itself, for listeners that want this server's alone.</summary>
    public Meter Meter { get; } = new(MeterName);

    /// <summary>A request has ended.</summary>
    public void Ended(RequestReport report, GenerationOperation? operation, TimeSpan duration)
    {
        _requests.Add(1, new KeyValuePair<string, object?>("client", report.Client), new("outcome", report.Outcome));
        if (operation is null)
            return;
        var tags = new TagList
        {
            { SemanticNames.OperationName, operation.Name },
            { SemanticNames.ProviderName, SemanticNames.Provider },
            { SemanticNames.RequestModel, _model },
        };
        if (report.Usage is { } usage)
            Generated(report.Client, usage, tags);
        if (report.Error is { } error)
            tags.Add(SemanticNames.ErrorType, error);
        _duration.Record(duration.TotalSeconds, tags);
    }

    /// <summary>An event of a stream was written this long after the one before.</summary>
    public void EventGap(TimeSpan gap) => _eventGap.Record(gap.TotalSeconds);

    /// <summary>A stream was broken off because nobody read it.</summary>
    public void ReaderStalled() => _stalled.Add(1);

    public void Dispose() => Meter.Dispose();

    private void Generated(string client, GenerationUsage usage, TagList tags)
    {
        _tokens.Add(usage.PromptTokens, new KeyValuePair<string, object?>("client", client), new(SemanticNames.TokenType, "input"));
        _tokens.Add(usage.OutputTokens, new KeyValuePair<string, object?>("client", client), new(SemanticNames.TokenType, "output"));
        if (usage.OutputTokens > 0)
            _firstToken.Record((usage.QueueTime + usage.PrefillTime).TotalSeconds, tags);
        if (usage.OutputTokens > 1 && usage.DecodeTime > TimeSpan.Zero)
        {
            double perToken = usage.DecodeTime.TotalSeconds / (usage.OutputTokens - 1);
            _perToken.Record(perToken, tags);
            _outputRate.Record(1 / perToken, tags);
        }
    }
}
