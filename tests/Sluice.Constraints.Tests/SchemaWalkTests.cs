namespace Sluice.Constraints.Tests;

/// <summary>Whatever comes of a walk over allowed tokens is valid, says JsonSchema.Net.</summary>
public sealed class SchemaWalkTests
{
    private static int Walks => int.TryParse(Environment.GetEnvironmentVariable("SLUICE_CONSTRAINT_WALKS"), out int walks) ? walks : 6;

    public static TheoryData<string, string> Schemas => [.. SchemaExamples.All];

    [Theory]
    [MemberData(nameof(Schemas), DisableDiscoveryEnumeration = true)]
    public void Walks_of_the_demonstration_vocabulary_are_valid(string name, string schema) =>
        Check(name, schema, Vocabularies.Compiler, Walks);

    [Theory]
    [MemberData(nameof(Schemas), DisableDiscoveryEnumeration = true)]
    public void Walks_of_a_large_vocabulary_are_valid(string name, string schema) =>
        Check(name, schema, Vocabularies.ForLarge, Math.Max(1, Walks / 6));

    [Theory]
    [MemberData(nameof(Schemas), DisableDiscoveryEnumeration = true)]
    public void Walks_of_bytes_are_valid(string name, string schema) =>
        Check(name, schema, Vocabularies.ForBytes, Walks);

    private static void Check(string name, string schema, ConstraintCompiler compiler, int walks)
    {
        CompiledConstraint constraint = compiler.Compile(new JsonSchemaSpec(schema));
        Validator validator = new(schema);
        for (int seed = 0; seed < walks; seed++)
        {
            List<int> tokens = Walk.Random(constraint, new Random(seed));
            string text = Vocabularies.Text(compiler.Vocabulary, tokens);
            Assert.True(validator.IsValid(text, out string problem), $"{name}, seed {seed}: {problem}\n{text}");

            // The same text cut otherwise is accepted, too.
            Assert.True(Walk.Accepts(constraint, Walk.Cut(compiler.Vocabulary, System.Text.Encoding.UTF8.GetBytes(text), new Random(seed))), $"{name}, seed {seed}: cut otherwise\n{text}");
        }
    }
}
