using System.Buffers.Binary;
using System.Text;
using Sluice.Checkpoints.Safetensors;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests.Fuzzing;

/// <summary>
/// Mutated safetensors headers. <c>SLUICE_FUZZ_HEADERS=10000000</c> runs a campaign. What loads must also satisfy the
/// specification, checked by other means than the parser's.
/// </summary>
public sealed class HeaderFuzzTests
{
    /// <summary>Headers and the length of the data they describe.</summary>
    private static readonly (string Header, int Data)[] Seeds =
    [
        ("""{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}""", 16),
        ("""{"__metadata__":{"format":"pt"},"w":{"dtype":"BF16","shape":[4,8],"data_offsets":[0,64]},"b":{"dtype":"F32","shape":[8],"data_offsets":[64,96]}}""", 96),
        ("""{"x":{"dtype":"F8_E4M3","shape":[4,4],"data_offsets":[4,20]},"x_scale_inv":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}   """, 20),
        ("""{"e":{"dtype":"I64","shape":[0],"data_offsets":[0,0]},"s":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"t":{"dtype":"F4","shape":[2,3],"data_offsets":[1,4]}}""", 4),
        ("""{}""", 0),
    ];

    [Fact]
    public void Mutated_headers_load_or_are_refused()
    {
        Campaign.Outcome outcome = Campaign.Run(
            [.. Seeds.Select(seed => Encoding.UTF8.GetBytes(seed.Header))], Campaign.Iterations("SLUICE_FUZZ_HEADERS", 20_000), CreateParser);
        Assert.True(outcome.Loaded > outcome.Refused / 100, $"{outcome}: the mutations are too rough to test anything");
        Assert.True(outcome.Refused > outcome.Loaded, $"{outcome}: the mutations are too gentle");
    }

    [Fact]
    public void Mutated_files_load_or_are_refused()
    {
        // A real header, and mutations that may also hit its length.
        byte[] file = File.ReadAllBytes(Path.Combine(TestData.RandomCheckpoint("qwen3-dense"), "model.safetensors"));
        int extent = SafetensorsHeader.Extent(file, file.Length, "x");
        var random = new Random(1);
        int refused = 0;
        for (int i = 0; i < 300; i++)
        {
            byte[] mutant = [.. file];
            for (int change = 0; change < 1 + (i % 3); change++)
                mutant[i % 5 == 0 ? random.Next(8) : random.Next(extent)] ^= (byte)(1 << random.Next(8));
            try
            {
                SafetensorsHeader.Parse(mutant, file.Length, "x", 0, []);
            }
            catch (CheckpointException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 150, 299);
    }

    private static Campaign.Parser CreateParser()
    {
        byte[] file = new byte[16 << 10];
        var tensors = new Dictionary<string, TensorInfo>(StringComparer.Ordinal);
        uint turn = 0;
        return (document, seed) =>
        {
            // Now and then the length in front is wrong, or the data shorter or longer.
            turn++;
            long claimed = document.Length + (turn % 61 == 0 ? (turn % 7) - 3L : 0);
            long length = SafetensorsHeader.LengthBytes + document.Length + Seeds[seed].Data + (turn % 53 == 0 ? turn % 5 : 0);
            BinaryPrimitives.WriteInt64LittleEndian(file, claimed);
            document.CopyTo(file.AsSpan(SafetensorsHeader.LengthBytes));
            tensors.Clear();
            IReadOnlyList<TensorInfo> ordered = SafetensorsHeader.TryParse(file, length, "fuzzed.safetensors", 0, tensors, out CheckpointException? problem);
            if (problem is null)
                Check(ordered, tensors, length);
            return problem;
        };
    }

    private static void Check(IReadOnlyList<TensorInfo> ordered, Dictionary<string, TensorInfo> tensors, long fileLength)
    {
        long header = fileLength;
        long covered = 0;
        long end = 0;
        foreach (TensorInfo tensor in tensors.Values)
        {
            header = Math.Min(header, tensor.Offset);
            covered += tensor.ByteLength;
            end = Math.Max(end, tensor.Offset + tensor.ByteLength);
        }

        if (tensors.Count != ordered.Count || (tensors.Count > 0 && (end != fileLength || header + covered != fileLength)))
            throw new InvalidOperationException("a header was accepted whose tensors do not cover the data");
    }
}
