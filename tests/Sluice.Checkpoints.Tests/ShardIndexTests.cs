using System.Text;
using System.Text.Json.Nodes;
using Sluice.Checkpoints.Safetensors;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class ShardIndexTests
{
    private const string Fifty = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    private const string TooLong = Fifty + Fifty + Fifty + Fifty + Fifty + ".safetensors";

    [Fact]
    public void Reads_the_map_and_nothing_else()
    {
        ShardIndex index = Parse(
            """{"metadata":{"total_size":1e99,"x":[[[]]]},"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"},"y":null}""");
        Assert.Equal(["m-1.safetensors", "m-2.safetensors"], index.Files);
        Assert.Equal([("a", 0), ("b", 1), ("c", 0)], index.Tensors.Select(pair => (pair.Key, pair.Value)));
    }

    [Theory]
    [InlineData("../../etc/passwd")]
    [InlineData("../model.safetensors")]
    [InlineData("..\\model.safetensors")]
    [InlineData("..")]
    [InlineData(".safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("/model.safetensors")]
    [InlineData("C:model.safetensors")]
    [InlineData("C:\\model.safetensors")]
    [InlineData("\\\\server\\share\\model.safetensors")]
    [InlineData("sub/model.safetensors")]
    [InlineData("./model.safetensors")]
    [InlineData("model.safetensors/")]
    [InlineData("model.bin")]
    [InlineData("pytorch_model.bin")]
    [InlineData("model.safetensors\0.bin")]
    [InlineData("model\0.safetensors")]
    [InlineData("model\n.safetensors")]
    [InlineData("model*.safetensors")]
    [InlineData("")]
    [InlineData(TooLong)]
    public void Refuses_a_name_that_is_not_plain(string name)
    {
        var index = new JsonObject { ["weight_map"] = new JsonObject { ["a"] = name } };
        string message = Refused(index.ToJsonString());
        Assert.Contains("is not the plain name of a .safetensors file", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{}", "weight_map is missing or empty")]
    [InlineData("""{"weight_map":{}}""", "weight_map is missing or empty")]
    [InlineData("""{"weight_map":[]}""", "weight_map is not an object")]
    [InlineData("""{"weight_map":null}""", "weight_map is not an object")]
    [InlineData("""{"weight_map":{"a":1}}""", "weight_map 'a' is not a string")]
    [InlineData("""{"weight_map":{"a":"m.safetensors","a":"m.safetensors"}}""", "weight_map has 'a' twice")]
    [InlineData("""{"weight_map":{"a":"m.safetensors"},"weight_map":{"b":"m.safetensors"}}""", "weight_map appears twice")]
    [InlineData("""{"\ud800eight_map":1}""", "not valid Unicode")]
    [InlineData("""{"weight_map":{"\ud800":"m.safetensors"}}""", "not valid Unicode")]
    [InlineData("""{"weight_map":{"a":"\udc00.safetensors"}}""", "not valid Unicode")]
    [InlineData("[]", "is not a JSON object")]
    [InlineData("7", "is not a JSON object")]
    [InlineData("", "not valid JSON")]
    [InlineData("{", "not valid JSON")]
    [InlineData("""{"weight_map":{"a":"m.safetensors"}} x""", "not valid JSON")]
    [InlineData("""{"x":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}""", "not valid JSON")]
    public void Refuses(string json, string problem)
    {
        string message = Refused(json);
        Assert.StartsWith("index: ", message, StringComparison.Ordinal);
        Assert.Contains(problem, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Refuses_bytes_that_are_no_text() =>
        Assert.Throws<CheckpointException>(() => ShardIndex.Parse([(byte)'{', 0xC3, (byte)'}'], "index"));

    private static ShardIndex Parse(string json) => ShardIndex.Parse(Encoding.UTF8.GetBytes(json), "index");

    private static string Refused(string json) => Assert.Throws<CheckpointException>(() => Parse(json)).Message;
}
