using CsCheck;
using Sluice.Checkpoints.Safetensors;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class SafetensorsWriterTests : IDisposable
{
    private static readonly DType[] Types = [.. Enum.GetValues<DType>().Where(type => type != DType.Other && !type.IsBlocked())];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_is_written_reads_back_the_same()
    {
        Gen<TensorDeclaration[]> declarations = Gen.Select(Gen.String, Gen.Int[0, Types.Length - 1], Gen.Int[0, 5].Array[0, 4])
            .Select((name, type, shape) => new TensorDeclaration(Valid(name), Types[type], shape))
            .Array[0, 12]
            .Select(tensors => tensors.DistinctBy(tensor => tensor.Name).ToArray());
        Gen.Select(declarations, Gen.Int, Gen.Int[1, 50]).Sample(
            (tensors, seed, piece) => RoundTrip(tensors, seed, piece), iter: 300, threads: 1);
    }

    [Fact]
    public void Data_is_aligned_to_its_elements()
    {
        using SafetensorsWriter writer = SafetensorsWriter.Create(
            _folder["x"], [new("bytes", DType.U8, [3]), new("halves", DType.BF16, [1]), new("doubles", DType.F64, [1]), new("floats", DType.F32, [1])]);
        Assert.Equal(["doubles", "floats", "halves", "bytes"], writer.Tensors.Select(tensor => tensor.Name));
        Assert.All(writer.Tensors, tensor => Assert.Equal(0, tensor.Offset % tensor.Type.Size()));
    }

    [Fact]
    public void A_file_appears_only_when_it_is_complete()
    {
        using (SafetensorsWriter writer = SafetensorsWriter.Create(_folder["x"], [new("a", DType.U8, [2])]))
        {
            writer.Write([1]);
            Assert.Throws<InvalidOperationException>(writer.Complete);
            Assert.Throws<InvalidOperationException>(() => writer.Write([2, 3]));
        }

        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void Names_are_unique_and_not_reserved()
    {
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Create(_folder["x"], [new("a", DType.U8, []), new("a", DType.U8, [])]));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Create(_folder["x"], [new("__metadata__", DType.U8, [])]));
        Assert.Throws<OverflowException>(() => SafetensorsWriter.Create(_folder["x"], [new("a", DType.F64, [int.MaxValue, int.MaxValue])]));
    }

    private void RoundTrip(TensorDeclaration[] tensors, int seed, int piece)
    {
        var random = new Random(seed);
        var contents = new Dictionary<string, byte[]>();
        string path = _folder["model.safetensors"];
        using (SafetensorsWriter writer = SafetensorsWriter.Create(path, tensors, new Dictionary<string, string> { ["format"] = "pt" }))
        {
            foreach (TensorInfo tensor in writer.Tensors)
            {
                byte[] content = new byte[tensor.ByteLength];
                random.NextBytes(content);
                contents[tensor.Name] = content;
                foreach (byte[] part in content.Chunk(piece))
                    writer.Write(part);
            }

            writer.Complete();
        }

        byte[] file = File.ReadAllBytes(path);
        var found = new Dictionary<string, TensorInfo>();
        SafetensorsHeader.Parse(file, file.Length, "x", 0, found);
        Assert.Equal(tensors.Length, found.Count);
        foreach (TensorDeclaration tensor in tensors)
        {
            TensorInfo info = found[tensor.Name];
            Assert.Equal(tensor.Type, info.Type);
            Assert.Equal(tensor.Shape, info.Shape);
            Assert.True(contents[tensor.Name].AsSpan().SequenceEqual(file.AsSpan((int)info.Offset, (int)info.ByteLength)));
        }
    }

    /// <summary>A string without halves of surrogate pairs, which no file can hold.</summary>
    private static string Valid(string text) => System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(text));
}
