import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { cellsOf, launch, openSignedIn, refresh } from './support/browser.js';
import { Host, until } from './support/host.js';

const kMinute = 60000;
const kHour = 60 * kMinute;
const kDay = 24 * kHour;
const kSources = ['agent-server', 'session:s1', 'session:s2', 'session:s3', 'session:s4', 'session:s5', 'aggregate'];
const kPeakAgo = 3 * kDay;
const kGapAgo = [5 * kDay, 4.5 * kDay]; // from, to
const now = Date.now();
let host;
let browser;
let heavy;
let calm;

before(async () => {
  host = new Host();
  // Rows of the collector's own would be among those of the test only at midnight, UTC.
  host.yaml += 'sampling: {sample_interval: 1d, idle_sample_interval: 1d}\n';
  const path = host.addAgent('heavy');
  // 7 sources, a row a minute for 7 days: 70,560. Everything uses 10 %, 30 % in the last hour; the sum 40 %.
  host.writeLedger(path, `
    WITH RECURSIVE minutes(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM minutes WHERE i < 10079),
      sources(name) AS (VALUES ${kSources.map(name => `('${name}')`)})
    INSERT INTO resource_samples SELECT ${now} - i * ${kMinute} - 1000, name, 1,
      CASE WHEN name = 'aggregate' THEN 40 WHEN i < 60 THEN 30 ELSE 10 END, 300 * 1048576, NULL, 6000000, 60000000, 3
      FROM minutes, sources;
    UPDATE resource_samples SET fl_cpu_us = cpu_percent * fl_interval_us / 100;
    UPDATE resource_samples SET cpu_percent = 777.7 WHERE source = 'aggregate' AND ts = ${now} - ${kPeakAgo} - 1000;
    DELETE FROM resource_samples WHERE source = 'aggregate' AND ts BETWEEN ${now} - ${kGapAgo[0]} AND ${now} - ${kGapAgo[1]};
    INSERT INTO rate_limit_events VALUES
      ('a', ${now} - ${30 * kMinute}, 'throttle', 'session-sentinel', 'default', 's1', 'too many requests', NULL),
      ('b', ${now} - ${6 * kDay}, 'circuit-open', 'circuit-breaker', 'default', NULL, '5 errors in a row', NULL)`);
  // Idle: a row every five minutes, and none for half an hour a day ago.
  host.writeLedger(host.addAgent('calm'), `
    WITH RECURSIVE rows(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM rows WHERE i < 600)
    INSERT INTO resource_samples SELECT ${now} - i * ${5 * kMinute} - 1000, 'aggregate', 0, 1, 1048576, NULL, 3000000, 300000000, 1
      FROM rows WHERE i NOT BETWEEN 100 AND 106`);
  // Half an hour at 80 % sampled each minute, and before that half an hour of nothing sampled each five minutes.
  host.writeLedger(host.addAgent('mixed'), `
    WITH RECURSIVE rows(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM rows WHERE i < 35)
    INSERT INTO resource_samples SELECT ${now} - iif(i < 30, i, 30 + 5 * (i - 30)) * ${kMinute} - 1000, 'aggregate', 0,
      iif(i < 30, 80, 0), 1048576, NULL, iif(i < 30, 48000000, 0), iif(i < 30, 60000000, 300000000), 1 FROM rows`);
  await host.serve();
  await until(async () => (await host.get('fleet/summary')).ts > 0, 'the first look');
  heavy = `/agents/${await host.idOf('heavy')}`;
  calm = `/agents/${await host.idOf('calm')}`;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await host.close();
});

/// The agent's page with this range, drawn.
async function open(hash, range, options) {
  const page = await openSignedIn(browser, host, hash, options);
  await page.getByRole('button', { name: range }).click();
  await drawn(page);
  return page;
}

const drawn = page => page.waitForFunction(() => {
  const pressed = document.querySelector('.ranges [aria-pressed=true]')?.textContent;
  const hours = { '1 hour': 1, '24 hours': 24, '7 days': 168 }[pressed];
  const [from, to] = window.charts[0]?.xAxisExtremes() ?? [0, 0];
  return window.charts.length === 2 && !document.querySelector('main[aria-busy]') && to - from <= hours * 3600000 + 1 &&
    window.charts[0].dateWindow_[1] - window.charts[0].dateWindow_[0] > hours * 3500000;
});

/// What the chart was given: [at, least, average, highest] a point.
const points = (page, chart = 0) => page.evaluate(chart => {
  const graph = window.charts[chart];
  return Array.from({ length: graph.numRows() }, (_, i) => [graph.getValue(i, 0), ...graph.getValue(i, 1)]);
}, chart);

