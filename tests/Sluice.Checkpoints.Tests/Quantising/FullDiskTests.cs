using Sluice.Checkpoints.Quantising;
using Sluice.Core;
using Sluice.Testing;

namespace Sluice.Checkpoints.Tests.Quantising;

/// <summary>
/// On a disk that is full, what was written before is kept, and nothing is left of what was not.
/// </summary>
public sealed class FullDiskTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(GgufMix.BF16)]
    [InlineData(GgufMix.Q8_0)]
    [InlineData(GgufMix.Q4_K_M)]
    public void No_GGUF_file_is_left(GgufMix mix)
    {
        Assert.SkipUnless(FullDisk.Exists, "no disk is always full here");
        using FullDisk disk = new();
        using Checkpoint source = Checkpoint.Open(TestData.Demo);
        File.WriteAllText(_folder["x.gguf"], "what was there");
        FullDisk.PutBehind(_folder["x.gguf"]);
        CheckpointException error = Assert.Throws<CheckpointException>(() => GgufQuantiser.Write(source, _folder["x.gguf"], mix));
        Assert.Contains("x.gguf: cannot be written (", error.Message, StringComparison.Ordinal);
        Assert.Contains("No space left on device", error.Message, StringComparison.Ordinal);
        Assert.Equal([_folder["x.gguf"]], Directory.GetFileSystemEntries(_folder.Path));
        Assert.Equal("what was there", File.ReadAllText(_folder["x.gguf"]));
    }

    /// <summary>Whichever file it is that has no room, the checkpoint that was there is whole; and of a new one nothing is left.</summary>
    [Theory]
    [InlineData("model.safetensors", true)]
    [InlineData("tokenizer.json", true)]
    [InlineData("config.json", true)]
    [InlineData("model.safetensors", false)]
    [InlineData("config.json", false)]
    public void No_folder_is_left(string full, bool replaces)
    {
        Assert.SkipUnless(FullDisk.Exists, "no disk is always full here");
        using FullDisk disk = new();
        string folder = _folder["fp8"];
        byte[] identity = [];
        if (replaces)
        {
            using (Checkpoint small = Checkpoint.Open(TestData.RandomCheckpoint("next-moe")))
                Fp8Quantiser.Quantise(small, folder);
            using Checkpoint made = Checkpoint.Open(folder);
            identity = made.Identity();
        }
        else
        {
            Directory.CreateDirectory(folder);
        }

        string[] before = Directory.GetFiles(folder);
        FullDisk.PutBehind(Path.Combine(folder, full));
        using (Checkpoint source = Checkpoint.Open(TestData.Demo))
        {
            CheckpointException error = Assert.Throws<CheckpointException>(() => Fp8Quantiser.Quantise(source, folder));
            Assert.Contains(full + ": cannot be written (", error.Message, StringComparison.Ordinal);
            Assert.Contains("No space left on device", error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(before.Order(StringComparer.Ordinal), Directory.GetFileSystemEntries(folder).Order(StringComparer.Ordinal));
        if (!replaces)
            return;
        using Checkpoint still = Checkpoint.Open(folder);
        Assert.Equal(identity, still.Identity());
        Assert.Equal(Architecture.Qwen3Next, still.Config.Architecture);
    }

    [Fact]
    public void Folders_that_cannot_be_made_are_refused()
    {
        using Checkpoint source = Checkpoint.Open(TestData.RandomCheckpoint("qwen3-dense"));
        File.WriteAllText(_folder["file"], "");
        Assert.Contains("file: cannot be written", Assert.Throws<CheckpointException>(() => Fp8Quantiser.Quantise(source, _folder["file"])).Message, StringComparison.Ordinal);
        Assert.Contains("there is a folder of this name", Assert.Throws<CheckpointException>(() => GgufQuantiser.Write(source, _folder.Path, GgufMix.Q8_0)).Message, StringComparison.Ordinal);
        Assert.Contains("cannot be written", Assert.Throws<CheckpointException>(() => GgufQuantiser.Write(source, Path.Combine(_folder["nowhere"], "x.gguf"), GgufMix.Q8_0)).Message, StringComparison.Ordinal);
    }

    /// <summary>A number that cannot be stored is found late; the folder that was made for it goes again.</summary>
    [Fact]
    public void A_folder_made_in_vain_goes_again()
    {
        using TemporaryFolder copy = TemporaryFolder.CopyOf(TestData.RandomCheckpoint("qwen3-dense"));
        byte[] file = File.ReadAllBytes(copy["model.safetensors"]);
        using (Checkpoint checkpoint = Checkpoint.Open(copy.Path))
        {
            TensorInfo tensor = checkpoint.Find("model.layers.1.mlp.up_proj.weight")!;
            (file[tensor.Offset + 130], file[tensor.Offset + 131]) = (0x80, 0x7F); // infinity in bfloat16, row 1, column 1
        }

        File.WriteAllBytes(copy["model.safetensors"], file);
        using Checkpoint broken = Checkpoint.Open(copy.Path);
        Assert.Contains("element [1, 1]", Assert.Throws<CheckpointException>(() => Fp8Quantiser.Quantise(broken, _folder["made"])).Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder["made"]));
    }
}
