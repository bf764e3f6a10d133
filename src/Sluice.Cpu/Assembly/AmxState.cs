using static Iced.Intel.AssemblerRegisters;

namespace Sluice.Cpu.Assembly;

/// <summary>Gives tile registers the shapes in <see cref="TileArguments.Shapes"/>, and zeroes them.</summary>
internal sealed class AmxConfiguration : TileAssembler
{
    protected override void Reserve()
    {
        // No vectors.
    }

    protected override void Body() => Code.ldtilecfg(__[Arguments + Field(nameof(TileArguments.Shapes))]);
}

/// <summary>Lets tile registers go, so that the system need not save them when the thread makes room for another.</summary>
internal sealed class AmxRelease : TileAssembler
{
    protected override void Reserve()
    {
        // No vectors.
    }

    protected override void Body() => Code.tilerelease();
}
