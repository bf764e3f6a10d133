using System.Text.Json;
using System.Text.Json.Nodes;
using Sluice.Core;

namespace Sluice.Cli.Commands;

/// <summary>JSON files named on the command line.</summary>
internal static class JsonInput
{
    public static JsonNode Read(string path)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllBytes(path)) ?? throw new ConfigurationException($"{path}: expected JSON, found null");
        }
        catch (JsonException error)
        {
            throw new ConfigurationException($"{path}: {error.Message}", error);
        }
    }
}
