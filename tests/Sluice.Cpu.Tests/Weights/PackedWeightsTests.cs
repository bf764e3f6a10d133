using System.Buffers.Binary;
using System.Security.Cryptography;
using Sluice.Backends;
using Sluice.Core;
using Sluice.Cpu.Weights;
using Sluice.Testing;
using Sluice.Tests.Operations;

namespace Sluice.Cpu.Tests.Weights;

/// <summary>A file of packed weights gives exactly what was packed, or is refused with the reason and packed anew.</summary>
public sealed class PackedWeightsTests : IDisposable
{
    // The packed bytes of PackedLayout.Version, all types. When this hash changes, raise the version: files of older programs must be refused.
    private const int PinnedVersion = 1;
    private const string PinnedBytes = "61eecd169a1fb803947ea64f97c9ecd4fa33c6acae1bec69458996a6817f591b";

    private static readonly byte[] Source = SHA256.HashData("a checkpoint"u8);

    private readonly TemporaryFolder _folder = new();

    private string File => _folder.At("model.packed");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_layout_has_a_number_that_changes_with_it()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (ActivationPrecision precision in Enum.GetValues<ActivationPrecision>())
        {
            string file = _folder.At($"{precision}.packed");
            using (CpuBackend backend = Open(precision, file))
            {
                Load(backend);
                Assert.True(backend.PackedWeights!.TryWrite());
            }

            // Behind the header, which has the checksum: the directory, with all keys, and the pieces.
            hash.AppendData(System.IO.File.ReadAllBytes(file).AsSpan(PackedHeader.Bytes));
        }

