using System.Text.Json;
using Sluice.Text.Tokenization;

namespace Sluice.Text.Tests.Tokenization;

/// <summary>Equality with what Hugging Face's library computed, id for id and character for character.</summary>
public sealed class ReferenceTests
{
    [Fact]
    public void Qwen3_encodes_and_decodes_every_vector()
    {
        Tokenizer tokenizer = TokenizerData.Qwen3;
        using JsonDocument document = TokenizerData.Read("qwen3_tokenizer_vectors.json.gz");
        int total = 0;
        foreach (JsonElement vector in document.RootElement.GetProperty("vectors").EnumerateArray())
        {
            string text = vector.GetProperty("text").GetString()!;
            int[] ids = TokenizerData.Ids(vector.GetProperty("ids"));
            Assert.Equal(ids, tokenizer.Encode(text, parseSpecial: true));
            Assert.Equal(vector.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
            total++;
        }

        Assert.Equal(709, total);
        Assert.True(tokenizer.UsesLibrary);
        Assert.Equal(151_669, tokenizer.VocabularySize);
    }

    [Fact]
    public void Demo_encodes_what_the_model_was_evaluated_on()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        using JsonDocument document = TokenizerData.Read("demo_ids.json.gz");
        int total = 0;
        foreach (JsonElement answer in document.RootElement.GetProperty("answers").EnumerateArray())
        {
            string text = answer.GetProperty("text").GetString()!;
            int[] ids = TokenizerData.Ids(answer.GetProperty("ids"));
            Assert.Equal(ids, tokenizer.Encode(text));
            Assert.Equal(text, tokenizer.Decode(ids));
            total++;
        }

        Assert.Equal(493, total);
        foreach (JsonElement prompt in document.RootElement.GetProperty("prompts").EnumerateArray())
        {
            int[] ids = TokenizerData.Ids(prompt);
            Assert.Equal(ids, tokenizer.Encode(tokenizer.Decode(ids), parseSpecial: true));
        }

        foreach (JsonElement generated in document.RootElement.GetProperty("generated").EnumerateArray())
            Assert.Equal(generated.GetProperty("text").GetString(), tokenizer.Decode(TokenizerData.Ids(generated.GetProperty("ids"))));
        Assert.True(tokenizer.UsesLibrary);
    }

    [Fact]
    public void Text_composes_as_the_library_composes_it()
    {
        using JsonDocument document = TokenizerData.Read("tokenizer_cases.json.gz");
        foreach (JsonElement test in document.RootElement.GetProperty("compositions").EnumerateArray())
            Assert.Equal(test[1].GetString(), Composition.Compose(test[0].GetString()!));
    }

    [Fact]
    public void Made_up_tokenizers_give_the_librarys_ids_and_text()
    {
        using JsonDocument document = TokenizerData.Read("tokenizer_cases.json.gz");
        int byLibrary = 0;
        int byTable = 0;
        foreach (JsonElement element in document.RootElement.GetProperty("tokenizers").EnumerateArray())
        {
            string json = element.GetProperty("tokenizer").GetRawText();
            Tokenizer tokenizer = Tokenizer.Parse(System.Text.Encoding.UTF8.GetBytes(json));
            _ = tokenizer.UsesLibrary ? byLibrary++ : byTable++;
            foreach (JsonElement test in element.GetProperty("cases").EnumerateArray())
            {
                string text = test.GetProperty("text").GetString()!;
                int[] ids = TokenizerData.Ids(test.GetProperty("ids"));
                int[] found = tokenizer.Encode(text, parseSpecial: true);
                Assert.True(ids.AsSpan().SequenceEqual(found), $"{json}\n{test.GetRawText()}\n[{string.Join(',', found)}]");
                Assert.Equal(test.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
                Assert.Equal(test.GetProperty("skipped").GetString(), tokenizer.Decode(ids, skipSpecial: true));
            }
        }

        // Both ways of merging are under test.
        Assert.InRange(byLibrary, 10, 110);
        Assert.InRange(byTable, 10, 110);
    }
}
