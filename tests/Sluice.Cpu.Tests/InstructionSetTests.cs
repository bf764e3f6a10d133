using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Sluice.Core;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Kernels;
using Sluice.Memory;

namespace Sluice.Cpu.Tests;

/// <summary>
/// The same tests in processes that may not use an instruction set, as on an older processor. Results must have the same bits with
/// and without AVX-512; below AVX2 there is no FMA, and closeness to the reference is what remains.
/// </summary>
public sealed class InstructionSetTests
{
    private const string RefusalVariable = "SLUICE_TEST_REFUSE_EXECUTABLE";
    private const int PermissionDenied = 13;
    private const CpuFeatures Vectors = CpuFeatures.Avx512BFloat16 | CpuFeatures.Avx512Vnni;

    // AMX's sums of BF16 products have bits of their own.
    private static readonly (string, string) WithoutAmx = (CpuFeatureDetection.DisableVariable, "amx");

    [Fact]
    public async Task Without_AVX512_the_bits_are_the_same()
    {
        Assert.SkipUnless(Avx2.IsSupported, "this processor has nothing to switch off");
        (string here, string name) = await DigestOfChild([WithoutAmx]);
        (string without, string other) = await DigestOfChild([("DOTNET_EnableAVX512", "0")]);
        Assert.Equal(AvxVnni.IsSupported ? "AVX2 VNNI" : "AVX2", other);
        Assert.Equal(here, without);
        if (AvxVnni.IsSupported)
        {
            (without, other) = await DigestOfChild([("DOTNET_EnableAVX512", "0"), ("DOTNET_EnableAVXVNNI", "0")]);
            Assert.Equal("AVX2", other);
            Assert.Equal(here, without);
        }

        Assert.Equal(KernelSet.Best(ActivationPrecision.Fast, Vectors)!.Name, name);
    }

    /// <summary>As on a Cortex-A72.</summary>
    [Fact]
    public async Task Without_Arms_dot_products_the_bits_are_the_same()
    {
        Assert.SkipUnless(Dp.IsSupported, "this processor has nothing to switch off");
        (string here, string name) = await DigestOfChild([]);
        (string without, string other) = await DigestOfChild([("DOTNET_EnableArm64Dp", "0")]);
        Assert.Equal("NEON DotProd", name);
        Assert.Equal("NEON", other);
        Assert.Equal(here, without);
    }

    [Theory]
    [InlineData("assembly", "AVX-512")]
    [InlineData("avx512bf16,amx", "AVX-512 VNNI")]
    [InlineData("avx512vnni,amx", "AVX-512 BF16")]
    public async Task Without_assembled_kernels_the_bits_are_the_same(string disabled, string expectedName)
    {
        Assert.SkipUnless(CpuFeatureDetection.Detect().HasFlag(Vectors), "this processor has nothing to switch off");
        (string here, _) = await DigestOfChild([WithoutAmx]);
        (string without, string name) = await DigestOfChild([(CpuFeatureDetection.DisableVariable, disabled)]);
        Assert.Equal(expectedName, name);
        Assert.Equal(here, without);
    }

    [Fact]
    public async Task AMX_is_used_unless_disabled()
    {
        Assert.SkipUnless(CpuFeatureDetection.Detect().HasFlag(Vectors | CpuFeatures.AmxBFloat16), "this processor has no AMX, or the system withholds it");
        (_, string name) = await DigestOfChild([]);
        Assert.Equal("AVX-512 AMX BF16 VNNI", name);
        (_, name) = await DigestOfChild([WithoutAmx]);
        Assert.Equal("AVX-512 BF16 VNNI", name);
    }

    [Fact]
    public async Task Without_AVX2_every_operation_still_agrees_with_the_reference()
    {
        Assert.SkipUnless(Avx2.IsSupported, "this processor has nothing to switch off");
        (_, string name) = await DigestOfChild([("DOTNET_EnableAVX2", "0")], wholeClass: true);
        Assert.Equal("128 bits, no FMA", name);
    }

