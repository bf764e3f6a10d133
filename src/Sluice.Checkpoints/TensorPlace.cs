using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Sluice.Checkpoints;

/// <summary>How messages speak of tensors: <c>layer 3, self_attn.q_proj.weight</c> and <c>[1536, 256]</c>.</summary>
internal static partial class TensorPlace
{
    internal static string Describe(string name)
    {
        Match match = LayerTensor().Match(name);
        return match.Success ? $"layer {match.Groups["layer"].Value}, {match.Groups["rest"].Value}" : Printable.Plain(name);
    }

    internal static string Shape(IReadOnlyList<int> shape)
    {
        var text = new StringBuilder("[");
        for (int i = 0; i < shape.Count; i++)
            text.Append(i == 0 ? "" : ", ").Append(shape[i].ToString(CultureInfo.InvariantCulture));
        return text.Append(']').ToString();
    }

    [GeneratedRegex(@"^model\.(?:language_model\.)?layers\.(?<layer>[0-9]{1,4})\.(?<rest>[A-Za-z0-9_.]{1,100})\z", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex LayerTensor();
}
