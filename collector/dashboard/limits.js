// An agent's rate limits: how many there were, the newest ones, and what ran before each.

import { get } from './api.js';
import { foreign, h, setChildren, setShown, setText, syncRows } from './dom.js';
import { count, time } from './format.js';
import { sourceText } from './words.js';

/// So many are listed until all are asked for.
const kListed = 10;
/// So many of what ran are shown, of those that used most.
const kShown = 10;

const kKinds = {
  'circuit-open': 'breaker opened', 'circuit-recover': 'breaker closed again', throttle: 'throttled', 529: 'server too busy',
  quota: 'quota used up', 'throttle-resuming': 'resuming', 'throttle-recovered': 'recovered',
  'recovery-reached': 'recovered', 'recovery-unreachable': 'not recovered',
};
const kindText = kind => (Object.hasOwn(kKinds, kind) ? kKinds[kind] : kind);

const kLimits = {
  account: 'It is the account’s quota: everybody who uses the account has a share in it.',
  server: 'It is a server that throttles, whoever asks; not the account’s quota.',
  unknown: 'Whether it is the account’s quota or a server that throttles is not known.',
};

export class LimitsView {
  /// `path` is that of the agent.
  constructor(path) {
    this.path = path;
    this.all = false;
    this.text = h('p', {});
    this.list = h('ol', { class: 'events' });
    this.more = h('button', { type: 'button', on: { click: () => { this.all = true; this.show(this.limits, this.last); } } });
    this.element = h('section', {}, h('h2', {}, 'Rate limits'), this.text, this.list, this.more);
  }

  /// `last` says which time the answer is about: "the last 24 hours".
  show(limits, last) {
    Object.assign(this, { limits, last });
    setText(this.text, summaryText(limits, last));
    const items = [...limits.events.map(event => ({ ...event, counts: true })), ...limits.recoveries]
      .sort((a, b) => b.ts - a.ts);
    const shown = this.all ? items : items.slice(0, kListed);
    syncRows(this.list, shown, item => `${item.counts ? 'event' : 'recovery'} ${item.id}`, item => this.create(item), () => {});
    setShown(this.more, shown.length < items.length);
    setText(this.more, `Show ${count(items.length - shown.length, 'older one')}`);
  }

  create(event) {
    const { id, ts, kind, sessionName, reason, detail, counts } = event;
    const words = h(counts ? 'strong' : 'span', {}, foreign(kindText(kind)));
    const item = h('li', { class: counts ? undefined : 'recovery' },
      h('time', { datetime: new Date(ts).toISOString() }, time(ts)), ' ', words,
      sessionName ? h('span', {}, ' · session ', foreign(sessionName)) : undefined,
      reason ? h('span', {}, ' · ', foreign(reason)) : undefined,
      detail ? h('span', { class: 'quiet' }, ' · ', foreign(detail)) : undefined);
    if (counts) {
      const context = h('div', { class: 'context', hidden: '' });
      const button = h('button', { type: 'button', class: 'ask', 'aria-expanded': 'false' }, 'What ran before');
      button.addEventListener('click', () => this.toggle(button, context, id));
      item.append(' ', button, context);
    }
    return item;
  }

  async toggle(button, context, id) {
    const opens = context.hidden;
    setShown(context, opens);
    button.setAttribute('aria-expanded', String(opens));
    if (!opens) return;
    if (context.childElementCount === 0) context.replaceChildren(h('p', { class: 'quiet' }, 'Being read …'));
    try {
      context.replaceChildren(...contextNodes(await get(`${this.path}/rate-limits/${encodeURIComponent(id)}/context`)));
    } catch (error) {
      if (error.status === undefined) throw error;
      context.replaceChildren(h('p', { class: 'quiet' }, error.status === 0 ? 'The collector does not answer.'
        : error.status === 404 ? 'This event is not in the ledger any more.' : `The collector answered: ${error.message}.`));
    }
  }
}

/// Throttlings and breaker openings, by what they are; closings say nothing of their own.
function summaryText({ byKind, events, summary }, last) {
  const of = (...kinds) => byKind.filter(({ kind }) => kinds.includes(kind)).reduce((sum, row) => sum + row.count, 0);
  if (summary.totalEvents === 0) return `None in ${last}.`;
  const parts = [
    [of('throttle', '529'), 'throttling'], [of('quota'), 'used-up quota'], [of('circuit-open'), 'opening of the breaker', 'openings of the breaker'],
  ].filter(([number]) => number > 0).map(([number, ...words]) => count(number, ...words));
  const known = of('throttle', '529', 'quota', 'circuit-open', 'circuit-recover');
  if (summary.totalEvents > known) parts.push(count(summary.totalEvents - known, 'event of another kind', 'events of other kinds'));
  const told = parts.length === 0 ? 'No limit was met' : parts.length === 1 ? parts[0] : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
  const listed = events.length < summary.totalEvents ? ` Only the newest ${events.length} events are known here.` : '';
  return `${told} in ${last}.${listed}`;
}