    [Fact]
    public async Task Without_any_vectors_starting_is_refused()
    {
        Assert.SkipUnless(Avx2.IsSupported || AdvSimd.IsSupported, "this processor has nothing to switch off");
        string output = await Child([("DOTNET_EnableHWIntrinsic", "0")], "-method", $"{typeof(InstructionSetTests).FullName}.{nameof(Starting_needs_vectors)}");
        Assert.Contains("refused: expected a processor with 128-bit vectors", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Starting_needs_vectors()
    {
        if (Vector128.IsHardwareAccelerated)
        {
            using CpuBackend backend = new(new CpuOptions { Threads = 2, Numa = NumaPlacement.Off });
            Assert.Equal($"cpu ({KernelSet.Required(ActivationPrecision.Fast).Name}, 2 threads)", backend.Name);
            return;
        }

        // What the parent process looks for.
        BackendException error = Assert.Throws<BackendException>(() => new CpuBackend(new CpuOptions()));
        Console.WriteLine($"refused: {error.Message}");
    }

    /// <summary>A hardened system: results are the same, and the line that every command prints at start says why they come slower.</summary>
    [Fact]
    public async Task Where_memory_cannot_be_made_executable_managed_code_serves_and_says_why()
    {
        Assert.SkipUnless(CpuFeatureDetection.Detect() != CpuFeatures.None && OperatingSystem.IsLinux(), "nothing is assembled here");
        (string here, _) = await DigestOfChild([WithoutAmx]);
        (string refused, string name) = await DigestOfChild([(RefusalVariable, "1")]);
        Assert.Equal("AVX-512", name);
        Assert.Equal(here, refused);
        string output = await Child([(RefusalVariable, "1")], "-method", $"{typeof(InstructionSetTests).FullName}.{nameof(Starting_says_what_is_refused)}");
        Assert.Contains("started: cpu (AVX-512, without BF16 and VNNI: memory cannot be made executable: Permission denied, 2 threads)", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Starting_says_what_is_refused()
    {
        using CpuBackend backend = new(new CpuOptions { Threads = 2, Numa = NumaPlacement.Off });
        Assert.Equal(AssembledKernels.Refusal is not null, backend.Name.Contains("cannot be made executable", StringComparison.Ordinal));

        // What the parent process looks for.
        Console.WriteLine($"started: {backend.Name}");
    }

    /// <summary>In a child process that asks for it, the system refuses, from before the first kernel.</summary>
    [ModuleInitializer]
    internal static unsafe void RefuseExecutableMemory()
    {
        if (Environment.GetEnvironmentVariable(RefusalVariable) is null)
            return;
        ExecutableMemory.Protect = static (_, _, _) =>
        {
            Marshal.SetLastPInvokeError(PermissionDenied);
            return -1;
        };
    }

    private static async Task<(string Digest, string Name)> DigestOfChild((string, string)[] environment, bool wholeClass = false)
    {
        string path = Path.Combine(Path.GetTempPath(), $"sluice-{Guid.NewGuid():n}");
        try
        {
            string[] filter = wholeClass
                ? ["-class", typeof(OperationTests).FullName!]
                : ["-method", $"{typeof(OperationTests).FullName}.{nameof(OperationTests.Digest)}"];
            await Child([.. environment, (OperationTests.DigestVariable, path)], filter);
            string[] lines = await File.ReadAllLinesAsync(path, TestContext.Current.CancellationToken);
            return (lines[1], lines[0]);
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Runs some of these tests in a process of its own, which must succeed; returns what it printed.</summary>
    private static async Task<string> Child((string Name, string Value)[] environment, params string[] arguments)
    {
        string program = Environment.ProcessPath!;
        string assembly = typeof(InstructionSetTests).Assembly.Location;
        bool isHost = Path.GetFileNameWithoutExtension(program).Equals("dotnet", StringComparison.OrdinalIgnoreCase);
        ProcessStartInfo start = new(program, isHost ? [assembly, "-noColor", .. arguments] : ["-noColor", .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach ((string name, string value) in environment)
            start.Environment[name] = value;

        using Process process = Process.Start(start)!;
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        Task<string> errors = process.StandardError.ReadToEndAsync(cancellation);
        string output = await process.StandardOutput.ReadToEndAsync(cancellation) + await errors;
        await process.WaitForExitAsync(cancellation);
        Assert.True(process.ExitCode == 0, $"exit code {process.ExitCode}: {output}");
        return output;
    }
}
