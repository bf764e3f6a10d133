using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Sluice.Core;

namespace Sluice.Checkpoints.Tests;

public sealed class WeightPlanTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Gives_rows_as_they_are_stored()
    {
        using Checkpoint checkpoint = Write(new("w", DType.F32, [3, 2]), new("h", DType.F16, [2]), new("b", DType.BF16, [1, 2]));
        var plan = new WeightPlan(checkpoint);
        MatrixSource matrix = plan.Matrix("w", 3, 2);
        Assert.Equal(DType.F32, matrix.Type);
        Assert.Equal(0, matrix.ScaleBlock);
        for (int row = 0; row < 3; row++)
            Assert.Equal([Value(2 * row), Value((2 * row) + 1)], MemoryMarshal.Cast<byte, float>(matrix.Row(row, [])).ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.Row(3, []).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.Row(-1, []).Length);
        Assert.Equal([Value(0), Value(1)], plan.Vector("h", 2));
        Assert.Equal([Value(0), Value(1)], plan.Vector("b", 1, 2));
        plan.Validate();
    }

    [Fact]
    public void Every_problem_is_in_one_error()
    {
        using Checkpoint checkpoint = Write(
            new("model.layers.3.linear_attn.in_proj_qkvz.weight", DType.F32, [4, 2]),
            new("model.language_model.layers.12.mlp.gate.weight", DType.F32, [2]),
            new("model.typed", DType.I32, [2, 2]),
            new("model.vector", DType.I64, [2]),
            new("model.nan", DType.BF16, [8]),
            new("model.surplus", DType.F32, [1]),
            new("model.visual.patch", DType.F32, [1]),
            new("mtp.fc.weight", DType.Other, [1]));
        var plan = new WeightPlan(checkpoint);
        MatrixSource misshapen = plan.Matrix("model.layers.3.linear_attn.in_proj_qkvz.weight", 4, 3);
        plan.Matrix("model.language_model.layers.12.mlp.gate.weight", 2, 1);
        MatrixSource mistyped = plan.Matrix("model.typed", 2, 2);
        MatrixSource missing = plan.Matrix("model.layers.0.mlp.gate.weight", 5, 6);
        Assert.Equal([0, 0], plan.Vector("model.vector", 2));
        Assert.Equal(new float[8], plan.Vector("model.nan", 8));
        Assert.Equal(new float[6], plan.Vector("model.norm.weight", 2, 3));
        plan.Skip("model.visual.");
        plan.Skip("mtp.");

        // Planning goes on with the right shapes.
        Assert.Equal((4, 3), (misshapen.Rows, misshapen.Columns));
        Assert.Equal((2, 2), (mistyped.Rows, mistyped.Columns));
        Assert.Equal((5, 6), (missing.Rows, missing.Columns));
        Assert.Throws<InvalidOperationException>(() => missing.Row(0, new byte[24]).Length);
        Assert.Throws<InvalidOperationException>(() => Load(plan));

        var error = Assert.Throws<CheckpointException>(plan.Validate);
        Assert.Equal(
            [
                "layer 3, linear_attn.in_proj_qkvz.weight: expected [4, 3], found [4, 2]",
                "layer 12, mlp.gate.weight: expected [2, 1], found [2]",
                "model.typed: expected F32, F16, BF16, F8_E4M3 or a block type, found I32",
                "layer 0, mlp.gate.weight: is missing; expected BF16 [5, 6]",
                "model.vector: expected F32, F16 or BF16, found I64",
                "model.nan: element 5 is NaN; expected finite numbers",
                "model.norm.weight: is missing; expected BF16 [2, 3]",
                "model.surplus: is in the checkpoint but not in the model",
            ],
            error.Problems);
        Assert.Equal($"weights: 8 problems, the first: {error.Problems[0]}", error.Message);
    }

    [Fact]
    public void Infinity_is_no_weight_either()
    {
        using Checkpoint checkpoint = Write(new TensorDeclaration("model.inf", DType.F32, [8]));
        var plan = new WeightPlan(checkpoint);
        plan.Vector("model.inf", 8);
        Assert.Contains("element 5 is Infinity", Assert.Throws<CheckpointException>(plan.Validate).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Optional_tensors_may_be_absent_but_not_wrong()
    {
        using Checkpoint checkpoint = Write(new("there", DType.F32, [2, 2]), new("wrong", DType.F32, [2, 2]));
        var plan = new WeightPlan(checkpoint);
        Assert.Null(plan.OptionalMatrix("absent", 2, 2));
        Assert.NotNull(plan.OptionalMatrix("there", 2, 2));
        Assert.True(plan.Has("there"));
        Assert.False(plan.Has("absent"));
        plan.OptionalMatrix("wrong", 2, 3);
        Assert.Equal("weights: wrong: expected [2, 3], found [2, 2]", Assert.Throws<CheckpointException>(plan.Validate).Message);
    }

    [Fact]
    public void Asking_is_not_using()
    {
        using Checkpoint checkpoint = Write(new TensorDeclaration("a", DType.F32, [1]));
        var plan = new WeightPlan(checkpoint);
        Assert.True(plan.Has("a"));
        Assert.Throws<CheckpointException>(plan.Validate);
    }

    [Fact]
    public void A_stack_is_cut_into_its_matrices()
    {
        using Checkpoint checkpoint = Write(new("experts", DType.F32, [2, 3, 2]), new("wrong", DType.I8, [2, 3, 2]));
        var plan = new WeightPlan(checkpoint);
        MatrixSource[] experts = plan.MatrixStack("experts", 2, 3, 2);
        Assert.Equal(2, experts.Length);
        Assert.Equal([Value(10), Value(11)], MemoryMarshal.Cast<byte, float>(experts[1].Row(2, [])).ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => experts[0].Row(3, []).Length);
        plan.MatrixStack("wrong", 2, 3, 2);
        Assert.Equal("weights: wrong: expected F32, F16, BF16 or a block type, found I8", Assert.Throws<CheckpointException>(plan.Validate).Message);
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.F16)]
    [InlineData(DType.BF16)]
    public void Fp8_comes_with_its_block_scales(DType scaleType)
    {
        // 5 x 7 in blocks of 2 x 3: 3 x 3 scales, the last ones partly used.
        ModelConfig config = TinyModel.Config with { Fp8Block = (2, 3) };
        using Checkpoint checkpoint = WriteFor(config, new("m.weight", DType.F8E4M3, [5, 7]), new("m.weight_scale_inv", scaleType, [3, 3]));
        var plan = new WeightPlan(checkpoint);
        MatrixSource matrix = plan.Matrix("m.weight", 5, 7);
        plan.Validate();
        Assert.Equal(DType.F8E4M3, matrix.Type);
        Assert.Equal(3, matrix.ScaleBlock);
        Assert.Equal(7, matrix.Row(4, []).Length);
        Span<float> scales = stackalloc float[3];
        for (int row = 0; row < 5; row++)
        {
            matrix.RowScales(row, scales);
            Assert.Equal([Value(3 * (row / 2)), Value((3 * (row / 2)) + 1), Value((3 * (row / 2)) + 2)], scales.ToArray());
        }

        MatrixSource chosen = matrix.SelectRows([4, 0]);
        chosen.RowScales(0, scales);
        Assert.Equal(Value(6), scales[0]);
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.RowScales(5, new float[3]));
    }

    [Fact]
    public void Fp8_without_its_scales_is_a_problem()
    {
        ModelConfig config = TinyModel.Config with { Fp8Block = (2, 3) };
        using Checkpoint checkpoint = WriteFor(config, new("a.weight", DType.F8E4M3, [5, 7]), new("b.weight", DType.F8E4M3, [5, 7]), new("b.weight_scale_inv", DType.F32, [3, 2]),
            new("c.weight", DType.F8E4M3, [2, 3]), new("c.weight_scale_inv", DType.I32, [1, 1]));
        var plan = new WeightPlan(checkpoint);
        plan.Matrix("a.weight", 5, 7);
        plan.Matrix("b.weight", 5, 7);
        plan.Matrix("c.weight", 2, 3);
        Assert.Equal(
            [
                "a.weight_scale_inv: is missing; expected F32 [3, 3]",
                "b.weight_scale_inv: expected [3, 3], found [3, 2]",
                "c.weight_scale_inv: expected F32, F16 or BF16, found I32",
            ],
            Assert.Throws<CheckpointException>(plan.Validate).Problems);
    }

    [Fact]
    public void Fp8_that_the_configuration_does_not_mention_is_a_problem()
    {
        using Checkpoint checkpoint = Write(new TensorDeclaration("a.weight", DType.F8E4M3, [5, 7]));
        var plan = new WeightPlan(checkpoint);
        plan.Matrix("a.weight", 5, 7);
        Assert.Contains("config.json has no quantization_config", Assert.Throws<CheckpointException>(plan.Validate).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_scale_that_is_no_number_stops_the_load()
    {
        ModelConfig config = TinyModel.Config with { Fp8Block = (1, 1) };
        using Checkpoint checkpoint = WriteFor(config, new("nan.weight", DType.F8E4M3, [2, 4]), new("nan.weight_scale_inv", DType.F32, [2, 4]));
        var plan = new WeightPlan(checkpoint);
        MatrixSource matrix = plan.Matrix("nan.weight", 2, 4);
        plan.Job("x", 8, () =>
        {
            var scales = new float[4];
            matrix.RowScales(0, scales);
            matrix.RowScales(1, scales);
        });
        plan.Validate();
        Assert.Equal("nan.weight_scale_inv: a scale of row 1 is NaN; expected a finite number", Assert.Throws<CheckpointException>(() => Load(plan)).Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(0)]
    [InlineData(100)]
    public void Every_job_runs_once_the_largest_first(int workers)
    {
        using Checkpoint checkpoint = Write();
        var plan = new WeightPlan(checkpoint);
        var order = new ConcurrentQueue<int>();
        var reports = new List<LoadProgress>();
        for (int i = 0; i < 50; i++)
        {
            int size = i * 37 % 50;
            plan.Job($"job {size}", size, () => order.Enqueue(size));
        }

        plan.Validate();
        plan.Load(workers, new Recorder(reports), TestContext.Current.CancellationToken);
        Assert.Equal(Enumerable.Range(0, 50), order.Order());
        if (workers == 1)
            Assert.Equal(Enumerable.Range(0, 50).Reverse(), order);
        Assert.Equal(49 * 50 / 2, plan.TotalBytes);
        Assert.Equal((plan.TotalBytes, plan.TotalBytes), (reports[^1].Bytes, reports[^1].TotalBytes));
    }

    [Fact]
    public void Progress_counts_bytes_as_rows_are_read()
    {
        using Checkpoint checkpoint = Write(new TensorDeclaration("w", DType.F32, [4, 2]));
        var plan = new WeightPlan(checkpoint);
        MatrixSource matrix = plan.Matrix("w", 4, 2);
        using var halfway = new ManualResetEventSlim();
        using var seen = new ManualResetEventSlim();
        plan.Job("halves", 32, () =>
        {
            matrix.Row(0, []);
            matrix.Row(1, []);
            halfway.Set();
            Assert.True(seen.Wait(TimeSpan.FromSeconds(60)));
        });
        plan.Validate();
        var reports = new List<LoadProgress>();
        plan.Load(1, new Recorder(reports, report =>
        {
            if (halfway.IsSet)
                seen.Set();
        }), TestContext.Current.CancellationToken);
        Assert.Contains(reports, report => report is { Bytes: 16, TotalBytes: 32, Current: "halves" });
        Assert.Equal(32, reports[^1].Bytes);
    }

    [Fact]
    public void Progress_says_how_fast_and_how_long()
    {
        var progress = new LoadProgress(100, 400, TimeSpan.FromSeconds(2), "x");
        Assert.Equal(50, progress.BytesPerSecond);
        Assert.Equal(TimeSpan.FromSeconds(6), progress.Remaining);
        Assert.Null(new LoadProgress(0, 400, TimeSpan.FromSeconds(2), "x").Remaining);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void The_first_failure_stops_the_rest_and_is_thrown(int workers)
    {
        using Checkpoint checkpoint = Write(new TensorDeclaration("w", DType.F32, [4, 2]));
        var plan = new WeightPlan(checkpoint);
        MatrixSource matrix = plan.Matrix("w", 4, 2);
        int late = 0;
        using var failed = new ManualResetEventSlim();
        plan.Job("fails", 1000, () =>
        {
            failed.Set();
            throw new BackendException("out of memory");
        });
        for (int i = 0; i < 3; i++)
        {
            // These are under way when the failure comes, and give up at a later row.
            plan.Job("reads", 500, () =>
            {
                failed.Wait();
                for (int row = 0; row < 1_000_000_000; row++)
                    matrix.Row(row % 4, []);
            });
        }

        for (int i = 0; i < 100; i++)
            plan.Job("late", 1, () => Interlocked.Increment(ref late));
        plan.Validate();
        Assert.Equal("out of memory", Assert.Throws<BackendException>(() => Load(plan, workers)).Message);
        Assert.Equal(0, late);
    }

    [Fact]
    public void A_cancelled_load_gives_up_at_the_next_row()
    {
        using Checkpoint checkpoint = Write(new TensorDeclaration("w", DType.F32, [4, 2]));
        var plan = new WeightPlan(checkpoint);
        MatrixSource matrix = plan.Matrix("w", 4, 2);
        using var cancellation = new CancellationTokenSource();
        plan.Job("endless", 1, () =>
        {
            cancellation.Cancel();
            for (int row = 0; row < 1_000_000_000; row++)
                matrix.Row(row % 4, []);
        });
        plan.Validate();
        Assert.Throws<OperationCanceledException>(() => plan.Load(2, null, cancellation.Token));
        Assert.Throws<OperationCanceledException>(() => plan.Load(2, null, cancellation.Token));
    }

    [Fact]
    public void A_file_cut_before_the_load_is_a_typed_error()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a mapped file cannot be cut there");
        using Checkpoint checkpoint = Write(new TensorDeclaration("w", DType.F32, [4, 2]));
        var plan = new WeightPlan(checkpoint);
        MatrixSource matrix = plan.Matrix("w", 4, 2);
        plan.Job("x", 32, () => matrix.Row(0, []));
        plan.Validate();
        using (var stream = new FileStream(checkpoint.Files[0], FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            stream.SetLength(10);
        Assert.Throws<CheckpointException>(() => Load(plan));
    }

    /// <summary>The value every test tensor has at an index; NaN and infinity where the name asks for them.</summary>
    private static float Value(int index) => 0.5f + index;

    private static void Load(WeightPlan plan, int workers = 0) => plan.Load(workers, null, TestContext.Current.CancellationToken);

    private Checkpoint Write(params TensorDeclaration[] tensors) => WriteFor(TinyModel.Config, tensors);

    private Checkpoint WriteFor(ModelConfig config, params TensorDeclaration[] tensors)
    {
        File.WriteAllBytes(_folder["config.json"], ModelConfigWriter.Write(config));
        TensorDeclaration[] known = [.. tensors.Where(tensor => tensor.Type != DType.Other)];
        using (SafetensorsWriter writer = SafetensorsWriter.Create(_folder["model.safetensors"], known))
        {
            foreach (TensorInfo tensor in writer.Tensors)
                writer.Write(Content(tensor));
            writer.Complete();
        }

        return Checkpoint.Open(_folder.Path);
    }

    private static byte[] Content(TensorInfo tensor)
    {
        int size = tensor.Type.Size();
        byte[] bytes = new byte[tensor.ByteLength];
        for (int i = 0; i < bytes.Length / size; i++)
        {
            float value = i != 5 ? Value(i) : tensor.Name switch
            {
                "model.nan" or "nan.weight_scale_inv" => float.NaN,
                "model.inf" => float.PositiveInfinity,
                _ => Value(i),
            };
            Span<byte> element = bytes.AsSpan(i * size, size);
            switch (tensor.Type)
            {
                case DType.F32:
                    BinaryPrimitives.WriteSingleLittleEndian(element, value);
                    break;
                case DType.F16:
                    BinaryPrimitives.WriteHalfLittleEndian(element, (Half)value);
                    break;
                case DType.BF16:
                    BinaryPrimitives.WriteUInt16LittleEndian(element, (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16));
                    break;
                default:
                    element[0] = (byte)i;
                    break;
            }
        }

        return bytes;
    }

    private sealed class Recorder(List<LoadProgress> reports, Action<LoadProgress>? then = null) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value)
        {
            reports.Add(value);
            then?.Invoke(value);
        }
    }
}
