using System.Globalization;
using System.Text;
using Sluice.Caching.Tree;
using Sluice.Engine;

namespace Sluice.Server.Debug;

/// <summary>A snapshot of the prefix cache as text for people: the budget, the hit rates, the tree. Never what the tokens are.</summary>
internal static class CacheReport
{
    /// <summary>Writes the report.</summary>
    public static string Write(CacheSnapshot snapshot)
    {
        var text = new StringBuilder();
        CacheUse use = snapshot.Use;
        long running = (use.SequencePages * use.PageBytes) + (use.SequenceSlots * use.SlotBytes);
        long cached = (use.CachedPages * use.PageBytes) + (use.CachedSlots * use.SlotBytes);
        Line(text, $"memory       {Size(use.TotalBytes)}: {Share(running, use)} running ({use.SequencePages:N0} pages of KV, {use.SequenceSlots:N0} states), {Share(cached, use)} cached ({use.CachedPages:N0} pages, {use.CachedSlots:N0} states), {Share(use.FreeBytes, use)} free");
        Line(text, $"prompts      {use.Counters.Admitted:N0} admitted, {use.Counters.PromptTokens:N0} tokens, {use.HitRate:P1} of them cached");
        Line(text, $"checkpoints  {use.Counters.Published:N0} taken, {use.Counters.Refused:N0} were there already, {use.Counters.Skipped:N0} skipped for want of memory, {use.Counters.Evicted:N0} evicted");
        Line(text, $"tree         {use.Nodes:N0} nodes, {use.Ghosts:N0} of them keys alone, {use.Salts:N0} salts{(snapshot.Nodes.Count < use.Nodes ? string.Create(CultureInfo.InvariantCulture, $"; the {snapshot.Nodes.Count:N0} used last:") : "")}");
        ILookup<(string Salt, int Parent), NodeDescription> children = snapshot.Nodes.ToLookup(node => (node.Salt, node.Parent));
        foreach (string salt in snapshot.Nodes.Select(node => node.Salt).Distinct(StringComparer.Ordinal))
        {
            Line(text, $"\n{(salt.Length == 0 ? "(no salt)" : salt)}");
            WriteTree(text, children, salt);
        }

        return text.ToString();
    }

    // Chains of nodes are as long as conversations have turns: no recursion.
    private static void WriteTree(StringBuilder text, ILookup<(string Salt, int Parent), NodeDescription> children, string salt)
    {
        var open = new Stack<(NodeDescription Node, string Indent, bool IsLast)>();
        Push(-1, "");
        while (open.TryPop(out (NodeDescription Node, string Indent, bool IsLast) next))
        {
            (NodeDescription node, string indent, bool isLast) = next;
            Line(text, $"{indent}{(isLast ? "└─" : "├─")} {Describe(node)}");
            Push(node.Id, indent + (isLast ? "   " : "│  "));
        }

        void Push(int parent, string indent)
        {
            NodeDescription[] nodes = [.. children[(salt, parent)].OrderByDescending(node => node.Tokens)];
            for (int i = nodes.Length - 1; i >= 0; i--)
                open.Push((nodes[i], indent, i == nodes.Length - 1));
        }
    }

    private static string Describe(NodeDescription node)
    {
        string kv = node.HasKv ? "" : ", keys alone";
        string leased = node.Leases > 0 ? ", in use" : "";
        string state = node.HasState
            ? string.Create(CultureInfo.InvariantCulture, $", state at {node.Start + node.Tokens:N0} ({Words(node.Reason!.Value)}, used {node.Uses:N0} times)")
            : "";
        return string.Create(CultureInfo.InvariantCulture, $"{node.Tokens:N0} tokens{kv}{state}{leased}");
    }

    private static string Words(CheckpointReason reason) => reason switch
    {
        CheckpointReason.PromptEnd => "end of prompt",
        CheckpointReason.SystemEnd => "end of system prompt",
        CheckpointReason.Branch => "branch",
        CheckpointReason.LastUserTurn => "last user turn",
        CheckpointReason.LastUserTurnEnd => "end of last user turn",
        CheckpointReason.Breakpoint => "client's breakpoint",
        CheckpointReason.Turn => "turn",
        CheckpointReason.Interior => "interior",
        _ => "end of output",
    };

    private static string Share(long bytes, CacheUse use) => ((double)bytes / use.TotalBytes).ToString("P0", CultureInfo.InvariantCulture);

    private static string Size(long bytes) => bytes >= 1L << 30
        ? string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / (1L << 30):F1} GiB")
        : string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / (1L << 20):F1} MiB");

    private static void Line(StringBuilder text, FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
