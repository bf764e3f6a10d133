using System.Text;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Responses;

/// <summary>Writes a response's events, numbered from 0.</summary>
internal sealed class ResponseEvents : IEventStream
{
    private readonly SseWriter _events;
    private readonly Response _begin;
    private int _count;

    public ResponseEvents(SseWriter events, Response begin)
    {
        _events = events;
        _begin = begin;
    }

    public Task WriteAsync(ResponseEvent next) => _events.WriteAsync(
        Encoding.ASCII.GetBytes(next.Type), next with { SequenceNumber = _count++ }, ResponsesJson.Readable.ResponseEvent);

    public async Task BeginAsync()
    {
        await WriteAsync(new ResponseEvent("response.created") { Response = _begin });
        await WriteAsync(new ResponseEvent("response.in_progress") { Response = _begin });
    }

    public Task EndAsync(Response response) => WriteAsync(new ResponseEvent($"response.{response.Status}") { Response = response });

    /// <inheritdoc/>
    public Task KeepAliveAsync() => _events.KeepAliveAsync();

    /// <inheritdoc/>
    public Task FailAsync(ErrorDetail error, int status) =>
        EndAsync(_begin with { Status = "failed", Error = new ResponseError(error.Code ?? error.Type, error.Message) });
}
