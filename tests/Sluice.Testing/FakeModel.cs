using Sluice.Backends;
using Sluice.Core;
using Sluice.Models;

namespace Sluice.Testing;

/// <summary>
/// A language model without weights whose logits are a hash of all the context as the engine's memory holds it: every token read
/// back through the sequence's page table, its position, and a running hash in the state slot with the position it is valid at. A
/// token, page, slot or position that is wrong anywhere changes everything after it, so comparing outputs with
/// <see cref="Continue"/>, which needs no memory, shows every mistake. Deterministic on every machine.
/// </summary>
public sealed class FakeModel : ILanguageModel
{
    internal const ulong Seed = 0x9E3779B97F4A7C15;

    private readonly FakeArena _memory;
    private readonly bool _hasState;
    private readonly List<ulong> _rowHashes = [];
    private readonly List<int[]> _rowContexts = [];
    private readonly List<int> _context = [];
    private int _entered;

    /// <summary>
    /// Creates a model; with <paramref name="linearLayers"/> false it has no recurrent state. Memory holds at least so many pages and
    /// slots at a time, unless <paramref name="geometry"/> and <paramref name="superblocks"/> say otherwise: by default four pages to a
    /// superblock, and two superblocks to a slot.
    /// </summary>
    public FakeModel(
        int vocabulary = 61,
        int pages = 64,
        int slots = 8,
        int maxStepTokens = 512,
        int maxLogitRows = 64,
        int maxPositions = 4096,
        bool linearLayers = true,
        MemoryGeometry? geometry = null,
        int superblocks = 0)
    {
        geometry ??= FakeArena.GeometryOf(linearLayers ? 6 : 0);
        _memory = new FakeArena(geometry, superblocks > 0 ? superblocks : geometry.SuperblocksFor(pages, slots));
        _hasState = geometry.HasStates;
        linearLayers = _hasState;
        MaxStepTokens = maxStepTokens;
        MaxLogitRows = maxLogitRows;
        Config = new ModelConfig
        {
            Architecture = linearLayers ? Core.Architecture.Qwen3Next : Core.Architecture.Qwen3,
            ModelType = "fake",
            WeightPrefix = "",
            HiddenSize = 1,
            VocabularySize = vocabulary,
            MaxPositions = maxPositions,
            Layers = linearLayers ? [LayerKind.LinearAttention, LayerKind.FullAttention] : [LayerKind.FullAttention],
            NormEpsilon = 1e-6f,
            ZeroCentredNorm = false,
            TiedEmbeddings = true,
            Attention = new AttentionConfig(1, 1, 2, 2, 10_000, OutputGate: false, Bias: false),
            IntermediateSize = 1,
            SparseLayers = linearLayers ? [false, false] : [false],
        };
    }

    /// <summary>Says what comes after a context, or null for the hash's choice.</summary>
    public delegate int? Continuation(ReadOnlySpan<int> context);

    /// <summary>Says something about a row by its context.</summary>
    public delegate bool RowPredicate(ReadOnlySpan<int> context);

    /// <inheritdoc/>
    public ModelConfig Config { get; }

    /// <inheritdoc/>
    public int MaxStepTokens { get; }

    /// <inheritdoc/>
    public int MaxLogitRows { get; }

    /// <inheritdoc/>
    public CacheArena Caches => _memory;

    /// <summary>Makes chosen contexts continue with a chosen token, by far the likeliest. Only if pages and state agree on the context.</summary>
    public Continuation? Script { get; set; }

    /// <summary>Rows whose logits hold a NaN.</summary>
    public RowPredicate? Poison { get; set; }

    /// <summary>Rows whose logits hold a NaN, by the hash of all their context (<see cref="FakeContext.Hash"/>).</summary>
    public Func<ulong, bool>? PoisonHash { get; set; }

    /// <summary>Runs before a step touches memory; may throw.</summary>
    public Action<StepBatch>? OnForward { get; set; }

    /// <summary>Runs after a step has written memory; may throw.</summary>
    public Action<StepBatch>? OnWritten { get; set; }

    /// <summary>Whether the engine is to believe that a step is still being computed when <see cref="Forward"/> returns.</summary>
    public bool IsQueued { get; init; }

    /// <summary>Steps begun.</summary>
    public int Steps { get; private set; }

    /// <summary>The logits, [vocabulary], after <paramref name="context"/>.</summary>
    public static void Logits(ReadOnlySpan<int> context, Span<float> logits, bool hasState = true)
    {
        var definition = new FakeContext(hasState);
        foreach (int token in context)
            definition.Append(token);
        definition.Logits(logits);
    }

