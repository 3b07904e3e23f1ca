// A user's home of the test's own, and the real collector on it.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const kProgram = process.env.FLEETLEDGER_PROGRAM;
const kHangs = 60000; // ms: nothing but a hang takes so long

/// Looks until the condition holds.
export async function until(condition, what) {
  const end = Date.now() + kHangs;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > end) throw new Error(`waited in vain: ${what ?? condition}`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

export class Host {
  constructor() {
    if (!kProgram) throw new Error('FLEETLEDGER_PROGRAM names the program to test');
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), 'fleetledger-browser-')));
    this.home = join(this.folder, 'home');
    mkdirSync(join(this.home, '.instar'), { recursive: true });
    mkdirSync(join(this.folder, 'tmux'), { mode: 0o700 });
    this.environment = {
      PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C.UTF-8', HOME: join(this.folder, 'nobody'), TMUX_TMPDIR: join(this.folder, 'tmux'),
    };
    this.children = [];
    this.leftBehind = [];
    this.agents = [];
    this.yaml = 'http: {listen: ["127.0.0.1:0"]}\n';
  }

  start(command, ...options) {
    const child = spawn(command[0], command.slice(1), { env: this.environment, stdio: 'ignore', ...options[0] });
    this.children.push(child);
    return child;
  }

  /// An agent that is registered, with a sleeping process as its server; its path.
  addAgent(name, config = { developmentAgent: true }, folder = name) {
    const path = join(this.home, '.instar/agents', folder);
    mkdirSync(join(path, '.instar/state/sessions'), { recursive: true });
    writeFileSync(join(path, '.instar/config.json'), JSON.stringify(config));
    this.agents.push({ name, path, pid: this.start(['/bin/sleep', '10000']).pid });
    const now = new Date().toISOString();
    writeFileSync(join(this.home, '.instar/registry.json'), JSON.stringify({
      version: 1,
      entries: this.agents.map(agent => ({
        ...agent, type: 'standalone', port: 4040, status: 'running', createdAt: now, lastHeartbeat: now,
      })),
    }));
    return path;
  }

  /// A session in a tmux of this host.
  addSession(path, id, name, command = 'sleep 10000') {
    execFileSync('/usr/bin/tmux', ['-u', '-f', '/dev/null', 'new-session', '-d', '-s', id, command], { env: this.environment });
    this.tmux = true;
    this.writeSession(path, id, name, 'running');
  }

  writeSession(path, id, name, status) {
    writeFileSync(join(path, `.instar/state/sessions/${id}.json`), JSON.stringify({
      id, name, status, tmuxSession: id, startedAt: new Date().toISOString(),
    }));
  }

  /// A session that has ended, with a process that has not: seen by the collector, which serves already.
  async addOrphan(path, agentId) {
    const file = join(this.folder, 'orphan');
    this.addSession(path, 'gone', 'gone', `setsid sh -c 'echo $$ > ${file}; exec sleep 10000' & exec sleep 10000`);
    const seen = async () => (await this.get(`agents/${agentId}`)).sources.find(source => source.source === 'session:gone');
    await until(async () => (await seen())?.processes === 2, 'the session is seen with both processes');
    const told = () => existsSync(file) && Number(readFileSync(file, 'utf8'));
    this.leftBehind.push(await until(told, 'the orphan has said its pid'));
    execFileSync('/usr/bin/tmux', ['kill-session', '-t', 'gone'], { env: this.environment });
    this.writeSession(path, 'gone', 'gone', 'completed');
    await until(async () => (await this.get(`agents/${agentId}`)).orphans?.processes === 1, 'the orphan is seen');
  }

  async idOf(name) {
    // It serves before it has read which agents there are.
    const found = async () => (await this.get('agents')).agents.find(agent => agent.name === name)?.id;
    return until(found, `agent ${name} is listed`);
  }

  /// A ledger as the collector writes it; `sql` fills it.
  writeLedger(path, sql) {
    const folder = join(path, '.instar/server-data');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    execFileSync('sqlite3', [join(folder, 'resource-ledger.db')], {
      input: `CREATE TABLE IF NOT EXISTS resource_samples (ts INTEGER NOT NULL, source TEXT NOT NULL, pid INTEGER,
          cpu_percent REAL NOT NULL DEFAULT 0, rss_bytes INTEGER NOT NULL DEFAULT 0, heap_used_bytes INTEGER,
          fl_cpu_us INTEGER, fl_interval_us INTEGER, fl_processes INTEGER);
        CREATE TABLE IF NOT EXISTS rate_limit_events (id TEXT PRIMARY KEY, ts INTEGER NOT NULL, kind TEXT NOT NULL,
          source TEXT NOT NULL, account_key TEXT NOT NULL DEFAULT 'default', session_name TEXT, reason TEXT, detail TEXT);
        CREATE INDEX IF NOT EXISTS idx_rs_source_ts ON resource_samples (source, ts);
        BEGIN; ${sql}; COMMIT;`,
    });
  }

  /// Starts the collector, or starts it again at the address that it had; resolves when it serves.
  async serve() {
    const log = join(this.folder, `log-${this.children.length}`);
    writeFileSync(join(this.folder, 'fleetledger.yaml'), this.address
      ? this.yaml.replace('127.0.0.1:0', this.address) : this.yaml, { mode: 0o600 });
    const output = openSync(log, 'a');
    this.collector = this.start([kProgram, 'run', '--home', this.home, '--config', join(this.folder, 'fleetledger.yaml')],
      { stdio: ['ignore', output, output] });
    const said = key => new RegExp(` ${key}=(\\S+)`).exec(readFileSync(log, 'utf8'))?.[1];
    await until(() => {
      if (this.collector.exitCode !== null) throw new Error(readFileSync(log, 'utf8'));
      return said('address');
    }, 'the collector serves');
    this.address = said('address');
    this.url = `http://${this.address}/`;
    this.token = readFileSync(said('file'), 'utf8').trim();
    this.log = () => readFileSync(log, 'utf8');
    return this;
  }

  async get(path, token = this.token) {
    const response = await fetch(this.url + path, { headers: { Authorization: `Bearer ${token}` } });
    return response.json();
  }

  async stop() {
    await end(this.collector);
  }

  async close() {
    if (this.tmux) execFileSync('/usr/bin/tmux', ['kill-server'], { env: this.environment });
    this.leftBehind.forEach(pid => process.kill(pid));
    await Promise.all(this.children.map(end));
    rmSync(this.folder, { recursive: true });
  }
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
