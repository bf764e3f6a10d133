using System.Text;
using Sluice.Server.Chat;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;

namespace Sluice.Server.Anthropic;

/// <summary>Writes an answer as this API's named events: blocks one after the other, each begun, added to and ended.</summary>
internal sealed class MessageStream : IEventStream
{
    private readonly SseWriter _events;
    private readonly Message _message;
    private readonly string _requestId;
    private readonly int _marked;
    private string? _open;
    private int _index = -1;

    /// <param name="events">Where to write.</param>
    /// <param name="message">The message as it begins: without content.</param>
    /// <param name="requestId">The request's id, for errors.</param>
    /// <param name="marked">Tokens of the prompt up to the last <c>cache_control</c>.</param>
    public MessageStream(SseWriter events, Message message, string requestId, int marked)
    {
        _events = events;
        _message = message;
        _requestId = requestId;
        _marked = marked;
    }

    public async Task BeginAsync()
    {
        await WriteAsync(new MessageEvent("message_start") { Message = _message });
        await KeepAliveAsync();
    }

    public async Task AddAsync(AnswerPart part)
    {
        switch (part)
        {
            case ReasoningPart reasoning:
                await OpenAsync(Block.OfThinking(""));
                await WriteDeltaAsync(new MessageDelta { Type = "thinking_delta", Thinking = reasoning.Text });
                break;
            case ContentPart content when content.Text.Length > 0:
                await OpenAsync(Block.OfText(""));
                await WriteDeltaAsync(new MessageDelta { Type = "text_delta", Text = content.Text });
                break;
            case CallPart call:
                await CloseAsync();
                await OpenAsync(Block.OfCall(call.Id, call.Name, []));
                break;
            case ArgumentsPart arguments:
                await WriteDeltaAsync(new MessageDelta { Type = "input_json_delta", PartialJson = arguments.Text });
                break;
        }
    }

    public async Task EndAsync(AnswerEnd end)
    {
        await CloseAsync();
        await WriteAsync(new MessageEvent("message_delta")
        {
            Delta = new MessageDelta { StopReason = Message.StopReasonOf(end), StopSequence = end.StopString },
            Usage = MessageUsage.Of(end.Usage, _marked),
        });
        await WriteAsync(new MessageEvent("message_stop"));
    }

    /// <inheritdoc/>
    public Task KeepAliveAsync() => WriteAsync(new MessageEvent("ping"));

    /// <inheritdoc/>
    public Task FailAsync(ErrorDetail error, int status) => _events.WriteAsync(
        "error"u8.ToArray(), AnthropicError.Of(status, error.Message, _requestId), AnthropicJson.Readable.AnthropicError);

    private async Task OpenAsync(Block block)
    {
        if (_open == block.Type && block.Type != "tool_use")
            return;
        await CloseAsync();
        _open = block.Type;
        _index++;
        await WriteAsync(new MessageEvent("content_block_start") { Index = _index, ContentBlock = block });
    }

    private async Task CloseAsync()
    {
        if (_open is null)
            return;
        if (_open == "thinking")
            await WriteDeltaAsync(new MessageDelta { Type = "signature_delta", Signature = "" });
        _open = null;
        await WriteAsync(new MessageEvent("content_block_stop") { Index = _index });
    }

    private Task WriteDeltaAsync(MessageDelta delta) => WriteAsync(new MessageEvent("content_block_delta") { Index = _index, Delta = delta });

    private Task WriteAsync(MessageEvent next) => _events.WriteAsync(Encoding.ASCII.GetBytes(next.Type), next, AnthropicJson.Readable.MessageEvent);
}
