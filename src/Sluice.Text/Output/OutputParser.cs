using System.Text;

namespace Sluice.Text.Output;

/// <summary>
/// Divides the text of one answer, as it comes, into reasoning, content and calls of tools. One instance for each answer.
/// </summary>
/// <remarks>
/// <para>
/// The text is read character by character and nothing depends on where it is cut, so the parts of any cutting put together are the
/// same. Text that may begin a tag is held back until it is one or is not.
/// </para>
/// <para>
/// Reasoning is what stands between <c>&lt;think&gt;</c>, at the very beginning or in the prompt, and <c>&lt;/think&gt;</c>. Line ends next to a
/// tag are layout and are left out; between content before a call and content after it they stay.
/// </para>
/// <para>
/// A call begins once it names a tool and its arguments begin, and all up to there is right. What goes wrong earlier is content, in
/// full. If it goes wrong later, or the output ends inside it, the call ends incomplete, and what of its text is not in its
/// arguments is content. A call is complete when its JSON object, or its function tag, is closed; the end tag after that may be missing.
/// </para>
/// <para>
/// A call inside reasoning counts only if nothing but calls follows to the end of the output: the model has forgotten to end its
/// reasoning. Otherwise it was thinking of a call.
/// </para>
/// </remarks>
public sealed class OutputParser
{
    private static readonly string[] ThinkTag = [Tags.Think];

    private readonly OutputFormat _format;
    private readonly OutputParserOptions _options;
    private readonly PartWriter _parts = new();

    // Tags that mean something in content, in reasoning, and after a call in either.
    private readonly string[] _contentTags;
    private readonly string[] _reasoningTags;
    private readonly string[] _tailTags;
    private readonly string[] _reasoningTailTags;

    // Text whose meaning is not decided: white space at the start; a call as far as it is not in the arguments passed on.
    private readonly StringBuilder _raw = new();

    // Complete calls inside reasoning.
    private readonly List<(string Name, string Arguments)> _considered = [];

    private TagMatcher _tag;
    private CallReader? _call;
    private Place _place;
    private bool _isReasoning;
    private bool _isCallStarted;
    private bool _isFinished;
    private int _calls;
    private int _newlines;
    private bool _hasReasoning;
    private bool _hasContent;
    private bool _hadTag;
    private bool _endsWithCall;
    private long _read;
    private long _reasoningEnd;

    /// <summary>Begins an answer.</summary>
    public OutputParser(OutputFormat format, OutputParserOptions options)
    {
        ArgumentNullException.ThrowIfNull(format);
        ArgumentNullException.ThrowIfNull(options);
        _format = format;
        _options = options;
        _isReasoning = options.StartsInReasoning;
        _place = format.Reasoning == ReasoningStyle.None ? Place.Text : Place.Start;

        bool callsPossible = format.ToolCalls != ToolCallStyle.None && options.Tools is not { Count: 0 };
        _contentTags = !callsPossible ? []
            : format.ToolCalls == ToolCallStyle.Xml && options.Tools is not null ? [Tags.ToolCall, Tags.Function]
            : [Tags.ToolCall];
        _reasoningTags = [Tags.ThinkEnd, .. _contentTags];
        _tailTags = [Tags.ToolCallEnd];
        _reasoningTailTags = [Tags.ToolCallEnd, .. _contentTags];
    }

    private enum Place
    {
        /// <summary>Before any text: reasoning may begin.</summary>
        Start,

        /// <summary>In reasoning or content.</summary>
        Text,

        /// <summary>In a call.</summary>
        Call,

        /// <summary>After a call, before its end tag.</summary>
        Tail,
    }

    /// <summary>Whether the text so far ends inside the reasoning.</summary>
    public bool IsReasoning => _isReasoning;

    /// <summary>
    /// How many characters at the beginning of the text so far are reasoning, tags included. Reasoning always comes first, so the
    /// tokens of that many characters are the reasoning tokens.
    /// </summary>
    public long ReasoningCharacters => _isReasoning ? _read : _reasoningEnd;

    /// <summary>Reads a whole text.</summary>
    public static ParsedOutput Parse(string text, OutputFormat format, OutputParserOptions options)
    {
        var parser = new OutputParser(format, options);
        List<OutputPart> parts = [];
        parser.Append(text, parts);
        parser.Finish(parts);
        return ParsedOutput.Of(parts);
    }

