using System.Collections.Concurrent;

namespace Sluice.Caching.Tests.Mutation;

/// <summary>
/// Every planted bug must be found by the property test, and the same build without any must pass it. <c>SLUICE_CACHE_MUTANT</c>
/// runs those whose names contain it.
/// </summary>
public sealed class MutantTests(ITestOutputHelper output)
{
    private const int Operations = 600;
    private const int SoundSeeds = 10;
    private const int MostSeeds = 120;
    private const int FewestMutants = 20;

    [Fact]
    public void Every_planted_bug_is_caught()
    {
        var laboratory = new Laboratory(Mutants.All);
        Assert.Null(laboratory.Run(null, SoundSeeds, Operations));

        string? only = Environment.GetEnvironmentVariable("SLUICE_CACHE_MUTANT");
        Mutant[] mutants = [.. Mutants.All.Where(x => only is null || x.Name.Contains(only, StringComparison.Ordinal))];
        var caught = new ConcurrentDictionary<string, string>(StringComparer.Ordinal);
        Parallel.ForEach(Partitioner.Create(mutants, EnumerablePartitionerOptions.NoBuffering), mutant =>
        {
            if (laboratory.Run(mutant, MostSeeds, Operations) is { } message)
                caught[mutant.Name] = message.Split('\n')[0];
        });

        foreach (Mutant mutant in mutants)
            output.WriteLine($"{mutant.Name}\n    {caught.GetValueOrDefault(mutant.Name, "ESCAPED")}");
        string[] escaped = [.. mutants.Select(x => x.Name).Where(x => !caught.ContainsKey(x))];
        Assert.True(escaped.Length == 0, $"{escaped.Length} of {mutants.Length} planted bugs escaped: {string.Join("; ", escaped)}");
        Assert.True(only is not null || mutants.Length >= FewestMutants, "too few planted bugs");
    }
}
