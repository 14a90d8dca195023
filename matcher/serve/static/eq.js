// The equalizer as its curve, with a handle for each band: dragged, or moved by the arrow keys.

import {colour, key, line, overFrequency, watch} from "./charts.js";
import {GRID_HZ, eqGain} from "./curves.js";
import {change, el, hertz} from "./dom.js";

/* global uPlot */

const SHAPES = {peak: "Bell", low_shelf: "Low shelf", high_shelf: "High shelf"};
const CHANNELS = {all: "Both", mid: "Mid", side: "Side"};
const MOST_DB = 24, SHOWN_DB = 9;
const HELP = "Arrow up and down change the gain, left and right the frequency, plus and minus the width; Delete removes it.";
const bound = (value, low, high) => Math.min(high, Math.max(low, value));
const round = (value, digits) => Number(value.toFixed(digits));

export class EqEditor {
  /** step(): the step as it stands, or null; changed(done): called after each move, done when it is at its end. */
  constructor({step, believed, changed}) {
    this.step = step;
    this.changed = changed;
    this.chosen = 0;
    this.wanted = wantedCurve(believed);
    this.place = el("div.plot.eq");
    this.fields = el("div.fields");
    const keys = [key("Equalizer", "made")];
    if (this.wanted) keys.push(key("What the plan asks for", "wanted"));
    this.element = el("div", {}, this.place, el("div.keys", {}, keys), this.fields);
    watch(this.place, (width) => this._made(width));
  }

  /** Draw what the step is now. */
  update() {
    this._data();
    this._handles();
    this._fields();
  }

  get bands() {
    return this.step()?.settings.bands ?? [];
  }

  _made(width) {
    this.plot = new uPlot({
      width, height: 300, legend: {show: false}, cursor: {show: false}, padding: [12, 22, 0, 0],
      ...overFrequency(() => this._range()),
      series: [{}, line("believed", "wanted"), line("equalizer", "made"), {...line("side", "made"), dash: [4, 3]}],
      hooks: {drawAxes: [zeroLine], draw: [() => this._handles()], ready: [() => this._handles()]},
    }, this._rows(), this.place);
    this.plot.over.addEventListener("dblclick", (event) => {
      if (event.target === this.plot.over) this.add(this.plot.posToVal(event.offsetX, "x"), this.plot.posToVal(event.offsetY, "y"));
    });
    queueMicrotask(() => this._fields());
    return this.plot;
  }

  _range() {
    const most = Math.max(SHOWN_DB, ...this.bands.map((b) => Math.abs(b.gain_db) + 2), ...this._curve.map((v) => Math.abs(v) + 2));
    return [-Math.min(26, Math.ceil(most)), Math.min(26, Math.ceil(most))];
  }

  _rows() {
    const step = this.step();
    this._curve = GRID_HZ.map((hz) => eqGain(step, hz));
    const side = this.bands.some((b) => b.channels !== "all") || (step?.settings.curves || []).some((c) => c.channels !== "all");
    const wanted = this.wanted ? GRID_HZ.map(this.wanted) : GRID_HZ.map(() => null);
    return [GRID_HZ, wanted, this._curve, side ? GRID_HZ.map((hz) => eqGain(step, hz, "side")) : GRID_HZ.map(() => null)];
  }

  _data() {
    if (this.plot) this.plot.setData(this._rows());
  }

  /** A button for each band, kept while it is dragged. */
  _handles() {
    if (!this.plot || this.plot.status !== 1) return;
    const over = this.plot.over;
    const here = [...over.querySelectorAll(".handle")];
    this.bands.forEach((band, n) => {
      const handle = here[n] || over.appendChild(this._handle(n));
      handle.style.left = `${this.plot.valToPos(bound(band.frequency_hz, 20, 20000), "x")}px`;
      handle.style.top = `${this.plot.valToPos(band.gain_db, "y")}px`;
      handle.textContent = String(n + 1);
      handle.classList.toggle("chosen", n === this.chosen);
      handle.setAttribute("aria-label", `Band ${n + 1}, ${SHAPES[band.shape]}, gain`);
      handle.setAttribute("aria-valuenow", band.gain_db.toFixed(1));
      handle.setAttribute("aria-valuetext", `${change(band.gain_db)} dB at ${hertz(band.frequency_hz)}, Q ${band.q.toFixed(2)}`);
    });
    here.slice(this.bands.length).forEach((handle) => handle.remove());
  }

