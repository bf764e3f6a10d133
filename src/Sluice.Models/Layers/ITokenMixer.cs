using Sluice.Backends;

namespace Sluice.Models.Layers;

/// <summary>The part of a layer in which tokens of a sequence see each other.</summary>
internal interface ITokenMixer
{
    /// <summary>What it multiplies its input by, before anything else.</summary>
    Matrix First { get; }

    /// <summary><c>delta = mixer(x)</c>, both [tokens, hidden].</summary>
    void Run(StepBatch batch, Activation x, Activation delta);
}

/// <summary>The part of a layer that works on each token alone.</summary>
internal interface IChannelMixer
{
    /// <summary><c>delta = mixer(x)</c>, both [rows, hidden].</summary>
    void Run(Activation x, Activation delta, int rows);
}
