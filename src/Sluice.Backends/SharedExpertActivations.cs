namespace Sluice.Backends;

/// <summary>The activations of a shared expert, all [rows, ...].</summary>
/// <param name="GateUp">[gate | up], [rows, 2 I].</param>
/// <param name="Inner">Room for <c>silu(gate) * up</c>, [rows, I].</param>
/// <param name="Result">The result, [rows, hidden].</param>
public sealed record SharedExpertActivations(Activation GateUp, Activation Inner, Activation Result);
