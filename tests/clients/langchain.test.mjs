import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { z } from 'zod';
import { assertIdle, assertPerson, model, person, purchase, sum, url } from './server.mjs';

const create = more => new ChatOpenAI({ model, temperature: 0, apiKey: 'any', maxRetries: 0, configuration: { baseURL: `${url}/v1` }, ...more });

test('chat', async () => {
  const message = await create().invoke(sum.question);
  assert.equal(message.content, sum.answer);
  assert.ok(message.usage_metadata.output_tokens > 5);
});

test('streaming', async () => {
  let whole;
  for await (const chunk of await create().stream(sum.question))
    whole = whole ? whole.concat(chunk) : chunk;
  assert.equal(whole.content, sum.answer);
  assert.ok(whole.usage_metadata.output_tokens > 5);
});

test('tools round trip', async () => {
  const buy = tool(async () => purchase.result, { name: purchase.name, description: purchase.description, schema: z.object({ item: z.string(), count: z.int() }) });
  const chat = create().bindTools([buy]);
  const first = await chat.invoke(purchase.question);
  assert.deepEqual(first.tool_calls[0].args, purchase.arguments);
  const second = await chat.invoke([new HumanMessage(purchase.question), first, new ToolMessage({ tool_call_id: first.tool_calls[0].id, content: purchase.result })]);
  assert.match(second.content, /11/);

  let streamed;
  for await (const chunk of await chat.stream(purchase.question))
    streamed = streamed ? streamed.concat(chunk) : chunk;
  assert.deepEqual(streamed.tool_calls[0].args, purchase.arguments);
});

test('a JSON schema', async () => {
  const schema = z.object({ name: z.string(), age: z.int() });
  for (const method of ['jsonSchema', 'functionCalling'])
    assertPerson(await create().withStructuredOutput(schema, { method, name: 'person' }).invoke(person.question));
});

test('logprobs', async () => {
  const message = await create({ logprobs: true, topLogprobs: 2 }).invoke(sum.question);
  assert.equal(message.response_metadata.logprobs.content.map(t => t.token).join(''), sum.answer);
});

test('cancel', async () => {
  for await (const _ of await create({ temperature: 1.5, maxTokens: 2000 }).stream('Tell me about HttpClient.'))
    break;
  await assertIdle();
});

test('errors', async () => {
  await assert.rejects(create({ model: 'gpt-5' }).invoke('x'), /no model of this name/);
  await assert.rejects(create({ temperature: -1 }).invoke('x'), /temperature/);
});
