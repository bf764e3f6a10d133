// The page against a server with the demonstration model (models/demo/README.md says what that is good at).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ask, beGreedy, launch, neverEnd, phone, send, withPage } from './browser.mjs';
import { startServer } from './server.mjs';

const sum = { question: 'What is 92 + 30?', answer: '92 + 30 = 122' };
let browser, server;

before(async () => { [browser, server] = await Promise.all([launch(), startServer()]); });
after(() => Promise.all([browser?.close(), server?.stop()]));

const onPage = (use, options) => () => withPage(browser, server.url, use, options);

test('an answer streams, and says what it took', onPage(async page => {
  await beGreedy(page);
  const answer = await ask(page, sum.question);
  assert.equal(await answer.locator('.content').innerText(), sum.answer);
  assert.match(await answer.locator('.stats').innerText(), /^\d+ prompt · \d+ cached · \d+ output tokens · first after [\d.]+ m?s · [\d.]+ tokens\/s$/);
  assert.equal(await page.locator('#status').innerText(), 'The answer is complete.');
  assert.equal(await page.locator('#messages').getAttribute('aria-busy'), 'false');
}));

test('thinking is folded', onPage(async page => {
  await beGreedy(page);
  const answer = await ask(page, 'Think step by step: what is 57 + 23 - 12?');
  assert.equal(await answer.locator('.content').innerText(), 'The answer is 68.');
  const thinking = answer.locator('details.thinking');
  assert.equal(await thinking.getAttribute('open'), null);
  await thinking.locator('summary').click();
  assert.match(await thinking.innerText(), /57 \+ 23 = 80/);
}));

test('a call shows its arguments, and its result goes back', onPage(async page => {
  await page.click('#open-settings');
  await page.fill('#temperature', '0');
  await page.fill('#tools', '{"not": "a list"}');
  await page.click('#settings button[type=submit]');
  assert.equal(await page.locator('#tools-error').innerText(), 'Expected a JSON list of tools.');
  await page.fill('#tools', JSON.stringify([{ type: 'function', function: { name: 'buy', description: 'Buy things at the shop.', parameters: {
    type: 'object', properties: { item: { type: 'string' }, count: { type: 'integer' } }, required: ['item', 'count'] } } }]));
  await page.click('#settings button[type=submit]');
  const answer = await ask(page, 'Buy 18 of the item island.');
  assert.deepEqual(JSON.parse(await answer.locator('figure pre').innerText()), { item: 'island', count: 18 });
  assert.match(await answer.locator('figure pre').innerText(), /\n  "/);
  await answer.locator('.results textarea').fill('{"price": 11}');
  await answer.locator('.results button').click();
  await page.waitForSelector('#send:visible');
  assert.match(await page.locator('article.assistant').last().locator('.content').innerText(), /11/);
}));

for (const [how, stop] of [['the button', page => page.click('#stop')], ['Escape', page => page.keyboard.press('Escape')]]) {
  test(`${how} stops an answer, and the engine with it`, onPage(async page => {
    await neverEnd(page, server.url);
    await send(page, sum.question);
    const answer = page.locator('article.assistant .content');
    await page.waitForFunction(() => document.querySelector('article.assistant .content')?.innerText.length > 20);
    const early = (await answer.innerText()).length;
    await page.waitForFunction(length => document.querySelector('article.assistant .content').innerText.length > length, early);
    await stop(page);
    await page.waitForSelector('#send:visible');
    assert.match(await page.locator('.stats').innerText(), /^stopped · first after/);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'prompt');
    await assertIdle();
    await page.unroute('**/v1/chat/completions');
    await beGreedy(page);
    await page.click('button[aria-label="Answer again"]');
    await page.waitForSelector('#send:visible');
    assert.equal(await answer.innerText(), sum.answer);
    assert.equal(await answer.count(), 1);
  }));
}

test('an earlier message can be changed, and what followed it goes', onPage(async page => {
  await beGreedy(page);
  await ask(page, sum.question);
  await ask(page, 'What does Path.GetTempPath do?');
  await page.locator('article.user').first().hover();
  await page.locator('button[aria-label="Edit the message"]').first().click();
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('article.user .said').count(), 2);
  await page.locator('button[aria-label="Edit the message"]').first().click();
  await page.fill('article.editing textarea', 'Compute 88 - 39.');
  await page.press('article.editing textarea', 'Enter');
  await page.waitForSelector('#send:visible');
  assert.deepEqual(await page.locator('article.user .said').allInnerTexts(), ['Compute 88 - 39.']);
  assert.deepEqual(await page.locator('article.assistant .content').allInnerTexts(), ['88 - 39 = 49']);
}));

