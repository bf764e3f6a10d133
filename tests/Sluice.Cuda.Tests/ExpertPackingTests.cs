using Sluice.Cuda.Memory;

namespace Sluice.Cuda.Tests;

public sealed class ExpertPackingTests
{
    [Fact]
    public void Places_of_down_are_the_inverse_of_the_kernels_formula()
    {
        for (int packed = 0; packed < 64; packed++)
        {
            int row = (packed / 16 * 16) + (packed % 8 / 2 * 4) + (packed / 8 % 2 * 2) + (packed % 2);
            Assert.Equal(packed, ExpertPacking.PlaceOfDown(row));
        }
    }
}
