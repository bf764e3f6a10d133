using System.Globalization;

namespace Sluice.Text.Jinja;

/// <summary>C's <c>strftime</c> in the C locale, with glibc's flags <c>-</c>, <c>_</c>, <c>0</c>, <c>^</c> and <c>#</c>.</summary>
internal static class StrfTime
{
    private static readonly string[] Days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

    private static readonly string[] Months =
    [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ];

    /// <summary>
    /// <paramref name="time"/> as <paramref name="format"/> says. The result is the template's when the format is: a date holds
    /// nothing of the inputs.
    /// </summary>
    public static StringValue Format(RenderContext c, StringValue format, DateTimeOffset time)
    {
        TextBuilder text = c.NewText();
        string source = format.Text;
        int at = 0;
        while (at < source.Length)
        {
            int percent = source.IndexOf('%', at);
            if (percent < 0 || percent + 1 == source.Length)
            {
                text.Append(format, at, source.Length);
                break;
            }

            text.Append(format, at, percent);
            int code = percent + 1;
            char flag = '\0';
            while (code + 1 < source.Length && source[code] is '-' or '_' or '0' or '^' or '#')
            {
                flag = source[code++];
            }

            c.Spend(8);
            string? field = Field(source[code], flag, time);
            if (field is null)
            {
                text.Append(format, percent, code + 1);
            }
            else
            {
                text.Append(flag is '^' ? field.ToUpperInvariant() : field, format.Provenance.IsTemplateAt(percent));
            }

            at = code + 1;
        }

        return text.ToValue();
    }

    private static string? Field(char code, char flag, DateTimeOffset time)
    {
        int hour12 = ((time.Hour + 11) % 12) + 1;
        int yearDay = time.DayOfYear;
        int weekDay = (int)time.DayOfWeek;
        int isoWeekDay = weekDay == 0 ? 7 : weekDay;
        return code switch
        {
            'a' => Days[weekDay][..3],
            'A' => Days[weekDay],
            'b' or 'h' => Months[time.Month - 1][..3],
            'B' => Months[time.Month - 1],
            'c' => Composite("%a %b %e %H:%M:%S %Y", time),
            'C' => Number(time.Year / 100, 2, flag),
            'd' => Number(time.Day, 2, flag),
            'D' or 'x' => Composite("%m/%d/%y", time),
            'e' => Number(time.Day, 2, flag == '\0' ? '_' : flag),
            'f' => time.ToString("ffffff", CultureInfo.InvariantCulture),
            'F' => Composite("%Y-%m-%d", time),
            'g' => Number(ISOWeek.GetYear(time.DateTime) % 100, 2, flag),
            'G' => Number(ISOWeek.GetYear(time.DateTime), 1, flag),
            'H' => Number(time.Hour, 2, flag),
            'I' => Number(hour12, 2, flag),
            'j' => Number(yearDay, 3, flag),
            'k' => Number(time.Hour, 2, flag == '\0' ? '_' : flag),
            'l' => Number(hour12, 2, flag == '\0' ? '_' : flag),
            'm' => Number(time.Month, 2, flag),
            'M' => Number(time.Minute, 2, flag),
            'n' => "\n",
            'p' => flag == '#' ? Meridiem(time).ToLowerInvariant() : Meridiem(time),
            'P' => Meridiem(time).ToLowerInvariant(),
            'r' => Composite("%I:%M:%S %p", time),
            'R' => Composite("%H:%M", time),
            's' => time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
            'S' => Number(time.Second, 2, flag),
            't' => "\t",
            'T' or 'X' => Composite("%H:%M:%S", time),
            'u' => Number(isoWeekDay, 1, flag),
            'U' => Number((yearDay + 6 - weekDay) / 7, 2, flag),
            'V' => Number(ISOWeek.GetWeekOfYear(time.DateTime), 2, flag),
            'w' => Number(weekDay, 1, flag),
            'W' => Number((yearDay + 7 - isoWeekDay) / 7, 2, flag),
            'y' => Number(time.Year % 100, 2, flag),
            'Y' => Number(time.Year, 1, flag),
            'z' or 'Z' => "", // transformers' clock reads local time without a zone.
            '%' => "%",
            _ => null,
        };
    }

    private static string Meridiem(DateTimeOffset time) => time.Hour < 12 ? "AM" : "PM";

    private static string Composite(string format, DateTimeOffset time)
    {
        string text = "";
        for (int i = 0; i < format.Length; i++)
        {
            text += format[i] == '%' ? Field(format[++i], '\0', time) : format[i].ToString();
        }

        return text;
    }

    private static string Number(int value, int width, char flag)
    {
        string digits = value.ToString(CultureInfo.InvariantCulture);
        return flag switch
        {
            '-' => digits,
            '_' => digits.PadLeft(width),
            _ => digits.PadLeft(width, '0'),
        };
    }
}
