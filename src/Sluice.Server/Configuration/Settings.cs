using System.Globalization;
using Microsoft.Extensions.Configuration;
using Sluice.Core;

namespace Sluice.Server.Configuration;

/// <summary>
/// Settings from the section <c>Sluice</c> of a JSON file, from environment variables <c>SLUICE__NAME</c>, and from flags, the later
/// before the earlier. Reading a setting makes it known; <see cref="RefuseUnknown()"/> then finds those nobody asked for. Every error names
/// the setting and where its value came from, and never repeats the value of a secret.
/// </summary>
public sealed class Settings
{
    /// <summary>The section of the file.</summary>
    public const string Section = "Sluice";

    /// <summary>The file that is read if there is one and none is named.</summary>
    public const string DefaultFile = "appsettings.json";

    private const string EnvironmentPrefix = "SLUICE__";

    private readonly List<(IConfigurationProvider Values, string Source)> _sources = [];
    private readonly IConfigurationRoot _root;
    private readonly HashSet<string> _known = new(StringComparer.OrdinalIgnoreCase);
    private readonly IReadOnlyDictionary<string, string> _flagNames;

    private Settings(IConfigurationRoot root, string[] sources, IReadOnlyDictionary<string, string> flagNames)
    {
        _root = root;
        _flagNames = flagNames;
        foreach (IConfigurationProvider provider in root.Providers)
            _sources.Add((provider, sources[_sources.Count]));
    }

    /// <summary>Reads the sources.</summary>
    /// <param name="file">A JSON file that must be there; null: <see cref="DefaultFile"/> in the current folder, if it is there.</param>
    /// <param name="flags">Values given as flags, by the setting's name.</param>
    /// <param name="flagNames">What a setting's flag is called.</param>
    /// <exception cref="ConfigurationException">The file is not there or no JSON.</exception>
    public static Settings Load(string? file, IReadOnlyDictionary<string, string> flags, IReadOnlyDictionary<string, string> flagNames)
    {
        string path = Path.GetFullPath(file ?? DefaultFile);
        if (file is not null && !File.Exists(path))
            throw new ConfigurationException($"the configuration file {file} is not there");
        try
        {
            IConfigurationRoot root = new ConfigurationBuilder()
                .AddJsonFile(path, optional: true, reloadOnChange: false)
                .Add(new SectionSource(EnvironmentPrefix))
                .AddInMemoryCollection(flags.Select(flag => KeyValuePair.Create($"{Section}:{flag.Key}", (string?)flag.Value)))
                .Build();
            return new Settings(root, [Path.GetFileName(path), "environment", "flags"], flagNames);
        }
        catch (Exception e) when (e is InvalidDataException or FormatException or IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"the configuration file {path} cannot be read: {e.InnerException?.Message ?? e.Message}", e);
        }
    }

    /// <summary>A text, or null.</summary>
    public string? Text(string name)
    {
        _known.Add(name);
        return _root[$"{Section}:{name}"] is { Length: > 0 } value ? value : null;
    }

    /// <summary>A whole number, or null.</summary>
    public int? Integer(string name) => Text(name) is not { } text ? null
        : int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) ? value
        : throw Invalid(name, $"expected a whole number, found '{text}'");

    /// <summary>True or false, or null.</summary>
    public bool? Boolean(string name) => Text(name) is not { } text ? null
        : bool.TryParse(text, out bool value) ? value
        : throw Invalid(name, $"expected true or false, found '{text}'");

    /// <summary>A time such as <c>30s</c>, <c>500ms</c>, <c>2m</c> or <c>00:00:30</c>, or null.</summary>
    public TimeSpan? Duration(string name) => Text(name) is not { } text ? null
        : Configuration.Duration.TryParse(text, out TimeSpan value) ? value
        : throw Invalid(name, $"expected a time such as 30s, 500ms or 2m, found '{text}'");

    /// <summary>Texts: a list in a file, or one text with commas. Null if there are none.</summary>
    public IReadOnlyList<string>? List(string name)
    {
        _known.Add(name);
        IConfigurationSection section = _root.GetSection($"{Section}:{name}");
        if (section.Value is { Length: > 0 } text)
            return text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        string[] items = [.. section.GetChildren().Select(item => item.Value ?? throw Invalid(name, "expected a list of texts"))];
        return items.Length > 0 ? items : null;
    }

    /// <summary>Names of the settings inside a setting.</summary>
    public IReadOnlyList<string> Children(string name) => [.. _root.GetSection($"{Section}:{name}").GetChildren().Select(child => child.Key)];

    /// <summary>Makes a value out of settings, telling which setting it was that <paramref name="make"/> refused.</summary>
    public T Make<T>(string name, Func<T> make)
    {
        try
        {
            return make();
        }
        catch (ConfigurationException e)
        {
            throw Invalid(name, e.Message);
        }
    }

    /// <summary>Refuses settings that nobody has read.</summary>
    /// <exception cref="ConfigurationException">There is one.</exception>
    public void RefuseUnknown() => RefuseUnknown(_root.GetSection(Section), "");

    /// <summary>The error for a setting.</summary>
    public ConfigurationException Invalid(string name, string problem) => new($"{Section}:{name} (from {SourceOf(name)}): {problem}");

    private void RefuseUnknown(IConfigurationSection parent, string path)
    {
        foreach (IConfigurationSection child in parent.GetChildren())
        {
            string name = path + child.Key;
            if (_known.Contains(name))
                continue;
            if (_known.Any(known => known.StartsWith($"{name}:", StringComparison.OrdinalIgnoreCase)))
            {
                RefuseUnknown(child, $"{name}:");
                continue;
            }

            string hint = Nearest(name) is { } nearest ? $"; did you mean {nearest}?" : "; sluice serve --help lists them";
            throw Invalid(name, $"there is no such setting{hint}");
        }
    }

    private string SourceOf(string name)
    {
        string key = $"{Section}:{name}";
        for (int i = _sources.Count - 1; i >= 0; i--)
        {
            IConfigurationProvider values = _sources[i].Values;
            if (!values.TryGet(key, out _) && !values.GetChildKeys([], key).Any())
                continue;
            return _sources[i].Source switch
            {
                "environment" => EnvironmentPrefix + name.Replace(":", "__", StringComparison.Ordinal),
                "flags" => _flagNames.GetValueOrDefault(name, "flags"),
                string source => source,
            };
        }

        return "defaults";
    }

    private string? Nearest(string name) => _known
        .Select(known => (Name: known, Distance: EditDistance.Of(known.ToUpperInvariant(), name.ToUpperInvariant())))
        .Where(candidate => candidate.Distance <= 3)
        .OrderBy(candidate => candidate.Distance)
        .Select(candidate => candidate.Name)
        .FirstOrDefault();

    /// <summary>Environment variables with a prefix, put into the section.</summary>
    private sealed class SectionSource(string prefix) : IConfigurationSource
    {
        public IConfigurationProvider Build(IConfigurationBuilder builder) => new SectionProvider(prefix);
    }

    private sealed class SectionProvider(string prefix) : ConfigurationProvider
    {
        public override void Load()
        {
            foreach (System.Collections.DictionaryEntry variable in Environment.GetEnvironmentVariables())
            {
                string name = (string)variable.Key;
                if (name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))
                    Data[$"{Section}:{name[prefix.Length..].Replace("__", ":", StringComparison.Ordinal)}"] = (string?)variable.Value;
            }
        }
    }
}
