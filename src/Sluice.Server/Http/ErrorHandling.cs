using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Sluice.Core;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Http;

/// <summary>Around every request: gives it an id, and turns whatever goes wrong into the API's error shape and a line in the log.</summary>
internal sealed class ErrorHandling
{
    private const string RequestIdHeader = "x-request-id";

    private readonly ILogger _log;

    public ErrorHandling(ILogger log) => _log = log;

    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        context.TraceIdentifier = $"req-{Guid.NewGuid():N}";
        context.Response.Headers[RequestIdHeader] = context.TraceIdentifier;
        try
        {
            await next(context);
            if (context.Response is { HasStarted: false, StatusCode: >= 400, ContentType: null } response)
                await WriteAsync(context, ErrorResponses.OfStatus(response.StatusCode));
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            _log.ClientLeft(context.TraceIdentifier, context.Request.Path);
        }
        catch (Exception e)
        {
            var error = ErrorResponses.Of(e);
            Log(context, e, error);

            // Once the response has started nothing can be told any more: Kestrel closes the connection without the final chunk, and
            // the client sees that the response is not whole.
            if (context.Response.HasStarted)
                throw;
            await WriteAsync(context, error);
        }
    }

    private static Task WriteAsync(HttpContext context, (int Status, ErrorBody Body) error) => ErrorResponses.WriteAsync(context, error.Status, error.Body);

    private void Log(HttpContext context, Exception e, (int Status, ErrorBody Body) error)
    {
        string id = context.TraceIdentifier, path = context.Request.Path;
        if (e is EngineException engine)
            _log.EngineFailed(id, path, engine.Failure.ToString());
        else if (error.Status < 500)
            _log.Refused(id, path, error.Status, error.Body.Error.Code, error.Body.Error.Param);
        else
            _log.Unexpected(id, path, e.GetType().Name, e.StackTrace);
    }
}
