using Iced.Intel;

namespace Sluice.Cpu.Assembly;

/// <summary>One instruction in 24 independent chains, from registers alone: the most this processor does.</summary>
internal sealed class PeakLoop(CpuFeatures feature) : TileAssembler
{
    private const int Chains = 24;

    /// <summary>Multiply-adds of one of <see cref="TileArguments.Blocks"/>.</summary>
    public static double MultiplyAddsOf(CpuFeatures feature) => Chains * (feature == CpuFeatures.Avx512BFloat16 ? 32 : 64);

    private AssemblerRegisterZMM[] _sums = [];
    private AssemblerRegisterZMM _factor;

    protected override void Reserve()
    {
        _sums = Take(Chains);
        _factor = Take();
    }

    protected override void Body()
    {
        Code.vpxord(_factor, _factor, _factor);
        foreach (AssemblerRegisterZMM sum in _sums)
            Code.vpxord(sum, sum, sum);
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            foreach (AssemblerRegisterZMM sum in _sums)
            {
                if (feature == CpuFeatures.Avx512BFloat16)
                    Code.vdpbf16ps(sum, _factor, _factor);
                else
                    Code.vpdpbusd(sum, _factor, _factor);
            }
        });
    }
}
