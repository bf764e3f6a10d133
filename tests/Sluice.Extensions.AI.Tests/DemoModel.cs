using Microsoft.Extensions.AI;

[assembly: AssemblyFixture(typeof(Sluice.Extensions.AI.Tests.DemoModel))]

namespace Sluice.Extensions.AI.Tests;

/// <summary>The demonstration model, loaded once for all tests.</summary>
public sealed class DemoModel : IAsyncLifetime
{
    public const string Time = "What time is it in Lisbon?";

    private SluiceModel? _model;

    public SluiceModel Model => _model ?? throw new InvalidOperationException("not loaded yet");

    public SluiceChatClient Client => new(Model);

    /// <summary>Everything that decides an answer is fixed.</summary>
    public static ChatOptions Greedy(params AITool[] tools) => new() { Temperature = 0, Tools = tools };

    /// <summary>Noise, which with this seed goes on for 3,000 tokens: an answer that ends soon was stopped.</summary>
    public static ChatOptions Endless => new() { Temperature = 100, TopK = 0, TopP = 1, Seed = 4, MaxOutputTokens = 3000 };

    public static AIFunction GetTime(Func<string, object> answer) => AIFunctionFactory.Create((string city) => answer(city), "get_time", "Get the local time of a city.");

    public ValueTask InitializeAsync()
    {
        _model = SluiceModel.Load(new SluiceOptions { CacheBytes = 128 << 20, DrainTimeout = TimeSpan.FromSeconds(1) });
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => Model.DisposeAsync();

    /// <summary>Waits until the engine has nothing left to do.</summary>
    public async Task IdleAsync()
    {
        for (int i = 0; i < 200 && (Model.Generator.Engine.Status.Running > 0 || Model.Generator.Engine.Status.Waiting > 0); i++)
            await Task.Delay(10);
        Assert.Equal(0, Model.Generator.Engine.Status.Running);
        Assert.Equal(0, Model.Generator.Engine.Status.Waiting);
    }
}
