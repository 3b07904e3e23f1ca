import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, openPage, openSignedIn } from './support/browser.js';
import { Host, until } from './support/host.js';

let host;
let browser;

before(async () => {
  host = new Host();
  host.yaml += 'sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n';
  const path = host.addAgent('echo');
  host.addSession(path, 's1', 'Build');
  host.addAgent('off', {});
  await host.serve();
  await until(async () => (await host.get(`agents/${await host.idOf('echo')}`)).newestTs, 'a row');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await host.close();
});

const excess = page => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

test('from 360 px to wide, dark and light, nothing is cut off at the side and text keeps its contrast', async () => {
  const grounds = new Set();
  const widths = [360, 700, 1280, 2560];
  for (const colorScheme of ['light', 'dark']) {
    const page = await openSignedIn(browser, host, '/', { colorScheme });
    for (const view of ['fleet', 'agent']) {
      if (view === 'agent') {
        await page.getByRole('link', { name: 'echo' }).click();
        await page.waitForFunction(() => window.charts.length === 2);
      } else {
        await page.getByRole('link', { name: 'echo' }).waitFor();
      }
      for (const width of widths) {
        await page.setViewportSize({ width, height: 700 });
        assert.equal(await excess(page), 0, `${view}, ${width}`);
      }
      const contrasts = await page.evaluate(() => {
        const luminance = text => {
          const [r, g, b] = text.match(/\d+/g).map(value => {
            const part = value / 255;
            return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
          });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = luminance(getComputedStyle(document.body).backgroundColor);
        const selectors = ['h1', '.quiet', '.state', 'nav a', '.dygraph-axis-label'];
        return selectors.map(selector => document.querySelector(selector)).filter(Boolean).map(element => {
          const text = luminance(getComputedStyle(element).color);
          return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
        });
      });
      assert(Math.min(...contrasts) >= 4.5, `${colorScheme}: ${contrasts}`);
    }
    grounds.add(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    page.blameless();
    await page.context().close();
  }
  assert.equal(grounds.size, 2);
  const page = await openPage(browser, host, { viewport: { width: 360, height: 700 } });
  await page.getByLabel('Token').waitFor();
  assert.equal(await excess(page), 0);
});

test('the charts change their colours with the scheme, while they are shown', async () => {
  const page = await openSignedIn(browser, host, `/agents/${await host.idOf('echo')}`, { colorScheme: 'light' });
  await page.waitForFunction(() => window.charts.length === 2);
  const colour = () => page.evaluate(() => window.charts[0].getColors()[0]);
  const light = await colour();
  await page.emulateMedia({ colorScheme: 'dark' });
  await until(async () => await colour() !== light, 'the colour changes');
  page.blameless();
});
