// What the states and the sources of an agent are called, and what to do about them.

import { foreign, h } from './dom.js';
import { plain } from './format.js';

const kStateWords = {
  sampling: 'sampling',
  idle: 'idle',
  off: 'not turned on yet',
  disabled: 'turned off',
  yielding: 'yielding',
  unreadable: 'config unreadable',
  unavailable: 'ledger unavailable',
  gone: 'gone',
};

export const isMeasured = state => state === 'sampling' || state === 'idle' || state === 'unreadable';

export const badge = state => h('span', { class: 'state', 'data-state': state }, kStateWords[state] ?? state);

export function updateBadge(element, state) {
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  element.textContent = kStateWords[state] ?? state;
}

const kOrphansText = 'what outlived its session or server';

/// A source's name for people; `names` maps sources to the names of their sessions.
export function sourceText(source, names) {
  if (source === 'agent-server') return 'Server';
  if (source === 'orphans') return 'Orphans';
  if (source === 'aggregate') return 'Everything together';
  return plain(names.get(source) || source.replace(/^session:/, ''));
}

export function sourceNodes(source, names) {
  if (source === 'orphans') return ['Orphans', h('small', {}, kOrphansText)];
  if (source === 'agent-server' || source === 'aggregate') return [sourceText(source, names)];
  const id = source.replace(/^session:/, '');
  const name = names.get(source);
  return name && name !== id ? [foreign(name), h('small', {}, foreign(id))] : [foreign(id)];
}

const code = text => h('code', {}, foreign(text));

/// Why there is nothing to see of an agent, and what would change it: elements; none if all is well.
export function stateAdvice(agent) {
  const config = code(`${agent.path}/.instar/config.json`);
  switch (agent.state) {
    case 'off':
      return [
        h('p', { class: 'lead' }, 'Resource tracking is not turned on for this agent yet.'),
        h('p', {}, 'Why: ', foreign(agent.reason), '. To turn it on, write in ', config, ':'),
        h('pre', {}, '"monitoring": {"resourceLedger": {"enabled": true}}'),
        h('p', {}, 'That counts from the next tick on; nothing has to be restarted.'),
      ];
    case 'disabled':
      return agent.reason === 'disabled by override' ? [
        h('p', { class: 'lead' }, 'Resource tracking is not turned on for this agent: fleetledger was told to leave it alone.'),
        h('p', {}, 'To turn it on, take ', h('code', {}, 'enabled: false'), ' for it out of ',
          h('code', {}, 'discovery.overrides'), ' in fleetledger’s own configuration, and send the collector SIGHUP.'),
      ] : [
        h('p', { class: 'lead' }, 'Resource tracking is not turned on for this agent: its own config says so.'),
        h('p', {}, 'Why: ', foreign(agent.reason), '. To turn it on, change it in ', config, ' to:'),
        h('pre', {}, '"monitoring": {"resourceLedger": {"enabled": true}}'),
        h('p', {}, 'That counts from the next tick on; nothing has to be restarted.'),
      ];
    case 'yielding':
      return [h('p', { class: 'lead' }, 'The agent meters itself at the moment; what follows are its own rows.'),
        h('p', {}, foreign(agent.reason))];
    case 'unreadable':
      return [h('p', { class: 'lead' }, 'The agent’s config cannot be read; the last good one stays in force.'),
        h('p', {}, foreign(agent.reason))];
    case 'unavailable':
      return [h('p', { class: 'lead' }, 'The agent’s ledger cannot be opened, so there is nothing to show.'),
        h('p', {}, foreign(agent.reason))];
    default:
      return [];
  }
}
