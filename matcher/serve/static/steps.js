// Every step of the plan as controls: switched off and on, how much of it, and what it does in numbers.

import {EqEditor} from "./eq.js";
import {change, el, figure, fresh, hertz} from "./dom.js";

const TITLES = {eq: "Tone", width: "Stereo width", compressor: "Dynamics", gain: "Level", limiter: "Limiter and ceiling"};
const ORDER = ["highpass", "eq", "width", "compressor", "gain", "limiter"];
const UNITS = {db: "dB", dbtp: "dBTP", hz: "Hz", ms: "ms", s: "s", oct: "dB/oct"};
const NARROWER = {  // what is useful of the bounds that are allowed
  "gain.gain_db": [-24, 24, 0.1], "limiter.ceiling_dbtp": [-12, 0, 0.1], "limiter.knee_db": [0, 12, 0.1],
  "compressor.threshold_db": [-60, 0, 0.5], "compressor.ratio": [1, 8, 0.05], "width.gain_db": [-12, 12, 0.1],
  "width.focus_below_hz": [0, 300, 5], "width.focus_depth_db": [0, 60, 1],
};
const MAIN = {gain: ["gain_db"], limiter: ["ceiling_dbtp", "knee_db"], width: ["focus_below_hz", "focus_depth_db"], highpass: ["frequency_hz"]};
const BAND_MAIN = ["threshold_db", "ratio", "makeup_db"];

/** "attack_ms" as words and a unit. */
function worded(name) {
  const parts = name.split("_");
  const unit = UNITS[parts[parts.length - 1]] || "";
  const text = (unit ? parts.slice(0, -1) : parts).join(" ");
  return [text.charAt(0).toUpperCase() + text.slice(1), unit];
}

