// One agent: what it uses right now, its processes one by one, its trends, its rate limits.

import { get, getLedger } from './api.js';
import { Chart } from './chart.js';
import { foreign, h, setChildren, setShown, setText, syncRows } from './dom.js';
import { bytes, cores, count, duration, percent, shortBytes, shortPercent, time } from './format.js';
import { LimitsView } from './limits.js';
import { averageCpu, kCpu, kMemory, kRanges, series } from './trend.js';
import { badge, isMeasured, sourceNodes, sourceText, stateAdvice, updateBadge } from './words.js';

const kAggregate = 'aggregate';
/// The end of the trends moves on though no row may come.
const kReadAgainMs = 60000;
const kEver = 1e6; // hours
/// A row may be late by this much before it counts as missing.
const kSlackMs = 10000;

/// Rate limits are rare: those of a day are shown, whatever shorter time is.
const limitRange = range => kRanges.find(({ hours }) => hours >= Math.max(range.hours, 24));

const kColumns = ['', 'CPU now', 'Average', 'Highest', 'Memory now', 'Average', 'Highest', 'Processes'];
/// Each for itself, where a row is shown as a card.
const kCardLabels = ['', 'CPU now', 'on average', 'at most', 'Memory now', 'on average', 'at most', 'Processes'];

export class AgentView {
  constructor(id) {
    this.path = `agents/${id}`;
    this.staleness = ''; // what is wrong with what is shown; empty: nothing
    this.range = kRanges[0];
    this.source = kAggregate;
    this.build();
  }

  build() {
    this.name = h('h1', {});
    this.state = badge('');
    this.reason = h('p', { class: 'quiet' });
    this.headline = h('p', { class: 'headline' });
    this.advice = h('div', { class: 'advice', hidden: '' });
    this.remarks = h('ul', { class: 'remarks', hidden: '' });
    this.ranges = h('div', { class: 'ranges', role: 'group', 'aria-label': 'Time shown' }, ...kRanges.map(range =>
      h('button', { type: 'button', 'aria-pressed': String(range === this.range), on: { click: () => this.choose({ range }) } },
        range.name)));
    this.rows = h('tbody', { role: 'rowgroup' });
    this.total = h('tfoot', { role: 'rowgroup' });
    this.select = h('select', { id: 'source', on: { change: () => this.choose({ source: this.select.value }) } });
    const both = action => (...values) => [this.cpu, this.memory].forEach(chart => chart[action](...values));
    const shared = { onZoom: both('zoom'), onSelect: both('select') };
    this.cpu = new Chart({ title: 'CPU', format: percent, axisFormat: shortPercent, ...shared });
    this.memory = new Chart({ title: 'Memory', format: bytes, axisFormat: shortBytes, binary: true, ...shared });
    this.limits = new LimitsView(this.path);
    this.noData = h('p', { class: 'quiet', hidden: '' });
    this.figures = h('div', { hidden: '' }, this.ranges, this.noData,
      this.amounts = h('section', {},
        h('h2', {}, 'Server and sessions'),
        h('table', { class: 'amounts processes', role: 'table', 'aria-label': 'What the server and each session use' },
          h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' },
            ...kColumns.map(text => h('th', { scope: 'col', role: 'columnheader', }, text || h('span', { class: 'unseen' }, 'Server or session'))))),
          this.rows, this.total),
        h('p', { class: 'quiet' }, 'CPU in percent of one core. Memory is summed over a session’s processes; pages that several share count several times.')),
      this.trends = h('section', {},
        h('div', { class: 'above' }, h('h2', {}, 'Trend'), h('label', { for: 'source' }, 'of ', this.select)),
        h('div', { class: 'trends' }, this.cpu.element, this.memory.element),
        h('p', { class: 'quiet' }, 'The line is the average, the band reaches from the least to the highest; where nothing ' +
          'was measured there is a gap. Drag to zoom; with the keyboard, arrows read point by point. Dashed: rate limits.')),
      this.limits.element);
    this.element = h('div', { class: 'agent' },
      h('div', { class: 'title' }, this.name, this.state), this.reason, this.headline, this.advice, this.figures, this.remarks);
  }

  leave() {
    this.left = true;
    this.cpu.destroy();
    this.memory.destroy();
  }

  choose(choice) {
    Object.assign(this, choice);
    [...this.ranges.children].forEach((button, i) => button.setAttribute('aria-pressed', String(kRanges[i] === this.range)));
    this.cpu.zoom(null);
    this.memory.zoom(null);
    this.read = undefined;
    return this.onChoice?.();
  }

  async refresh() {
    const agent = await get(this.path);
    this.showAgent(agent);
    const { range, source } = this;
    const read = this.read;
    if (read && read.newestTs === agent.newestTs && read.state === agent.state && agent.clock - read.clock < kReadAgainMs) {
      return;
    }
    const since = `sinceHours=${range.hours}`;
    const [summary, trend, limits] = await Promise.all([
      getLedger(`${this.path}/resources/summary?${since}`),
      getLedger(`${this.path}/resources/trend?${since}&buckets=${range.buckets}&source=${encodeURIComponent(source)}`),
      getLedger(`${this.path}/resources/rate-limits?sinceHours=${limitRange(range).hours}`),
    ]);
    if (this.left || range !== this.range || source !== this.source) return; // something else is being read
    this.read = agent;
    setShown(this.figures, summary !== undefined && trend !== undefined && limits !== undefined);
    this.staleness = '';
    if (this.figures.hidden) return;
    const any = summary.sampleCount > 0 || agent.sources.length > 0;
    setShown(this.amounts, any);
    setShown(this.trends, any);
    this.showProcesses(agent, summary);
    this.showTrend(agent, summary, trend, limits);
    this.limits.show(limits, limitRange(range).last);
    await this.showStaleness(agent, summary);
  }

  showAgent(agent) {
    this.title = agent.name;
    this.names = new Map([...agent.sessions.map(({ id, name }) => [`session:${id}`, name]),
      ...agent.sources.filter(({ sessionName }) => sessionName).map(({ source, sessionName }) => [source, sessionName])]);
    setChildren(this.name, foreign(agent.name));
    updateBadge(this.state, agent.state);
    const advice = stateAdvice(agent);
    setShown(this.advice, advice.length > 0);
    setChildren(this.advice, ...advice);
    setChildren(this.reason, ...(advice.length === 0 ? [foreign(agent.reason), ' · '] : []), foreign(agent.path));
    setShown(this.headline, isMeasured(agent.state));
    setText(this.headline, headline(agent));
    const remarks = [...agent.remarks];
    if (!agent.token.usable) remarks.push(`only the operator can read this: ${agent.token.reason}`);
    if (agent.ledger?.error) {
      remarks.push(`its ledger cannot be written${agent.ledger.failingSince === null ? '' : ` since ${time(agent.ledger.failingSince)}`}: ${agent.ledger.error}`);
    }
    setShown(this.remarks, remarks.length > 0);
    setChildren(this.remarks, ...remarks.map(text => h('li', {}, foreign(text))));
  }

  showProcesses(agent, summary) {
    const live = new Map(agent.sources.map(source => [source.source, source]));
    const past = new Map(summary.sources.map(source => [source.source, source]));
    const order = source => (source === 'agent-server' ? 0 : source === 'orphans' ? 3 : live.has(source) ? 1 : 2);
    const names = [...new Set([...live.keys(), ...past.keys()])].filter(source => source !== kAggregate)
      .sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1));
    const items = names.map(source => ({ source, now: live.get(source), past: past.get(source) }));
    syncRows(this.rows, items, item => item.source, createProcess, (row, item) => updateProcess(row, item, this.names));
    syncRows(this.total, [{ source: kAggregate, now: agent.now ?? undefined, past: past.get(kAggregate) }],
      item => item.source, createProcess, (row, item) => updateProcess(row, item, this.names));
    const sources = [kAggregate, ...names];
    if (!sources.includes(this.source)) sources.push(this.source);
    syncRows(this.select, sources.map(source => ({ source })), item => item.source,
      item => h('option', { value: item.source }), (option, item) => setText(option, sourceText(item.source, this.names)));
    this.select.value = this.source;
    setShown(this.noData, past.size === 0 && (summary.sampleCount > 0 || isMeasured(agent.state)));
    setText(this.noData, summary.sampleCount > 0 ? `No rows in ${this.range.last}; there are older ones.`
      : 'No rows yet: the first comes with the agent’s next period.');
  }

  showTrend(agent, summary, trend, limits) {
    const points = trend.sources[0]?.points ?? [];
    const longest = Math.max(agent.sampleIntervalMs, agent.idleSampleIntervalMs);
    const window = [trend.sinceMs, trend.untilMs];
    const events = limits.events.filter(({ ts }) => ts >= trend.sinceMs);
    this.cpu.draw(series(trend, points, kCpu, longest), window, events);
    this.memory.draw(series(trend, points, kMemory, longest), window, events);
  }

  async showStaleness({ state, clock: now, newestTs, now: amounts, ...agent }, summary) {
    let newest = Math.max(newestTs ?? 0, ...summary.sources.map(source => source.newestTs));
    if (newest === 0 && summary.sampleCount > 0) { // older than the time that is shown
      const last = await getLedger(`${this.path}/resources/samples?sinceHours=${kEver}&limit=1`);
      newest = last?.samples[0]?.ts ?? 0;
    }
    const period = state === 'sampling' ? agent.sampleIntervalMs : agent.idleSampleIntervalMs;
    const stale = isMeasured(state) && newest > 0 && amounts?.processes > 0 && now - newest > 2 * period + kSlackMs;
    this.staleness = stale ? `The newest row is from ${time(newest)}, though one is due every ${duration(period)}.` : '';
  }
}

