// The conversations there are, to choose among and to forget.
import { announce, byId, h } from './dom.js';
import { conversations, remove } from './store.js';

export class History {
  #chat = null;

  constructor() {
    const toggle = byId('toggle-history');
    toggle.addEventListener('click', () => this.#setOpen(toggle.getAttribute('aria-expanded') !== 'true'));
    byId('new-chat').addEventListener('click', () => this.#open());
    addEventListener('storage', () => this.refresh());
  }

  /** Tells which chat to open conversations in. */
  connect(chat) {
    this.#chat = chat;
  }

  /** Closes the list where it lies over the chat; false if it does not. */
  close() {
    const wasOpen = document.body.classList.contains('show-history');
    this.#setOpen(false);
    if (wasOpen)
      byId('toggle-history').focus();
    return wasOpen;
  }

  refresh() {
    byId('conversations').replaceChildren(...conversations().map(chat => h('li', {},
      h('button', { type: 'button', class: 'quiet title', title: chat.title, 'aria-current': chat.id === this.#chat?.id ? 'true' : null, click: () => this.#open(chat) }, chat.title),
      h('button', { type: 'button', class: 'quiet forget', 'aria-label': `Forget ${chat.title}`, title: 'Forget', click: () => this.#forget(chat) }, '×'))));
  }

  #open(chat) {
    this.#setOpen(false);
    this.#chat.open(chat);
  }

  #forget(chat) {
    if (chat.id === this.#chat.id)
      this.#chat.open();
    remove(chat.id);
    this.refresh();
    announce('Forgotten.');
    byId('new-chat').focus();
  }

  #setOpen(isOpen) {
    document.body.classList.toggle('show-history', isOpen);
    byId('toggle-history').setAttribute('aria-expanded', isOpen);
  }
}
