import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { assertIdle, assertPerson, model, person, purchase, sum, thought, url } from './server.mjs';

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 0 });
const tools = [{ type: 'function', function: { name: purchase.name, description: purchase.description, parameters: purchase.parameters } }];
const ask = (content, more = {}) => ({ model, temperature: 0, messages: [{ role: 'user', content }], ...more });

test('chat', async () => {
  const completion = await client.chat.completions.create(ask(sum.question));
  assert.equal(completion.choices[0].message.content, sum.answer);
  assert.equal(completion.choices[0].finish_reason, 'stop');
  assert.equal(completion.usage.total_tokens, completion.usage.prompt_tokens + completion.usage.completion_tokens);
});

test('streaming with the helper', async () => {
  const runner = client.chat.completions.stream(ask(sum.question, { stream_options: { include_usage: true } }));
  let text = '';
  runner.on('content', delta => (text += delta));
  const completion = await runner.finalChatCompletion();
  assert.equal(text, sum.answer);
  assert.equal(completion.choices[0].message.content, sum.answer);
  assert.ok(completion.usage.completion_tokens > 5);
});

test('thinking is told apart', async () => {
  const { message } = (await client.chat.completions.create(ask(thought.question))).choices[0];
  assert.equal(message.content, thought.answer);
  assert.match(message.reasoning_content, thought.thinking);
});

test('tools round trip', async () => {
  const first = (await client.chat.completions.create(ask(purchase.question, { tools }))).choices[0];
  assert.equal(first.finish_reason, 'tool_calls');
  assert.equal(first.message.content, null);
  assert.deepEqual(JSON.parse(first.message.tool_calls[0].function.arguments), purchase.arguments);
  const messages = [
    { role: 'user', content: purchase.question },
    first.message,
    { role: 'tool', tool_call_id: first.message.tool_calls[0].id, content: purchase.result },
  ];
  const second = (await client.chat.completions.create({ model, temperature: 0, messages, tools })).choices[0];
  assert.equal(second.finish_reason, 'stop');
  assert.match(second.message.content, /11/);
});

test('tools streamed with the helper', async () => {
  const runner = client.chat.completions.stream(ask(purchase.question, { tools }));
  const { message, finish_reason } = (await runner.finalChatCompletion()).choices[0];
  assert.equal(finish_reason, 'tool_calls');
  assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), purchase.arguments);
});

test('a JSON schema', async () => {
  const response_format = { type: 'json_schema', json_schema: { name: 'person', strict: true, schema: person.schema } };
  for (const temperature of [0, 1.5]) {
    const completion = await client.chat.completions.parse(ask(person.question, { response_format, temperature }));
    assertPerson(JSON.parse(completion.choices[0].message.content));
  }
});

test('a forced call', async () => {
  for (const tool_choice of ['required', { type: 'function', function: { name: purchase.name } }]) {
    const choice = (await client.chat.completions.create(ask(sum.question, { tools, tool_choice, max_tokens: 500 }))).choices[0];
    assert.equal(choice.finish_reason, 'tool_calls');
    const value = JSON.parse(choice.message.tool_calls[0].function.arguments);
    assert.equal(typeof value.item, 'string');
    assert.ok(Number.isInteger(value.count));
  }
});

test('logprobs and several choices', async () => {
  const completion = await client.chat.completions.create(ask(sum.question, { logprobs: true, top_logprobs: 2, n: 2 }));
  assert.equal(completion.choices.length, 2);
  for (const choice of completion.choices) {
    assert.equal(choice.logprobs.content.map(t => t.token).join(''), sum.answer);
    assert.ok(choice.logprobs.content.every(t => t.top_logprobs.length === 2));
  }
});

test('cancel', async () => {
  const stream = await client.chat.completions.create(ask('Tell me about HttpClient.', { stream: true, max_tokens: 2000, temperature: 1.5 }));
  for await (const _ of stream)
    break;
  await assertIdle();
});

test('errors', async () => {
  await assert.rejects(client.chat.completions.create({ ...ask('x'), model: 'gpt-5' }), e => e instanceof OpenAI.NotFoundError && e.code === 'model_not_found');
  await assert.rejects(client.chat.completions.create(ask('x', { temperature: -1 })), e => e instanceof OpenAI.BadRequestError && e.param === 'temperature');
  await assert.rejects(client.embeddings.create({ model, input: 'x' }), e => e instanceof OpenAI.NotFoundError && /embeddings/.test(e.message));
});

test('completions', async () => {
  const completion = await client.completions.create({ model, prompt: ['a', 'b'], max_tokens: 3, temperature: 0, echo: true });
  assert.deepEqual(completion.choices.map(c => c.text[0]), ['a', 'b']);
});

test('responses', async () => {
  const response = await client.responses.create({ model, temperature: 0, input: sum.question });
  assert.equal(response.output_text, sum.answer);
  assert.equal(response.status, 'completed');
  const kept = await client.responses.retrieve(response.id);
  assert.equal(kept.output_text ?? kept.output[0].content[0].text, sum.answer);
  const items = await client.responses.inputItems.list(response.id);
  assert.equal(items.data[0].content[0].text, sum.question);
  const codes = await client.responses.create({ model, temperature: 0, input: 'Remember these codes: zebra=7407, quartz=1492.' });
  const recalled = await client.responses.create({ model, temperature: 0, previous_response_id: codes.id, input: 'What is the code of the zebra?' });
  assert.match(recalled.output_text, /7407/);
  await client.responses.delete(response.id);
  await assert.rejects(client.responses.retrieve(response.id), OpenAI.NotFoundError);
});

test('responses streamed with the helper', async () => {
  const stream = client.responses.stream({ model, temperature: 0, input: thought.question });
  let text = '';
  stream.on('response.output_text.delta', e => (text += e.delta));
  const response = await stream.finalResponse();
  assert.equal(text.trim(), thought.answer);
  assert.deepEqual(response.output.map(i => i.type), ['reasoning', 'message']);
});

test('responses with tools', async () => {
  const flat = [{ type: 'function', strict: false, ...tools[0].function }];
  const stream = client.responses.stream({ model, temperature: 0, input: purchase.question, tools: flat });
  const first = await stream.finalResponse();
  const call = first.output.find(i => i.type === 'function_call');
  assert.deepEqual(JSON.parse(call.arguments), purchase.arguments);
  const input = [{ role: 'user', content: purchase.question }, call, { type: 'function_call_output', call_id: call.call_id, output: purchase.result }];
  const second = await client.responses.create({ model, temperature: 0, input, tools: flat });
  assert.match(second.output_text, /11/);
});
