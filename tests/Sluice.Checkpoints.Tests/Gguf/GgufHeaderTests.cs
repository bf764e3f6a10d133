using Sluice.Checkpoints.Gguf;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests.Gguf;

public sealed class GgufHeaderTests
{
    [Theory]
    [InlineData(2u)]
    [InlineData(3u)]
    public void Tensors_lie_where_the_file_says(uint version)
    {
        byte[] file = Sample(version).ToArray();
        (Dictionary<string, GgufValue> values, List<TensorInfo> tensors) = GgufHeader.Parse(file, file.Length, "x", 7);
        Assert.Equal(["w", "q"], tensors.Select(tensor => tensor.Name));
        Assert.Equal([2, 3], tensors[0].Shape); // ne {3, 2}
        Assert.Equal((DType.F32, 7, 24L), (tensors[0].Type, tensors[0].Shard, tensors[0].ByteLength));
        Assert.Equal([2, 32], tensors[1].Shape);
        Assert.Equal((DType.Q8_0, 68L), (tensors[1].Type, tensors[1].ByteLength));
        Assert.Equal(0, tensors[0].Offset % 32);
        Assert.Equal(tensors[0].Offset + 32, tensors[1].Offset);
        Assert.Equal(4f, BitConverter.ToSingle(file, (int)tensors[0].Offset + 12)); // row 1, column 0
        Assert.Equal(3, values.Count);
    }

    [Fact]
    public void Every_kind_of_value_is_read()
    {
        byte[] file = new GgufBytes()
            .Raw("u8", 0, 200).Raw("i8", 1, 200).Raw("u16", 2, 0xFF, 0xFF).Raw("i16", 3, 0xFF, 0xFF)
            .Raw("u32", 4, 0xFF, 0xFF, 0xFF, 0x7F).Raw("i32", 5, 0xFE, 0xFF, 0xFF, 0xFF).Value("f32", 1.5f).Raw("yes", 7, 1).Value("text", "né")
            .Raw("u64", 10, BitConverter.GetBytes(5UL)).Raw("i64", 11, BitConverter.GetBytes(-5L)).Raw("f64", 12, BitConverter.GetBytes(0.25))
            .Value("texts", "a", "", "bé").Value("numbers", 3, -1)
            .Raw("flags", 9, GgufBytes.Array(7, 2, [1], [0]))
            .Raw("nested", 9, GgufBytes.Array(9, 2, GgufBytes.Array(0, 3, [1, 2, 3]), GgufBytes.Array(8, 1, GgufBytes.Text("x"))))
            .Raw("empty", 9, GgufBytes.Array(12, 0))
            .ToArray();
        GgufMetadata metadata = Metadata(file);
        Assert.Equal([200, -56, 65535, -1, int.MaxValue, -2], new[] { "u8", "i8", "u16", "i16", "u32", "i32" }.Select(key => metadata.RequiredInteger(key, int.MinValue, int.MaxValue)));
        Assert.Equal((5, -5), (metadata.Integer("u64", 0, 9), metadata.Integer("i64", -9, 9)));
        Assert.Equal((1.5, 0.25, 200.0), (metadata.Number("f32"), metadata.Number("f64"), metadata.Number("u8")));
        Assert.True(metadata.Boolean("yes"));
        Assert.Equal("né", metadata.Text("text"));
        Assert.Equal(["a", "", "bé"], metadata.Strings("texts", 3)!);
        Assert.Equal("bé", metadata.StringAt("texts", 2));
        Assert.Null(metadata.StringAt("texts", 3));
        Assert.Equal([0, 2], metadata.PlacesOf("texts", ["bé", "a"]));
        Assert.Equal([3, -1], metadata.Integers("numbers", -1, 3, 2)!);
        Assert.Equal([1, 0], metadata.Integers("flags", 0, 1, 2)!);
        Assert.Null(metadata.Text("absent"));
        foreach (string wrong in (ReadOnlySpan<string>)["text", "f32", "texts", "nested"])
            Assert.Throws<CheckpointException>(() => metadata.Integer(wrong, 0, int.MaxValue));
        Assert.Throws<CheckpointException>(() => metadata.Integer("u8", 0, 199));
        Assert.Throws<CheckpointException>(() => metadata.Text("u8"));
        Assert.Throws<CheckpointException>(() => metadata.Strings("numbers", 9));
        Assert.Throws<CheckpointException>(() => metadata.Strings("texts", 2));
    }

