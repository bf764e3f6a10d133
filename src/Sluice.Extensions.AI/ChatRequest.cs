using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;
using Sluice.Constraints.Answers;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Text.Output;

namespace Sluice.Extensions.AI;

/// <summary>Messages and options of a caller, checked, in this library's own terms.</summary>
internal sealed record ChatRequest
{
    private const string TemplateArguments = "chat_template_kwargs";
    private const string EnableThinking = "enable_thinking";

    /// <summary>Template variables that are not the caller's to set.</summary>
    private static readonly string[] ReservedArguments = ["messages", "tools", "documents", "add_generation_prompt"];

    /// <summary>Variables of the chat template.</summary>
    public required JsonObject Inputs { get; init; }

    /// <summary>The tools that the model may call.</summary>
    public required IReadOnlyList<ToolSignature> Tools { get; init; }

    public required SamplingOptions Sampling { get; init; }

    public required int? MaxTokens { get; init; }

    public required IReadOnlyList<string> Stop { get; init; }

    /// <summary>What the answer must be.</summary>
    public required AnswerDemand Demand { get; init; }

    /// <summary>Whether calls after the first are left out.</summary>
    public required bool OneCallOnly { get; init; }

    public required bool ShowsReasoning { get; init; }

    /// <exception cref="RequestException">A value is invalid.</exception>
    /// <exception cref="NotSupportedException">An option asks for what is not implemented.</exception>
    public static ChatRequest Read(IEnumerable<ChatMessage> messages, ChatOptions? options, SluiceModel model)
    {
        options ??= new ChatOptions();
        RefuseUnsupported(options, model);
        List<AIFunctionDeclaration> tools = ReadTools(options);
        var inputs = new JsonObject { ["messages"] = ChatInputs.Messages(messages, options.Instructions), ["add_generation_prompt"] = true };
        if (tools.Count > 0)
            inputs["tools"] = new JsonArray([.. tools.Select(ChatInputs.Tool)]);
        AddTemplateArguments(options, model, inputs);
        return new ChatRequest
        {
            Inputs = inputs,
            Tools = [.. tools.Select(tool => new ToolSignature(tool.Name, tool.JsonSchema))],
            Demand = AnswerForm.Read(options, tools),
            Sampling = ReadSampling(options, model.Defaults),
            MaxTokens = options.MaxOutputTokens,
            Stop = [.. options.StopSequences ?? []],
            OneCallOnly = options.AllowMultipleToolCalls == false,
            ShowsReasoning = options.Reasoning?.Output != ReasoningOutput.None,
        };
    }

    private static void RefuseUnsupported(ChatOptions options, SluiceModel model)
    {
        if (options.ModelId is { } id && !string.Equals(id, model.Id, StringComparison.Ordinal))
            throw new RequestException($"there is no model '{id}' here; the one that is loaded is '{model.Id}'", "model", "model_not_found");
        if (options.ConversationId is not null)
            throw new NotSupportedException("ConversationId: no conversation is kept; give all its messages");
        if (options.ContinuationToken is not null)
            throw new NotSupportedException("ContinuationToken: answers cannot be taken up again");
    }

    private static List<AIFunctionDeclaration> ReadTools(ChatOptions options)
    {
        if (options.ToolMode is NoneChatToolMode)
            return [];
        List<AIFunctionDeclaration> functions = [];
        foreach (AITool tool in options.Tools ?? [])
        {
            functions.Add(tool as AIFunctionDeclaration
                ?? throw new NotSupportedException($"Tools: '{tool.Name}' is a {tool.GetType().Name}; the model calls functions only"));
        }

        return functions;
    }

    private static SamplingOptions ReadSampling(ChatOptions options, SamplingOptions defaults) => defaults with
    {
        Temperature = options.Temperature ?? defaults.Temperature,
        TopP = options.TopP ?? defaults.TopP,
        TopK = options.TopK ?? defaults.TopK,
        MinP = Additional(options, "min_p") ?? defaults.MinP,
        FrequencyPenalty = options.FrequencyPenalty ?? defaults.FrequencyPenalty,
        PresencePenalty = options.PresencePenalty ?? defaults.PresencePenalty,
        RepetitionPenalty = Additional(options, "repetition_penalty") ?? defaults.RepetitionPenalty,
        Seed = options.Seed,
    };

    private static float? Additional(ChatOptions options, string name)
    {
        if (options.AdditionalProperties?.TryGetValue(name, out object? value) != true || value is null)
            return null;
        if (ChatInputs.Node(value) is JsonValue number && number.TryGetValue(out float single))
            return single;
        return ChatInputs.Node(value) is JsonValue other && other.TryGetValue(out double wide)
            ? (float)wide
            : throw new RequestException($"{name} must be a number", name);
    }

    private static void AddTemplateArguments(ChatOptions options, SluiceModel model, JsonObject inputs)
    {
        // The one switch of reasoning that templates share.
        if (options.Reasoning?.Effort is { } effort && model.Chat.Source.Contains(EnableThinking, StringComparison.Ordinal))
            inputs[EnableThinking] = effort != ReasoningEffort.None;
        if (options.AdditionalProperties?.TryGetValue(TemplateArguments, out object? value) != true || value is null)
            return;
        JsonNode? arguments = value is IEnumerable<KeyValuePair<string, object?>> pairs
            ? new JsonObject(pairs.Select(pair => KeyValuePair.Create(pair.Key, ChatInputs.Node(pair.Value))))
            : ChatInputs.Node(value);
        if (arguments is not JsonObject members)
            throw new RequestException($"{TemplateArguments} must be a dictionary or a JSON object", TemplateArguments);
        foreach ((string name, JsonNode? argument) in members)
        {
            if (ReservedArguments.Contains(name, StringComparer.Ordinal) || model.Chat.SpecialTokens.ContainsKey(name))
                throw new RequestException($"{TemplateArguments} cannot set '{name}'", TemplateArguments);
            inputs[name] = argument?.DeepClone();
        }
    }
}
