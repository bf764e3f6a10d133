using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class CheckpointTests
{
    public static TheoryData<string> Random => [.. TestData.RandomCheckpoints];

    [Theory]
    [MemberData(nameof(Random))]
    public void Opens_every_small_checkpoint(string name)
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.RandomCheckpoint(name));
        Assert.Equal(64, checkpoint.Config.HiddenSize);
        TensorInfo embedding = checkpoint.Find("model.embed_tokens.weight")!;
        Assert.Equal([320, 64], embedding.Shape);
        Assert.Equal(DType.BF16, embedding.Type);
        Assert.Equal(64 * 2, checkpoint.Bytes(embedding, 64 * 2 * 319, 64 * 2, []).Length);
    }

    [Fact]
    public void Opens_the_sharded_demonstration_model()
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.Demo);
        Assert.Equal(4, checkpoint.Files.Count);
        Assert.Equal([4098, 4096], checkpoint.Generation.EndOfText);
        Assert.Equal(20, checkpoint.Generation.TopK);
        Assert.Equal(0.8f, checkpoint.Generation.TopP);
    }
}
