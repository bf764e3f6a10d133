using Sluice.Testing;

namespace Sluice.Memory.Tests;

public sealed class UnfinishedFileTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("sluice-memory-tests-");

    private string Place => Path.Combine(_folder.FullName, "file");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void A_file_replaces_another_when_it_is_complete()
    {
        File.WriteAllText(Place, "old");
        using (UnfinishedFile file = new(Place, 6))
        {
            file.Write([1, 2, 3]);
            Assert.Equal(3, file.Position);
            file.Write([4, 5, 6]);
            file.Flush();
            Assert.Equal("old", File.ReadAllText(Place));
            file.Complete();
        }

        Assert.Equal([1, 2, 3, 4, 5, 6], File.ReadAllBytes(Place));
        Assert.Equal([Place], Directory.GetFileSystemEntries(_folder.FullName));
    }

    [Fact]
    public void One_that_is_given_up_leaves_nothing()
    {
        using (UnfinishedFile file = new(Place))
            file.Write([1, 2, 3]);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.FullName));
    }

    /// <summary>What is still in the buffer cannot be written either, and must not keep the file from being deleted.</summary>
    [Theory]
    [InlineData(100)]
    [InlineData(3 << 20)]
    public void One_that_a_full_disk_stops_leaves_nothing(int bytes)
    {
        Assert.SkipUnless(FullDisk.Exists, "no disk is always full here");
        using FullDisk disk = new();
        FullDisk.PutBehind(Place);
        using (UnfinishedFile file = new(Place))
        {
            IOException error = Assert.Throws<IOException>(() =>
            {
                file.Write(new byte[bytes]);
                file.Complete();
            });
            Assert.Contains("No space left on device", error.Message, StringComparison.Ordinal);
        }

        Assert.Empty(Directory.GetFileSystemEntries(_folder.FullName));
    }
}
