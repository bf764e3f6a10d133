namespace Sluice.Models.Loading;

/// <summary>A weight that has been declared and will exist once the plan has been loaded.</summary>
internal sealed class Pending<T>
    where T : class
{
    private T? _value;

    public T Value
    {
        get => _value ?? throw new InvalidOperationException("the weights have not been loaded yet");
        set => _value = value;
    }
}