const seconds = value => (value === null ? 'unknown' : `${value.toFixed(1)} s`);

function contextNodes(context) {
  const { scope, allAgents, sources, event } = context;
  const whole = scope === 'host';
  const sessions = count(allAgents.liveSessions, 'session');
  const who = `${sessions} of ${count(allAgents.agents, 'agent')}`;
  const used = allAgents.cpuSeconds === null ? '' : ` They used ${seconds(allAgents.cpuSeconds)} of CPU time together.`;
  const nodes = [
    h('p', {}, allAgents.agents === 0 ? 'No agent of this host has rows of the five minutes before.'
      : `In the five minutes before, ${who} ran on this host.${used}`),
    h('p', { class: 'quiet' }, kLimits[event.limit]),
  ];
  if (sources.length > 0) nodes.push(sourcesTable(context, whole));
  const left = sources.length - kShown + context.sourcesLeftOut;
  if (left > 0) nodes.push(h('p', { class: 'quiet' }, `And ${left} more that used less.`));
  nodes.push(...otherNodes(context, whole));
  for (const { accountKey, agents } of context.sharedAccounts ?? []) {
    nodes.push(h('p', {}, 'The same account, ', foreign(accountKey), ': ', ...joined(agents.map(({ agentName }) => foreign(agentName)))));
  }
  for (const { agentName, reason } of context.notRead) {
    nodes.push(h('p', { class: 'quiet' }, 'Not read: ', foreign(agentName), ': ', foreign(reason)));
  }
  if (!whole && allAgents.notRead > 0) nodes.push(h('p', { class: 'quiet' }, `${count(allAgents.notRead, 'ledger')} of other agents could not be read.`));
  return nodes;
}

const joined = elements => elements.flatMap((element, i) => (i === 0 ? [element] : [', ', element]));

/// How much of the five minutes the rows are about, where that is not all of it.
const measured = ({ measuredMs }, { windowMs }) =>
  (measuredMs >= windowMs - 1000 ? '' : ` · seen for ${Math.round(measuredMs / 1000)} of ${windowMs / 1000} s`);

function sourcesTable(context, whole) {
  const shown = context.sources.slice(0, kShown);
  const most = Math.max(1e-9, ...shown.map(({ cpuSeconds }) => cpuSeconds ?? 0));
  return h('table', { class: 'ran', 'aria-label': 'What ran, what used most first' },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'What ran'), h('th', { scope: 'col' }, 'CPU time'))),
    h('tbody', {}, ...shown.map(source => {
      const names = new Map(source.sessionName ? [[source.source, source.sessionName]] : []);
      const fill = h('span');
      fill.style.width = `${Math.round(((source.cpuSeconds ?? 0) / most) * 1000) / 10}%`;
      return h('tr', {},
        h('th', { scope: 'row' }, foreign(sourceText(source.source, names)),
          h('small', {}, ...(whole ? [foreign(source.agentName)] : []), measured(source, context).slice(whole ? 0 : 3)),
          h('span', { class: 'bar', 'aria-hidden': 'true' }, fill)),
        h('td', {}, seconds(source.cpuSeconds)));
    })));
}

function otherNodes({ otherEvents, otherEventsLeftOut, allAgents }, whole) {
  const nodes = [];
  if (otherEvents.length > 0) {
    const shown = otherEvents.slice(0, kShown);
    const left = otherEvents.length - shown.length + otherEventsLeftOut;
    nodes.push(h('p', {}, 'Other events in these minutes:'), h('ul', { class: 'events' }, ...shown.map(event => h('li', {},
      h('time', { datetime: new Date(event.ts).toISOString() }, time(event.ts)), ' ',
      ...(whole ? [foreign(event.agentName), ': '] : []), foreign(kindText(event.kind)),
      event.sameAccount === true ? h('span', { class: 'quiet' }, ' · the same account') : undefined))));
    if (left > 0) nodes.push(h('p', { class: 'quiet' }, `And ${left} more.`));
  }
  const others = allAgents.otherEvents - otherEvents.length - otherEventsLeftOut;
  if (others > 0) nodes.push(h('p', {}, `${count(others, 'event')} of other agents in these minutes.`));
  return nodes;
}
