using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Sluice.Backends;
using Sluice.Backends.Reference;
using Sluice.Cpu.Kernels;
using Sluice.Cpu.Simd;
using Sluice.Tests.Operations;

namespace Sluice.Cpu.Tests;

/// <summary>
/// Every operation on random shapes: close to the scalar reference, and the same bits with every instruction set and number of threads.
/// <c>SLUICE_TEST_SCALE</c> multiplies the number of seeds.
/// </summary>
public sealed class OperationTests
{
    /// <summary>Where to write a digest of all results, so that another process can compare its own.</summary>
    internal const string DigestVariable = "SLUICE_CPU_DIGEST";

    private static readonly int Seeds =
        6 * int.Parse(Environment.GetEnvironmentVariable("SLUICE_TEST_SCALE") ?? "1", System.Globalization.CultureInfo.InvariantCulture);

    public static TheoryData<string> Names => [.. OperationCases.All.Select(one => one.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Agrees_with_the_reference_on_every_instruction_set(string name)
    {
        (_, Func<IBackend, int, float[]> run, double tolerance) = OperationCases.All.Single(one => one.Name == name);
        for (int seed = 0; seed < Seeds; seed++)
        {
            float[] expected = Run(new ReferenceBackend(), run, seed);
            float[]? first = null;
            foreach ((KernelSet kernels, int threads) in Ways())
            {
                float[] found = Run(new CpuBackend(new CpuOptions { Threads = threads }, kernels), run, seed);
                string what = $"{name}, seed {seed}, {kernels.Name}, {threads} threads";
                AssertClose(expected, found, tolerance, what);
                AssertSame(first ??= found, found, what);
            }
        }
    }

    [Fact]
    public void Digest()
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((_, Func<IBackend, int, float[]> run, _) in OperationCases.All)
        {
            for (int seed = 0; seed < 3; seed++)
            {
                foreach (ActivationPrecision precision in Enum.GetValues<ActivationPrecision>())
                    hash.AppendData(MemoryMarshal.AsBytes<float>(Run(new CpuBackend(new CpuOptions { Threads = 2, Activations = precision }), run, seed)));
            }
        }

        foreach (KvDtype type in (KvDtype[])[KvDtype.BF16, KvDtype.Int8])
        {
            for (int seed = 0; seed < 3; seed++)
                hash.AppendData(MemoryMarshal.AsBytes<float>(Run(new CpuBackend(new CpuOptions { Threads = 2, KvDtype = type }), OperationCases.Attention, seed)));
        }

        hash.AppendData(MemoryMarshal.AsBytes<float>(FastProductTests.OfAllTypes(new CpuBackend(new CpuOptions { Threads = 2 }))));

        string digest = Convert.ToHexString(hash.GetHashAndReset());
        if (Environment.GetEnvironmentVariable(DigestVariable) is { } path)
            File.WriteAllText(path, $"{KernelSet.Best(ActivationPrecision.Fast)!.Name}\n{digest}");
        Assert.Equal(64, digest.Length);
    }

    internal static void AssertSame(float[] expected, float[] found, string what)
    {
        Assert.Equal(expected.Length, found.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            if (BitConverter.SingleToInt32Bits(expected[i]) != BitConverter.SingleToInt32Bits(found[i]))
                Assert.Fail($"{what}: number {i} is {found[i]:r}, elsewhere {expected[i]:r}");
        }
    }

    /// <summary>
    /// The widths this processor has, best first. In one process the narrow ones use FMA too if there is one, as on Arm: all give the same bits.
    /// </summary>
    internal static IEnumerable<(KernelSet Kernels, int Threads)> Ways()
    {
        KernelSet best = KernelSet.Best()!;
        yield return (best, 1);
        yield return (best, 3);
        if (System.Runtime.Intrinsics.Vector512.IsHardwareAccelerated)
            yield return (new KernelSet<V256, Twice<V256>>("256 bits"), 2);
        if (System.Runtime.Intrinsics.Vector256.IsHardwareAccelerated)
            yield return (new KernelSet<V128, Twice<Twice<V128>>>("128 bits"), 2);
    }

    internal static float[] Run(IBackend backend, Func<IBackend, int, float[]> run, int seed)
    {
        using (backend)
            return run(backend, seed);
    }

    internal static void AssertClose(float[] expected, float[] found, double tolerance, string what)
    {
        Assert.Equal(expected.Length, found.Length);
        double scale = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++)
        {
            double distance = Math.Abs((double)expected[i] - found[i]);
            if (!(distance <= tolerance * scale))
                Assert.Fail($"{what}: number {i} is {found[i]:r}, expected {expected[i]:r}, {distance / scale:e1} of the largest apart");
        }
    }
}
