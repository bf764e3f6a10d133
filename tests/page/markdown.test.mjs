// What Markdown becomes, and what it never does: text of a model must not run, load anything or lead to a script.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, withPage } from './browser.mjs';
import { startServer } from './server.mjs';

let browser, server;

before(async () => { [browser, server] = await Promise.all([launch(), startServer()]); });
after(() => Promise.all([browser?.close(), server?.stop()]));

// text, and the HTML of what it becomes
const becomes = [
  ['a **b** *c* __d__ _e_ ~~f~~ `g`', '<p>a <strong>b</strong> <em>c</em> <strong>d</strong> <em>e</em> <s>f</s> <code>g</code></p>'],
  ['**a *b***', '<p><strong>a <em>b</em></strong></p>'],
  ['snake_case_name, 2 * 3 * 4, \\*no\\*, **open', '<p>snake_case_name, 2 * 3 * 4, *no*, **open</p>'],
  ['``a ` b``', '<p><code>a ` b</code></p>'],
  ['one\ntwo', '<p>one<br>two</p>'],
  ['# a\n## b', '<h3>a</h3><h4>b</h4>'],
  ['- a\n  - b\n- c', '<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>'],
  ['3. a\n4. b', '<ol start="3"><li>a</li><li>b</li></ol>'],
  ['> a\n> - b', '<blockquote><p>a</p><ul><li>b</li></ul></blockquote>'],
  ['---', '<hr>'],
  ['[a](https://b.example/c_d)', '<p><a href="https://b.example/c_d" target="_blank" rel="noopener noreferrer">a</a></p>'],
  ['see https://b.example/c_d.', '<p>see <a href="https://b.example/c_d" target="_blank" rel="noopener noreferrer">https://b.example/c_d</a>.</p>'],
  ['![a](https://b.example/c.png)', '<p><a href="https://b.example/c.png" target="_blank" rel="noopener noreferrer">a</a></p>'],
  ['[a](javascript:alert(1))', '<p><span>a</span></p>'],
  ['[a](data:text/html,b) [c](//d.example)', '<p><span>a</span> <span>c</span></p>'],
  ['<img src=x onerror=alert(1)><script>alert(1)</script>', '<p>&lt;img src=x onerror=alert(1)&gt;&lt;script&gt;alert(1)&lt;/script&gt;</p>'],
];

test('Markdown becomes nodes, and HTML stays text', () => withPage(browser, server.url, async page => {
  const found = await page.evaluate(async texts => {
    const { renderMarkdown } = await import('./page/markdown.js');
    return texts.map(text => {
      const element = document.createElement('div');
      renderMarkdown(element, text);
      return element.innerHTML;
    });
  }, becomes.map(([text]) => text));
  becomes.forEach(([text, html], i) => assert.equal(found[i], html, text));
}));

test('code and tables', () => withPage(browser, server.url, async page => {
  const found = await page.evaluate(async () => {
    const { renderMarkdown } = await import('./page/markdown.js');
    const element = document.createElement('div');
    renderMarkdown(element, '```js\nif (a < b)\n  **c**\n```\n\n| a | b |\n|---|--:|\n| 1 | `2` |\n| 3 |');
    return {
      language: element.querySelector('figcaption span').textContent,
      code: element.querySelector('pre').textContent,
      copies: element.querySelector('button').getAttribute('aria-label'),
      rows: [...element.querySelectorAll('tr')].map(row => [...row.children].map(cell => cell.textContent)),
      classes: [...element.querySelectorAll('tbody td')].map(cell => cell.className),
    };
  });
  assert.deepEqual(found, {
    language: 'js', code: 'if (a < b)\n  **c**', copies: 'Copy the code', rows: [['a', 'b'], ['1', '2'], ['3', '']], classes: ['', 'end', '', 'end'],
  });
}));

test('a text that grows looks as if it had come at once, and what is finished stays the same node', () => withPage(browser, server.url, async page => {
  const found = await page.evaluate(async () => {
    const { renderMarkdown } = await import('./page/markdown.js');
    const text = '# a\n\nb **c** d\n\n- e\n- f\n\n```\ng\n\nh\n```\n\n| i | j |\n|---|---|\n| k | l |\n\n1. m\n\n   n\n\n> o', growing = document.createElement('div');
    renderMarkdown(growing, '# a\n\nb');
    const first = growing.firstChild;
    for (let end = 0; end <= text.length; end++) {
      renderMarkdown(growing, text.slice(0, end));
      const whole = document.createElement('div');
      renderMarkdown(whole, text.slice(0, end));
      if (!growing.isEqualNode(whole))
        return `after ${end} characters: ${growing.innerHTML}, not ${whole.innerHTML}`;
    }

    const heading = growing.firstChild;
    renderMarkdown(growing, `${text}\n\nmore`);
    return first !== null && heading === growing.firstChild;
  });
  assert.equal(found, true);
}));

test('depth and length end somewhere', () => withPage(browser, server.url, async page => {
  const ms = await page.evaluate(async () => {
    const { renderMarkdown } = await import('./page/markdown.js');
    const start = performance.now(), lines = 2000;
    for (const text of [
      '>'.repeat(5000), `${'['.repeat(5000)}a`, '*a '.repeat(5000), '**a '.repeat(5000), '_a_'.repeat(5000), '`'.repeat(5000), '![a]('.repeat(5000), '|'.repeat(5000),
      Array.from({ length: lines }, (_, i) => `${' '.repeat(i)}- a`).join('\n'), Array.from({ length: lines }, () => '| a | b |').join('\n'), 'a\n'.repeat(lines),
      `${'**'.repeat(3000)}a${'**'.repeat(3000)}`, '*'.repeat(5000), '<http://'.repeat(3000), `- ${'- '.repeat(3000)}`,
    ])
      renderMarkdown(document.createElement('div'), text);
    return performance.now() - start;
  });
  assert.ok(ms < 5000, `${ms} ms`);
}));
