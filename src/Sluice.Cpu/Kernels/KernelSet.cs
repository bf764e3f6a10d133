using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Assembly;
using Sluice.Cpu.Simd;
using Sluice.Cpu.Weights;

namespace Sluice.Cpu.Kernels;

/// <summary>
/// Every kernel for one width of register: what an operation calls for a row, a head or a tile. A virtual call costs nanoseconds and the
/// shortest of these runs for tens of them.
/// </summary>
internal abstract unsafe class KernelSet
{
    /// <summary>The instruction set, for people.</summary>
    public abstract string Name { get; }

    /// <summary>What products make of the activations they are given.</summary>
    public ActivationPrecision Precision { get; protected init; }

    /// <summary>The widest set this processor runs well, assembled kernels as far as allowed, or null when it has no vectors at all.</summary>
    public static KernelSet? Best(ActivationPrecision precision = ActivationPrecision.Float32, CpuFeatures allowed = CpuFeatures.All)
    {
        AssembledKernels? assembled = precision == ActivationPrecision.Fast ? AssembledKernels.Shared : null;
        if (Vector512.IsHardwareAccelerated)
            return new KernelSet<V512, V512>("AVX-512", precision, assembled, allowed);
        if (Vector256.IsHardwareAccelerated)
            return new KernelSet<V256, Twice<V256>>(precision == ActivationPrecision.Fast && AvxVnni.IsSupported ? "AVX2 VNNI" : "AVX2", precision);
        if (!Vector128.IsHardwareAccelerated)
            return null;
        string arm = precision == ActivationPrecision.Fast && Dp.IsSupported ? "NEON DotProd" : "NEON";
        return new KernelSet<V128, Twice<Twice<V128>>>(
            AdvSimd.IsSupported ? arm : V128.FusesMultiplyAdd ? "128 bits" : "128 bits, no FMA", precision);
    }

    /// <summary><see cref="Best"/>, with the assembled kernels that are worth it here; or an error.</summary>
    /// <exception cref="BackendException">There are no vectors.</exception>
    public static KernelSet Required(ActivationPrecision precision = ActivationPrecision.Float32) =>
        Best(precision, precision == ActivationPrecision.Fast ? AssembledKernels.Shared?.Worthwhile ?? CpuFeatures.None : CpuFeatures.None)
        ?? throw new BackendException("expected a processor with 128-bit vectors (SSE4.2 or NEON), found none that .NET may use");

    /// <summary>The product for a matrix's weights at <see cref="Precision"/>.</summary>
    public abstract PanelProduct ProductOf(PanelMatrix matrix);

    /// <inheritdoc cref="Elementwise{T}.Add"/>
    public abstract void Add(float* x, float* y, int count);

    /// <inheritdoc cref="Elementwise{T}.AddScaled"/>
    public abstract void AddScaled(float* x, float factor, float* y, int count);

    /// <inheritdoc cref="Elementwise{T}.SwiGlu"/>
    public abstract void SwiGlu(float* gate, float* up, float* y, int count);

    /// <inheritdoc cref="Elementwise{T}.Sigmoid"/>
    public abstract float Sigmoid(float x);

    /// <inheritdoc cref="RmsNorm{T}.Run"/>
    public abstract void RmsNorm(float* x, float* weight, float epsilon, float* y, int count);

    /// <inheritdoc cref="RmsNorm{T}.RunGated"/>
    public abstract void GatedRmsNorm(float* x, float* gate, float* weight, float epsilon, float* y, int count);

    /// <inheritdoc cref="RmsNorm{T}.RunL2"/>
    public abstract void L2Norm(float* x, float epsilon, float scale, float* y, int count);

    /// <inheritdoc cref="CausalConv{T}.Run"/>
    public abstract void CausalConv(float** inputs, int taps, float* weight, int channels, int first, int end, float* y);

    /// <inheritdoc cref="DeltaRule{T}.Run"/>
    public abstract void DeltaRule(
        float* state, int keyDim, float* qk, nint keyStride, float* gates, nint gateStride,
        float* v, nint vStride, float* o, nint oStride, int columns, int tokens);

    /// <inheritdoc cref="Rotary{T}.Run"/>
    public abstract void Rotate(float* head, float* cos, float* sin, int half);

