// The whole host: its agents, the heaviest first, and where the rest of its CPU time went.

import { get } from './api.js';
import { foreign, h, setChildren, setShown, setText, syncRows } from './dom.js';
import { bytes, clock, cores, count, duration, percent, plain } from './format.js';
import { averageCpu } from './trend.js';
import { badge, updateBadge } from './words.js';

const kWindowHours = 1;
/// A look may be late by this much before it counts as missing.
const kSlackMs = 10000;

const kColumns = ['Agent', 'CPU now', 'Average, 1 h', 'Highest, 1 h', 'Memory', 'Processes'];

const cell = label => h('td', { 'data-label': label, role: 'cell' });

export class FleetView {
  constructor() {
    this.staleness = ''; // what is wrong with what is shown; empty: nothing
    this.title = 'All agents';
    this.headline = h('p', { class: 'headline' });
    this.details = h('p', { class: 'quiet' });
    this.agents = h('tbody', { role: 'rowgroup' });
    this.rest = h('tbody', { role: 'rowgroup', class: 'rest' });
    this.total = h('tfoot', { role: 'rowgroup' });
    this.orphans = h('p', { class: 'quiet', hidden: '' });
    this.element = h('div', {},
      h('h1', {}, 'This host'), this.headline, this.details,
      h('table', { class: 'amounts fleet', role: 'table', 'aria-label': 'Agents, the heaviest first, and the rest of the host' },
        h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' },
          ...kColumns.map(text => h('th', { scope: 'col', role: 'columnheader' }, text)))),
        this.agents, this.rest, this.total),
      this.orphans,
      h('p', { class: 'quiet' }, 'CPU in percent of one core: one busy core is 100 %. The rows of “CPU now” add up to ' +
        'the host’s. Memory is summed over processes; pages that several share count several times.'));
  }

  async refresh() {
    const [fleet, list] = await Promise.all([get(`fleet/summary?sinceHours=${kWindowHours}`), get('agents')]);
    this.show(fleet, list.agents);
  }

  leave() {}

  show(fleet, list) {
    this.showHeadline(fleet);
    this.showStaleness(fleet, list);
    const busiest = Math.max(1e-9, ...fleet.agents.map(agent => agent.now?.cpuPercent ?? 0));
    syncRows(this.agents, fleet.agents, agent => agent.id, createAgent,
      (row, agent) => updateAgent(row, agent, busiest));
    const rest = restRows(fleet);
    syncRows(this.rest, rest.rows, row => row.key, createRest, updateRest);
    syncRows(this.total, [rest.total], row => row.key, createRest, updateRest);
    const { orphans } = fleet;
    setShown(this.orphans, orphans.processes > 0);
    setText(this.orphans, `Of this, ${count(orphans.processes, 'orphan process', 'orphan processes')} (${bytes(orphans.rssBytes)}` +
      `${orphans.cpuPercent === null ? '' : `, ${percent(orphans.cpuPercent)}`}): what outlived its session or its agent’s server.`);
  }

  showHeadline({ host, agents, everythingElse, intervalMs, ts }) {
    if (ts === 0) {
      setText(this.headline, 'Nothing measured yet: the first look at the host is under way.');
      setText(this.details, '');
      return;
    }
    const running = agents.filter(agent => agent.now?.processes > 0);
    const memory = bytes(running.reduce((sum, agent) => sum + agent.now.rssBytes, 0));
    const who = count(running.length, 'agent');
    const uses = running.length === 1 ? 'uses' : 'use';
    if (running.length === 0) {
      setText(this.headline, `No agent runs anything right now${host.cpuPercent === null ? '' :
        `; everything else uses ${cores(everythingElse.cpuPercent)} of ${host.cpus}`}.`);
    } else if (host.cpuPercent === null) {
      setText(this.headline, `${who} ${uses} ${memory}. How much CPU shows with the next look.`);
    } else {
      const used = running.reduce((sum, agent) => sum + agent.now.cpuPercent, 0);
      setText(this.headline, `${who} ${uses} ${cores(used).replace(/ cores?$/, '')} of ${count(host.cpus, 'core')} and ${memory}; ` +
        `everything else ${cores(everythingElse.cpuPercent)}.`);
    }
    setText(this.details, `${bytes(host.memoryAvailableBytes)} of ${bytes(host.memoryTotalBytes)} memory available · ` +
      `${count(host.processes, 'process', 'processes')} · looked at ${clock(ts)}` +
      `${intervalMs > 0 ? `, CPU measured over ${duration(intervalMs)}` : ''}`);
  }

  showStaleness({ ts, clock: now }, list) {
    const periods = list.filter(agent => agent.metered)
      .map(agent => (agent.state === 'sampling' ? agent.sampleIntervalMs : agent.idleSampleIntervalMs));
    const stale = ts > 0 && periods.length > 0 && now - ts > 2 * Math.min(...periods) + kSlackMs;
    this.staleness = stale ? `The last look at the host was at ${clock(ts)}; what is shown is from then.` : '';
  }
}

