// Listening: fetches the stretch that plays, in all its versions, and hands it to the one clock of listening.js.

import {api} from "./api.js";
import {change, clock, el, figure, fresh, problem, settled} from "./dom.js";
import {Listening, RATE_HZ} from "./listening.js";
import {Waveform} from "./waveform.js";

const LOOP_S = 10, SHORTEST_S = 1, LONGEST_S = 60, AHEAD_S = 6, PIECE_S = 30;
const NAMES = {target: "Before", result: "After", reference: "Reference", other: "Other plan"};

export class Player {
  /** session: {id, view, hasReference, steps(): the plan as it is or null where it is what was rendered, other(): job id or null}. */
  constructor(session) {
    this.session = session;
    const {target, result, reference} = session.view.tracks;
    this.duration_s = result.duration_s;
    this.looping = true;
    this.length_s = Math.min(LOOP_S, this.duration_s);
    this.start_s = Math.min(result.loudest_s, this.duration_s - this.length_s);
    this.reference_s = session.hasReference ? Math.max(0, Math.min(reference.loudest_s, reference.duration_s - this.length_s)) : 0;
    this.parts = {};
    this.refresh = settled(90, () => this._rendered());
    this._controls();
    const choose = (start, end) => this.choose(start, end - start);
    this.lanes = [new Waveform(NAMES.target, "target", target, choose), new Waveform(NAMES.result, "result", result, choose)];
    if (session.hasReference) {
      this.referenceLane = new Waveform(NAMES.reference, "reference", reference, (start) => this._moveReference(start));
      this.lanes.push(this.referenceLane);
    }
    this.element.insertBefore(el("div.lanes", {}, this.lanes.map((lane) => lane.element)), this.places);
    for (const lane of this.lanes) lane.at(null);
    this._shown();
    this._load();
  }

  _controls() {
    this.button = el("button.play", {type: "button", onclick: () => this.toggle(), "aria-pressed": "false"}, "Play");
    this.choices = el("div.segments", {role: "radiogroup", "aria-label": "Which version is heard"});
    this._versions();
    const flag = (text, hint, on) => {
      const input = el("input", {type: "checkbox", onchange: () => on(input.checked)});
      return [el("label.chip", {title: hint}, input, text), input];
    };
    const [loop, loopInput] = flag("Loop", "Repeat the chosen stretch; otherwise the track plays on (key L)", (on) => this._setLoop(on));
    loopInput.checked = true;
    const [difference, differenceInput] = flag("Difference", "What is heard minus the mix before, both at one loudness (key D)", (on) => this.listening?.setDifference(on));
    const [mono, monoInput] = flag("Mono", "Both channels as one (key M)", (on) => this.listening?.setMono(on));
    this.flags = {l: loopInput, d: differenceInput, m: monoInput};
    const band = fresh("band");
    const solo = el("div.segments.slim", {role: "radiogroup", "aria-label": "Which band is heard"},
      [["all", "All"], ["low", "Low"], ["mid", "Mid"], ["high", "High"]].map(([value, text]) =>
        el("label", {}, el("input", {type: "radio", name: band, value, checked: value === "all", onchange: () => { this.band = value; this.listening?.setBand(value); }}), el("span", {}, text))));
    this.time = el("output.time", {"aria-label": "Position"}, "0:00");
    const seconds = (label, change_) => {
      const input = el("input", {type: "number", min: 0, step: 0.1, onchange: () => Number.isFinite(input.valueAsNumber) && change_(input.valueAsNumber)});
      return [el("label.field", {}, el("span", {}, label), input), input];
    };
    const [from, fromInput] = seconds("Stretch from, s", (v) => this.choose(v, this.length_s));
    const [length, lengthInput] = seconds("Length, s", (v) => this.choose(this.start_s, v));
    const [reference, referenceInput] = seconds("Reference from, s", (v) => this._moveReference(v));
    this.inputs = {fromInput, lengthInput, referenceInput};
    this.places = el("div.fields", {}, from, length, this.session.hasReference ? reference : null);
    this.readout = el("p.soft.readout", {"aria-live": "off"});
    this.trouble = el("div");
    this.element = el("section.card.listen", {"aria-label": "Listen"},
      el("div.transport", {}, this.button, this.choices, this.time),
      el("div.transport", {}, loop, difference, mono, solo),
      this.places, this.readout, this.trouble,
      el("p.soft.keys-hint", {}, "Keys: ", ["1", "2", "3"].map((k) => el("kbd", {}, k)), " switch, ", el("kbd", {}, "Space"), " plays and stops, ",
        el("kbd", {}, "L"), " loop, ", el("kbd", {}, "D"), " difference, ", el("kbd", {}, "M"), " mono. All versions play at equal loudness."));
  }

