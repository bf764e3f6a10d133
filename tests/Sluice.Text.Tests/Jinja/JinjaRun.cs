using System.Text;
using System.Text.Json.Nodes;
using Sluice.Core;
using Sluice.Text.Jinja;

namespace Sluice.Text.Tests.Jinja;

/// <summary>Renders templates in one line, with a stopped clock.</summary>
internal static class JinjaRun
{
    public static readonly TimeProvider Clock = new StoppedClock(new DateTimeOffset(2025, 1, 2, 3, 4, 5, TimeSpan.Zero));

    public static string Text(string template, string inputs = "{}", JinjaLimits? limits = null) =>
        Text(JinjaTemplate.Parse(template, limits), Object(inputs));

    public static string Text(JinjaTemplate template, JsonObject inputs) =>
        template.RenderText(inputs, Clock, TestContext.Current.CancellationToken);

    /// <summary>The rendered text with what came from the inputs in ⟦brackets⟧, segment by segment.</summary>
    public static string Origins(string template, string inputs = "{}")
    {
        StringBuilder text = new();
        foreach (PromptSegment segment in JinjaTemplate.Parse(template).Render(Object(inputs), Clock, TestContext.Current.CancellationToken))
        {
            text.Append(segment.FromTemplate ? segment.Text : $"⟦{segment.Text}⟧");
        }

        return text.ToString();
    }

    public static TemplateException Fails(string template, string inputs = "{}", JinjaLimits? limits = null) =>
        Assert.Throws<TemplateException>(() => Text(template, inputs, limits));

    public static JsonObject Object(string json) => (JsonObject)JsonNode.Parse(json)!;

    private sealed class StoppedClock(DateTimeOffset now) : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => now;
    }
}
