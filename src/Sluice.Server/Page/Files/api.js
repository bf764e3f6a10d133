// The server's API: errors as it tells them, the key, server-sent events.
import { byId } from './dom.js';

const keyName = 'sluice.key';
let asking = null;

/** What the server, or the way to it, has to say against a request. */
export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Requests a path of the API; asks for a key where one is needed, and throws ApiError unless all is well. */
export async function request(path, { body, signal, accept = 'application/json', mayAsk = true } = {}) {
  for (let wrong = false; ; wrong = true) {
    const response = await send(path, body, signal, accept);
    if (response.ok)
      return response;
    if (response.status !== 401 || !mayAsk || !await askForKey(wrong || sessionStorage.getItem(keyName) !== null))
      throw new ApiError(await messageOf(response), response.status);
  }
}

/** Posts, and yields each event's JSON until [DONE]. An answer that ends without it is an error. */
export async function* events(path, body, signal) {
  const response = await request(path, { body, signal, accept: 'text/event-stream' });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await readOrThrow(reader);
      if (done)
        throw new ApiError('The answer broke off: the server closed the connection.');
      const lines = (rest + value).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith('data:'))
          continue;
        const data = line.slice(5).trim();
        if (data === '[DONE]')
          return;
        const event = JSON.parse(data);
        if (event.error)
          throw new ApiError(event.error.message);
        yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function send(path, body, signal, accept) {
  const headers = { Accept: accept };
  const key = sessionStorage.getItem(keyName);
  if (key)
    headers.Authorization = `Bearer ${key}`;
  if (body)
    headers['Content-Type'] = 'application/json';
  try {
    return await fetch(path, { method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body), signal, cache: 'no-store' });
  } catch (error) {
    throw error.name === 'AbortError' ? error : new ApiError('The server cannot be reached.');
  }
}

async function readOrThrow(reader) {
  try {
    return await reader.read();
  } catch (error) {
    throw error.name === 'AbortError' ? error : new ApiError('The answer broke off: the connection was lost.');
  }
}

async function messageOf(response) {
  const wait = response.headers.get('Retry-After');
  const again = wait ? ` Try again in ${wait} s.` : '';
  try {
    return (await response.json()).error.message + again;
  } catch {
    return `The server answered ${response.status}.${again}`;
  }
}

/** True once there is a key to try. Whoever asks meanwhile waits for the same answer. */
function askForKey(isWrong) {
  asking ??= new Promise(resolve => {
    const dialog = byId('key-dialog'), field = byId('key');
    byId('key-reason').textContent = isWrong
      ? 'The server does not know this key.'
      : 'This server asks for a key. It is kept until this tab is closed.';
    field.value = '';
    dialog.returnValue = 'cancel';
    dialog.addEventListener('close', () => {
      asking = null;
      const isGiven = dialog.returnValue === 'ok' && field.value.trim() !== '';
      if (isGiven)
        sessionStorage.setItem(keyName, field.value.trim());
      field.value = '';
      resolve(isGiven);
    }, { once: true });
    dialog.showModal();
    field.focus();
  });
  return asking;
}
