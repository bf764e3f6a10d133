using System.Text;
using Sluice.Constraints.Grammars;
using Sluice.Constraints.Json;
using Sluice.Constraints.Matching;
using Sluice.Constraints.Vocabularies;
using Sluice.Core;

namespace Sluice.Constraints;

/// <summary>
/// Compiles constraints for one vocabulary and keeps the latest, by content. Any number of threads may use it; compiling takes milliseconds
/// and, for hostile input, up to <see cref="ConstraintLimits.CompileTime"/>, so not on the engine's thread.
/// </summary>
public sealed class ConstraintCompiler
{
    private readonly ConstraintLimits _limits;
    private readonly JsonTerminals _terminals;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<(string Key, CompiledConstraint Constraint)>> _compiled = new(StringComparer.Ordinal);
    private readonly LinkedList<(string Key, CompiledConstraint Constraint)> _latest = new();

    /// <summary>Creates a compiler.</summary>
    /// <param name="vocabulary">The tokens of the model.</param>
    /// <param name="limits">How large constraints may be.</param>
    public ConstraintCompiler(TokenVocabulary vocabulary, ConstraintLimits? limits = null)
    {
        Vocabulary = vocabulary;
        _limits = limits ?? ConstraintLimits.Default;
        var unhurried = new CompileBudget(ConstraintLimits.Default with { CompileTime = TimeSpan.MaxValue }, CancellationToken.None);
        _terminals = new JsonTerminals(vocabulary, unhurried);
        foreach (TerminalTokens tokens in _terminals.Shared)
            tokens.Complete();
    }

    /// <summary>The tokens of the model.</summary>
    public TokenVocabulary Vocabulary { get; }

    /// <summary>Makes a constraint usable, or finds it if it was compiled lately.</summary>
    /// <exception cref="RequestException">
    /// It is malformed, asks for what cannot be enforced exactly, exceeds a limit, or no text satisfies it. The error names the part's
    /// <see cref="ConstraintSpec.Field"/>.
    /// </exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public CompiledConstraint Compile(ConstraintSpec spec, CancellationToken cancellation = default)
    {
        var builder = new StringBuilder();
        spec.AppendKey(builder);
        string key = builder.ToString();
        if (Find(key) is { } known)
            return known;

        var budget = new CompileBudget(_limits, cancellation);
        Rule root = new ConstraintBuilder(Vocabulary, _terminals, budget).Build(spec);
        budget.Field = spec.Field;
        GrammarProgram program = GrammarProgram.Build(root, budget);
        var automaton = new ParserAutomaton(program, Vocabulary, _terminals.Shared, _limits);
        automaton.WarmUp(cancellation);
        return Keep(key, new CompiledConstraint(Vocabulary, automaton));
    }

    private CompiledConstraint? Find(string key)
    {
        lock (_lock)
        {
            if (!_compiled.TryGetValue(key, out var node))
                return null;
            _latest.Remove(node);
            _latest.AddFirst(node);
            return node.Value.Constraint;
        }
    }

    private CompiledConstraint Keep(string key, CompiledConstraint constraint)
    {
        lock (_lock)
        {
            if (_compiled.TryGetValue(key, out var other))
                return other.Value.Constraint;
            _compiled.Add(key, _latest.AddFirst((key, constraint)));
            if (_compiled.Count > _limits.CompiledConstraints)
            {
                _compiled.Remove(_latest.Last!.Value.Key);
                _latest.RemoveLast();
            }

            return constraint;
        }
    }
}
