import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, openSignedIn } from './support/browser.js';
import { Host, until } from './support/host.js';

const kImage = '<img src=x onerror="alert(1)">';
const kScript = '</td><script>alert(2)</script>';
const kTurned = '\u202egnp.exe\u2069\u200f';
const kLong = `long-${'W'.repeat(500)}`;
const kLongAgent = kLong.slice(0, 256); // longer ones are no names
let host;
let browser;
let id;

before(async () => {
  host = new Host();
  host.yaml += 'sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n';
  const path = host.addAgent(kImage, { developmentAgent: true }, 'image');
  host.addSession(path, 's1', kScript);
  host.addSession(path, 's2', kTurned);
  host.addSession(path, 's3', kLong);
  host.addAgent(kLongAgent, { developmentAgent: true }, 'long');
  host.writeLedger(path, `INSERT INTO rate_limit_events VALUES
    ('x', ${Date.now() - 60000}, '<b>kind', 'session-sentinel', 'default', '${kImage}', '${kScript}', 'javascript:alert(3)')`);
  await host.serve();
  id = await host.idOf(kImage);
  await until(async () => (await host.get(`agents/${id}`)).sources.length === 4, 'its sessions are seen');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await host.close();
});

/// All of the page's text, and whether it became anything else.
const state = page => page.evaluate(() => ({
  text: document.getElementById('main').textContent,
  elements: document.querySelectorAll('main img, main script, main b, main iframe, main object').length,
  wider: document.documentElement.scrollWidth - innerWidth,
}));

test('names that are markup, turned text or very long are shown as text, on the host’s page and on the agent’s', async () => {
  for (const width of [360, 1280]) {
    const page = await openSignedIn(browser, host, '/', { viewport: { width, height: 800 } });
    await page.getByRole('link', { name: kImage }).waitFor();
    const fleet = await state(page);
    assert(fleet.text.includes(kImage) && fleet.text.includes(kLongAgent));
    assert.deepEqual([fleet.elements, fleet.wider], [0, 0]);

    await page.getByRole('link', { name: kImage }).click();
    await page.locator('.processes tbody tr').nth(3).waitFor();
    await page.locator('.events li').waitFor();
    const agent = await state(page);
    for (const text of [kImage, kScript, kTurned, kLong, '<b>kind', 'javascript:alert(3)']) assert(agent.text.includes(text), text);
    assert.deepEqual([agent.elements, agent.wider], [0, 0]);
    // A mark that turns text ends with its name, and is in no title or list.
    assert.equal(await page.locator('bdi', { hasText: kTurned }).evaluate(element => getComputedStyle(element).unicodeBidi), 'isolate');
    assert.doesNotMatch(await page.locator('select').innerText(), /[\u202a-\u202e\u2066-\u2069]/);
    assert((await page.title()).startsWith(kImage));
    page.blameless();
  }
});
