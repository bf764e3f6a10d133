using Sluice.Backends;
using Sluice.Checkpoints;
using Sluice.Core;

namespace Sluice.Models.Loading;

/// <summary>
/// Declares a model's weights: each call names tensors and the shape they must have, and adds the job that packs them for the
/// device. Nothing is packed before the plan is loaded.
/// </summary>
internal sealed class WeightLoader(WeightPlan plan, IBackend backend, ModelConfig config)
{
    public ModelConfig Config => config;

    /// <summary>A stored matrix [<paramref name="rows"/>, <paramref name="columns"/>], <c>name.weight</c>.</summary>
    public MatrixSource Source(string name, int rows, int columns) => plan.Matrix(name + ".weight", rows, columns);

    /// <summary>Whether the checkpoint has the matrix <c>name.weight</c>.</summary>
    public bool Has(string name) => plan.Has(name + ".weight");

    /// <summary>Packs stacked parts as one matrix.</summary>
    public Pending<Matrix> Matrix(string what, MatrixUse use, params MatrixSource[] parts)
    {
        Pending<Matrix> matrix = new();
        plan.Job(what, parts.Sum(part => part.ByteLength), () => matrix.Value = backend.LoadMatrix(use, parts));
        return matrix;
    }

    /// <summary>Packs one stored matrix that activations are multiplied with.</summary>
    public Pending<Matrix> Linear(string name, int rows, int columns) => Matrix(name, MatrixUse.Linear, Source(name, rows, columns));

    /// <summary>Packs gate_proj over up_proj, each [<paramref name="width"/>, hidden].</summary>
    public Pending<Matrix> GateUp(string name, int width) => Matrix(
        name + ".gate_up", MatrixUse.Linear, Source(name + ".gate_proj", width, config.HiddenSize), Source(name + ".up_proj", width, config.HiddenSize));

    /// <summary>Packs a layer's experts, stored one by one or, in some checkpoints of Qwen3.5, stacked.</summary>
    public Pending<ExpertWeights> Experts(string name, MoeConfig shape)
    {
        ExpertSource[] sources = plan.Has(name + ".gate_up_proj") ? StackedExperts(name, shape) : SingleExperts(name, shape);
        long bytes = sources.Sum(source => source.Gate.ByteLength + source.Up.ByteLength + source.Down.ByteLength);
        Pending<ExpertWeights> experts = new();
        plan.Job(name, bytes, () => experts.Value = backend.LoadExperts(sources));
        return experts;
    }

    /// <summary>Packs a stored vector of any shape.</summary>
    public Pending<Vector> Vector(string name, params ReadOnlySpan<int> shape) => Vector(plan.Vector(name, shape));

    /// <summary>Packs the bias of stacked matrices, each reordered as its matrix is: null for as stored.</summary>
    public Pending<Vector> Bias(params ReadOnlySpan<(string Name, int Length, int[]? Order)> parts)
    {
        List<float> values = [];
        foreach ((string name, int length, int[]? order) in parts)
        {
            float[] stored = plan.Vector(name + ".bias", length);
            values.AddRange(order is null ? stored : Array.ConvertAll(order, row => stored[row]));
        }

        return Vector([.. values]);
    }

    /// <summary>
    /// A norm of the residual stream or of q and k, <c>name.weight</c>: where the architecture stores such weights around zero,
    /// the 1 is added here, in float32.
    /// </summary>
    public Pending<Vector> Norm(string name, int width)
    {
        float centre = config.ZeroCentredNorm ? 1f : 0f;
        return Vector(Array.ConvertAll(plan.Vector(name + ".weight", width), value => value + centre));
    }

    private ExpertSource[] SingleExperts(string name, MoeConfig shape)
    {
        ExpertSource[] sources = new ExpertSource[shape.Experts];
        for (int e = 0; e < sources.Length; e++)
        {
            sources[e] = new ExpertSource(
                Source($"{name}.{e}.gate_proj", shape.IntermediateSize, config.HiddenSize),
                Source($"{name}.{e}.up_proj", shape.IntermediateSize, config.HiddenSize),
                Source($"{name}.{e}.down_proj", config.HiddenSize, shape.IntermediateSize));
        }

        return sources;
    }

    /// <summary>Gate over up as one tensor [experts, 2 * width, hidden], down as [experts, hidden, width].</summary>
    private ExpertSource[] StackedExperts(string name, MoeConfig shape)
    {
        MatrixSource[] gateUp = plan.MatrixStack(name + ".gate_up_proj", shape.Experts, 2 * shape.IntermediateSize, config.HiddenSize);
        MatrixSource[] down = plan.MatrixStack(name + ".down_proj", shape.Experts, config.HiddenSize, shape.IntermediateSize);
        int[] gateRows = [.. Enumerable.Range(0, shape.IntermediateSize)];
        int[] upRows = [.. Enumerable.Range(shape.IntermediateSize, shape.IntermediateSize)];
        ExpertSource[] sources = new ExpertSource[shape.Experts];
        for (int e = 0; e < sources.Length; e++)
            sources[e] = new ExpertSource(gateUp[e].SelectRows(gateRows), gateUp[e].SelectRows(upRows), down[e]);
        return sources;
    }

    // The plan reads vectors while it is made, so there is nothing left to do in parallel.
    private Pending<Vector> Vector(float[] values) => new() { Value = backend.LoadVector(values) };
}
