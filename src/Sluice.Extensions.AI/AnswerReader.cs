using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;
using Sluice.Text;
using Sluice.Text.Output;

namespace Sluice.Extensions.AI;

/// <summary>Turns an answer's text, as it comes, into contents of a message. Calls come whole: their arguments are objects here.</summary>
internal sealed class AnswerReader
{
    // As deep as the parser takes arguments.
    private const int JsonDepth = 64;

    private readonly OutputParser _parser;
    private readonly ChatRequest _request;
    private readonly List<OutputPart> _parts = [];

    // What came, for counting the tokens of the reasoning in the end.
    private readonly StringBuilder _text = new();

    private OutputPart _call;
    private string _arguments = "";

    public AnswerReader(OutputFormat format, ChatRequest request, bool startsInReasoning)
    {
        _request = request;
        _parser = new OutputParser(
            format, new OutputParserOptions { Tools = request.Tools, StartsInReasoning = startsInReasoning, StreamArguments = false });
    }

    /// <summary>Whether a call has been among the contents.</summary>
    public bool HasCalls { get; private set; }

    public List<AIContent> Append(string text)
    {
        _text.Append(text);
        _parser.Append(text, _parts);
        return TakeContents();
    }

    public List<AIContent> Finish()
    {
        _parser.Finish(_parts);
        return TakeContents();
    }

    /// <summary>How many tokens the reasoning is, as the tokenizer would write it.</summary>
    public int CountReasoningTokens(Tokenizer tokenizer)
    {
        int characters = (int)_parser.ReasoningCharacters;
        return characters == 0 ? 0 : tokenizer.Encode([new PromptSegment(_text.ToString(0, characters), FromTemplate: true)]).Length;
    }

    private List<AIContent> TakeContents()
    {
        List<AIContent> contents = [];
        foreach (OutputPart part in _parts)
        {
            switch (part.Kind)
            {
                case OutputPartKind.Reasoning when _request.ShowsReasoning:
                    contents.Add(new TextReasoningContent(part.Text));
                    break;
                case OutputPartKind.Content:
                    contents.Add(new TextContent(part.Text));
                    break;
                case OutputPartKind.ToolCallStart:
                    _call = part;
                    break;
                case OutputPartKind.ToolCallArguments:
                    _arguments = part.Text;
                    break;
                case OutputPartKind.ToolCallEnd when !(HasCalls && _request.OneCallOnly):
                    HasCalls = true;
                    contents.Add(Call(_call.Id!, _call.Text, _arguments));
                    break;
            }
        }

        _parts.Clear();
        return contents;
    }

    private static FunctionCallContent Call(string id, string name, string arguments)
    {
        try
        {
            using var document = JsonDocument.Parse(arguments, new JsonDocumentOptions { MaxDepth = JsonDepth });
            var values = new Dictionary<string, object?>(StringComparer.Ordinal);
            foreach (JsonProperty property in document.RootElement.EnumerateObject())
                values[property.Name] = property.Value.Clone();
            return new FunctionCallContent(id, name, values);
        }
        catch (InvalidOperationException error)
        {
            // A name that holds half a surrogate pair: JSON, but no text.
            return new FunctionCallContent(id, name) { Exception = error };
        }
    }
}