function headline({ now, ts, sources, orphans }) {
  if (now === null) return ts === 0 ? 'Nothing measured yet: the first look at the host is under way.' : 'Nothing measured yet.';
  if (now.processes === 0) return 'Right now none of its processes runs.';
  const sessions = sources.filter(({ source }) => source.startsWith('session:')).length;
  const parts = [count(now.processes, 'process', 'processes')];
  if (sessions > 0) parts.push(count(sessions, 'session'));
  if (orphans.processes > 0) parts.push(count(orphans.processes, 'orphan'));
  const cpu = now.cpuPercent === null ? '' : `${cores(now.cpuPercent)} and `;
  return `Right now it uses ${cpu}${bytes(now.rssBytes)}: ${parts.join(', ')}.`;
}

function createProcess() {
  return h('tr', { role: 'row' }, h('th', { scope: 'row', role: 'rowheader' }),
    ...kCardLabels.slice(1).map(label => h('td', { 'data-label': label, role: 'cell' })));
}

function updateProcess(row, { source, now, past }, names) {
  const cells = row.children;
  setChildren(cells[0], ...sourceNodes(source, names));
  row.classList.toggle('none', now === undefined);
  const texts = [now ? percent(now.cpuPercent) : source === kAggregate ? '–' : 'ended', percent(averageCpu(past)),
    percent(past?.peakCpuPercent), bytes(now?.rssBytes), bytes(past?.avgRssBytes), bytes(past?.peakRssBytes),
    now ? String(now.processes) : '–'];
  texts.forEach((text, i) => setText(cells[i + 1], text));
}
