// Numbers and times as people read them. What is unknown is a dash, never 0.

const kUnknown = '–';

export const percent = value => (value === null || value === undefined ? kUnknown : `${value.toFixed(1)} %`);

/// One busy core is 100 %.
export function cores(cpuPercent) {
  const value = cpuPercent / 100;
  if (value > 0 && value < 0.005) return 'less than 0.01 cores';
  const text = value < 0.995 ? value.toFixed(2).replace(/0$/, '') : value.toFixed(1);
  return `${text.replace(/\.0*$/, '')} ${text === '1.0' ? 'core' : 'cores'}`;
}

/// As short as it can be: for axes.
export const shortPercent = value => `${Number(value.toFixed(2))} %`;
export const shortBytes = value => bytes(value).replace('.0 ', ' ');

const kUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value) {
  if (value === null || value === undefined) return kUnknown;
  let unit = 0;
  while (value >= 1023.95 && unit < kUnits.length - 1) {
    value /= 1024;
    ++unit;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${kUnits[unit]}`;
}

export const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

const two = number => String(number).padStart(2, '0');
const kMonths = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/// "12:03", with the day before it unless that is today's; local time.
export function time(ms, today = Date.now()) {
  const date = new Date(ms);
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
  const sameDay = date.toDateString() === new Date(today).toDateString();
  return sameDay ? clock : `${date.getDate()} ${kMonths[date.getMonth()]} ${clock}`;
}

export const clock = ms => `${time(ms, ms)}:${two(new Date(ms).getSeconds())}`;

/// "40 seconds", "5 minutes", "3 hours", "2 days".
export function duration(ms) {
  const units = [[86400000, 'day'], [3600000, 'hour'], [60000, 'minute'], [1000, 'second']];
  const [length, name] = units.find(([size]) => ms >= 2 * size) ?? units[ms >= 60000 ? 2 : 3];
  return count(Math.round(ms / length), name);
}

/// For places that take no markup (titles, labels): without the marks that turn the direction of what follows.
export const plain = text => text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '');
