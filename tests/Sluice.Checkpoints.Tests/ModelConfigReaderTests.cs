using System.Text;
using System.Text.Json.Nodes;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class ModelConfigReaderTests
{
    public static TheoryData<string> Random => [.. TestData.RandomCheckpoints];

    [Fact]
    public void Reads_the_older_generation()
    {
        ModelConfig config = Read(Demo());
        Assert.Equal(Architecture.Qwen3Next, config.Architecture);
        Assert.Equal("model.", config.WeightPrefix);
        Assert.Equal(256, config.HiddenSize);
        Assert.Equal(4224, config.VocabularySize);
        Assert.Equal(32768, config.MaxPositions);
        Assert.Equal(8, config.LayerCount);
        Assert.Equal([3, 7], Enumerable.Range(0, 8).Where(i => config.Layers[i] == LayerKind.FullAttention));
        Assert.Equal(1e-6f, config.NormEpsilon);
        Assert.True(config.ZeroCentredNorm);
        Assert.False(config.TiedEmbeddings);
        Assert.Equal(new AttentionConfig(4, 1, 128, 32, 1_000_000, OutputGate: true, Bias: false), config.Attention);
        Assert.Equal(new LinearAttentionConfig(2, 4, 128, 128, 4), config.LinearAttention);
        Assert.Equal(new MoeConfig(16, 4, 64, 128, NormaliseTopK: true), config.Moe);
        Assert.All(config.SparseLayers, Assert.True);
        Assert.Null(config.Fp8Block);
        Assert.Equal(DType.BF16, config.WeightType);
        Assert.Equal([4098], config.EndOfText);
    }

    [Fact]
    public void Reads_the_newer_generation()
    {
        ModelConfig config = Read(Small("next-mixed-mlp"));
        Assert.Equal([3], Enumerable.Range(0, 6).Where(i => config.Layers[i] == LayerKind.FullAttention));
        Assert.Equal([1, 4], Enumerable.Range(0, 6).Where(i => !config.SparseLayers[i]));
        Assert.Equal(96, config.IntermediateSize);
        Assert.Equal(new AttentionConfig(4, 2, 32, 8, 10_000, OutputGate: true, Bias: true), config.Attention);
        Assert.Empty(config.EndOfText);
    }

    [Fact]
    public void Plain_Qwen3_has_neither_gate_nor_zero_centred_norms()
    {
        ModelConfig config = Read(Small("qwen3-dense"));
        Assert.Equal(Architecture.Qwen3, config.Architecture);
        Assert.False(config.ZeroCentredNorm);
        Assert.Equal(new AttentionConfig(4, 2, 32, 32, 10_000, OutputGate: false, Bias: false), config.Attention);
        Assert.Null(config.LinearAttention);
        Assert.Null(config.Moe);
        Assert.All(config.Layers, kind => Assert.Equal(LayerKind.FullAttention, kind));
    }

    [Fact]
    public void Qwen35_mixtures_normalise_when_the_field_is_absent_and_Qwen3_ones_do_not()
    {
        Assert.Equal(new MoeConfig(6, 3, 32, 48, NormaliseTopK: true), Read(Small("qwen35-moe")).Moe);

        JsonObject qwen3 = Small("qwen3-dense");
        qwen3["model_type"] = "qwen3_moe";
        qwen3["num_experts"] = 6;
        qwen3["num_experts_per_tok"] = 3;
        qwen3["moe_intermediate_size"] = 32;
        Assert.Equal(new MoeConfig(6, 3, 32, 0, NormaliseTopK: false), Read(qwen3).Moe);
        qwen3["norm_topk_prob"] = true;
        Assert.True(Read(qwen3).Moe!.NormaliseTopK);
        qwen3["decoder_sparse_step"] = 2;
        Assert.Equal([false, true, false], Read(qwen3).SparseLayers);
        qwen3["num_experts"] = 0;
        Assert.Null(Read(qwen3).Moe);
        Assert.Equal([false, false, false], Read(qwen3).SparseLayers);
    }

    [Fact]
    public void Multi_modal_checkpoints_nest_the_text_model()
    {
        JsonObject text = Small("qwen35-moe");
        text["rope_parameters"]!["mrope_section"] = new JsonArray(11, 11, 10);
        text["rope_parameters"]!["mrope_interleaved"] = true;
        text["mtp_num_hidden_layers"] = 1;
        text["eos_token_id"] = 5;
        var config = new JsonObject
        {
            ["architectures"] = new JsonArray("Qwen3_5MoeForConditionalGeneration"),
            ["model_type"] = "qwen3_5_moe",
            ["tie_word_embeddings"] = true,
            ["text_config"] = text,
            ["vision_config"] = new JsonObject { ["hidden_act"] = "gelu_pytorch_tanh" },
        };
        ModelConfig read = Read(config);
        Assert.Equal(Architecture.Qwen35Moe, read.Architecture);
        Assert.Equal("qwen3_5_moe_text", read.ModelType);
        Assert.Equal("model.language_model.", read.WeightPrefix);
        Assert.Equal(64, read.HiddenSize);
        Assert.True(read.TiedEmbeddings);
        Assert.Equal(1, read.MtpLayers);
        Assert.Equal([5], read.EndOfText);

        text["model_type"] = "qwen3_next";
        Assert.Contains("text_config.model_type", Refused(config), StringComparison.Ordinal);
    }

    [Fact]
    public void Quantisation_may_stand_beside_or_inside_the_text_model()
    {
        JsonObject config = Demo();
        config["quantization_config"] = Fp8();
        Assert.Equal((128, 64), Read(config).Fp8Block);

        JsonObject text = Small("qwen35-dense");
        var outer = new JsonObject { ["model_type"] = "qwen3_5", ["text_config"] = text, ["quantization_config"] = Fp8() };
        Assert.Equal((128, 64), Read(outer).Fp8Block);
        outer.Remove("quantization_config");
        Assert.Null(Read(outer).Fp8Block);
        text["quantization_config"] = Fp8();
        Assert.Equal((128, 64), Read(outer).Fp8Block);
    }

    [Theory]
    [InlineData("rope_scaling", "null")]
    [InlineData("rope_scaling", """{"rope_type":"default"}""")]
    [InlineData("rope_scaling", """{"type":"default","rope_theta":1000000}""")]
    [InlineData("rope_scaling", """{"type":"mrope","mrope_section":[16,24,24]}""")]
    [InlineData("rope_parameters", """{"rope_type":"default","rope_theta":1000000.0}""")]
    [InlineData("auto_map", """{"AutoModel":"evil.py"}""")]
    [InlineData("trust_remote_code", "true")]
    [InlineData("hidden_act", "null")]
    [InlineData("use_sliding_window", "null")]
    [InlineData("full_attention_interval", "null")]
    [InlineData("eos_token_id", "null")]
    [InlineData("eos_token_id", "[1,2]")]
    [InlineData("tie_word_embeddings", "null")]
    [InlineData("torch_dtype", "null")]
    [InlineData("quantization_config", "null")]
    [InlineData("mlp_bias", "false")]
    [InlineData("layer_types", "null")]
    [InlineData("something_new", """{"deep":[1,2,{"x":null}]}""")]
    public void Accepts(string field, string value)
    {
        JsonObject config = Demo();
        config[field] = JsonNode.Parse(value);
        Read(config);
    }

    [Theory]
    [InlineData("model_type", "null", "model_type: is missing")]
    [InlineData("model_type", "7", "model_type: expected a string, found '7'")]
    [InlineData("model_type", "\"llama\"", "'llama' is not implemented; supported are qwen3_next")]
    [InlineData("hidden_act", "\"gelu\"", "hidden_act: 'gelu' is not implemented; supported is silu")]
    [InlineData("use_sliding_window", "true", "use_sliding_window: sliding-window attention is not implemented")]
    [InlineData("mlp_bias", "true", "mlp_bias")]
    [InlineData("hidden_size", "null", "hidden_size: is missing")]
    [InlineData("hidden_size", "0", "hidden_size: expected a whole number from 1 to 262144, found '0'")]
    [InlineData("hidden_size", "-1", "hidden_size: expected a whole number")]
    [InlineData("hidden_size", "256.0", "hidden_size: expected a whole number")]
    [InlineData("hidden_size", "2.56e2", "hidden_size: expected a whole number")]
    [InlineData("hidden_size", "\"256\"", "hidden_size: expected a whole number from 1 to 262144, found a string")]
    [InlineData("hidden_size", "9223372036854775808", "hidden_size: expected a whole number")]
    [InlineData("num_hidden_layers", "1025", "num_hidden_layers: expected a whole number from 1 to 1024")]
    [InlineData("vocab_size", "99999999999", "vocab_size: expected a whole number")]
    [InlineData("max_position_embeddings", "0", "max_position_embeddings")]
    [InlineData("num_key_value_heads", "3", "3 does not divide num_attention_heads, 4")]
    [InlineData("head_dim", "5000", "head_dim: expected")]
    [InlineData("head_dim", "4", "rotates 1 elements")]
    [InlineData("partial_rotary_factor", "0", "partial_rotary_factor: expected a number in (0, 1]")]
    [InlineData("partial_rotary_factor", "1.5", "partial_rotary_factor: expected a number in (0, 1]")]
    [InlineData("partial_rotary_factor", "0.26", "rotates 33 elements")]
    [InlineData("partial_rotary_factor", "1e999", "partial_rotary_factor")]
    [InlineData("rope_theta", "null", "rope_theta: is missing")]
    [InlineData("rope_theta", "0", "rope_theta: expected a positive number")]
    [InlineData("rope_theta", "-5", "rope_theta: expected a positive number")]
    [InlineData("rope_scaling", """{"rope_type":"yarn","factor":4.0}""", "rope_scaling.rope_type: rope scaling 'yarn' is not implemented; supported is default")]
    [InlineData("rope_scaling", """{"type":"linear","factor":4.0}""", "rope_scaling.type: rope scaling 'linear' is not implemented")]
    [InlineData("rope_scaling", "7", "rope_scaling: expected an object")]
    [InlineData("rope_parameters", """{"rope_type":"dynamic","rope_theta":1000000}""", "rope_parameters.rope_type: rope scaling 'dynamic'")]
    [InlineData("rope_parameters", """{"rope_type":"default","rope_theta":5}""", "rope_theta: is 1000000 here and 5 in rope_parameters")]
    [InlineData("layer_types", """["full_attention"]""", "layer_types: expected 8 entries (num_hidden_layers), found 1")]
    [InlineData("layer_types", """["full_attention","x","","","","","",""]""", "layer 1: 'x' is not implemented; supported is linear_attention or full_attention")]
    [InlineData("layer_types", """[1,2,3,4,5,6,7,8]""", "layer_types: expected an array of strings")]
    [InlineData("full_attention_interval", "0", "full_attention_interval")]
    [InlineData("linear_num_value_heads", "3", "3 is not a multiple of linear_num_key_heads, 2")]
    [InlineData("linear_conv_kernel_dim", "1", "linear_conv_kernel_dim")]
    [InlineData("linear_key_head_dim", "null", "linear_key_head_dim: is missing")]
    [InlineData("num_experts_per_tok", "17", "17 is more than num_experts, 16")]
    [InlineData("decoder_sparse_step", "0", "decoder_sparse_step")]
    [InlineData("mlp_only_layers", "[8]", "mlp_only_layers: expected a whole number from 0 to 7")]
    [InlineData("rms_norm_eps", "0", "rms_norm_eps: expected a number between 0 and 1")]
    [InlineData("rms_norm_eps", "\"x\"", "rms_norm_eps: expected a finite number, found a string")]
    [InlineData("tie_word_embeddings", "1", "tie_word_embeddings: expected true or false")]
    [InlineData("torch_dtype", "\"int4\"", "torch_dtype: 'int4' is not implemented")]
    [InlineData("eos_token_id", "-1", "eos_token_id: expected a whole number")]
    [InlineData("eos_token_id", "{}", "eos_token_id: expected a whole number or an array of them, found an object")]
    [InlineData("quantization_config", """{"quant_method":"gptq"}""", "quantization_config.quant_method: 'gptq' is not implemented; supported is fp8")]
    [InlineData("quantization_config", """{}""", "quantization_config.quant_method: is missing")]
    [InlineData("quantization_config", """{"quant_method":"fp8"}""", "weight_block_size: expected two numbers")]
    [InlineData("quantization_config", """{"quant_method":"fp8","weight_block_size":[128]}""", "weight_block_size: expected two numbers")]
    [InlineData("quantization_config", """{"quant_method":"fp8","weight_block_size":[0,128]}""", "weight_block_size: expected a whole number")]
    [InlineData("quantization_config", """{"quant_method":"fp8","fmt":"e5m2","weight_block_size":[128,128]}""", "fmt: 'e5m2' is not implemented")]
    [InlineData("quantization_config", """{"quant_method":"fp8","activation_scheme":"static","weight_block_size":[128,128]}""", "activation_scheme: 'static'")]
    [InlineData("compression_config", """{}""", "compression_config: is not implemented")]
    public void Refuses(string field, string value, string problem)
    {
        JsonObject config = Demo();
        config[field] = JsonNode.Parse(value);
        string message = Refused(config);
        Assert.StartsWith("config.json: ", message, StringComparison.Ordinal);
        Assert.Contains(problem, message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }

    [Theory]
    [InlineData("", "not valid JSON")]
    [InlineData("[]", "not a JSON object")]
    [InlineData("null", "not a JSON object")]
    [InlineData("{", "not valid JSON (line 1")]
    [InlineData("""{"a":1,"a":2}""", "not valid JSON")]
    [InlineData("""{"model_type":"\ud800"}""", "not valid Unicode")]
    [InlineData("""{"\ud800":"\ud800"}""", null)]
    [InlineData("{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", "not valid JSON")]
    public void Refuses_what_is_no_configuration(string json, string? problem)
    {
        var error = Assert.Throws<ConfigurationException>(() => ModelConfigReader.Read(Encoding.UTF8.GetBytes(json)));
        Assert.StartsWith("config.json", error.Message, StringComparison.Ordinal);
        if (problem is not null)
            Assert.Contains(problem, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Refuses_bytes_that_are_no_text() =>
        Assert.Throws<ConfigurationException>(() => ModelConfigReader.Read([(byte)'{', (byte)'"', 0xFF, (byte)'"', (byte)':', (byte)'1', (byte)'}']));

    [Fact]
    public void Takes_a_byte_order_mark_in_stride() =>
        ModelConfigReader.Read([0xEF, 0xBB, 0xBF, .. Encoding.UTF8.GetBytes(Demo().ToJsonString())]);

    [Theory]
    [MemberData(nameof(Random))]
    public void What_is_written_reads_back_the_same(string name)
    {
        ModelConfig config = Read(Small(name)) with { Fp8Block = (128, 128), MtpLayers = 2, EndOfText = [1, 2] };
        ModelConfig again = ModelConfigReader.Read(ModelConfigWriter.Write(config));
        Assert.Equivalent(config, again, strict: true);
    }

    private static JsonObject Fp8() => new()
    {
        ["quant_method"] = "fp8",
        ["fmt"] = "e4m3",
        ["activation_scheme"] = "dynamic",
        ["weight_block_size"] = new JsonArray(128, 64),
        ["modules_to_not_convert"] = new JsonArray("lm_head"),
    };

    private static JsonObject Demo() => Parse(Path.Combine(TestData.Demo, "config.json"));

    private static JsonObject Small(string name) => Parse(Path.Combine(TestData.RandomCheckpoint(name), "config.json"));

    private static JsonObject Parse(string path) => JsonNode.Parse(File.ReadAllText(path))!.AsObject();

    private static ModelConfig Read(JsonObject config) => ModelConfigReader.Read(Encoding.UTF8.GetBytes(config.ToJsonString()));

    private static string Refused(JsonObject config) => Assert.Throws<ConfigurationException>(() => Read(config)).Message;
}
