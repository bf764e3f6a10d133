// How messages look.
import { describe } from './answer.js';
import { byId, copyButton, h } from './dom.js';
import { renderMarkdown } from './markdown.js';

/** What the user wrote; `edit` is called with a new text. */
export function userMessage(message, edit) {
  const text = h('p', { class: 'said' }, message.content);
  const button = h('button', { type: 'button', class: 'quiet small changes', 'aria-label': 'Edit the message', click: () => startEditing(article, message, edit) }, 'Edit');
  const article = h('article', { class: 'user', 'aria-label': 'You' }, text, h('div', { class: 'actions' }, button));
  return article;
}

/** What a tool gave back. */
export function toolMessage(message) {
  return h('article', { class: 'tool', 'aria-label': 'Result of a tool' }, h('pre', {}, pretty(message.content)));
}

/** An answer, with `update` to show how it goes on. `respond`, if any, takes the results of its calls; `retry` makes it anew. */
export function answerMessage(answer) {
  const reasoning = h('div', { class: 'markdown' }), summary = h('summary', {}, 'Thinking');
  const thinking = h('details', { class: 'thinking', hidden: true }, summary, reasoning);
  const content = h('div', { class: 'markdown content' }), calls = h('div', { class: 'calls' });
  const error = h('p', { class: 'error', role: 'alert', hidden: true });
  const foot = h('footer', { class: 'actions' });
  const element = h('article', { class: 'assistant', 'aria-label': 'Answer' }, thinking, content, calls, error, foot);
  return { element, update };

  function update(isRunning, { respond, retry } = {}) {
    element.classList.toggle('running', isRunning);
    element.classList.toggle('empty', isRunning && !answer.content && !answer.reasoning && answer.calls.length === 0);
    thinking.hidden = !answer.reasoning;
    summary.textContent = isRunning && !answer.content ? 'Thinking…' : 'Thought';
    renderMarkdown(reasoning, answer.reasoning);
    renderMarkdown(content, answer.content);
    calls.replaceChildren(...answer.calls.map(call => callOf(call)));
    if (isRunning)
      return;
    error.hidden = !answer.error;
    error.textContent = answer.error ?? '';
    if (respond && answer.calls.length > 0)
      calls.append(resultForm(answer.calls, respond));
    foot.replaceChildren(h('span', { class: 'stats' }, describe(answer)));
    if (answer.content)
      foot.append(copyButton(() => answer.content, 'Copy the answer'));
    foot.append(h('button', { type: 'button', class: 'quiet small changes', 'aria-label': 'Answer again', click: retry }, 'Again'));
  }
}

function callOf(call) {
  return h('figure', { class: 'code' }, h('figcaption', {}, h('span', {}, 'calls ', h('b', {}, call.name))), h('pre', { tabindex: 0, 'aria-label': `Arguments of ${call.name}` }, pretty(call.arguments)));
}

function resultForm(calls, respond) {
  const fields = calls.map(call => h('textarea', { rows: 2, class: 'code', 'aria-label': `Result of ${call.name}`, placeholder: `What ${call.name} returns`, spellcheck: 'false' }));
  return h('form', { class: 'results', submit: event => {
    event.preventDefault();
    respond(fields.map((field, i) => ({ role: 'tool', id: calls[i].id, content: field.value })));
  } }, fields, h('button', { type: 'submit' }, 'Send the result'));
}

function startEditing(article, message, edit) {
  const old = [...article.childNodes];
  const field = h('textarea', { 'aria-label': 'Edit the message', keydown: event => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      end();
    } else if (isSend(event)) {
      event.preventDefault();
      finish();
    }
  }, input: () => grow(field) });
  field.value = message.content;
  article.replaceChildren(field, h('div', { class: 'actions' },
    h('button', { type: 'button', class: 'primary small', click: finish }, 'Send'),
    h('button', { type: 'button', class: 'quiet small', click: end }, 'Cancel')));
  article.classList.add('editing');
  grow(field);
  field.focus();

  function finish() {
    if (field.value.trim() !== '')
      edit(field.value);
  }

  function end() {
    article.classList.remove('editing');
    article.replaceChildren(...old);
    (article.querySelector('button') ?? byId('prompt')).focus();
  }
}

/** Whether a key means to send: Enter alone, and not one that chooses among an input method's words. */
export function isSend(event) {
  return event.key === 'Enter' && !event.shiftKey && !event.isComposing;
}

/** Makes a text field as high as its text; the style sheet says where that ends. */
export function grow(field) {
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight + 2}px`;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
