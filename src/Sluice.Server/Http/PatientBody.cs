using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Sluice.Server.Telemetry;

namespace Sluice.Server.Http;

/// <summary>
/// The body of a response that is written bit by bit. A reader that does not read makes its own writer wait, nobody else: the engine has
/// put the tokens down long before. One that does not read for <see cref="ServerOptions.StalledReaderTimeout"/> while no more fits into
/// the buffers between is taken for gone, and its request is cancelled.
/// </summary>
internal sealed class PatientBody : IDisposable
{
    private readonly HttpContext _context;
    private readonly PipeWriter _body;
    private readonly Utf8JsonWriter _json;
    private readonly ServerMeters _meters;
    private readonly TimeProvider _clock;
    private readonly TimeSpan _patience;
    private long? _written;

    /// <summary>Starts the response: from here on errors can only be told inside it.</summary>
    public PatientBody(HttpContext context, string contentType)
    {
        _context = context;
        _meters = context.RequestServices.GetRequiredService<ServerMeters>();
        _clock = context.RequestServices.GetRequiredService<TimeProvider>();
        _patience = context.RequestServices.GetRequiredService<ServerOptions>().StalledReaderTimeout;
        HttpResponse response = context.Response;
        response.ContentType = contentType;
        response.Headers.CacheControl = "no-cache";
        response.Headers["X-Accel-Buffering"] = "no"; // nginx would collect events
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        _body = response.BodyWriter;
        _json = new Utf8JsonWriter(_body, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true });
    }

    /// <summary>Adds bytes to what the next flush sends.</summary>
    public void Put(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_body.GetSpan(bytes.Length));
        _body.Advance(bytes.Length);
    }

    /// <summary>Adds JSON to what the next flush sends.</summary>
    public void Put<T>(T value, JsonTypeInfo<T> type)
    {
        JsonSerializer.Serialize(_json, value, type);
        _json.Reset();
    }

    /// <summary>Sends an event, and measures how long it is since the last.</summary>
    public async Task FlushEventAsync()
    {
        await FlushAsync();
        long now = _clock.GetTimestamp();
        if (_written is { } before)
            _meters.EventGap(_clock.GetElapsedTime(before, now));
        _written = now;
    }

    /// <summary>Sends what has been put.</summary>
    public async Task FlushAsync()
    {
        ValueTask<FlushResult> flush = _body.FlushAsync(_context.RequestAborted);
        if (flush.IsCompletedSuccessfully)
        {
            _ = flush.Result;
            return;
        }

        Task<FlushResult> written = flush.AsTask();
        try
        {
            await written.WaitAsync(_patience, _clock);
        }
        catch (TimeoutException e)
        {
            _meters.ReaderStalled();
            RequestReport.Of(_context).Failed("stalled_reader");
            _context.Abort();
            await written.ContinueWith(static _ => { }, TaskScheduler.Default);
            throw new OperationCanceledException("the client does not read", e, _context.RequestAborted);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _json.Dispose();
}
