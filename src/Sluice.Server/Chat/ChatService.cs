using Sluice.Core;
using Sluice.Engine.Text;

namespace Sluice.Server.Chat;

/// <summary>Answers chats: what every API's endpoints have behind them.</summary>
internal sealed class ChatService
{
    public ChatService(ServedModel model, TimeProvider clock)
    {
        Model = model;
        Clock = clock;
    }

    public ServedModel Model { get; }

    public TimeProvider Clock { get; }

    /// <summary>What the model can do, in the words Ollama has for it.</summary>
    public IReadOnlyList<string> Capabilities => ["completion"];

    /// <summary>The prompt a call makes.</summary>
    public ChatPrompt Render(ChatCall call, CancellationToken cancellation) => ChatPrompt.Render(call, Model, Clock, cancellation);

    /// <summary>Queues a call; its answers come through the set.</summary>
    /// <exception cref="RequestException">It asks for what cannot be done.</exception>
    /// <exception cref="EngineException">The queue is full, or the engine takes no more requests.</exception>
    public AnswerSet Start(ChatCall call, CancellationToken cancellation) => Start(call, Render(call, cancellation), cancellation);

    /// <summary>Queues a call whose prompt is rendered already.</summary>
    public AnswerSet Start(ChatCall call, ChatPrompt prompt, CancellationToken cancellation)
    {
        RefuseConstraints(call);
        IReadOnlyList<TextStream> texts = Model.Generator.GenerateMany(
            new TextRequest
            {
                Prompt = prompt.Tokens,
                MaxTokens = call.MaxTokens,
                Sampling = call.Sampling,
                Stop = call.Stop,
                CacheBreakpoints = prompt.CacheBreakpoints,
                CacheKey = call.CacheKey,
            },
            call.Choices,
            cancellation);
        return new AnswerSet(texts.Select(text => new AnswerStream(text)));
    }

    /// <summary>Queues texts as they are, each <paramref name="choices"/> times; all that comes is content.</summary>
    public AnswerSet StartRaw(IEnumerable<TextRequest> requests, int choices, CancellationToken cancellation)
    {
        var texts = new List<TextStream>();
        try
        {
            foreach (TextRequest request in requests)
                texts.AddRange(Model.Generator.GenerateMany(request, choices, cancellation));
            return new AnswerSet(texts.Select(text => new AnswerStream(text)));
        }
        catch
        {
            foreach (TextStream text in texts)
                text.Cancel();
            throw;
        }
    }

    private static void RefuseConstraints(ChatCall call)
    {
        if (call.Format.Kind != AnswerForm.Text)
            throw new RequestException($"{call.Format.Parameter} must be text: constrained output is not supported", call.Format.Parameter, "unsupported_value");
        if (call.Tools.Use is ToolUse.Required or ToolUse.Named)
            throw new RequestException("tool_choice must be none or auto: forcing a tool call is not supported", "tool_choice", "unsupported_value");
    }
}
