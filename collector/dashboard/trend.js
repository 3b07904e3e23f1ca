// From the answer of /resources/trend to what is drawn: pure functions.

/// Hours, names, and points asked for: a bounded number, however many rows there are.
export const kRanges = [
  { hours: 1, name: '1 hour', last: 'the last hour', buckets: 120 },
  { hours: 24, name: '24 hours', last: 'the last 24 hours', buckets: 288 },
  { hours: 168, name: '7 days', last: 'the last 7 days', buckets: 336 },
];

/// What a point says of each, and how much it counts for beside others.
export const kCpu = {
  min: 'minCpuPercent', avg: averageCpu, peak: 'peakCpuPercent',
  weight: point => Math.max(point.intervalMs + point.estimatedIntervalMs, 1),
};
export const kMemory = { min: 'minRssBytes', avg: point => point.avgRssBytes, peak: 'peakRssBytes', weight: point => point.rows };

/// Over the time that the rows stand for. Some stand for none that is known (another sampler's, alone): then each counts
/// the same.
export function averageCpu(of) {
  return of?.timeWeightedCpuPercent ?? of?.avgCpuPercent;
}

/// Whether nothing was measured between two points. A row says how far back it reaches (intervalMs). Where several are
/// one point it is known of all of them together only: the first may reach back as far as the agent's longest period.
function isGap(before, point, bucketMs, longestPeriodMs) {
  const all = point.intervalMs ?? longestPeriodMs;
  const reach = point.rows === 1 ? all : Math.min(all, Math.max(longestPeriodMs, (1.5 * all) / point.rows));
  return point.ts - before.ts > bucketMs + 1.25 * reach;
}

/// Points as {at, min, avg, peak, weight}, oldest first; {at} alone stands in each gap. `at` is the middle of the bucket.
export function series(trend, points, fields, longestPeriodMs) {
  const bucketMs = (trend.untilMs - trend.sinceMs) / trend.buckets;
  const result = [];
  points.forEach((point, i) => {
    const at = Math.min(point.ts + bucketMs / 2, trend.untilMs);
    if (i > 0 && isGap(points[i - 1], point, bucketMs, longestPeriodMs)) {
      result.push({ at: (result[result.length - 1].at + at) / 2 });
    }
    result.push({ at, min: point[fields.min], avg: fields.avg(point), peak: point[fields.peak], weight: fields.weight(point) });
  });
  return result;
}

/// {avg, peak, peakAt} over the whole series, or undefined if it is empty.
export function extremes(points) {
  const known = points.filter(point => point.avg !== undefined);
  if (known.length === 0) return undefined;
  const highest = known.reduce((best, point) => (point.peak > best.peak ? point : best));
  const weight = known.reduce((sum, point) => sum + point.weight, 0);
  return {
    avg: known.reduce((sum, point) => sum + point.avg * point.weight, 0) / weight,
    peak: highest.peak,
    peakAt: highest.at,
    gaps: points.length - known.length,
  };
}
