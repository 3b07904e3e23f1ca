import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, openSignedIn, refresh } from './support/browser.js';
import { Host, until } from './support/host.js';

const kDay = 86400000;
let host;
let browser;

before(async () => {
  host = new Host();
  host.yaml += `discovery: {overrides: {stale: {idle_sample_interval: 1d}, muted: {enabled: false}}}
sampling: {sample_interval: 1s, idle_sample_interval: 1s}
`;
  host.addAgent('off', { authToken: 'off-token-0123456789' });
  host.addAgent('disabled', { monitoring: { resourceLedger: { enabled: false } }, authToken: 'disabled-token-0123456789' });
  host.addAgent('muted', { developmentAgent: true });
  host.addAgent('fresh');
  const stale = host.addAgent('stale');
  host.writeLedger(stale, `INSERT INTO resource_samples
    VALUES (${Date.now() - 3 * kDay}, 'aggregate', 0, 5, 1048576, NULL, 5, 1, 1)`);
  await host.serve();
  await until(async () => (await host.get('fleet/summary')).host.cpuSeconds > 0, 'two looks');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await host.close();
});

const open = async (name, options) => openSignedIn(browser, host, `/agents/${await host.idOf(name)}`, options);

test('an agent that is off or disabled is not turned on yet: in calm words, with why and how to change it', async () => {
  for (const [name, words, cure, token] of [
    ['off', /not turned on for this agent yet.*not a development agent.*config\.json/s, /"resourceLedger": \{"enabled": true\}/, 'off-token-0123456789'],
    ['disabled', /not turned on for this agent: its own config.*enabled: false in its config/s, /"enabled": true/, 'disabled-token-0123456789'],
    ['muted', /not turned on for this agent: fleetledger was told/, /discovery\.overrides/],
  ]) {
    for (const who of [host.token, token].filter(Boolean)) {
      const page = await open(name, { token: who });
      await page.locator('.advice').waitFor();
      const advice = await page.locator('.advice').innerText();
      assert.match(advice, words);
      assert.match(advice, cure);
      assert(!await page.locator('.headline').isVisible());
      await page.waitForFunction(() => !document.querySelector('main[aria-busy]'));
      assert.equal(await page.getByRole('heading', { name: 'Rate limits' }).isVisible(), name === 'off');
      assert(!await page.getByRole('heading', { name: 'Trend' }).isVisible());
      assert(!await page.locator('#notice').isVisible());
      page.blameless();
      await page.context().close();
    }
  }
});

test('rows that should have come and did not are told, and greyed', async () => {
  const page = await open('stale');
  await page.getByRole('status').filter({ hasText: /^The newest row is from \d+ \w+ \d\d:\d\d, though one is due every 24 hours\.$/ }).waitFor();
  const greyed = await page.locator('.headline').evaluate(element => Number(getComputedStyle(element).opacity));
  assert(greyed < 1);
  page.blameless();
  const fresh = await open('fresh');
  await fresh.locator('.processes tbody tr').first().waitFor();
  assert(!await fresh.locator('#notice').isVisible());
  fresh.blameless();
});

test('a collector that does not answer is told, what was shown stays, and it goes on when it is back', async () => {
  const page = await open('fresh');
  const disabled = await open('disabled');
  const shown = page.locator('.processes tbody tr').first();
  await shown.waitFor();
  await host.stop();
  await refresh(page);
  await refresh(disabled);
  await disabled.getByRole('status').filter({ hasText: 'No answer' }).waitFor();
  const words = page.getByRole('status').filter({ hasText: /^No answer from the collector since \d\d:\d\d:\d\d; what is shown is from then\.$/ });
  await words.waitFor();
  assert(await shown.isVisible());
  assert(await page.evaluate(() => document.getElementById('main').classList.contains('stale')));

  await host.serve();
  await until(async () => {
    await refresh(page);
    return !await page.locator('#notice').isVisible();
  }, 'it goes on');
  assert(!await page.evaluate(() => document.getElementById('main').classList.contains('stale')));
  assert(await shown.isVisible());
  page.blameless();
  await refresh(disabled);
  await disabled.locator('#notice').waitFor({ state: 'hidden' });
  disabled.blameless();
});

test('an agent that there is not is told', async () => {
  for (const name of ['nobody-00000000', 'nobody']) {
    const page = await openSignedIn(browser, host, `/agents/${name}`);
    await page.getByRole('status').filter({ hasText: 'There is no such agent' }).waitFor();
    page.blameless();
  }
});

test('an agent is shown by its name, too, while only one has it', async () => {
  const page = await openSignedIn(browser, host, '/agents/fresh');
  await page.getByRole('heading', { level: 1, name: 'fresh' }).waitFor();
  page.blameless();
});
