namespace Sluice.Checkpoints.Configuration;

/// <summary>
/// Reads the rotary embedding's parameters from either generation: <c>rope_parameters</c> (which newer transformers also
/// accept under the old name <c>rope_scaling</c>), or the fields beside it.
/// </summary>
internal static class RopeReader
{
    /// <summary>Returns the base and the part of each head that rotates, in (0, 1].</summary>
    internal static (double Theta, double Factor) Read(JsonFields text, double defaultFactor)
    {
        JsonFields? rope = null;
        foreach (string name in (ReadOnlySpan<string>)["rope_parameters", "rope_scaling"])
        {
            if (text.Object(name) is { } found)
            {
                RefuseScaling(found);
                rope ??= found;
            }
        }

        double? theta = Agreed(text, rope, "rope_theta");
        if (theta is not (> 0 and < 1e30))
        {
            throw theta is null
                ? text.Missing("rope_theta")
                : text.Error("rope_theta", FormattableString.Invariant($"expected a positive number, found {theta}"));
        }

        double factor = Agreed(text, rope, "partial_rotary_factor") ?? defaultFactor;
        if (factor is not (> 0 and <= 1))
            throw text.Error("partial_rotary_factor", FormattableString.Invariant($"expected a number in (0, 1], found {factor}"));
        return (theta.Value, factor);
    }

    /// <summary>
    /// Only the plain embedding is implemented. Multi-modal models split the frequencies into sections for time, height and
    /// width (<c>mrope_section</c>, type <c>mrope</c>); a text token has the same position in all three, so for text that is the plain
    /// one, interleaved or not.
    /// </summary>
    private static void RefuseScaling(JsonFields rope)
    {
        foreach (string name in (ReadOnlySpan<string>)["rope_type", "type"])
        {
            if (rope.String(name) is { } type && type is not ("default" or "mrope"))
                throw rope.Error(name, $"rope scaling {Printable.Quote(type)} is not implemented; supported is default");
        }
    }

    private static double? Agreed(JsonFields text, JsonFields? rope, string name)
    {
        double? inner = rope?.Number(name);
        double? outer = text.Number(name);
        if (inner is { } a && outer is { } b && !a.Equals(b))
            throw text.Error(name, FormattableString.Invariant($"is {b} here and {a} in rope_parameters"));
        return inner ?? outer;
    }
}