  /** The versions that can be heard. */
  _versions() {
    const heard = this.listening?.heard ?? "result";
    const group = fresh("heard");
    const names = ["target", "result", ...(this.session.hasReference ? ["reference"] : []), ...(this.session.other() ? ["other"] : [])];
    this.names = names;
    this.choices.replaceChildren(...names.map((name, n) => el(`label.${name}`, {},
      el("input", {type: "radio", name: group, value: name, checked: name === heard, onchange: () => this.hear(name)}),
      el("span", {}, el("kbd", {"aria-hidden": "true"}, String(n + 1)), NAMES[name]))));
  }

  /** Keys that work wherever the focus is; true where one was taken. */
  key(event) {
    const name = this.names[Number(event.key) - 1];
    if (name) this.hear(name);
    else if (event.key === " ") this.toggle();
    else if (this.flags[event.key.toLowerCase()]) this.flags[event.key.toLowerCase()].click();
    else return false;
    return true;
  }

  hear(name) {
    this.heard = name;
    this.listening?.hear(name);
    for (const input of this.choices.querySelectorAll("input")) input.checked = input.value === name;
  }

  async toggle() {
    if (this.listening?.isPlaying) {
      this.listening.stop();
      this._playing(false);
      return;
    }
    if (!this.listening) {
      this.listening = new Listening(new AudioContext({sampleRate: RATE_HZ, latencyHint: "interactive"}));
      this.listening.heard = this.heard ?? "result";
      this.listening.setMono(this.flags.m.checked);
      this.listening.setDifference(this.flags.d.checked);
      this.listening.setBand(this.band ?? "all");
    }
    await this.listening.context.resume();
    this._playing(true);
    await this._start();
  }

  _playing(on) {
    this.wanted = on;
    this.button.textContent = on ? "Stop" : "Play";
    this.button.setAttribute("aria-pressed", String(on));
    if (on) this._tick();
  }

  async _start() {
    try {
      const window_ = await this.loaded;
      if (this.wanted && window_) this.listening.play(window_, {loop: this.looping, levels: this._levels()});
    } catch (error) {
      this._failed(error);
    }
  }

  /** Choose what is played and looped. */
  choose(start_s, length_s) {
    const tap = length_s < SHORTEST_S / 2;
    this.length_s = Math.min(LONGEST_S, this.duration_s, Math.max(SHORTEST_S, tap ? this.length_s : length_s));
    this.start_s = Math.max(0, Math.min(start_s, this.duration_s - this.length_s));
    this._shown();
    this._load();
    if (this.wanted) this._start();
  }

  _moveReference(start_s) {
    this.reference_s = Math.max(0, Math.min(start_s, this.session.view.tracks.reference.duration_s - this.length_s));
    this._shown();
    this._load();
    if (this.wanted) this._start();
  }

  _setLoop(on) {
    this.looping = on;
    this._load();
    if (this.wanted) this._start();
  }

  _shown() {
    const [start, end] = [this.start_s, this.start_s + this.length_s];
    for (const lane of this.lanes) if (lane !== this.referenceLane) lane.show([start, end]);
    this.referenceLane?.show([this.reference_s, Math.min(this.reference_s + this.length_s, this.session.view.tracks.reference.duration_s)]);
    const {fromInput, lengthInput, referenceInput} = this.inputs;
    fromInput.value = start.toFixed(1);
    lengthInput.value = this.length_s.toFixed(1);
    referenceInput.value = this.reference_s.toFixed(1);
  }

  /** Fetch the stretch in all versions. */
  _load() {
    this.loading?.abort();
    this.loading = new AbortController();
    const length_s = this.looping ? this.length_s : Math.min(PIECE_S, this.duration_s - this.start_s);
    this.loaded = this._window(this.start_s, length_s, this.loading.signal);
    this.loaded.then((window_) => { this.parts = window_.parts; this._measured(window_); }, (error) => this._failed(error));
  }

  async _window(start_s, length_s, signal) {
    const [start, count] = [Math.round(start_s * RATE_HZ), Math.max(1, Math.round(length_s * RATE_HZ))];
    const wanted = {target: api.sound(this.session.id, "target", start, count, signal), result: this._result(start, count, signal)};
    if (this.session.hasReference) {
      const from = Math.round((this.reference_s + start_s - this.start_s) * RATE_HZ);
      wanted.reference = api.sound(this.session.id, "reference", from, count, signal);
    }
    if (this.session.other()) wanted.other = api.sound(this.session.other(), "result", start, count, signal);
    const parts = await Promise.all(Object.entries(wanted).map(async ([name, part]) => [name, await part]));
    return {start, count, parts: Object.fromEntries(parts)};
  }

