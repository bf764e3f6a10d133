// What stays in this browser: each conversation under a key of its own, so that tabs do not overwrite each other's, and the settings.
import { announce } from './dom.js';

const prefix = 'sluice.chat.';
const settingsName = 'sluice.settings';

/** All conversations, the newest first. */
export function conversations() {
  return Object.keys(localStorage)
    .filter(key => key.startsWith(prefix))
    .map(key => read(key))
    .filter(chat => Array.isArray(chat?.messages))
    .sort((a, b) => b.changed - a.changed);
}

export function newConversation() {
  return { id: newId(), title: 'New chat', changed: Date.now(), messages: [] };
}

/** Keeps a conversation; makes room by forgetting the oldest others. One without messages is not kept. */
export function save(chat) {
  if (chat.messages.length === 0)
    return;
  for (;;) {
    try {
      localStorage.setItem(prefix + chat.id, JSON.stringify(chat));
      return;
    } catch {
      const oldest = conversations().filter(other => other.id !== chat.id).pop();
      if (!oldest) {
        announce('This conversation is too long to be kept in the browser.');
        return;
      }

      remove(oldest.id);
    }
  }
}

export function remove(id) {
  localStorage.removeItem(prefix + id);
}

export function loadSettings() {
  const settings = read(settingsName);
  return settings && typeof settings === 'object' ? settings : {};
}

export function saveSettings(settings) {
  try {
    localStorage.setItem(settingsName, JSON.stringify(settings));
  } catch {
    announce('The settings are too long to be kept in the browser.');
  }
}

// crypto.randomUUID is there only over https and on loopback.
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), byte => byte.toString(16).padStart(2, '0')).join('');
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}
