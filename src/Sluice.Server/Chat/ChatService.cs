using System.Text.Json;
using Sluice.Constraints;
using Sluice.Constraints.Answers;
using Sluice.Core;
using Sluice.Engine.Text;
using Sluice.Server.Access;
using Sluice.Server.Anthropic;
using Sluice.Text.Output;

namespace Sluice.Server.Chat;

/// <summary>Answers chats: what every API's endpoints have behind them.</summary>
internal sealed class ChatService
{
    private static readonly OutputParserOptions PlainOptions = new();

    public ChatService(ServedModel model, TimeProvider clock)
    {
        Model = model;
        Clock = clock;
    }

    public ServedModel Model { get; }

    public TimeProvider Clock { get; }

    /// <summary>What the model can do, in the words Ollama has for it.</summary>
    public IReadOnlyList<string> Capabilities =>
    [
        "completion",
        .. Model.Output.ToolCalls != ToolCallStyle.None ? ["tools"] : (string[])[],
        .. Model.Output.Reasoning != ReasoningStyle.None ? ["thinking"] : (string[])[],
    ];

    /// <summary>The prompt a call makes.</summary>
    public ChatPrompt Render(ChatCall call, CancellationToken cancellation) => ChatPrompt.Render(call, Model, Clock, cancellation);

    /// <summary>Queues a call; its answers come through the set.</summary>
    /// <exception cref="RequestException">It asks for what cannot be done.</exception>
    /// <exception cref="EngineException">The queue is full, or the engine takes no more requests.</exception>
    public AnswerSet Start(ChatCall call, ClientIdentity client, CancellationToken cancellation) => Start(call, Render(call, cancellation), client, cancellation);

    /// <summary>Queues a call whose prompt is rendered already.</summary>
    public AnswerSet Start(ChatCall call, ChatPrompt prompt, ClientIdentity client, CancellationToken cancellation)
    {
        IReadOnlyList<TextStream> texts = Model.Generator.GenerateMany(
            new TextRequest
            {
                Prompt = prompt.Tokens,
                MaxTokens = call.MaxTokens,
                Sampling = call.Sampling,
                Stop = call.Stop,
                Structure = prompt.Structure,
                Constraint = Compile(call, prompt, cancellation),
                CacheKey = call.CacheKey,
                CacheSalt = client.CacheSalt,
                Client = client.Name,
            },
            call.Choices,
            cancellation);
        var options = new OutputParserOptions { Tools = Signatures(call.Tools), StartsInReasoning = prompt.StartsInReasoning };
        return new AnswerSet(texts.Select(
            text => new AnswerStream(text, new OutputParser(Model.Output, options), call.Tools.Parallel ? int.MaxValue : 1)));
    }

    /// <summary>Queues texts as they are, each <paramref name="choices"/> times; all that comes is content.</summary>
    public AnswerSet StartRaw(IEnumerable<TextRequest> requests, int choices, ClientIdentity client, CancellationToken cancellation)
    {
        var texts = new List<TextStream>();
        try
        {
            foreach (TextRequest request in requests)
                texts.AddRange(Model.Generator.GenerateMany(request with { CacheSalt = client.CacheSalt, Client = client.Name }, choices, cancellation));
            return new AnswerSet(texts.Select(text => new AnswerStream(text, new OutputParser(OutputFormat.Plain, PlainOptions))));
        }
        catch
        {
            foreach (TextStream text in texts)
                text.Cancel();
            throw;
        }
    }

    private CompiledConstraint? Compile(ChatCall call, ChatPrompt prompt, CancellationToken cancellation) =>
        AnswerConstraint.Of(call.Demand, Model.Output, prompt.StartsInReasoning) is { } spec ? Model.Generator.Constraints.Compile(spec, cancellation) : null;

    private static ToolSignature[] Signatures(ToolSet tools)
    {
        if (!tools.IsOffered)
            return [];
        return [.. tools.Functions.Select(Signature)];

        static ToolSignature Signature(ToolFunction function)
        {
            if (function.Parameters is not { } parameters)
                return new ToolSignature(function.Name);
            using JsonDocument schema = JsonSerializer.SerializeToDocument(parameters, AnthropicJson.Default.JsonObject);
            return new ToolSignature(function.Name, schema.RootElement);
        }
    }
}
