using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu;
using Sluice.Engine.Sampling;

namespace Sluice.Extensions.AI.Tests;

public sealed class OptionsTests(DemoModel demo)
{
    private static readonly ChatMessage[] Hello = [new(ChatRole.User, "Hello")];

    /// <summary>Products and what is kept of keys and values are as a server's: the memory of a page shows what was chosen.</summary>
    [Fact]
    public async Task The_processor_is_used_as_asked()
    {
        Assert.Equal(2 * await PageBytesAsync(new()), await PageBytesAsync(new() { Activations = ActivationPrecision.Float32 }));
        Assert.Equal(2 * await PageBytesAsync(new()), await PageBytesAsync(new() { KvDtype = KvDtype.Float32 }));
        Assert.True(await PageBytesAsync(new() { KvDtype = KvDtype.Int8 }) < await PageBytesAsync(new() { KvDtype = KvDtype.BF16 }));
        ConfigurationException error = Assert.Throws<ConfigurationException>(() => SluiceModel.Load(new SluiceOptions { KvDtype = (KvDtype)9 }, TestContext.Current.CancellationToken));
        Assert.Contains("KvDtype", error.Message, StringComparison.Ordinal);
        error = Assert.Throws<ConfigurationException>(() => SluiceModel.Load(new SluiceOptions { Numa = (NumaPlacement)2 }, TestContext.Current.CancellationToken));
        Assert.Contains("Numa", error.Message, StringComparison.Ordinal);

        static async Task<long> PageBytesAsync(SluiceOptions options)
        {
            options.CacheBytes = 64 << 20;
            await using var model = SluiceModel.Load(options, TestContext.Current.CancellationToken);
            return model.Generator.Engine.Status.Cache.PageBytes;
        }
    }

    [Fact]
    public async Task Packed_weights_are_kept_where_asked()
    {
        string folder = Directory.CreateTempSubdirectory("sluice-").FullName;
        foreach (bool isThere in (bool[])[false, true])
        {
            await using var model = SluiceModel.Load(new SluiceOptions { CacheBytes = 64 << 20, PackedWeights = folder }, TestContext.Current.CancellationToken);
            Assert.Equal(isThere, model.PackedWeights!.AreMapped);
            Assert.Equal([model.PackedWeights.Path], Directory.GetFiles(folder));
        }

        Directory.Delete(folder, recursive: true);
        Assert.Null(demo.Model.PackedWeights);
    }

    [Fact]
    public void Every_option_arrives()
    {
        var options = new ChatOptions
        {
            Temperature = 0.5f,
            TopP = 0.25f,
            TopK = 7,
            Seed = 42,
            FrequencyPenalty = 0.125f,
            PresencePenalty = -0.5f,
            MaxOutputTokens = 99,
            StopSequences = ["a", "b"],
            AllowMultipleToolCalls = false,
            ResponseFormat = ChatResponseFormat.Text,
            ModelId = "demo",
            AdditionalProperties = new() { ["min_p"] = 0.125, ["repetition_penalty"] = 2, ["chat_template_kwargs"] = new Dictionary<string, object?> { ["enable_thinking"] = false } },
        };
        ChatRequest request = Read(options);
        var expected = new SamplingOptions
        {
            Temperature = 0.5f,
            TopP = 0.25f,
            TopK = 7,
            Seed = 42,
            FrequencyPenalty = 0.125f,
            PresencePenalty = -0.5f,
            MinP = 0.125f,
            RepetitionPenalty = 2,
        };
        Assert.Equal(expected, request.Sampling with { LogitBias = expected.LogitBias });
        Assert.Equal(99, request.MaxTokens);
        Assert.Equal(["a", "b"], request.Stop);
        Assert.True(request.OneCallOnly);
        Assert.False(request.Inputs["enable_thinking"]!.GetValue<bool>());
        Assert.True(request.Inputs["add_generation_prompt"]!.GetValue<bool>());
    }

    [Fact]
    public void What_is_not_said_is_the_model_s()
    {
        SamplingOptions sampling = Read(null).Sampling;
        Assert.Equal((0.7f, 20, 0.8f), (sampling.Temperature, sampling.TopK, sampling.TopP));
        Assert.Null(sampling.Seed);
    }

    [Fact]
    public async Task A_seed_repeats_an_answer()
    {
        var options = new ChatOptions { Temperature = 1.5f, TopK = 0, TopP = 1, Seed = 7, MaxOutputTokens = 20 };
        ChatResponse first = await demo.Client.GetResponseAsync(Hello, options);
        Assert.Equal(first.Text, (await demo.Client.GetResponseAsync(Hello, options)).Text);
        options.Seed = 8;
        Assert.NotEqual(first.Text, (await demo.Client.GetResponseAsync(Hello, options)).Text);
    }