/// Whether anything is drawn near this place of a chart, in its own units.
const isDrawn = (page, at, from, to) => page.evaluate(([at, from, to]) => {
  const graph = window.charts[0];
  const canvas = graph.hidden_;
  const scale = canvas.width / canvas.clientWidth;
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const x = graph.toDomXCoord(at);
  const [top, bottom] = [to, from].map(value => graph.toDomYCoord(value));
  const { data } = copy.getImageData(Math.floor((x - 2) * scale), Math.ceil(top * scale), Math.ceil(4 * scale),
    Math.max(1, Math.floor((bottom - top) * scale)));
  return data.some((value, i) => i % 4 === 3 && value > 40);
}, [at, from, to]);

test('seven days of 70,560 rows are a bounded number of points; no peak is hidden, a gap is a gap', async () => {
  const page = await open(heavy, '7 days');
  const all = await points(page);
  assert(all.length > 300 && all.length <= 400, `${all.length} points`);
  const peak = all.find(([, , , highest]) => highest === 777.7);
  assert(Math.abs(peak[0] - (now - kPeakAgo)) < kHour);
  assert(peak[2] < 100); // the average alone would hide it
  assert(await isDrawn(page, peak[0], 600, 770));
  assert(!await isDrawn(page, now - 2 * kDay - 1.5 * kHour, 600, 770));

  assert.equal(all.filter(([, , average]) => average === null).length, 1);
  const inGap = (kGapAgo[0] + kGapAgo[1]) / 2;
  assert(!await isDrawn(page, now - inGap, 30, 50));
  assert(await isDrawn(page, now - kGapAgo[0] - 3 * kHour, 30, 50));

  // The breaker's event has a mark, over the empty part of the chart, and a line in the list.
  assert(await isDrawn(page, now - 6 * kDay, 300, 700));
  assert.match(await page.locator('.events').innerText(), /throttled · session s1 · too many requests[^]*breaker opened · 5 errors in a row/);
  assert.match(await page.locator('.readout').first().innerText(), /^4\d\.\d % on average, at most 777\.7 % \(.+\); one gap$/);
  page.blameless();
});

test('the table says now, average and highest of the time that is chosen', async () => {
  const page = await open(heavy, '24 hours');
  const cells = () => cellsOf(page.getByRole('table', { name: /server and each session/ }).first());
  const server = (await cells()).find(([name]) => name === 'Server');
  assert.deepEqual(server.slice(2, 4), ['10.8 %', '30.0 %']);
  assert.equal(server[5], '300.0 MiB');
  const ended = (await cells()).find(([name]) => name === 's3');
  assert.deepEqual(ended.slice(1), ['ended', '10.8 %', '30.0 %', '–', '300.0 MiB', '300.0 MiB', '–']);
  await page.getByRole('button', { name: '1 hour' }).click();
  await drawn(page);
  assert.deepEqual((await cells()).find(([name]) => name === 'Server').slice(2, 4), ['30.0 %', '30.0 %']);
  assert.equal((await points(page)).every(([, , average]) => average === 40), true);

  // One source alone.
  await page.getByLabel('of').selectOption({ label: 's3' });
  await until(async () => (await points(page)).every(([, , average]) => average === 30), 'its own trend is drawn');
  page.blameless();
});

test('an average is over the time, not over the rows', async () => {
  const page = await open(`/agents/${await host.idOf('mixed')}`, '1 hour');
  assert.match(await page.locator('.readout').first().innerText(), /^40\.0 % on average, at most 80\.0 %/);
  await page.getByText('Fleet').first().click();
  const table = page.getByRole('table').filter({ hasText: 'Average, 1 h' });
  await table.getByText('mixed').waitFor();
  const [, , average, highest] = (await cellsOf(table)).find(([name]) => name.startsWith('mixed'));
  assert.deepEqual([average, highest], ['40.0 %', '80.0 %']);
  page.blameless();
});

test('a row every five minutes is no gap in an hour, half an hour without any is one', async () => {
  const page = await open(calm, '1 hour');
  const hour = await points(page);
  assert(hour.length >= 11 && hour.length <= 13);
  assert(hour.every(([, , average]) => average === 1));
  await page.getByRole('button', { name: '24 hours' }).click();
  await drawn(page);
  assert.equal((await points(page)).filter(([, , average]) => average === null).length, 1);
  page.blameless();
});

