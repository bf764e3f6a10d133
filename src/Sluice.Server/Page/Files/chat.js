// The conversation: sending, streaming, stopping, and going back.
import { streamAnswer } from './answer.js';
import { announce, byId } from './dom.js';
import { answerMessage, grow, isSend, toolMessage, userMessage } from './message.js';
import { samplingFields, systemPrompt } from './settings.js';
import { newConversation, save } from './store.js';

const titleLength = 60;

export class Chat {
  #chat = newConversation();
  #running = null; // the AbortController of the answer that comes
  #list = byId('messages');
  #prompt = byId('prompt');
  #changed;

  /** `changed` is called when a conversation has got another title or message. */
  constructor(changed) {
    this.#changed = changed;
    byId('composer').addEventListener('submit', event => {
      event.preventDefault();
      this.#send();
    });
    this.#prompt.addEventListener('keydown', event => {
      if (isSend(event)) {
        event.preventDefault();
        this.#send();
      }
    });
    this.#prompt.addEventListener('input', () => grow(this.#prompt));
    byId('stop').addEventListener('click', () => this.stop());
    addEventListener('pagehide', () => this.#keep());
  }

  get id() {
    return this.#chat.id;
  }

  get isRunning() {
    return this.#running !== null;
  }

  /** Ends the answer that comes; what there is of it stays. */
  stop() {
    this.#running?.abort();
  }

  /** Shows a conversation, or a new one. */
  open(chat = newConversation()) {
    if (chat.id === this.id) {
      this.#focus();
      return;
    }

    this.stop();
    this.#keep();
    this.#running = null;
    this.#chat = chat;
    this.#show();
    this.#scroll();
    this.#focus();
    this.#changed();
  }

  #send() {
    const content = this.#prompt.value;
    if (this.isRunning || content.trim() === '')
      return;
    this.#prompt.value = '';
    grow(this.#prompt);
    this.#say(content);
  }

  #say(content) {
    if (this.#chat.messages.length === 0)
      this.#chat.title = content.trim().split('\n', 1)[0].slice(0, titleLength);
    this.#chat.messages.push({ role: 'user', content });
    this.#chat.changed = Date.now();
    this.#answer();
  }

  /** Forgets all from message `i` on, then goes on with `next`. */
  #goBack(i, next) {
    if (this.isRunning)
      return;
    this.#chat.messages.length = i;
    next();
    this.#focus();
  }

  async #answer() {
    const chat = this.#chat, before = [...chat.messages], control = new AbortController();
    const system = systemPrompt();
    const answer = { role: 'assistant', content: '', reasoning: '', calls: [] };
    chat.messages.push(answer);
    this.#running = control;
    this.#show();
    this.#keep();
    this.#changed();
    this.#scroll();
    const view = this.#list.lastChild.view;
    let frame = 0;
    await streamAnswer(
      answer, byId('model').value, system ? [{ role: 'system', content: system }, ...before] : before, samplingFields(), control.signal,
      () => { frame ||= requestAnimationFrame(() => { frame = 0; this.#following(() => view.update(true)); }); });
    cancelAnimationFrame(frame);
    save(chat);
    if (this.#running !== control)
      return; // another conversation is shown by now
    this.#running = null;
    this.#following(() => view.update(false, this.#actions(chat.messages.length - 1, true)));
    this.#setBusy(false);
    this.#changed();
    announce(answer.error ? '' : answer.finish === 'stopped' ? 'Stopped.' : 'The answer is complete.');
  }

  #setBusy(isBusy) {
    const focused = document.activeElement;
    const hadFocus = focused === byId('stop') || focused === byId('send') || focused === document.body;
    byId('send').hidden = isBusy;
    byId('stop').hidden = !isBusy;
    document.body.classList.toggle('busy', isBusy);
    this.#list.setAttribute('aria-busy', isBusy);
    if (hadFocus)
      this.#focus();
  }

  // On a phone the focus would call up a keyboard over half of the page.
  #focus() {
    if (!matchMedia('(hover: none)').matches)
      this.#prompt.focus();
  }

  #keep() {
    save(this.#chat);
  }

  #show() {
    const { messages } = this.#chat;
    this.#list.replaceChildren(...messages.map((message, i) => this.#elementOf(message, i, i === messages.length - 1)));
    document.body.classList.toggle('blank', messages.length === 0);
    this.#setBusy(this.isRunning);
  }

  #elementOf(message, i, isLast) {
    if (message.role === 'user')
      return userMessage(message, text => this.#goBack(i, () => this.#say(text)));
    if (message.role === 'tool')
      return toolMessage(message);
    const view = answerMessage(message);
    view.update(this.isRunning && isLast, this.#actions(i, isLast));
    view.element.view = view;
    return view.element;
  }

  #actions(i, isLast) {
    return {
      respond: isLast ? results => this.#goBack(i + 1, () => { this.#chat.messages.push(...results); this.#answer(); }) : null,
      retry: () => this.#goBack(i, () => this.#answer()),
    };
  }

  /** Changes what is shown and stays at its end, if the reader is there. */
  #following(change) {
    const list = this.#list, isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    const top = list.scrollTop;
    change();
    list.scrollTop = isAtEnd ? list.scrollHeight : top;
  }

  #scroll() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}
