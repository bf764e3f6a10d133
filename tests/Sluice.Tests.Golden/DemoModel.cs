using System.IO.Compression;
using System.Text.Json;
using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Models;
using Sluice.Testing;

namespace Sluice.Tests.Golden;

/// <summary>The demonstration model on a backend.</summary>
internal sealed class DemoModel : IDisposable
{
    private readonly IBackend _backend;

    public DemoModel(string backend, ModelOptions options, string? folder = null)
    {
        _backend = GoldenBackends.Create(backend);
        using Checkpoint checkpoint = Checkpoint.Open(folder ?? TestData.DemoModel);
        Model = LanguageModel.Load(checkpoint, _backend, options);
    }

    public LanguageModel Model { get; }

    public static JsonDocument ReadJson(string name)
    {
        using Stream file = File.OpenRead(TestData.At("demo", name));
        if (!name.EndsWith(".gz", StringComparison.Ordinal))
            return JsonDocument.Parse(file);
        using GZipStream unpacked = new(file, CompressionMode.Decompress);
        return JsonDocument.Parse(unpacked);
    }

    public static int[] Ids(JsonElement item, string property) => [.. item.GetProperty(property).EnumerateArray().Select(id => id.GetInt32())];

    /// <summary>The prompts of the model's tasks, in an order that takes some of each task first.</summary>
    public static IEnumerable<int[]> Prompts()
    {
        using JsonDocument file = ReadJson("eval.json.gz");
        JsonElement[] items = [.. file.RootElement.GetProperty("items").EnumerateArray()];

        // Tasks come one after another: a stride takes some of each.
        for (int i = 0; i < items.Length; i++)
            yield return Ids(items[i * 37 % items.Length], "prompt_ids");
    }

    public void Dispose()
    {
        Model.Dispose();
        _backend.Dispose();
    }
}
