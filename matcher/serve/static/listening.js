// Playing several tracks at once on one clock and hearing one of them: switching moves gains and nothing else, so there
// is no gap and no shift between them, not by a sample. All are brought to one loudness, so that none wins by level.
//
//   node > fader (swaps) > gain (who is heard, level) > mono > band > output

export const RATE_HZ = 48000;
const RAMP_S = 0.012;
const LEAD_S = 0.03;
const JOINT_S = 0.004;
const HIGHEST = 0.9;
const SILENT_LUFS = -69;
export const BANDS = {all: [null, null], low: [null, 250], mid: [250, 4000], high: [4000, null]};

/** dB for each part that bring all to one loudness, as loud as none of them passes full scale. */
export function matching(levels) {
  const sounding = Object.values(levels).filter((level) => level.lufs > SILENT_LUFS && level.peak > 0);
  const common = Math.min(...sounding.map((level) => level.lufs - 20 * Math.log10(level.peak))) + 20 * Math.log10(HIGHEST);
  const gain = (level) => (level.lufs > SILENT_LUFS && level.peak > 0 ? common - level.lufs : 0);
  return Object.fromEntries(Object.entries(levels).map(([name, level]) => [name, gain(level)]));
}

export class Listening {
  /** context: of RATE_HZ; an OfflineAudioContext does as well. */
  constructor(context) {
    this.context = context;
    this.heard = "result";
    this.difference = false;
    this.window = null;
    this.gains = new Map();
    this.gains_db = {};
    this.playing = [];
    this.sum = new GainNode(context);
    this.mono = new GainNode(context);
    this.sum.connect(this.mono);
    this.output = new GainNode(context);
    this.output.connect(context.destination);
    this.filters = [];
    this.setBand("all");
  }

  /** Start a window {start, count, parts: {name: part}} together. levels: what to match by; the parts' own if null. */
  play(window, {offset_s = 0, loop = true, levels = null, when = null} = {}) {
    this.stop();
    this.loop = loop;
    this.levels = levels;
    const at = when ?? this.context.currentTime + (this.context.currentTime > 0 ? LEAD_S : 0);
    this._begin(window, at, offset_s);
    this._level(0, at);
  }

  /** Another window to come without a gap where this one ends; not for loops. */
  follow(window) {
    const end = this.started + this.window.count / RATE_HZ;
    this.next = {window, nodes: Object.entries(window.parts).map(([name, part]) => this._node(name, part, end, 0, 1))};
    this.next_at = end;
    for (const [name, part] of Object.entries(window.parts)) this.next.window.parts[name] = part;
  }

  /** Whether the following window has begun; it is the window from then on. */
  turned() {
    if (!this.next || this.context.currentTime < this.next_at) return false;
    this.window = this.next.window;
    this.playing = this.next.nodes;
    this.started = this.next_at;
    this.next = null;
    return true;
  }

  /** Put another part in the place of one that plays, at the same moment of the music. */
  swap(name, part) {
    this.window.parts[name] = part;
    if (!this.playing.length) return;
    const at = this.context.currentTime + LEAD_S;
    for (const old of this.playing.filter((one) => one.name === name)) this._fade(old, at);
    this.playing = this.playing.filter((one) => one.name !== name);
    const made = this._node(name, part, at, this._offset(at), 0);
    made.fader.gain.setValueAtTime(0, at);
    made.fader.gain.linearRampToValueAtTime(1, at + RAMP_S);
    this.playing.push(made);
    this._level(RAMP_S, at);
  }

  /** Take a part away. */
  drop(name) {
    if (this.window) delete this.window.parts[name];
    for (const old of this.playing.filter((one) => one.name === name)) this._fade(old, this.context.currentTime);
    this.playing = this.playing.filter((one) => one.name !== name);
    if (this.heard === name) this.hear("result");
  }

  /** Hear one part; when: a time of the context, now if null. */
  hear(name, when = null) {
    this.heard = name;
    this._level(RAMP_S, when);
  }

  /** Hear what the heard part has more or less than the target, both at one loudness. */
  setDifference(on) {
    this.difference = on;
    this._level(RAMP_S);
  }

  setLevels(levels) {
    this.levels = levels;
    this._level(RAMP_S);
  }

  setMono(on) {
    this.mono.channelCount = on ? 1 : 2;
    this.mono.channelCountMode = on ? "explicit" : "max";
  }