/** A slider with its value beside it. get and set work on the plan; changed(done) afterwards. */
function slider(label, unit, [low, high, step], get, set, changed) {
  const id = fresh("slider");
  const shown = el("output", {for: id});
  const input = el("input", {type: "range", id, min: low, max: high, step});
  const show = () => {
    const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
    const text = unit === "%" ? `${Math.round(get() * 100)} %` : unit === "Hz" ? hertz(get()) : `${figure(get(), digits)} ${unit}`.trim();
    shown.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  input.value = get();
  show();
  input.addEventListener("input", () => { set(input.valueAsNumber); show(); changed(false); });
  input.addEventListener("change", () => changed(true));
  return el("div.control", {}, el("label", {for: id}, label), shown, input);
}

export class Steps {
  /** plan: its steps are changed in place; bounds: /api/controls; changed(done): after every change. */
  constructor(plan, bounds, changed) {
    this.plan = plan;
    this.bounds = bounds;
    this.changed = changed;
    this.element = el("div.steps");
    this.eq = new EqEditor({step: (make) => this._eqStep(make), believed: plan.believed, changed});
    this.eqCard = el("section.card.step.wide", {"aria-label": "Tone"});
    this.draw();
  }

  /** Build all controls from the plan: after loading, undo and redo. */
  draw() {
    const eq = this._eqStep(false);
    this.eqCard.replaceChildren(...(eq ? this._head(eq) : [el("h3", {}, "Tone")]), this.eq.element);
    this.eq.update();
    this.element.replaceChildren(...this.plan.steps.filter((step) => step !== eq).map((step) => this._card(step)));
  }

  _eqStep(make) {
    const found = this.plan.steps.find((step) => step.settings.effect === "eq");
    if (found || !make) return found ?? null;
    const settings = {effect: "eq", bands: [], curves: [], phase: "minimum"};
    const made = {settings, because: "Added by hand.", enabled: true, amount: 1};
    const behind = this.plan.steps.findIndex((step) => ORDER.indexOf(step.settings.effect) > ORDER.indexOf("eq"));
    this.plan.steps.splice(behind < 0 ? this.plan.steps.length : behind, 0, made);
    queueMicrotask(() => this.draw());
    return made;
  }

  _card(step) {
    const card = el("section.card.step", {"aria-label": this._title(step)}, ...this._head(step), ...this._settings(step));
    card.classList.toggle("off", !step.enabled);
    return card;
  }

  _title(step) {
    const name = step.settings.effect;
    return TITLES[name] || this.bounds[name]?.title || name;
  }

  /** Title, switch, reason, amount. */
  _head(step) {
    const title = this._title(step);
    const toggle = el("input", {
      type: "checkbox", role: "switch", checked: step.enabled, "aria-label": `${title}: in use`,
      onchange: () => {
        step.enabled = toggle.checked;
        toggle.closest(".step").classList.toggle("off", !step.enabled);
        state.textContent = step.enabled ? "On" : "Bypassed";
        if (step.settings.effect === "eq") this.eq.update();
        this.changed(true);
      },
    });
    const state = el("span", {"aria-hidden": "true"}, step.enabled ? "On" : "Bypassed");
    const parts = [el("div.head", {}, el("h3", {}, title), el("label.switch", {}, state, toggle))];
    if (step.because) {
      parts.push(el("details.because", {}, el("summary", {}, "Why"), el("p", {}, step.because)));
    }
    if (step.settings.effect !== "limiter" && step.settings.effect !== "gain" && !this.bounds[step.settings.effect]?.repairs) {
      parts.push(slider("Amount", "%", [0, 1, 0.01], () => step.amount, (v) => { step.amount = v; },
        (done) => { if (step.settings.effect === "eq") this.eq.update(); this.changed(done); }));
    }
    return parts;
  }

  _settings(step) {
    const name = step.settings.effect;
    if (this.bounds[name]?.repairs) return [];
    const fields = Object.entries(this.bounds[name]?.fields ?? {}).filter(([, given]) => given.low !== undefined);
    const main = MAIN[name] ?? fields.map(([field]) => field);
    const made = fields.filter(([field]) => main.includes(field)).map(([field, given]) => this._field(name, field, given, step.settings));
    const rest = fields.filter(([field]) => !main.includes(field)).map(([field, given]) => this._field(name, field, given, step.settings));
    if (name === "width") made.unshift(...this._widthPoints(step.settings));
    if (name === "compressor") made.push(...this._compressorBands(step.settings));
    if (rest.length) made.push(el("details", {}, el("summary", {}, "More"), rest));
    return made;
  }

  _field(effect, field, given, holder) {
    const [text, unit] = worded(field);
    const bounds = this._narrow(effect, field, given, holder[field]);
    return slider(text, unit, bounds, () => holder[field] ?? given.default ?? bounds[1], (v) => { holder[field] = v; }, this.changed);
  }

  /** Useful bounds that hold the value as it is. */
  _narrow(effect, field, given, value) {
    const [low, high, step] = NARROWER[`${effect}.${field}`] ?? [given.low, given.high, (given.high - given.low) > 200 ? 1 : (given.high - given.low) > 20 ? 0.5 : 0.01];
    return [Math.min(low, value ?? low), Math.max(high, value ?? high), step];
  }

  /** All of the side at once, and each point below. */
  _widthPoints(settings) {
    const points = settings.side;
    if (!points.length) points.push({frequency_hz: 1000, gain_db: 0});
    const mean = () => points.reduce((sum, p) => sum + p.gain_db, 0) / points.length;
    const single = points.map((point) => slider(hertz(point.frequency_hz), "dB", NARROWER["width.gain_db"],
      () => point.gain_db, (v) => { point.gain_db = v; }, (done) => { if (done) this.draw(); this.changed(done); }));
    const whole = slider("Side", "dB", NARROWER["width.gain_db"], mean, (v) => {
      const by = v - mean();
      for (const point of points) point.gain_db = Math.min(24, Math.max(-24, Number((point.gain_db + by).toFixed(2))));
    }, this.changed);
    return [whole, el("details", {}, el("summary", {}, `By frequency (${points.length})`), single)];
  }

  _compressorBands(settings) {
    const given = this.bounds.compressor.parts.CompressorBand;
    const edges = [null, ...settings.crossovers_hz, null];
    return settings.bands.map((band, n) => {
      const [low, high] = [edges[n], edges[n + 1]];
      const where = low === null ? (high === null ? "All" : `Below ${hertz(high)}`) : high === null ? `Above ${hertz(low)}` : `${hertz(low)} to ${hertz(high)}`;
      const fields = (names) => names.map((field) => {
        const [text, unit] = worded(field);
        return slider(text, field === "ratio" ? ": 1" : unit, this._narrow("compressor", field, given[field], band[field]),
          () => band[field], (v) => { band[field] = v; }, this.changed);
      });
      const rest = Object.keys(given).filter((field) => !BAND_MAIN.includes(field));
      const summary = el("summary", {}, `${where}: ${band.ratio.toFixed(2)} : 1`, band.makeup_db ? `, ${change(band.makeup_db)} dB` : "");
      return el("details", {}, summary, fields(BAND_MAIN), fields(rest));
    });
  }
}
