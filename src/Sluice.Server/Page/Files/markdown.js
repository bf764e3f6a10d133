// Markdown as models write it, into DOM nodes. It is cut into blocks first, and a block that has not changed keeps its node: while an
// answer streams only its end is made anew.
import { copyButton, h } from './dom.js';
import { inline } from './inline.js';

const mostDepth = 8;
const fence = /^ {0,3}(```+|~~~+)\s*([^\s`]*)[^`]*$/;
const heading = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const rule = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const quote = /^ {0,3}>/;
const item = /^( *)([-*+]|\d{1,9}[.)])(\s+|$)/;
const divider = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

const sources = new WeakMap();

/** Makes `container` show `text`. */
export function renderMarkdown(container, text) {
  const old = sources.get(container) ?? [], blocks = split(text.split('\n'));
  let same = 0;
  while (same < blocks.length && same < old.length && old[same] === blocks[same].source)
    same++;
  while (container.childNodes.length > same)
    container.lastChild.remove();
  container.append(...blocks.slice(same).map(block => build(block, 0)));
  sources.set(container, blocks.map(block => block.source));
}

/** Cuts lines into blocks: { kind, lines, source }. */
function split(lines) {
  const blocks = [];
  for (let i = 0; i < lines.length;) {
    if (lines[i].trim() === '') {
      i++;
      continue;
    }

    const [kind, end] = kindAt(lines, i), own = lines.slice(i, end);
    blocks.push({ kind, lines: own, source: `${kind}\n${own.join('\n')}` });
    i = end;
  }

  return blocks;
}

function kindAt(lines, start) {
  const line = lines[start];
  if (fence.test(line))
    return ['code', endOfCode(lines, start)];
  if (heading.test(line))
    return ['heading', start + 1];
  if (rule.test(line))
    return ['rule', start + 1];
  if (quote.test(line))
    return ['quote', run(lines, start, next => quote.test(next))];
  if (item.test(line))
    return ['list', endOfList(lines, start)];
  if (isTable(lines, start))
    return ['table', run(lines, start, next => next.includes('|'))];
  return ['paragraph', endOfParagraph(lines, start)];
}

function run(lines, start, belongs) {
  let end = start + 1;
  while (end < lines.length && belongs(lines[end]))
    end++;
  return end;
}

function endOfCode(lines, start) {
  const mark = fence.exec(lines[start])[1];
  for (let i = start + 1; i < lines.length; i++) {
    const line = lines[i].trim();
    if (line.length >= mark.length && line === mark[0].repeat(line.length))
      return i + 1;
  }

  return lines.length;
}

// A list goes on over empty lines as long as what follows is an item or is indented.
function endOfList(lines, start) {
  let end = start + 1;
  for (let i = start + 1; i < lines.length; i++) {
    if (lines[i].trim() === '')
      continue;
    const isLoose = lines[i - 1].trim() === '';
    if (!item.test(lines[i]) && !/^ {2,}/.test(lines[i]) && (isLoose || startsBlock(lines, i)))
      break;
    if (rule.test(lines[i]))
      break;
    end = i + 1;
  }

  return end;
}

function endOfParagraph(lines, start) {
  let end = start + 1;
  while (end < lines.length && lines[end].trim() !== '' && !startsBlock(lines, end))
    end++;
  return end;
}

function startsBlock(lines, i) {
  return [fence, heading, rule, quote, item].some(mark => mark.test(lines[i])) || isTable(lines, i);
}

function isTable(lines, i) {
  return lines[i].includes('|') && i + 1 < lines.length && lines[i + 1].includes('-') && divider.test(lines[i + 1])
    && cells(lines[i]).length === cells(lines[i + 1]).length;
}

function build({ kind, lines }, depth) {
  switch (kind) {
    case 'code': return code(lines);
    case 'heading': return headingOf(lines[0]);
    case 'rule': return h('hr');
    case 'quote': return h('blockquote', {}, inside(lines.map(line => line.replace(/^ {0,3}> ?/, '')), depth));
    case 'list': return list(lines, depth);
    case 'table': return table(lines);
    default: return h('p', {}, inline(lines.map(line => line.trim()).join('\n')));
  }
}

function inside(lines, depth) {
  return depth < mostDepth ? split(lines).map(block => build(block, depth + 1)) : [lines.join('\n')];
}

function code(lines) {
  const [, mark, language] = fence.exec(lines[0]);
  const last = lines.length > 1 ? lines.at(-1).trim() : '';
  const isClosed = last.length >= mark.length && last === mark[0].repeat(last.length);
  const text = lines.slice(1, isClosed ? -1 : undefined).join('\n');
  return h('figure', { class: 'code' },
    h('figcaption', {}, h('span', {}, language || 'text'), copyButton(() => text, 'Copy the code')),
    h('pre', { tabindex: 0, 'aria-label': `Code, ${language || 'text'}` }, h('code', {}, text)));
}

// The page has its own h1 and h2.
function headingOf(line) {
  const [, marks, text] = heading.exec(line);
  return h(`h${Math.min(6, marks.length + 2)}`, {}, inline(text));
}

function list(lines, depth) {
  const [, , mark] = item.exec(lines[0]);
  const isOrdered = /\d/.test(mark), number = parseInt(mark, 10);
  const base = item.exec(lines[0])[1].length, entries = [];
  for (const line of lines) {
    const found = item.exec(line);
    if (found && found[1].length <= base + 1)
      entries.push([line.slice(found[0].length)]);
    else
      entries.at(-1).push(line);
  }

  return h(isOrdered ? 'ol' : 'ul', { start: isOrdered && number !== 1 ? number : null }, entries.map(entry => listItem(entry, depth)));
}

function listItem(lines, depth) {
  const indents = lines.slice(1).filter(line => line.trim() !== '').map(line => line.search(/\S/));
  const indent = Math.min(4, ...indents);
  const own = [lines[0], ...lines.slice(1).map(line => line.slice(Math.min(indent, Math.max(0, line.search(/\S/)))))];
  const blocks = inside(own, depth);
  // A tight item is its text alone.
  return h('li', {}, blocks[0]?.tagName === 'P' ? [...blocks[0].childNodes, ...blocks.slice(1)] : blocks);
}

function table(lines) {
  const align = cells(lines[1]).map(cell => cell.endsWith(':') ? (cell.startsWith(':') ? 'center' : 'end') : null);
  const row = (line, tag) => {
    const own = cells(line);
    return h('tr', {}, align.map((side, i) => h(tag, { class: side, scope: tag === 'th' ? 'col' : null }, inline(own[i] ?? ''))));
  };
  return h('div', { class: 'table', tabindex: 0, role: 'group', 'aria-label': 'Table' }, h('table', {},
    h('thead', {}, row(lines[0], 'th')),
    h('tbody', {}, lines.slice(2).map(line => row(line, 'td')))));
}

function cells(line) {
  return line.trim().replace(/^\|/, '').replace(/(?<!\\)\|$/, '').split(/(?<!\\)\|/).map(cell => cell.trim().replaceAll('\\|', '|'));
}
