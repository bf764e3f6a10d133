using Sluice.Caching.Sequences;
using Sluice.Caching.Tree;

namespace Sluice.Caching.Tests.Fuzz;

/// <content>Ends of sequences, and what the tree must then have been given.</content>
public sealed partial class CacheRun
{
    private void End()
    {
        if (_running.Count == 0)
            return;
        Running running = TakeRunning();
        if (_rng.Chance(0.3))
        {
            _cache.Release(running.Memory);
            return;
        }

        Finish(running);
    }

    private void Finish(Running running)
    {
        SequenceMemory memory = running.Memory;
        Text text = running.Text;
        int computed = memory.Computed;
        (int attached, int refused, int adopted) = Expect(running);
        if (Geometry.HasStates && computed > 0 && !Exported(memory, computed))
        {
            bool taken = _model.Attach(text, computed, _cache.Tick);
            _model.AddKeys(text, computed);
            attached += taken ? 1 : 0;
            refused += taken ? 0 : 1;
        }

        InsertOutcome outcome = _cache.Finish(memory, text.Tokens);
        CheckOutcome(outcome, attached, refused, adopted);
        Remember(text);
    }

    private static bool Exported(SequenceMemory memory, int position)
    {
        foreach (StateCheckpoint export in memory.Exports)
        {
            if (export.Position == position)
                return true;
        }

        return false;
    }

    /// <summary>Enters into the model what publishing now must give the tree.</summary>
    private (int Attached, int Refused, int Adopted) Expect(Running running)
    {
        SequenceMemory memory = running.Memory;
        if (!Geometry.HasStates)
        {
            _model.AddKeys(running.Text, memory.Computed);
            return (0, 0, _model.Adopt(running.Text, memory.Computed));
        }

        int attached = 0, refused = 0;
        foreach (StateCheckpoint export in memory.Exports)
        {
            if (export.Position > memory.Computed)
                break;
            _model.AddKeys(running.Text, export.Position);
            if (_model.Attach(running.Text, export.Position, _cache.Tick))
                attached++;
            else
                refused++;
        }

        return (attached, refused, -1);
    }

    private void CheckOutcome(InsertOutcome outcome, int attached, int refused, int adopted)
    {
        ViolationException.Unless(
            outcome.Attached == attached && outcome.Refused == refused && (adopted < 0 || outcome.Adopted == adopted),
            $"inserted {outcome}; expected {attached} attached, {refused} refused, {adopted} adopted");
        Coverage.Note("attached", attached);
        Coverage.Note("refused duplicates", refused);
        Coverage.Note("adopted tokens", outcome.Adopted);
    }

    private Running TakeRunning()
    {
        int index = _rng.Below(_running.Count);
        Running running = _running[index];
        _running.RemoveAt(index);
        return running;
    }
}