    [Fact]
    public async Task Limits_and_stops_end_an_answer()
    {
        ChatOptions options = DemoModel.Greedy();
        options.MaxOutputTokens = 3;
        ChatResponse cut = await demo.Client.GetResponseAsync("What is 92 + 30?", options);
        Assert.Equal(ChatFinishReason.Length, cut.FinishReason);
        Assert.Equal(3, cut.Usage!.OutputTokenCount);

        options = DemoModel.Greedy();
        options.StopSequences = [" ="];
        ChatResponse stopped = await demo.Client.GetResponseAsync("What is 92 + 30?", options);
        Assert.Equal(ChatFinishReason.Stop, stopped.FinishReason);
        Assert.Equal("92 + 30", stopped.Text);
    }

    [Fact]
    public void What_is_not_implemented_is_refused()
    {
        Refused(options => options.ConversationId = "1", "ConversationId");
        Refused(options => options.Tools = [new HostedWebSearchTool()], "Tools");

        void Refused(Action<ChatOptions> change, string name)
        {
            var options = new ChatOptions();
            change(options);
            Assert.StartsWith(name, Assert.Throws<NotSupportedException>(() => Read(options)).Message);
        }
    }

    [Theory]
    [InlineData("model")]
    [InlineData("temperature")]
    [InlineData("top_p")]
    [InlineData("min_p")]
    [InlineData("chat_template_kwargs")]
    public void What_is_wrong_is_named(string parameter)
    {
        var options = new ChatOptions
        {
            ModelId = parameter == "model" ? "gpt" : null,
            Temperature = parameter == "temperature" ? float.NaN : null,
            TopP = parameter == "top_p" ? 0 : null,
            AdditionalProperties = parameter switch
            {
                "min_p" => new() { ["min_p"] = "much" },
                "chat_template_kwargs" => new() { ["chat_template_kwargs"] = new Dictionary<string, object?> { ["messages"] = 1 } },
                _ => null,
            },
        };
        Assert.Equal(parameter, Assert.Throws<RequestException>(() => Read(options)).Parameter);
    }

    [Fact]
    public void Template_arguments_come_in_any_form()
    {
        foreach (object form in (object[])[new JsonObject { ["a"] = 1 }, JsonDocument.Parse("{\"a\": 1}").RootElement, new Dictionary<string, object?> { ["a"] = 1 }])
            Assert.Equal("1", Read(new ChatOptions { AdditionalProperties = new() { ["chat_template_kwargs"] = form } }).Inputs["a"]!.ToJsonString());
        Assert.Throws<RequestException>(() => Read(new ChatOptions { AdditionalProperties = new() { ["chat_template_kwargs"] = 5 } }));
    }

    [Fact]
    public void Messages_are_what_templates_read()
    {
        ChatMessage[] messages =
        [
            new(ChatRole.User, [new TextContent("a"), new TextContent("b")]),
            new(ChatRole.Assistant, [new TextReasoningContent("hm"), new TextContent("c"), new FunctionCallContent("1", "buy", new Dictionary<string, object?> { ["item"] = "x", ["count"] = 2 })]),
            new(ChatRole.Tool, [new FunctionResultContent("1", new Dictionary<string, int> { ["price"] = 11 }), new FunctionResultContent("2", "plain")]),
        ];
        Assert.Equal(
            "[{\"role\":\"user\",\"content\":\"ab\"},"
            + "{\"role\":\"assistant\",\"content\":\"c\",\"reasoning_content\":\"hm\",\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"buy\",\"arguments\":{\"item\":\"x\",\"count\":2}}}]},"
            + "{\"role\":\"tool\",\"content\":\"{\\u0022price\\u0022: 11}\",\"tool_call_id\":\"1\"},{\"role\":\"tool\",\"content\":\"plain\",\"tool_call_id\":\"2\"}]",
            ChatRequest.Read(messages, null, demo.Model).Inputs["messages"]!.ToJsonString());
        Assert.Throws<RequestException>(() => ChatRequest.Read([new ChatMessage(new ChatRole("oracle"), "x")], null, demo.Model));
        Assert.Throws<RequestException>(() => ChatRequest.Read([new ChatMessage(ChatRole.User, [new UriContent("http://example.com/a.png", "image/png")])], null, demo.Model));
    }

    [Theory]
    [InlineData("{ \"a\" :1,\n\"b\":[ 2,3],\"c\":\"x,y: \\\"z\\\\\",\"d\":{}}", "{\"a\": 1, \"b\": [2, 3], \"c\": \"x,y: \\\"z\\\\\", \"d\": {}}")]
    [InlineData("\"text\"", "text")]
    [InlineData("null", "null")]
    public void Results_are_json_as_models_know_it(string result, string content)
    {
        ChatMessage message = new(ChatRole.Tool, [new FunctionResultContent("1", JsonDocument.Parse(result).RootElement)]);
        Assert.Equal(content, ChatRequest.Read([message], null, demo.Model).Inputs["messages"]![0]!["content"]!.GetValue<string>());
    }

    private ChatRequest Read(ChatOptions? options) => ChatRequest.Read(Hello, options, demo.Model);
}
