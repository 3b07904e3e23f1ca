// Debian's chromium, and pages that remember everything that they should not have done.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const kArguments = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

/// Each launch has a profile of its own.
export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: kArguments,
});

/// A tab of its own, with nothing of others. `page.blameless()` fails if the page ran into its policy, asked another
/// host, opened a dialog, or complained.
export async function openPage(browser, host, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const faults = [];
  await page.exposeFunction('reportViolation', text => faults.push(`policy: ${text}`));
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', event =>
      window.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
    // Remembers the charts that the page makes.
    window.charts = [];
    let real;
    Object.defineProperty(window, 'Dygraph', {
      get: () => real,
      set(made) {
        real = new Proxy(made, {
          construct(target, args) {
            const chart = new target(...args);
            window.charts.push(chart);
            return chart;
          },
        });
      },
    });
  });
  page.on('pageerror', error => faults.push(`error: ${error.stack}`));
  page.on('dialog', dialog => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('console', message => {
    // Refused and lost requests are what some tests are about; the page tells of them in its own words.
    if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource')) {
      faults.push(`console: ${message.text()}`);
    }
  });
  page.on('request', request => {
    if (new URL(request.url()).host !== host.address) faults.push(`request: ${request.url()}`);
    if (request.url().includes(host.token)) faults.push('request: the token is in a URL');
  });
  page.blameless = () => assert.deepEqual(faults, []);
  await page.goto(host.url);
  return page;
}

export async function signIn(page, token) {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/// A tab that shows what follows `#` for the owner of this token.
export async function openSignedIn(browser, host, hash = '/', { token = host.token, ...options } = {}) {
  const page = await openPage(browser, host, options);
  await page.evaluate(hash => { location.hash = hash; }, hash);
  await signIn(page, token);
  await page.locator('.headline').waitFor({ state: 'attached' });
  return page;
}

/// Refreshes now: the page does so when its tab is shown again.
export const refresh = page => page.evaluate(() => { document.dispatchEvent(new Event('visibilitychange')); });

/// The text of each cell of a table's body, row by row.
export const cellsOf = table => table.evaluate(element =>
  [...element.querySelectorAll('tbody tr, tfoot tr')].map(row => [...row.children].map(cell => cell.innerText.trim())));