    /// <inheritdoc cref="Router{T}.Run"/>
    public abstract void Route(float* logits, int count, int topK, bool normalise, int* chosen, float* weights);

    /// <summary>Begins: no keys yet; queries are rounded and packed where that is wanted.</summary>
    public abstract void BeginAttention(in AttentionTile tile);

    /// <inheritdoc cref="OnlineSoftmax{T,TWide}.AddBlock"/>
    public abstract void AttendBlock(in AttentionTile tile, int firstPosition, byte** keys, int pages, byte** nextKeys);

    /// <inheritdoc cref="OnlineSoftmax{T,TWide}.Merge"/>
    public abstract void MergeAttention(in AttentionTile tile, in AttentionTile later);

    /// <inheritdoc cref="OnlineSoftmax{T,TWide}.Finish"/>
    public abstract void FinishAttention(in AttentionTile tile, int row, float* gate, float* y);

    /// <inheritdoc cref="Limits{T}.Sum"/>
    public abstract float Sum(float* data, int count);

    /// <inheritdoc cref="Limits{T}.MultiplyAdds"/>
    public abstract double MultiplyAdds(int rounds, out float result);
}

/// <summary>The kernels for registers of type <typeparamref name="T"/>, 16 lanes of which make a <typeparamref name="TWide"/>.</summary>
internal sealed unsafe class KernelSet<T, TWide> : KernelSet
    where T : unmanaged, ISimd<T>
    where TWide : unmanaged, ISimd<TWide>
{
    private readonly PanelProduct _f32 = new PanelProduct<T, F32Format>(RowForm.Float32);
    private readonly PanelProduct _f16 = new PanelProduct<T, F16Format>(RowForm.Float32);
    private readonly PanelProduct _bf16;
    private readonly PanelProduct _e4m3;
    private readonly PanelProduct? _assembledE4M3;
    private readonly PanelProduct? _amxE4M3;
    private readonly AssembledAttention? _attention;
    private readonly PanelProduct?[] _quantised = new PanelProduct?[(int)DType.Other + 1];

    /// <summary>Kernels named <paramref name="name"/>; products at <paramref name="precision"/>, as far as there are any in <paramref name="assembled"/> ones.</summary>
    public KernelSet(
        string name, ActivationPrecision precision = ActivationPrecision.Float32, AssembledKernels? assembled = null, CpuFeatures allowed = CpuFeatures.All)
    {
        Precision = precision;
        CpuFeatures features = precision == ActivationPrecision.Fast && assembled is not null ? assembled.Features & allowed : CpuFeatures.None;
        RowForm form = precision == ActivationPrecision.Fast ? RowForm.Rounded : RowForm.Float32;
        _bf16 = features.HasFlag(CpuFeatures.AmxBFloat16) ? new AmxBFloat16Product(assembled!)
            : features.HasFlag(CpuFeatures.Avx512BFloat16) ? new BFloat16Product(assembled!)
            : new PanelProduct<T, BF16Format>(form);

        // Processors with AMX do float32 faster than the instruction that this uses.
        _attention = features.HasFlag(CpuFeatures.Avx512BFloat16) && !features.HasFlag(CpuFeatures.AmxBFloat16) ? new AssembledAttention(assembled!) : null;
        _e4m3 = new PanelProduct<T, E4M3Format>(form);
        if (features.HasFlag(CpuFeatures.Avx512BFloat16) && Avx512Vbmi.IsSupported)
        {
            _assembledE4M3 = new E4M3Product(assembled!);
            if (features.HasFlag(CpuFeatures.AmxBFloat16))
                _amxE4M3 = new AmxE4M3Product(assembled!);
        }

        foreach (DType type in (DType[])[DType.Q8_0, DType.Q4_0, DType.Q4_K, DType.Q5_K, DType.Q6_K])
        {
            QuantisedFormat format = QuantisedFormat.Of(type);
            _quantised[(int)type] = features.HasFlag(CpuFeatures.Avx512Vnni)
                ? new Int8Product(assembled!, format)
                : PortableInt8Product.Of(format, T.Lanes);
        }

        Name = name
            + (features.HasFlag(CpuFeatures.AmxBFloat16) ? " AMX" : "")
            + (features.HasFlag(CpuFeatures.Avx512BFloat16) ? " BF16" : "")
            + (features.HasFlag(CpuFeatures.Avx512Vnni) ? " VNNI" : "");
    }

    public override string Name { get; }

    public override PanelProduct ProductOf(PanelMatrix matrix) => matrix.Type switch
    {
        DType.F32 => _f32,
        DType.F16 => _f16,
        DType.BF16 => _bf16,
        DType.F8E4M3 when _amxE4M3 is not null && AmxE4M3Product.Takes(matrix) => _amxE4M3,
        DType.F8E4M3 => _assembledE4M3 is not null && E4M3Product.Takes(matrix) ? _assembledE4M3 : _e4m3,
        DType type => _quantised[(int)type] ?? throw new ArgumentOutOfRangeException(nameof(matrix), type, "not a type that panels hold"),
    };

    public override void Add(float* x, float* y, int count) => Elementwise<T>.Add(x, y, count);

    public override void AddScaled(float* x, float factor, float* y, int count) => Elementwise<T>.AddScaled(x, factor, y, count);

    public override void SwiGlu(float* gate, float* up, float* y, int count) => Elementwise<T>.SwiGlu(gate, up, y, count);

    public override float Sigmoid(float x) => Elementwise<T>.Sigmoid(x);

    public override void RmsNorm(float* x, float* weight, float epsilon, float* y, int count) =>
        RmsNorm<TWide>.Run(x, weight, epsilon, y, count);

    public override void GatedRmsNorm(float* x, float* gate, float* weight, float epsilon, float* y, int count) =>
        RmsNorm<TWide>.RunGated(x, gate, weight, epsilon, y, count);

    public override void L2Norm(float* x, float epsilon, float scale, float* y, int count) =>
        RmsNorm<TWide>.RunL2(x, epsilon, scale, y, count);

    public override void CausalConv(float** inputs, int taps, float* weight, int channels, int first, int end, float* y) =>
        CausalConv<T>.Run(inputs, taps, weight, channels, first, end, y);

    public override void DeltaRule(
        float* state, int keyDim, float* qk, nint keyStride, float* gates, nint gateStride,
        float* v, nint vStride, float* o, nint oStride, int columns, int tokens) =>
        DeltaRule<T>.Run(state, keyDim, qk, keyStride, gates, gateStride, v, vStride, o, oStride, columns, tokens);

    public override void Rotate(float* head, float* cos, float* sin, int half) => Rotary<T>.Run(head, cos, sin, half);

    public override void Route(float* logits, int count, int topK, bool normalise, int* chosen, float* weights) =>
        Router<TWide>.Run(logits, count, topK, normalise, chosen, weights);

    public override void BeginAttention(in AttentionTile tile)
    {
        OnlineSoftmax<T, TWide>.Clear(tile);
        if (tile.IsRounded && _attention is not null)
            AssembledAttention.PackQueries(tile);
        else
            OnlineSoftmax<T, TWide>.RoundQueries(tile);
    }

    public override void AttendBlock(in AttentionTile tile, int firstPosition, byte** keys, int pages, byte** nextKeys)
    {
        switch (tile.KvType)
        {
            case KvDtype.BF16 when tile.IsRounded && _attention is not null:
                _attention.AddBlock(tile, firstPosition, keys, pages, nextKeys);
                break;
            case KvDtype.BF16:
                OnlineSoftmax<T, TWide>.AddBlock<BF16Kv>(tile, firstPosition, keys, pages, nextKeys);
                break;
            case KvDtype.Int8:
                OnlineSoftmax<T, TWide>.AddBlock<Int8Kv>(tile, firstPosition, keys, pages, nextKeys);
                break;
            default:
                OnlineSoftmax<T, TWide>.AddBlock<F32Kv>(tile, firstPosition, keys, pages, nextKeys);
                break;
        }
    }

    public override void MergeAttention(in AttentionTile tile, in AttentionTile later) => OnlineSoftmax<T, TWide>.Merge(tile, later);

    public override void FinishAttention(in AttentionTile tile, int row, float* gate, float* y) =>
        OnlineSoftmax<T, TWide>.Finish(tile, row, gate, y);

    public override float Sum(float* data, int count) => Limits<T>.Sum(data, count);

    public override double MultiplyAdds(int rounds, out float result) => Limits<T>.MultiplyAdds(rounds, out result);
}
