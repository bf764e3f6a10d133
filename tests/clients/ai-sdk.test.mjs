import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { assertIdle, assertPerson, model, person, purchase, sum, thought, url } from './server.mjs';

const provider = createOpenAICompatible({ name: 'sluice', baseURL: `${url}/v1`, includeUsage: true, supportsStructuredOutputs: true });
const chat = provider(model);
const common = { model: chat, temperature: 0, maxRetries: 0 };

test('chat', async () => {
  const { text, usage, finishReason } = await generateText({ ...common, prompt: sum.question });
  assert.equal(text, sum.answer);
  assert.equal(finishReason, 'stop');
  assert.ok(usage.outputTokens > 5);
});

test('streaming and thinking', async () => {
  const result = streamText({ ...common, prompt: thought.question });
  let text = '';
  for await (const delta of result.textStream)
    text += delta;
  assert.equal(text, thought.answer);
  assert.match(await result.reasoningText, thought.thinking);
  assert.ok((await result.usage).outputTokens > 5);
});

test('tools round trip', async () => {
  const buy = tool({
    description: purchase.description,
    inputSchema: z.object({ item: z.string(), count: z.int() }),
    execute: async () => JSON.parse(purchase.result),
  });
  for (const run of [generateText, streamText]) {
    const result = await run({ ...common, prompt: purchase.question, tools: { buy }, stopWhen: stepCountIs(2) });
    const steps = await result.steps;
    assert.deepEqual(steps[0].toolCalls[0].input, purchase.arguments);
    assert.match(await result.text, /11/);
  }
});

test('a JSON schema', async () => {
  const { object } = await generateObject({ ...common, prompt: person.question, schema: z.object({ name: z.string(), age: z.int() }) });
  assertPerson(object);
});

test('cancel', async () => {
  const abort = new AbortController();
  const result = streamText({ ...common, prompt: 'Tell me about HttpClient.', maxOutputTokens: 2000, temperature: 1.5, abortSignal: abort.signal });
  for await (const _ of result.textStream)
    abort.abort();
  await assertIdle();
});

test('errors', async () => {
  await assert.rejects(generateText({ ...common, model: provider('gpt-5'), prompt: 'x' }), e => e.statusCode === 404 && /no model of this name/.test(e.message));
  await assert.rejects(generateText({ ...common, temperature: -1, prompt: 'x' }), e => e.statusCode === 400 && /temperature/.test(e.message));
});
