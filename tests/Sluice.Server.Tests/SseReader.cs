using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

/// <summary>A strict reader of server-sent events: it checks the framing byte by byte, as a lenient client would not.</summary>
internal static class SseReader
{
    /// <summary>Reads a whole stream: the data of each event; comments in <paramref name="comments"/>.</summary>
    public static async Task<List<string>> ReadAsync(HttpResponseMessage response, List<string>? comments = null)
    {
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        string text = await response.Content.ReadAsStringAsync();
        Assert.EndsWith("\n\n", text, StringComparison.Ordinal);
        var events = new List<string>();
        foreach (string block in text[..^2].Split("\n\n"))
        {
            Assert.DoesNotContain('\n', block);
            if (block.StartsWith(": ", StringComparison.Ordinal))
                comments?.Add(block[2..]);
            else
                events.Add(block.StartsWith("data: ", StringComparison.Ordinal) ? block[6..] : throw new FormatException($"not an event: {block}"));
        }

        return events;
    }

    /// <summary>The data of a stream whose every event is named by its data's <c>type</c>; comments left out.</summary>
    public static async Task<List<JsonNode>> ReadNamedAsync(HttpResponseMessage response)
    {
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        string text = await response.Content.ReadAsStringAsync();
        Assert.EndsWith("\n\n", text, StringComparison.Ordinal);
        var events = new List<JsonNode>();
        foreach (string block in text[..^2].Split("\n\n").Where(b => !b.StartsWith(": ", StringComparison.Ordinal)))
        {
            string[] lines = block.Split('\n');
            Assert.Equal(2, lines.Length);
            JsonNode data = JsonNode.Parse(lines[1]["data: ".Length..])!;
            Assert.Equal("event: " + (string)data["type"]!, lines[0]);
            events.Add(data);
        }

        return events;
    }

    /// <summary>The chunks of a complete stream, without the final mark.</summary>
    public static async Task<List<JsonNode>> ReadChunksAsync(HttpResponseMessage response)
    {
        List<string> events = await ReadAsync(response);
        Assert.Equal("[DONE]", events[^1]);
        Assert.Single(events, "[DONE]");
        return [.. events.SkipLast(1).Select(e => JsonNode.Parse(e)!)];
    }
}
