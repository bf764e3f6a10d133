import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { assertIdle, assertPerson, model, person, purchase, sum, thought, url } from './server.mjs';

const client = new Anthropic({ baseURL: url, apiKey: 'any', maxRetries: 0 });
const tools = [{ name: purchase.name, description: purchase.description, input_schema: purchase.parameters }];
const ask = (content, more = {}) => ({ model, temperature: 0, max_tokens: 300, messages: [{ role: 'user', content }], ...more });

test('messages', async () => {
  const message = await client.messages.create(ask(sum.question));
  assert.equal(message.content[0].text, sum.answer);
  assert.equal(message.stop_reason, 'end_turn');
  const count = await client.messages.countTokens({ model, messages: [{ role: 'user', content: sum.question }] });
  assert.equal(count.input_tokens, message.usage.input_tokens + message.usage.cache_read_input_tokens + message.usage.cache_creation_input_tokens);
});

test('streaming with the helper', async () => {
  const stream = client.messages.stream(ask(thought.question));
  let text = '';
  stream.on('text', delta => (text += delta));
  const message = await stream.finalMessage();
  assert.equal(text, thought.answer);
  assert.equal(message.content[0].type, 'thinking');
  assert.match(message.content[0].thinking, thought.thinking);
});

test('tools round trip', async () => {
  for (const create of [body => client.messages.create(body), body => client.messages.stream(body).finalMessage()]) {
    const first = await create(ask(purchase.question, { tools }));
    assert.equal(first.stop_reason, 'tool_use');
    const call = first.content.find(b => b.type === 'tool_use');
    assert.deepEqual(call.input, purchase.arguments);
    const messages = [
      { role: 'user', content: purchase.question },
      { role: 'assistant', content: first.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: purchase.result }] },
    ];
    const second = await create({ model, temperature: 0, max_tokens: 300, messages, tools });
    assert.match(second.content[0].text, /11/);
  }
});

test('a JSON schema', async () => {
  const output_config = { format: { type: 'json_schema', schema: person.schema } };
  const message = await client.messages.create(ask(person.question, { output_config }));
  assertPerson(JSON.parse(message.content[0].text));
});

test('a forced call', async () => {
  for (const tool_choice of [{ type: 'any' }, { type: 'tool', name: purchase.name }]) {
    const message = await client.messages.create(ask(sum.question, { tools, tool_choice }));
    assert.equal(message.stop_reason, 'tool_use');
    assert.ok(Number.isInteger(message.content.find(b => b.type === 'tool_use').input.count));
  }
});

test('cache breakpoints', async () => {
  const system = [{ type: 'text', text: 'You are a helpful assistant of a shop. '.repeat(40), cache_control: { type: 'ephemeral' } }];
  await client.messages.create(ask(sum.question, { system }));
  const second = await client.messages.create(ask(thought.question, { system }));
  assert.ok(second.usage.cache_read_input_tokens >= 0);
});

test('cancel', async () => {
  const stream = await client.messages.create(ask('Tell me about HttpClient.', { stream: true, max_tokens: 2000, temperature: 1 }));
  for await (const event of stream) {
    if (event.type === 'content_block_delta')
      break;
  }
  await assertIdle();
});

test('errors', async () => {
  await assert.rejects(client.messages.create({ ...ask('x'), model: 'claude-x' }), e => e instanceof Anthropic.NotFoundError && e.error.error.type === 'not_found_error');
  await assert.rejects(client.messages.create(ask('x', { temperature: -1 })), e => e instanceof Anthropic.BadRequestError && /temperature/.test(e.message));
});
