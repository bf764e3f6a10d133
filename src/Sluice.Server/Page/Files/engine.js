// What the engine does, once a second while somebody looks.
import { request } from './api.js';
import { h, s } from './dom.js';
import { TreeDrawing } from './tree.js';

const interval = 1000;
const history = 120; // seconds of the small curve
const shares = [
  ['running_kv', 'running KV'], ['running_states', 'running states'], ['cached_kv', 'cached KV'], ['cached_states', 'cached states'], ['free', 'free'],
];
const whole = new Intl.NumberFormat('en');

export class EngineView {
  #timer = 0;
  #polling = null;
  #last = null; // { tokens, at }: the figures a rate is the difference to
  #rates = Array(history).fill(0);
  #figures = {};
  #error = h('p', { class: 'error', role: 'alert', hidden: true });
  #curve = s('polyline', {});
  #bar = h('div', { class: 'bar', role: 'img' });
  #legend = h('dl', { class: 'legend' });
  #tree = new TreeDrawing();

  constructor(root) {
    root.append(
      h('h2', { class: 'hidden' }, 'Engine'),
      this.#error,
      h('section', { class: 'figures', 'aria-label': 'Work' },
        this.#figure('running', 'requests running'), this.#figure('waiting', 'waiting'),
        this.#figure('rate', 'output tokens/s', s('svg', { class: 'curve', viewBox: `0 0 ${history - 1} 30`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.#curve)),
        this.#figure('hits', 'of prompt tokens cached')),
      h('section', {}, h('h3', {}, 'Memory ', this.#plain('total')), this.#bar, this.#legend),
      h('section', {}, h('h3', {}, 'Checkpoints'), h('div', { class: 'figures minor' },
        this.#figure('held', 'held'), this.#figure('published', 'published'), this.#figure('skipped', 'skipped'), this.#figure('evicted', 'evicted'))),
      h('section', {}, h('h3', {}, 'Prefix tree ', this.#plain('nodes')), this.#tree.element),
      h('section', {}, h('h3', {}, 'Since the start'), h('div', { class: 'figures minor' },
        this.#figure('admitted', 'prompts'), this.#figure('prompt_tokens', 'prompt tokens'), this.#figure('output_tokens', 'output tokens'),
        this.#figure('steps', 'steps'), this.#figure('preemptions', 'preemptions'))));
  }

  start() {
    if (this.#timer)
      return;
    this.#timer = setInterval(() => this.#poll(), interval);
    this.#poll();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#last = null;
  }

  async #poll() {
    if (this.#polling)
      return; // a slow answer is not asked for twice
    this.#polling = true;
    try {
      this.#show(await (await request('debug/cache?nodes=200')).json());
      this.#error.hidden = true;
    } catch (error) {
      if (this.#error.textContent !== error.message || this.#error.hidden)
        this.#error.textContent = error.message;
      this.#error.hidden = false;
      if (error.status === 401)
        this.stop(); // whoever said no to giving a key is not asked every second
    } finally {
      this.#polling = false;
    }
  }

  #show({ engine, memory, prompts, checkpoints, tree }) {
    this.#set('running', whole.format(engine.running));
    this.#set('waiting', whole.format(engine.waiting));
    this.#set('hits', `${(prompts.hit_rate * 100).toFixed(1)} %`);
    this.#set('steps', whole.format(engine.steps));
    this.#set('preemptions', whole.format(engine.preemptions));
    this.#set('admitted', whole.format(prompts.admitted));
    this.#set('prompt_tokens', whole.format(prompts.tokens));
    this.#set('output_tokens', whole.format(engine.output_tokens));
    for (const name of ['held', 'published', 'skipped', 'evicted'])
      this.#set(name, whole.format(checkpoints[name]));
    this.#set('total', size(memory.total));
    const shown = tree.nodes.length < tree.node_count ? `, the ${whole.format(tree.nodes.length)} used last` : '';
    this.#set('nodes', `${whole.format(tree.node_count)} nodes${shown}, ${whole.format(tree.ghosts)} without KV`);
    this.#showRate(engine.output_tokens);
    this.#showMemory(memory);
    this.#tree.show(tree.nodes);
  }

  #showRate(tokens) {
    const at = performance.now(), rate = this.#last ? (tokens - this.#last.tokens) / (at - this.#last.at) * 1000 : 0;
    this.#last = { tokens, at };
    this.#rates = [...this.#rates, Math.max(0, rate)].slice(-history);
    this.#set('rate', rate.toFixed(rate > 0 && rate < 10 ? 1 : 0));
    const most = Math.max(1, ...this.#rates);
    this.#curve.setAttribute('points', this.#rates.map((value, i) => `${i},${(29 - value / most * 28).toFixed(1)}`).join(' '));
  }

  #showMemory(memory) {
    const parts = shares.map(([name, label]) => ({ name, label, bytes: memory[name], share: memory[name] / memory.total }));
    if (this.#bar.childElementCount === 0) {
      this.#bar.append(...parts.map(({ name }) => h('span', { class: name })));
      this.#legend.append(...parts.map(({ name, label }) => h('div', {}, h('dt', { class: name }, label), h('dd', {}))));
    }

    parts.forEach(({ bytes, share }, i) => {
      this.#bar.children[i].hidden = bytes === 0;
      this.#bar.children[i].style.width = `${share * 100}%`;
      this.#legend.children[i].lastChild.textContent = `${size(bytes)}, ${percent(share)}`;
    });
    this.#bar.setAttribute('aria-label', parts.map(({ label, share }) => `${label} ${percent(share)}`).join(', '));
  }

  #figure(name, label, more = null) {
    const value = this.#figures[name] = h('dd', { 'data-figure': name }, '–');
    return h('dl', { class: 'figure' }, value, h('dt', {}, label), more);
  }

  #plain(name) {
    return this.#figures[name] = h('small', { 'data-figure': name });
  }

  // Text that stays the same is left alone, so that what somebody has selected stays selected.
  #set(name, text) {
    if (this.#figures[name].textContent !== text)
      this.#figures[name].textContent = text;
  }
}

function percent(share) {
  return share > 0 && share < 0.01 ? '< 1 %' : `${Math.round(share * 100)} %`;
}

function size(bytes) {
  if (bytes >= 2 ** 30)
    return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  return bytes >= 2 ** 20 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${Math.round(bytes / 2 ** 10)} KiB`;
}
