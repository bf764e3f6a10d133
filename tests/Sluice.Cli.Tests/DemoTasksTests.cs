using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using Sluice.Testing;

namespace Sluice.Cli.Tests;

/// <summary>
/// The demonstration model's tasks through <c>sluice serve</c>: an answer is right if its content, its reasoning and its calls are. Greedy, so
/// as many must be right as when the answers were forced on the model token by token.
/// </summary>
public sealed class DemoTasksTests(ITestOutputHelper output)
{
    private const int AtATime = 8;

    /// <summary>Keys and values in the default's type and in the smallest.</summary>
    [Theory]
    [InlineData("auto")]
    [InlineData("int8")]
    public async Task Tasks_come_out_as_right_as_the_model_is(string kvDtype)
    {
        JsonObject file = Read();
        JsonObject[] items = [.. file["items"]!.AsArray().Select(item => item!.AsObject())];
        using Process process = SluiceProgram.Start("serve", "--port", "0", "--memory", "512MiB", "--kv-dtype", kvDtype);
        try
        {
            using var http = new HttpClient { BaseAddress = await ServeTests.AddressAsync(process, new StringBuilder()), Timeout = TimeSpan.FromMinutes(5) };
            _ = process.StandardError.ReadToEndAsync();
            _ = process.StandardOutput.ReadToEndAsync();
            using var slots = new SemaphoreSlim(AtATime);
            bool[] right = await Task.WhenAll(items.Select(async item =>
            {
                await slots.WaitAsync();
                try
                {
                    return await IsRightAsync(http, item);
                }
                finally
                {
                    slots.Release();
                }
            }));
            foreach (IGrouping<string, int> task in Enumerable.Range(0, items.Length).GroupBy(i => (string)items[i]["task"]!))
            {
                int expected = (int)file["exact_match"]![task.Key]!["float32"]!;
                int found = task.Count(i => right[i]);
                output.WriteLine($"{kvDtype}, {task.Key}: {found} of {task.Count()}, expected {expected}");

                // Float32 in another order may turn one item of a task.
                Assert.InRange(found, expected - 1, expected + 1);
            }
        }
        finally
        {
            process.Kill();
        }
    }

    private static async Task<bool> IsRightAsync(HttpClient http, JsonObject item)
    {
        var body = new JsonObject
        {
            ["model"] = "demo",
            ["messages"] = Messages(item["messages"]!.AsArray()),
            ["temperature"] = 0,
            ["max_tokens"] = 200,
        };
        if (item["tools"] is { } tools)
            body["tools"] = tools.DeepClone();

        // To be held to JSON changes nothing when JSON is what it would say.
        if ((string)item["task"]! == "json")
            body["response_format"] = new JsonObject { ["type"] = "json_object" };
        using var content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await http.PostAsync(new Uri("/v1/chat/completions", UriKind.Relative), content);
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        JsonNode message = JsonNode.Parse(text)!["choices"]![0]!["message"]!;
        (string reasoning, string answer) = Split((string?)item["answer"]!["content"] ?? "");
        return answer == ((string?)message["content"] ?? "").Trim()
            && reasoning == ((string?)message["reasoning_content"] ?? "").Trim()
            && Calls(item["answer"]!).SequenceEqual(Calls(message));
    }

    private static (string Reasoning, string Answer) Split(string content)
    {
        const string Begin = "<think>", End = "</think>";
        int end = content.IndexOf(End, StringComparison.Ordinal);
        return content.StartsWith(Begin, StringComparison.Ordinal) && end > 0
            ? (content[Begin.Length..end].Trim(), content[(end + End.Length)..].Trim())
            : ("", content.Trim());
    }

    /// <summary>Name and arguments of each call, in one form: the API's arguments are a string, the task's an object.</summary>
    private static IEnumerable<string> Calls(JsonNode message) => (message["tool_calls"] as JsonArray ?? []).Select(call =>
    {
        JsonNode function = call!["function"]!;
        JsonNode arguments = function["arguments"] is JsonValue text ? JsonNode.Parse((string)text!)! : function["arguments"]!;
        return $"{(string)function["name"]!} {arguments.ToJsonString()}";
    });

    /// <summary>Messages as the API takes them: calls have ids, and arguments that are strings.</summary>
    private static JsonArray Messages(JsonArray messages)
    {
        var copy = (JsonArray)messages.DeepClone();
        foreach (JsonNode? message in copy)
        {
            foreach (JsonNode? call in message!["tool_calls"] as JsonArray ?? [])
            {
                call!["id"] = "call_1";
                call["function"]!["arguments"] = call["function"]!["arguments"]!.ToJsonString();
            }

            if ((string)message["role"]! == "tool")
                message["tool_call_id"] = "call_1";
        }

        return copy;
    }

    private static JsonObject Read()
    {
        using Stream packed = File.OpenRead(TestData.At("demo", "eval.json.gz"));
        using GZipStream unpacked = new(packed, CompressionMode.Decompress);
        return JsonNode.Parse(unpacked)!.AsObject();
    }
}
