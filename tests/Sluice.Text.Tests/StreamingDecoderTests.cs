using System.Text;
using CsCheck;
using Sluice.Text.Tests.Tokenization;

namespace Sluice.Text.Tests;

public sealed class StreamingDecoderTests
{
    // Unknown ids, negative ones and bare bytes included: what a model samples need not be UTF-8.
    private static readonly Gen<int[]> AnyIds = Gen.Frequency((8, Gen.Int[0, 255]), (4, Gen.Int[0, 4104]), (1, Gen.Int[-5, 5000])).Array[0, 60];

    [Fact]
    public void All_text_together_is_what_decoding_all_ids_gives() => Gen.Select(AnyIds, Gen.Bool).Sample(
        (ids, skipSpecial) =>
        {
            Tokenizer tokenizer = TokenizerData.Demo;
            var decoder = new StreamingDecoder(tokenizer, skipSpecial);
            var text = new StringBuilder();
            foreach (int id in ids)
            {
                string delta = decoder.Append(id);
                Assert.True(delta.Length == 0 || (!char.IsLowSurrogate(delta[0]) && !char.IsHighSurrogate(delta[^1])));
                text.Append(delta);
            }

            text.Append(decoder.Flush());
            Assert.Equal(tokenizer.Decode(ids, skipSpecial), text.ToString());
            Assert.Equal("", decoder.Flush());
        },
        iter: 20_000);

    [Fact]
    public void Text_is_given_out_as_soon_as_it_is_certain()
    {
        Tokenizer tokenizer = TokenizerFiles.Create().Parse();
        for (int seed = 0; seed < 500; seed++)
        {
            string text = RandomText.Next(new Random(seed), 10);
            var decoder = new StreamingDecoder(tokenizer);
            foreach (Rune rune in text.EnumerateRunes())
            {
                // One id per byte: nothing until the last byte of a character, then all of it.
                byte[] bytes = Encoding.UTF8.GetBytes(rune.ToString());
                for (int i = 0; i < bytes.Length; i++)
                    Assert.Equal(i + 1 < bytes.Length ? "" : rune.ToString(), decoder.Append(bytes[i]));
            }

            Assert.Equal("", decoder.Flush());
        }
    }

    [Fact]
    public void Special_tokens_are_left_out_unless_asked_for()
    {
        Tokenizer tokenizer = TokenizerData.Demo;
        int[] ids = tokenizer.Encode("<think>é</think><|im_end|>", parseSpecial: true);
        Assert.Equal("<think>é</think>", Stream(new StreamingDecoder(tokenizer), ids));
        Assert.Equal("<think>é</think><|im_end|>", Stream(new StreamingDecoder(tokenizer, skipSpecial: false), ids));
    }

    [Fact]
    public void What_is_left_of_a_character_becomes_a_replacement_character()
    {
        var decoder = new StreamingDecoder(TokenizerFiles.Create().Parse());
        Assert.Equal("", decoder.Append(0xF0));
        Assert.Equal("", decoder.Append(0x9F));
        Assert.Equal("\uFFFDa", decoder.Append('a'));
        Assert.Equal("", decoder.Append(0xE6));
        Assert.Equal("\uFFFD", decoder.Flush());
        Assert.Equal("b", decoder.Append('b'));
    }

    private static string Stream(StreamingDecoder decoder, int[] ids) => string.Concat(ids.Select(decoder.Append)) + decoder.Flush();
}
