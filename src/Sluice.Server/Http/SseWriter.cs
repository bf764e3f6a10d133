using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Http;

/// <summary>
/// Writes server-sent events, each flushed as it is written. A reader that does not read makes its own writer wait, nobody else: the
/// engine has put the tokens down long before.
/// </summary>
internal sealed class SseWriter : IEventStream, IDisposable
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
    public Task WriteAsync<T>(T value, JsonTypeInfo<T> type) => WriteAsync(default, value, type);

    /// <summary>Writes one event with a name, which must be ASCII; none if it is empty.</summary>
    public async Task WriteAsync<T>(ReadOnlyMemory<byte> name, T value, JsonTypeInfo<T> type)
    {
        if (!name.IsEmpty)
        {
            Put("event: "u8);
            Put(name.Span);
            Put("\n"u8);
        }

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

    /// <summary>Writes a comment.</summary>
    public Task KeepAliveAsync()
    {
        Put(": keep-alive\n\n"u8);
        return FlushAsync();
    }

    /// <summary>Writes an error as OpenAI's streams tell it.</summary>
    public Task FailAsync(ErrorDetail error, int status) => WriteAsync(new ErrorBody(error), OpenAIJson.Readable.ErrorBody);

    /// <inheritdoc/>
    public void Dispose() => _json.Dispose();

    private void Put(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_body.GetSpan(bytes.Length));
        _body.Advance(bytes.Length);
    }

    private async Task FlushAsync() => await _body.FlushAsync(_context.RequestAborted);
}
