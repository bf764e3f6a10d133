using System.Text;
using Sluice.Constraints.Automata;
using Sluice.Constraints.Expressions;
using Sluice.Constraints.Grammars;
using Sluice.Constraints.Json;
using Sluice.Constraints.Schemas;

namespace Sluice.Constraints;

/// <summary>Makes a grammar of what a request asks for.</summary>
internal sealed class ConstraintBuilder(TokenVocabulary vocabulary, JsonTerminals terminals, CompileBudget budget)
{
    private readonly JsonGrammar _json = new(vocabulary, terminals, budget);

    /// <summary>The grammar of the whole text.</summary>
    public Rule Build(ConstraintSpec spec) => new("the constraint") { Body = Node(spec, 0) };

    private GrammarNode Node(ConstraintSpec spec, int depth)
    {
        if (depth > budget.Limits.Depth)
            throw budget.TooDeep();
        budget.ChargeNodes();
        budget.Field = spec.Field;
        switch (spec)
        {
            case JsonSchemaSpec schema:
                return SchemaCompiler.Compile(SchemaReader.Read(schema.Schema, schema.ClosedObjects, budget), _json);
            case JsonObjectSpec:
                return SchemaCompiler.AnyObject(_json);
            case RegexSpec regex:
                return _json.Terminal(
                    $"expression {regex.Expression}", () => ExpressionParser.ParseWhole(regex.Expression, budget).Compile(budget, "the expression"));
            case ChoiceSpec choice:
                return Choice(choice);
            case GrammarSpec grammar:
                Rule root = GbnfParser.Parse(grammar.Grammar, vocabulary, budget);
                new PatternFusion(vocabulary, budget).Fuse(root);
                return new RuleNode(root);
            case LiteralSpec literal:
                return Literal(literal.Text);
            case FreeTextSpec text:
                return Free(text.Until);
            case SequenceSpec sequence:
                return GrammarNode.Sequence([.. sequence.Parts.Select(part => Node(part, depth + 1))]);
            case AlternativesSpec alternatives:
                return GrammarNode.Choice([.. alternatives.Parts.Select(part => Node(part, depth + 1))]);
            case RepeatSpec repeat:
                if (repeat.Min < 0 || repeat.Max < repeat.Min)
                    throw budget.Invalid($"expected at least 0 repetitions and no fewer at most than at least, found {repeat.Min} to {repeat.Max}");
                return Node(repeat.Part, depth + 1).Repeat(repeat.Min, repeat.Max);
            default:
                throw new InvalidOperationException($"unknown constraint {spec.GetType().Name}");
        }
    }

    private GrammarNode Choice(ChoiceSpec spec)
    {
        if (spec.Choices.Count == 0)
            throw budget.Invalid("expected at least one choice");
        long length = 0;
        foreach (string choice in spec.Choices)
        {
            budget.CheckText(choice, "choices", length);
            length += choice.Length;
        }

        return _json.Terminal(
            $"choice {string.Join('\0', spec.Choices)}", () => Pattern.Choice([.. spec.Choices.Select(Pattern.Text)]).Compile(budget, "the list of choices"));
    }

    /// <summary>Text in which added tokens count as such: leftmost first, the longest of several.</summary>
    private GrammarNode Literal(string text)
    {
        budget.CheckText(text, "a literal");
        var parts = new List<GrammarNode>();
        while (text.Length > 0)
        {
            (int at, string token) = (text.Length, "");
            foreach (string added in vocabulary.Added.Keys)
            {
                int found = added.Length == 0 ? -1 : text.IndexOf(added, StringComparison.Ordinal);
                if (found >= 0 && (found < at || (found == at && added.Length > token.Length)))
                    (at, token) = (found, added);
            }

            if (at > 0)
                parts.Add(_json.Literal(text[..at]));
            if (token.Length > 0)
                parts.Add(Token(token));
            text = text[(at + token.Length)..];
        }

        return GrammarNode.Sequence([.. parts]);
    }

    private GrammarNode Free(string? until)
    {
        if (until is null)
            return _json.Terminal("free", () => Pattern.AnyText.Compile(budget, "free text"));
        if (until.Length == 0)
            throw budget.Invalid("expected the words that end free text, found none");
        budget.CheckText(until, "the words that end free text");
        byte[] words = Encoding.UTF8.GetBytes(until);
        return vocabulary.Added.ContainsKey(until)
            ? GrammarNode.Sequence(_json.Terminal($"without {until}", () => FreeText.Without(words, budget)), Token(until))
            : _json.Terminal($"up to {until}", () => FreeText.UpTo(words, budget));
    }

    private TokenNode Token(string text) => vocabulary.Added[text] is var id && vocabulary.IsEnd(id)
        ? throw budget.Invalid($"{text} ends the text and cannot be part of it")
        : new TokenNode(id);
}
