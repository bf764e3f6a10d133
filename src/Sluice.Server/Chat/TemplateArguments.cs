using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Server.Http;
using Sluice.Text;

namespace Sluice.Server.Chat;

/// <summary>
/// Variables a caller sets in the chat template. Only those the template reads can be set: anything else would mean nothing, or mean
/// something to a program the template never sees.
/// </summary>
internal sealed class TemplateArguments
{
    private const string Field = "chat_template_kwargs";
    private const string Thinking = "enable_thinking";
    private const string Effort = "reasoning_effort";
    private const int MaxArguments = 32;

    /// <summary>Not the caller's to set, even where the template reads them: they carry the conversation itself, or come with the model.</summary>
    private static readonly HashSet<string> Reserved = new(StringComparer.Ordinal)
    {
        "messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "chat_template", "tokenize", "padding",
        "truncation", "max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask", "bos_token", "eos_token", "pad_token",
        "unk_token", "sep_token", "cls_token", "mask_token", "loop", "message",
    };

    private readonly ChatTemplate? _template;
    private readonly Dictionary<string, JsonNode?> _values = new(StringComparer.Ordinal);

    public TemplateArguments(ChatTemplate? template) => _template = template;

    /// <summary>
    /// Whether to think before answering, for templates that leave the choice; null leaves it to them. What the caller says in
    /// <c>chat_template_kwargs</c> comes after this and wins.
    /// </summary>
    public void SetThinking(bool? thinks)
    {
        if (thinks is { } value && Reads(Thinking))
            _values[Thinking] = JsonValue.Create(value);
    }

    /// <summary>
    /// How much to think. A template with efforts gets the word; one that can only think or not does not for <c>none</c> and
    /// <c>minimal</c>. To a template with neither the effort means nothing.
    /// </summary>
    /// <param name="effort">The word, or null.</param>
    /// <param name="path">The field it stands in.</param>
    public void SetEffort(string? effort, string path)
    {
        if (effort is null)
            return;
        if (effort is not ("none" or "minimal" or "low" or "medium" or "high" or "xhigh" or "max"))
            throw new RequestException($"{path} must be none, minimal, low, medium, high, xhigh or max", path);
        SetThinking(effort is not ("none" or "minimal"));
        if (Reads(Effort))
            _values[Effort] = JsonValue.Create(effort);
    }

    /// <summary>Reads <c>chat_template_kwargs</c>.</summary>
    public void Read(RequestFields fields)
    {
        if (!fields.TryGet(Field, out JsonElement arguments))
            return;
        if (arguments.ValueKind != JsonValueKind.Object)
            throw RequestFields.Mismatch(Field, "an object", arguments);
        int count = 0;
        foreach (JsonProperty argument in arguments.EnumerateObject())
        {
            string name = JsonCopy.Name(argument, Field);
            if (Reserved.Contains(name) || !Reads(name) || ++count > MaxArguments)
                throw new RequestException($"{Field} may set only variables that the model's chat template reads, other than the conversation itself", Field);
            if (argument.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array)
                throw RequestFields.Mismatch($"{Field}.{name}", "a string, number, boolean or null", argument.Value);
            _values[name] = JsonCopy.Of(argument.Value, $"{Field}.{name}");
        }
    }

    /// <summary>Sets the variables.</summary>
    public void AddTo(JsonObject inputs)
    {
        foreach ((string name, JsonNode? value) in _values)
            inputs[name] = value?.DeepClone();
    }

    private bool Reads(string name) => _template?.Reads(name) ?? false;
}
