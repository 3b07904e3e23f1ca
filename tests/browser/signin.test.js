import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, openPage, openSignedIn, refresh, signIn } from './support/browser.js';
import { Host } from './support/host.js';

const kLuna = 'luna-token-0123456789';
const kSol = 'sol-token-0123456789';
let host;
let browser;

before(async () => {
  host = new Host();
  host.addAgent('luna', { developmentAgent: true, authToken: kLuna });
  host.addAgent('sol', { developmentAgent: true, authToken: kSol });
  await host.serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await host.close();
});

test('a wrong token is refused in friendly words, the right one opens the host', async () => {
  const page = await openPage(browser, host);
  for (const [token, words] of [['wrong-token-0123456789', /not known here/], ['two words', /does not look like a token/],
    ['ключ', /does not look like a token/]]) {
    await signIn(page, token);
    await page.getByRole('alert').filter({ hasText: words }).waitFor();
  }
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await signIn(page, host.token);
  await page.getByRole('heading', { name: 'This host' }).waitFor();
  await page.getByRole('link', { name: 'luna' }).waitFor();
  await page.getByRole('link', { name: 'sol' }).waitFor();
  page.blameless();
});

test('the token stays in the tab: not in the address, not in other storage, not in the next tab, not in the log', async () => {
  const page = await openSignedIn(browser, host);
  const kept = await page.evaluate(() => ({
    href: location.href, local: localStorage.length, cookies: document.cookie, html: document.documentElement.outerHTML,
    session: Object.values(sessionStorage),
  }));
  assert.deepEqual(kept.session, [host.token]);
  assert.equal(kept.local, 0);
  assert.equal(kept.cookies, '');
  assert(!kept.href.includes(host.token));
  assert(!kept.html.includes(host.token));
  await page.reload();
  await page.getByRole('heading', { name: 'This host' }).waitFor();

  const other = await page.context().newPage();
  await other.goto(host.url);
  await other.getByLabel('Token').waitFor();
  assert(!host.log().includes(host.token));
  page.blameless();
});

test('who signs out is signed out, also after the page is loaded again', async () => {
  const page = await openSignedIn(browser, host);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Token').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.equal(await page.getByText('luna').count(), 0);
  await page.reload();
  await page.getByLabel('Token').waitFor();
  assert(await page.evaluate(() => document.activeElement.id === 'token'));
  page.blameless();
});

test('an agent’s token opens that agent and no other', async () => {
  const sol = await host.idOf('sol');
  const page = await openSignedIn(browser, host, `/agents/${sol}`, { token: kLuna });
  await page.getByRole('heading', { name: 'luna' }).waitFor();
  assert.equal(await page.getByText('sol', { exact: true }).count(), 0);
  assert.equal(await page.getByRole('link', { name: 'All agents' }).count(), 0);
  await page.evaluate(() => { location.hash = '#/'; });
  await refresh(page);
  await page.getByRole('heading', { name: 'luna' }).waitFor();
  page.blameless();
});

test('a token that stops counting leads back to the sign-in, which says so', async () => {
  const page = await openSignedIn(browser, host, '/', { token: kSol });
  await page.getByRole('heading', { name: 'sol' }).waitFor();
  await page.evaluate(() => sessionStorage.setItem('fleetledger.token', 'another-token-0123456789'));
  await refresh(page);
  await page.getByRole('alert').filter({ hasText: 'does not count any more' }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  page.blameless();
});
