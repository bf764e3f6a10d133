using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Tests.Operations;

namespace Sluice.Cuda.Tests;

/// <summary>
/// Every operation on random shapes against the scalar reference, which is given the same inputs rounded to bfloat16; results begin as NaN. Without
/// a card these are skipped; <c>SLUICE_CUDA_SEEDS</c> sets the number of seeds.
/// </summary>
public sealed class CudaOperationTests
{
    // Of the largest number: bfloat16 holds 2^-9, and inputs, weights and results are each rounded once.
    private const double Tolerance = 1.5e-2;
    private const double NormTolerance = 1e-2;

    private static readonly int Seeds =
        int.Parse(Environment.GetEnvironmentVariable("SLUICE_CUDA_SEEDS") ?? "6", System.Globalization.CultureInfo.InvariantCulture);

    public static TheoryData<string> Names => [.. OperationCases.All.Select(one => one.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Agrees_with_the_reference(string name)
    {
        Assert.SkipUnless(Card.IsThere, Card.WhyNot);
        (_, Func<IBackend, int, float[]> run, _) = OperationCases.All.Single(one => one.Name == name);
        for (int seed = 0; seed < Seeds; seed++)
        {
            using ReferenceBackend reference = new();
            float[] expected = run(reference, seed);
            using CudaBackend card = CudaBackend.Open();
            AssertClose(expected, run(card, seed), $"{name}, seed {seed}");
        }
    }

    private static void AssertClose(float[] expected, float[] found, string what)
    {
        Assert.Equal(expected.Length, found.Length);
        double scale = expected.Max(Math.Abs);
        double error = 0;
        double norm = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            double distance = Math.Abs((double)expected[i] - found[i]);
            if (!(distance <= Tolerance * scale))
                Assert.Fail($"{what}: number {i} of {expected.Length} is {found[i]:r}, expected {expected[i]:r}, {distance / scale:e1} of the largest apart");
            error += distance * distance;
            norm += (double)expected[i] * expected[i];
        }

        double relative = Math.Sqrt(error / Math.Max(norm, double.Epsilon));
        Assert.True(relative <= NormTolerance, $"{what}: relative error {relative:e2}");
    }
}
