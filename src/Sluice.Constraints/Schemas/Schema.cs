using System.Text.Json;
using Sluice.Constraints.Json;

namespace Sluice.Constraints.Schemas;

/// <summary>The types of JSON values; an integer is a number as well.</summary>
[Flags]
internal enum JsonTypes
{
    None = 0,
    Null = 1,
    Boolean = 2,
    Object = 4,
    Array = 8,
    String = 16,
    Integer = 32,
    Fraction = 64,
    Number = Integer | Fraction,
    All = Null | Boolean | Object | Array | String | Number,
}

/// <summary>A bound of a number.</summary>
/// <param name="Value">The bound.</param>
/// <param name="Inclusive">Whether it is itself within.</param>
/// <param name="Keyword">Its name in the schema.</param>
internal sealed record Bound(DecimalNumber Value, bool Inclusive, string Keyword);

/// <summary>One schema object as written, its keywords read and checked, nothing resolved.</summary>
/// <param name="id">Its number in the document.</param>
/// <param name="path">Where it is, as a JSON pointer behind <c>#</c>.</param>
internal sealed class Schema(int id, string path)
{
    public int Id { get; } = id;

    public string Path { get; } = path;

    /// <summary>Whether the schema is <c>false</c>.</summary>
    public bool IsNever { get; set; }

    public JsonTypes Types { get; set; } = JsonTypes.All;

    /// <summary>The values of <c>enum</c> or <c>const</c>; null without either.</summary>
    public IReadOnlyList<JsonElement>? Values { get; set; }

    public Schema? Reference { get; set; }

    public IReadOnlyList<Schema> AllOf { get; set; } = [];

    /// <summary>Each list is one <c>anyOf</c> or <c>oneOf</c>.</summary>
    public List<IReadOnlyList<Schema>> Alternatives { get; } = [];

    /// <summary>In the order written.</summary>
    public List<KeyValuePair<string, Schema>> Properties { get; } = [];

    public HashSet<string> PropertyNames { get; } = new(StringComparer.Ordinal);

    public List<string> Required { get; } = [];

    /// <summary>For properties that <see cref="Properties"/> does not name; null if anything goes.</summary>
    public Schema? OtherProperties { get; set; }

    public IReadOnlyList<Schema> PrefixItems { get; set; } = [];

    /// <summary>For items beyond <see cref="PrefixItems"/>; null if anything goes.</summary>
    public Schema? Items { get; set; }

    public int MinItems { get; set; }

    public int? MaxItems { get; set; }

    public int MinLength { get; set; }

    public int? MaxLength { get; set; }

    public string? Pattern { get; set; }

    public string? Format { get; set; }

    public Bound? Lower { get; set; }

    public Bound? Upper { get; set; }

    public Bound? LowerExclusive { get; set; }

    public Bound? UpperExclusive { get; set; }

    public DecimalNumber? MultipleOf { get; set; }

    /// <summary>Whether it says anything of values beside their type and what they may be.</summary>
    public bool HasConditions =>
        Properties.Count > 0 || Required.Count > 0 || OtherProperties is not null || PrefixItems.Count > 0 || Items is not null || MinItems > 0
        || MaxItems is not null || MinLength > 0 || MaxLength is not null || Pattern is not null || Format is not null || Lower is not null
        || Upper is not null || LowerExclusive is not null || UpperExclusive is not null || MultipleOf is not null;
}
