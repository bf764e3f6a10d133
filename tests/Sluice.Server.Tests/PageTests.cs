using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Sluice.Server.Access;

namespace Sluice.Server.Tests;

/// <summary>The page at <c>/</c>: its files, as a browser gets them. What it does is tested in a browser, by <c>tests/page</c>.</summary>
public sealed partial class PageTests
{
    [Fact]
    public async Task Every_file_that_the_page_names_comes_with_its_type_and_may_be_kept_but_not_trusted_to_be_new()
    {
        await using TestServer server = await TestServer.StartAsync();
        Queue<Uri> left = new([new Uri(server.Address, "/")]);
        HashSet<Uri> seen = [.. left];
        while (left.TryDequeue(out Uri? address))
        {
            using HttpResponseMessage response = await server.Http.GetAsync(address);
            string text = await response.Content.ReadAsStringAsync();
            Assert.True(response.IsSuccessStatusCode, $"{address}: {response.StatusCode}");
            Assert.Equal(TypeOf(address.AbsolutePath), response.Content.Headers.ContentType?.ToString());
            Assert.Equal("no-cache", response.Headers.CacheControl?.ToString());
            Assert.False(response.Headers.ETag!.IsWeak);
            Assert.Equal("nosniff", response.Headers.GetValues("X-Content-Type-Options").Single());
            Assert.Equal(response.Content.Headers.ContentLength, (await response.Content.ReadAsByteArrayAsync()).Length);
            foreach (Match name in Reference().Matches(text))
            {
                Uri next = new(address, name.Groups["path"].Value);
                if (seen.Add(next))
                    left.Enqueue(next);
            }
        }

        Assert.True(seen.Count > 10, string.Join('\n', seen));
    }

    [Fact]
    public async Task Nothing_is_loaded_from_elsewhere_nor_run_from_within_the_page()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage response = await server.Http.GetAsync(server.Address);
        string policy = response.Headers.GetValues("Content-Security-Policy").Single();
        Assert.StartsWith("default-src 'self';", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("http", policy, StringComparison.Ordinal);
        string page = await response.Content.ReadAsStringAsync();
        Assert.DoesNotMatch("""<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|://""", page);
    }

    [Fact]
    public async Task Who_has_a_file_is_told_so()
    {
        await using TestServer server = await TestServer.StartAsync();
        using HttpResponseMessage first = await server.Http.GetAsync(server.Address);
        Assert.Equal((HttpStatusCode.NotModified, 0), await AskAsync($"\"another\", W/{first.Headers.ETag}"));
        Assert.Equal((HttpStatusCode.NotModified, 0), await AskAsync("*"));
        Assert.Equal((HttpStatusCode.OK, (int)first.Content.Headers.ContentLength!), await AskAsync("\"another\""));

        async Task<(HttpStatusCode Status, int Length)> AskAsync(string known)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, server.Address);
            request.Headers.TryAddWithoutValidation("If-None-Match", known);
            using HttpResponseMessage response = await server.Http.SendAsync(request);
            Assert.Equal(first.Headers.ETag, response.Headers.ETag);
            return (response.StatusCode, (await response.Content.ReadAsByteArrayAsync()).Length);
        }
    }

    [Fact]
    public async Task The_page_opens_without_a_key_and_what_it_shows_does_not()
    {
        await using TestServer server = await TestServer.StartAsync(new ServerOptions { ApiKeys = [ApiKey.Of("alice", "sk-0123456789abcdefghij")] });
        Assert.Equal(200, (await server.GetAsync("/")).Status);
        Assert.Equal(200, (await server.GetAsync("/page/app.js")).Status);
        Assert.Equal(401, (await server.GetAsync("/page/nothing.js")).Status);
        Assert.Equal(401, (await server.GetAsync("/v1/models")).Status);
        Assert.Equal(401, (await server.GetAsync("/debug/cache")).Status);
    }

    [Fact]
    public async Task The_engine_s_figures_count_the_tokens_of_answers()
    {
        await using TestServer server = await TestServer.StartAsync();
        Assert.Equal(0, await CountAsync());
        JsonNode answer = await server.ChatAsync("one two three", "\"max_tokens\":5");
        Assert.Equal((int)answer["usage"]!["completion_tokens"]!, await CountAsync());
        Assert.True(await CountAsync() > 0);

        async Task<int> CountAsync() => (int)JsonNode.Parse((await server.GetAsync("/debug/cache")).Text)!["engine"]!["output_tokens"]!;
    }

    private static string TypeOf(string path) => Path.GetExtension(path) switch
    {
        ".js" => "text/javascript; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".svg" => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    };

    /// <summary>What a page or a script loads: <c>href="page/..."</c>, <c>src="page/..."</c>, <c>from './...'</c>.</summary>
    [GeneratedRegex("""(href|src)="(?<path>page/[^"]+)"|from '(?<path>\./[^']+)'""", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex Reference();
}
