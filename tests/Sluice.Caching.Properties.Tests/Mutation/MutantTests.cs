using System.Collections.Concurrent;

namespace Sluice.Caching.Properties.Tests.Mutation;

/// <summary>Every planted bug must be found by the property test, and the sound library, built the same way, must pass it.</summary>
public sealed class MutantTests(ITestOutputHelper output)
{
    private const int Operations = 600;
    private const int SoundSeeds = 4;
    private const int MostSeeds = 120;

    [Fact]
    public void The_sound_library_passes() =>
        Assert.Null(Laboratory.Run(new Mutant("none"), SoundSeeds, Operations));

    [Fact]
    public void Every_planted_bug_is_caught()
    {
        var escaped = new ConcurrentQueue<string>();
        var caught = new ConcurrentDictionary<string, string>(StringComparer.Ordinal);
        var only = Environment.GetEnvironmentVariable("SLUICE_CACHE_MUTANT");
        Mutant[] mutants = [.. Mutants.All.Where(x => only is null || x.Name.Contains(only, StringComparison.Ordinal))];
        Parallel.ForEach(Partitioner.Create(mutants, EnumerablePartitionerOptions.NoBuffering), mutant =>
        {
            if (Laboratory.Run(mutant, MostSeeds, Operations) is { } message)
                caught[mutant.Name] = message.Split('\n')[0];
            else
                escaped.Enqueue(mutant.Name);
        });

        foreach (Mutant mutant in mutants)
        {
            if (caught.TryGetValue(mutant.Name, out string? how))
                output.WriteLine($"{mutant.Name}\n    {how}");
        }

        Assert.True(escaped.IsEmpty, $"{escaped.Count} of {mutants.Length} planted bugs escaped: {string.Join("; ", escaped)}");
        Assert.True(only is not null || mutants.Length >= 20, "too few planted bugs");
    }
}
