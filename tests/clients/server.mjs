// What all the tests share: where the server is, and what the demonstration model is good at (models/demo/README.md).
import assert from 'node:assert/strict';

export const url = process.env.SLUICE_URL ?? 'http://127.0.0.1:8080';
export const model = (await (await fetch(`${url}/v1/models`)).json()).data[0].id;

export const sum = { question: 'Compute 88 - 39.', answer: '88 - 39 = 49' };
export const thought = { question: 'Think step by step: what is 57 + 23 - 12?', answer: 'The answer is 68.', thinking: /57 \+ 23 = 80/ };
export const purchase = {
  question: 'Buy 18 of the item island.',
  name: 'buy',
  description: 'Buy things at the shop.',
  parameters: { type: 'object', properties: { item: { type: 'string' }, count: { type: 'integer' } }, required: ['item', 'count'] },
  arguments: { item: 'island', count: 18 },
  result: '{"price": 11}',
};

// A request that is cancelled must not go on in the engine.
export async function assertIdle() {
  for (let waited = 0; ; waited += 20) {
    const health = await (await fetch(`${url}/health`)).json();
    if (!health.running && !health.waiting)
      return;
    assert.ok(waited < 2000, `still busy: ${JSON.stringify(health)}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

// What answers are held to where a schema is asked for. The model was taught to answer in another form, so what it says in this one is
// of the right shape and not always true.
export const person = {
  question: 'Extract name and age as JSON: Ben is 34 years old.',
  schema: { type: 'object', properties: { name: { type: 'string' }, age: { type: 'integer' } }, required: ['name', 'age'], additionalProperties: false },
};

export function assertPerson(value) {
  assert.deepEqual(Object.keys(value).sort(), ['age', 'name']);
  assert.equal(typeof value.name, 'string');
  assert.ok(Number.isInteger(value.age));
}
