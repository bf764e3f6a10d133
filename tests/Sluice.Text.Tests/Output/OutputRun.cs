using System.Text.Json;
using Sluice.Text.Output;

namespace Sluice.Text.Tests.Output;

/// <summary>Runs the parser over a text in pieces, and holds what it says against the rules that hold for any text.</summary>
internal static class OutputRun
{
    public static readonly OutputFormat Json = new(ReasoningStyle.ThinkTags, ToolCallStyle.Json);
    public static readonly OutputFormat Xml = new(ReasoningStyle.ThinkTags, ToolCallStyle.Xml);

    public static readonly ToolSignature[] Tools =
    [
        new("get_time", Schema("""{"type": "object", "properties": {"city": {"type": "string"}}}""")),
        new(
            "buy",
            Schema("""
                {
                  "properties": {
                    "item": {"type": "string"}, "count": {"type": "integer"}, "price": {"type": "number"}, "gift": {"type": "boolean"},
                    "to": {"$ref": "#/$defs/address"}, "tags": {"type": "array"}, "note": {"type": ["string", "null"]}, "rest": {},
                    "nothing": {"type": "null"}, "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]}
                  },
                  "$defs": {"address": {"anyOf": [{"type": "object"}, {"$ref": "#/$defs/address"}, {"type": "null"}]}}
                }
                """)),
    ];

    public static JsonElement Schema(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }

    public static OutputParserOptions Options(bool stream = true, bool inReasoning = false, ToolSignature[]? tools = null)
    {
        int id = 0;
        return new OutputParserOptions
        {
            Tools = tools ?? Tools,
            StreamArguments = stream,
            StartsInReasoning = inReasoning,
            CreateCallId = () => $"call{id++}",
        };
    }

    public static ParsedOutput Parse(string text, OutputFormat format, bool stream = true, bool inReasoning = false) =>
        ParsedOutput.Of(Merge(Parts([text], format, Options(stream, inReasoning))));

    public static List<OutputPart> Parts(IEnumerable<string> pieces, OutputFormat format, OutputParserOptions options)
    {
        var parser = new OutputParser(format, options);
        List<OutputPart> parts = [];
        foreach (string piece in pieces)
            parser.Append(piece, parts);
        parser.Finish(parts);
        Check(parts);
        return parts;
    }

    /// <summary>The parts with neighbours of one kind put together: what does not depend on how the text was cut.</summary>
    public static List<OutputPart> Merge(IReadOnlyList<OutputPart> parts)
    {
        List<OutputPart> merged = [];
        foreach (OutputPart part in parts)
        {
            OutputPart last = merged.Count > 0 ? merged[^1] : default;
            bool extends = merged.Count > 0 && last.Kind == part.Kind && last.Index == part.Index && part.Kind != OutputPartKind.ToolCallStart;
            if (!extends)
                merged.Add(part);
            else
                merged[^1] = part.Kind switch
                {
                    OutputPartKind.Reasoning => OutputPart.Reasoning(last.Text + part.Text),
                    OutputPartKind.Content => OutputPart.Content(last.Text + part.Text),
                    _ => OutputPart.CallArguments(part.Index, last.Text + part.Text),
                };
        }

        return merged;
    }

    /// <summary>All pieces of <paramref name="text"/> between the given places.</summary>
    public static IEnumerable<string> Cut(string text, params IEnumerable<int> places)
    {
        int start = 0;
        foreach (int place in places)
        {
            yield return text[start..place];
            start = place;
        }

        yield return text[start..];
    }

    // Each call starts, goes on and ends, one after the other; complete arguments are one object, others the beginning of one.
    private static void Check(List<OutputPart> parts)
    {
        int calls = 0;
        bool isOpen = false;
        string arguments = "";
        foreach (OutputPart part in parts)
        {
            switch (part.Kind)
            {
                case OutputPartKind.ToolCallStart:
                    Assert.False(isOpen);
                    Assert.Equal(calls, part.Index);
                    Assert.Equal($"call{calls}", part.Id);
                    Assert.NotEmpty(part.Text);
                    (isOpen, arguments) = (true, "");
                    break;
                case OutputPartKind.ToolCallArguments:
                    Assert.True(isOpen);
                    Assert.Equal(calls, part.Index);
                    Assert.NotEmpty(part.Text);
                    arguments += part.Text;
                    break;
                case OutputPartKind.ToolCallEnd:
                    Assert.True(isOpen);
                    Assert.Equal(calls++, part.Index);
                    isOpen = false;
                    CheckArguments(arguments, part.IsComplete);
                    break;
                default:
                    Assert.False(isOpen);
                    Assert.NotEmpty(part.Text);
                    break;
            }
        }

        Assert.False(isOpen);
    }

    private static void CheckArguments(string arguments, bool isComplete)
    {
        if (isComplete)
        {
            using var document = JsonDocument.Parse(arguments);
            Assert.Equal(JsonValueKind.Object, document.RootElement.ValueKind);
            return;
        }

        // An object that is already whole can belong to a call that is not: what came after it was wrong.
        Assert.True(JsonScanner.MayBegin(arguments), arguments);
    }
}
