using Microsoft.AspNetCore.Http;
using Sluice.Core;
using Sluice.Server.Anthropic;
using Sluice.Server.Http;
using Sluice.Server.Ollama;

namespace Sluice.Server.OpenAI;

/// <summary>Errors in the API's words: a status and an <see cref="ErrorBody"/> for everything that can go wrong.</summary>
internal static class ErrorResponses
{
    /// <summary>The error for an exception. What nobody expected says nothing about itself.</summary>
    public static (int Status, ErrorBody Body) Of(Exception error) => error switch
    {
        RequestException e => Invalid(StatusOf(e.Code), e.Message, e.Parameter, e.Code),
        TemplateException e => Invalid(400, $"the chat template refused the messages: {e.Message}", "messages", "template_error"),
        TokenizerException e => Invalid(400, e.Message, null, "tokenizer_error"),
        RefusedException e => (e.Status, Body(e.Message, e.Type, code: e.Code)),
        BadHttpRequestException e => OfStatus(e.StatusCode),
        EngineException { Failure: EngineFailure.Overloaded } e => (429, Body(e.Message, "rate_limit_error", code: "overloaded")),
        EngineException { Failure: EngineFailure.ShuttingDown } => (503, Body("the server is stopping and takes no more requests", "server_error", code: "shutting_down")),
        EngineException { Failure: EngineFailure.InvalidLogits } => (500, Body("the model gave no usable output for this request", "server_error", code: "invalid_logits")),
        EngineException => (500, Body("the engine failed to run this request", "server_error", code: "step_failed")),
        _ => (500, Body("the server failed to handle this request", "server_error", code: "internal_error")),
    };

    /// <summary>The error for a bare status.</summary>
    public static (int Status, ErrorBody Body) OfStatus(int status) => status switch
    {
        404 => Invalid(404, "there is nothing at this address", null, "not_found"),
        405 => Invalid(405, "this address does not take this method", null, "method_not_allowed"),
        408 => Invalid(408, "the request took too long to arrive", null, "request_timeout"),
        413 => Invalid(413, "the request is too large", null, "request_too_large"),
        415 => Invalid(415, "the Content-Type must be application/json", null, "unsupported_media_type"),
        < 500 => Invalid(status, "the request is not valid HTTP", null, "bad_request"),
        _ => (status, Body("the server failed to handle this request", "server_error", code: "internal_error")),
    };

    /// <summary>Sends an error as the whole response, in the shape of the API that was asked.</summary>
    public static async Task WriteAsync(HttpContext context, int status, ErrorBody body)
    {
        context.Response.StatusCode = status;
        if ((status is 429 or 503) && context.Response.Headers.RetryAfter.Count == 0)
            context.Response.Headers.RetryAfter = "1";
        if (context.Request.Path.StartsWithSegments("/v1/messages", StringComparison.OrdinalIgnoreCase))
            await context.Response.WriteAsJsonAsync(AnthropicError.Of(status, body.Error.Message, context.TraceIdentifier), AnthropicJson.Readable.AnthropicError);
        else if (context.Request.Path.StartsWithSegments("/api", StringComparison.OrdinalIgnoreCase))
            await context.Response.WriteAsJsonAsync(new OllamaError(body.Error.Message), OllamaJson.Readable.OllamaError);
        else
            await context.Response.WriteAsJsonAsync(body, OpenAIJson.Readable.ErrorBody);
    }

    private static int StatusOf(string code) => code switch
    {
        "model_not_found" or "response_not_found" or "not_found" => 404,
        "unsupported_media_type" => 415,
        _ => 400,
    };

    private static (int Status, ErrorBody Body) Invalid(int status, string message, string? parameter, string code) =>
        (status, Body(message, "invalid_request_error", parameter, code));

    private static ErrorBody Body(string message, string type, string? parameter = null, string? code = null) =>
        new(new ErrorDetail(message, type) { Param = parameter, Code = code });
}
