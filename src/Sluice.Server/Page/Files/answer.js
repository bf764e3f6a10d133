// One answer: what the stream adds to it, and what it took. An answer is a message of the conversation and is kept as it is.
import { ApiError, events } from './api.js';

/**
 * Streams the answer to `messages` into `answer` (content, reasoning, calls, finish, stats, error); calls `changed` after each event.
 * Never throws: what went wrong is part of the answer.
 */
export async function streamAnswer(answer, model, messages, fields, signal, changed) {
  const start = performance.now();
  let first = null, last = null;
  const body = { ...fields, messages: messages.flatMap(wireMessage), stream: true, stream_options: { include_usage: true } };
  if (model)
    body.model = model;
  try {
    for await (const event of events('v1/chat/completions', body, signal)) {
      const choice = event.choices[0];
      if (choice?.finish_reason)
        answer.finish = choice.finish_reason;
      if (choice && add(answer, choice.delta)) {
        last = performance.now();
        first ??= last;
      }

      if (event.usage)
        answer.stats = statsOf(event.usage);
      changed();
    }
  } catch (error) {
    if (error.name === 'AbortError')
      answer.finish = 'stopped';
    else
      answer.error = error instanceof ApiError ? error.message : `The answer could not be read: ${error.message}`;
  }

  answer.stats ??= {};
  if (first !== null) {
    answer.stats.firstMs = first - start;
    if (answer.stats.output > 1 && last > first)
      answer.stats.rate = (answer.stats.output - 1) / (last - first) * 1000;
  }
}

/** The line below an answer. */
export function describe({ stats, finish }) {
  const parts = [];
  if (stats?.prompt !== undefined)
    parts.push(`${count(stats.prompt)} prompt`, `${count(stats.cached)} cached`, `${count(stats.output)} output tokens`);
  if (stats?.firstMs !== undefined)
    parts.push(`first after ${stats.firstMs < 1000 ? `${Math.round(stats.firstMs)} ms` : `${(stats.firstMs / 1000).toFixed(1)} s`}`);
  if (stats?.rate !== undefined)
    parts.push(`${stats.rate.toFixed(stats.rate < 10 ? 1 : 0)} tokens/s`);
  if (finish === 'stopped')
    parts.unshift('stopped');
  if (finish === 'length')
    parts.unshift('cut off: most tokens reached');
  return parts.join(' · ');
}

function add(answer, delta) {
  answer.content += delta.content ?? '';
  answer.reasoning += delta.reasoning_content ?? '';
  for (const { index, id, function: called } of delta.tool_calls ?? []) {
    const call = answer.calls[index] ??= { id: '', name: '', arguments: '' };
    call.id = id ?? call.id;
    call.name = called.name ?? call.name;
    call.arguments += called.arguments ?? '';
  }

  return Boolean(delta.content || delta.reasoning_content || delta.tool_calls);
}

function statsOf(usage) {
  return { prompt: usage.prompt_tokens, cached: usage.prompt_tokens_details.cached_tokens, output: usage.completion_tokens };
}

function wireMessage(message) {
  if (message.role === 'tool')
    return [{ role: 'tool', tool_call_id: message.id, content: message.content }];
  if (message.role !== 'assistant')
    return [{ role: message.role, content: message.content }];
  if (!message.content && !message.reasoning && !message.calls.length)
    return [];
  const wire = { role: 'assistant', content: message.content };
  if (message.reasoning)
    wire.reasoning_content = message.reasoning;
  if (message.calls.length > 0)
    wire.tool_calls = message.calls.map(call => ({ id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } }));
  return [wire];
}

function count(number) {
  return number.toLocaleString('en');
}
