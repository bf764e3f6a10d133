using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Threading.Channels;
using Sluice.Backends;
using Sluice.Caching.Sequences;
using Sluice.Core;
using Sluice.Engine.Sampling;
using Sluice.Engine.Scheduling;
using Sluice.Engine.Telemetry;
using Sluice.Models;

namespace Sluice.Engine;

/// <summary>
/// Runs many requests on one model at a time. A thread of its own is the only owner of the model, the scheduler and the memory;
/// requests and cancellations reach it through a channel and tokens leave through each request's <see cref="GenerationStream"/>, so
/// there are no locks. Its methods may be called from any thread. The model is the caller's to dispose of, after the engine.
/// </summary>
public sealed class InferenceEngine : IAsyncDisposable
{
    private readonly Channel<Command> _inbox = Channel.CreateUnbounded<Command>(new UnboundedChannelOptions { SingleReader = true });
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ILanguageModel _model;
    private readonly EngineOptions _options;
    private readonly TimeProvider _clock;
    private readonly PrefixCache _cache;
    private readonly Scheduler _scheduler;
    private readonly EngineLoop _loop;
    private readonly bool _ownThread;
    private volatile bool _accepting = true;
    private volatile string? _fault;
    private int _outstanding;
    private long _arrivals;
    private int _disposed;

    /// <summary>Creates an engine on <paramref name="model"/> and starts its thread.</summary>
    public InferenceEngine(ILanguageModel model, EngineOptions? options = null, TimeProvider? clock = null)
        : this(model, options, clock, ownThread: true)
    {
    }

    private InferenceEngine(ILanguageModel model, EngineOptions? options, TimeProvider? clock, bool ownThread)
    {
        _model = model;
        _options = options ?? new EngineOptions();
        _clock = clock ?? TimeProvider.System;
        _ownThread = ownThread;
        ModelConfig config = model.Config;
        int stepTokens = Math.Min(_options.StepTokens, model.MaxStepTokens);
        int promptStepTokens = Math.Min(Math.Max(_options.PromptStepTokens ?? stepTokens, stepTokens), model.MaxStepTokens);
        CacheArena arena = model.Caches;
        MemoryGeometry geometry = arena.Geometry;
        _cache = new PrefixCache(geometry, arena.Superblocks * geometry.SuperblockBytes, _options.Cache);

        // Each running sequence may need a row of the step, a row of logits, a slot and a page.
        int fitting = arena.Superblocks / Math.Max(1, geometry.SuperblocksPerSlot);
        int possible = Math.Min(Math.Min(stepTokens, model.MaxLogitRows), geometry.HasStates ? fitting : int.MaxValue);
        MaxRunning = Math.Min(possible, _options.MaxRunning ?? int.MaxValue);
        int pagesAlone = (arena.Superblocks - geometry.SuperblocksPerSlot) * geometry.PagesPerSuperblock;
        MaxSequenceTokens = (int)Math.Min(config.MaxPositions, ((long)pagesAlone * KvCache.PageTokens) + 1);
        Meters = new EngineMeters(this);
        _scheduler = new Scheduler(_cache, MaxRunning, stepTokens, _clock);
        _loop = new EngineLoop(model, _cache, _scheduler, promptStepTokens, _clock, Meters, _ => Leave());
        if (ownThread)
            new Thread(Run) { Name = "sluice-engine", IsBackground = true }.Start();
    }

    private enum CommandKind
    {
        Submit,
        Cancel,
        CancelAll,
        Call,
    }

    /// <summary>Most continuations of one prompt.</summary>
    public const int MaxChoices = 128;

    /// <summary>Most tokens of prompt and output together: what the model was made for, or what the memory holds if that is less.</summary>
    public int MaxSequenceTokens { get; }

    /// <summary>Most sequences that run at a time.</summary>
    public int MaxRunning { get; }

    /// <summary>What it measures.</summary>
    public EngineMeters Meters { get; }

    /// <summary>What it is doing.</summary>
    public EngineStatus Status
    {
        get
        {
            int running = _scheduler.Running.Count;
            return new EngineStatus(
                _accepting,
                running,
                Math.Max(0, Volatile.Read(ref _outstanding) - running),
                _loop.Steps,
                _loop.OutputTokens,
                _scheduler.Preemptions,
                _loop.Times,
                CacheUse.Of(_cache));
        }
    }

    /// <summary>Queues a request. Its tokens come through the stream; <paramref name="cancellation"/> ends it within one step.</summary>
    /// <exception cref="RequestException">The request is invalid or can never fit.</exception>
    /// <exception cref="EngineException">The queue is full, or the engine takes no more requests.</exception>
    public GenerationStream Submit(GenerationRequest request, CancellationToken cancellation = default) =>
        Submit(request, choices: 1, cancellation)[0];

