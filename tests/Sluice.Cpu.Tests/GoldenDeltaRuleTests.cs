using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Memory;
using Sluice.Testing;
using Sluice.Tests.Operations;

namespace Sluice.Cpu.Tests;

/// <summary>
/// The delta rule against outputs of the operator in float64: 200 tokens, 2 key and 4 value heads of 32, a state to begin with, the state
/// after 128 tokens and at the end; split at every position.
/// </summary>
public sealed class GoldenDeltaRuleTests
{
    private const double Tolerance = 1e-5;
    private const int Tokens = 200;
    private static readonly LinearAttentionConfig Shape = new(KeyHeads: 2, ValueHeads: 4, KeyDim: 32, ValueDim: 32, ConvKernel: 4);
    private static readonly Dictionary<string, StoredTensor> Golden = TensorFile.Read(TestData.At("gated_delta_rule.safetensors"));

    [Fact]
    public void Agrees_however_the_sequence_is_split()
    {
        using CpuBackend backend = new(new CpuOptions { Threads = 2 });
        using CacheArena statesArena = backend.CreateArena(CacheShape.OfStates(1, Shape), 0, 3);
        StateCache states = statesArena.States!;
        Vector aLog = backend.LoadVector(Golden["A_log"].Floats());
        Vector dtBias = backend.LoadVector(Golden["dt_bias"].Floats());
        Activation mixed = Load(backend, Golden["q"], Golden["k"], Golden["v"]);
        Activation b = Load(backend, Golden["b"]);
        Activation a = Load(backend, Golden["a"]);
        float[] expected = Golden["out"].Floats();
        float[] whole = [];
        for (int split = 1; split <= Tokens; split++)
        {
            WriteState((CpuStateCache)states, 0, Golden["initial_state"].Floats());
            float[] found = [.. Run(0, split), .. Run(split, Tokens - split)];
            Assert.InRange(Distance(expected, found), 0, Tolerance);
            Assert.InRange(Distance(Golden["final_state"].Floats(), ReadState((CpuStateCache)states, 0)), 0, Tolerance);
            if (split >= 128)
                Assert.InRange(Distance(Golden["state_after_128"].Floats(), ReadState((CpuStateCache)states, 1)), 0, Tolerance);
            if (split == 1)
                whole = found;
            OperationTests.AssertSame(whole, found, $"split at {split}");
        }

        // Position 1: at 0 the state would start from zero.
        float[] Run(int first, int count)
        {
            if (count == 0)
                return [];
            StepBatch batch = new(count);
            StateExport[] exports = first == 0 && count >= 128 ? [new StateExport(128, 1)] : [];
            batch.Add(new int[count], first + 1, 0, new int[20], LogitsWanted.None, exports);
            backend.BeginStep(batch);
            Activation o = Rig.Empty(backend, count, 128);
            backend.GatedDeltaRule(batch, Rows(mixed, first, count), Rows(b, first, count), Rows(a, first, count), aLog, dtBias, states, 0, o);
            return Rig.Read(backend, o, count);
        }

        Activation Rows(Activation from, int first, int count)
        {
            float[] row = new float[from.Width];
            Activation to = backend.Allocate(count, from.Width);
            for (int i = 0; i < count; i++)
            {
                backend.Read(from, first + i, row);
                backend.Write(row, to, i);
            }

            return to;
        }
    }

    /// <summary>Tensors of one row for each token, side by side.</summary>
    private static Activation Load(CpuBackend backend, params StoredTensor[] tensors)
    {
        float[][] values = [.. tensors.Select(tensor => tensor.Floats())];
        Activation activation = backend.Allocate(Tokens, values.Sum(v => v.Length) / Tokens);
        for (int t = 0; t < Tokens; t++)
            backend.Write([.. values.SelectMany(v => v.Skip(t * (v.Length / Tokens)).Take(v.Length / Tokens))], activation, t);
        return activation;
    }

    private static unsafe void WriteState(CpuStateCache states, int slot, float[] values)
    {
        for (int i = 0; i < values.Length; i++)
            *Element(states, slot, i) = values[i];
    }

    private static unsafe float[] ReadState(CpuStateCache states, int slot)
    {
        float[] values = new float[Shape.StateElements];
        for (int i = 0; i < values.Length; i++)
            values[i] = *Element(states, slot, i);
        return values;
    }

    /// <summary>An element of [valueHeads, keyDim, valueDim] in its strip.</summary>
    private static unsafe float* Element(CpuStateCache states, int slot, int index)
    {
        int column = index % Shape.ValueDim;
        int row = index / Shape.ValueDim % Shape.KeyDim;
        float* head = states.Recurrent(0, slot, index / Shape.ValueDim / Shape.KeyDim);
        return head + (column / CpuStateCache.StripWidth * states.StripLength) + (row * CpuStateCache.StripWidth) + (column % CpuStateCache.StripWidth);
    }

    private static double Distance(float[] expected, float[] found)
    {
        Assert.Equal(expected.Length, found.Length);
        double largest = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            double distance = Math.Abs((double)expected[i] - found[i]);
            largest = double.IsNaN(distance) ? double.PositiveInfinity : Math.Max(largest, distance);
        }

        return largest;
    }
}