    [Fact]
    public void What_breaks_the_specification_is_refused_by_name()
    {
        Refused("too few for a GGUF file", "GGUF"u8.ToArray());
        Refused("does not begin with 'GGUF'", With(file => file.Magic = 1));
        Refused("version 1", With(file => file.Version = 1));
        Refused("version 4", With(file => file.Version = 4));
        Refused("big-endian", With(file => file.Version = 0x03000000));
        Refused("claims 18446744073709551615 metadata", With(file => file.ClaimedValues = ulong.MaxValue));
        Refused("claims 16384 metadata values", With(file => file.ClaimedValues = 16384));
        Refused("claims 3 metadata values and 1048576 tensors", With(file => file.ClaimedTensors = 1 << 20));
        Refused("appears twice", With(file => file.Value("a", "b")));
        Refused("'w' appears twice", With(file => file.Tensor("w", [1], 1f)));
        Refused("type 13 is not in the specification", With(file => file.Raw("z", 13)));
        Refused("a string claims 1000 bytes", With(file => file.Raw("z", 8, BitConverter.GetBytes(1000L))));
        Refused("an array claims 18446744073709551615 elements", With(file => file.Raw("z", 9, GgufBytes.Array(8, ulong.MaxValue))));
        Refused("an array claims 4611686018427387904 elements", With(file => file.Raw("z", 9, GgufBytes.Array(4, 1UL << 62))));
        Refused("neither 0 nor 1", With(file => file.Raw("z", 7, 2)));
        Refused("neither 0 nor 1", With(file => file.Raw("z", 9, GgufBytes.Array(7, 2, [1], [2]))));
        Refused("more than 4 deep", With(file => file.Raw("z", 9, Nested(5))));
        byte[] deepest = With(file => file.Raw("z", 9, Nested(4)));
        GgufHeader.Parse(deepest, deepest.Length, "x", 0);
        Refused("not UTF-8", With(file => file.Value("\uFFFD", "x"), bytes => Replace(bytes, [0xEF, 0xBF, 0xBD], [0xFF, 0xFF, 0xFF])));
        Refused("a metadata key claims 0 bytes", With(file => file.Value("", "x")));
        Refused("general.alignment", With(file => file.Value("general.alignment", 24u)));
        Refused("general.alignment", With(file => file.Value("general.alignment", 0u)));
        Refused("general.alignment", With(file => file.Value("general.alignment", "32")));
        Refused("0 dimensions", With(file => file.Tensor("z", [], 0, [])));
        Refused("5 dimensions", With(file => file.Tensor("z", [1, 1, 1, 1, 1], 1f)));
        Refused("a dimension is 0", With(file => file.Tensor("z", [4, 0], 0, [])));
        Refused("a dimension is 4294967296", With(file => file.Tensor("z", [1UL << 32], 0, [])));
        Refused("type 4 is not known", With(file => file.Tensor("z", [1], 4, [])));
        Refused("type 4294967295 is not known", With(file => file.Tensor("z", [1], uint.MaxValue, [])));
        Refused("not whole blocks of 256 Q4_K", With(file => file.Tensor("z", [128], 12, new byte[144])));
        Refused("not a multiple of the alignment", With(file => file.Tensor("z", [1], 0, [1, 2, 3, 4], 36)));
        Refused("overlaps the one before it", With(file => file.Tensor("z", [1], 0, [1, 2, 3, 4], 0)));
        Refused("overlaps the one before it", With(file => file.Tensor("z", [1], 0, [1, 2, 3, 4], 64)));
        Refused("belong to no tensor", With(file => file.Tensor("z", [1], 0, new byte[100], 160)));
        Refused("is not in the file", With(file => file.Tensor("z", [1 << 30, 1 << 30, 1 << 30, 1 << 30], 0, [])));
        Refused("is not in the file", With(file => file.Tensor("z", [1], 0, [], ulong.MaxValue - 31)));
        Refused("bytes after the last tensor", [.. With(_ => { }), .. new byte[1]]);
    }