    /// <summary>
    /// Queues a request for several continuations of one prompt, which is computed once: its pages are shared and its state is
    /// copied. Each has its own random numbers: the first those of the request's seed, the others those of seeds derived from it.
    /// </summary>
    /// <param name="request">The request.</param>
    /// <param name="choices">Continuations, 1 to <see cref="MaxChoices"/>.</param>
    /// <param name="cancellation">Ends all of them within one step.</param>
    /// <returns>A stream for each; each may be cancelled alone.</returns>
    /// <exception cref="RequestException">The request is invalid or can never fit.</exception>
    /// <exception cref="EngineException">The queue is full, or the engine takes no more requests.</exception>
    public IReadOnlyList<GenerationStream> Submit(GenerationRequest request, int choices, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        int maxLength = ValidLength(request);
        if (choices is < 1 or > MaxChoices)
            throw new RequestException($"n must be from 1 to {MaxChoices}, found {choices}", "n");
        Enter(choices);
        var sequences = new Sequence[choices];
        var streams = new GenerationStream[choices];
        ulong seed = SeedOf(request.Sampling);
        for (int i = 0; i < choices; i++)
        {
            int index = i;
            streams[i] = new GenerationStream(() => _inbox.Writer.TryWrite(new Command(CommandKind.Cancel, sequences[index])));
            sequences[i] = new Sequence(Interlocked.Increment(ref _arrivals), request, maxLength, Philox.Derive(seed, i), streams[i])
            {
                SubmittedAt = _clock.GetTimestamp(),
            };
        }

        // Before the sequences are known to the engine thread, which unregisters; a token that is cancelled already calls back here and
        // now, and the engine then meets the cancellation first.
        for (int i = 0; i < choices; i++)
            sequences[i].Registration = cancellation.UnsafeRegister(static state => ((GenerationStream)state!).Cancel(), streams[i]);
        if (choices > 1)
            sequences[0].Followers = [.. sequences[1..]];
        _inbox.Writer.TryWrite(new Command(CommandKind.Submit, sequences[0]));
        return streams;
    }

    /// <summary>
    /// What the cache holds, as the engine thread sees it between two steps: the budget, the hit rates, the upper part of the tree.
    /// </summary>
    /// <param name="mostNodes">Nodes to show; the deepest-rooted heaviest ones first.</param>
    /// <param name="cancellation">Gives up waiting.</param>
    public Task<CacheSnapshot> SnapshotCacheAsync(int mostNodes = 256, CancellationToken cancellation = default) =>
        OnEngineThread(() => CacheSnapshot.Of(_cache, mostNodes), cancellation);

    /// <summary>Forgets everything that no running request needs.</summary>
    /// <param name="cancellation">Gives up waiting.</param>
    /// <returns>Bytes freed.</returns>
    public Task<long> ClearCacheAsync(CancellationToken cancellation = default) => OnEngineThread(_cache.Clear, cancellation);

