using System.Diagnostics;
using System.Globalization;
using System.Text;
using Sluice.Constraints;
using Sluice.Constraints.Tests;
using Sluice.Constraints.Vocabularies;

namespace Sluice.Bench.Micro;

/// <summary>
/// What constraints cost a step of the engine: the time of a mask and of accepting a token, along texts that a model might write, cut into
/// the longest tokens. "First" is the first text after compiling, when caches are empty; the others are of many texts with other content.
/// </summary>
internal static class ConstraintCosts
{
    private const int Texts = 200;

    private const string Person = """
        {"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},"email":{"type":["string","null"]},
        "tags":{"type":"array","items":{"type":"string"}},"role":{"enum":["admin","member","guest"]}},"required":["name","age","email","tags","role"],"additionalProperties":false}
        """;

    private static readonly (string Name, ConstraintSpec Spec, Func<Random, string> Write)[] Cases =
    [
        ("object of 5 properties", new JsonSchemaSpec(Person), WritePerson),
        ("list of such objects", new JsonSchemaSpec($$"""{"type":"array","items":{{Person}},"minItems":1,"maxItems":50}"""),
            random => $"[{string.Join(", ", Enumerable.Range(0, 8).Select(_ => WritePerson(random)))}]"),
        ("any object", new JsonObjectSpec(), WritePerson),
        ("string, maxLength 500", new JsonSchemaSpec("""{"type":"string","maxLength":500}"""), random => $"\"{Prose(random, 60)}\""),
        ("string, pattern ^[a-z ]+$", new JsonSchemaSpec("""{"type":"string","pattern":"^[a-z ]+$"}"""), random => $"\"{Words(random, 60)}\""),
        ("pattern and maxLength 200", new JsonSchemaSpec("""{"type":"string","pattern":"^[a-z ]+$","maxLength":200}"""), random => $"\"{Words(random, 20)}\""),
        ("pattern ^[a-z_]{1,64}$", new JsonSchemaSpec("""{"type":"string","pattern":"^[a-z_]{1,64}$"}"""), random => $"\"{Words(random, 3).Replace(' ', '_')}\""),
        ("date-time and uuid", new JsonSchemaSpec("""{"type":"object","properties":{"at":{"type":"string","format":"date-time"},"id":{"type":"string","format":"uuid"}},"required":["at","id"],"additionalProperties":false}"""),
            random => $"{{\"at\": \"20{random.Next(10, 99)}-0{random.Next(1, 9)}-1{random.Next(0, 9)}T1{random.Next(0, 9)}:3{random.Next(0, 9)}:00Z\", \"id\": \"{new Guid(random.Next(), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)}\"}}"),
        ("recursive tree", new JsonSchemaSpec("""{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"v":{"type":"number"},"c":{"type":"array","items":{"$ref":"#/$defs/n"}}},"required":["v","c"],"additionalProperties":false}}}"""),
            random => WriteTree(random, 4)),
        ("one of 1,000 names", new ChoiceSpec([.. Enumerable.Range(0, 1000).Select(i => $"name {i * 7919 % 1000} of many")]), random => $"name {random.Next(1000)} of many"),
        ("tool call", ToolCall(), random => $"<tool_call>\n{{\"name\": \"search\", \"arguments\": {{\"query\": \"{Prose(random, 12)}\", \"limit\": {random.Next(1, 50)}}}}}\n</tool_call>"),
        ("arithmetic in GBNF", new GrammarSpec("root ::= sum\nsum ::= sum [+-] term | term\nterm ::= term [*/] atom | atom\natom ::= [0-9]+ | \"(\" sum \")\""),
            random => string.Join('+', Enumerable.Range(0, 30).Select(_ => $"({random.Next(1000)}*{random.Next(100)}-({random.Next(9)}))"))),
    ];

    public static void Run(int size)
    {
        TokenVocabulary vocabulary = SyntheticVocabulary.Create(size, seed: 1);
        long start = Stopwatch.GetTimestamp();
        var compiler = new ConstraintCompiler(vocabulary);
        Console.WriteLine(Invariant($"{size} tokens; the compiler takes {Stopwatch.GetElapsedTime(start).TotalMilliseconds:f0} ms"));
        foreach ((string name, ConstraintSpec spec, Func<Random, string> write) in Cases[..3])
            Measure(compiler, name, spec, write); // what comes first pays for just-in-time compilation
        Console.WriteLine($"{"microseconds",-28}{"compile",10}{"first",8}{"mask",8}{"p99",8}{"max",8}{"accept",8}{"bytes",8}{"tokens",8}{"cache KiB",11}");
        foreach ((string name, ConstraintSpec spec, Func<Random, string> write) in Cases)
            Console.WriteLine(Measure(new ConstraintCompiler(vocabulary), name, spec, write));
    }

