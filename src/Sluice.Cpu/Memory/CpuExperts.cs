using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Memory;

/// <summary>A layer's experts: gate and up interleaved by panels, and down.</summary>
internal sealed class CpuExperts : ExpertWeights
{
    private CpuExperts(Expert[] experts, int hidden, int intermediate)
        : base(experts.Length, experts.Sum(expert => expert.GateUp.Bytes + expert.Down.Bytes))
    {
        All = experts;
        Hidden = hidden;
        Intermediate = intermediate;
    }

    public Expert[] All { get; }

    /// <summary>Width of the rows that go in and come out.</summary>
    public int Hidden { get; }

    /// <summary>Width between the two products.</summary>
    public int Intermediate { get; }

    public static CpuExperts Load(IReadOnlyList<ExpertSource> sources, WeightMemory memory, ActivationPrecision precision)
    {
        if (sources.Count == 0)
            throw new ArgumentException("a layer of experts needs at least one", nameof(sources));
        int hidden = sources[0].Gate.Columns;
        int intermediate = sources[0].Gate.Rows;
        Expert[] experts = new Expert[sources.Count];
        for (int e = 0; e < experts.Length; e++)
        {
            ExpertSource source = sources[e];
            Require(source.Gate, intermediate, hidden);
            Require(source.Up, intermediate, hidden);
            Require(source.Down, hidden, intermediate);
            if (source.Up.Type != source.Gate.Type || source.Up.ScaleBlock != source.Gate.ScaleBlock)
                throw new BackendException($"{source.Up.Name}: expected {source.Gate.Type} as in {source.Gate.Name}, found {source.Up.Type}");
            experts[e] = new Expert(
                PanelPacker.PackInterleaved(source.Gate, source.Up, memory, precision), PanelPacker.Pack([source.Down], memory, precision)[0]);
        }

        return new CpuExperts(experts, hidden, intermediate);
    }

    private static void Require(MatrixSource source, int rows, int columns)
    {
        if (source.Rows != rows || source.Columns != columns)
            throw new BackendException($"{source.Name}: expected [{rows}, {columns}], found [{source.Rows}, {source.Columns}]");
    }

    /// <summary>One expert.</summary>
    /// <param name="GateUp">Panels gate 0, up 0, gate 1, up 1...</param>
    /// <param name="Down">[hidden, intermediate].</param>
    internal readonly record struct Expert(PanelMatrix GateUp, PanelMatrix Down);
}
