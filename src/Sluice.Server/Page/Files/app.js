// The page: its two views, its models, its keys.
import { request } from './api.js';
import { Chat } from './chat.js';
import { byId, h } from './dom.js';
import { EngineView } from './engine.js';
import { History } from './history.js';
import { connectSettings } from './settings.js';
import { conversations } from './store.js';

const history = new History();
const chat = new Chat(() => history.refresh());
const engine = new EngineView(byId('engine-view'));
history.connect(chat);
connectSettings();
chat.open(conversations()[0]);

addEventListener('hashchange', showView);
document.addEventListener('visibilitychange', showView);
document.addEventListener('keydown', event => {
  if (event.key === 'Escape' && !document.querySelector('dialog[open]') && !history.close())
    chat.stop();
});
showView();
listModels();

function showView() {
  const isEngine = location.hash === '#engine';
  byId('chat-view').hidden = isEngine;
  byId('engine-view').hidden = !isEngine;
  byId('toggle-history').disabled = isEngine;
  for (const tab of document.querySelectorAll('.tabs a')) {
    if (tab.hash === (isEngine ? '#engine' : '#chat'))
      tab.setAttribute('aria-current', 'page');
    else
      tab.removeAttribute('aria-current');
  }

  if (isEngine && !document.hidden)
    engine.start();
  else
    engine.stop();
}

async function listModels() {
  const select = byId('model');
  try {
    const { data } = await (await request('v1/models')).json();
    select.replaceChildren(...data.map(model => h('option', {}, model.id)));
  } catch (error) {
    select.replaceChildren(h('option', { value: '' }, error.status === 401 ? 'key needed' : 'no answer'));
  }
}
