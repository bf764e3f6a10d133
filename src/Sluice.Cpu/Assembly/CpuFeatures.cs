using System.Runtime.Intrinsics.X86;
using Sluice.Memory;

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

    /// <summary><c>tdpbf16ps</c> on tiles, which the system lets this process use.</summary>
    AmxBFloat16 = 4,

    /// <summary><c>tdpbssd</c> and its like, likewise: measured, but no kernel gains by it.</summary>
    AmxInt8 = 8,

    Amx = AmxBFloat16 | AmxInt8,

    All = Avx512BFloat16 | Avx512Vnni | Amx,
}

/// <summary>What this processor has, less what <c>SLUICE_CPU_DISABLE</c> takes away.</summary>
internal static class CpuFeatureDetection
{
    /// <summary>Names instruction sets to do without, separated by commas: <c>amx</c>, <c>avx512bf16</c>, <c>avx512vnni</c>, or <c>assembly</c> for all.</summary>
    public const string DisableVariable = "SLUICE_CPU_DISABLE";

    /// <summary>What may be used now.</summary>
    public static CpuFeatures Detect()
    {
        // That the system saves 512-bit registers is .NET's finding already.
        if (!Avx512BW.IsSupported || !Avx512F.VL.IsSupported || !Avx512DQ.IsSupported || !Environment.Is64BitProcess)
            return CpuFeatures.None;
        (int leaves, _, _, _) = X86Base.CpuId(0, 0);
        if (leaves < 7)
            return CpuFeatures.None;
        (int subleaves, _, int ecx, int edx) = X86Base.CpuId(7, 0);
        CpuFeatures features = OfLeaf7(ecx, edx, subleaves >= 1 ? X86Base.CpuId(7, 1).Eax : 0)
            & ~Disabled(Environment.GetEnvironmentVariable(DisableVariable));
        return (features & CpuFeatures.Amx) != CpuFeatures.None && !TileState.TryRequest() ? features & ~CpuFeatures.Amx : features;
    }

    /// <summary>What CPUID's seventh leaf tells.</summary>
    internal static CpuFeatures OfLeaf7(int ecx, int edx, int subleaf1Eax)
    {
        CpuFeatures features = CpuFeatures.None;
        if ((ecx & (1 << 11)) != 0)
            features |= CpuFeatures.Avx512Vnni;
        if ((subleaf1Eax & (1 << 5)) != 0)
            features |= CpuFeatures.Avx512BFloat16;
        bool hasTiles = (edx & (1 << 24)) != 0;
        if (hasTiles && (edx & (1 << 22)) != 0)
            features |= CpuFeatures.AmxBFloat16;
        if (hasTiles && (edx & (1 << 25)) != 0)
            features |= CpuFeatures.AmxInt8;
        return features;
    }

    /// <summary>The sets that a list names; other words are other programs' business.</summary>
    internal static CpuFeatures Disabled(string? list)
    {
        CpuFeatures disabled = CpuFeatures.None;
        foreach (string name in (list ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            disabled |= name.ToUpperInvariant() switch
            {
                "AMX" => CpuFeatures.Amx,
                "AVX512BF16" => CpuFeatures.Avx512BFloat16,
                "AVX512VNNI" => CpuFeatures.Avx512Vnni,
                "ASSEMBLY" => CpuFeatures.All,
                _ => CpuFeatures.None,
            };
        }

        return disabled;
    }
}
