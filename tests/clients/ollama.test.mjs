import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import { assertIdle, assertPerson, model, person, purchase, sum, thought, url } from './server.mjs';

const client = new Ollama({ host: url });
const tools = [{ type: 'function', function: { name: purchase.name, description: purchase.description, parameters: purchase.parameters } }];
const ask = (content, more = {}) => ({ model, options: { temperature: 0 }, messages: [{ role: 'user', content }], ...more });

test('chat and generate', async () => {
  const answer = await client.chat(ask(sum.question));
  assert.equal(answer.message.content, sum.answer);
  assert.equal(answer.done, true);
  assert.ok(answer.eval_count > 5 && answer.total_duration > 0);
  const generated = await client.generate({ model, prompt: sum.question, options: { temperature: 0 } });
  assert.equal(generated.response, sum.answer);
});

test('streaming and thinking', async () => {
  let text = '', thinking = '', last;
  for await (last of await client.chat(ask(thought.question, { stream: true, think: true }))) {
    text += last.message.content;
    thinking += last.message.thinking ?? '';
  }
  assert.equal(last.done, true);
  assert.equal(text, thought.answer);
  assert.match(thinking, thought.thinking);
});

test('tools round trip', async () => {
  const first = await client.chat(ask(purchase.question, { tools }));
  assert.deepEqual(first.message.tool_calls[0].function.arguments, purchase.arguments);
  const messages = [{ role: 'user', content: purchase.question }, first.message, { role: 'tool', tool_name: purchase.name, content: purchase.result }];
  const second = await client.chat({ model, options: { temperature: 0 }, messages, tools });
  assert.match(second.message.content, /11/);
});

test('a JSON schema', async () => {
  const answer = await client.chat(ask(person.question, { format: person.schema }));
  assertPerson(JSON.parse(answer.message.content));
});

test('models', async () => {
  assert.equal((await client.list()).models[0].name, model);
  assert.ok((await client.show({ model })).capabilities.includes('tools'));
  assert.ok((await client.version()).version);
});

test('cancel', async () => {
  const stream = await client.chat(ask('Tell me about HttpClient.', { stream: true, options: { temperature: 1.5, num_predict: 2000 } }));
  await assert.rejects(async () => {
    for await (const _ of stream)
      stream.abort();
  });
  await assertIdle();
});

test('errors', async () => {
  await assert.rejects(client.chat({ ...ask('x'), model: 'llama3' }), e => e.status_code === 404);
  await assert.rejects(client.chat(ask('x', { options: { temperature: -1 } })), /temperature/);
  await assert.rejects(client.embed({ model, input: 'x' }), e => e.status_code === 404);
});
