using Sluice.Core;

namespace Sluice.Checkpoints;

/// <summary>Where a tensor lies and what it holds.</summary>
/// <param name="Name">Its name, for example <c>model.layers.0.mlp.gate.weight</c>.</param>
/// <param name="Type">How elements are stored; <see cref="DType.Other"/> for types nothing here reads.</param>
/// <param name="Shape">Its dimensions, row-major; empty for a scalar.</param>
/// <param name="Shard">Which of the store's files holds it.</param>
/// <param name="Offset">Its first byte, from the start of that file.</param>
/// <param name="ByteLength">Its bytes.</param>
public sealed record TensorInfo(string Name, DType Type, IReadOnlyList<int> Shape, int Shard, long Offset, long ByteLength)
{
    /// <summary>The type as the file's specification writes it, for messages: <c>BF16</c>, <c>F8_E5M2</c>, <c>Q4_K</c>.</summary>
    public string TypeName { get; init; } = Type.IsBlocked() ? Type.ToString() : Safetensors.StoredType.NameOf(Type);
}
