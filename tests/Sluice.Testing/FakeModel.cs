using System.Runtime.InteropServices;
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
    private const ulong Seed = 0x9E3779B97F4A7C15;

    private readonly Cell[] _cells;
    private readonly State[] _states;
    private readonly bool _hasState;
    private readonly List<ulong> _rowHashes = [];
    private readonly List<int[]> _rowContexts = [];
    private readonly List<int> _context = [];
    private int _entered;

    /// <summary>Creates a model; with <paramref name="linearLayers"/> false it has no recurrent state and ignores slots.</summary>
    public FakeModel(
        int vocabulary = 61,
        int pages = 64,
        int slots = 8,
        int maxStepTokens = 512,
        int maxLogitRows = 64,
        int maxPositions = 4096,
        bool linearLayers = true)
    {
        _hasState = linearLayers;
        MaxStepTokens = maxStepTokens;
        MaxLogitRows = maxLogitRows;
        Pages = pages;
        Slots = linearLayers ? slots : 0;

        // Memory nobody has written holds garbage, as a device's does.
        _cells = new Cell[pages * KvCache.PageTokens];
        for (int i = 0; i < _cells.Length; i++)
            _cells[i] = new Cell((int)Mix(1, (ulong)i), (int)Mix(2, (ulong)i));
        _states = new State[Slots];
        for (int i = 0; i < Slots; i++)
            _states[i] = new State(Mix(3, (ulong)i), (int)Mix(4, (ulong)i));
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
    public int Pages { get; }

    /// <inheritdoc/>
    public int Slots { get; }

    /// <summary>Makes chosen contexts continue with a chosen token, by far the likeliest. Only if pages and state agree on the context.</summary>
    public Continuation? Script { get; set; }

    /// <summary>Rows whose logits hold a NaN.</summary>
    public RowPredicate? Poison { get; set; }

    /// <summary>Runs before a step touches memory; may throw.</summary>
    public Action<StepBatch>? OnForward { get; set; }

    /// <summary>Runs after a step has written memory; may throw.</summary>
    public Action<StepBatch>? OnWritten { get; set; }

    /// <summary>Steps begun.</summary>
    public int Steps { get; private set; }

    /// <summary>The logits, [vocabulary], after <paramref name="context"/>.</summary>
    public static void Logits(ReadOnlySpan<int> context, Span<float> logits, bool hasState = true)
    {
        ulong pages = Seed, state = 0;
        for (int i = 0; i < context.Length; i++)
        {
            pages = AddCell(pages, new Cell(context[i], i));
            state = Mix(state, (ulong)context[i]);
        }

        Fill(hasState ? Mix(Mix(pages, state), (ulong)context.Length) : pages, logits);
    }

    /// <summary>Greedy continuation of a prompt by <paramref name="count"/> tokens, from the definition.</summary>
    public static int[] Continue(IReadOnlyList<int> prompt, int count, int vocabulary = 61, bool hasState = true)
    {
        List<int> context = [.. prompt];
        var logits = new float[vocabulary];
        for (int i = 0; i < count; i++)
        {
            Logits(CollectionsMarshal.AsSpan(context), logits, hasState);
            context.Add(Array.IndexOf(logits, logits.Max()));
        }

        return [.. context.Skip(prompt.Count)];
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
            State state = !_hasState || span.FirstPosition == 0 ? default : _states[span.StateSlot];
            int export = span.FirstExport;
            for (int i = 0; i < span.Count; i++)
            {
                int token = batch.Tokens[span.FirstRow + i], position = span.FirstPosition + i;
                _cells[CellOf(span, position)] = new Cell(token, position);

                // A state that belongs to another position spoils everything from here on.
                ulong hash = state.Position == position ? state.Hash : Mix(state.Hash, Seed);
                state = new State(Mix(hash, (ulong)token), position + 1);
                if (_hasState && export < span.FirstExport + span.ExportCount && batch.Exports[export].Length == i + 1)
                    _states[batch.Exports[export++].Slot] = state;
            }

            if (_hasState)
                _states[span.StateSlot] = state;
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
            Cell cell = _cells[CellOf(span, i)];
            pages = AddCell(pages, cell);
            expectedState = Mix(expectedState, (ulong)cell.Token);
            if (wantsContext)
                _context.Add(cell.Token);
        }

        State state = _hasState ? _states[span.StateSlot] : default;
        bool isConsistent = !_hasState || (state.Hash == expectedState && state.Position == length);
        _rowHashes.Add(_hasState ? Mix(Mix(pages, state.Hash), (ulong)state.Position) : pages);
        _rowContexts.Add(wantsContext && isConsistent ? [.. _context] : []);
    }

    private static int CellOf(in SequenceSpan span, int position) =>
        (span.PageTable[position / KvCache.PageTokens] * KvCache.PageTokens) + (position % KvCache.PageTokens);

    private static void Fill(ulong hash, Span<float> logits)
    {
        for (int i = 0; i < logits.Length; i++)
            logits[i] = (Mix(hash, (ulong)i) >> 40) * (8f / (1 << 24));
    }

    private static ulong AddCell(ulong hash, Cell cell) => Mix(hash, ((ulong)(uint)cell.Position << 32) | (uint)cell.Token);

    // The finaliser of SplitMix64: every bit of the result depends on every bit of both.
    private static ulong Mix(ulong a, ulong b)
    {
        unchecked
        {
            ulong z = (a ^ (b * 0xBF58476D1CE4E5B9)) + Seed;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }
    }

    private readonly record struct Cell(int Token, int Position);

    private readonly record struct State(ulong Hash, int Position);
}
