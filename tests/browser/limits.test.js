import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { cellsOf, launch, openSignedIn, refresh } from './support/browser.js';
import { Host, until } from './support/host.js';

const kMinute = 60000;
const kHour = 60 * kMinute;
const kImage = '<img src=x onerror="alert(1)">';
const now = Date.now();
const then = now - 3 * kHour;
let host;
let browser;

const row = (ts, source, seconds, used) =>
  `INSERT INTO resource_samples VALUES (${ts}, '${source}', 1, 1, 1048576, NULL, ${used * 1e6}, ${seconds * 1e6}, 1);`;
const event = (id, ts, kind, account = 'default', session = 'build', reason = 'too many requests') =>
  `INSERT INTO rate_limit_events VALUES ('${id}', ${ts}, '${kind}', 'session-sentinel', '${account}', '${session}', '${reason}', NULL);`;

before(async () => {
  host = new Host();
  // No rows of the collector's own.
  host.yaml += 'sampling: {sample_interval: 1d, idle_sample_interval: 1d}\n';
  const older = Array.from({ length: 12 }, (_, i) => event(`old:${i}`, now - (5 + i) * kHour, 'throttle')).join('');
  host.writeLedger(host.addAgent('mine', { developmentAgent: true, authToken: 'mine-token-0123456789' }),
    row(then, 'session:b1', 300, 30) + row(then - 4 * kMinute, 'session:b2', 120, 12) + event('session-sentinel:1:0', then, 'throttle', 'ada') +
    event('a/b?c:%', then + 1000, 'quota', 'default', kImage, kImage) + older + event('ancient', now - 40 * kHour, 'circuit-open') +
    `CREATE TABLE fleetledger_recoveries (id TEXT PRIMARY KEY, ts INTEGER NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL,
       account_key TEXT NOT NULL DEFAULT 'default', session_name TEXT, reason TEXT, detail TEXT);
     CREATE TABLE fleetledger_read_marks (source TEXT PRIMARY KEY, device INTEGER, inode INTEGER, read_to INTEGER, fingerprint INTEGER, memory TEXT);
     INSERT INTO fleetledger_recoveries VALUES ('session-sentinel:1:0', ${then + 2000}, 'throttle-recovered', 'session-sentinel', 'default', 'build', NULL, NULL);`);
  host.writeLedger(host.addAgent(kImage, { developmentAgent: true }, 'hog'),
    row(then, `session:${kImage}`, 300, 270) + event('session-sentinel:2:0', then - kMinute, 'throttle', 'ada'));
  host.addAgent('mute', { monitoring: { resourceLedger: { enabled: false } } });
  await host.serve();
  await until(async () => (await host.get('fleet/summary')).ts > 0, 'the first look');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await host.close();
});

const open = async (options = {}) => {
  const page = await openSignedIn(browser, host, `/agents/${await host.idOf('mine')}`, options);
  await page.locator('.events li').first().waitFor();
  return page;
};
const item = (page, text) => page.locator('.events > li').filter({ hasText: text }).first();
const ask = async (page, text) => {
  await item(page, text).getByRole('button', { name: 'What ran before' }).click();
  await item(page, text).locator('.context p').nth(1).waitFor();
  return item(page, text).locator('.context');
};

test('the limits of a day are told by kind, the newest are listed, the older ones when asked for', async () => {
  const page = await open();
  const section = page.locator('section', { has: page.getByRole('heading', { name: 'Rate limits' }) });
  assert.match(await section.innerText(), /^Rate limits\s+13 throttlings and 1 used-up quota in the last 24 hours\.\s/);
  assert.equal(await page.locator('.events > li').count(), 10);
  assert.match(await page.locator('.events > li').first().innerText(), /recovered · session build$/);
  await section.getByRole('button', { name: 'Show 5 older ones' }).click();
  assert.equal(await page.locator('.events > li').count(), 15);
  assert.equal(await section.getByRole('button', { name: /older/ }).isVisible(), false);
  await page.getByRole('button', { name: '7 days' }).click();
  await page.getByText('13 throttlings, 1 used-up quota and 1 opening of the breaker in the last 7 days.').waitFor();
  page.blameless();
});

test('the operator sees who used the host before a limit, whose account it was, and what could not be read', async () => {
  const page = await open();
  const context = await ask(page, 'throttled');
  const text = await context.innerText();
  assert.match(text, /In the five minutes before, 3 sessions of 2 agents ran on this host\. They used 306\.0 s of CPU time together\./);
  assert.match(text, /a server that throttles, whoever asks/);
  assert.deepEqual(await cellsOf(context.getByRole('table')), [
    [`${kImage}\n${kImage}`, '270.0 s'], ['b1\nmine', '30.0 s'], ['b2\nmine · seen for 60 of 300 s', '6.0 s']]);
  assert(text.includes(`${kImage}: throttled · the same account`));
  assert(text.includes(`The same account, ada: ${kImage}, mine`) || text.includes(`The same account, ada: mine, ${kImage}`));
  assert.match(text, /Not read: mute: its ledger is switched off/);

  // What is open stays open while the page refreshes, and closes again.
  await refresh(page);
  await page.waitForFunction(() => !document.querySelector('main[aria-busy]'));
  assert(await context.isVisible());
  const button = item(page, 'throttled').getByRole('button');
  assert.equal(await button.getAttribute('aria-expanded'), 'true');
  await button.focus();
  await page.keyboard.press('Enter');
  assert.equal(await context.isVisible(), false);
  assert.equal(await button.getAttribute('aria-expanded'), 'false');
  page.blameless();
});

test('an event whose id and texts are markup is asked for and shown as text, from 360 px on', async () => {
  for (const colorScheme of ['light', 'dark']) {
    const page = await open({ viewport: { width: 360, height: 800 }, colorScheme });
    const context = await ask(page, 'quota used up');
    assert.match(await context.innerText(), /everybody who uses the account has a share/);
    assert.equal(await page.locator('main img').count(), 0);
    assert((await item(page, 'quota used up').innerText()).includes(kImage));
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
    page.blameless();
    await page.context().close();
  }
});

test('an agent’s own token shows its own sessions, and of the others how much they used together', async () => {
  const page = await open({ token: 'mine-token-0123456789' });
  const text = await (await ask(page, 'throttled')).innerText();
  assert.match(text, /3 sessions of 2 agents ran on this host\. They used 306\.0 s/);
  assert.match(text, /1 event of other agents in these minutes\./);
  assert.match(text, /1 ledger of other agents could not be read\./);
  assert(!text.includes(kImage) && !text.includes('mute') && !text.includes('270.0'));
  page.blameless();
});

test('an event that is gone, and a collector that does not answer, are told in place', async () => {
  const page = await open();
  await page.route(/\/rate-limits\/[^?]+\/context$/, route => route.fulfill({ status: 404, json: { error: 'no such event' } }));
  await item(page, 'throttled').getByRole('button').click();
  await page.getByText('This event is not in the ledger any more.').waitFor();
  await item(page, 'throttled').getByRole('button').click();
  await page.unroute(/\/rate-limits\/[^?]+\/context$/);
  await page.route(/\/rate-limits\/[^?]+\/context$/, route => route.abort());
  await item(page, 'throttled').getByRole('button').click();
  await page.getByText('The collector does not answer.').waitFor();
  page.blameless();
});