    [Fact]
    public void Other_alignments_are_kept()
    {
        GgufBytes file = new() { Alignment = 256 };
        byte[] bytes = file.Value("general.alignment", 256u).Tensor("a", [1], 1f).Tensor("b", [1], 2f).ToArray();
        List<TensorInfo> tensors = GgufHeader.Parse(bytes, bytes.Length, "x", 0).Tensors;
        Assert.Equal([256L, 512L], tensors.Select(tensor => tensor.Offset));
    }

    [Fact]
    public void Types_that_nothing_reads_may_be_there()
    {
        byte[] bytes = new GgufBytes().Tensor("a", [32], 6, new byte[22]).ToArray();
        TensorInfo tensor = GgufHeader.Parse(bytes, bytes.Length, "x", 0).Tensors[0];
        Assert.Equal((DType.Other, "Q5_0", 22L), (tensor.Type, tensor.TypeName, tensor.ByteLength));
    }

    [Fact]
    public void Every_truncation_is_refused()
    {
        byte[] whole = With(file => file.Raw("z", 9, Nested(3)).Value("t", "a", "bc").Tensor("last", [8], 0f, 1f, 2f, 3f, 4f, 5f, 6f, 7f));
        for (int length = 0; length < whole.Length; length++)
        {
            byte[] part = whole[..length];
            Assert.Throws<CheckpointException>(() => GgufHeader.Parse(part, part.Length, "x", 0));
        }

        GgufHeader.Parse(whole, whole.Length, "x", 0);
    }

    [Fact]
    public void What_the_writer_writes_is_read()
    {
        GgufMetadataBuilder metadata = new GgufMetadataBuilder().Add("a", 5u).Add("b", "text").Add("c", ["x", "y"]).Add("d", [1, 2]).Add("e", [true, false]).Add("f", 0.5f).Add("g", true);
        TensorDeclaration[] tensors = [new("odd", DType.F32, [3]), new("q", DType.Q4_K, [2, 3, 256]), new("last", DType.BF16, [5])];
        using TemporaryFolder folder = new();
        using (var writer = GgufWriter.Create(folder["x.gguf"], metadata, tensors))
        {
            Assert.False(File.Exists(folder["x.gguf"]));
            foreach (TensorDeclaration tensor in tensors)
                writer.Write(new byte[tensor.ByteLength]);
            writer.Complete();
        }

        byte[] file = File.ReadAllBytes(folder["x.gguf"]);
        List<TensorInfo> read = GgufHeader.Parse(file, file.Length, "x", 0).Tensors;
        Assert.Equal(tensors.Select(tensor => (tensor.Name, tensor.Type, tensor.ByteLength)), read.Select(tensor => (tensor.Name, tensor.Type, tensor.ByteLength)));
        Assert.Equal([2, 3, 256], read[1].Shape);
        Assert.Equal(5, Metadata(file).Integer("a", 0, 9));
        Assert.Equal(["x", "y"], Metadata(file).Strings("c", 2)!);
        Assert.Single(Directory.GetFiles(folder.Path));
    }

    private static GgufBytes Sample(uint version = 3) => new GgufBytes { Version = version }
        .Value("a", "b").Value("n", 5u).Value("l", 1, 2, 3)
        .Tensor("w", [3, 2], 1f, 2f, 3f, 4f, 5f, 6f).Tensor("q", [32, 2], 8, new byte[68]);

    private static byte[] With(Action<GgufBytes> change, Func<byte[], byte[]>? then = null)
    {
        GgufBytes file = Sample();
        change(file);
        return then is null ? file.ToArray() : then(file.ToArray());
    }

    private static byte[] Nested(int depth) => depth == 1 ? GgufBytes.Array(0, 1, [7]) : GgufBytes.Array(9, 1, Nested(depth - 1));

    private static byte[] Replace(byte[] bytes, byte[] what, byte[] by)
    {
        by.CopyTo(bytes, bytes.AsSpan().IndexOf(what));
        return bytes;
    }

    private static void Refused(string because, byte[] file)
    {
        CheckpointException error = Assert.Throws<CheckpointException>(() => GgufHeader.Parse(file, file.Length, "x.gguf", 0));
        Assert.StartsWith("x.gguf: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(because, error.Message, StringComparison.Ordinal);
    }

    private static GgufMetadata Metadata(byte[] file) => new("x", GgufHeader.Parse(file, file.Length, "x", 0).Values, (offset, count) => file.AsSpan(offset, count));
}