test('conversations stay over a reload, apart from each other, until they are forgotten', onPage(async page => {
  await beGreedy(page);
  await ask(page, sum.question);
  await page.click('#new-chat');
  assert.equal(await page.locator('article').count(), 0);
  await ask(page, 'Compute 88 - 39.');
  await page.reload();
  assert.deepEqual(await page.locator('article.assistant .content').allInnerTexts(), ['88 - 39 = 49']);
  assert.deepEqual(await page.locator('#conversations .title').allInnerTexts(), ['Compute 88 - 39.', sum.question]);
  await page.click(`#conversations .title >> text="${sum.question}"`);
  assert.deepEqual(await page.locator('article.assistant .content').allInnerTexts(), [sum.answer]);
  await page.click(`button[aria-label="Forget ${sum.question}"]`, { force: true });
  assert.equal(await page.locator('article').count(), 0);
  await page.reload();
  assert.deepEqual(await page.locator('#conversations .title').allInnerTexts(), ['Compute 88 - 39.']);
}));

test('what the server refuses is said in its words', onPage(async page => {
  await page.evaluate(() => localStorage.setItem('sluice.settings', '{"top_p": 7}'));
  const answer = await ask(page, sum.question);
  assert.match(await answer.locator('.error').innerText(), /top_p/);
}, { expected: /status of 400/ }));

test('all of it goes by keyboard', onPage(async page => {
  const reach = async (what, most = 30) => {
    for (let i = 0; i < most; i++) {
      if (await page.evaluate(selector => document.activeElement.matches(selector), what))
        return;
      await page.keyboard.press('Tab');
    }

    assert.fail(`${what} cannot be reached`);
  };
  await page.keyboard.type('one');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('two');
  assert.equal(await page.inputValue('#prompt'), 'one\ntwo');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#send:visible');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'prompt');
  await reach('#open-settings');
  await page.keyboard.press('Enter');
  await reach('#seed');
  await page.keyboard.type('5');
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'open-settings');
  assert.equal(await page.evaluate(() => JSON.parse(localStorage.getItem('sluice.settings')).seed), 5);
  await reach('button[aria-label="Edit the message"]');
  await reach('button[aria-label="Answer again"]');
  await reach('.tabs a[href="#engine"]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#engine-view:visible');
}));

test('the engine shows its numbers', onPage(async page => {
  await ask(page, sum.question);
  await neverEnd(page, server.url);
  await send(page, 'Compute 88 - 39.');
  await page.click('.tabs a[href="#engine"]');
  const figure = name => page.locator(`[data-figure="${name}"]`).innerText();
  await page.waitForFunction(() => parseFloat(document.querySelector('[data-figure="rate"]').innerText) > 0);
  assert.equal(await figure('running'), '1');
  assert.equal(await figure('waiting'), '0');
  assert.match(await figure('hits'), /^\d+\.\d %$/);
  assert.match(await page.locator('.bar').getAttribute('aria-label'), /^running KV .*, running states .*, cached KV .*, cached states .*, free \d+ %$/);
  assert.ok(Number((await figure('published')).replaceAll(',', '')) > 0);
  assert.ok(await page.locator('.tree rect').count() > 1);
  assert.match(await page.locator('.tree circle title').first().textContent(), /state: .*, used \d+ times/);
  await page.click('.tree summary');
  await page.waitForFunction(() => /state at/.test(document.querySelector('.tree pre').innerText));
  await page.click('.tabs a[href="#chat"]');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#send:visible');
}));

test('a phone shows all of it without scrolling sideways', onPage(async page => {
  const assertFits = async () => assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), phone.viewport.width);
  await beGreedy(page);
  await ask(page, `${'x'.repeat(300)} ${sum.question}`);
  await assertFits();
  await page.click('#toggle-history');
  assert.ok(await page.isVisible('#new-chat'));
  await page.click('#new-chat');
  assert.ok(await page.isHidden('#new-chat'));
  await page.click('.tabs a[href="#engine"]');
  await page.waitForSelector('.tree rect');
  await assertFits();
}, { device: phone }));

test('a server with keys is opened by one, which the tab forgets', async () => {
  const key = 'sk-0123456789abcdefghij', locked = await startServer({ ApiKey: key });
  try {
    await withPage(browser, locked.url, async page => {
      await page.fill('#key', 'sk-wrong-wrong-wrong');
      await page.keyboard.press('Enter');
      await page.waitForFunction(() => /does not know/.test(document.getElementById('key-reason').textContent));
      await page.fill('#key', key);
      await page.keyboard.press('Enter');
      await page.waitForSelector('#model option[value="demo"], #model option:text("demo")', { state: 'attached' });
      await beGreedy(page);
      assert.equal(await (await ask(page, sum.question)).locator('.content').innerText(), sum.answer);
      assert.deepEqual(await page.evaluate(key => [JSON.stringify(localStorage).includes(key), JSON.stringify(sessionStorage).includes(key)], key), [false, true]);
    }, { expected: /status of 401/ });
  } finally {
    await locked.stop();
  }
});

// A request that is cancelled must not go on in the engine.
async function assertIdle() {
  for (let waited = 0; ; waited += 20) {
    const { engine } = await (await fetch(`${server.url}/debug/cache?nodes=0`)).json();
    if (engine.running + engine.waiting === 0)
      return;
    assert.ok(waited < 5000, `still busy: ${JSON.stringify(engine)}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
