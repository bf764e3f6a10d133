using Sluice.Core;

namespace Sluice.Checkpoints.Gguf;

/// <summary>Writes a configuration as the metadata that <see cref="GgufConfigReader"/> and llama.cpp read.</summary>
internal static class GgufModelMetadata
{
    /// <summary>How qwen35 splits rotary frequencies over time, height and width, which llama.cpp insists on and text does not need.</summary>
    private static readonly int[] RotarySections = [11, 11, 10, 0];

    /// <summary>What the file calls an architecture.</summary>
    internal static string NameOf(Architecture architecture) => architecture switch
    {
        Architecture.Qwen3Next => "qwen3next",
        Architecture.Qwen35 => "qwen35",
        Architecture.Qwen35Moe => "qwen35moe",
        Architecture.Qwen3 => "qwen3",
        _ => "qwen3moe",
    };

    /// <summary>Adds everything but what concerns text.</summary>
    internal static void Add(GgufMetadataBuilder metadata, ModelConfig config, int blocks)
    {
        string arch = NameOf(config.Architecture) + ".";
        metadata
            .Add(arch + "block_count", (uint)blocks)
            .Add(arch + "context_length", (uint)config.MaxPositions)
            .Add(arch + "embedding_length", (uint)config.HiddenSize)
            .Add(arch + "feed_forward_length", (uint)(config.IntermediateSize > 0 ? config.IntermediateSize : config.Moe!.IntermediateSize))
            .Add(arch + "attention.head_count", (uint)config.Attention.QueryHeads)
            .Add(arch + "attention.head_count_kv", (uint)config.Attention.KvHeads)
            .Add(arch + "attention.key_length", (uint)config.Attention.HeadDim)
            .Add(arch + "attention.value_length", (uint)config.Attention.HeadDim)
            .Add(arch + "attention.layer_norm_rms_epsilon", config.NormEpsilon)
            .Add(arch + "rope.freq_base", (float)config.Attention.RopeTheta)
            .Add(arch + "rope.dimension_count", (uint)config.Attention.RotaryDim);
        if (config.Architecture is Architecture.Qwen35 or Architecture.Qwen35Moe)
            metadata.Add(arch + "rope.dimension_sections", RotarySections);
        if (config.Moe is { } moe)
            AddExperts(metadata, arch, moe);
        if (config.LinearAttention is { } linear)
            AddLinearAttention(metadata, arch, config, linear, blocks);
        if (blocks > config.LayerCount)
            metadata.Add(arch + "nextn_predict_layers", (uint)(blocks - config.LayerCount));
    }

    /// <summary>Adds vocabulary, merges, template and special tokens.</summary>
    internal static void Add(GgufMetadataBuilder metadata, GgufText text)
    {
        metadata
            .Add(GgufKeys.TokenizerModel, text.Model)
            .Add(GgufKeys.TokenizerPre, text.Pre)
            .Add(GgufKeys.Tokens, text.Tokens)
            .Add(GgufKeys.TokenTypes, [.. text.Types.Select(type => (int)type)])
            .Add(GgufKeys.Merges, text.Merges);
        foreach ((string key, string name) in GgufKeys.SpecialTokens)
        {
            if (text.SpecialTokens.TryGetValue(name, out int id))
                metadata.Add(key, (uint)id);
        }

        metadata.Add("tokenizer.ggml.add_bos_token", text.AddsBeginOfText);
        if (text.ChatTemplate is not null)
            metadata.Add(GgufKeys.ChatTemplate, text.ChatTemplate);
        if (text.ToolTemplate is not null)
            metadata.Add(GgufKeys.ToolTemplate, text.ToolTemplate).Add("tokenizer.chat_templates", ["tool_use"]);
    }

    /// <summary>Adds what the makers suggest for sampling.</summary>
    internal static void Add(GgufMetadataBuilder metadata, GenerationDefaults generation)
    {
        if (generation.DoSample == false)
            metadata.Add(GgufKeys.Temperature, 0f);
        else if (generation.Temperature is { } temperature)
            metadata.Add(GgufKeys.Temperature, temperature);
        if (generation.TopK is { } topK)
            metadata.Add(GgufKeys.TopK, topK);
        if (generation.TopP is { } topP)
            metadata.Add(GgufKeys.TopP, topP);
        if (generation.MinP is { } minP)
            metadata.Add(GgufKeys.MinP, minP);
        if (generation.RepetitionPenalty is { } penalty)
            metadata.Add(GgufKeys.RepetitionPenalty, penalty);
    }

    private static void AddExperts(GgufMetadataBuilder metadata, string arch, MoeConfig moe)
    {
        metadata
            .Add(arch + "expert_count", (uint)moe.Experts)
            .Add(arch + "expert_used_count", (uint)moe.TopK)
            .Add(arch + "expert_feed_forward_length", (uint)moe.IntermediateSize);
        if (moe.SharedIntermediateSize > 0)
            metadata.Add(arch + "expert_shared_feed_forward_length", (uint)moe.SharedIntermediateSize);
        if (!moe.NormaliseTopK)
            metadata.Add(arch + "expert_weights_norm", false);
    }

    private static void AddLinearAttention(GgufMetadataBuilder metadata, string arch, ModelConfig config, LinearAttentionConfig linear, int blocks)
    {
        metadata
            .Add(arch + "ssm.conv_kernel", (uint)linear.ConvKernel)
            .Add(arch + "ssm.state_size", (uint)linear.KeyDim)
            .Add(arch + "ssm.group_count", (uint)linear.KeyHeads)
            .Add(arch + "ssm.time_step_rank", (uint)linear.ValueHeads)
            .Add(arch + "ssm.inner_size", (uint)(linear.ValueHeads * linear.ValueDim));

        // The flags say it for every layer, and win; the interval is for older readers, where it can say the same.
        bool[] recurrent = new bool[blocks];
        for (int i = 0; i < config.LayerCount; i++)
            recurrent[i] = config.Layers[i] == LayerKind.LinearAttention;
        int interval = Array.IndexOf(recurrent, false) + 1;
        bool regular = interval > 0 && Enumerable.Range(0, config.LayerCount).All(i => recurrent[i] == ((i + 1) % interval != 0));
        if (regular)
            metadata.Add(arch + "full_attention_interval", (uint)interval);
        else
            metadata.Add(arch + "attention.recurrent_layers", recurrent);
    }
}
