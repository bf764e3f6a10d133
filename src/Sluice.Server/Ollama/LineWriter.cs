using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Ollama;

/// <summary>Writes JSON objects, one a line, each flushed as it is written. This form has no comments: silence stays silence.</summary>
internal sealed class LineWriter : IEventStream, IDisposable
{
    private readonly PatientBody _body;

    /// <summary>Starts the response: from here on errors can only be told inside the stream.</summary>
    public LineWriter(HttpContext context) => _body = new PatientBody(context, "application/x-ndjson");

    /// <summary>Writes one line.</summary>
    public Task WriteAsync<T>(T value, JsonTypeInfo<T> type)
    {
        _body.Put(value, type);
        _body.Put("\n"u8);
        return _body.FlushEventAsync();
    }

    /// <summary>Sends the headers, if nothing else.</summary>
    public Task KeepAliveAsync() => _body.FlushAsync();

    /// <inheritdoc/>
    public Task FailAsync(ErrorDetail error, int status) => WriteAsync(new OllamaError(error.Message), OllamaJson.Readable.OllamaError);

    /// <inheritdoc/>
    public void Dispose() => _body.Dispose();
}
