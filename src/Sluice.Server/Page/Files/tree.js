// The prefix tree, drawn: from left to right along the tokens of prompts. A node is as wide as it has tokens and as high as it has
// leaves, so what many prompts share is the tall block at the left. Checkpoints stand at the end of their node.
import { request } from './api.js';
import { h, s } from './dom.js';

const row = 18;
const gap = 2;
const leastWidth = 5;
const reasons = {
  PromptEnd: 'end of prompt', SystemEnd: 'end of system prompt', Branch: 'branch', LastUserTurn: 'last user turn', LastUserTurnEnd: 'end of last user turn',
  Breakpoint: 'client’s breakpoint', Turn: 'turn', Interior: 'interior', OutputEnd: 'end of output',
};

export class TreeDrawing {
  #trees = h('div', { class: 'trees' });
  #text = h('pre', { tabindex: 0, 'aria-label': 'The prefix tree as text' });
  #shown = '';
  #nodes = [];

  constructor() {
    const details = h('details', { toggle: () => details.open && this.#showText() }, h('summary', {}, 'As text'), this.#text);
    const key = h('p', { class: 'key', 'aria-hidden': 'true' },
      h('span', { class: 'kv' }, 'tokens with KV'), h('span', { class: 'leased' }, 'in use'), h('span', { class: 'ghost' }, 'keys alone'), h('span', { class: 'mark' }, 'state checkpoint'));
    this.element = h('div', { class: 'tree' }, this.#trees, key, details);
    new ResizeObserver(() => this.#draw()).observe(this.#trees);
    this.details = details;
  }

  /** Draws nodes, unless they are the ones already drawn. */
  show(nodes) {
    const text = JSON.stringify(nodes);
    if (text === this.#shown)
      return;
    this.#shown = text;
    this.#nodes = nodes;
    this.#draw();
    if (this.details.open)
      this.#showText();
  }

  #draw() {
    const width = this.#trees.clientWidth;
    if (width === 0)
      return;
    const salts = [...new Set(this.#nodes.map(node => node.salt))];
    this.#trees.replaceChildren(...salts.flatMap(salt => [
      salt ? h('h4', {}, salt) : null, drawTree(arrange(this.#nodes.filter(node => node.salt === salt)), width),
    ].filter(Boolean)));
    if (salts.length === 0)
      this.#trees.append(h('p', { class: 'hint' }, 'Nothing is cached yet.'));
  }

  // The server has the words for it.
  async #showText() {
    try {
      this.#text.textContent = await (await request('debug/cache?nodes=200', { accept: 'text/plain', mayAsk: false })).text();
    } catch (error) {
      this.#text.textContent = error.message;
    }
  }
}

/** Gives nodes (parents come before children) depth, rows and order. No recursion: chains are as long as conversations. */
function arrange(nodes) {
  const places = new Map(), roots = [];
  for (const node of nodes) {
    const parent = places.get(node.parent), place = { node, parent, children: [], rows: 0, depth: parent ? parent.depth + 1 : 1 };
    places.set(node.id, place);
    (parent?.children ?? roots).push(place);
  }

  const all = [...places.values()];
  for (const place of all.toReversed()) {
    place.rows = Math.max(1, place.rows);
    if (place.parent)
      place.parent.rows += place.rows;
  }

  let top = 0;
  for (const root of roots)
    top = setTops(root, top);
  for (const place of all)
    setTops(place, place.top);
  return all;

  function setTops(place, start) {
    place.top = start;
    let next = start;
    for (const child of place.children) {
      child.top = next;
      next += child.rows;
    }

    return start + place.rows;
  }
}

function drawTree(places, width) {
  const longest = Math.max(1, ...places.map(({ node }) => node.start + node.tokens));
  const deepest = Math.max(...places.map(place => place.depth));
  const least = Math.min(leastWidth, width / 2 / deepest), scale = (width - least * deepest - 6) / longest;
  const height = Math.max(...places.map(place => (place.top + place.rows) * row));
  const marks = [];
  const blocks = places.map(place => {
    const { node, parent } = place;
    place.x = parent ? parent.x + parent.width : 0;
    place.width = least + node.tokens * scale;
    if (node.state)
      marks.push(s('circle', { class: 'mark', cx: place.x + place.width - 1, cy: place.top * row + (row - gap) / 2, r: 4 }, s('title', {}, tip(node))));
    return s('rect', {
      class: node.kv ? (node.leases > 0 ? 'kv leased' : 'kv') : 'ghost',
      x: place.x, y: place.top * row, width: Math.max(1, place.width - 1), height: place.rows * row - gap, rx: 2,
    }, s('title', {}, tip(node)));
  });
  const label = `${places.length} nodes, up to ${longest} tokens, ${marks.length} checkpoints; the same as text below`;
  return s('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label }, blocks, marks);
}

function tip(node) {
  const lines = [`tokens ${node.start} to ${node.start + node.tokens} (${node.tokens})`];
  if (!node.kv)
    lines.push('keys alone, no KV');
  if (node.leases > 0)
    lines.push('in use');
  if (node.state)
    lines.push(`state: ${reasons[node.reason] ?? node.reason}, used ${node.uses} times`);
  return lines.join('\n');
}
