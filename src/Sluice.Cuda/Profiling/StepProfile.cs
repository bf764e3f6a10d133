using Sluice.Backends;
using Sluice.Cuda.Driver;
using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Profiling;

/// <summary>What one kind of operation takes in a step.</summary>
/// <param name="Name">The operation, with the matrix's shape where it has one.</param>
/// <param name="Calls">Times in a step.</param>
/// <param name="Microseconds">All calls of a step together, alone on the card.</param>
/// <param name="Bytes">The least all of them must move, bytes.</param>
/// <param name="Flops">The least all of them must compute.</param>
/// <param name="IsPart">Whether the step has it; else it is a piece of a longer operation, run by itself to be compared with others' kernels.</param>
public sealed record OperationTime(string Name, int Calls, double Microseconds, double Bytes, double Flops, bool IsPart = true);

/// <summary>
/// Times a step and each kind of operation in it: each is recorded alone, all its calls one behind another over the weights of all layers, so that
/// nothing is found in the card's cache that a real step would not find, and repeated.
/// </summary>
internal sealed class StepProfile(CudaStream stream, int repeats) : IDisposable
{
    private const string Everything = "step";
    private const int Draws = 256;

    private readonly Dictionary<string, OperationTime> _times = new(StringComparer.Ordinal);
    private string _measured = Everything;
    private DeviceMemory? _logits;
    private int _draws;
    private bool _isCollecting;

    /// <summary>The whole step first, then its operations in the order in which they come.</summary>
    public IReadOnlyList<OperationTime> Times => [.. _times.Values];

    /// <summary>Whether an operation is to run now.</summary>
    public bool Wants(string name, OperationWork work)
    {
        Collect(name, work, isPart: true);
        return _measured == Everything || _measured == name;
    }

    /// <summary>Whether a piece of an operation is to run now, by itself; see <see cref="OperationTime.IsPart"/>.</summary>
    public bool WantsPiece(string name, OperationWork work)
    {
        Collect(name, work, isPart: false);
        return _measured == name;
    }

    /// <summary>Random router logits in place of a layer's, other ones for each call.</summary>
    public unsafe CudaActivation DrawLogits(CudaActivation logits)
    {
        long row = logits.Stride * sizeof(float);
        if (_logits is null)
        {
            _logits = new DeviceMemory((logits.Rows + Draws) * row, "random routing");
            float[] values = new float[_logits.Bytes / sizeof(float)];
            Random random = new(1);
            foreach (ref float value in values.AsSpan())
                value = random.NextSingle();
            fixed (float* from = values)
            {
                CudaStatus.Check(DriverApi.CopyToDevice(_logits.Address, from, (nuint)_logits.Bytes, stream.Handle), "random routing");
                stream.Synchronise("random routing");
            }
        }

        _draws = (_draws + 1) % Draws;
        return CudaActivation.At(_logits.Address + (ulong)(_draws * row), logits.Rows, logits.Width, isFloat: true);
    }

    /// <inheritdoc/>
    public void Dispose() => _logits?.Dispose();

    /// <summary>Runs the operations many times over.</summary>
    public void Run(StepBatch batch, Action<StepBatch> operations)
    {
        _times.Add(Everything, new OperationTime(Everything, 1, 0, 0, 0));
        _isCollecting = true;
        operations(batch);
        _isCollecting = false;
        operations(batch);
        foreach (string name in _times.Keys.ToArray())
        {
            _measured = name;
            using CudaGraph graph = stream.Capture(() => operations(batch));
            _times[name] = _times[name] with { Microseconds = CardTimer.Median(stream, repeats, () => graph.Launch(stream)) };
        }

        OperationTime[] parts = [.. _times.Values.Skip(1).Where(time => time.IsPart)];
        _times[Everything] = _times[Everything] with { Bytes = parts.Sum(part => part.Bytes), Flops = parts.Sum(part => part.Flops) };
    }

    private void Collect(string name, OperationWork work, bool isPart)
    {
        if (!_isCollecting)
            return;
        OperationTime before = _times.GetValueOrDefault(name) ?? new OperationTime(name, 0, 0, 0, 0, isPart);
        _times[name] = before with { Calls = before.Calls + 1, Bytes = before.Bytes + work.Bytes, Flops = before.Flops + work.Flops };
    }
}
