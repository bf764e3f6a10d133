using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Sluice.Server.Http;

/// <summary>
/// Writes server-sent events, each flushed as it is written. A reader that does not read makes its own writer wait, nobody else: the
/// engine has put the tokens down long before.
/// </summary>
internal sealed class SseWriter : IDisposable
{
    private readonly HttpContext _context;
    private readonly PipeWriter _body;
    private readonly Utf8JsonWriter _json;

    /// <summary>Starts the response: from here on errors can only be told inside the stream.</summary>
    public SseWriter(HttpContext context)
    {
        _context = context;
        HttpResponse response = context.Response;
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache";
        response.Headers["X-Accel-Buffering"] = "no"; // nginx would collect events
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        _body = response.BodyWriter;
        _json = new Utf8JsonWriter(_body, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true });
    }

    /// <summary>Writes one event.</summary>
    public async Task WriteAsync<T>(T value, JsonTypeInfo<T> type)
    {
        Put("data: "u8);
        JsonSerializer.Serialize(_json, value, type);
        _json.Reset();
        Put("\n\n"u8);
        await FlushAsync();
    }

    /// <summary>Says that the stream is complete.</summary>
    public Task WriteDoneAsync()
    {
        Put("data: [DONE]\n\n"u8);
        return FlushAsync();
    }

    /// <summary>Says nothing, to keep the connection open.</summary>
    public Task WriteKeepAliveAsync()
    {
        Put(": keep-alive\n\n"u8);
        return FlushAsync();
    }

    /// <inheritdoc/>
    public void Dispose() => _json.Dispose();

    private void Put(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_body.GetSpan(bytes.Length));
        _body.Advance(bytes.Length);
    }

    private async Task FlushAsync() => await _body.FlushAsync(_context.RequestAborted);
}
