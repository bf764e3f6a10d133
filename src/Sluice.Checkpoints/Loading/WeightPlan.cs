using System.Globalization;
using Sluice.Checkpoints.Loading;
using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>
/// How a model takes its weights out of a store. The model first names every tensor with the shape it expects and files jobs that
/// will pack them; <see cref="Validate"/> then reports everything that is wrong at once; only then <see cref="Load"/> moves bytes, on
/// many cores. Planning is for one thread.
/// </summary>
public sealed class WeightPlan
{
    private readonly TensorStore _store;
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);
    private readonly List<string> _skipped = [];
    private readonly List<string> _problems = [];
    private readonly List<LoadJob> _jobs = [];
    private bool _validated;

    /// <summary>Begins a plan over <paramref name="store"/>, which must outlive the load.</summary>
    public WeightPlan(TensorStore store)
    {
        ArgumentNullException.ThrowIfNull(store);
        _store = store;
    }

    /// <summary>The model the weights belong to.</summary>
    public ModelConfig Config => _store.Config;

    /// <summary>Bytes all jobs filed so far will read.</summary>
    public long TotalBytes => _jobs.Sum(job => job.Bytes);

    /// <summary>
    /// A matrix [<paramref name="rows"/>, <paramref name="columns"/>]. When it is stored as F8_E4M3, its
    /// <c>weight_scale_inv</c> is taken as well and served by <see cref="MatrixSource.RowScales"/>.
    /// </summary>
    /// <param name="name">The tensor's whole name, with <c>.weight</c>.</param>
    /// <param name="rows">Output features.</param>
    /// <param name="columns">Input features.</param>
    /// <returns>The source; when the tensor is at fault, one of the right shape that cannot be read.</returns>
    public MatrixSource Matrix(string name, int rows, int columns)
    {
        if (Take(name, [rows, columns], Config.WeightType) is not { } tensor)
            return new MissingMatrix(name, rows, columns);
        if (tensor.Type == DType.F8E4M3)
            return ScaledMatrix(tensor, rows, columns);
        if (tensor.Type.IsWeightType())
            return new StoredMatrix(_store, tensor, rows, columns);

        Problem(name, $"expected F32, F16, BF16, F8_E4M3 or a block type, found {tensor.TypeName}");
        return new MissingMatrix(name, rows, columns);
    }

    /// <summary><see cref="Matrix"/> when the store has it, else null.</summary>
    public MatrixSource? OptionalMatrix(string name, int rows, int columns) => Has(name) ? Matrix(name, rows, columns) : null;

    /// <summary>
    /// <paramref name="count"/> matrices stored as one tensor [count, rows, columns], as BF16 checkpoints of Qwen3.5 store their
    /// experts: <c>mlp.experts.gate_up_proj</c> (gate above up) and <c>mlp.experts.down_proj</c>.
    /// </summary>
    public MatrixSource[] MatrixStack(string name, int count, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        TensorInfo? tensor = Take(name, [count, rows, columns], Config.WeightType);
        if (tensor is not null && (!tensor.Type.IsWeightType() || tensor.Type == DType.F8E4M3))
        {
            Problem(name, $"expected F32, F16, BF16 or a block type, found {tensor.TypeName}");
            tensor = null;
        }

        var matrices = new MatrixSource[count];
        for (int i = 0; i < count; i++)
        {
            matrices[i] = tensor is null
                ? new MissingMatrix(name, rows, columns)
                : new StoredMatrix(_store, tensor, rows, columns, (long)i * rows);
        }

        return matrices;
    }

    /// <summary>
    /// A small tensor, read at once, as float32. NaN or infinity in it is a problem; when the tensor is at fault the values
    /// are zeros.
    /// </summary>
    /// <param name="name">The tensor's whole name.</param>
    /// <param name="shape">The dimensions it must have.</param>
    public float[] Vector(string name, params ReadOnlySpan<int> shape)
    {
        int count = 1;
        foreach (int dimension in shape)
            count = checked(count * dimension);
        var values = new float[count];
        if (Take(name, shape, Config.WeightType) is not { } tensor)
            return values;
        if (!Floats.CanWiden(tensor.Type))
        {
            Problem(name, $"expected F32, F16 or BF16, found {tensor.TypeName}");
            return values;
        }

        int bytes = checked(count * tensor.Type.Size());
        Floats.Widen(tensor.Type, _store.Bytes(tensor, 0, bytes, new byte[bytes]), values);
        int wrong = Array.FindIndex(values, value => !float.IsFinite(value));
        if (wrong >= 0)
        {
            Problem(name, string.Create(CultureInfo.InvariantCulture, $"element {wrong} is {values[wrong]}; expected finite numbers"));
            Array.Clear(values);
        }

        return values;
    }

    /// <summary>Whether the store has an optional tensor. Asking does not use it up.</summary>
    public bool Has(string name) => _store.Has(name);

    /// <summary>Declares that names beginning with <paramref name="prefix"/> are known and deliberately not used.</summary>
    public void Skip(string prefix)
    {
        ArgumentException.ThrowIfNullOrEmpty(prefix);
        _skipped.Add(prefix);
    }

    /// <summary>Declares that a tensor is read by other means than this plan's.</summary>
    internal void Use(string name) => _used.Add(name);

    /// <summary>Files work for <see cref="Load"/>: any order, any thread, once.</summary>
    /// <param name="what">What it loads, for progress and errors.</param>
    /// <param name="bytes">Stored bytes it will read.</param>
    /// <param name="load">Reads sources and packs them.</param>
    public void Job(string what, long bytes, Action load)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentNullException.ThrowIfNull(load);
        _jobs.Add(new LoadJob(what, bytes, load));
    }

    /// <summary>
    /// Reports in one error every tensor that is missing, misshapen or mistyped, and every one that the store has and no one
    /// asked for.
    /// </summary>
    /// <exception cref="CheckpointException">There are any; <see cref="CheckpointException.Problems"/> has a line for each.</exception>
    public void Validate()
    {
        var problems = new List<string>(_problems);
        foreach (string name in _store.Names)
        {
            if (!_used.Contains(name) && !_skipped.Exists(prefix => name.StartsWith(prefix, StringComparison.Ordinal)))
                problems.Add($"{TensorPlace.Describe(name)}: is in the checkpoint but not in the model");
        }

        if (problems.Count > 0)
            throw Checkpoint.Several("weights", problems);
        _validated = true;
    }

    /// <summary>
    /// Runs all jobs, the largest first, on <paramref name="workers"/> threads. The first failure stops the others and is
    /// thrown; so is a cancellation.
    /// </summary>
    /// <param name="workers">Threads; 0 for one per core, 16 at most.</param>
    /// <param name="progress">Told about ten times a second, and at the end, on the calling thread.</param>
    /// <param name="cancellation">Gives up at the next row.</param>
    public void Load(int workers = 0, IProgress<LoadProgress>? progress = null, CancellationToken cancellation = default)
    {
        if (!_validated)
            throw new InvalidOperationException("Validate must come before Load");
        new Loader(_store, _jobs).Run(workers, progress, cancellation);
    }

    private MatrixSource ScaledMatrix(TensorInfo tensor, int rows, int columns)
    {
        var missing = new MissingMatrix(tensor.Name, rows, columns);
        if (Config.Fp8Block is not { } block)
        {
            Problem(tensor.Name, "is stored as F8_E4M3, and config.json has no quantization_config to say how it is scaled");
            return missing;
        }

        string name = tensor.Name + "_scale_inv";
        int[] shape = [((rows - 1) / block.Rows) + 1, ((columns - 1) / block.Columns) + 1];
        if (Take(name, shape, DType.F32) is not { } scales)
            return missing;
        if (Floats.CanWiden(scales.Type))
            return new BlockScaledMatrix(_store, tensor, scales, rows, columns, block);

        Problem(name, $"expected F32, F16 or BF16, found {scales.TypeName}");
        return missing;
    }

    /// <summary>Marks a name used and returns its tensor if it has the right shape.</summary>
    private TensorInfo? Take(string name, ReadOnlySpan<int> shape, DType type)
    {
        _used.Add(name);
        if (_store.Find(name, shape, type) is not { } tensor)
        {
            Problem(name, $"is missing; expected {type} {TensorPlace.Shape([.. shape])}");
            return null;
        }

        if (Matches(tensor.Shape, shape))
            return tensor;
        Problem(name, $"expected {TensorPlace.Shape([.. shape])}, found {TensorPlace.Shape(tensor.Shape)}");
        return null;
    }

    private static bool Matches(IReadOnlyList<int> found, ReadOnlySpan<int> expected)
    {
        if (found.Count != expected.Length)
            return false;
        for (int i = 0; i < expected.Length; i++)
        {
            if (found[i] != expected[i])
                return false;
        }

        return true;
    }

    private void Problem(string name, string what) => _problems.Add($"{TensorPlace.Describe(name)}: {what}");
}
