using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Threading.Channels;
using Sluice.Backends;
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
    private readonly SequenceMemory _memory;
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
        bool needsSlot = config.Layers.Contains(LayerKind.LinearAttention);
        int stepTokens = Math.Min(_options.StepTokens, model.MaxStepTokens);

        // Each running sequence may need a row of the step, a row of logits and a slot.
        int possible = Math.Min(stepTokens, Math.Min(model.MaxLogitRows, needsSlot ? model.Slots : int.MaxValue));
        MaxRunning = Math.Min(possible, _options.MaxRunning ?? int.MaxValue);
        if (MaxRunning < 1 || model.Pages < 1)
        {
            throw new ConfigurationException(
                $"the model needs room for one sequence: it has {model.Pages} KV pages, {model.Slots} state slots, {model.MaxLogitRows} rows of logits");
        }

        MaxSequenceTokens = (int)Math.Min(config.MaxPositions, ((long)model.Pages * KvCache.PageTokens) + 1);
        Meters = new EngineMeters(() => Status);
        _memory = new SequenceMemory(model.Pages, needsSlot ? model.Slots : 0, needsSlot);
        _scheduler = new Scheduler(_memory, MaxRunning, _clock);
        _loop = new EngineLoop(model, _memory, _scheduler, stepTokens, _clock, Meters, _ => Leave());
        if (ownThread)
            new Thread(Run) { Name = "sluice-engine", IsBackground = true }.Start();
    }

    private enum CommandKind
    {
        Submit,
        Cancel,
        CancelAll,
    }

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
                _memory.Pages.Count,
                _memory.Pages.FreeCount,
                _memory.Slots.Count,
                _memory.Slots.FreeCount,
                _loop.Steps);
        }
    }

    /// <summary>Queues a request. Its tokens come through the stream; <paramref name="cancellation"/> ends it within one step.</summary>
    /// <exception cref="RequestException">The request is invalid or can never fit.</exception>
    /// <exception cref="EngineException">The queue is full, or the engine takes no more requests.</exception>
    public GenerationStream Submit(GenerationRequest request, CancellationToken cancellation = default)
    {
        int maxLength = ValidLength(request);
        Enter();
        Sequence? sequence = null;
        var stream = new GenerationStream(() => _inbox.Writer.TryWrite(new Command(CommandKind.Cancel, sequence!)));
        sequence = new Sequence(Interlocked.Increment(ref _arrivals), request, maxLength, SeedOf(request.Sampling), stream)
        {
            SubmittedAt = _clock.GetTimestamp(),
        };

        // Before the sequence is known to the engine thread, which unregisters; a token that is cancelled already calls back here and
        // now, and the engine then meets the cancellation first.
        sequence.Registration = cancellation.UnsafeRegister(static state => ((GenerationStream)state!).Cancel(), stream);
        _inbox.Writer.TryWrite(new Command(CommandKind.Submit, sequence));
        return stream;
    }

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
            _inbox.Writer.TryWrite(new Command(CommandKind.CancelAll, null));
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

    /// <summary>Proves that all memory is accounted for.</summary>
    internal void CheckIntegrity() => _memory.CheckIntegrity(_scheduler.Running);

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

    private void Enter()
    {
        int outstanding = Interlocked.Increment(ref _outstanding);
        if (!_accepting)
        {
            Leave();
            throw new EngineException(EngineFailure.ShuttingDown, _fault ?? "the engine is stopping and takes no more requests");
        }

        if (outstanding > MaxRunning + (long)_options.MaxQueued)
        {
            Leave();
            throw new EngineException(EngineFailure.Overloaded, $"{outstanding - 1} requests are running or waiting; try again later");
        }
    }

    private void Leave()
    {
        if (Interlocked.Decrement(ref _outstanding) == 0 && !_accepting)
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
            }
        }
    }

    private readonly record struct Command(CommandKind Kind, Sequence? Sequence);
}
