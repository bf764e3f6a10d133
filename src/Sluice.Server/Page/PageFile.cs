using System.Reflection;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace Sluice.Server.Page;

/// <summary>A file of the page, out of the assembly. Browsers keep it and ask each time whether it is still the same.</summary>
internal sealed class PageFile
{
    // Styles and scripts from here alone: what a model writes can neither run nor, as the address of a picture, carry anything away.
    private const string Policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    private const string ResourcePrefix = "page/";

    private readonly byte[] _bytes;
    private readonly string _type;
    private readonly EntityTagHeaderValue _tag;

    private PageFile(string name, byte[] bytes)
    {
        Name = name;
        _bytes = bytes;
        _type = TypeOf(name);
        _tag = new EntityTagHeaderValue($"\"{Convert.ToHexStringLower(SHA256.HashData(bytes).AsSpan(0, 16))}\"");
    }

    /// <summary>Its name, without folder.</summary>
    public string Name { get; }

    /// <summary>All there are.</summary>
    public static IEnumerable<PageFile> LoadAll()
    {
        Assembly assembly = typeof(PageFile).Assembly;
        foreach (string resource in assembly.GetManifestResourceNames())
        {
            if (!resource.StartsWith(ResourcePrefix, StringComparison.Ordinal))
                continue;
            using Stream stream = assembly.GetManifestResourceStream(resource)!;
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            yield return new PageFile(resource[ResourcePrefix.Length..], bytes);
        }
    }

    /// <summary>Answers with the file, or with 304 where the client has it.</summary>
    public async Task SendAsync(HttpContext context)
    {
        HttpResponse response = context.Response;
        response.GetTypedHeaders().ETag = _tag;
        response.Headers.CacheControl = "no-cache";
        response.Headers.ContentSecurityPolicy = Policy;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers["Referrer-Policy"] = "no-referrer";
        if (context.Request.GetTypedHeaders().IfNoneMatch.Any(known => known.Compare(_tag, useStrongComparison: false) || known.Equals(EntityTagHeaderValue.Any)))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        response.ContentType = _type;
        response.ContentLength = _bytes.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await response.Body.WriteAsync(_bytes, context.RequestAborted);
    }

    private static string TypeOf(string name) => Path.GetExtension(name) switch
    {
        ".html" => "text/html; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".svg" => "image/svg+xml",
        var other => throw new InvalidOperationException($"page file {name}: no type is known for '{other}'"),
    };
}
