using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Sluice.Core;
using Sluice.Server.Chat;
using Sluice.Server.Http;
using Sluice.Server.OpenAI;
using Sluice.Text;

namespace Sluice.Server.Tokens;

/// <summary><c>POST /tokenize</c> and <c>POST /detokenize</c>, in vLLM's shapes.</summary>
internal sealed class TokensEndpoints
{
    private readonly ServedModel _model;
    private readonly TimeProvider _clock;

    public TokensEndpoints(ServedModel model, TimeProvider clock)
    {
        _model = model;
        _clock = clock;
    }

    private Tokenizer Tokenizer => _model.Generator.Tokenizer;

    public async Task TokenizeAsync(HttpContext context)
    {
        int[] tokens;
        bool wantsStrings;
        using (JsonDocument body = await JsonBody.ReadAsync(context.Request))
        {
            RequestFields fields = RequestFields.Of(body.RootElement);
            ModelsEndpoint.Require(_model, fields);
            wantsStrings = fields.Boolean("return_token_strs") ?? false;

            // Read so that a wrong type is told; the tokenizers of these models add no tokens of their own to a text.
            _ = fields.Boolean("add_special_tokens");
            tokens = Encode(fields, context.RequestAborted);
        }

        await context.Response.WriteAsJsonAsync(
            new Tokenized(tokens.Length, _model.Generator.Engine.MaxSequenceTokens, tokens)
            {
                TokenStrs = wantsStrings ? [.. tokens.Select(id => Tokenizer.Decode([id]))] : null,
            },
            TokensJson.Readable.Tokenized);
    }

    public async Task DetokenizeAsync(HttpContext context)
    {
        int[] tokens;
        using (JsonDocument body = await JsonBody.ReadAsync(context.Request))
        {
            RequestFields fields = RequestFields.Of(body.RootElement);
            ModelsEndpoint.Require(_model, fields);
            tokens = ReadTokens(fields);
        }

        await context.Response.WriteAsJsonAsync(new Detokenized(Tokenizer.Decode(tokens)), TokensJson.Readable.Detokenized);
    }

    private int[] Encode(RequestFields fields, CancellationToken cancellation)
    {
        string? prompt = fields.String("prompt");
        bool hasMessages = fields.TryGet("messages", out _);
        if (prompt is not null && hasMessages)
            throw new RequestException("prompt and messages cannot both be given", "messages");

        // The same text gives the same tokens as in /v1/completions, where special tokens mean what they say.
        if (prompt is not null)
            return Tokenizer.Encode(prompt, parseSpecial: true);
        if (!hasMessages)
            throw new RequestException("prompt or messages is required", "prompt", "missing_required_parameter");
        if (fields.Boolean("continue_final_message") ?? false)
            throw new RequestException("continue_final_message is not supported", "continue_final_message", "unsupported_value");
        ChatCall call = ChatRequest.Read(fields, _model).Call with { AwaitsAnswer = fields.Boolean("add_generation_prompt") ?? true };
        return [.. ChatPrompt.Render(call, _model, _clock, cancellation).Tokens];
    }

    private int[] ReadTokens(RequestFields fields)
    {
        if (fields.Array("tokens", int.MaxValue) is not { } ids)
            throw fields.Missing("tokens");
        var tokens = new int[ids.GetArrayLength()];
        int index = 0;
        foreach (JsonElement id in ids.EnumerateArray())
            tokens[index++] = (int)RequestFields.Integer(id, "tokens", 0, Tokenizer.VocabularySize - 1);
        return tokens;
    }
}
