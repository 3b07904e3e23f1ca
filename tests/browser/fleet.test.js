import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { cellsOf, launch, openSignedIn, refresh } from './support/browser.js';
import { Host, until } from './support/host.js';

let host;
let browser;
let busy;

before(async () => {
  host = new Host();
  host.yaml += 'sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n';
  const path = host.addAgent('busy');
  host.addSession(path, 's1', 'Spin', 'while :; do :; done');
  host.addAgent('calm');
  host.addAgent('sleeper', {});
  host.addAgent('mute', { monitoring: { resourceLedger: { enabled: false } } });
  await host.serve();
  busy = await host.idOf('busy');
  await host.addOrphan(path, busy);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await host.close();
});

const table = page => page.getByRole('table', { name: /Agents, the heaviest first/ });

test('one sentence, the agents with the heaviest first, their states and why, and rows that add up to the host', async () => {
  let fleet;
  const page = await openSignedIn(browser, host);
  page.on('response', async response => {
    if (response.url().includes('/fleet/summary')) fleet = response.json();
  });
  // The look before the first rows came may be in the first answer.
  await until(async () => {
    await refresh(page);
    return (await cellsOf(table(page)))[0]?.[0].startsWith('busy') && await fleet;
  }, 'the busy agent leads');
  const cells = await cellsOf(table(page));
  const { host: { cpus } } = await fleet;
  const headline = await page.locator('.headline').innerText();
  assert.match(headline, new RegExp(`^2 agents use [0-9.]+ of ${cpus} cores? and [0-9.]+ MiB; everything else .*cores?\\.$`));

  const row = name => cells.find(([first]) => first.startsWith(name));
  assert.match(row('busy')[0], /sampling.*1 orphan process,/s);
  assert.match(row('sleeper')[0], /not turned on yet\s+not a development agent/);
  assert.match(row('mute')[0], /turned off\s+enabled: false in its config/);
  assert.deepEqual(row('mute').slice(1), ['–', '–', '–', '–', '–']);
  assert.match(row('Everything else')[0], /most of it: .+ %, .+ %, .+ %/);
  assert.match(row('Unattributed')[1], / %$/);
  assert.match(row('The collector')[4], / MiB$/);
  assert.match(await page.getByText(/^Of this, 1 orphan process/).innerText(), /outlived its session/);

  const tenths = text => (text === '–' ? 0 : Math.round(Number.parseFloat(text) * 10));
  const shown = cells.map(cell => tenths(cell[1]));
  assert.equal(shown.slice(0, -1).reduce((sum, value) => sum + value, 0), shown.at(-1));
  assert(shown[0] > 50);
  const bars = await page.locator('.bar > span').evaluateAll(spans => spans.map(span => Number.parseFloat(span.style.width)));
  assert.equal(bars[0], 100);
  assert(bars[1] < 100);
  page.blameless();
});

test('a refresh changes what is shown in place: rows, focus and scroll stay', async () => {
  const page = await openSignedIn(browser, host, '/', { viewport: { width: 360, height: 300 } });
  await page.getByRole('link', { name: 'busy' }).focus();
  await page.evaluate(() => {
    scrollTo(0, 200);
    window.marked = [...document.querySelectorAll('tbody tr')];
  });
  const before_ = await page.locator('#updated').innerText();
  await until(async () => {
    await refresh(page);
    return await page.locator('#updated').innerText() !== before_;
  }, 'the page was refreshed');
  assert.deepEqual(await page.evaluate(() => [scrollY, document.activeElement.textContent,
    window.marked.filter(row => row.isConnected).length >= 7]), [200, 'busy', true]);
  page.blameless();
});

test('a tab that is hidden asks nothing, and asks at once when it is shown again', async () => {
  const page = await openSignedIn(browser, host);
  await page.clock.install();
  await page.reload();
  await page.getByRole('link', { name: 'busy' }).waitFor();
  let requests = 0;
  page.on('request', () => { ++requests; });
  const hide = hidden => page.evaluate(value => {
    Object.defineProperty(document, 'hidden', { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await page.clock.runFor(6000);
  await until(() => requests >= 2, 'it asks while it is shown');
  await page.waitForFunction(() => !document.querySelector('main[aria-busy]'));
  await hide(true);
  requests = 0;
  await page.clock.runFor(600000);
  assert.equal(requests, 0);
  await hide(false);
  await until(() => requests >= 2, 'it asks again');
  page.blameless();
});

test('the back button leads from an agent to the host', async () => {
  const page = await openSignedIn(browser, host);
  await page.getByRole('link', { name: 'busy' }).click();
  await page.getByRole('heading', { name: 'busy' }).waitFor();
  assert(page.url().endsWith(`#/agents/${busy}`));
  const cells = await cellsOf(page.getByRole('table', { name: /server and each session/ }).first());
  assert(cells.some(([name]) => name.startsWith('Orphans') && name.includes('outlived')));
  await page.goBack();
  await page.getByRole('heading', { name: 'This host' }).waitFor();
  page.blameless();
});

test('one answer that could not be shown ended all refreshing', async () => {
  const page = await openSignedIn(browser, host);
  await table(page).waitFor();
  await page.route(/\/fleet\/summary/, route => route.fulfill({ json: {} }));
  const failed = page.waitForEvent('pageerror');
  await refresh(page);
  await failed;
  await page.unroute(/\/fleet\/summary/);
  await page.getByText('cannot be shown').waitFor();
  // Asked again by itself.
  await page.getByText('cannot be shown').waitFor({ state: 'hidden' });
  assert(await page.evaluate(() => !document.querySelector('main[aria-busy]')));
});