  /** all, low, mid or high: fourth-order slopes of two Butterworth filters in a row. */
  setBand(band) {
    const [from_hz, to_hz] = BANDS[band];
    const made = [];
    for (const [type, hz] of [["highpass", from_hz], ["lowpass", to_hz]]) {
      if (hz === null) continue;
      for (let n = 0; n < 2; n += 1) made.push(new BiquadFilterNode(this.context, {type, frequency: hz, Q: -3.0103}));
    }
    this.mono.disconnect();
    for (const old of this.filters) old.disconnect();
    [this.mono, ...made].reduce((from, to) => (from.connect(to), to)).connect(this.output);
    this.filters = made;
  }

  stop() {
    for (const one of [...this.playing, ...(this.next ? this.next.nodes : [])]) this._fade(one, this.context.currentTime);
    this.playing = [];
    this.next = null;
  }

  get isPlaying() {
    return this.playing.length > 0;
  }

  /** Where in the track the clock stands, seconds. */
  position_s() {
    if (!this.window) return 0;
    return this.window.start / RATE_HZ + this._offset(this.context.currentTime);
  }

  /** Seconds until this window ends. */
  left_s() {
    return this.started + this.window.count / RATE_HZ - this.context.currentTime;
  }

  _offset(at) {
    const length = this.window.count / RATE_HZ;
    const passed = Math.max(0, at - this.started);
    return this.loop ? passed % length : Math.min(passed, length);
  }

  _begin(window, at, offset_s) {
    this.window = window;
    this.started = at - offset_s;
    this.playing = Object.entries(window.parts).map(([name, part]) => this._node(name, part, at, offset_s, 1));
  }

  _node(name, part, at, offset_s, fader) {
    const source = new AudioBufferSourceNode(this.context, {buffer: this._buffer(part), loop: this.loop});
    const faded = new GainNode(this.context, {gain: fader});
    source.connect(faded).connect(this._gain(name));
    source.start(at, offset_s);
    return {name, source, fader: faded};
  }

  _gain(name) {
    if (!this.gains.has(name)) {
      const gain = new GainNode(this.context, {gain: 0});
      gain.connect(this.sum);
      this.gains.set(name, gain);
    }
    return this.gains.get(name);
  }

  /** The samples; a loop's ends are rounded off so that its joint does not click. */
  _buffer(part) {
    const kept = this.loop ? "looped" : "plain";
    if (part[kept]) return part[kept];
    const count = part.channels[0].length;
    const buffer = new AudioBuffer({numberOfChannels: part.channels.length, length: count, sampleRate: RATE_HZ});
    const joint = this.loop ? Math.min(Math.round(JOINT_S * RATE_HZ), count >> 1) : 0;
    part.channels.forEach((samples, channel) => {
      const made = joint ? samples.slice() : samples;
      for (let n = 0; n < joint; n += 1) {
        made[n] *= n / joint;
        made[count - 1 - n] *= n / joint;
      }
      buffer.copyToChannel(made, channel);
    });
    part[kept] = buffer;
    return buffer;
  }

  _fade(one, at) {
    one.fader.gain.cancelScheduledValues(at);
    one.fader.gain.setValueAtTime(one.fader.gain.value, at);
    one.fader.gain.linearRampToValueAtTime(0, at + RAMP_S);
    try { one.source.stop(at + RAMP_S + 0.01); } catch { /* it had not begun */ }
  }

  /** Everybody's gain, over a short ramp that sums to one between two that are switched. */
  _level(ramp_s, when = null) {
    if (!this.window) return;
    this.gains_db = matching(this.levels || this.window.parts);
    const at = when ?? this.context.currentTime;
    for (const name of new Set([...this.gains.keys(), ...Object.keys(this.window.parts)])) {
      const gain = this._gain(name).gain;
      const matched = 10 ** ((this.gains_db[name] ?? 0) / 20);
      const sign = name === this.heard ? 1 : this.difference && name === "target" ? -1 : 0;
      if (gain.cancelAndHoldAtTime) gain.cancelAndHoldAtTime(at);
      else gain.cancelScheduledValues(at);
      if (ramp_s === 0) {
        gain.setValueAtTime(sign * matched, at);
        gain.aimed = sign * matched;
        continue;
      }
      gain.setValueAtTime(this._now(gain), at);
      gain.linearRampToValueAtTime(sign * matched, at + ramp_s);
      gain.aimed = sign * matched;
    }
  }

  /** A gain's value; in a context that does not run yet it is what was last aimed at. */
  _now(gain) {
    return this.context instanceof OfflineAudioContext ? gain.aimed ?? gain.value : gain.value;
  }
}