function createAgent(agent) {
  return h('tr', { role: 'row' },
    h('th', { scope: 'row', role: 'rowheader' },
      h('div', { class: 'who' }, h('a', { href: `#/agents/${agent.id}`, title: plain(agent.name) }, foreign(agent.name)), ' ',
        badge(agent.state)), h('small', {}), h('span', { class: 'bar', 'aria-hidden': 'true' }, h('span'))),
    ...kColumns.slice(1).map(cell));
}

function updateAgent(row, agent, busiest) {
  const [name, now, average, highest, memory, processes] = row.children;
  updateBadge(name.querySelector('.state'), agent.state);
  setChildren(name.querySelector('small'), ...agentRemarks(agent));
  const share = (agent.now?.cpuPercent ?? 0) / busiest;
  name.querySelector('.bar > span').style.width = `${Math.round(share * 1000) / 10}%`;
  row.classList.toggle('none', agent.now === null);
  setShown(name.querySelector('.bar'), agent.now !== null);
  setText(now, percent(agent.now?.cpuPercent));
  setText(average, percent(averageCpu(agent.window)));
  setText(highest, percent(agent.window?.peakCpuPercent));
  setText(memory, bytes(agent.now?.rssBytes));
  setText(processes, agent.now === null ? '–' : String(agent.now.processes));
}

function agentRemarks(agent) {
  const parts = [foreign(agent.reason)];
  if (agent.liveSessions > 0) parts.push(` · ${count(agent.liveSessions, 'session')}`);
  if (agent.orphans?.processes > 0) {
    parts.push(` · ${count(agent.orphans.processes, 'orphan process', 'orphan processes')}, ${bytes(agent.orphans.rssBytes)}`);
  }
  if (agent.ledgerError) parts.push(' · its ledger cannot be read: ', foreign(agent.ledgerError));
  return parts;
}

const tenths = value => Math.round(value * 10) / 10;

/// What is shown is rounded, so that the row of rounding takes up what the rounding of the others leaves.
function restRows({ host, agents, everythingElse, unattributed, collector }) {
  const measured = host.cpuPercent !== null;
  const shown = [...agents.map(agent => agent.now?.cpuPercent ?? 0), everythingElse.cpuPercent ?? 0,
    unattributed.cpuPercent ?? 0, collector.cpuPercent ?? 0].reduce((sum, value) => sum + tenths(value), 0);
  const rounding = measured ? tenths(tenths(host.cpuPercent) - shown) : 0;
  const top = everythingElse.top.map(({ name, cpuPercent }) => [foreign(name), ` ${percent(cpuPercent)}`]);
  return {
    rows: [
      { key: 'else', name: 'Everything else', cpu: everythingElse.cpuPercent,
        text: top.length === 0 ? [] : ['most of it: ', ...top.flatMap((nodes, i) => (i === 0 ? nodes : [', ', ...nodes]))] },
      { key: 'unattributed', name: 'Unattributed', cpu: unattributed.cpuPercent,
        text: ['ended unseen in a session’s tmux, so nobody can say whose it was'] },
      { key: 'collector', name: 'The collector', cpu: collector.cpuPercent, memory: collector.rssBytes,
        text: ['fleetledger itself, with its ps and tmux'] },
      ...(rounding === 0 ? [] : [{ key: 'rounding', name: 'Rounding', cpu: rounding, text: ['of clocks and of what is shown'] }]),
    ],
    total: { key: 'host', name: 'The host', cpu: host.cpuPercent, processes: host.processes, text: ['everything together'] },
  };
}

function createRest({ name }) {
  return h('tr', { role: 'row' }, h('th', { scope: 'row', role: 'rowheader' }, name, ' ', h('small', {})),
    ...kColumns.slice(1).map(cell));
}

function updateRest(row, { cpu, memory, processes, text }) {
  const cells = row.children;
  setChildren(cells[0].querySelector('small'), ...text);
  setText(cells[1], percent(cpu));
  setText(cells[4], memory === undefined ? '' : bytes(memory));
  setText(cells[5], processes === undefined ? '' : String(processes));
}
