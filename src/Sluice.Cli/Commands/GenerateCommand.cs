using System.CommandLine;
using System.Text.Json;
using Sluice.Core;
using Sluice.Engine;
using Sluice.Engine.Sampling;
using Sluice.Text;

namespace Sluice.Cli.Commands;

/// <summary>One prompt of <c>--ids-file</c>.</summary>
internal sealed record IdPrompt
{
    public required int[] PromptIds { get; init; }

    public int? MaxTokens { get; init; }
}

/// <summary>What became of one prompt; <c>top_logprobs</c> only where asked for: per token, pairs of id and log-probability.</summary>
internal sealed record GeneratedItem(int[] Ids, string Text, double[][][]? TopLogprobs);

/// <summary><c>sluice generate</c>: continues raw text or token ids, without a chat template.</summary>
internal static class GenerateCommand
{
    public static Command Create()
    {
        Option<string?> model = CommonOptions.Model();
        Option<string?> prompt = new("--prompt", "-p") { HelpName = "TEXT", Description = "Text to continue." };
        Option<FileInfo?> idsFile = new("--ids-file") { HelpName = "F", Description = """A JSON array of {"prompt_ids": [...], "max_tokens": N}.""" };
        Option<FileInfo?> output = new("--out") { HelpName = "F", Description = "Write the result here instead of standard output." };
        Option<int?> maxTokens = new("--max-tokens", "-n") { HelpName = "N", Description = "Most tokens to generate. Default 256." };
        Option<int?> topLogprobs = new("--top-logprobs") { HelpName = "K", Description = "Report the K likeliest tokens at each position, at most 20." };
        Option<bool> json = new("--json") { Description = "Print JSON for --prompt too." };
        Option<bool> special = new("--special") { Description = "Recognise special tokens in --prompt." };
        ComputeFlags compute = new();
        Option<int> workers = CommonOptions.LoadWorkers();
        Option<long> memory = CommonOptions.Memory();
        SamplingFlags sampling = new();
        Command command = new("generate", "Continue a text or token ids.") { model, prompt, idsFile, output, maxTokens, topLogprobs, json, special, workers, memory };
        compute.AddTo(command);
        sampling.AddTo(command);
        command.Validators.Add(result =>
        {
            if ((result.GetResult(prompt) is null) == (result.GetResult(idsFile) is null))
                result.AddError("generate takes one of --prompt and --ids-file");
        });
        command.SetAction(async (parsed, cancellation) =>
        {
            string folder = ModelPath.Resolve(parsed.GetValue(model));
            Tokenizer tokenizer = Tokenizer.Load(folder);
            IdPrompt[] prompts = parsed.GetValue(idsFile) is { } file
                ? ReadPrompts(file.FullName)
                : [new IdPrompt { PromptIds = tokenizer.Encode(parsed.GetValue(prompt)!, parsed.GetValue(special)) }];
            await using ModelSession session = ModelSession.Load(
                new SessionOptions
                {
                    Folder = folder,
                    Compute = compute.Read(parsed),
                    LoadWorkers = parsed.GetValue(workers),
                    Memory = parsed.GetValue(memory),
                    Sequences = Math.Clamp(prompts.Length, 1, 32),
                },
                cancellation);
            SamplingOptions options = sampling.Read(parsed, session.Defaults) with { TopLogprobs = parsed.GetValue(topLogprobs) };
            bool asJson = parsed.GetValue(json) || parsed.GetValue(idsFile) is not null;
            await using TextWriter writer = parsed.GetValue(output) is { } target ? new StreamWriter(target.FullName) : Console.Out;
            GeneratedItem[] items = await Run(session, tokenizer, prompts, parsed.GetValue(maxTokens), options, asJson ? null : writer, cancellation);
            await writer.WriteLineAsync(asJson ? JsonSerializer.Serialize(items, CliJson.Readable.GeneratedItemArray) : "");
            return ExitCodes.Success;
        });
        return command;
    }

    private static IdPrompt[] ReadPrompts(string path)
    {
        try
        {
            IdPrompt[] prompts = JsonSerializer.Deserialize(File.ReadAllBytes(path), CliJson.Default.IdPromptArray) ?? [];
            return prompts.Length > 0 ? prompts : throw new ConfigurationException($"{path}: expected at least one prompt");
        }
        catch (JsonException error)
        {
            throw new ConfigurationException($"""{path}: expected an array of objects with prompt_ids and max_tokens: {error.Message}""", error);
        }
    }

    // All prompts are submitted at once: the engine batches them.
    private static async Task<GeneratedItem[]> Run(
        ModelSession session, Tokenizer tokenizer, IdPrompt[] prompts, int? maxTokens, SamplingOptions options, TextWriter? live, CancellationToken cancellation)
    {
        GenerationStream[] streams =
        [
            .. prompts.Select(prompt => session.Engine.Submit(
                new GenerationRequest
                {
                    Prompt = prompt.PromptIds,
                    MaxTokens = maxTokens ?? prompt.MaxTokens ?? 256,
                    Sampling = options,
                    StopTokens = session.EndOfText,
                },
                cancellation)),
        ];
        GeneratedItem[] items = new GeneratedItem[streams.Length];
        for (int i = 0; i < streams.Length; i++)
            items[i] = await Collect(streams[i], tokenizer, live, cancellation);
        return items;
    }

    private static async Task<GeneratedItem> Collect(GenerationStream stream, Tokenizer tokenizer, TextWriter? live, CancellationToken cancellation)
    {
        List<int> ids = [];
        List<double[][]>? alternatives = null;
        StreamingDecoder decoder = new(tokenizer);
        await foreach (SampledToken token in stream.WithCancellation(cancellation))
        {
            ids.Add(token.Token);
            if (token.TopLogprobs is { } top)
                (alternatives ??= []).Add([.. top.Select(entry => new[] { entry.Token, (double)entry.Logprob })]);
            if (live is not null)
            {
                await live.WriteAsync(decoder.Append(token.Token));
                await live.FlushAsync(cancellation);
            }
        }

        if (live is not null)
            await live.WriteAsync(decoder.Flush());
        return new GeneratedItem([.. ids], tokenizer.Decode([.. ids], skipSpecial: true), alternatives?.ToArray());
    }
}
