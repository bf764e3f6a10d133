using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Ollama;

/// <summary>Writes JSON objects, one a line, each flushed as it is written. This form has no comments: silence stays silence.</summary>
internal sealed class LineWriter : IEventStream, IDisposable
{
    private readonly HttpContext _context;
    private readonly PipeWriter _body;
    private readonly Utf8JsonWriter _json;

    /// <summary>Starts the response: from here on errors can only be told inside the stream.</summary>
    public LineWriter(HttpContext context)
    {
        _context = context;
        context.Response.ContentType = "application/x-ndjson";
        context.Response.Headers.CacheControl = "no-cache";
        context.Response.Headers["X-Accel-Buffering"] = "no"; // nginx would collect lines
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        _body = context.Response.BodyWriter;
        _json = new Utf8JsonWriter(_body, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true });
    }

    /// <summary>Writes one line.</summary>
    public async Task WriteAsync<T>(T value, JsonTypeInfo<T> type)
    {
        JsonSerializer.Serialize(_json, value, type);
        _json.Reset();
        _body.GetSpan(1)[0] = (byte)'\n';
        _body.Advance(1);
        await _body.FlushAsync(_context.RequestAborted);
    }

    /// <inheritdoc/>
    public async Task KeepAliveAsync() => await _body.FlushAsync(_context.RequestAborted);

    /// <inheritdoc/>
    public Task FailAsync(ErrorDetail error, int status) => WriteAsync(new OllamaError(error.Message), OllamaJson.Readable.OllamaError);

    /// <inheritdoc/>
    public void Dispose() => _json.Dispose();
}
