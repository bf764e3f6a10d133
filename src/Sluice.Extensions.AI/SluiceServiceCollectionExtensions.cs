using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Sluice.Extensions.AI;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds a model that runs in this process.</summary>
public static class SluiceServiceCollectionExtensions
{
    /// <summary>
    /// Adds <see cref="SluiceModel"/>, <see cref="SluiceChatClient"/> and, unless there is one, <see cref="IChatClient"/>, all singletons. The
    /// model is loaded when it is first asked for, and the container disposes of it.
    /// </summary>
    public static IServiceCollection AddSluice(this IServiceCollection services, Action<SluiceOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddSingleton(_ =>
        {
            var options = new SluiceOptions();
            configure?.Invoke(options);
            return SluiceModel.Load(options);
        });
        services.AddSingleton(provider => new SluiceChatClient(provider.GetRequiredService<SluiceModel>(), provider.GetService<TimeProvider>()));
        services.TryAddSingleton<IChatClient>(provider => provider.GetRequiredService<SluiceChatClient>());
        return services;
    }
}