    private static string Measure(ConstraintCompiler compiler, string name, ConstraintSpec spec, Func<Random, string> write)
    {
        (CompiledConstraint constraint, double compile) = Compile(compiler, spec);
        var masks = new List<double>();
        double first = 0, accept = 0;
        var mask = new ulong[compiler.Vocabulary.MaskWords];
        int count = 0;
        for (int text = 0; text < Texts; text++)
        {
            foreach (int token in Cut(compiler.Vocabulary, write(new Random(text)), out ConstraintMatcher matcher, constraint))
            {
                long before = Stopwatch.GetTimestamp();
                matcher.FillMask(mask);
                long between = Stopwatch.GetTimestamp();
                if (!matcher.Accept(token))
                    throw new InvalidOperationException($"{name}: token {token} \"{Encoding.UTF8.GetString(compiler.Vocabulary.Bytes(token))}\" is not accepted in {write(new Random(text))}");
                masks.Add(Microseconds(before, between));
                accept += Microseconds(between, Stopwatch.GetTimestamp());
                count++;
            }

            if (text == 0)
            {
                first = masks.Average();
                masks.Clear();
            }
        }

        // The last text once more: nothing in it is new.
        int[] again = [.. Cut(compiler.Vocabulary, write(new Random(Texts - 1)), out ConstraintMatcher second, constraint)];
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        foreach (int token in again)
        {
            second.FillMask(mask);
            second.Accept(token);
        }

        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        masks.Sort();
        return Invariant(
            $"{name,-28}{compile,10:f0}{first,8:f1}{masks.Average(),8:f1}{masks[masks.Count * 99 / 100],8:f1}{masks[^1],8:f0}{accept / count,8:f2}{allocated / again.Length,8}{count,8}{constraint.CacheBytes >> 10,11}");
    }

    private static (CompiledConstraint Constraint, double Microseconds) Compile(ConstraintCompiler compiler, ConstraintSpec spec)
    {
        long start = Stopwatch.GetTimestamp();
        CompiledConstraint constraint = compiler.Compile(spec);
        return (constraint, Microseconds(start, Stopwatch.GetTimestamp()));
    }

    private static SequenceSpec ToolCall() => new(
        new LiteralSpec("<tool_call>\n{\"name\": "),
        new AlternativesSpec(
            Tool("search", """{"type":"object","properties":{"query":{"type":"string"},"limit":{"type":"integer"}},"required":["query"]}"""),
            Tool("open", """{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}""")),
        new LiteralSpec("}\n</tool_call>"));

    private static SequenceSpec Tool(string name, string parameters) =>
        new(new LiteralSpec($"\"{name}\", \"arguments\": "), new JsonSchemaSpec(parameters) { ClosedObjects = true });

    /// <summary>The longest token at every place; added tokens as such.</summary>
    private static List<int> Cut(TokenVocabulary vocabulary, string text, out ConstraintMatcher matcher, CompiledConstraint constraint)
    {
        matcher = constraint.CreateMatcher();
        var tokens = new List<int>();
        while (text.Length > 0)
        {
            string? added = vocabulary.Added.Keys.FirstOrDefault(name => text.StartsWith(name, StringComparison.Ordinal));
            if (added is not null)
            {
                tokens.Add(vocabulary.Added[added]);
                text = text[added.Length..];
                continue;
            }

            int end = vocabulary.Added.Keys.Select(name => text.IndexOf(name, StringComparison.Ordinal)).Where(at => at > 0).DefaultIfEmpty(text.Length).Min();
            CutPlain(vocabulary, Encoding.UTF8.GetBytes(text[..end]), tokens);
            text = text[end..];
        }

        return tokens;
    }

    private static void CutPlain(TokenVocabulary vocabulary, ReadOnlySpan<byte> text, List<int> tokens)
    {
        while (!text.IsEmpty)
        {
            int token = Longest(vocabulary.LongTokens, text) ?? Longest(vocabulary.ShortTokens, text) ?? throw new InvalidOperationException("no token fits");
            tokens.Add(token);
            text = text[vocabulary.Bytes(token).Length..];
        }
    }

    private static int? Longest(TokenTrie trie, ReadOnlySpan<byte> text)
    {
        int? longest = null;
        ReadOnlySpan<TrieNode> nodes = trie.Nodes;
        for (int i = 0, depth = 0; i < nodes.Length && depth < text.Length && nodes[i].Depth == depth + 1;)
        {
            if (nodes[i].Label != text[depth])
            {
                i = nodes[i].End;
                continue;
            }

            depth++;
            if (nodes[i].Token >= 0)
                longest = nodes[i].Token;
            i++;
        }

        return longest;
    }

    private static string WritePerson(Random random) =>
        $"{{\"name\": \"{Prose(random, 2)}\", \"age\": {random.Next(0, 120)}, \"email\": \"{Words(random, 1)}@{Words(random, 1)}.org\", \"tags\": [\"{Words(random, 1)}\", \"{Prose(random, 3)}\"], \"role\": \"{(random.Next(2) == 0 ? "member" : "guest")}\"}}";

    private static string WriteTree(Random random, int depth) =>
        $"{{\"v\": {random.Next(1000)}.{random.Next(100)}, \"c\": [{string.Join(", ", Enumerable.Range(0, depth == 0 ? 0 : random.Next(1, 4)).Select(_ => WriteTree(random, depth - 1)))}]}}";

    private static string Words(Random random, int count) => string.Join(' ', Enumerable.Range(0, count).Select(_ =>
        new string([.. Enumerable.Range(0, random.Next(3, 9)).Select(_ => (char)('a' + (int)(26 * random.NextDouble() * random.NextDouble())))])));

    private static string Prose(Random random, int count) => $"{Words(random, count)}, é! 中 {Words(random, 1)}.";

    private static double Microseconds(long from, long to) => Stopwatch.GetElapsedTime(from, to).TotalMicroseconds;

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
