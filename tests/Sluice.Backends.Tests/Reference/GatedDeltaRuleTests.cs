using Sluice.Backends.Reference;
using Sluice.Core;
using Sluice.Testing;

namespace Sluice.Backends.Tests.Reference;

/// <summary>
/// Against outputs of the operator in float64: 200 tokens, 2 key and 4 value heads of 32, a state to begin with, the state after
/// 128 tokens and at the end.
/// </summary>
public sealed class GatedDeltaRuleTests
{
    private const double Tolerance = 1e-5;
    private const int Tokens = 200;

    private static readonly LinearAttentionConfig Shape = new(KeyHeads: 2, ValueHeads: 4, KeyDim: 32, ValueDim: 32, ConvKernel: 4);
    private static readonly Dictionary<string, StoredTensor> Golden = TensorFile.Read(TestData.At("gated_delta_rule.safetensors"));
    private static readonly float[] Mixed = Interleave();

    private delegate void Form(
        LinearAttentionConfig shape, ReadOnlySpan<float> mixed, ReadOnlySpan<float> b, ReadOnlySpan<float> a, ReadOnlySpan<float> aLog,
        ReadOnlySpan<float> dtBias, Span<float> state, Span<float> o);

    [Fact]
    public void Recurrent_form_agrees_however_the_sequence_is_split() => CheckEverySplit(GatedDeltaRule.Recurrent);

    [Theory]
    [InlineData(64, 1)]
    [InlineData(1, 50)]
    [InlineData(37, 9)]
    [InlineData(200, 20)]
    public void Chunked_form_agrees_however_the_sequence_is_split(int chunk, int stride) => CheckEverySplit(
        (shape, mixed, b, a, aLog, dtBias, state, o) => GatedDeltaRule.Chunked(shape, mixed, b, a, aLog, dtBias, state, o, chunk), stride);

    [Fact]
    public void State_after_128_tokens_agrees()
    {
        foreach (Form form in new Form[] { GatedDeltaRule.Recurrent, Default })
        {
            float[] state = Golden["initial_state"].Floats();
            Run(form, 0, 128, state, new float[Tokens * 128]);
            Assert.InRange(Distance(Golden["state_after_128"].Floats(), state), 0, Tolerance);
        }

        static void Default(
            LinearAttentionConfig shape, ReadOnlySpan<float> mixed, ReadOnlySpan<float> b, ReadOnlySpan<float> a, ReadOnlySpan<float> aLog,
            ReadOnlySpan<float> dtBias, Span<float> state, Span<float> o) =>
            GatedDeltaRule.Chunked(shape, mixed, b, a, aLog, dtBias, state, o);
    }

    [Fact]
    public void Splitting_the_recurrent_form_changes_no_bit()
    {
        float[] whole = new float[Tokens * 128];
        float[] state = Golden["initial_state"].Floats();
        Run(GatedDeltaRule.Recurrent, 0, Tokens, state, whole);
        float[] parts = new float[Tokens * 128];
        float[] carried = Golden["initial_state"].Floats();
        for (int first = 0; first < Tokens; first += 7)
            Run(GatedDeltaRule.Recurrent, first, Math.Min(7, Tokens - first), carried, parts);
        Assert.Equal(whole, parts);
        Assert.Equal(state, carried);
    }

    private static void CheckEverySplit(Form form, int stride = 1)
    {
        float[] expected = Golden["out"].Floats();
        float[] final = Golden["final_state"].Floats();
        for (int split = 1; split < Tokens; split += stride)
        {
            float[] state = Golden["initial_state"].Floats();
            float[] o = new float[expected.Length];
            Run(form, 0, split, state, o);
            Run(form, split, Tokens - split, state, o);
            Assert.True(Distance(expected, o) <= Tolerance, $"split at {split}: outputs are {Distance(expected, o):e1} apart");
            Assert.True(Distance(final, state) <= Tolerance, $"split at {split}: states are {Distance(final, state):e1} apart");
        }
    }

    private static void Run(Form form, int first, int count, Span<float> state, Span<float> o) => form(
        Shape, Mixed.AsSpan(first * Shape.ConvChannels, count * Shape.ConvChannels), Golden["b"].Floats().AsSpan(first * 4, count * 4),
        Golden["a"].Floats().AsSpan(first * 4, count * 4), Golden["A_log"].Floats(), Golden["dt_bias"].Floats(), state, o.Slice(first * 128, count * 128));

    private static double Distance(float[] expected, float[] found)
    {
        double largest = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            double distance = Math.Abs((double)expected[i] - found[i]);
            largest = double.IsNaN(distance) ? double.PositiveInfinity : Math.Max(largest, distance);
        }

        return largest;
    }

    /// <summary>[all q | all k | all v] for each token.</summary>
    private static float[] Interleave()
    {
        float[] q = Golden["q"].Floats();
        float[] k = Golden["k"].Floats();
        float[] v = Golden["v"].Floats();
        float[] mixed = new float[Tokens * Shape.ConvChannels];
        for (int t = 0; t < Tokens; t++)
        {
            Span<float> row = mixed.AsSpan(t * Shape.ConvChannels, Shape.ConvChannels);
            q.AsSpan(t * 64, 64).CopyTo(row);
            k.AsSpan(t * 64, 64).CopyTo(row[64..]);
            v.AsSpan(t * 128, 128).CopyTo(row[128..]);
        }

        return mixed;
    }
}
