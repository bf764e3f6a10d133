using System.Text.Json.Nodes;
using Sluice.Checkpoints.Safetensors;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class CheckpointTests
{
    private const string Index = "model.safetensors.index.json";

    public static TheoryData<string> Random => [.. TestData.RandomCheckpoints];

    [Theory]
    [MemberData(nameof(Random))]
    public void Opens_every_small_checkpoint(string name)
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.RandomCheckpoint(name));
        Assert.Equal(64, checkpoint.Config.HiddenSize);
        Assert.Empty(checkpoint.Generation.EndOfText);
        TensorInfo embedding = checkpoint.Find("model.embed_tokens.weight")!;
        Assert.Equal([320, 64], embedding.Shape);
        Assert.Equal(DType.BF16, embedding.Type);
        byte[] file = File.ReadAllBytes(checkpoint.Files[0]);
        Assert.True(checkpoint.Bytes(embedding, 128 * 319, 128, []).SequenceEqual(file.AsSpan((int)embedding.Offset + (128 * 319), 128)));
        Assert.Equal(checkpoint.Tensors.Sum(tensor => tensor.ByteLength), file.Length - checkpoint.Tensors.Min(tensor => tensor.Offset));
    }

    [Fact]
    public void Opens_the_sharded_demonstration_model()
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.Demo);
        Assert.Equal(4, checkpoint.Files.Count);
        Assert.Equal([4098, 4096], checkpoint.Generation.EndOfText);
        Assert.Equal(20, checkpoint.Generation.TopK);
        Assert.Equal(0.8f, checkpoint.Generation.TopP);
        Assert.True(checkpoint.Has("mtp.fc.weight"));
        Assert.Equal(checkpoint.Names.Count, checkpoint.Tensors.Count);
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, 40_961)]
    [InlineData(40_960, 1)]
    [InlineData(0, -1)]
    [InlineData(long.MaxValue, 2)]
    public void Never_reads_past_a_tensor(long offset, int count)
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.RandomCheckpoint("next-moe"));
        TensorInfo tensor = checkpoint.Find("lm_head.weight")!;
        Assert.Throws<ArgumentOutOfRangeException>(() => checkpoint.Bytes(tensor, offset, count, new byte[64]).Length);
    }

    [Fact]
    public void Ends_once_and_for_all()
    {
        Checkpoint checkpoint = Checkpoint.Open(TestData.RandomCheckpoint("next-moe"));
        TensorInfo tensor = checkpoint.Find("lm_head.weight")!;
        checkpoint.Dispose();
        checkpoint.Dispose();
        Assert.Throws<ObjectDisposedException>(() => checkpoint.Bytes(tensor, 0, 1, []).Length);
    }

    [Fact]
    public void A_single_file_wins_over_an_index()
    {
        using TemporaryFolder folder = Sharded();
        File.Copy(Path.Combine(TestData.RandomCheckpoint("qwen3-dense"), "model.safetensors"), folder["model.safetensors"]);
        using Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal([folder["model.safetensors"]], checkpoint.Files);
    }

    [Fact]
    public void Files_that_the_index_does_not_name_are_never_looked_at()
    {
        using TemporaryFolder folder = Sharded();
        File.WriteAllText(folder["consolidated.safetensors"], "not one");
        File.WriteAllText(folder["pytorch_model.bin"], "never read");
        using Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        Assert.True(checkpoint.Files.Count > 1);
    }

    [Fact]
    public void Shards_may_be_links_into_a_cache()
    {
        using TemporaryFolder cache = Sharded();
        using var snapshot = new TemporaryFolder();
        foreach (string file in Directory.EnumerateFiles(cache.Path))
            File.CreateSymbolicLink(snapshot[Path.GetFileName(file)], file);
        using Checkpoint checkpoint = Checkpoint.Open(snapshot.Path);
        Assert.True(checkpoint.Has("model.norm.weight"));
    }

    [Fact]
    public void Every_shard_that_is_not_there_is_named()
    {
        using TemporaryFolder folder = Sharded();
        string[] shards = [.. Directory.EnumerateFiles(folder.Path, "*.safetensors").Order()];
        File.Delete(shards[0]);
        File.Delete(shards[1]);
        CheckpointException error = Refused(folder);
        Assert.Equal(2, error.Problems.Count);
        Assert.Contains(Path.GetFileName(shards[0]), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Map_and_shards_must_agree()
    {
        using TemporaryFolder folder = Sharded();
        JsonObject index = JsonNode.Parse(File.ReadAllText(folder[Index]))!.AsObject();
        JsonObject map = index["weight_map"]!.AsObject();
        string[] shards = [.. map.Select(pair => pair.Value!.GetValue<string>()).Distinct()];
        string last = map["model.norm.weight"]!.GetValue<string>();
        map["invented.weight"] = shards[0];
        map["model.embed_tokens.weight"] = shards[1];
        map.Remove("model.norm.weight");
        File.WriteAllText(folder[Index], index.ToJsonString());
        CheckpointException error = Refused(folder);
        Assert.Equal(
            [
                $"tensor 'invented.weight' is not in {shards[0]}",
                $"tensor 'model.embed_tokens.weight' is not in {shards[1]} but in {shards[0]}",
                $"tensor 'model.norm.weight' of {last} is not in the weight_map",
            ],
            error.Problems.Order());
        Assert.StartsWith($"{Index}: 3 problems, the first: ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_there_is_a_typed_error()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("no such folder", Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder["nowhere"])).Message, StringComparison.Ordinal);
        Assert.Contains("config.json", Refused(folder).Message, StringComparison.Ordinal);
        File.Copy(Path.Combine(TestData.Demo, "config.json"), folder["config.json"]);
        Assert.Contains("has neither model.safetensors nor model.safetensors.index.json", Refused(folder).Message, StringComparison.Ordinal);
        Directory.CreateDirectory(folder["model.safetensors.index.json"]);
        Refused(folder);
    }

    [Fact]
    public void An_oversized_configuration_is_not_read()
    {
        using TemporaryFolder folder = Sharded();
        using (FileStream stream = File.Create(folder["config.json"]))
            stream.SetLength(SafetensorsCheckpoint.MaxConfigBytes + 1);
        Assert.Contains("at most", Refused(folder).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_cut_while_open_is_noticed()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a mapped file cannot be cut there");
        using TemporaryFolder folder = Sharded();
        using Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        checkpoint.CheckUnchanged();
        using (var stream = new FileStream(checkpoint.Files[1], FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            stream.SetLength(10);
        var error = Assert.Throws<CheckpointException>(checkpoint.CheckUnchanged);
        Assert.Contains("is 10 bytes now", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_prefix_follows_the_names_in_the_file()
    {
        using var folder = new TemporaryFolder();
        SyntheticCheckpoint.Write(folder.Path, TinyModel.Config with
        {
            Architecture = Architecture.Qwen35Moe,
            ModelType = "qwen3_5_moe_text",
            SparseLayers = [true, true],
            WeightPrefix = "model.language_model.",
        });
        using Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal("model.language_model.", checkpoint.Config.WeightPrefix);
    }

    private static TemporaryFolder Sharded()
    {
        var folder = new TemporaryFolder();
        SyntheticCheckpoint.Write(folder.Path, TinyModel.Config, shardBytes: 1000);
        return folder;
    }

    private static CheckpointException Refused(TemporaryFolder folder) =>
        Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder.Path));
}
