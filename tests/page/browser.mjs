// A browser in which nothing may go wrong unseen: each page's console errors, exceptions and requests to elsewhere are noted.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const flags = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

export const desktop = { viewport: { width: 1280, height: 800 } };
export const phone = { viewport: { width: 375, height: 720 }, hasTouch: true, isMobile: true };

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });
}

/** Opens the page at `url` for `use`, in a browser that knows nothing yet. `expected` are errors that belong to the test. */
export async function withPage(browser, url, use, { device = desktop, expected = /^$/ } = {}) {
  const context = await browser.newContext(device), page = await context.newPage(), wrong = [];
  page.setDefaultTimeout(20_000);
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type()) && !expected.test(message.text()))
      wrong.push(`console: ${message.text()}`);
  });
  page.on('pageerror', error => wrong.push(`exception: ${error.message}`));
  page.on('request', request => {
    if (new URL(request.url()).origin !== url)
      wrong.push(`request to ${request.url()}`);
  });
  try {
    await page.goto(`${url}/`);
    await use(page);
    assert.deepEqual(wrong, []);
  } finally {
    await context.close();
  }
}

/** Sends a message as people do, and waits for the whole answer. */
export async function ask(page, text) {
  await send(page, text);
  await page.waitForSelector('#send:visible');
  return page.locator('article.assistant').last();
}

export async function send(page, text) {
  await page.fill('#prompt', text);
  await page.press('#prompt', 'Enter');
}

/** Settings that make the answers the same each time. */
export async function beGreedy(page) {
  await page.click('#open-settings');
  await page.fill('#temperature', '0');
  await page.click('#settings button[type=submit]');
}

/** From now on answers do not end by themselves: the model may not say what ends them. */
export async function neverEnd(page, url) {
  const ends = [];
  for (const prompt of ['<|im_end|>', '<|endoftext|>']) {
    const response = await fetch(`${url}/tokenize`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ prompt }) });
    ends.push(...(await response.json()).tokens);
  }

  assert.equal(ends.length, 2);
  await page.route('**/v1/chat/completions', route => route.continue({
    postData: JSON.stringify({ ...route.request().postDataJSON(), logit_bias: Object.fromEntries(ends.map(id => [id, -100])), max_tokens: 20_000 }),
  }));
}
