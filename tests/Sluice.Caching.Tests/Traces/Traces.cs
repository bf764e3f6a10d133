using Sluice.Caching.Tests.Fuzz;

namespace Sluice.Caching.Tests.Traces;

/// <summary>One request: its prompt, what a template would say about it, and the answer it will get.</summary>
public sealed record TraceRequest(int[] Prompt, int[] Turns, int LastUserTurn, int GenerationPrefix, int[] Answer)
{
    public static TraceRequest Raw(int[] prompt, int[] answer) => new(prompt, [], 0, prompt.Length, answer);
}

/// <summary>Traffic as applications make it, as token ids; the same for the same seed.</summary>
public sealed class TraceMaker(ulong seed, int part = 0)
{
    private const int Header = 3;
    private readonly Rng _rng = new(Rng.Mix(seed, (ulong)part));
    private int _next = 1000 + (part * 50_000_000);

    /// <summary>Several kinds of traffic at once, each in its own order.</summary>
    public static List<TraceRequest> Mix(ulong seed, params List<TraceRequest>[] parts)
    {
        var rng = new Rng(seed);
        int[] done = new int[parts.Length];
        var mixed = new List<TraceRequest>();
        for (int left = parts.Sum(x => x.Count); left > 0; left--)
        {
            // Each part in proportion to what it still has, so that all last to the end.
            int pick = rng.Below(left);
            int part = 0;
            for (; pick >= parts[part].Count - done[part]; part++)
                pick -= parts[part].Count - done[part];
            mixed.Add(parts[part][done[part]++]);
        }

        return mixed;
    }

    /// <summary>Many users, one system prompt, one question each.</summary>
    public List<TraceRequest> SharedSystem(int users, int system) =>
        [.. OneEach(users, Fresh(system), 40, 300, 100, 400)];

    /// <summary>Questions on long documents, each document's asked in a row.</summary>
    public List<TraceRequest> Documents(int documents, int length, int questions) =>
        [.. Enumerable.Range(0, documents).SelectMany(_ => OneEach(questions, Fresh(length), 20, 60, 50, 200).ToList())];

    /// <summary>
    /// Conversations of several turns, interleaved at random. With <paramref name="thinking"/>, answers begin with thinking that the
    /// template strips from all turns before the last user message.
    /// </summary>
    public List<TraceRequest> Chats(int conversations, int turns, int system, int thinking)
    {
        int[] head = Fresh(system);
        var chats = new List<Chat>();
        for (int i = 0; i < conversations; i++)
            chats.Add(new Chat(head));
        var requests = new List<TraceRequest>();
        for (int left = conversations * turns; left > 0; left--)
        {
            Chat chat;
            do
                chat = chats[_rng.Below(conversations)];
            while (chat.Turns == turns);
            requests.Add(chat.Say(this, Fresh(_rng.In(30, 250)), Fresh(thinking == 0 ? 0 : _rng.In(thinking / 2, thinking)), Fresh(_rng.In(80, 400))));
        }

        return requests;
    }

    /// <summary>Agents that call tools: each step's prompt is the last one, its answer and the tool's result; agents interleaved.</summary>
    public List<TraceRequest> Agents(int agents, int steps, int system)
    {
        int[] head = Fresh(system);
        var contexts = Enumerable.Range(0, agents).Select(_ => (Text: (int[])[.. head, .. Fresh(200)], Turns: new List<int> { head.Length }, Steps: 0)).ToArray();
        var requests = new List<TraceRequest>();
        for (int left = agents * steps; left > 0; left--)
        {
            int agent;
            do
                agent = _rng.Below(agents);
            while (contexts[agent].Steps == steps);
            (int[] text, List<int> turns, int done) = contexts[agent];
            int[] prompt = [.. text, .. Fresh(Header)];
            int[] answer = Fresh(_rng.In(30, 200));
            requests.Add(new TraceRequest(prompt, [.. turns], head.Length, text.Length, answer));
            turns.Add(text.Length);
            int[] next = [.. prompt, .. answer];
            turns.Add(next.Length);
            contexts[agent] = ([.. next, .. Fresh(_rng.In(100, 1200))], turns, done + 1);
        }

        return requests;
    }

    /// <summary>The same prompts again and again.</summary>
    public List<TraceRequest> Identical(int prompts, int times, int length)
    {
        int[][] all = [.. Enumerable.Range(0, prompts).Select(_ => Fresh(length))];
        return [.. Enumerable.Range(0, times).SelectMany(_ => all.Select(x => TraceRequest.Raw(x, Fresh(50))))];
    }

    /// <summary>Prompts of every length up to a limit, by steps, each sent twice.</summary>
    public List<TraceRequest> EveryLengthTwice(int longest, int step)
    {
        var requests = new List<TraceRequest>();
        for (int length = 1; length <= longest; length += step)
        {
            int[] prompt = Fresh(length);
            requests.Add(TraceRequest.Raw(prompt, Fresh(5)));
            requests.Add(TraceRequest.Raw(prompt, Fresh(5)));
        }

        return requests;
    }

    /// <summary>A long prompt, then the same with a change so many tokens before the end.</summary>
    public List<TraceRequest> Edits(int length, params int[] beforeEnd)
    {
        var requests = new List<TraceRequest>();
        foreach (int tail in beforeEnd)
        {
            int[] prompt = Fresh(length);
            requests.Add(TraceRequest.Raw(prompt, Fresh(20)));
            requests.Add(TraceRequest.Raw([.. prompt[..^tail], .. Fresh(tail)], Fresh(20)));
        }

        return requests;
    }

    private IEnumerable<TraceRequest> OneEach(int count, int[] head, int least, int most, int leastAnswer, int mostAnswer)
    {
        for (int i = 0; i < count; i++)
        {
            int[] question = Fresh(_rng.In(least, most));
            int[] prompt = [.. head, .. question, .. Fresh(Header)];
            yield return new TraceRequest(prompt, [head.Length], head.Length, prompt.Length - Header, Fresh(_rng.In(leastAnswer, mostAnswer)));
        }
    }

    /// <summary>Tokens never seen before, so that nothing is shared by accident.</summary>
    private int[] Fresh(int count)
    {
        int[] tokens = new int[count];
        for (int i = 0; i < count; i++)
            tokens[i] = _next++;
        return tokens;
    }

    private sealed class Chat(int[] head)
    {
        private readonly int[] _assistant = [1, 2, 3];
        private readonly List<int> _starts = [head.Length];
        private int[] _history = head;

        public int Turns { get; private set; }

        public TraceRequest Say(TraceMaker maker, int[] user, int[] thinking, int[] reply)
        {
            _ = maker;
            int[] asked = [.. _history, 4, 5, .. user, 6];
            int[] prompt = [.. asked, .. _assistant];
            var request = new TraceRequest(prompt, [.. _starts], _history.Length, asked.Length, [.. thinking, .. reply, 7]);
            _starts.Add(asked.Length);
            _history = [.. prompt, .. reply, 7];
            _starts.Add(_history.Length);
            Turns++;
            return request;
        }
    }
}
