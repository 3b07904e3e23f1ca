// Signing in, which view is shown, and when it is refreshed.

import { forgetToken, get, keepToken, storedToken } from './api.js';
import { AgentView } from './agent.js';
import { h, setShown, setText } from './dom.js';
import { FleetView } from './fleet.js';
import { clock, plain } from './format.js';

const kRefreshMs = 5000;

const main = document.getElementById('main');
const nav = document.getElementById('nav');
const notice = document.getElementById('notice');
const signOutButton = document.getElementById('sign-out');
const updated = document.getElementById('updated');

let caller; // what /agents said of the token; undefined: signed out
let view;
let timer;
let answeredAt;

/// What is not as it should be with what is shown; empty: nothing.
function say(text) {
  setShown(notice, text !== '');
  setText(notice, text);
  main.classList.toggle('stale', text !== '');
}

// ---- Signing in and out ----

function showSignIn(words = '') {
  leaveView();
  caller = undefined;
  setShown(nav, false);
  setShown(signOutButton, false);
  setText(updated, '');
  say('');
  document.title = 'Sign in · fleetledger';
  const token = h('input', { id: 'token', type: 'password', autocomplete: 'off', spellcheck: 'false', required: '', 'aria-describedby': 'token-help' });
  const error = h('p', { class: 'error', role: 'alert' }, words);
  const button = h('button', { type: 'submit' }, 'Sign in');
  const submit = async event => {
    event.preventDefault();
    button.disabled = true;
    const words = await signIn(token.value.trim());
    button.disabled = false;
    setText(error, words ?? '');
    if (words) token.select();
  };
  main.replaceChildren(h('form', { class: 'sign-in', method: 'post', on: { submit } },
    h('h1', {}, 'Sign in'),
    h('label', { for: 'token' }, 'Token'), token, error, button,
    h('p', { id: 'token-help', class: 'quiet' }, 'The operator’s token opens the whole host; it is in the file that the collector’s log ' +
      'names (operator.token). An agent’s token, authToken in its config, opens that agent. It stays in this tab.')));
  token.focus();
}

/// Undefined if it went well, otherwise what to tell.
async function signIn(token) {
  // What no header can hold cannot be a token.
  if (!/^[\x21-\x7e]+$/.test(token)) return 'That does not look like a token.';
  try {
    caller = await get('agents', token);
  } catch (error) {
    return error.refused ? 'That token is not known here. Perhaps it was changed, or a part is missing.'
      : error.status === 0 ? 'The collector does not answer. Is it running?' : `The collector answered: ${error.message}.`;
  }
  keepToken(token);
  showView();
  return undefined;
}

function signOut() {
  forgetToken();
  location.hash = '';
  showSignIn();
}

// ---- Views ----

function leaveView() {
  clearTimeout(timer);
  view?.leave();
  view = undefined;
}

function viewOfHash() {
  const [, id] = /^#\/agents\/([\w.-]+)$/.exec(location.hash) ?? [];  // an id, or a name that only one has
  if (caller.caller === 'agent') return new AgentView(caller.agents[0].id);
  return id === undefined ? new FleetView() : new AgentView(id);
}

function showView() {
  leaveView();
  setShown(signOutButton, true);
  setShown(nav, caller.caller === 'operator');
  say('');
  view = viewOfHash();
  view.onChoice = refresh;
  main.replaceChildren(view.element);
  return refresh();
}

async function refresh() {
  clearTimeout(timer);
  const shown = view;
  if (shown === undefined || document.hidden) return;
  main.setAttribute('aria-busy', 'true');
  try {
    await shown.refresh();
    if (shown !== view) return;
    answeredAt = Date.now();
    setText(updated, `updated ${clock(answeredAt)}`);
    document.title = `${plain(shown.title)} · fleetledger`;
    say(shown.staleness);
  } catch (error) {
    if (shown === view) onFailure(error);
  } finally {
    if (shown === view) {
      main.removeAttribute('aria-busy');
      timer = setTimeout(refresh, kRefreshMs);
    }
  }
}

function onFailure(error) {
  if (error.refused) {
    forgetToken();
    showSignIn('The token does not count any more. Please sign in again.');
  } else if (error.status === 404) {
    say('There is no such agent (any more).');
  } else if (error.status !== undefined) {
    const since = answeredAt === undefined ? '' : ` since ${clock(answeredAt)}; what is shown is from then`;
    say(error.status === 0 ? `No answer from the collector${since}.` : `The collector answered: ${error.message}.`);
  } else {
    say('What the collector answered cannot be shown. If it was updated, reload this page.');
    throw error;
  }
}

signOutButton.addEventListener('click', signOut);
addEventListener('hashchange', async () => {
  if (caller === undefined) return;
  await showView();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
document.addEventListener('visibilitychange', refresh);

if (storedToken()) {
  const words = await signIn(storedToken());
  if (words) showSignIn(words);
} else {
  showSignIn();
}