    /// <summary>Takes more text and adds to <paramref name="parts"/> what has become certain.</summary>
    /// <exception cref="InvalidOperationException">The answer has ended.</exception>
    public void Append(string text, List<OutputPart> parts)
    {
        ArgumentNullException.ThrowIfNull(text);
        ThrowIfFinished();
        _parts.Begin(parts);
        int at = 0;
        while (at < text.Length)
        {
            int plain = PlainLength(text.AsSpan(at));
            if (plain > 0)
            {
                _read += plain;
                EmitText(text.AsSpan(at, plain));
                at += plain;
                continue;
            }

            _read++;
            Step(text[at++]);
        }

        _parts.Flush();
    }

    /// <summary>Ends the answer: what was held back is decided.</summary>
    /// <exception cref="InvalidOperationException">It has ended before.</exception>
    public void Finish(List<OutputPart> parts)
    {
        ThrowIfFinished();
        _isFinished = true;
        _parts.Begin(parts);
        switch (_place)
        {
            case Place.Call:
                EndIncompleteCall();
                EmitText(_raw.ToString());
                break;
            case Place.Tail when _isReasoning:
                _reasoningEnd = _read - _raw.Length - _tag.Held.Length;
                _isReasoning = false;
                _newlines = 0;
                foreach ((string name, string arguments) in _considered)
                    EmitCall(name, arguments);
                break;
            case Place.Tail:
                break;
            default:
                EmitText(_raw.ToString());
                EmitText(_tag.Take());
                break;
        }

        if (!_endsWithCall)
            EmitNewlines();
        _parts.Flush();
    }

    private void ThrowIfFinished()
    {
        if (_isFinished)
            throw new InvalidOperationException("the answer has ended: each needs a parser of its own");
    }

    // Text at the beginning of what comes that no tag can be part of.
    private int PlainLength(ReadOnlySpan<char> text)
    {
        if (_place != Place.Text || !_tag.IsEmpty)
            return 0;
        int tag = text.IndexOf('<');
        return tag < 0 ? text.Length : tag;
    }

    private void Step(char c)
    {
        switch (_place)
        {
            case Place.Start:
                StepStart(c);
                break;
            case Place.Text:
                StepText(c);
                break;
            case Place.Call:
                StepCall(c);
                break;
            default:
                StepTail(c);
                break;
        }
    }

    private void StepStart(char c)
    {
        if (_tag.IsEmpty && char.IsWhiteSpace(c))
        {
            _raw.Append(c);
            return;
        }

        switch (_tag.Append(c, ThinkTag))
        {
            case TagMatch.Full:
                // Said again by some models whose prompt has it already.
                _tag.Take();
                _raw.Clear();
                _isReasoning = true;
                _place = Place.Text;
                break;
            case TagMatch.None:
                _place = Place.Text;
                Replay(c);
                break;
        }
    }

    private void StepText(char c)
    {
        switch (_tag.Append(c, _isReasoning ? _reasoningTags : _contentTags))
        {
            case TagMatch.Full:
                EnterTag(_tag.Take());
                break;
            case TagMatch.None when _tag.IsEmpty:
                EmitText([c]);
                break;
            case TagMatch.None:
                EmitText(_tag.Take());
                StepText(c);
                break;
        }
    }

    private void EnterTag(string tag)
    {
        if (string.Equals(tag, Tags.ThinkEnd, StringComparison.Ordinal))
        {
            _isReasoning = false;
            _reasoningEnd = _read;
            _hadTag = true;
            _newlines = 0;
            return;
        }

        _raw.Append(tag);
        _call = _format.ToolCalls == ToolCallStyle.Json
            ? new JsonCallReader(_options.Tools)
            : new XmlCallReader(_options.Tools, isInFunctionTag: string.Equals(tag, Tags.Function, StringComparison.Ordinal));
        _isCallStarted = false;
        _place = Place.Call;
    }

    private void StepCall(char c)
    {
        CallState state = _call!.Read(c);
        if (state == CallState.Malformed)
        {
            EndIncompleteCall();
            int text = _raw.Length - _call.Backlog;
            string backlog = _raw.ToString(text, _call.Backlog);
            _raw.Length = text;
            _place = Place.Text;
            EmitRaw();
            foreach (char held in backlog)
                Step(held);
            Step(c);
            return;
        }

        _raw.Append(c);
        if (!_isReasoning && _options.StreamArguments && state != CallState.Undecided)
            PassOn(_call);
        if (state == CallState.Complete)
            EndCall(_call);
    }

