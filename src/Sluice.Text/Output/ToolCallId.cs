using System.Security.Cryptography;

namespace Sluice.Text.Output;

/// <summary>Ids of tool calls.</summary>
public static class ToolCallId
{
    private const string Characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    private const int Length = 24;

    /// <summary>A new id: <c>call_</c> and 24 random letters and digits, as clients of the field's APIs know them.</summary>
    public static string Create() => "call_" + RandomNumberGenerator.GetString(Characters, Length);
}
