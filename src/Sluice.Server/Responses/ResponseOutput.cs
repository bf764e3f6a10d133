using System.Text;
using System.Text.Json.Nodes;
using Sluice.Engine.Text;
using Sluice.Server.Chat;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Responses;

/// <summary>
/// Makes items of an answer's parts, one after the other, and tells each step as an event. What is streamed and what is answered as a
/// whole thus cannot differ.
/// </summary>
internal sealed class ResponseOutput
{
    private readonly Func<ResponseEvent, Task> _tell;
    private readonly bool _wantsLogprobs;
    private readonly List<ResponseItem> _items = [];
    private readonly StringBuilder _text = new();
    private readonly List<ChatTokenLogprob> _logprobs = [];
    private ResponseItem? _open;

    /// <param name="tell">Takes each event.</param>
    /// <param name="wantsLogprobs">Whether log-probabilities are told.</param>
    public ResponseOutput(Func<ResponseEvent, Task> tell, bool wantsLogprobs)
    {
        _tell = tell;
        _wantsLogprobs = wantsLogprobs;
    }

    /// <summary>The items that are whole.</summary>
    public IReadOnlyList<ResponseItem> Items => _items;

    public async Task AddAsync(AnswerPart part)
    {
        switch (part)
        {
            case ReasoningPart reasoning:
                await OpenAsync("reasoning", static () => ResponseItem.OfReasoning(), ResponsePart.OfReasoning(""));
                _text.Append(reasoning.Text);
                await TellAsync(Of("response.reasoning_text.delta") with { ContentIndex = 0, Delta = reasoning.Text });
                break;
            case ContentPart content when content.Text.Length > 0 || content.Tokens.Count > 0:
                await OpenAsync("message", static () => ResponseItem.OfMessage([]), ResponsePart.OfText("", []));
                _text.Append(content.Text);
                IReadOnlyList<ChatTokenLogprob> logprobs = Logprobs(content.Tokens);
                _logprobs.AddRange(logprobs);
                await TellAsync(Of("response.output_text.delta") with { ContentIndex = 0, Delta = content.Text, Logprobs = logprobs });
                break;
            case CallPart call:
                await CloseAsync("completed");
                await OpenAsync("function_call", () => ResponseItem.OfCall(call.Id, call.Name), part: null);
                break;
            case ArgumentsPart arguments:
                _text.Append(arguments.Text);
                await TellAsync(Of("response.function_call_arguments.delta") with { Delta = arguments.Text });
                break;
        }
    }

    /// <summary>The answer has ended: closes what is open.</summary>
    public Task EndAsync(AnswerEnd end) => CloseAsync(end.Reason == AnswerReason.Length ? "incomplete" : "completed");

    private async Task OpenAsync(string type, Func<ResponseItem> create, ResponsePart? part)
    {
        if (_open?.Type == type && part is not null)
            return;
        await CloseAsync("completed");
        _open = create();
        await TellAsync(new ResponseEvent("response.output_item.added") { OutputIndex = _items.Count, Item = _open });
        if (part is not null)
            await TellAsync(Of("response.content_part.added") with { ContentIndex = 0, Part = part });
    }

    private async Task CloseAsync(string status)
    {
        if (_open is not { } item)
            return;
        string text = _text.ToString();
        ResponsePart? part = null;
        switch (item.Type)
        {
            case "reasoning":
                part = ResponsePart.OfReasoning(text);
                await TellAsync(Of("response.reasoning_text.done") with { ContentIndex = 0, Text = text });
                break;
            case "message":
                part = ResponsePart.OfText(text, [.. _logprobs]);
                await TellAsync(Of("response.output_text.done") with { ContentIndex = 0, Text = text, Logprobs = part.Logprobs });
                break;
            default:
                item = item with { Arguments = text };
                await TellAsync(Of("response.function_call_arguments.done") with { Name = item.Name, Arguments = text });
                break;
        }

        if (part is not null)
        {
            await TellAsync(Of("response.content_part.done") with { ContentIndex = 0, Part = part });
            item = item with { Content = [part] };
        }

        item = item with { Status = status };
        await TellAsync(new ResponseEvent("response.output_item.done") { OutputIndex = _items.Count, Item = item });
        _items.Add(item);
        _open = null;
        _text.Clear();
        _logprobs.Clear();
    }

    private ResponseEvent Of(string type) => new(type) { OutputIndex = _items.Count, ItemId = _open!.Id };

    private Task TellAsync(ResponseEvent next) => _tell(next);

    private IReadOnlyList<ChatTokenLogprob> Logprobs(IReadOnlyList<TextToken> tokens) => _wantsLogprobs ? LogprobShapes.ForChat(tokens).Content : [];

    /// <summary>The answer as templates read it, for what comes after it.</summary>
    public JsonObject ToMessage()
    {
        var message = new JsonObject { ["role"] = "assistant" };
        var calls = new JsonArray();
        var content = new StringBuilder();
        var reasoning = new StringBuilder();
        foreach (ResponseItem item in _items)
        {
            switch (item.Type)
            {
                case "reasoning":
                    reasoning.Append(item.Content![0].Text);
                    break;
                case "message":
                    content.Append(item.Content![0].Text);
                    break;
                default:
                    calls.Add((JsonNode)new JsonObject
                    {
                        ["id"] = item.CallId,
                        ["type"] = "function",
                        ["function"] = new JsonObject { ["name"] = item.Name, ["arguments"] = ChatMessages.ParseArguments(item.Arguments!, "arguments") },
                    });
                    break;
            }
        }

        message["content"] = content.ToString();
        if (reasoning.Length > 0)
            message["reasoning_content"] = reasoning.ToString();
        if (calls.Count > 0)
            message["tool_calls"] = calls;
        return message;
    }
}
