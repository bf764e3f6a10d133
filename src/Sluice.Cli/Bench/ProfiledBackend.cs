using System.Diagnostics;
using System.Globalization;
using Sluice.Backends;
using Sluice.Core;
using Spectre.Console;

namespace Sluice.Cli.Bench;

/// <summary>
/// A backend that takes the time of each operation of another: where a step's time goes. Matrix products are told apart by their size.
/// It disposes nothing; for devices that do their work when it is asked for.
/// </summary>
internal sealed class ProfiledBackend(IBackend inner) : IBackend
{
    private readonly Dictionary<string, long> _ticks = [];

    public string Name => inner.Name;

    public bool IsQueued => inner.IsQueued;

    public long AvailableBytes => inner.AvailableBytes;

    public bool TakesTiledValueHeads => inner.TakesTiledValueHeads;

    public long BytesOfWeights(DType type, long elements) => inner.BytesOfWeights(type, elements);

    public long BytesOfMatrix(DType type, int rows, int columns, int scaleBlock) => inner.BytesOfMatrix(type, rows, columns, scaleBlock);

    /// <summary>Forgets what was measured.</summary>
    public void Reset() => _ticks.Clear();

    /// <summary>Prints each operation's share since <see cref="Reset"/>, the largest first.</summary>
    public void Print(string what)
    {
        double total = _ticks.Values.Sum();
        Table table = new Table().Border(TableBorder.Simple).AddColumn(what).AddColumn("share", c => c.RightAligned()).AddColumn("ms", c => c.RightAligned());
        foreach ((string operation, long ticks) in _ticks.OrderByDescending(one => one.Value))
        {
            table.AddRow(
                operation, (ticks / total).ToString("P1", CultureInfo.InvariantCulture),
                (1000.0 * ticks / Stopwatch.Frequency).ToString("F1", CultureInfo.InvariantCulture));
        }

        AnsiConsole.Write(table);
    }

    public Activation Allocate(int rows, int width, bool isPrecise = false) => inner.Allocate(rows, width, isPrecise);

    public Routing AllocateRouting(int rows, int topK) => inner.AllocateRouting(rows, topK);

    public Matrix LoadMatrix(MatrixUse use, params IReadOnlyList<MatrixSource> parts) => inner.LoadMatrix(use, parts);

    public ExpertWeights LoadExperts(IReadOnlyList<ExpertSource> experts) => inner.LoadExperts(experts);

    public Vector LoadVector(ReadOnlySpan<float> values) => inner.LoadVector(values);

    public MemoryGeometry GeometryOf(CacheShape shape) => inner.GeometryOf(shape);

    public CacheArena CreateArena(CacheShape shape, int superblocks) => inner.CreateArena(shape, superblocks);

    public void Read(Activation source, int row, Span<float> destination) => inner.Read(source, row, destination);

    public void Write(ReadOnlySpan<float> source, Activation destination, int row) => inner.Write(source, destination, row);

    public void BeginStep(StepBatch batch)
    {
        long start = Stopwatch.GetTimestamp();
        inner.BeginStep(batch);
        Count(nameof(BeginStep), start);
    }

    public void Embed(StepBatch batch, Matrix table, Activation hidden)
    {
        long start = Stopwatch.GetTimestamp();
        inner.Embed(batch, table, hidden);
        Count(nameof(Embed), start);
    }

    public void RmsNorm(Activation x, Vector weight, float epsilon, Activation y, int rows)
    {
        long start = Stopwatch.GetTimestamp();
        inner.RmsNorm(x, weight, epsilon, y, rows);
        Count(nameof(RmsNorm), start);
    }

    public void AddRmsNorm(Activation residual, Activation delta, Vector weight, float epsilon, Activation y, int rows)
    {
        long start = Stopwatch.GetTimestamp();
        inner.AddRmsNorm(residual, delta, weight, epsilon, y, rows);
        Count(nameof(AddRmsNorm), start);
    }

    public void Add(Activation residual, Activation delta, int rows)
    {
        long start = Stopwatch.GetTimestamp();
        inner.Add(residual, delta, rows);
        Count(nameof(Add), start);
    }

    public void Linear(Activation x, Matrix weight, Vector? bias, Activation y, int rows)
    {
        long start = Stopwatch.GetTimestamp();
        inner.Linear(x, weight, bias, y, rows);
        Count($"Linear {weight.Rows} x {weight.Columns}", start);
    }

    public void SwiGlu(Activation gateUp, Activation y, int rows)
    {
        long start = Stopwatch.GetTimestamp();
        inner.SwiGlu(gateUp, y, rows);
        Count(nameof(SwiGlu), start);
    }

    public void GatherLogitRows(StepBatch batch, Activation x, Activation y)
    {
        long start = Stopwatch.GetTimestamp();
        inner.GatherLogitRows(batch, x, y);
        Count(nameof(GatherLogitRows), start);
    }

    public void CausalConv(StepBatch batch, Activation qkv, Vector weight, StateCache states, int layer, Activation mixed)
    {
        long start = Stopwatch.GetTimestamp();
        inner.CausalConv(batch, qkv, weight, states, layer, mixed);
        Count(nameof(CausalConv), start);
    }

    public void GatedDeltaRule(
        StepBatch batch, Activation mixed, Activation b, Activation a, Vector aLog, Vector dtBias, StateCache states, int layer, Activation o)
    {
        long start = Stopwatch.GetTimestamp();
        inner.GatedDeltaRule(batch, mixed, b, a, aLog, dtBias, states, layer, o);
        Count(nameof(GatedDeltaRule), start);
    }

    public void GatedRmsNorm(Activation o, Activation z, Vector weight, float epsilon, Activation y, int rows)
    {
        long start = Stopwatch.GetTimestamp();
        inner.GatedRmsNorm(o, z, weight, epsilon, y, rows);
        Count(nameof(GatedRmsNorm), start);
    }

    public void QkNormRopeAndStore(
        StepBatch batch, AttentionConfig shape, Activation q, Activation k, Activation v, Vector qNorm, Vector kNorm, float epsilon, KvCache kv, int layer)
    {
        long start = Stopwatch.GetTimestamp();
        inner.QkNormRopeAndStore(batch, shape, q, k, v, qNorm, kNorm, epsilon, kv, layer);
        Count(nameof(QkNormRopeAndStore), start);
    }

    public void Attention(StepBatch batch, AttentionConfig shape, Activation q, Activation? gate, KvCache kv, int layer, Activation y)
    {
        long start = Stopwatch.GetTimestamp();
        inner.Attention(batch, shape, q, gate, kv, layer, y);
        Count(nameof(Attention), start);
    }

    public void Route(Activation logits, bool normalise, Routing routing, int rows)
    {
        long start = Stopwatch.GetTimestamp();
        inner.Route(logits, normalise, routing, rows);
        Count(nameof(Route), start);
    }

    public void Experts(Activation x, Routing routing, ExpertWeights experts, Activation y, int rows)
    {
        long start = Stopwatch.GetTimestamp();
        inner.Experts(x, routing, experts, y, rows);
        Count(nameof(Experts), start);
    }

    public void AddGated(Activation x, Activation gate, Activation y, int rows)
    {
        long start = Stopwatch.GetTimestamp();
        inner.AddGated(x, gate, y, rows);
        Count(nameof(AddGated), start);
    }

    public void Dispose()
    {
    }

    private void Count(string operation, long start) =>
        _ticks[operation] = _ticks.GetValueOrDefault(operation) + Stopwatch.GetTimestamp() - start;
}