test('a zoom stays while the page refreshes, holds for both charts, and can be left', async () => {
  const page = await open(heavy, '7 days');
  const area = await page.locator('.canvas').first().boundingBox();
  const y = area.y + 80;
  await page.mouse.move(area.x + 150, y);
  await page.mouse.down();
  await page.mouse.move(area.x + 300, y + 5, { steps: 5 });
  await page.mouse.up();
  const windows = () => page.evaluate(() => window.charts.map(chart => chart.xAxisRange()));
  const zoomed = await windows();
  assert(zoomed[0][1] - zoomed[0][0] < 4 * kDay);
  assert.deepEqual(zoomed[1], zoomed[0]);

  // A new row: everything is read and drawn again.
  await page.route(/\/agents\/[^/]+$/, async route => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...await response.json(), newestTs: now } });
  });
  const read = page.waitForResponse(/\/resources\/rate-limits/);
  await refresh(page);
  await read;
  await page.waitForFunction(() => !document.querySelector('main[aria-busy]'));
  assert.deepEqual(await windows(), zoomed);
  await page.getByRole('button', { name: 'Whole range' }).first().click();
  assert((await windows()).every(([from, to]) => to - from > 6.9 * kDay));

  // Up and down is the whole range of values again as well.
  await page.mouse.move(area.x + 200, area.y + 30);
  await page.mouse.down();
  await page.mouse.move(area.x + 205, area.y + 150, { steps: 5 });
  await page.mouse.up();
  await page.locator('.canvas').first().dblclick();
  assert((await page.evaluate(() => window.charts[0].yAxisRange()))[1] > 777);
  page.blameless();
});

test('who leaves while an agent is being read finds no trace of it', async () => {
  const page = await openSignedIn(browser, host);
  let answer;
  await page.route(/\/resources\/trend/, async route => {
    await new Promise(resolve => { answer = resolve; });
    await route.continue();
  });
  await page.getByRole('link', { name: 'heavy' }).click();
  await until(() => answer, 'the trend is asked for');
  await page.goBack();
  await page.getByRole('link', { name: 'calm' }).waitFor();
  const answered = page.waitForResponse(/\/resources\/trend/);
  answer();
  await (await answered).finished();
  await until(async () => {
    await refresh(page);
    return page.evaluate(() => !document.querySelector('main[aria-busy]'));
  }, 'the page goes on');
  assert.equal(await page.evaluate(() => window.charts.length), 0);
  page.blameless();
});

test('everything is reached and read by keyboard', async () => {
  const page = await open(heavy, '7 days');
  const focused = () => page.evaluate(() => {
    const { activeElement: element } = document;
    return element.getAttribute('aria-label') ?? element.id.replace(/^$/, element.textContent);
  });
  await page.locator('.product').focus();
  const reached = [];
  for (let i = 0; i < 10; ++i) {
    await page.keyboard.press('Tab');
    reached.push(await focused());
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, 'solid', `focus shows on ${reached.at(-1)}`);
  }
  assert.deepEqual(reached, ['All agents', 'sign-out', '1 hour', '24 hours', '7 days', 'source', 'CPU over time',
    'CPU as a table', 'Memory over time', 'Memory as a table']);

  const chart = page.getByRole('slider', { name: 'CPU over time' });
  await chart.focus();
  const whole = await chart.getAttribute('aria-valuetext');
  await page.keyboard.press('Home');
  const first = await chart.getAttribute('aria-valuetext');
  assert.match(first, /^\d+ \w+ \d\d:\d\d: 40\.0 % on average, 40\.0 % to 40\.0 %$/);
  await page.keyboard.press('ArrowRight');
  assert.notEqual(await chart.getAttribute('aria-valuetext'), first);
  assert.equal(await page.locator('.readout').first().innerText(), await chart.getAttribute('aria-valuetext'));
  await page.keyboard.press('End');
  await page.keyboard.press('Escape');
  assert.equal(await chart.getAttribute('aria-valuetext'), whole);

  await page.getByText('CPU as a table').focus();
  await page.keyboard.press('Enter');
  await page.locator('details td').first().waitFor();
  const cells = await cellsOf(page.locator('details table').first());
  assert(cells.length <= 48 && cells.length > 40);
  assert(cells.some(([, , , highest]) => highest === '777.7 %'));

  await page.getByRole('button', { name: '1 hour' }).focus();
  await page.keyboard.press('Space');
  await drawn(page);
  assert.equal(await page.getByRole('button', { name: '1 hour' }).getAttribute('aria-pressed'), 'true');
  assert.equal(await page.getByRole('button', { name: '7 days' }).getAttribute('aria-pressed'), 'false');
  page.blameless();
});
