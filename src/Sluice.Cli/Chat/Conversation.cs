using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Sluice.Cli.Chat;

/// <summary>The messages of a chat, as the template and the file of <c>/save</c> want them.</summary>
internal sealed class Conversation
{
    private readonly List<(string Role, string Content)> _turns = [];

    public Conversation(string? system) => System = system;

    public string? System { get; private set; }

    public void Add(string role, string content) => _turns.Add((role, content));

    /// <summary>Takes back the last message: the question whose answer never came.</summary>
    public void RemoveLast() => _turns.RemoveAt(_turns.Count - 1);

    public void Reset() => _turns.Clear();

    public void Begin(string? system)
    {
        System = system;
        Reset();
    }

    public JsonArray Messages()
    {
        JsonArray messages = [];
        if (System is not null)
            messages.Add(Message("system", System));
        foreach ((string role, string content) in _turns)
            messages.Add(Message(role, content));
        return messages;
    }

    public void Save(string path)
    {
        using FileStream file = File.Create(path);
        using Utf8JsonWriter writer = new(file, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        Messages().WriteTo(writer);
    }

    private static JsonNode Message(string role, string content) => new JsonObject { ["role"] = role, ["content"] = content };
}
