using Sluice.Core;
using Sluice.Cpu.Memory;

namespace Sluice.Cpu.Tests;

public sealed unsafe class ScratchTests
{
    [Fact]
    public void What_cannot_grow_goes_on_when_less_is_asked()
    {
        using Scratch scratch = new("scratch test");
        scratch.Take<float>(10)[9] = 1;
        BackendException error = Assert.ThrowsAny<BackendException>(() => { scratch.Take<byte>(1L << 58); });
        Assert.Contains("scratch test", error.Message, StringComparison.Ordinal);
        float* again = scratch.Take<float>(20);
        again[19] = 2;
        Assert.Equal(2, again[19]);
    }
}
