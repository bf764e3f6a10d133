using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>One instruction in independent chains, from registers alone: the most this processor does.</summary>
internal sealed class PeakLoop(CpuFeatures feature) : TileAssembler
{
    private const int Chains = 24;
    private const int TileProduct = AmxShapes.TileRows * AmxShapes.TileRows;

    private static readonly AssemblerRegisterTMM[] TileSums = [tmm0, tmm1, tmm2, tmm3];

    private AssemblerRegisterZMM[] _sums = [];
    private AssemblerRegisterZMM _factor;

    private bool IsTiled => (feature & CpuFeatures.Amx) != CpuFeatures.None;

    /// <summary>Multiply-adds of one of <see cref="TileArguments.Blocks"/>.</summary>
    public static double MultiplyAddsOf(CpuFeatures feature) => feature switch
    {
        CpuFeatures.None => Chains * 16,
        CpuFeatures.Avx512BFloat16 => Chains * 32,
        CpuFeatures.Avx512Vnni => Chains * 64,
        CpuFeatures.AmxBFloat16 => TileSums.Length * TileProduct * 32,
        _ => TileSums.Length * TileProduct * 64,
    };

    protected override void Reserve()
    {
        if (IsTiled)
            return;
        _sums = Take(Chains);
        _factor = Take();
    }

    protected override void Body()
    {
        if (IsTiled)
        {
            Tiles();
            return;
        }

        Code.vpxord(_factor, _factor, _factor);
        foreach (AssemblerRegisterZMM sum in _sums)
            Code.vpxord(sum, sum, sum);
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            foreach (AssemblerRegisterZMM sum in _sums)
            {
                if (feature == CpuFeatures.None)
                    Code.vfmadd231ps(sum, _factor, _factor);
                else if (feature == CpuFeatures.Avx512BFloat16)
                    Code.vdpbf16ps(sum, _factor, _factor);
                else
                    Code.vpdpbusd(sum, _factor, _factor);
            }
        });
    }

    /// <summary>Any two registers that have the shapes of rows and of weights serve.</summary>
    private void Tiles()
    {
        Code.ldtilecfg(__[Arguments + Field(nameof(TileArguments.Shapes))]);
        Repeat(nameof(TileArguments.Blocks), () =>
        {
            foreach (AssemblerRegisterTMM sum in TileSums)
            {
                if (feature == CpuFeatures.AmxBFloat16)
                    Code.tdpbf16ps(sum, tmm4, tmm6);
                else
                    Code.tdpbssd(sum, tmm4, tmm6);
            }
        });
        Code.tilerelease();
    }
}
