using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Checkpoints.Gguf;
using Sluice.Core;
using Sluice.Text.Jinja;

namespace Sluice.Text;

/// <summary>
/// A model's chat template with the special tokens it may name, read from the model's folder as transformers reads them, or from a GGUF file. Immutable;
/// many threads may render at once.
/// </summary>
public sealed class ChatTemplate
{
    /// <summary>The file of a folder that holds the template, or names special tokens for it.</summary>
    internal const string ConfigFile = "tokenizer_config.json";

    private const string TemplateFile = "chat_template.jinja";
    private const string AdditionalFolder = "additional_chat_templates";
    private const string DefaultName = "default";
    private const string ToolUseName = "tool_use";

    // Far above any real file of its kind: the largest list every token of the vocabulary.
    private const long MaximumFileBytes = 64 << 20;

    private static readonly string[] TokenNames =
        ["bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token"];

    private readonly JinjaTemplate _template;
    private readonly JinjaTemplate? _toolUse;
    private readonly Dictionary<string, string> _tokens;

    private ChatTemplate(string source, string? toolUseSource, Dictionary<string, string> tokens)
    {
        Source = source;
        ToolUseSource = toolUseSource;
        _template = JinjaTemplate.Parse(source);
        _toolUse = toolUseSource is null ? null : JinjaTemplate.Parse(toolUseSource);
        _tokens = tokens;
    }

    /// <summary>The template's text.</summary>
    public string Source { get; }

    /// <summary>The text of the template that is used instead when tools are given; null where there is none.</summary>
    public string? ToolUseSource { get; }

    /// <summary>Special tokens by their names in templates, such as <c>eos_token</c>. A token the model does not have is absent.</summary>
    public IReadOnlyDictionary<string, string> SpecialTokens => _tokens;

    /// <summary>
    /// Whether the template reads a variable of this name, other than a built-in: whether an input of this name can mean anything to it.
    /// </summary>
    public bool Reads(string variable) =>
        !Globals.Exists(variable) && (_template.Names.Contains(variable) || (_toolUse?.Names.Contains(variable) ?? false));

