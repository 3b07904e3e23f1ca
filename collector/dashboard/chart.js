// One chart over time: a line for the average, a band from the least to the highest, marks for events. By mouse: point
// to read, drag to zoom, double click for the whole range. By keyboard: arrows, Home and End read, Escape stops.

import { h, setShown, setText } from './dom.js';
import { time } from './format.js';
import { extremes } from './trend.js';

const kHeight = 200;
const kTableRows = 48;

/// The edge of the band: a peak of one bucket is thin, and must be seen.
function drawPeaks(e) {
  const { drawingContext: context, dygraph: graph } = e;
  context.save();
  context.strokeStyle = e.color;
  context.globalAlpha = 0.8;
  context.lineWidth = 1;
  context.beginPath();
  let drawing = false;
  for (const point of e.points) {
    const known = Number.isFinite(point.yval_plus);
    if (known) {
      const y = graph.toDomYCoord(point.yval_plus);
      if (drawing) context.lineTo(point.canvasx, y);
      else context.moveTo(point.canvasx, y);
    }
    drawing = known;
  }
  context.stroke();
  context.restore();
}

export class Chart {
  /// `format` and `axisFormat` turn a value into text; `onZoom([from, to] or null)` and `onSelect(row or -1)` follow what people do.
  constructor({ title, format, axisFormat, binary = false, onZoom, onSelect }) {
    Object.assign(this, { title, format, axisFormat, binary, onZoom, onSelect });
    this.points = [];
    this.events = [];
    this.selected = -1;
    this.readout = h('p', { class: 'readout' });
    this.reset = h('button', { type: 'button', hidden: '', on: { click: () => this.onZoom(null) } }, 'Whole range');
    this.canvas = h('div', { class: 'canvas' });
    this.frame = h('div', {
      class: 'chart', role: 'slider', tabindex: '0', 'aria-label': `${title} over time`,
      'aria-valuemin': '0', 'aria-valuemax': '0', 'aria-valuenow': '0',
      on: { keydown: event => this.onKey(event), blur: () => this.onSelect(-1) },
    }, this.canvas);
    this.table = h('tbody');
    this.details = h('details', {}, h('summary', {}, `${title} as a table`),
      h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `${title} as a table` }, h('table', {},
        h('thead', {}, h('tr', {}, ...['From', 'Average', 'Least', 'Highest'].map(text => h('th', { scope: 'col' }, text)))),
        this.table)));
    this.details.addEventListener('toggle', () => this.fillTable());
    this.element = h('section', { class: 'trend' },
      h('div', { class: 'above' }, h('h3', {}, title), this.reset), this.readout, this.frame, this.details);
    this.scheme = matchMedia('(prefers-color-scheme: dark)');
    this.repaint = () => this.graph?.updateOptions(this.colours());
    this.scheme.addEventListener('change', this.repaint);
    this.resize = new ResizeObserver(() => this.graph?.resize());
    this.resize.observe(this.frame);
  }

  destroy() {
    this.scheme.removeEventListener('change', this.repaint);
    this.resize.disconnect();
    this.graph?.destroy();
  }

  /// Draws `points` (trend.js) over [from, to]; the zoom and the selection stay.
  draw(points, [from, to], events) {
    const at = this.selected < 0 ? undefined : this.points[this.selected]?.at;
    Object.assign(this, { points, events, from, to });
    const file = points.map(({ at: when, min, avg, peak }) =>
      [new Date(when), avg === undefined ? [null, null, null] : [min, avg, peak]]);
    if (file.length === 0) file.push([new Date(from), [null, null, null]]);
    if (this.graph === undefined) this.create(file);
    else this.graph.updateOptions({ file, ...(this.zoomed ? {} : this.window()) });
    this.frame.setAttribute('aria-valuemax', Math.max(0, points.length - 1));
    this.select(at === undefined ? -1 : points.findIndex(point => point.at >= at));
    this.fillTable();
  }

  create(file) {
    const { Dygraph } = window;
    // Not the legend: it sets a style that the page's policy forbids.
    Dygraph.PLUGINS = [Dygraph.Plugins.Axes, Dygraph.Plugins.Grid];
    this.graph = new Dygraph(this.canvas, file, {
      labels: ['time', this.title],
      height: kHeight,
      customBars: true,
      drawGapEdgePoints: true,
      pointSize: 2,
      strokeWidth: 1.5,
      fillAlpha: 0.22,
      gridLineWidth: 1,
      labelsKMG2: this.binary,
      plotter: [Dygraph.Plotters.errorPlotter, drawPeaks, Dygraph.Plotters.linePlotter],
      axes: {
        x: { axisLabelWidth: 56, pixelsPerLabel: 72 },
        y: { axisLabelWidth: 62, pixelsPerLabel: 36, axisLabelFormatter: value => this.axisFormat(value) },
      },
      // No touch gestures: on a small screen a finger on the chart scrolls the page.
      interactionModel: {
        mousedown: Dygraph.defaultInteractionModel.mousedown,
        willDestroyContextMyself: true,
        dblclick: () => this.onZoom(null),
      },
      zoomCallback: (from, to) => this.onZoom([from, to]),
      highlightCallback: (event, x, points, row) => this.onSelect(row),
      unhighlightCallback: () => this.onSelect(-1),
      underlayCallback: (context, area, graph) => this.drawEvents(context, area, graph),
      ...this.window(),
      ...this.colours(),
    });
  }

  window() {
    const peak = extremes(this.points)?.peak ?? 0;
    return { dateWindow: [this.from, this.to], valueRange: [0, peak > 0 ? peak * 1.08 : this.binary ? 2 ** 20 : 1] };
  }

  colours() {
    const style = getComputedStyle(this.element);
    const colour = name => style.getPropertyValue(name).trim();
    return { colors: [colour('--line')], gridLineColor: colour('--grid'), axisLineColor: colour('--grid') };
  }

  zoom(window) {
    this.zoomed = window !== null;
    setShown(this.reset, this.zoomed);
    if (this.graph) this.graph.updateOptions(window === null ? this.window() : { dateWindow: window });
  }

  /// Shows the point `row` in words; -1: the whole range.
  select(row) {
    const known = this.points[row]?.avg !== undefined;
    this.selected = known ? row : -1;
    if (known) {
      this.graph.setSelection(row);
      this.frame.setAttribute('aria-valuenow', row);
    } else {
      this.graph?.clearSelection();
    }
    const text = known ? this.pointText(this.points[row]) : this.wholeText();
    setText(this.readout, text);
    this.frame.setAttribute('aria-valuetext', text);
  }

  pointText({ at, min, avg, peak }) {
    return `${time(at)}: ${this.format(avg)} on average, ${this.format(min)} to ${this.format(peak)}`;
  }

  wholeText() {
    const all = extremes(this.points);
    if (all === undefined) return 'Nothing was measured in this time.';
    const gaps = all.gaps === 0 ? '' : all.gaps === 1 ? '; one gap' : `; ${all.gaps} gaps`;
    return `${this.format(all.avg)} on average, at most ${this.format(all.peak)} (${time(all.peakAt)})${gaps}`;
  }

  onKey(event) {
    const last = this.points.length - 1;
    const from = this.selected < 0 ? last + 1 : this.selected;
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
    let row;
    if (event.key in steps) row = from + steps[event.key];
    else if (event.key === 'Home') row = 0;
    else if (event.key === 'End') row = last;
    else if (event.key === 'Escape') row = -1;
    else return;
    event.preventDefault();
    if (row >= 0 || event.key !== 'Escape') {
      row = Math.min(Math.max(row, 0), last);
      const step = row < from ? -1 : 1;
      while (this.points[row] && this.points[row].avg === undefined) row += step; // a gap says nothing
    }
    this.onSelect(row);
  }

  drawEvents(context, area, graph) {
    context.save();
    context.strokeStyle = getComputedStyle(this.element).getPropertyValue('--event').trim();
    context.setLineDash([3, 3]);
    for (const { ts } of this.events) {
      const x = Math.round(graph.toDomXCoord(ts)) + 0.5;
      if (x < area.x || x > area.x + area.w) continue;
      context.beginPath();
      context.moveTo(x, area.y);
      context.lineTo(x, area.y + area.h);
      context.stroke();
    }
    context.restore();
  }

  /// A table of at most kTableRows parts; the least and the highest of what each part holds.
  fillTable() {
    if (!this.details.open) return;
    const size = Math.ceil(this.points.length / kTableRows);
    const rows = [];
    for (let i = 0; i < this.points.length; i += size) {
      const part = this.points.slice(i, i + size);
      const known = part.filter(point => point.avg !== undefined);
      const all = extremes(part);
      const texts = all === undefined ? ['nothing measured', '', '']
        : [all.avg, Math.min(...known.map(point => point.min)), all.peak].map(this.format);
      rows.push(h('tr', {}, h('th', { scope: 'row' }, time(part[0].at)), ...texts.map(text => h('td', {}, text))));
    }
    this.table.replaceChildren(...rows);
  }
}
