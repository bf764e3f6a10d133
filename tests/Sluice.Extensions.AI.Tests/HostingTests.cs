using System.Diagnostics;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Sluice.Checkpoints;
using Sluice.Checkpoints.Quantising;
using Sluice.Core;
using Sluice.Text;

namespace Sluice.Extensions.AI.Tests;

public sealed class HostingTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_container_owns_the_model(bool asynchronously)
    {
        int configured = 0;
        ServiceProvider services = new ServiceCollection().AddSluice(options =>
        {
            configured++;
            options.ModelId = "mine";
            options.CacheBytes = 64 << 20;
            options.Threads = 1;
            options.DrainTimeout = TimeSpan.FromMilliseconds(50);
        }).BuildServiceProvider();
        Assert.Equal(0, configured);
        IChatClient client = services.GetRequiredService<IChatClient>();
        Assert.Same(client, services.GetRequiredService<SluiceChatClient>());
        Assert.Equal("mine", (await client.GetResponseAsync("What is 1 + 2?", DemoModel.Greedy())).ModelId);
        Assert.Equal(1, configured);

        // An answer is on its way while the container goes: it ends with an error, not as if it were whole.
        await using IAsyncEnumerator<ChatResponseUpdate> answer = client.GetStreamingResponseAsync("Hello", DemoModel.Endless).GetAsyncEnumerator();
        Assert.True(await answer.MoveNextAsync());
        if (asynchronously)
            await services.DisposeAsync();
        else
            services.Dispose();
        EngineException cut = await Assert.ThrowsAsync<EngineException>(async () =>
        {
            while (await answer.MoveNextAsync())
            {
            }
        });
        Assert.Equal(EngineFailure.ShuttingDown, cut.Failure);
        EngineException refused = await Assert.ThrowsAsync<EngineException>(() => client.GetResponseAsync("What is 1 + 2?"));
        Assert.Equal(EngineFailure.ShuttingDown, refused.Failure);
    }

    [Fact]
    public void Another_chat_client_stays()
    {
        using var other = new OtherClient();
        using ServiceProvider services = new ServiceCollection().AddSingleton<IChatClient>(other).AddSluice().BuildServiceProvider();
        Assert.Same(other, services.GetRequiredService<IChatClient>());
    }

    [Fact]
    public void A_wrong_option_is_named()
    {
        Assert.StartsWith("ModelFolder", Assert.Throws<ConfigurationException>(() => SluiceModel.Load(new SluiceOptions { ModelFolder = "nowhere" })).Message);
        Assert.StartsWith("CacheBytes", Assert.Throws<ConfigurationException>(() => SluiceModel.Load(new SluiceOptions { CacheBytes = 0 })).Message);
        Assert.StartsWith("MaxRunning", Assert.Throws<ConfigurationException>(() => SluiceModel.Load(new SluiceOptions { MaxRunning = 0 })).Message);
        Assert.Throws<TemplateException>(() => SluiceModel.Load(new SluiceOptions { ChatTemplate = "{% if" }));
    }

    [Fact]
    public async Task A_GGUF_file_is_a_model_too()
    {
        string file = Path.Combine(Path.GetTempPath(), $"sluice-{Guid.NewGuid():n}.gguf");
        try
        {
            using (var checkpoint = Checkpoint.Open(SluiceModel.DemoFolder))
                GgufQuantiser.Write(checkpoint, file, GgufMix.Q8_0, Tokenizer.DescribeForGguf(SluiceModel.DemoFolder, checkpoint.Config.VocabularySize));
            await using SluiceModel model = SluiceModel.Load(new SluiceOptions { ModelFolder = file, CacheBytes = 64 << 20 });
            Assert.Equal(Path.GetFileNameWithoutExtension(file), model.Id);
            using SluiceChatClient client = new(model);
            Assert.Equal("Returns the path of the current user's temporary folder.", (await client.GetResponseAsync("What does Path.GetTempPath do?", DemoModel.Greedy())).Text);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task The_sample_runs()
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "Sluice.Sample.Chat.dll")])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal("", await errors);
        Assert.Equal(0, process.ExitCode);
        Assert.Equal(
            ["> What time is it in Lisbon?", "It is 14:05 in Lisbon.", "> What does Path.GetTempPath do?", "Returns the path of the current user's temporary folder."],
            output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
    }

    private sealed class OtherClient : IChatClient
    {
        public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException();

        public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
            throw new NotSupportedException();

        public object? GetService(Type serviceType, object? serviceKey = null) => null;

        public void Dispose()
        {
        }
    }
}
