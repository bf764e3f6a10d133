using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Sluice.Core;
using Sluice.Server.OpenAI;
using Sluice.Server.Telemetry;

namespace Sluice.Server.Http;

/// <summary>Turns whatever goes wrong in a request into the API's error shape, and into a line of the log if it was not the client.</summary>
internal sealed class ErrorHandling
{
    private readonly ILogger _log;

    public ErrorHandling(ILogger log) => _log = log;

    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            await next(context);
            if (context.Response is { HasStarted: false, StatusCode: >= 400, ContentType: null } response)
            {
                var error = ErrorResponses.OfStatus(response.StatusCode);
                RequestReport.Of(context).Failed(error.Body.Error.Code ?? "error");
                await WriteAsync(context, error);
            }
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            RequestReport.Of(context).ClientLeft();
        }
        catch (Exception e)
        {
            var error = ErrorResponses.Of(e);
            Note(context, e, error);

            // Once the response has started nothing can be told any more: Kestrel closes the connection without the final chunk, and
            // the client sees that the response is not whole.
            if (context.Response.HasStarted)
                throw;
            AddHeaders(context.Response.Headers, e);
            await WriteAsync(context, error);
        }
    }

    private static Task WriteAsync(HttpContext context, (int Status, ErrorBody Body) error) => ErrorResponses.WriteAsync(context, error.Status, error.Body);

    private static void AddHeaders(IHeaderDictionary headers, Exception e)
    {
        if (e is not RefusedException refused)
            return;
        if (refused.Status == StatusCodes.Status401Unauthorized)
            headers.WWWAuthenticate = "Bearer realm=\"sluice\"";
        if (refused.RetryAfter is { } wait)
            headers.RetryAfter = Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
    }

    private void Note(HttpContext context, Exception e, (int Status, ErrorBody Body) error)
    {
        string id = context.TraceIdentifier, route = Routes.TemplateOf(context);
        RequestReport.Of(context).Failed(error.Body.Error.Code ?? "error");
        if (e is EngineException { Failure: not EngineFailure.Overloaded } engine)
            _log.EngineFailed(id, route, engine.Failure.ToString());
        else if (error.Status < 500)
            _log.Refused(id, route, error.Status, error.Body.Error.Code, error.Body.Error.Param);
        else
            _log.Unexpected(id, route, e.GetType().Name, e.StackTrace);
    }
}
