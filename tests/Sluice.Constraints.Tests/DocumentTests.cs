using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Sluice.Constraints.Tests;

/// <summary>Random documents that JsonSchema.Net calls valid are accepted, however they are laid out and cut into tokens; others are not.</summary>
public sealed class DocumentTests
{
    private static readonly JsonSerializerOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static TheoryData<string, string> Schemas => [.. SchemaExamples.All.Where(example => !example.Name.Contains("oddly", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Schemas), DisableDiscoveryEnumeration = true)]
    public void Valid_documents_are_accepted_and_others_are_not(string name, string schema)
    {
        CompiledConstraint constraint = Vocabularies.Compiler.Compile(new JsonSchemaSpec(schema));
        var validator = new Validator(schema);
        int valid = 0;
        for (int seed = 0, tried = 0; tried < 25 && seed < 2000; seed++)
        {
            var random = new Random(seed);
            JsonNode? value = new DocumentMaker(JsonNode.Parse(schema)!, random).Make(JsonNode.Parse(schema));
            string[] layouts = [Lay(value, "", "", ""), Lay(value, "", ", ", " "), Lay(value, "  ", ",", " "), Lay(value, "\t", ",", " ")];
            bool isValid = validator.IsValid(layouts[0], out _);
            if (!isValid && seed > 15)
                continue; // most are; the rare valid ones are looked for
            valid += isValid ? 1 : 0;
            tried++;
            foreach (string text in layouts)
            {
                bool byTokenizer = Walk.Accepts(constraint, Vocabularies.Tokenizer.Encode(text));
                bool cut = Walk.Accepts(constraint, Walk.Cut(Vocabularies.Demo, Encoding.UTF8.GetBytes(text), random));
                Assert.True(byTokenizer == isValid && cut == isValid, $"{name}, seed {seed}: valid {isValid}, accepted {byTokenizer}, cut otherwise {cut}\n{text}");
            }
        }

        Assert.True(valid > 0, $"{name}: no document was valid");
    }

    /// <summary>Writes a value as people and programs do: in one line with or without spaces, or indented.</summary>
    private static string Lay(JsonNode? value, string indent, string comma, string colon, int depth = 0)
    {
        (char open, char close, string[] parts) = value switch
        {
            JsonObject members => ('{', '}', members.Select(member => $"{Quote(member.Key)}:{colon}{Lay(member.Value, indent, comma, colon, depth + 1)}").ToArray()),
            JsonArray items => ('[', ']', items.Select(item => Lay(item, indent, comma, colon, depth + 1)).ToArray()),
            _ => (' ', ' ', []),
        };
        if (open == ' ')
            return value is null ? "null" : value.GetValueKind() == JsonValueKind.String ? Quote(value.GetValue<string>()) : value.ToJsonString();
        if (parts.Length == 0)
            return $"{open}{close}";
        string before = indent.Length == 0 ? "" : "\n" + string.Concat(Enumerable.Repeat(indent, depth + 1));
        string after = indent.Length == 0 ? "" : "\n" + string.Concat(Enumerable.Repeat(indent, depth));
        return string.Create(CultureInfo.InvariantCulture, $"{open}{before}{string.Join((comma.Length == 0 ? "," : comma) + before, parts)}{after}{close}");
    }

    private static string Quote(string text) => JsonValue.Create(text).ToJsonString(Compact).Replace("\\uD83D\\uDE00", "😀", StringComparison.Ordinal);
}