  _handle(n) {
    const handle = el("button.handle", {
      type: "button", role: "slider", "aria-valuemin": -MOST_DB, "aria-valuemax": MOST_DB, title: HELP,
      "aria-orientation": "vertical", "data-band": n,
    });
    handle.addEventListener("focus", () => this._choose(n));
    handle.addEventListener("keydown", (event) => this._pressed(event, n));
    handle.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.set(n, {q: this.bands[n].q * (event.deltaY < 0 ? 1.1 : 1 / 1.1)}, true);
    }, {passive: false});
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      handle.focus();
      event.preventDefault();
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = this.plot.over.getBoundingClientRect();
      this.set(n, {
        frequency_hz: this.plot.posToVal(bound(event.clientX - box.left, 0, box.width), "x"),
        gain_db: this.plot.posToVal(bound(event.clientY - box.top, 0, box.height), "y"),
      }, false);
    });
    handle.addEventListener("pointerup", () => this.changed(true));
    return handle;
  }

  _pressed(event, n) {
    const band = this.bands[n];
    const [gain, octave] = event.shiftKey ? [1, 1 / 3] : [0.1, 1 / 12];
    const moves = {
      ArrowUp: {gain_db: band.gain_db + gain}, ArrowDown: {gain_db: band.gain_db - gain},
      PageUp: {gain_db: band.gain_db + 1}, PageDown: {gain_db: band.gain_db - 1},
      ArrowRight: {frequency_hz: band.frequency_hz * 2 ** octave}, ArrowLeft: {frequency_hz: band.frequency_hz / 2 ** octave},
      "+": {q: band.q * 1.1}, "-": {q: band.q / 1.1}, Home: {gain_db: 0},
    };
    if (event.key === "Delete" || event.key === "Backspace") this.remove(n);
    else if (moves[event.key]) this.set(n, moves[event.key], true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  _choose(n) {
    if (this.chosen === n && this.fields.childElementCount) return;
    this.chosen = n;
    this._handles();
    this._fields();
  }

  /** Change a band; done: whether the move is at its end. */
  set(n, values, done) {
    const band = this.bands[n];
    if (values.frequency_hz !== undefined) band.frequency_hz = round(bound(values.frequency_hz, 20, 20000), 1);
    if (values.gain_db !== undefined) band.gain_db = round(bound(values.gain_db, -MOST_DB, MOST_DB), 2);
    if (values.q !== undefined) band.q = round(bound(values.q, 0.1, 20), 3);
    if (values.shape) band.shape = values.shape;
    if (values.channels) band.channels = values.channels;
    this._data();
    this._handles();
    this._numbers();
    this.changed(done);
  }

  add(frequency_hz = 1000, gain_db = 0) {
    const step = this.step(true);
    step.settings.bands.push({shape: "peak", frequency_hz: 1000, gain_db: 0, q: 0.9, channels: "all"});
    this.chosen = step.settings.bands.length - 1;
    this.set(this.chosen, {frequency_hz, gain_db}, true);
    this._fields();
    this.plot?.over.querySelectorAll(".handle")[this.chosen]?.focus();
  }

  remove(n) {
    this.bands.splice(n, 1);
    this.chosen = Math.max(0, n - 1);
    this.update();
    this.changed(true);
    this.plot?.over.querySelectorAll(".handle")[this.chosen]?.focus();
  }

  /** The chosen band in numbers. */
  _fields() {
    const n = Math.min(this.chosen, this.bands.length - 1);
    const band = this.bands[n];
    const addition = el("button.small", {type: "button", onclick: () => this.add()}, "Add a band");
    if (!band) {
      this.fields.replaceChildren(el("p.soft", {}, "No band: double-click the curve, or"), addition);
      return;
    }
    const number = (label, name, step, digits) => {
      const input = el("input", {
        type: "number", step, value: band[name].toFixed(digits), "data-field": name,
        onchange: () => Number.isFinite(input.valueAsNumber) && this.set(n, {[name]: input.valueAsNumber}, true),
      });
      return el("label.field", {}, el("span", {}, label), input);
    };
    const choice = (label, name, from) => el("label.field", {}, el("span", {}, label),
      el("select", {onchange: (event) => this.set(n, {[name]: event.target.value}, true)},
        Object.entries(from).map(([value, text]) => el("option", {value, selected: band[name] === value}, text))));
    this.fields.replaceChildren(
      el("span.badge", {}, `Band ${n + 1}`), choice("Shape", "shape", SHAPES), number("Frequency, Hz", "frequency_hz", "any", 0),
      number("Gain, dB", "gain_db", 0.1, 1), number("Q", "q", 0.05, 2), choice("Channels", "channels", CHANNELS),
      el("button.small", {type: "button", onclick: () => this.remove(n)}, "Remove"), addition,
    );
  }

  _numbers() {
    const band = this.bands[Math.min(this.chosen, this.bands.length - 1)];
    for (const input of this.fields.querySelectorAll("input[data-field]")) {
      if (band && input !== document.activeElement) input.value = band[input.dataset.field].toFixed({frequency_hz: 0, gain_db: 1, q: 2}[input.dataset.field]);
    }
  }
}

/** What the planner believes of the difference, as gain over frequency, at the level it is drawn at. */
function wantedCurve(believed) {
  if (!believed) return null;
  const heard = believed.tone.heard;
  const points = believed.frequency_hz.map((frequency_hz, n) => ({frequency_hz, gain_db: believed.tone.wanted_db[n]})).filter((_, n) => heard[n]);
  if (points.length < 2) return null;
  const level = points.reduce((sum, p) => sum + p.gain_db, 0) / points.length;
  return (hz) => {
    if (hz < points[0].frequency_hz || hz > points[points.length - 1].frequency_hz) return null;
    for (let n = 1; n < points.length; n += 1) {
      if (hz > points[n].frequency_hz) continue;
      const share = Math.log(hz / points[n - 1].frequency_hz) / Math.log(points[n].frequency_hz / points[n - 1].frequency_hz);
      return points[n - 1].gain_db + share * (points[n].gain_db - points[n - 1].gain_db) - level;
    }
    return null;
  };
}

function zeroLine(plot) {
  const y = Math.round(plot.valToPos(0, "y", true));
  const {left, width} = plot.bbox;
  plot.ctx.save();
  plot.ctx.strokeStyle = colour("soft");
  plot.ctx.lineWidth = devicePixelRatio;
  plot.ctx.beginPath();
  plot.ctx.moveTo(left, y);
  plot.ctx.lineTo(left + width, y);
  plot.ctx.stroke();
  plot.ctx.restore();
}
