using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Sluice.Core;

namespace Sluice.Server.Http;

/// <summary>Reads a request's body as JSON.</summary>
internal static class JsonBody
{
    /// <summary>Deep enough for any JSON schema people write, shallow enough for code that recurses over it.</summary>
    public const int MaxDepth = 64;

    private static readonly JsonDocumentOptions Options = new() { MaxDepth = MaxDepth };

    /// <summary>Reads and parses the body.</summary>
    /// <exception cref="RequestException">It is not declared as JSON, or is not JSON.</exception>
    /// <exception cref="BadHttpRequestException">It is too large, or breaks HTTP.</exception>
    public static async Task<JsonDocument> ReadAsync(HttpRequest request)
    {
        if (!request.HasJsonContentType())
            throw new RequestException("the Content-Type must be application/json", code: "unsupported_media_type");
        try
        {
            return await JsonDocument.ParseAsync(request.Body, Options, request.HttpContext.RequestAborted);
        }
        catch (JsonException e)
        {
            // The parser's own message quotes the text around the error.
            throw new RequestException($"the body is not valid JSON (line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1})", code: "invalid_json", inner: e);
        }
        catch (IOException e) when (e is not BadHttpRequestException && !request.HttpContext.RequestAborted.IsCancellationRequested)
        {
            // How Kestrel tells of a chunk whose size is no number it can hold.
            throw new RequestException("the request is not valid HTTP", code: "bad_request", inner: e);
        }
    }
}
