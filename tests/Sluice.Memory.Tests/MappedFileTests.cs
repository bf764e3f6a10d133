using System.Diagnostics;

namespace Sluice.Memory.Tests;

public sealed class MappedFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("sluice-memory-tests-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Shows_what_the_file_holds()
    {
        byte[] content = new byte[100_003];
        new Random(1).NextBytes(content);
        using MappedFile file = MappedFile.Open(Write("a", content));
        Assert.Equal(content.Length, file.Length);
        Assert.True(file.Span(0, content.Length).SequenceEqual(content));
        Assert.True(file.Span(77, 1000).SequenceEqual(content.AsSpan(77, 1000)));
        Assert.True(file.Span(content.Length, 0).IsEmpty);
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, 11)]
    [InlineData(10, 1)]
    [InlineData(11, 0)]
    [InlineData(0, -1)]
    [InlineData(long.MaxValue, 1)]
    [InlineData(long.MinValue, int.MaxValue)]
    [InlineData(5, int.MaxValue)]
    public void Never_leaves_the_file(long offset, int count)
    {
        using MappedFile file = MappedFile.Open(Write("a", new byte[10]));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Span(offset, count).Length);
    }

    [Fact]
    public void Reaches_beyond_2_GiB()
    {
        const long Length = 5L << 30;
        string path = Path.Combine(_folder, "sparse");
        using (FileStream stream = File.Create(path))
        {
            stream.SetLength(Length);
            stream.Seek(-3, SeekOrigin.End);
            stream.Write([1, 2, 3]);
        }

        using MappedFile file = MappedFile.Open(path);
        Assert.Equal(Length, file.Length);
        Assert.Equal([0, 1, 2, 3], file.Span(Length - 4, 4).ToArray());
        file.Advise(FileAccessAdvice.WillNeed, Length - 4);
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Span(Length - 4, 5).Length);
    }

    [Fact]
    public void An_empty_file_maps_nothing()
    {
        using MappedFile file = MappedFile.Open(Write("empty", []));
        Assert.Equal(0, file.Length);
        Assert.True(file.Span(0, 0).IsEmpty);
        file.Advise(FileAccessAdvice.Sequential);
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Span(0, 1).Length);
    }

    [Fact]
    public void Ends_once_and_for_all()
    {
        MappedFile file = MappedFile.Open(Write("a", new byte[10]));
        file.Dispose();
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.Span(0, 1).Length);
        Assert.Throws<ObjectDisposedException>(() => file.Advise(FileAccessAdvice.Sequential));
        Assert.Throws<ObjectDisposedException>(file.CheckUnchanged);
    }

    [Fact]
    public void Advice_may_name_any_range()
    {
        using MappedFile file = MappedFile.Open(Write("a", new byte[200_000]));
        file.Advise(FileAccessAdvice.Sequential);
        file.Advise(FileAccessAdvice.WillNeed, 70_000, 10);
        file.Advise(FileAccessAdvice.WillNeed, 70_000, long.MaxValue);
        file.Advise(FileAccessAdvice.WillNeed, long.MaxValue, long.MaxValue);
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Advise(FileAccessAdvice.WillNeed, -1));
        Assert.Equal(0, file.Span(199_999, 1)[0]);
    }

    [Fact]
    public void Notices_a_file_that_was_cut()
    {
        string path = Write("a", new byte[10_000]);
        using MappedFile file = MappedFile.Open(path);
        file.CheckUnchanged();
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            stream.SetLength(100);
        }
        catch (IOException) when (OperatingSystem.IsWindows())
        {
            return;
        }

        var error = Assert.Throws<IOException>(file.CheckUnchanged);
        Assert.Equal($"{path} was 10000 bytes when it was opened and is 100 bytes now", error.Message);
    }

    [Fact]
    public void What_cannot_be_opened_is_an_IOException()
    {
        Assert.Throws<FileNotFoundException>(() => MappedFile.Open(Path.Combine(_folder, "missing")));
        Assert.ThrowsAny<Exception>(() => MappedFile.Open(_folder));
        Assert.ThrowsAny<IOException>(() => MappedFile.Open(Path.Combine(Write("a", [1]), "below a file")));
    }

    [Fact]
    public void A_pipe_is_refused_at_once_instead_of_waited_for()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "named pipes in the file system are Unix's");
        string path = Path.Combine(_folder, "pipe.safetensors");
        using (Process made = Process.Start("mkfifo", path))
            made.WaitForExit();
        Assert.Throws<IOException>(() => MappedFile.Open(path));
    }

    [Fact]
    public void Follows_links()
    {
        string target = Write("blob", [1, 2, 3]);
        string link = Path.Combine(_folder, "link");
        File.CreateSymbolicLink(link, target);
        using MappedFile file = MappedFile.Open(link);
        Assert.Equal([1, 2, 3], file.Span(0, 3).ToArray());
    }

    [Fact]
    public void Dropping_the_cache_keeps_the_content()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux has the call");
        string path = Write("a", [1, 2, 3]);
        Assert.True(MappedFile.TryDropCache(path));
        using MappedFile file = MappedFile.Open(path);
        Assert.Equal([1, 2, 3], file.Span(0, 3).ToArray());
    }

    [Fact]
    public void Available_memory_is_a_sensible_figure()
    {
        long available = SystemMemory.AvailableBytes();
        Assert.InRange(available, 1 << 20, 1L << 50);
        Assert.InRange(SystemMemory.TotalBytes, 1 << 20, 1L << 50);
    }

    private string Write(string name, byte[] content)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllBytes(path, content);
        return path;
    }
}
