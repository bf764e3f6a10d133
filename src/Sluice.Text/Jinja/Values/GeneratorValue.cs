namespace Sluice.Text.Jinja;

/// <summary>
/// Items made as they are asked for, once: what <c>map</c>, <c>select</c> and their like give. Like Python's, it has no length, is
/// always true, and is empty the second time.
/// </summary>
internal sealed class GeneratorValue : Value
{
    private readonly IEnumerator<Value> _items;

    public GeneratorValue(RenderContext c, IEnumerable<Value> items)
    {
        c.AllocateObject(256);
        _items = items.GetEnumerator();
    }

    public override string TypeName => "generator";

    public override IEnumerable<Value> Iterate(RenderContext c)
    {
        while (true)
        {
            // Generators over generators run inside each other: each layer is a level of evaluation.
            c.Enter();
            bool found = _items.MoveNext();
            c.Leave();
            if (!found)
            {
                yield break;
            }

            yield return _items.Current;
        }
    }
}
