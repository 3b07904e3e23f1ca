import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';

const kFolder = new URL('../../collector/dashboard/', import.meta.url);
const sources = readdirSync(kFolder).filter(name => /\.(js|html|svg|css)$/.test(name))
  .map(name => ({ name, text: readFileSync(new URL(name, kFolder), 'utf8') }));

test('no source of the page makes markup or code of text, or keeps anything beyond the tab', () => {
  assert(sources.length > 8);
  const forbidden = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|\beval\b|new Function|localStorage|document\.cookie|indexedDB|javascript:/;
  for (const { name, text } of sources) assert.doesNotMatch(text, forbidden, name);
});

test('the page has no script, style or handler inline, and names no other host', () => {
  const page = sources.find(({ name }) => name === 'index.html').text;
  assert.doesNotMatch(page, /<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)/);
  for (const { name, text } of sources) assert.doesNotMatch(text.replace('xmlns="http://www.w3.org/2000/svg"', ''), /https?:/, name);
});
