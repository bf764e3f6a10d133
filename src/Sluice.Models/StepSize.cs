using System.Numerics;
using Sluice.Core;

namespace Sluice.Models;

/// <summary>Tokens of a step where nobody says how many.</summary>
public static class StepSize
{
    /// <summary>Most tokens of a step in which somebody decodes, who waits for his next token until all of them are computed.</summary>
    public const int Shared = 512;

    private const int MostAlone = 2048;

    /// <summary>Rows at which an expert's products take longer than reading its weights.</summary>
    private const int RowsOfExpert = 32;

    /// <summary>
    /// Most tokens of a step of prompts alone: so many that each expert has <see cref="RowsOfExpert"/> rows on average, since its weights are read once a step
    /// however few it has; a power of two from <see cref="Shared"/> to 2,048.
    /// </summary>
    public static int Alone(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        int enough = config.Moe is { } moe ? (int)Math.Min(MostAlone, (long)RowsOfExpert * moe.Experts / moe.TopK) : 0;
        return (int)Math.Clamp(BitOperations.RoundUpToPowerOf2((uint)enough), Shared, MostAlone);
    }
}
