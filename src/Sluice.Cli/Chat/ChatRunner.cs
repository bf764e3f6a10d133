using System.Text;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Engine;
using Sluice.Engine.Sampling;
using Sluice.Text;

namespace Sluice.Cli.Chat;

/// <summary>Asks the model for the next answer of a conversation and streams it.</summary>
internal sealed class ChatRunner(ModelSession session, Tokenizer tokenizer, ChatTemplate template, SamplingOptions sampling, int? maxTokens)
{
    /// <summary>
    /// Writes the answer to <paramref name="output"/> as it comes and adds it to the conversation; a cancelled answer is kept as far
    /// as it came. Returns how it ended.
    /// </summary>
    public async Task<Completion> AnswerAsync(Conversation conversation, TextWriter output, CancellationToken stop)
    {
        JsonObject inputs = new() { ["messages"] = conversation.Messages(), ["add_generation_prompt"] = true };
        IReadOnlyList<PromptSegment> prompt = template.Render(inputs, ct: stop);
        await using GenerationStream stream = session.Engine.Submit(new GenerationRequest
        {
            Prompt = tokenizer.Encode(prompt),
            MaxTokens = maxTokens,
            Sampling = sampling,
            StopTokens = session.EndOfText,
        }, stop);
        StringBuilder answer = new();
        StreamingDecoder decoder = new(tokenizer);
        await foreach (SampledToken token in stream)
            await EmitAsync(decoder.Append(token.Token));
        await EmitAsync(decoder.Flush());
        conversation.Add("assistant", answer.ToString());
        return await stream.Completion;

        async Task EmitAsync(string text)
        {
            if (text.Length == 0)
                return;
            answer.Append(text);
            await output.WriteAsync(text);
            await output.FlushAsync(CancellationToken.None);
        }
    }

    /// <summary>The template of a model folder, or a clear refusal.</summary>
    public static ChatTemplate TemplateOf(string folder) => ChatTemplate.Load(folder)
        ?? throw new ConfigurationException($"{folder} has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json); use 'sluice generate'");
}
