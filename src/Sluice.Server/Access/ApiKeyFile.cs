using System.Globalization;
using Sluice.Core;

namespace Sluice.Server.Access;

/// <summary>
/// A file of keys, one a line: <c>NAME KEY [rpm=N] [concurrent=N] [group=NAME]</c>, where KEY may be <c>sha256:HEX</c> instead. Empty
/// lines and those that begin with <c>#</c> are skipped.
/// </summary>
public static class ApiKeyFile
{
    private const long MaxBytes = 16 << 20;

    /// <summary>Reads a file.</summary>
    /// <exception cref="ConfigurationException">It cannot be read or a line is not a key; the message names the line and repeats nothing of it.</exception>
    public static IReadOnlyList<ApiKey> Read(string path)
    {
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: > MaxBytes })
                throw new ConfigurationException($"the API key file {path} has more than {MaxBytes >> 20} MiB");
            List<ApiKey> keys = Parse(File.ReadAllLines(path), path);
            return keys.Count > 0 ? keys : throw new ConfigurationException($"the API key file {path} has no key: add a line NAME KEY");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"the API key file {path} cannot be read: {e.Message}", e);
        }
    }

    private static List<ApiKey> Parse(string[] lines, string path)
    {
        var keys = new List<ApiKey>();
        for (int i = 0; i < lines.Length; i++)
        {
            string line = lines[i].Trim();
            if (line.Length == 0 || line[0] == '#')
                continue;
            try
            {
                keys.Add(ParseLine(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)));
            }
            catch (ConfigurationException e)
            {
                throw new ConfigurationException($"{path}, line {i + 1}: {e.Message}", e);
            }
        }

        return keys;
    }

    private static ApiKey ParseLine(string[] fields)
    {
        const string Prefix = "sha256:";
        if (fields.Length < 2)
            throw new ConfigurationException("expected NAME KEY [rpm=N] [concurrent=N] [group=NAME]");
        ApiKey key = fields[1].StartsWith(Prefix, StringComparison.Ordinal)
            ? ApiKey.OfSha256(fields[0], fields[1][Prefix.Length..])
            : ApiKey.Of(fields[0], fields[1]);
        foreach (string field in fields.AsSpan(2))
        {
            int equals = field.IndexOf('=', StringComparison.Ordinal);
            string value = field[(equals + 1)..];
            key = (equals < 0 ? "" : field[..equals]) switch
            {
                "rpm" => key with { RequestsPerMinute = Number(value) },
                "concurrent" => key with { MaxConcurrentRequests = Number(value) },
                "group" => key with { CacheGroup = value },
                _ => throw new ConfigurationException("after NAME KEY expected rpm=N, concurrent=N or group=NAME"),
            };
        }

        return key;
    }

    private static int Number(string value) => int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
        ? number
        : throw new ConfigurationException("expected a whole number after rpm= and concurrent=");
}