    private void PassOn(CallReader call)
    {
        if (!_isCallStarted)
        {
            _isCallStarted = true;
            _hadTag = true;
            _endsWithCall = true;
            _parts.Add(OutputPart.CallStart(_calls, _options.CreateCallId(), call.Name));
        }

        if (call.Arguments.Length > 0)
        {
            _parts.Move(OutputPartKind.ToolCallArguments, call.Arguments, _calls);
            _raw.Remove(0, _raw.Length - call.Held);
        }
    }

    private void EndCall(CallReader call)
    {
        _place = Place.Tail;
        if (_isReasoning)
        {
            _considered.Add((call.Name, call.Arguments.ToString()));
            return;
        }

        _raw.Clear();
        if (_isCallStarted)
            _parts.Add(OutputPart.CallEnd(_calls++, isComplete: true));
        else
            EmitCall(call.Name, call.Arguments.ToString());
    }

    private void EndIncompleteCall()
    {
        _considered.Clear();
        if (!_isCallStarted)
            return;
        _parts.Add(OutputPart.CallEnd(_calls++, isComplete: false));
        _isCallStarted = false;

        // Line ends before the call's tag were layout; what is left of the call is text, to the letter.
        if (!_hasContent)
            _newlines = 0;
        _hadTag = false;
        _endsWithCall = false;
    }

    private void EmitCall(string name, string arguments)
    {
        _hadTag = true;
        _endsWithCall = true;
        _parts.Add(OutputPart.CallStart(_calls, _options.CreateCallId(), name));
        _parts.Add(OutputPart.CallArguments(_calls, arguments));
        _parts.Add(OutputPart.CallEnd(_calls++, isComplete: true));
    }

    private void StepTail(char c)
    {
        if (_tag.IsEmpty && char.IsWhiteSpace(c))
        {
            _raw.Append(c);
            return;
        }

        switch (_tag.Append(c, _isReasoning ? _reasoningTailTags : _tailTags))
        {
            case TagMatch.Full:
                EnterTailTag(_tag.Take());
                break;
            case TagMatch.None:
                _place = Place.Text;
                _considered.Clear();
                Replay(c);
                break;
        }
    }

    private void EnterTailTag(string tag)
    {
        if (!string.Equals(tag, Tags.ToolCallEnd, StringComparison.Ordinal))
        {
            EnterTag(tag);
        }
        else if (_isReasoning)
        {
            _raw.Append(tag);
        }
        else
        {
            _raw.Clear();
            _place = Place.Text;
        }
    }

    // What was held is text, except that the held beginning of one tag may be that of another.
    private void Replay(char c)
    {
        string tag = _tag.Take();
        EmitRaw();
        foreach (char held in tag)
            Step(held);
        Step(c);
    }

    private void EmitRaw()
    {
        string raw = _raw.ToString();
        _raw.Clear();
        EmitText(raw);
    }

    // Line ends wait for what comes after them: before a tag they are layout, and so are those first after one.
    private void EmitText(ReadOnlySpan<char> text)
    {
        ReadOnlySpan<char> trimmed = text.TrimStart('\n');
        _newlines += text.Length - trimmed.Length;
        ReadOnlySpan<char> body = trimmed.TrimEnd('\n');
        if (!body.IsEmpty)
        {
            EmitNewlines();
            _parts.Write(_isReasoning ? OutputPartKind.Reasoning : OutputPartKind.Content, body);
            _hasReasoning |= _isReasoning;
            _hasContent |= !_isReasoning;
            _endsWithCall = false;
            _newlines = trimmed.Length - body.Length;
        }

        bool wait = _isReasoning || _contentTags.Length > 0 || (_hadTag && !_hasContent);
        if (!wait)
            EmitNewlines();
    }

    private void EmitNewlines()
    {
        bool areText = _isReasoning ? _hasReasoning : _hasContent || !_hadTag;
        if (areText && _newlines > 0)
            _parts.Write(_isReasoning ? OutputPartKind.Reasoning : OutputPartKind.Content, new string('\n', _newlines));
        _newlines = 0;
    }
}
