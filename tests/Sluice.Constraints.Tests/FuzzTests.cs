using System.Diagnostics;
using System.Text;
using Sluice.Core;

namespace Sluice.Constraints.Tests;

/// <summary>
/// Made-up and broken inputs: each compiles or is a <see cref="RequestException"/>, soon; what compiles yields only what the validator
/// accepts. <c>SLUICE_FUZZ_CONSTRAINTS</c> sets how many (300 by default), <c>SLUICE_FUZZ_SEED</c> where they start.
/// </summary>
public sealed class FuzzTests
{
    private static readonly string[] Pieces =
    [
        "{", "}", "[", "]", "\"", ":", ",", "null", "true", "-1", "1e999", "0", "\"type\"", "\"$ref\"", "\"#\"", "\"#/properties/a\"", "\"anyOf\"", "\"items\"", "\"pattern\"",
        "\"(a\"", "\\u", "\\ud800", "\"enum\"", "\"required\"", "\"minLength\"", "\"maxItems\"", "99999999999", "\"multipleOf\"", "::=", "root", "|", "(", ")", "*", "+", "?", "{1,3}", "[a-z]",
        "[^", "\\", "<think>", "<[3]>", "^", "$", "(?:", "\\p{L}", "é", "😀", "\0", "\n", "#", "\u2028",
    ];

    private static int Count => Setting("SLUICE_FUZZ_CONSTRAINTS", 300);

    private static int Seed => Setting("SLUICE_FUZZ_SEED", 1);

    [Fact]
    public void Made_up_schemas_yield_what_is_valid()
    {
        int compiled = 0, refused = 0;
        for (int seed = Seed; seed < Seed + Count; seed++)
        {
            var random = new Random(seed);
            string schema = SchemaMaker.Make(random).ToJsonString();
            if (TryCompile(new JsonSchemaSpec(schema), schema) is not { } constraint)
            {
                refused++;
                continue;
            }

            compiled++;
            var validator = new Validator(schema);
            for (int walk = 0; walk < 3; walk++)
            {
                List<int> tokens = Walk.Random(constraint, random, patience: 25);
                string text = Vocabularies.Text(Vocabularies.Demo, tokens);
                Assert.True(validator.IsValid(text, out string problem), $"seed {seed}: {problem}\n{schema}\n{text}");
                CheckMutants(constraint, validator, text, random, $"seed {seed}: {schema}");
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{compiled} compiled, {refused} refused");
        Assert.True(compiled > Count / 3, $"only {compiled} of {Count} compiled");
    }

    [Fact]
    public void Broken_inputs_are_refused_cleanly()
    {
        string[] schemas = [.. SchemaExamples.All.Select(example => example.Schema)];
        string[] grammars = ["root ::= sum\nsum ::= sum [+-] term | term\nterm ::= [0-9]+ | \"(\" sum \")\"", "root ::= <think> [^<]* </think> \"a\"{1,3} x?\nx ::= (\"b\" | x \"c\")+"];
        string[] expressions = ["^(a|b)*c{1,3}[^x-z\\d]+$", "(?:foo|ba[rz])\\.\\w+\\u00e9?", "\\p{Lu}.*|x{2,}"];
        int compiled = 0;
        for (int seed = Seed; seed < Seed + (2 * Count); seed++)
        {
            var random = new Random(seed);
            ConstraintSpec spec = (seed % 3) switch
            {
                0 => new JsonSchemaSpec(Mutate(schemas, random)),
                1 => new GrammarSpec(Mutate(grammars, random)),
                _ => new RegexSpec(Mutate(expressions, random)),
            };
            if (TryCompile(spec, $"seed {seed}") is not { } constraint)
                continue;
            compiled++;
            Walk.Random(constraint, random, patience: 10);
        }

        Assert.True(compiled > Count / 20, $"only {compiled} compiled");
    }

    /// <summary>What is accepted of texts that are nearly right is right.</summary>
    private static void CheckMutants(CompiledConstraint constraint, Validator validator, string text, Random random, string what)
    {
        for (int i = 0; i < 5; i++)
        {
            var mutant = new StringBuilder(text);
            int at = random.Next(text.Length);
            switch (random.Next(3))
            {
                case 0:
                    mutant.Remove(at, 1);
                    break;
                case 1:
                    mutant.Insert(at, "0123456789{}[]\",:-.eatn "[random.Next(24)]);
                    break;
                default:
                    mutant[at] = "0123456789{}[]\",:-.eatn "[random.Next(24)];
                    break;
            }

            string changed = UnicodeOnly(mutant.ToString());
            if (changed.Length > 0 && Walk.Accepts(constraint, Walk.Cut(Vocabularies.Demo, Encoding.UTF8.GetBytes(changed), random)))
                Assert.True(validator.IsValid(changed, out string problem), $"{what}: accepted, and {problem}\n{changed}");
        }
    }

    private static string UnicodeOnly(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));

    private static CompiledConstraint? TryCompile(ConstraintSpec spec, string what)
    {
        Stopwatch watch = Stopwatch.StartNew();
        try
        {
            return Vocabularies.Compiler.Compile(spec);
        }
        catch (RequestException e)
        {
            Assert.DoesNotContain('\n', e.Message);
            return null;
        }
        finally
        {
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(20), $"{what} took {watch.Elapsed}");
        }
    }

    private static string Mutate(string[] corpus, Random random)
    {
        var text = new StringBuilder(corpus[random.Next(corpus.Length)]);
        for (int i = random.Next(1, 5); i > 0; i--)
        {
            int at = random.Next(text.Length + 1);
            switch (random.Next(4))
            {
                case 0:
                    text.Insert(at, Pieces[random.Next(Pieces.Length)]);
                    break;
                case 1 when at < text.Length:
                    text.Remove(at, Math.Min(random.Next(1, 6), text.Length - at));
                    break;
                case 2 when at < text.Length:
                    text[at] = (char)random.Next(0x250);
                    break;
                default:
                    string other = corpus[random.Next(corpus.Length)];
                    int from = random.Next(other.Length);
                    text.Insert(at, other.AsSpan(from, random.Next(other.Length - from)));
                    break;
            }
        }

        return text.ToString();
    }

    private static int Setting(string name, int otherwise) => int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : otherwise;
}
