using System.Diagnostics;
using System.Globalization;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests.Fuzzing;

/// <summary>Feeds mutated documents to a parser, on all cores: each must load or be refused with a typed error, in bounded time and memory.</summary>
internal static class Campaign
{
    private const ulong Seed = 20_260_101;

    /// <summary>What a document may make the parser allocate beyond twice its length: dictionaries, exceptions with their messages.</summary>
    private const long AllocationAllowance = 96 << 10;

    private static readonly TimeSpan SlowestAllowed = TimeSpan.FromSeconds(20);

    /// <summary>Parses a document made from the seed of that index; returns or throws what is wrong with it.</summary>
    internal delegate SluiceException? Parser(ReadOnlySpan<byte> document, int seed);

    /// <summary>Iterations for a default run, or what the environment asks for.</summary>
    internal static long Iterations(string variable, long usual) =>
        long.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out long asked) ? asked : usual;

    /// <summary>Makes a variant of a seed; valid until the next call.</summary>
    internal delegate ReadOnlySpan<byte> Mutation(ulong number);

    internal static Outcome Run(IReadOnlyList<byte[]> seeds, long iterations, Func<Parser> createParser) =>
        Run(seeds, iterations, createParser, seed => new Mutator(seed).Mutate);

    internal static Outcome Run(IReadOnlyList<byte[]> seeds, long iterations, Func<Parser> createParser, Func<byte[], Mutation> createMutation)
    {
        int workers = Environment.ProcessorCount;
        var outcomes = new Outcome[workers];
        long start = Stopwatch.GetTimestamp();
        Parallel.For(0, workers, new ParallelOptions { MaxDegreeOfParallelism = workers }, worker =>
        {
            Mutation[] mutators = [.. seeds.Select(createMutation)];
            Parser parser = createParser();
            WarmUp(parser, mutators);
            var outcome = default(Outcome);
            for (long i = worker; i < iterations; i += workers)
                Try(parser, mutators, (ulong)i, ref outcome);
            outcomes[worker] = outcome;
        });

        Outcome total = outcomes.Aggregate((a, b) => new Outcome(a.Loaded + b.Loaded, a.Refused + b.Refused));
        double rate = iterations / Stopwatch.GetElapsedTime(start).TotalSeconds;
        TestContext.Current.SendDiagnosticMessage(string.Create(
            CultureInfo.InvariantCulture, $"{iterations} documents, {total.Loaded} loaded, {total.Refused} refused, {rate:N0} a second"));
        return total;
    }

    /// <summary>The first exceptions of a thread allocate what the runtime then keeps, which is not the parser's doing.</summary>
    private static void WarmUp(Parser parser, Mutation[] mutators)
    {
        for (int number = 0; number < 8 * mutators.Length; number++)
        {
            try
            {
                parser(mutators[number % mutators.Length]((ulong)number), number % mutators.Length);
            }
            catch (Exception)
            {
                // Whatever it is, the campaign will meet it again and say so.
            }
        }
    }

    private static void Try(Parser parser, Mutation[] mutators, ulong number, ref Outcome outcome)
    {
        int seed = (int)(number % (ulong)mutators.Length);
        ReadOnlySpan<byte> document = mutators[seed](Seed + number);
        long start = Stopwatch.GetTimestamp();
        long before = GC.GetAllocatedBytesForCurrentThread();
        SluiceException? problem;
        try
        {
            problem = parser(document, seed);
        }
        catch (SluiceException e)
        {
            problem = e;
        }
        catch (Exception e)
        {
            throw Failure(number, document, "not a typed error: " + e.GetType(), e);
        }

        outcome = problem is null ? outcome with { Loaded = outcome.Loaded + 1 } : outcome with { Refused = outcome.Refused + 1 };
        if (problem is not null && (problem.Message.AsSpan().ContainsAny('\n', '\r') || problem.Message.Length > 1000))
            throw Failure(number, document, "the message is not one short line: " + problem.Message, problem);

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        if (allocated > (2 * document.Length) + AllocationAllowance)
            throw Failure(number, document, $"{allocated} bytes were allocated for a document of {document.Length}", null);
        if (Stopwatch.GetElapsedTime(start) > SlowestAllowed)
            throw Failure(number, document, "it took too long", null);
    }

    private static InvalidOperationException Failure(ulong number, ReadOnlySpan<byte> document, string what, Exception? inner) =>
        new($"document {number} of seed {Seed}: {what}\n{Convert.ToBase64String(document)}", inner);

    internal record struct Outcome(long Loaded, long Refused);
}
