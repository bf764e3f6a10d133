using System.Collections.Frozen;

namespace Sluice.Text.Jinja;

/// <summary>
/// The filters: Jinja2's, but for those that make HTML pages (<c>urlize</c>, <c>xmlattr</c>), wrap lines or print for debugging,
/// reach into objects (<c>attr</c>), or are not deterministic (<c>random</c>).
/// </summary>
internal static class Filters
{
    private static readonly FrozenDictionary<string, Builtin> ByName = All().ToFrozenDictionary(static f => f.Name, StringComparer.Ordinal);

    public static bool Exists(string name) => ByName.ContainsKey(name);

    public static Value Apply(RenderContext c, string name, Value value, Arguments arguments) =>
        ByName.TryGetValue(name, out Builtin? filter) ? filter.Invoke(c, value, arguments) : throw c.Fail($"no filter named '{name}'");

    private static IEnumerable<Builtin> All() =>
        [.. TextFilters.All, .. NumberFilters.All, .. SequenceFilters.All, .. SelectionFilters.All];
}
