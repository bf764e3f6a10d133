using System.Buffers.Binary;
using System.Text;
using Sluice.Checkpoints.Safetensors;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class SafetensorsHeaderTests
{
    [Fact]
    public void Reads_what_the_specification_shows()
    {
        IReadOnlyList<TensorInfo> tensors = Parse(
            """
            {"__metadata__":{"format":"pt","note":"ü"},"b":{"dtype":"F16","shape":[1,16,2],"data_offsets":[8,72]},
             "a":{"data_offsets":[0,8],"shape":[],"dtype":"F64"}}
            """.Replace("\n", ""), 72);
        Assert.Equal(["a", "b"], tensors.Select(tensor => tensor.Name));
        Assert.Equal(DType.F64, tensors[0].Type);
        Assert.Equal([], tensors[0].Shape);
        Assert.Equal([1, 16, 2], tensors[1].Shape);
        Assert.Equal(64, tensors[1].ByteLength);
        Assert.Equal(tensors[0].Offset + 8, tensors[1].Offset);
        Assert.Equal(7, tensors[1].Shard);
    }

    [Theory]
    [InlineData("{}", 0)]
    [InlineData("{}      ", 0)]
    [InlineData("""{"__metadata__":{}}""", 0)]
    [InlineData("""{"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}}""", 6)]
    [InlineData("""{"a":{"dtype":"U8","shape":[0,5],"data_offsets":[0,0]}}""", 0)]
    [InlineData("""{"a":{"dtype":"U8","shape":[2147483647,2147483647,2147483647,2147483647,0],"data_offsets":[0,0]}}""", 0)]
    [InlineData("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"e":{"dtype":"F32","shape":[0],"data_offsets":[2,2]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}""", 3)]
    [InlineData("""{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1)]
    [InlineData("""{"a\n\u00e9":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1)]
    [InlineData("""{"a":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]}}""", 3)]
    [InlineData("""{"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}}""", 3)]
    [InlineData("""{"a":{"dtype":"F8_E5M2","shape":[3],"data_offsets":[0,3]}}""", 3)]
    public void Accepts(string json, int data) => Assert.NotNull(Parse(json, data));

    [Fact]
    public void Types_that_nothing_reads_keep_their_name()
    {
        TensorInfo tensor = Assert.Single(Parse("""{"a":{"dtype":"F8_E5M2","shape":[3],"data_offsets":[0,3]}}""", 3));
        Assert.Equal(DType.Other, tensor.Type);
        Assert.Equal("F8_E5M2", tensor.TypeName);
    }

    [Theory]
    // the object
    [InlineData("", 0, "does not begin with '{'")]
    [InlineData("[]", 0, "does not begin with '{'")]
    [InlineData(" {}", 0, "does not begin with '{'")]
    [InlineData("{}\n", 0, "something other than spaces follows")]
    [InlineData("{} \t ", 0, "something other than spaces follows")]
    [InlineData("{}x", 0, "not valid JSON")]
    [InlineData("{}{}", 0, "not valid JSON")]
    [InlineData("{", 0, "not valid JSON")]
    [InlineData("{,}", 0, "not valid JSON")]
    [InlineData("""{"a":1,}""", 0, "'a' is not an object")]
    [InlineData("""{/**/}""", 0, "not valid JSON")]
    [InlineData("""{"a":{"dtype":[[[[[[1]]]]]]}}""", 0, "dtype is not a string")]
    [InlineData("""{"a":[[[[[[1]]]]]]}""", 0, "is not an object")]
    // __metadata__
    [InlineData("""{"__metadata__":1}""", 0, "__metadata__ is not an object")]
    [InlineData("""{"__metadata__":{"a":1}}""", 0, "'a' is not a string")]
    [InlineData("""{"__metadata__":{"a":null}}""", 0, "'a' is not a string")]
    [InlineData("""{"__metadata__":{"a":{}}}""", 0, "'a' is not a string")]
    [InlineData("""{"__metadata__":{"a":"","a":""}}""", 0, "'a' twice")]
    [InlineData("""{"__metadata__":{},"__metadata__":{}}""", 0, "__metadata__ appears twice")]
    // a tensor's keys
    [InlineData("""{"a":{"shape":[1],"data_offsets":[0,1]}}""", 1, "has no dtype")]
    [InlineData("""{"a":{"dtype":"U8","data_offsets":[0,1]}}""", 1, "has no shape")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1]}}""", 1, "has no data_offsets")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":0}}""", 1, "key that the specification does not know: 'x'")]
    [InlineData("""{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1, "dtype twice")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}""", 1, "shape twice")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"data_offsets":[0,1]}}""", 1, "data_offsets twice")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", 2, "'a' appears twice")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", 2, "'a' appears twice")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"\ud800":0}}""", 1, "not valid Unicode")]
    [InlineData("""{"a":{"dtype":"\udfff","shape":[1],"data_offsets":[0,1]}}""", 1, "not valid Unicode")]
    [InlineData("""{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1, "not valid Unicode")]
    // dtype
    [InlineData("""{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,1]}}""", 1, "dtype 'F33' is not in the specification")]
    [InlineData("""{"a":{"dtype":"bf16","shape":[1],"data_offsets":[0,2]}}""", 2, "dtype 'bf16' is not")]
    [InlineData("""{"a":{"dtype":1,"shape":[1],"data_offsets":[0,1]}}""", 1, "dtype is not a string")]
    // shape
    [InlineData("""{"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}}""", 1, "shape is not an array")]
    [InlineData("""{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}""", 1, "shape must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}""", 1, "shape must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}""", 1, "shape must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}}""", 1, "shape must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}}""", 1, null)]
    [InlineData("""{"a":{"dtype":"U8","shape":[null],"data_offsets":[0,1]}}""", 1, "shape must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}}""", 1, "shape must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[18446744073709551617],"data_offsets":[0,1]}}""", 1, "shape must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[2147483648],"data_offsets":[0,1]}}""", 1, "dimension 2147483648 is over")]
    [InlineData("""{"a":{"dtype":"U8","shape":[2147483647,2147483647,2147483647],"data_offsets":[0,1]}}""", 1, "not a whole number of bytes below 2^63")]
    [InlineData("""{"a":{"dtype":"U8","shape":[65536,65536,65536,65536],"data_offsets":[0,0]}}""", 0, "not a whole number of bytes below 2^63")]
    [InlineData("""{"a":{"dtype":"F64","shape":[1073741824,1073741824],"data_offsets":[0,0]}}""", 0, "not a whole number of bytes below 2^63")]
    [InlineData("""{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}""", 1, "not a whole number of bytes")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}}""", 1, "more than 32 dimensions")]
    // data_offsets
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":{}}}""", 1, "data_offsets is not an array")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[]}}""", 1, "data_offsets must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}""", 1, "data_offsets must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}""", 1, "more than two numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}""", 1, "data_offsets must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1e0]}}""", 1, "data_offsets must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[0],"data_offsets":[18446744073709551615,18446744073709551615]}}""", 1, "data_offsets must hold whole numbers")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[9223372036854775807,9223372036854775807]}}""", 1, "are not in the 1 bytes of data")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}""", 1, "are not in the 1 bytes of data")]
    [InlineData("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 1, "are not in the 1 bytes of data")]
    [InlineData("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}}""", 1, "takes 2 bytes, data_offsets span 1")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1]}}""", 1, "takes 4 bytes, data_offsets span 1")]
    // coverage
    [InlineData("{}", 1, "1 bytes after the last tensor belong to none")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 2, "1 bytes after the last tensor belong to none")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""", 2, "1 bytes before tensor 'a' belong to no tensor")]
    [InlineData("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}""", 3, "1 bytes before tensor 'b' belong to no tensor")]
    [InlineData("""{"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 3, "'b' overlaps the one before it by 1 bytes")]
    [InlineData("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 2, "'b' overlaps the one before it by 2 bytes")]
    [InlineData("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"e":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}""", 2, "'e' overlaps the one before it by 1 bytes")]
    public void Refuses(string json, int data, string? problem)
    {
        var error = Assert.Throws<CheckpointException>(() => Parse(json, data));
        Assert.StartsWith("test.safetensors: ", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
        if (problem is not null)
            Assert.Contains(problem, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "0 bytes are too few")]
    [InlineData(7, "7 bytes are too few")]
    public void Refuses_a_file_without_a_length(int bytes, string problem)
    {
        var error = Assert.Throws<CheckpointException>(() => SafetensorsHeader.Parse(new byte[bytes], bytes, "x", 0, []));
        Assert.Contains(problem, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(3UL, "claims 3 bytes, and only 2 follow")]
    [InlineData(100_000_000UL, "claims 100000000 bytes, and only 2 follow")]
    [InlineData(100_000_001UL, "the specification allows 100000000")]
    [InlineData(0x8000000000000000UL, "the specification allows 100000000")]
    [InlineData(ulong.MaxValue, "the specification allows 100000000")]
    public void Refuses_an_impossible_length(ulong length, string problem)
    {
        byte[] file = [0, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'}'];
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);
        var error = Assert.Throws<CheckpointException>(() => SafetensorsHeader.Parse(file, file.Length, "x", 0, []));
        Assert.Contains(problem, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Refuses_text_that_is_not_UTF8()
    {
        byte[] file = File("""{"a?":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1);
        file[Array.IndexOf(file, (byte)'?')] = 0xFF;
        var error = Assert.Throws<CheckpointException>(() => SafetensorsHeader.Parse(file, file.Length, "x", 0, []));
        Assert.Contains("is not UTF-8", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Refuses_a_name_that_another_shard_has()
    {
        byte[] file = File("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1);
        var tensors = new Dictionary<string, TensorInfo>();
        SafetensorsHeader.Parse(file, file.Length, "one", 0, tensors);
        var error = Assert.Throws<CheckpointException>(() => SafetensorsHeader.Parse(file, file.Length, "two", 1, tensors));
        Assert.Equal("two: tensor 'a' is in another shard as well", error.Message);
    }

    [Fact]
    public void Names_in_messages_are_short_and_on_one_line()
    {
        string name = "evil\\n\\u2028\\u0007" + new string('x', 5000);
        var error = Assert.Throws<CheckpointException>(() => Parse($$"""{"{{name}}":1}""", 0));
        Assert.DoesNotContain('\n', error.Message);
        Assert.InRange(error.Message.Length, 100, 200);
    }

    [Fact]
    public void A_hundred_thousand_tensors_take_time_and_memory_in_proportion()
    {
        const int Count = 100_000;
        var json = new StringBuilder("{");
        for (int i = 0; i < Count; i++)
            json.Append(i == 0 ? "" : ",").Append($$"""
                "t{{i}}":{"dtype":"U8","shape":[1],"data_offsets":[{{i}},{{i + 1}}]}
                """);
        byte[] file = File(json.Append('}').ToString(), Count);

        long before = GC.GetAllocatedBytesForCurrentThread();
        var tensors = new Dictionary<string, TensorInfo>();
        IReadOnlyList<TensorInfo> ordered = SafetensorsHeader.Parse(file, file.Length, "x", 0, tensors);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(Count, ordered.Count);

        // The worst there is: tensors of one byte, so that the file is nothing but header.
        Assert.InRange(allocated, 1, (long)(2.25 * file.Length));
    }

    [Fact]
    public void Metadata_cannot_be_used_to_fill_memory()
    {
        var json = new StringBuilder("""{"__metadata__":{""");
        for (int i = 0; i <= SafetensorsHeader.MaxMetadata; i++)
            json.Append(i == 0 ? "" : ",").Append('"').Append(i).Append("\":\"\"");
        Assert.Contains("more than 16384 entries", Assert.Throws<CheckpointException>(() => Parse(json.Append("}}").ToString(), 0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Room_is_not_made_for_tensors_that_cannot_be_there()
    {
        byte[] file = File(string.Concat(Enumerable.Repeat("{\"dtype\"", 100_000)), 0);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<CheckpointException>(() => SafetensorsHeader.Parse(file, file.Length, "x", 0, []));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, file.Length + (64 << 10));
    }

    internal static byte[] File(string json, int data)
    {
        byte[] header = Encoding.UTF8.GetBytes(json);
        byte[] file = new byte[8 + header.Length + data];
        BinaryPrimitives.WriteInt64LittleEndian(file, header.Length);
        header.CopyTo(file, 8);
        return file;
    }

    private static IReadOnlyList<TensorInfo> Parse(string json, int data)
    {
        byte[] file = File(json, data);
        return SafetensorsHeader.Parse(file, file.Length, "test.safetensors", 7, new Dictionary<string, TensorInfo>(StringComparer.Ordinal));
    }
}
