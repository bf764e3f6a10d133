namespace Sluice.Caching.Tests;

/// <summary>The pools against naive models of themselves: a count of owners for each page, a set of held slots.</summary>
public sealed class PoolTests
{
    [Fact]
    public void Random_operations_on_pages_match_a_naive_model()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            int count = random.Next(1, 40);
            var pool = new PagePool(count);
            var owners = new int[count];
            for (int step = 0; step < 300; step++)
            {
                string where = $"seed {seed}, step {step}";
                int free = owners.Count(o => o == 0);
                switch (random.Next(4))
                {
                    case 0:
                        bool rented = pool.TryRent(out int page);
                        Assert.True(rented == free > 0, where);
                        if (rented)
                        {
                            Assert.True(owners[page] == 0, where);
                            owners[page] = 1;
                        }

                        break;
                    case 1:
                        var many = new int[random.Next(0, 6)];
                        bool all = pool.TryRent(many);
                        Assert.True(all == many.Length <= free, where);
                        foreach (int taken in all ? many : [])
                            Assert.True(owners[taken]++ == 0, where);
                        break;
                    case 2:
                        int shared = random.Next(count);
                        if (owners[shared] == 0)
                        {
                            Assert.Throws<InvalidOperationException>(() => pool.AddReference(shared));
                        }
                        else
                        {
                            pool.AddReference(shared);
                            owners[shared]++;
                        }

                        break;
                    default:
                        int returned = random.Next(count);
                        if (owners[returned] == 0)
                        {
                            Assert.Throws<InvalidOperationException>(() => pool.Release(returned));
                        }
                        else
                        {
                            pool.Release(returned);
                            owners[returned]--;
                        }

                        break;
                }

                pool.CheckIntegrity();
                Assert.True(pool.FreeCount == owners.Count(o => o == 0), where);
                for (int i = 0; i < count; i++)
                    Assert.True(pool.References(i) == owners[i], where);
            }
        }
    }

    [Fact]
    public void Random_operations_on_slots_match_a_naive_model()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            int count = random.Next(1, 20);
            var pool = new SlotPool(count);
            var held = new HashSet<int>();
            for (int step = 0; step < 200; step++)
            {
                string where = $"seed {seed}, step {step}";
                if (random.Next(2) == 0)
                {
                    bool rented = pool.TryRent(out int slot);
                    Assert.True(rented == held.Count < count, where);
                    Assert.True(!rented || held.Add(slot), where);
                }
                else
                {
                    int slot = random.Next(count);
                    if (held.Remove(slot))
                        pool.Release(slot);
                    else
                        Assert.Throws<InvalidOperationException>(() => pool.Release(slot));
                }

                pool.CheckIntegrity();
                Assert.True(pool.FreeCount == count - held.Count, where);
                for (int i = 0; i < count; i++)
                    Assert.True(pool.IsHeld(i) == held.Contains(i), where);
            }
        }
    }

    [Fact]
    public void A_rent_that_cannot_be_met_whole_takes_nothing()
    {
        var pool = new PagePool(3);
        Assert.False(pool.TryRent(new int[4]));
        Assert.Equal(3, pool.FreeCount);
        Assert.True(pool.TryRent(new int[3]));
        Assert.False(pool.TryRent(out _));
    }

    [Fact]
    public void A_fresh_pool_hands_out_pages_in_order()
    {
        var pool = new PagePool(4);
        var pages = new int[4];
        Assert.True(pool.TryRent(pages));
        Assert.Equal([0, 1, 2, 3], pages);
    }
}
