// What stands within a line of Markdown: code, emphasis, links. Pictures become links: nothing is loaded for a model's asking.
import { h } from './dom.js';

const mostDepth = 8;
const mostReach = 4000; // characters to look ahead for what closes a mark
const special = /[\\`*_~[!<\n]|https?:\/\//g;
const punctuation = /[!-/:-@[-`{-~]/;

/** The nodes of a text. */
export function inline(text, depth = 0) {
  const nodes = [];
  let plain = '';
  const put = node => {
    if (plain)
      nodes.push(plain);
    plain = '';
    nodes.push(node);
  };
  for (let i = 0; i < text.length;) {
    special.lastIndex = i;
    const found = special.exec(text);
    if (!found) {
      plain += text.slice(i);
      break;
    }

    plain += text.slice(i, found.index);
    i = found.index;
    const piece = depth < mostDepth ? pieceAt(text, i, depth) : null;
    if (piece?.node)
      put(piece.node);
    else
      plain += piece ? piece.text : text[i];
    i = piece ? piece.end : i + 1;
  }

  if (plain)
    nodes.push(plain);
  return nodes;
}

function pieceAt(text, i, depth) {
  switch (text[i]) {
    case '\n': return { node: h('br'), end: i + 1 };
    case '\\': return punctuation.test(text[i + 1] ?? '') ? { text: text[i + 1], end: i + 2 } : null;
    case '`': return code(text, i);
    case '*': case '_': case '~': return emphasis(text, i, depth);
    case '!': return text[i + 1] === '[' ? link(text, i + 1, depth) : null;
    case '[': return link(text, i, depth);
    case '<': return address(/^<((?:https?:\/\/|mailto:)[^\s<>]+)>/, text, i);
    default: return address(/^(https?:\/\/[^\s<>"`]*[^\s<>"`.,;:!?'*_)\]])/, text, i);
  }
}

function code(text, i) {
  let length = 1;
  while (text[i + length] === '`')
    length++;
  const mark = '`'.repeat(length);
  for (let end = text.indexOf(mark, i + length); end >= 0; end = text.indexOf(mark, end + 1)) {
    let after = end + length;
    if (text[after] !== '`')
      return { node: h('code', {}, text.slice(i + length, end).replace(/^ (.*) $/s, '$1')), end: after };
    while (text[after] === '`')
      after++;
    end = after - 1;
  }

  return { text: mark, end: i + length };
}

function emphasis(text, i, depth) {
  const mark = text[i], isDouble = text[i + 1] === mark, marks = isDouble ? mark + mark : mark, start = i + marks.length;
  const isInWord = mark === '_' && /\w/.test(text[i - 1] ?? '');
  if ((mark === '~' && !isDouble) || isInWord || /\s/.test(text[start] ?? ' '))
    return isDouble ? { text: marks, end: start } : null;
  for (let end = text.indexOf(marks, start + 1); end >= 0 && end < start + mostReach; end = text.indexOf(marks, end + 1)) {
    if (!isDouble && text[end + 1] === mark) {
      end++;
      continue;
    }

    // Of three marks in a row the inner ones close what is inside.
    if (isDouble && text[end + 2] === mark)
      end++;
    if (/\s/.test(text[end - 1]) || text[end - 1] === '\\' || (mark === '_' && /\w/.test(text[end + marks.length] ?? '')))
      continue;
    const tag = mark === '~' ? 's' : isDouble ? 'strong' : 'em';
    return { node: h(tag, {}, inline(text.slice(start, end), depth + 1)), end: end + marks.length };
  }

  return isDouble ? { text: marks, end: start } : null;
}

function link(text, i, depth) {
  let open = 0, close = i;
  for (const last = Math.min(text.length, i + mostReach); close < last; close++) {
    if (text[close] === '\\')
      close++;
    else if (text[close] === '[')
      open++;
    else if (text[close] === ']' && --open === 0)
      break;
  }

  const target = /^\(\s*<?([^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?(?:\s+"[^"]*")?\s*\)/.exec(text.slice(close + 1, close + mostReach));
  if (!target)
    return null;
  const label = inline(text.slice(i + 1, close), depth + 1), end = close + 1 + target[0].length;
  return { node: anchor(target[1], label) ?? h('span', {}, label), end };
}

function address(pattern, text, i) {
  const found = pattern.exec(text.slice(i, i + mostReach));
  return found ? { node: anchor(found[1], found[1]), end: i + found[0].length } : null;
}

/** A link that leads elsewhere, or null: only to addresses that run nothing here. */
function anchor(target, label) {
  return /^(https?:\/\/|mailto:)/i.test(target) ? h('a', { href: target, target: '_blank', rel: 'noopener noreferrer' }, label) : null;
}