    /// <summary>Greedy continuation of a prompt by <paramref name="count"/> tokens, from the definition.</summary>
    public static int[] Continue(IReadOnlyList<int> prompt, int count, int vocabulary = 61, bool hasState = true)
    {
        var context = new FakeContext(hasState);
        foreach (int token in prompt)
            context.Append(token);
        var logits = new float[vocabulary];
        int[] output = new int[count];
        foreach (ref int next in output.AsSpan())
        {
            context.Logits(logits);
            next = Array.IndexOf(logits, logits.Max());
            context.Append(next);
        }

        return output;
    }

    /// <inheritdoc/>
    public void Forward(StepBatch batch)
    {
        if (Interlocked.Exchange(ref _entered, 1) != 0)
            throw new InvalidOperationException("two threads use the model");
        try
        {
            Steps++;
            OnForward?.Invoke(batch);
            Write(batch);
            OnWritten?.Invoke(batch);
            ReadRows(batch);
        }
        finally
        {
            _entered = 0;
        }
    }

    /// <inheritdoc/>
    public void ReadLogits(int index, Span<float> logits)
    {
        Fill(_rowHashes[index], logits);
        if (PoisonHash?.Invoke(_rowHashes[index]) == true)
            logits[0] = float.NaN;
        if (_rowContexts[index] is not { Length: > 0 } context)
            return;
        if (Script?.Invoke(context) is { } next)
            logits[next] = 60;
        if (Poison?.Invoke(context) == true)
            logits[logits.Length / 2] = float.NaN;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    // All spans write before any reads, as all of a layer's keys are stored before its attention.
    private void Write(StepBatch batch)
    {
        foreach (SequenceSpan span in batch.Sequences)
        {
            FakeState state = !_hasState || span.FirstPosition == 0 ? default : _memory.State(span.StateSlot);
            int export = span.FirstExport;
            for (int i = 0; i < span.Count; i++)
            {
                int token = batch.Tokens[span.FirstRow + i], position = span.FirstPosition + i;
                _memory.SetCell(span.PageTable[position / KvCache.PageTokens], position % KvCache.PageTokens, new FakeCell(token, position));

                // A state that belongs to another position spoils everything from here on.
                ulong hash = state.Position == position ? state.Hash : Mix(state.Hash, Seed);
                state = new FakeState(Mix(hash, (ulong)token), position + 1);
                if (_hasState && export < span.FirstExport + span.ExportCount && batch.Exports[export].Length == i + 1)
                    _memory.SetState(batch.Exports[export++].Slot, state);
            }

            if (_hasState)
                _memory.SetState(span.StateSlot, state);
        }
    }

    private void ReadRows(StepBatch batch)
    {
        _rowHashes.Clear();
        _rowContexts.Clear();
        int wanted = 0;
        foreach (SequenceSpan span in batch.Sequences)
        {
            while (wanted < batch.LogitRows.Length && batch.LogitRows[wanted] < span.FirstRow + span.Count)
            {
                if (batch.LogitRows[wanted++] != span.FirstRow + span.Count - 1)
                    throw new NotSupportedException("the fake model gives logits of a span's last token only");
                ReadRow(span);
            }
        }
    }

    private void ReadRow(in SequenceSpan span)
    {
        int length = span.FirstPosition + span.Count;
        bool wantsContext = Script is not null || Poison is not null;
        ulong pages = Seed, expectedState = 0;
        _context.Clear();
        for (int i = 0; i < length; i++)
        {
            FakeCell cell = _memory.Cell(span.PageTable[i / KvCache.PageTokens], i % KvCache.PageTokens);
            pages = AddCell(pages, cell);
            expectedState = Mix(expectedState, (ulong)cell.Token);
            if (wantsContext)
                _context.Add(cell.Token);
        }

        FakeState state = _hasState ? _memory.State(span.StateSlot) : default;
        bool isConsistent = !_hasState || (state.Hash == expectedState && state.Position == length);
        _rowHashes.Add(_hasState ? Mix(Mix(pages, state.Hash), (ulong)state.Position) : pages);
        _rowContexts.Add(wantsContext && isConsistent ? [.. _context] : []);
    }

    internal static void Fill(ulong hash, Span<float> logits)
    {
        for (int i = 0; i < logits.Length; i++)
            logits[i] = (Mix(hash, (ulong)i) >> 40) * (8f / (1 << 24));
    }

    internal static ulong AddCell(ulong hash, FakeCell cell) => Mix(hash, cell.Packed);

    // The finaliser of SplitMix64: every bit of the result depends on every bit of both.
    internal static ulong Mix(ulong a, ulong b)
    {
        unchecked
        {
            ulong z = (a ^ (b * 0xBF58476D1CE4E5B9)) + Seed;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }
    }
}
