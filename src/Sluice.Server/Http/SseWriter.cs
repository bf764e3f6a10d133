using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Http;

/// <summary>Writes server-sent events.</summary>
internal sealed class SseWriter : IEventStream, IDisposable
{
    private readonly PatientBody _body;

    /// <summary>Starts the response: from here on errors can only be told inside the stream.</summary>
    public SseWriter(HttpContext context) => _body = new PatientBody(context, "text/event-stream");

    /// <summary>Writes one event.</summary>
    public Task WriteAsync<T>(T value, JsonTypeInfo<T> type) => WriteAsync(default, value, type);

    /// <summary>Writes one event with a name, which must be ASCII; none if it is empty.</summary>
    public Task WriteAsync<T>(ReadOnlyMemory<byte> name, T value, JsonTypeInfo<T> type)
    {
        Put(name.Span, value, type);
        return _body.FlushEventAsync();
    }

    /// <summary>Adds an event that goes with the next.</summary>
    public void Put<T>(T value, JsonTypeInfo<T> type) => Put(default, value, type);

    private void Put<T>(ReadOnlySpan<byte> name, T value, JsonTypeInfo<T> type)
    {
        if (!name.IsEmpty)
        {
            _body.Put("event: "u8);
            _body.Put(name);
            _body.Put("\n"u8);
        }

        _body.Put("data: "u8);
        _body.Put(value, type);
        _body.Put("\n\n"u8);
    }

    /// <summary>Says that the stream is complete.</summary>
    public Task WriteDoneAsync()
    {
        _body.Put("data: [DONE]\n\n"u8);
        return _body.FlushAsync();
    }

    /// <summary>Writes a comment.</summary>
    public Task KeepAliveAsync()
    {
        _body.Put(": keep-alive\n\n"u8);
        return _body.FlushAsync();
    }

    /// <summary>Writes an error as OpenAI's streams tell it.</summary>
    public Task FailAsync(ErrorDetail error, int status) => WriteAsync(new ErrorBody(error), OpenAIJson.Readable.ErrorBody);

    /// <inheritdoc/>
    public void Dispose() => _body.Dispose();
}
