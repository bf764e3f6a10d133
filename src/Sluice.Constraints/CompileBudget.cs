using System.Buffers;
using System.Diagnostics;
using System.Text;
using Sluice.Core;

namespace Sluice.Constraints;

/// <summary>What is left of a compilation's time and size. Every loop whose length the request decides charges it.</summary>
internal sealed class CompileBudget(ConstraintLimits limits, CancellationToken cancellation)
{
    private const int ChecksEvery = 4096;

    private long _start = Stopwatch.GetTimestamp();
    private long _work;
    private long _nextCheck = ChecksEvery;
    private int _nodes;

    public ConstraintLimits Limits { get; } = limits;

    /// <summary>The request's field that is being compiled, for errors.</summary>
    public string Field { get; set; } = "constraint";

    public RequestException Invalid(string message) => new(OneLine(message), Field);

    public RequestException Unsupported(string message) => new(OneLine(message), Field, "unsupported_value");

    public RequestException TooComplex(string message) => new(OneLine(message), Field, "constraint_too_complex");

    public RequestException TooDeep() => TooComplex($"the constraint nests deeper than {Limits.Depth} levels");

    /// <summary>Refuses text that is too long or no Unicode, before anything is made of it.</summary>
    /// <param name="text">What was sent.</param>
    /// <param name="what">Names it, with its article.</param>
    /// <param name="before">Characters that count together with it.</param>
    public void CheckText(string text, string what, long before = 0)
    {
        if (before + text.Length > Limits.SourceLength)
            throw TooComplex($"expected {what} of at most {Limits.SourceLength} characters, found {before + text.Length}");
        ReadOnlySpan<char> rest = text;
        while (!rest.IsEmpty)
        {
            if (Rune.DecodeFromUtf16(rest, out _, out int length) != OperationStatus.Done)
                throw Invalid($"expected {what} of Unicode characters, found half of a surrogate pair");
            rest = rest[length..];
        }
    }

    /// <summary>The same time, for automata that must be smaller.</summary>
    public CompileBudget WithStates(int states) =>
        new(Limits with { AutomatonStates = Math.Min(states, Limits.AutomatonStates) }, cancellation) { _start = _start, Field = Field };

    /// <summary>Counts work and looks at the clock now and then.</summary>
    public void Charge(int work = 1)
    {
        _work += work;
        if (_work < _nextCheck)
            return;
        _nextCheck = _work + ChecksEvery;
        cancellation.ThrowIfCancellationRequested();
        if (Stopwatch.GetElapsedTime(_start) > Limits.CompileTime)
            throw TooComplex($"the constraint takes longer than {Limits.CompileTime.TotalSeconds:0.###} seconds to compile");
    }

    /// <summary>Counts nodes of grammars and schemas.</summary>
    public void ChargeNodes(int count = 1)
    {
        _nodes += count;
        if (_nodes > Limits.Nodes)
            throw TooComplex($"the constraint expands to more than {Limits.Nodes} parts");
        Charge(count);
    }

    // Messages quote what was sent.
    private static string OneLine(string message) => string.Create(message.Length, message, (line, text) =>
    {
        for (int i = 0; i < text.Length; i++)
            line[i] = char.IsControl(text[i]) || char.IsSurrogate(text[i]) ? '?' : text[i];
    });
}
