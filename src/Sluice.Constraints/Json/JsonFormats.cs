namespace Sluice.Constraints.Json;

/// <summary>The formats of JSON Schema that are enforced, as expressions for the whole of a string's content.</summary>
internal static class JsonFormats
{
    private const string Year = "([0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})";
    private const string LeapYear = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)";

    private const string Date =
        "(" + Year + "-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|" + LeapYear + "-02-29)";

    private const string Time = "(([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))";
    private const string Clock = "([0-9]{1,9}S|[0-9]{1,9}M([0-9]{1,9}S)?|[0-9]{1,9}H([0-9]{1,9}M([0-9]{1,9}S)?)?)";
    private const string Octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    private const string IpV4 = "(" + Octet + "(\\." + Octet + "){3})";
    private const string Label = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
    private const string H16 = "[0-9a-fA-F]{1,4}";
    private const string Ls32 = "(" + H16 + ":" + H16 + "|" + IpV4 + ")";

    // RFC 3986, IPv6address.
    private const string IpV6 =
        "((" + H16 + ":){6}" + Ls32 + "|::(" + H16 + ":){5}" + Ls32 + "|(" + H16 + ")?::(" + H16 + ":){4}" + Ls32
        + "|((" + H16 + ":){0,1}" + H16 + ")?::(" + H16 + ":){3}" + Ls32 + "|((" + H16 + ":){0,2}" + H16 + ")?::(" + H16 + ":){2}" + Ls32
        + "|((" + H16 + ":){0,3}" + H16 + ")?::" + H16 + ":" + Ls32 + "|((" + H16 + ":){0,4}" + H16 + ")?::" + Ls32
        + "|((" + H16 + ":){0,5}" + H16 + ")?::" + H16 + "|((" + H16 + ":){0,6}" + H16 + ")?::)";

    private static readonly Dictionary<string, string> Expressions = new(StringComparer.Ordinal)
    {
        ["date"] = Date,
        ["time"] = Time,
        ["date-time"] = Date + "T" + Time,
        ["duration"] = "P([0-9]{1,9}W|([0-9]{1,9}D|[0-9]{1,9}M([0-9]{1,9}D)?|[0-9]{1,9}Y([0-9]{1,9}M([0-9]{1,9}D)?)?)(T" + Clock + ")?|T" + Clock + ")",
        ["uuid"] = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        ["ipv4"] = IpV4,
        ["ipv6"] = IpV6,
        ["email"] = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*@" + Label + "(\\." + Label + ")+",
        ["hostname"] = Label + "(\\." + Label + "){0,3}",
        ["uri"] = "[a-zA-Z][a-zA-Z0-9+.-]*://" + Label + "(\\." + Label + ")*(:[0-9]{1,5})?(/([a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})*)*"
            + "(\\?([a-zA-Z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-fA-F]{2})*)?(#([a-zA-Z0-9._~!$&'()*+,;=:@/?-]|%[0-9a-fA-F]{2})*)?",
    };

    /// <summary>The names, for errors.</summary>
    public static string Names => string.Join(", ", Expressions.Keys);

    public static bool IsKnown(string format) => Expressions.ContainsKey(format);

    /// <summary>The expression of a known format.</summary>
    public static string Expression(string format) => Expressions[format];
}
