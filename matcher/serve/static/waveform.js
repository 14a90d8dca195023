// Waveforms in lanes, drawn from a few hundred peaks; a stretch is chosen by dragging across them.

import {colour} from "./charts.js";
import {clock, el} from "./dom.js";

const LANE_PX = 58;

export class Waveform {
  /** kind: target, result or reference; chosen(start_s, end_s): called when a stretch was dragged. */
  constructor(name, kind, {peaks, duration_s}, chosen) {
    Object.assign(this, {name, kind, peaks, duration_s, chosen});
    this.region = [0, 0];
    this.canvas = el("canvas", {"aria-hidden": "true"});
    this.head = el("div.playhead", {"aria-hidden": "true"});
    this.shade = el("div.region", {"aria-hidden": "true"});
    const label = el("span.lane-name", {}, name, el("span.soft", {}, ` ${clock(duration_s)}`));
    this.box = el("div.lane-box", {}, this.canvas, this.shade, this.head);
    this.element = el("div.lane", {}, label, this.box);
    new ResizeObserver(() => this.draw()).observe(this.box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this._drag();
  }

  draw() {
    const width = this.box.clientWidth, ratio = devicePixelRatio || 1;
    if (!width) return;
    this.canvas.width = width * ratio;
    this.canvas.height = LANE_PX * ratio;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.fillStyle = colour(this.kind);
    const {values, step_s} = this.peaks;
    const middle = LANE_PX / 2;
    for (let x = 0; x < width; x += 1) {
      const from = Math.floor((x / width) * this.duration_s / step_s);
      const to = Math.max(from + 1, Math.floor(((x + 1) / width) * this.duration_s / step_s));
      let peak = 0;
      for (let n = from; n < to && n < values.length; n += 1) peak = Math.max(peak, values[n] || 0);
      const half = Math.max(0.5, Math.min(1, peak) * (middle - 2));
      context.fillRect(x, middle - half, 1, 2 * half);
    }
    this.show(this.region);
  }

  /** Mark a stretch, seconds. */
  show([start, end]) {
    this.region = [start, end];
    this.shade.style.left = `${(100 * start) / this.duration_s}%`;
    this.shade.style.width = `${(100 * (end - start)) / this.duration_s}%`;
  }

  /** Put the line where the music is; null hides it. */
  at(position_s) {
    this.head.hidden = position_s === null;
    if (position_s !== null) this.head.style.left = `${Math.min(100, (100 * position_s) / this.duration_s)}%`;
  }

  _drag() {
    let from = null;
    const place = (event) => {
      const box = this.box.getBoundingClientRect();
      return this.duration_s * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    };
    this.box.addEventListener("pointerdown", (event) => {
      from = place(event);
      this.box.setPointerCapture(event.pointerId);
    });
    this.box.addEventListener("pointermove", (event) => {
      if (from !== null) this.show([Math.min(from, place(event)), Math.max(from, place(event))]);
    });
    this.box.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const to = place(event);
      const [start, end] = [Math.min(from, to), Math.max(from, to)];
      from = null;
      this.chosen(start, end);
    });
  }
}