  _result(start, count, signal) {
    const steps = this.session.steps();
    return steps ? api.section(this.session.id, steps, start, count, signal) : api.sound(this.session.id, "result", start, count, signal);
  }

  /** After a change of the plan: what plays is rendered again and put in its place. */
  async _rendered() {
    const window_ = await this.loaded.catch(() => null);
    if (!window_) { this._load(); return; }
    const current = this.listening?.isPlaying && this.listening.window ? this.listening.window : window_;
    this.rendering?.abort();
    this.rendering = new AbortController();
    const began = performance.now();
    this.element.classList.add("busy");
    try {
      const part = await this._result(current.start, current.count, this.rendering.signal);
      current.parts.result = part;
      if (this.listening?.isPlaying && this.listening.window === current) {
        this.listening.swap("result", part);
        if (!this.looping) this.listening.setLevels(this._levels());
      }
      this.last_ms = performance.now() - began;
      this._measured(current, `rendered again in ${(this.last_ms / 1000).toFixed(2)} s`);
      this.element.dispatchEvent(new CustomEvent("rendered", {detail: {ms: this.last_ms, lufs: part.lufs}}));
      this.trouble.replaceChildren();
    } catch (error) {
      this._failed(error);
    } finally {
      this.element.classList.remove("busy");
    }
  }

  /** Another plan to compare with was chosen, or none. */
  compare() {
    this._versions();
    this._load();
    if (this.wanted) this._start();
    if (!this.session.other() && this.heard === "other") this.hear("result");
  }

  /** Whole tracks are matched by their own loudness while the music plays on; a loop by what it holds. */
  _levels() {
    if (this.looping) return null;
    const {target, result, reference} = this.session.view.tracks;
    const level = (track) => ({lufs: track.integrated_lufs, peak: 10 ** (track.true_peak_dbtp / 20)});
    const levels = {target: level(target), result: level(result), other: level(result)};
    if (this.session.hasReference) levels.reference = level(reference);
    const now = this.parts.result;
    if (this.session.steps() && now && this.parts.target) {  // as far as this stretch tells of the whole
      levels.result = {lufs: target.integrated_lufs + now.lufs - this.parts.target.lufs, peak: Math.max(now.peak, 0.01)};
    }
    return levels;
  }

  _measured({parts}, note = "") {
    const said = Object.entries(parts).map(([name, part]) =>
      `${NAMES[name]} ${figure(part.lufs)} LUFS${part.reduction_db > 0.1 ? ` (limiter up to ${part.reduction_db.toFixed(1)} dB)` : ""}`);
    const more = parts.target && parts.result ? ` After is ${change(parts.result.lufs - parts.target.lufs)} LU against before.` : "";
    this.readout.textContent = `This stretch: ${said.join(", ")}.${more}${note ? ` (${note})` : ""}`;
  }

  _failed(error) {
    if (error.name === "AbortError") return;
    this.trouble.replaceChildren(problem(error));
    this._playing(false);
  }

  /** Move the lines, and fetch what comes next while a track plays on. */
  _tick() {
    if (!this.wanted || !this.element.isConnected) {
      this.lanes.forEach((lane) => lane.at(null));
      if (!this.element.isConnected) this.listening?.stop();
      return;
    }
    if (this.listening.isPlaying) {
      if (this.listening.turned()) this.parts = this.listening.window.parts;
      const position = this.listening.position_s();
      this.time.textContent = clock(position);
      const own = position - this.start_s + this.reference_s;
      for (const lane of this.lanes) lane.at(lane === this.referenceLane ? own : position);
      if (!this.looping) this._ahead(position);
    }
    requestAnimationFrame(() => this._tick());
  }

  _ahead() {
    const {listening} = this;
    const end_s = (listening.window.start + listening.window.count) / RATE_HZ;
    if (listening.left_s() < 0 && !listening.next) {
      listening.stop();
      this._playing(false);
      return;
    }
    if (listening.left_s() > AHEAD_S || listening.next || this.fetching || end_s >= this.duration_s - 0.01) return;
    this.fetching = true;
    const window_ = listening.window;
    this._window(end_s, Math.min(PIECE_S, this.duration_s - end_s), this.loading.signal)
      .then((next) => { if (listening.isPlaying && listening.window === window_) listening.follow(next); }, (error) => this._failed(error))
      .finally(() => { this.fetching = false; });
  }
}
