// How answers are sampled, and the system prompt; kept in this browser.
import { byId } from './dom.js';
import { loadSettings, saveSettings } from './store.js';

const numbers = ['temperature', 'top_p', 'top_k', 'max_completion_tokens', 'seed'];
const texts = ['system', 'tools'];

/** Settings as fields of a request; those that are empty are left out. */
export function samplingFields() {
  const settings = loadSettings(), fields = {};
  for (const name of numbers) {
    if (typeof settings[name] === 'number')
      fields[name] = settings[name];
  }

  const tools = parseTools(settings.tools);
  if (tools?.length > 0)
    fields.tools = tools;
  return fields;
}

export function systemPrompt() {
  return loadSettings().system ?? '';
}

export function connectSettings() {
  const dialog = byId('settings'), form = dialog.querySelector('form'), error = byId('tools-error');
  byId('open-settings').addEventListener('click', () => {
    show();
    dialog.showModal();
  });
  byId('reset-settings').addEventListener('click', () => {
    saveSettings({});
    show();
  });
  form.addEventListener('submit', event => {
    if (!keep())
      event.preventDefault();
  });
  // Escape and a click beside the panel keep what is right, too.
  dialog.addEventListener('cancel', keep);
  dialog.addEventListener('click', event => {
    if (event.target === dialog && form.reportValidity() && keep())
      dialog.close();
  });

  function show() {
    const settings = loadSettings();
    for (const name of [...numbers, ...texts])
      byId(name).value = settings[name] ?? '';
    error.hidden = true;
  }

  function keep() {
    const settings = {};
    for (const name of numbers) {
      const field = byId(name);
      if (field.value !== '' && field.validity.valid)
        settings[name] = field.valueAsNumber;
    }

    for (const name of texts) {
      if (byId(name).value.trim() !== '')
        settings[name] = byId(name).value;
    }

    const isRight = parseTools(settings.tools) !== null;
    error.hidden = isRight;
    error.textContent = isRight ? '' : 'Expected a JSON list of tools.';
    if (!isRight)
      delete settings.tools;
    saveSettings(settings);
    return isRight;
  }
}

function parseTools(text) {
  if (!text?.trim())
    return [];
  try {
    const tools = JSON.parse(text);
    return Array.isArray(tools) ? tools : null;
  } catch {
    return null;
  }
}
