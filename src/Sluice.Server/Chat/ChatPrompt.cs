using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text;

namespace Sluice.Server.Chat;

/// <summary>A conversation as the model reads it. The one place where any API's chat becomes tokens.</summary>
/// <param name="Tokens">The token ids.</param>
/// <param name="Structure">Where its messages lie, and the beginnings end that the caller will send again; null when nothing is known.</param>
/// <param name="StartsInReasoning">Whether it has opened the thinking, so that the answer begins inside it.</param>
internal sealed record ChatPrompt(IReadOnlyList<int> Tokens, PromptStructure? Structure, bool StartsInReasoning)
{
    /// <summary>Renders and encodes a conversation.</summary>
    /// <exception cref="RequestException">The model has no chat template.</exception>
    /// <exception cref="TemplateException">The template refuses the conversation.</exception>
    public static ChatPrompt Render(ChatCall call, ServedModel model, TimeProvider clock, CancellationToken cancellation)
    {
        var renderer = new Renderer(
            model.Chat ?? throw new RequestException("the model has no chat template; use /v1/completions", "messages", "unsupported_value"),
            model.Generator.Tokenizer,
            call,
            clock,
            cancellation);
        IReadOnlyList<PromptSegment> segments = renderer.Render((JsonArray)call.Messages.DeepClone(), call.AwaitsAnswer);
        int[] tokens = model.Generator.Tokenizer.Encode(segments);
        PromptStructure? structure = PromptStructure.Find(tokens, model.Generator.Tokenizer, call.AwaitsAnswer);
        if (call.CacheMarks.Count > 0)
            structure = (structure ?? new PromptStructure()) with { Breakpoints = Breakpoints(call, renderer, tokens) };
        return new ChatPrompt(tokens, structure, model.Output.StartsInReasoning(segments));
    }

    // A mark is a place in the conversation, and only the template knows where that is in the prompt: so the beginning alone is rendered
    // too, and what the two prompts have in common is what precedes the mark.
    private static int[] Breakpoints(ChatCall call, Renderer renderer, ReadOnlySpan<int> tokens)
    {
        var breakpoints = new SortedSet<int>();
        foreach (CacheMark mark in call.CacheMarks)
        {
            if (renderer.TryRenderBeginning(mark) is { } beginning && tokens.CommonPrefixLength(beginning) is > 0 and int common)
                breakpoints.Add(common);
        }

        return [.. breakpoints];
    }

    private sealed class Renderer(ChatTemplate template, Tokenizer tokenizer, ChatCall call, TimeProvider clock, CancellationToken cancellation)
    {
        public IReadOnlyList<PromptSegment> Render(JsonArray messages, bool awaitsAnswer)
        {
            var inputs = new JsonObject { ["messages"] = messages, ["add_generation_prompt"] = awaitsAnswer };
            if (call.Tools.ToTemplate() is { } tools)
                inputs["tools"] = tools;
            call.Arguments.AddTo(inputs);
            return template.Render(inputs, clock, cancellation);
        }

        /// <summary>Renders the conversation up to a mark; null when the template makes nothing of so little.</summary>
        public int[]? TryRenderBeginning(CacheMark mark)
        {
            var messages = new JsonArray([.. call.Messages.Take(mark.Message + 1).Select(m => m!.DeepClone())]);
            if (mark.Characters is { } characters)
                messages[^1]!["content"] = ((string)messages[^1]!["content"]!)[..characters];
            try
            {
                return tokenizer.Encode(Render(messages, awaitsAnswer: false));
            }
            catch (TemplateException)
            {
                return TryRenderWithQuestion(messages);
            }
        }

        // Some templates insist on a user's message: one that is empty then ends the beginning.
        private int[]? TryRenderWithQuestion(JsonArray messages)
        {
            var more = (JsonArray)messages.DeepClone();
            more.Add((JsonNode)new JsonObject { ["role"] = "user", ["content"] = "" });
            try
            {
                return tokenizer.Encode(Render(more, awaitsAnswer: false));
            }
            catch (TemplateException)
            {
                return null;
            }
        }
    }
}
