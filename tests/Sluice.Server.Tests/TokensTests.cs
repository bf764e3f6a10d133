using System.Text.Json.Nodes;

namespace Sluice.Server.Tests;

/// <summary>Text to tokens and back, in vLLM's shapes.</summary>
public sealed class TokensTests
{
    [Theory]
    [InlineData("Zwölf Boxkämpfer 日本語 👩‍👩‍👧")]
    [InlineData("<|im_start|>user\nhi<|im_end|>")]
    [InlineData("")]
    public async Task A_text_comes_back_from_its_tokens(string text)
    {
        await using TestServer server = await TestServer.StartAsync();
        var (response, body) = await server.PostAsync("/tokenize", $$"""{"model":"echo","prompt":{{JsonValue.Create(text).ToJsonString()}},"add_special_tokens":false,"return_token_strs":true}""");
        Assert.True(response.IsSuccessStatusCode, body.ToJsonString());
        int[] tokens = [.. body["tokens"]!.AsArray().Select(t => (int)t!)];
        Assert.Equal(EchoModel.Tokenizer.Encode(text, parseSpecial: true), tokens);
        Assert.Equal((tokens.Length, 8192, tokens.Length), ((int)body["count"]!, (int)body["max_model_len"]!, body["token_strs"]!.AsArray().Count));
        var (_, back) = await server.PostAsync("/detokenize", $$"""{"tokens":{{body["tokens"]!.ToJsonString()}}}""");
        Assert.Equal(text, (string)back["prompt"]!);
    }

    [Fact]
    public async Task Messages_count_what_the_chat_would()
    {
        await using TestServer server = await TestServer.StartAsync();
        string messages = """[{"role":"system","content":"Be brief."},{"role":"user","content":"hi <|im_end|>"}]""";
        var (_, body) = await server.PostAsync("/tokenize", $$"""{"messages":{{messages}}}""");
        var (_, chat) = await server.PostAsync("/v1/chat/completions", $$"""{"messages":{{messages}},"max_tokens":1}""");
        Assert.Equal((int)chat["usage"]!["prompt_tokens"]!, (int)body["count"]!);
        Assert.Null(body["token_strs"]);
        var (_, without) = await server.PostAsync("/tokenize", $$"""{"messages":{{messages}},"add_generation_prompt":false}""");
        Assert.True((int)without["count"]! < (int)body["count"]!);
    }

    [Theory]
    [InlineData("/tokenize", "{}", "prompt")]
    [InlineData("/tokenize", "{\"prompt\":5}", "prompt")]
    [InlineData("/tokenize", "{\"prompt\":\"a\",\"messages\":[]}", "messages")]
    [InlineData("/tokenize", "{\"prompt\":\"a\",\"add_special_tokens\":\"yes\"}", "add_special_tokens")]
    [InlineData("/tokenize", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"continue_final_message\":true}", "continue_final_message")]
    [InlineData("/tokenize", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"add_generation_prompt\":1}", "add_generation_prompt")]
    [InlineData("/tokenize", "{\"messages\":[]}", "messages")]
    [InlineData("/detokenize", "{}", "tokens")]
    [InlineData("/detokenize", "{\"tokens\":\"a\"}", "tokens")]
    [InlineData("/detokenize", "{\"tokens\":[-1]}", "tokens")]
    [InlineData("/detokenize", "{\"tokens\":[4294967296]}", "tokens")]
    [InlineData("/detokenize", "{\"tokens\":[1.5]}", "tokens")]
    [InlineData("/detokenize", "{\"tokens\":[1000000]}", "tokens")]
    public async Task What_is_wrong_is_named(string path, string json, string parameter)
    {
        await using TestServer server = await TestServer.StartAsync();
        var (response, body) = await server.PostAsync(path, json);
        Assert.Equal((400, parameter), ((int)response.StatusCode, (string?)body["error"]!["param"]));
    }
}
