using System.Text.Json;
using System.Text.RegularExpressions;

namespace Sluice.Text.Tokenization;

// What happens before and after the model: normalizer, pre-tokenizer, post-processor, decoder.
internal static partial class TokenizerJson
{
    // Returns whether text is composed (NFC).
    private static bool ReadNormalizer(JsonSections sections)
    {
        bool composes = false;
        foreach (JsonElement step in Steps(sections, "normalizer", "normalizers"))
        {
            string type = StringOf(step, "type", "normalizer");
            composes = type == "NFC" ? true : throw TokenizerErrors.At("normalizer", $"{TokenizerErrors.Quote(type)} is not implemented; expected NFC");
        }

        return composes;
    }

    // Returns the patterns to split by.
    private static List<string> ReadPreTokenizer(JsonSections sections)
    {
        var patterns = new List<string>();
        bool bytes = false;
        foreach (JsonElement step in Steps(sections, "pre_tokenizer", "pretokenizers"))
        {
            if (bytes)
                throw TokenizerErrors.At("pre_tokenizer", "expected nothing behind ByteLevel");

            string type = StringOf(step, "type", "pre_tokenizer");
            bytes = type == "ByteLevel";
            if (bytes)
            {
                if (BooleanOf(step, "add_prefix_space", "pre_tokenizer", absent: true))
                    throw TokenizerErrors.At("pre_tokenizer.add_prefix_space", "expected false; a prefix space is not implemented");
                if (BooleanOf(step, "use_regex", "pre_tokenizer", absent: true))
                    patterns.Add(Tokenization.SplitPatterns.Gpt2);
            }
            else if (type == "Split")
            {
                patterns.Add(ReadSplit(step));
            }
            else
            {
                throw TokenizerErrors.At("pre_tokenizer", $"{TokenizerErrors.Quote(type)} is not implemented; expected Split and ByteLevel");
            }
        }

        return bytes ? patterns : throw TokenizerErrors.At("pre_tokenizer", "expected ByteLevel at the end");
    }

    // "invert" swaps matches and what lies between them, which Isolated treats alike.
    private static string ReadSplit(JsonElement split)
    {
        string behavior = StringOf(split, "behavior", "pre_tokenizer");
        if (behavior != "Isolated")
            throw TokenizerErrors.At("pre_tokenizer.behavior", $"{TokenizerErrors.Quote(behavior)} is not implemented; expected Isolated");

        if (!split.TryGetProperty("pattern", out JsonElement pattern) || pattern.ValueKind != JsonValueKind.Object)
            throw TokenizerErrors.At("pre_tokenizer.pattern", "expected an object");
        if (pattern.TryGetProperty("String", out _))
            return Regex.Escape(StringOf(pattern, "String", "pre_tokenizer.pattern"));
        return StringOf(pattern, "Regex", "pre_tokenizer.pattern");
    }

    // A post-processor may move offsets, which nothing here reads, but not add tokens.
    private static void CheckPostProcessor(JsonSections sections)
    {
        foreach (JsonElement step in Steps(sections, "post_processor", "processors"))
        {
            string type = StringOf(step, "type", "post_processor");
            if (type == "ByteLevel" || (type == "TemplateProcessing" && IsSequenceAlone(step)))
                continue;
            throw TokenizerErrors.At("post_processor", $"{TokenizerErrors.Quote(type)} adds tokens to every text, which is not implemented");
        }
    }

    // "single": [{ "Sequence": { "id": "A", .. } }]
    private static bool IsSequenceAlone(JsonElement template) =>
        template.TryGetProperty("single", out JsonElement single) && single.ValueKind == JsonValueKind.Array && single.GetArrayLength() == 1
        && single[0].ValueKind == JsonValueKind.Object && single[0].TryGetProperty("Sequence", out _);

    private static void CheckDecoder(JsonSections sections)
    {
        int steps = 0;
        foreach (JsonElement step in Steps(sections, "decoder", "decoders"))
        {
            steps++;
            string type = StringOf(step, "type", "decoder");
            if (type != "ByteLevel" || steps > 1)
                throw TokenizerErrors.At("decoder", $"{TokenizerErrors.Quote(type)} is not implemented; expected one ByteLevel");
        }

        if (steps == 0)
            throw TokenizerErrors.At("decoder", "expected ByteLevel");
    }

    // A component, or those of a Sequence, one within another included, in order.
    private static IEnumerable<JsonElement> Steps(JsonSections sections, string section, string members)
    {
        using JsonDocument? document = sections.Parse(section, Options);
        if (document is null)
            yield break;

        var pending = new Stack<JsonElement>([document.RootElement]);
        while (pending.TryPop(out JsonElement step))
        {
            if (step.ValueKind != JsonValueKind.Object)
                throw TokenizerErrors.At(section, "expected an object");
            if (StringOf(step, "type", section) != "Sequence")
            {
                yield return step;
                continue;
            }

            if (!step.TryGetProperty(members, out JsonElement inner) || inner.ValueKind != JsonValueKind.Array)
                throw TokenizerErrors.At($"{section}.{members}", "expected an array");
            foreach (JsonElement element in inner.EnumerateArray().Reverse())
                pending.Push(element);
        }
    }
}
