// Curves by uPlot: dashes and names tell the lines apart, so no colour alone carries meaning.

import {clock, el, figure} from "./dom.js";

/* global uPlot */

export const DASHES = {target: [2, 4], reference: [9, 4], result: [], made: [], wanted: [4, 3], reduction: []};
const HEIGHT = 230;

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const FREQUENCIES = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000];
const hertzLabel = (hz) => (hz >= 1000 ? `${hz / 1000}k` : `${hz}`);

/** Axes and scales of a plot over frequency. */
export function overFrequency(range_db, [low, high] = [20, 20000]) {
  return {
    scales: {x: {time: false, distr: 3, range: [low, high]}, y: {range: range_db}},
    axes: [
      axis({splits: () => FREQUENCIES.filter((hz) => hz >= low && hz <= high), filter: (_, hz) => hz, values: (_, hz) => hz.map(hertzLabel)}),
      axis({values: (_, all) => all.map((db) => figure(db, 0)), size: 44}),
    ],
  };
}

/** Axes and scales of a plot over time. */
export function overTime(duration_s, range) {
  return {
    scales: {x: {time: false, range: [0, duration_s]}, y: {range}},
    axes: [
      axis({values: (_, all) => all.map(clock), incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800]}),
      axis({values: (_, all) => all.map((v) => figure(v, 0)), size: 44}),
    ],
  };
}

function axis(given) {
  return {
    stroke: () => colour("soft"), font: "12px system-ui, sans-serif", gap: 4,
    grid: {stroke: () => colour("line"), width: 1}, ticks: {show: false}, ...given,
  };
}

/** A series drawn as its kind is drawn everywhere. */
export function line(name, kind) {
  return {
    label: name, stroke: () => colour(kind), width: kind === "result" || kind === "made" ? 2.5 : 2,
    dash: DASHES[kind], points: {show: false}, spanGaps: false,
  };
}

/** A figure with its picture, its legend and what it says in words. */
export function chart(title, words, options, series, data) {
  const place = el("div.plot", {role: "img", "aria-label": `${title}. ${words}`});
  const keys = el("div.keys", {}, series.map(([name, kind]) => key(name, kind)));
  const figureMade = el("figure.card", {}, el("figcaption", {}, el("strong", {}, title), ` ${words}`), place, keys);
  watch(place, (width) => new uPlot({
    width, height: HEIGHT, legend: {show: false}, cursor: {show: false}, padding: [10, 22, 0, 0],
    ...options, series: [{}, ...series.map(([name, kind]) => line(name, kind))],
  }, data, place));
  return figureMade;
}

export function key(name, kind) {
  const dash = (DASHES[kind] || []).join(" ");
  return el("span.key", {},
    el("svg:svg", {viewBox: "0 0 30 8", width: 30, height: 8, "aria-hidden": "true"},
      el("svg:line", {x1: 0, x2: 30, y1: 4, y2: 4, class: `line ${kind}`, "stroke-dasharray": dash || null})),
    name);
}

/** Make a plot when its place has a width, fit it to new widths, make it anew when light and dark change. */
export function watch(place, make, made = () => {}) {
  let plot = null;
  const anew = () => {
    const width = Math.floor(place.clientWidth);
    if (!width || !place.isConnected) return;
    if (plot) plot.destroy();
    plot = make(width);
    made(plot);
  };
  let before = 0;
  new ResizeObserver(() => {
    const width = Math.floor(place.clientWidth);
    if (width === before) return;
    before = width;
    if (!plot) anew();
    else { plot.setSize({width, height: plot.height}); made(plot); }
  }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
}

function range(rows, least = 6) {
  const all = rows.flat().filter((v) => v !== null && Number.isFinite(v));
  if (!all.length) return [-least / 2, least / 2];
  const low = Math.min(...all), high = Math.max(...all);
  const spare = Math.max(0, least - (high - low)) / 2;
  return [Math.floor(low - spare - 0.5), Math.ceil(high + spare + 0.5)];
}

/** The pictures of one finished match. */
export function pictures(view) {
  const {target, result, reference} = view.tracks;
  const three = [["Before", "target"], ["Reference", "reference"], ["After", "result"]];
  const all = [target, reference, result];
  const loudest = Math.max(...all.flatMap((t) => t.tone_db.filter((v) => v !== null)));
  const tone = all.map((t) => t.tone_db.map((v) => (v !== null && v > loudest - 60 ? v : null)));
  const made = [chart("Tone", "Third octaves of the mid at equal loudness, dB.",
    overFrequency(range(tone, 12), [25, 20000]), three, [view.third_octaves_hz, ...tone])];
  const wide = [["Before", "target", target], ["Reference", "reference", reference], ["After", "result", result]]
    .filter(([, , t]) => t.width_db);
  if (wide.length) {
    const width = wide.map(([, , t]) => t.width_db.map((v) => (v > -40 ? v : null)));
    made.push(chart("Width", "Side against mid per octave, dB: higher is wider.",
      overFrequency(range(width), [25, 10000]), wide.map(([name, kind]) => [name, kind]), [view.octaves_hz, ...width]));
  }
  const loud = [target, result].map((t) => t.loudness);
  if (loud[1].values.length) {
    const times = loud[1].values.map((_, n) => loud[1].first_s + n * loud[1].step_s);
    const rows = loud.map((course) => times.map((_, n) => course.values[n] ?? null));
    const top = Math.max(...rows.flat().filter((v) => v !== null));
    const shown = rows.map((row) => row.map((v) => (v !== null && v > top - 40 ? v : null)));
    made.push(chart("Loudness over time", "Short-term, LUFS.", overTime(result.duration_s, range(shown)),
      [["Before", "target"], ["After", "result"]], [times, ...shown]));
  }
  if (view.reduction && view.reduction.values.length > 1) {
    const {step_s, values} = view.reduction;
    made.push(chart("What the limiter takes", "Deepest gain reduction of each moment, dB.",
      overTime(result.duration_s, [Math.min(-3, Math.floor(Math.min(...values))), 0.5]),
      [["Limiter", "reduction"]], [values.map((_, n) => n * step_s), values]));
  }
  return made;
}