    /// <summary>
    /// Reads the template of the model at <paramref name="path"/>, a GGUF file or a folder: <c>chat_template.jinja</c>, or else <c>chat_template</c> in
    /// <c>tokenizer_config.json</c>, a string or a list of named templates. Null when the model has none.
    /// </summary>
    /// <exception cref="TemplateException">The template does not parse.</exception>
    /// <exception cref="ConfigurationException">A file cannot be read, or <c>tokenizer_config.json</c> is malformed.</exception>
    /// <exception cref="CheckpointException">A GGUF file breaks its format.</exception>
    public static ChatTemplate? Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!File.Exists(path))
        {
            return LoadFolder(path);
        }

        (string? source, string? toolUse, IReadOnlyDictionary<string, string> tokens) = GgufText.ReadTemplate(path);
        return source is null ? null : Parse(source, toolUse, tokens);
    }

    /// <summary>A template given as text, for a model whose own is missing or is to be replaced.</summary>
    /// <param name="source">The template.</param>
    /// <param name="toolUseSource">A template to use instead when tools are given.</param>
    /// <param name="specialTokens">Values of <c>bos_token</c> and the like.</param>
    /// <exception cref="TemplateException">A template does not parse.</exception>
    public static ChatTemplate Parse(
        string source, string? toolUseSource = null, IReadOnlyDictionary<string, string>? specialTokens = null) => new(
        source,
        toolUseSource,
        new Dictionary<string, string>(specialTokens ?? new Dictionary<string, string>(StringComparer.Ordinal), StringComparer.Ordinal));

    /// <summary>
    /// Renders a conversation. <paramref name="inputs"/> holds <c>messages</c>, and as wanted <c>tools</c>, <c>documents</c>,
    /// <c>add_generation_prompt</c> and whatever else the template knows. As in transformers, those three are always defined:
    /// null, null and false unless given.
    /// </summary>
    /// <returns>The prompt. Special tokens count as the template's text; all else in <paramref name="inputs"/> does not.</returns>
    /// <exception cref="TemplateException">The template refuses the conversation, fails, or exceeds a limit.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="ct"/> was cancelled.</exception>
    public IReadOnlyList<PromptSegment> Render(JsonObject inputs, TimeProvider? time = null, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        JsonObject trusted = new() { ["tools"] = null, ["documents"] = null, ["add_generation_prompt"] = false };
        foreach ((string name, string token) in _tokens)
        {
            trusted[name] = token;
        }

        bool hasTools = inputs.TryGetPropertyValue("tools", out JsonNode? tools) && tools is not null;
        return (hasTools ? _toolUse ?? _template : _template).Render(inputs, trusted, time, ct);
    }

    private static ChatTemplate? LoadFolder(string folder)
    {
        Dictionary<string, string> templates = new(StringComparer.Ordinal);
        Dictionary<string, string> tokens = new(StringComparer.Ordinal);
        if (ReadFile(Path.Combine(folder, ConfigFile)) is { } config)
        {
            ReadConfig(config, templates, tokens);
        }

        if (ReadFile(Path.Combine(folder, TemplateFile)) is { } template)
        {
            templates.Clear();
            templates[DefaultName] = template;
            if (ReadFile(Path.Combine(folder, AdditionalFolder, ToolUseName + ".jinja")) is { } toolUse)
            {
                templates[ToolUseName] = toolUse;
            }
        }

        if (templates.Count == 0)
        {
            return null;
        }

        if (!templates.TryGetValue(DefaultName, out string? source))
        {
            throw new ConfigurationException(
                $"{ConfigFile}: chat_template has no template named '{DefaultName}' among '{string.Join("', '", templates.Keys)}'");
        }

        return Parse(source, templates.GetValueOrDefault(ToolUseName), tokens);
    }

    private static string? ReadFile(string path)
    {
        try
        {
            FileInfo file = new(path);
            if (!file.Exists)
            {
                return null;
            }

            if (file.Length > MaximumFileBytes)
            {
                throw new ConfigurationException($"{file.Name}: {file.Length} bytes, more than the {MaximumFileBytes} expected at most");
            }

            return File.ReadAllText(path, Encoding.UTF8);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"{Path.GetFileName(path)}: {error.Message}", error);
        }
    }

    private static void ReadConfig(string json, Dictionary<string, string> templates, Dictionary<string, string> tokens)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement config = document.RootElement;
            if (config.ValueKind != JsonValueKind.Object)
            {
                throw new ConfigurationException($"{ConfigFile}: expected an object, found {config.ValueKind}");
            }

            foreach (string name in TokenNames)
            {
                if (config.TryGetProperty(name, out JsonElement token) && Token(token) is { } text)
                {
                    tokens[name] = text;
                }
            }

            if (config.TryGetProperty("chat_template", out JsonElement template))
            {
                ReadTemplates(template, templates);
            }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new ConfigurationException($"{ConfigFile}: {error.Message}", error);
        }
    }

    // A token is a string, or an object that describes it: {"content": "<s>", "lstrip": false, ...}.
    private static string? Token(JsonElement token) => token.ValueKind switch
    {
        JsonValueKind.String => token.GetString(),
        JsonValueKind.Object when token.TryGetProperty("content", out JsonElement content) => content.GetString(),
        _ => null,
    };

    private static void ReadTemplates(JsonElement template, Dictionary<string, string> templates)
    {
        switch (template.ValueKind)
        {
            case JsonValueKind.Null:
                break;
            case JsonValueKind.String:
                templates[DefaultName] = template.GetString()!;
                break;
            case JsonValueKind.Array:
                foreach (JsonElement entry in template.EnumerateArray())
                {
                    string? name = entry.TryGetProperty("name", out JsonElement given) ? given.GetString() : null;
                    string? source = entry.TryGetProperty("template", out JsonElement text) ? text.GetString() : null;
                    templates[name ?? throw Malformed()] = source ?? throw Malformed();
                }

                break;
            default:
                throw new ConfigurationException($"{ConfigFile}: chat_template: expected a string or a list, found {template.ValueKind}");
        }
    }

    private static ConfigurationException Malformed() =>
        new($"{ConfigFile}: chat_template: expected each entry of the list to have the strings 'name' and 'template'");
}