        string found = Convert.ToHexStringLower(hash.GetHashAndReset());
        Assert.True(found == PinnedBytes, $"packed bytes are {found} now: raise {nameof(PackedLayout)}.{nameof(PackedLayout.Version)} and pin both");
        Assert.Equal(PinnedVersion, PackedLayout.Version);
    }

    [Theory]
    [InlineData(ActivationPrecision.Fast)]
    [InlineData(ActivationPrecision.Float32)]
    public void A_second_load_is_mapped_and_computes_the_same_bits(ActivationPrecision precision)
    {
        float[] packed, mapped;
        using (CpuBackend backend = Open(precision))
        {
            packed = Load(backend);
            Assert.False(backend.PackedWeights!.AreMapped);
            Assert.Null(backend.PackedWeights.Refusal);
            Assert.True(backend.PackedWeights.TryWrite());
            Assert.Equal(new FileInfo(File).Length, backend.PackedWeights.Bytes);
        }

        using (CpuBackend backend = Open(precision))
        {
            // Whatever the sources say now: nothing is read from them.
            mapped = Load(backend, readable: false);
            Assert.True(backend.PackedWeights!.AreMapped);
            Assert.Null(backend.PackedWeights.Refusal);
        }

        Assert.Equal(packed.Select(BitConverter.SingleToInt32Bits), mapped.Select(BitConverter.SingleToInt32Bits));
        Assert.Equal([File], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void Another_source_other_activations_and_another_model_are_packed_anew()
    {
        Write();
        AssertRefused("another checkpoint", () => Open(source: SHA256.HashData("the same checkpoint, changed"u8)));
        Write();
        AssertRefused("other activations", () => Open(ActivationPrecision.Float32));
        Write();
        using (CpuBackend backend = Open())
        {
            Load(backend, new RandomMatrix(new Random(5), DType.BF16, 8, 64));
            Assert.Contains("lacks 1 of ", backend.PackedWeights!.Refusal, StringComparison.Ordinal);
            Assert.True(backend.PackedWeights.TryWrite());
        }

        // What is in the file and what is not were written together.
        using CpuBackend again = Open();
        Load(again, new RandomMatrix(new Random(5), DType.BF16, 8, 64));
        Assert.True(again.PackedWeights!.AreMapped);
    }

    [Fact]
    public void A_damaged_file_is_refused()
    {
        Write();
        byte[] good = System.IO.File.ReadAllBytes(File);
        int entries = (int)BinaryPrimitives.ReadInt64LittleEndian(good.AsSpan(56));
        foreach (int length in (int[])[0, 1, 127, 128, 1000, good.Length - 1])
            Damaged(good[..length], length < 128 ? "is not a file" : "bytes and should have");
        Damaged([.. good, 0], "bytes and should have");
        Damaged(Changed(0, 1), "is not a file");
        Damaged(Changed(8, 1), "has layout");
        foreach (int at in (int[])[16, 47, 64, 95, 128, 128 + (48 * entries) - 1])
            Damaged(Changed(at, 1), "checksum");
        foreach (long count in (long[])[-1, long.MinValue, long.MaxValue, int.MaxValue, good.Length])
            Damaged(WithNumber(56, count), "it claims");
        Damaged(WithNumber(56, entries - 1), "checksum");

        // A file whose checksum is right may still be made to mislead.
        foreach (long offset in (long[])[-64, 0, 64, good.Length, long.MaxValue - 63, good.Length - 64 - 63])
            Damaged(Resealed(WithNumber(128 + 32, offset)), "no piece of it");
        foreach (long bytes in (long[])[-1, long.MinValue, long.MaxValue, good.Length])
            Damaged(Resealed(WithNumber(128 + 40, bytes)), "no piece of it");
        byte[] twice = [.. good];
        twice.AsSpan(128, 32).CopyTo(twice.AsSpan(128 + 48));
        Damaged(Resealed(twice), "no piece of it");
        Damaged(Resealed(WithNumber(128 + 40, 64)), "lacks 1 of");
        Damaged(Resealed(Changed(12, 7)), "other activations");

        void Damaged(byte[] bytes, string refusal)
        {
            System.IO.File.WriteAllBytes(File, bytes);
            AssertRefused(refusal, () => Open());
        }

        byte[] Changed(int at, byte by)
        {
            byte[] bytes = [.. good];
            bytes[at] ^= by;
            return bytes;
        }

        byte[] WithNumber(int at, long number)
        {
            byte[] bytes = [.. good];
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(at), number);
            return bytes;
        }

        byte[] Resealed(byte[] bytes)
        {
            PackedHeader.Read(bytes)!.Write(bytes, bytes.AsSpan(PackedHeader.Bytes, 48 * entries));
            return bytes;
        }
    }

    [Fact]
    public void A_place_that_cannot_be_written_is_said_and_nothing_is_left()
    {
        System.IO.File.WriteAllText(_folder.At("file"), "");
        using (CpuBackend backend = Open(file: _folder.At("file/model.packed")))
        {
            Load(backend);
            Assert.False(backend.PackedWeights!.TryWrite());
            Assert.NotNull(backend.PackedWeights.Failure);
        }

        Directory.CreateDirectory(File);
        using (CpuBackend backend = Open())
        {
            Load(backend);
            Assert.Contains("cannot be read", backend.PackedWeights!.Refusal, StringComparison.Ordinal);
            Assert.False(backend.PackedWeights.TryWrite());
            Assert.NotNull(backend.PackedWeights.Failure);
        }

        Directory.Delete(File);
        using (CpuBackend backend = Open())
        {
            Load(backend);
            Assert.ThrowsAny<OperationCanceledException>(() => backend.PackedWeights!.TryWrite(null, new CancellationToken(canceled: true)));
        }

        Assert.Equal([_folder.At("file")], Directory.GetFiles(_folder.Path));
    }

    /// <summary>Of two that write, one says so and leaves it to the other; a file left by a process that was killed goes.</summary>
    [Fact]
    public void One_writes_at_a_time()
    {
        string other = $"{File}.0123.unfinished";
        using CpuBackend backend = Open();
        Load(backend);
        using (new FileStream(other, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            Assert.False(backend.PackedWeights!.TryWrite());
            Assert.Contains("another process", backend.PackedWeights.Failure, StringComparison.Ordinal);
            Assert.True(System.IO.File.Exists(other));
        }

        // One that maps the file keeps what it has while another replaces it.
        Write();
        using CpuBackend mapped = Open();
        float[] before = Load(mapped);
        Assert.True(backend.PackedWeights.TryWrite());
        Assert.Equal(before, Load(mapped));
        Assert.Equal([File], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void A_file_has_the_model_s_name()
    {
        string model = Directory.CreateDirectory(_folder.At("model")).FullName;
        Assert.Null(PackedWeightsOptions.For(null, model, default, NoSource));
        Assert.Null(PackedWeightsOptions.For("off", model, default, NoSource));
        Assert.Equal(Path.Combine(model, "model.fast.packed"), PackedWeightsOptions.For("beside", model + "/", ActivationPrecision.Fast, () => Source)!.Path);
        Assert.Equal(_folder.At("m.gguf.float32.packed"), PackedWeightsOptions.For("beside", _folder.At("m.gguf"), ActivationPrecision.Float32, () => Source)!.Path);
        string one = PackedWeightsOptions.For("kept", _folder.At("a/m.gguf"), default, () => Source)!.Path;
        Assert.Matches("^kept.m.gguf-[0-9a-f]{8}.fast.packed$", one);
        Assert.NotEqual(one, PackedWeightsOptions.For("kept", _folder.At("b/m.gguf"), default, () => Source)!.Path);
        Assert.Throws<ConfigurationException>(() => PackedWeightsOptions.For(" ", model, default, NoSource));

        static ReadOnlyMemory<byte> NoSource() => throw new InvalidOperationException("nobody needs it");
    }

    private void Write()
    {
        using CpuBackend backend = Open();
        Load(backend);
        Assert.True(backend.PackedWeights!.TryWrite());
    }

    /// <summary>The file is refused, the weights are packed as ever, and the file that is written then is good.</summary>
    private static void AssertRefused(string why, Func<CpuBackend> open)
    {
        using (CpuBackend backend = open())
        {
            Load(backend);
            Assert.False(backend.PackedWeights!.AreMapped);
            Assert.Contains(why, backend.PackedWeights.Refusal, StringComparison.Ordinal);
            Assert.True(backend.PackedWeights.TryWrite());
        }

        using CpuBackend again = open();
        Load(again, readable: false);
        Assert.True(again.PackedWeights!.AreMapped);
    }

    private CpuBackend Open(ActivationPrecision precision = ActivationPrecision.Fast, string? file = null, byte[]? source = null) =>
        new(new CpuOptions { Threads = 1, Activations = precision, PackedWeights = new(file ?? File, source ?? Source) });

    /// <summary>Loads a matrix of each type in each use, experts and selected rows; what they compute.</summary>
    private static float[] Load(CpuBackend backend, bool readable = true) => Load(backend, null, readable);

    private static float[] Load(CpuBackend backend, MatrixSource? further, bool readable = true)
    {
        const int Rows = 48, Columns = 512;
        Random random = new(7);
        List<float> all = [];
        Activation x = Rig.Of(backend, [.. Enumerable.Range(0, Columns).Select(i => MathF.Sin(i))], 1);
        foreach (DType type in Enum.GetValues<DType>().Where(type => type.IsWeightType()))
        {
            MatrixSource one = Named(type.ToString()), other = Named($"{type} 2");
            Multiply(backend.LoadMatrix(MatrixUse.Linear, one, other));
            Multiply(backend.LoadMatrix(MatrixUse.Linear, one.SelectRows([.. Enumerable.Range(8, 32)])));
            Multiply(backend.LoadMatrix(MatrixUse.Linear, one.SelectRows([.. Enumerable.Range(8, 16), .. Enumerable.Range(0, 16)])));
            LookUp(backend.LoadMatrix(MatrixUse.Embedding, one));
            LookUp(backend.LoadMatrix(MatrixUse.EmbeddingAndLinear, one));

            // Down has as many columns as the intermediate rows are wide.
            MatrixSource square = one.SelectRows([.. Enumerable.Range(0, Columns).Select(i => i % Rows)]);
            ExpertWeights experts = backend.LoadExperts([new(square, square, square)]);
            Routing routing = backend.AllocateRouting(1, 1);
            backend.Route(Rig.Of(backend, [1f], 1), true, routing, 1);
            Activation y = backend.Allocate(1, Columns);
            backend.Experts(x, routing, experts, y, 1);
            Read(y);

            MatrixSource Named(string name) => new Renamed(
                name, readable, type.IsBlocked() ? RandomBlocks.Of(random, type, Rows, Columns) : new RandomMatrix(random, type, Rows, Columns, type == DType.F8E4M3 ? 128 : 0));
        }

        if (further is not null)
            backend.LoadMatrix(MatrixUse.Linear, further);
        return [.. all];

        void Multiply(Matrix matrix)
        {
            Activation y = backend.Allocate(1, matrix.Rows);
            backend.Linear(x, matrix, null, y, 1);
            Read(y);
        }

        void LookUp(Matrix matrix)
        {
            StepBatch batch = new(1);
            batch.Add([Rows - 1], 0, 0, [0], LogitsWanted.None);
            Activation y = backend.Allocate(1, Columns);
            backend.Embed(batch, matrix, y);
            Read(y);
        }

        void Read(Activation y)
        {
            float[] row = new float[y.Width];
            backend.Read(y, 0, row);
            all.AddRange(row);
        }
    }

    private sealed class Renamed(string name, bool readable, MatrixSource inner) : MatrixSource(name, inner.Type, inner.Rows, inner.Columns)
    {
        public override int ScaleBlock => inner.ScaleBlock;

        public override ReadOnlySpan<byte> Row(int row, Span<byte> scratch) => readable ? inner.Row(row, scratch) : throw new InvalidOperationException($"{Name} is packed already");

        public override void RowScales(int row, Span<float> scales) => inner.RowScales(row, scales);
    }
}
