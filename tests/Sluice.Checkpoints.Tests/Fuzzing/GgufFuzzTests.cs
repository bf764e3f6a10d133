using Sluice.Checkpoints.Gguf;
using Sluice.Checkpoints.Tests.Gguf;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests.Fuzzing;

/// <summary>
/// Mutated GGUF files, as far as opening goes and beyond: header, configuration, translation, and every byte of every tensor that comes out, under its
/// own name or another. <c>SLUICE_FUZZ_GGUF=1000000</c> runs a campaign.
/// </summary>
public sealed class GgufFuzzTests
{
    private static readonly byte[][] Seeds =
    [
        TinyGguf.Header("qwen3next").Ends().LinearLayer(0).Projections(0).Matrix("blk.0.ssm_ba.weight", 8, 4).Experts(0).FullLayer(1).Experts(1, fused: true).ToArray(),
        TinyGguf.Header("qwen35").Value("qwen35.attention.recurrent_layers", 1, 0).Ends(head: false).LinearLayer(0).Projections(0).Matrix("blk.0.ssm_beta.weight", 4, 4)
            .Matrix("blk.0.ssm_alpha.weight", 4, 4).FullLayer(1).Mlp(0).Mlp(1)
            .Value("tokenizer.ggml.tokens", "a", "<|im_end|>", "b").Value("tokenizer.ggml.token_type", 1, 3, 1).Value("tokenizer.ggml.eos_token_id", 1u)
            .Value("general.sampling.temp", 0.5f).Value("general.sampling.top_k", 20u).ToArray(),
        new GgufBytes { Version = 2 }.Value("general.alignment", 64u).Raw("nested", 9, GgufBytes.Array(9, 2, GgufBytes.Array(0, 3, [1, 2, 3]), GgufBytes.Array(8, 1, GgufBytes.Text("x")))).ToArray(),
    ];

    [Fact]
    public void Mutated_files_load_or_are_refused()
    {
        Campaign.Outcome outcome = Campaign.Run(
            Seeds, Campaign.Iterations("SLUICE_FUZZ_GGUF", 20_000), () => Parse, seed => new BinaryMutator(seed, HeaderOf(seed)).Mutate);
        Assert.True(outcome.Loaded > outcome.Refused / 100, $"{outcome}: the mutations are too rough to test anything");
        Assert.True(outcome.Refused > outcome.Loaded, $"{outcome}: the mutations are too gentle");
    }

    private static int HeaderOf(byte[] file)
    {
        List<TensorInfo> tensors = GgufHeader.Parse(file, file.Length, "seed", 0).Tensors;
        return tensors.Count > 0 ? (int)tensors[0].Offset : file.Length;
    }

    private static SluiceException? Parse(ReadOnlySpan<byte> document, int seed)
    {
        byte[] file = document.ToArray();
        (Dictionary<string, GgufValue> values, List<TensorInfo> tensors) = GgufHeader.Parse(file, file.Length, "fuzzed.gguf", 0);
        var metadata = new GgufMetadata("fuzzed.gguf", values, (offset, count) => file.AsSpan(offset, count));
        var stored = tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
        if (tensors.Count == 0)
            return null;
        ModelConfig config = GgufConfigReader.Read(metadata, stored);
        Dictionary<string, GgufTensor> translated = new GgufTensors(config, (_, offset, count) => file.AsSpan((int)offset, count)).Translate(tensors);
        byte[] scratch = new byte[512];
        foreach ((TensorInfo info, TensorView? view) in translated.Values)
        {
            for (long at = 0; at < info.ByteLength; at += scratch.Length)
            {
                int count = (int)Math.Min(scratch.Length, info.ByteLength - at);
                ReadOnlySpan<byte> bytes = view is null ? file.AsSpan((int)(info.Offset + at), count) : view.Bytes(at, count, scratch);
                if (bytes.Length != count)
                    throw new InvalidOperationException($"{info.Name}: {bytes.Length} bytes came for {count}");
            }
        }

        return null;
    }
}
