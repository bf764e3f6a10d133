using System.Runtime.Intrinsics.X86;

namespace Sluice.Cpu.Assembly;

/// <summary>Instruction sets that .NET does not expose and assembled kernels use.</summary>
[Flags]
internal enum CpuFeatures
{
    None = 0,

    /// <summary><c>vdpbf16ps</c> on 512 bits.</summary>
    Avx512BFloat16 = 1,

    /// <summary><c>vpdpbusd</c> on 512 bits.</summary>
    Avx512Vnni = 2,

    All = Avx512BFloat16 | Avx512Vnni,
}

/// <summary>What this processor has, less what <c>SLUICE_CPU_DISABLE</c> takes away.</summary>
internal static class CpuFeatureDetection
{
    /// <summary>Names instruction sets to do without, separated by commas: <c>avx512bf16</c>, <c>avx512vnni</c>, or <c>assembly</c> for both.</summary>
    public const string DisableVariable = "SLUICE_CPU_DISABLE";

    /// <summary>What may be used now.</summary>
    public static CpuFeatures Detect()
    {
        // That the system saves 512-bit registers is .NET's finding already.
        if (!Avx512BW.IsSupported || !Avx512F.VL.IsSupported || !Avx512DQ.IsSupported || !Environment.Is64BitProcess)
            return CpuFeatures.None;
        CpuFeatures features = CpuFeatures.None;
        (int leaves, _, _, _) = X86Base.CpuId(0, 0);
        if (leaves < 7)
            return features;
        (int subleaves, _, int ecx, _) = X86Base.CpuId(7, 0);
        if ((ecx & (1 << 11)) != 0)
            features |= CpuFeatures.Avx512Vnni;
        if (subleaves >= 1 && (X86Base.CpuId(7, 1).Eax & (1 << 5)) != 0)
            features |= CpuFeatures.Avx512BFloat16;
        return features & ~Disabled(Environment.GetEnvironmentVariable(DisableVariable));
    }

    /// <summary>The sets that a list names; other words are other programs' business.</summary>
    internal static CpuFeatures Disabled(string? list)
    {
        CpuFeatures disabled = CpuFeatures.None;
        foreach (string name in (list ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            disabled |= name.ToUpperInvariant() switch
            {
                "AVX512BF16" => CpuFeatures.Avx512BFloat16,
                "AVX512VNNI" => CpuFeatures.Avx512Vnni,
                "ASSEMBLY" => CpuFeatures.All,
                _ => CpuFeatures.None,
            };
        }

        return disabled;
    }
}
