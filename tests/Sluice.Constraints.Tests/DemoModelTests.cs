using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Sluice.Checkpoints;
using Sluice.Core;
using Sluice.Cpu;
using Sluice.Engine;
using Sluice.Engine.Sampling;
using Sluice.Engine.Text;
using Sluice.Models;
using Sluice.Testing;
using Sluice.Text;

namespace Sluice.Constraints.Tests;

/// <summary>
/// Outputs of the demonstration model at a temperature at which it talks nonsense, held to random schemas: whatever it ends by itself
/// is valid. <c>SLUICE_SCHEMA_OUTPUTS=10000</c> makes more.
/// </summary>
public sealed class DemoModelTests(ITestOutputHelper output)
{
    private const int EndOfText = 4098;
    private const int AtATime = 32;

    [Fact]
    public async Task What_the_model_says_is_valid_whatever_it_would_rather_say()
    {
        int wanted = int.Parse(Environment.GetEnvironmentVariable("SLUICE_SCHEMA_OUTPUTS") ?? "100", CultureInfo.InvariantCulture);
        using Checkpoint checkpoint = Checkpoint.Open(TestData.DemoModel);
        using var backend = new CpuBackend(new CpuOptions { Threads = 2 });
        using LanguageModel model = LanguageModel.Load(checkpoint, backend, new ModelOptions { MaxStepTokens = 512, MaxLogitRows = AtATime, CacheBytes = 128 << 20 });
        await using var engine = new InferenceEngine(model);
        Tokenizer tokenizer = Tokenizer.Load(TestData.DemoModel);
        var generator = new TextGenerator(engine, tokenizer, [EndOfText]);
        var compiler = new ConstraintCompiler(TokenVocabulary.Of(tokenizer, [EndOfText]));
        int[] prompt = tokenizer.Encode("Extract the facts as JSON.");
        var problems = new ConcurrentQueue<string>();
        int made = 0, cut = 0, refused = 0;
        await Parallel.ForAsync(0, wanted, new ParallelOptions { MaxDegreeOfParallelism = AtATime, CancellationToken = TestContext.Current.CancellationToken }, async (seed, cancellation) =>
        {
            string schema = SchemaMaker.Make(new Random(seed)).ToJsonString();
            CompiledConstraint constraint;
            try
            {
                constraint = compiler.Compile(new JsonSchemaSpec(schema), cancellation);
            }
            catch (RequestException)
            {
                Interlocked.Increment(ref refused);
                return;
            }

            var text = new StringBuilder();
            await using TextStream stream = generator.Generate(
                new TextRequest { Prompt = prompt, MaxTokens = 300, Constraint = constraint, Sampling = new SamplingOptions { Temperature = 1.5f, Seed = seed } }, cancellation);
            await foreach (TextDelta delta in stream)
                text.Append(delta.Text);
            if (stream.Completion.Reason == FinishReason.Length)
                Interlocked.Increment(ref cut);
            else if (!new Validator(schema).IsValid(text.ToString(), out string problem))
                problems.Enqueue($"seed {seed}: {problem}: {text}\n{schema}");
            Interlocked.Increment(ref made);
        });
        output.WriteLine($"{made} outputs, {cut} cut by their length, all others valid; {refused} schemas refused");
        Assert.True(problems.IsEmpty, string.Join('\n', problems.Take(3)));
        Assert.InRange(made - cut, wanted / 2, wanted);
    }
}
