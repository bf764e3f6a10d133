using Sluice.Checkpoints.Safetensors;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class TruncationTests
{
    [Theory]
    [InlineData("model.safetensors", false)]
    [InlineData("config.json", true)]
    [InlineData("generation_config.json", true)]
    public void Every_truncation_of_every_file_is_a_typed_error(string name, bool isText)
    {
        using var folder = new TemporaryFolder();
        SyntheticCheckpoint.Write(folder.Path, TinyModel.Smallest);
        File.WriteAllText(folder["generation_config.json"], """{"do_sample": true, "eos_token_id": [1, 2]}""");
        EveryTruncation(folder, name, isText);
    }

    [Theory]
    [InlineData("model-00001-*.safetensors", false)]
    [InlineData("model-00002-*.safetensors", false)]
    [InlineData("model.safetensors.index.json", true)]
    public void Every_truncation_of_a_shard_or_index_is_a_typed_error(string pattern, bool isText)
    {
        using var folder = new TemporaryFolder();
        SyntheticCheckpoint.Write(folder.Path, TinyModel.Smallest, shardBytes: 48);
        EveryTruncation(folder, Path.GetFileName(Directory.EnumerateFiles(folder.Path, pattern).Single()), isText);
    }

    [Fact]
    public void So_is_that_of_a_real_file_wherever_it_is_cut()
    {
        byte[] file = File.ReadAllBytes(Path.Combine(TestData.RandomCheckpoint("qwen3-dense"), "model.safetensors"));
        var tensors = new Dictionary<string, TensorInfo>();
        int header = (int)SafetensorsHeader.Parse(file, file.Length, "x", 0, tensors)[0].Offset;

        // Every cut in the header, and around the ends of every tensor; between those nothing is decided.
        IEnumerable<long> cuts = Enumerable.Range(0, header + 1).Select(cut => (long)cut)
            .Concat(tensors.Values.SelectMany(tensor => new[] { tensor.Offset - 1, tensor.Offset, tensor.Offset + 1, tensor.Offset + tensor.ByteLength - 1 }));
        foreach (long cut in cuts)
        {
            byte[] part = file[..(int)cut];
            Assert.Throws<CheckpointException>(() => SafetensorsHeader.Parse(part, part.Length, "x", 0, []));
        }
    }

    private static void EveryTruncation(TemporaryFolder folder, string name, bool isText)
    {
        byte[] whole = File.ReadAllBytes(folder[name]);
        int meaningful = isText ? System.Text.Encoding.UTF8.GetString(whole).TrimEnd().Length : whole.Length;
        for (int length = 0; length <= whole.Length; length++)
        {
            using (FileStream stream = File.Create(folder[name]))
                stream.Write(whole, 0, length);
            SluiceException? error = null;
            try
            {
                Checkpoint.Open(folder.Path).Dispose();
            }
            catch (SluiceException e)
            {
                error = e;
            }

            Assert.True((error is null) == (length >= meaningful), $"{name} cut to {length} of {whole.Length} bytes: {error?.Message ?? "opened"}");
        }
    }
}