    /// <summary>
    /// Takes no more requests and waits for those accepted to end; when <paramref name="giveUp"/> fires, cancels the rest.
    /// </summary>
    public async Task DrainAsync(CancellationToken giveUp = default)
    {
        _accepting = false;
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _outstanding) == 0)
            _drained.TrySetResult();
        try
        {
            await _drained.Task.WaitAsync(giveUp);
        }
        catch (OperationCanceledException)
        {
            _inbox.Writer.TryWrite(new Command(CommandKind.CancelAll));
            if (!_ownThread)
                ReadInbox();
            await _drained.Task;
        }
    }

    /// <summary>Drains for up to <see cref="EngineOptions.DrainTimeout"/>, cancels what is left, and stops the thread.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        using (var timeout = new CancellationTokenSource(_options.DrainTimeout, _clock))
            await DrainAsync(timeout.Token);
        _inbox.Writer.Complete();
        if (_ownThread)
            await _stopped.Task;
        Meters.Dispose();
    }

    /// <summary>An engine without a thread, which <see cref="Step"/> drives: the same calls give the same trace.</summary>
    internal static InferenceEngine CreateStepped(ILanguageModel model, EngineOptions? options = null, TimeProvider? clock = null) =>
        new(model, options, clock, ownThread: false);

    /// <summary>Takes in what has arrived and makes one step, if there is anything to do; returns whether there is more.</summary>
    internal bool Step()
    {
        ReadInbox();
        if (_loop.HasWork)
            _loop.Step();
        return _loop.HasWork;
    }

    /// <summary>Sequences put back to wait for memory, since the start.</summary>
    internal long Preemptions => _scheduler.Preemptions;

    /// <summary>The scheduler, for tests that drive the engine themselves.</summary>
    internal Scheduler Scheduler => _scheduler;

    /// <summary>The cache, likewise.</summary>
    internal PrefixCache Cache => _cache;

    /// <summary>Proves that all memory is accounted for.</summary>
    internal void CheckIntegrity() => _loop.CheckIntegrity();

    private int ValidLength(GenerationRequest request)
    {
        int vocabulary = _model.Config.VocabularySize;
        if (request.Prompt.Count == 0)
            throw new RequestException("the prompt is empty: at least one token is needed", "prompt");
        foreach (int token in request.Prompt)
        {
            if ((uint)token >= (uint)vocabulary)
                throw new RequestException($"the prompt has the token id {token}; ids are from 0 to {vocabulary - 1}", "prompt");
        }

        foreach (LogitBias bias in request.Sampling.LogitBias)
        {
            if (bias.Token >= vocabulary)
                throw new RequestException($"logit_bias has the token id {bias.Token}; ids are from 0 to {vocabulary - 1}", "logit_bias");
        }

        if (request.MaxTokens < 1)
            throw new RequestException($"max_tokens must be at least 1, found {request.MaxTokens}", "max_tokens");
        long length = (long)request.Prompt.Count + (request.MaxTokens ?? 1);
        if (length > MaxSequenceTokens)
        {
            string limit = MaxSequenceTokens == _model.Config.MaxPositions ? "the model's context has" : "the memory here holds";
            throw new RequestException(
                $"{limit} {MaxSequenceTokens} tokens; the request needs {length}: {request.Prompt.Count} of prompt, {request.MaxTokens ?? 1} of output",
                code: "context_length_exceeded");
        }

        return request.MaxTokens is null ? MaxSequenceTokens : (int)length;
    }

    private static ulong SeedOf(SamplingOptions sampling)
    {
        if (sampling.Seed is { } seed)
            return unchecked((ulong)seed);
        Span<byte> random = stackalloc byte[sizeof(ulong)];
        RandomNumberGenerator.Fill(random);
        return BinaryPrimitives.ReadUInt64LittleEndian(random);
    }

    private void Enter(int choices)
    {
        int outstanding = Interlocked.Add(ref _outstanding, choices);
        if (!_accepting)
        {
            Leave(choices);
            throw new EngineException(EngineFailure.ShuttingDown, _fault ?? "the engine is stopping and takes no more requests");
        }

        if (outstanding > MaxRunning + (long)_options.MaxQueued)
        {
            Leave(choices);
            throw new EngineException(EngineFailure.Overloaded, $"{outstanding - choices} requests are running or waiting; try again later");
        }
    }

    private void Leave(int choices = 1)
    {
        if (Interlocked.Add(ref _outstanding, -choices) == 0 && !_accepting)
            _drained.TrySetResult();
    }

    [SuppressMessage("Design", "CA1031", Justification = "a bug here must not leave callers waiting for ever")]
    private void Run()
    {
        try
        {
            while (_loop.HasWork || _inbox.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
                _ = Step();
        }
        catch (Exception e)
        {
            Fail(e);
        }

        _stopped.SetResult();
    }

    private void ReadInbox()
    {
        while (_inbox.Reader.TryRead(out Command command))
        {
            switch (command.Kind)
            {
                case CommandKind.Submit:
                    _loop.Accept(command.Sequence!);
                    break;
                case CommandKind.Cancel:
                    _loop.Cancel(command.Sequence!);
                    break;
                case CommandKind.Call:
                    command.Call!();
                    break;
                default:
                    _loop.EndAll(error: null);
                    break;
            }
        }
    }

    /// <summary>A bug in the engine itself: everybody is told, now and from now on, until the engine is disposed of.</summary>
    private void Fail(Exception cause)
    {
        _fault = $"the engine has failed: {cause.Message}";
        _accepting = false;
        var error = new EngineException(EngineFailure.StepFailed, _fault, cause);
        _loop.Abandon(error);
        while (_inbox.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            while (_inbox.Reader.TryRead(out Command command))
            {
                if (command.Kind == CommandKind.Submit)
                    _loop.Refuse(command.Sequence!, error);
                else if (command.Kind == CommandKind.Call)
                    command.Call!();
            }
        }
    }

    /// <summary>Runs a function between two steps. Never faults the engine: what it throws goes to the caller.</summary>
    [SuppressMessage("Design", "CA1031", Justification = "it goes to the caller")]
    private Task<T> OnEngineThread<T>(Func<T> function, CancellationToken cancellation)
    {
        var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        var command = new Command(CommandKind.Call, null, () =>
        {
            try
            {
                result.TrySetResult(function());
            }
            catch (Exception e)
            {
                result.TrySetException(e);
            }
        });
        if (!_inbox.Writer.TryWrite(command))
            throw new EngineException(EngineFailure.ShuttingDown, "the engine has stopped");
        if (!_ownThread)
            ReadInbox();
        return result.Task.WaitAsync(cancellation);
    }

    private readonly record struct Command(CommandKind Kind, Sequence? Sequence = null, Action? Call = null);
}
