// The start page: give it a mix and a reference, and see how the work goes.

import {api} from "./api.js";
import {clock, el, fresh, problem} from "./dom.js";

const STAGES = {analyze: "Listening to the tracks", repair: "Mending damage", plan: "Deciding", render: "Making the master"};
const SHARES = {analyze: [0, 0.4], repair: [0.4, 0.45], plan: [0.45, 0.65], render: [0.65, 1]};
const WORDS = {queued: "Waiting", running: "At work", done: "Done", failed: "Failed", cancelled: "Cancelled"};

export class Home {
  constructor(state) {
    this.state = state;
    this.targets = new Drop("Your mix", "Drop a mix here; several make an album", state);
    this.references = new Drop("Reference", "Drop the record it shall stand beside", state);
    this.trouble = el("div");
    this.go = el("button.primary.large", {type: "submit", disabled: true}, "Make the master");
    for (const drop of [this.targets, this.references]) drop.onchange = () => this._ready();
    this.list = el("div.jobs");
    this.empty = el("p.soft", {}, "Nothing here yet. What you make stays here, also when the page or the server ends.");
    this.preset = this._presets();
    const form = el("form", {onsubmit: (event) => { event.preventDefault(); this._start(); }},
      el("div.drops", {}, this.targets.element, this.references.element), this.preset, this._options(), this.trouble, el("div.center", {}, this.go));
    this.element = el("div.home", {},
      el("div.hero", {}, el("h1", {}, "A master that stands beside your reference"),
        el("p.lead", {}, "Drop your mix and a record you trust. Nothing leaves this computer.")),
      form, el("h2", {}, "Your masters"), this.empty, this.list);
    this.rows = new Map();
    this.update(state);
  }

  _presets() {
    const names = Object.entries(this.state.presets);
    if (!names.length) return null;
    this.presetSelect = el("select", {onchange: () => this._ready()}, el("option", {value: ""}, "none: match to the reference"), names.map(([name, title]) => el("option", {value: name}, title)));
    return el("div.center", {}, el("label.inline", {}, "Or a preset in its place: ", this.presetSelect));
  }

  _options() {
    const number = (label, placeholder, given) => {
      const input = el("input", {type: "number", placeholder, ...given});
      return [el("label.field", {}, el("span", {}, label), input), input];
    };
    const [loudness, loudnessInput] = number("Loudness, LUFS", "the reference's", {min: -60, max: 0, step: 0.1});
    const [ceiling, ceilingInput] = number("Ceiling, dBTP", "−1.0", {min: -30, max: 0, step: 0.1});
    const [amount, amountInput] = number("Amount, %", "100", {min: 0, max: 100, step: 1});
    const restore = el("select", {}, [["auto", "where it is sure"], ["strong", "on weaker signs too"], ["off", "not at all"]].map(([value, text]) => el("option", {value}, text)));
    const levels = el("select", {}, [["keep", "kept beside each other"], ["even", "all as loud as the lead"]].map(([value, text]) => el("option", {value}, text)));
    this.levels = levels;
    this.albumField = el("label.field", {hidden: true}, el("span", {}, "Loudness of the tracks"), levels);
    this.aims = () => {
      const aims = {restore: restore.value};
      if (Number.isFinite(loudnessInput.valueAsNumber)) aims.loudness_lufs = loudnessInput.valueAsNumber;
      if (Number.isFinite(ceilingInput.valueAsNumber)) aims.ceiling_dbtp = ceilingInput.valueAsNumber;
      if (Number.isFinite(amountInput.valueAsNumber)) aims.amount = amountInput.valueAsNumber / 100;
      return aims;
    };
    return el("details.options", {}, el("summary", {}, "Options"),
      el("div.fields", {}, loudness, ceiling, amount, el("label.field", {}, el("span", {}, "Mend damage"), restore), this.albumField));
  }

  get _preset() {
    return this.presetSelect?.value || null;
  }

  _ready() {
    const album = this.targets.sounds.length > 1;
    this.albumField.hidden = !album;
    this.go.textContent = album ? `Make an album of ${this.targets.sounds.length} tracks` : "Make the master";
    this.go.disabled = !this.targets.sounds.length || !(this.references.sounds.length || this._preset) || this.targets.busy || this.references.busy;
  }

  async _start() {
    const album = this.targets.sounds.length > 1;
    this.go.disabled = true;
    try {
      const job = await api.add({
        kind: album ? "album" : "match", targets: this.targets.sounds.map((s) => s.id),
        references: this._preset ? [] : this.references.sounds.map((s) => s.id), preset: this._preset, aims: this.aims(), levels: this.levels.value,
      });
      this.targets.clear();
      this.trouble.replaceChildren();
      this.started = job.id;
      this.update(await api.state());
      this.rows.get(job.id)?.element.scrollIntoView({block: "nearest", behavior: "smooth"});
    } catch (error) {
      this.trouble.replaceChildren(problem(error));
    }
    this._ready();
  }

  /** The list as the server tells it. */
  update(state) {
    this.state = state;
    const jobs = state.jobs.filter((job) => job.kind !== "render").reverse();
    this.empty.hidden = jobs.length > 0;
    for (const [id, row] of this.rows) if (!jobs.some((job) => job.id === id)) { row.element.remove(); this.rows.delete(id); }
    jobs.forEach((job, n) => {
      if (!this.rows.has(job.id)) this.rows.set(job.id, new Row(job));
      const row = this.rows.get(job.id);
      row.update(job);
      if (this.list.children[n] !== row.element) this.list.insertBefore(row.element, this.list.children[n] ?? null);
    });
  }

  key() { return false; }
  leave() {}
}

/** A place for files: dropped, or chosen by the keyboard. */
class Drop {
  constructor(title, hint, state) {
    this.state = state;
    this.sounds = [];
    this.busy = 0;
    this.onchange = () => {};
    const id = fresh("files");
    this.input = el("input.visually-hidden", {type: "file", id, multiple: true, accept: [...state.suffixes, "audio/*"].join(","), onchange: () => { this.take([...this.input.files]); this.input.value = ""; }});
    this.list = el("ul.files");
    this.element = el("section.drop", {"aria-label": title}, el("h2", {}, title), el("p.soft", {}, hint), this.input, el("label.button", {for: id}, "Choose files"), this.list);
    for (const kind of ["dragenter", "dragover"]) this.element.addEventListener(kind, (event) => { event.preventDefault(); this.element.classList.add("over"); });
    for (const kind of ["dragleave", "drop"]) this.element.addEventListener(kind, () => this.element.classList.remove("over"));
    this.element.addEventListener("drop", async (event) => { event.preventDefault(); this.take(await dropped(event.dataTransfer)); });
  }

  async take(files) {
    const known = files.filter((file) => this.state.suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix)));
    if (!known.length && files.length) this.list.append(el("li", {}, problem(new Error(`${files[0].name}: is no sound file that is taken here; allowed are ${this.state.suffixes.join(", ")}`))));
    this.list.querySelectorAll(".problem").forEach((old) => known.length && old.closest("li").remove());
    for (const file of known) await this._one(file);
  }

  async _one(file) {
    const bar = el("progress", {max: 1, value: 0, "aria-label": `Taking in ${file.name}`});
    const item = el("li", {}, el("span.name", {}, file.name), bar);
    this.list.append(item);
    this.busy += 1;
    this.onchange();
    try {
      if (file.size > this.state.largest_bytes) throw new Error(`${file.name}: ${(file.size / 1e6).toFixed(0)} MB are more than the ${(this.state.largest_bytes / 1e6).toFixed(0)} MB that are taken`);
      const sound = await api.upload(file, (share) => { bar.value = share; });
      this.sounds.push(sound);
      const remove = el("button.quiet", {type: "button", "aria-label": `Take ${sound.name} away`, onclick: () => { this.sounds = this.sounds.filter((s) => s !== sound); item.remove(); this.onchange(); }}, "×");
      item.replaceChildren(el("span.name", {}, sound.name), el("span.soft", {}, `${clock(sound.duration_s)}, ${sound.sample_rate_hz / 1000} kHz`), remove);
    } catch (error) {
      item.replaceChildren(problem(error));
    } finally {
      this.busy -= 1;
      this.onchange();
    }
  }

  clear() {
    this.sounds = [];
    this.list.replaceChildren();
  }
}

/** One job in the list. */
class Row {
  constructor(job) {
    this.job = job;
    this.words = el("span.state");
    this.bar = el("progress", {max: 1, "aria-label": `Progress of ${job.title}`});
    this.trouble = el("div");
    const act = (text, call, more = {}) => el("button.small", {type: "button", onclick: () => call().catch((error) => this.trouble.replaceChildren(problem(error))), ...more}, text);
    this.cancel = act("Cancel", () => api.cancel(job.id), {"aria-label": `Cancel ${job.title}`});
    this.again = act("Try again", () => api.again(job.id), {"aria-label": `Try ${job.title} again`});
    this.remove = act("Remove", async () => {
      if (this.remove.dataset.sure) { await api.remove(job.id); return; }
      this.remove.dataset.sure = "1";
      this.remove.textContent = "Remove for good?";
      setTimeout(() => { delete this.remove.dataset.sure; this.remove.textContent = "Remove"; }, 4000);
    });
    this.open = el("a.button.primary", {href: `#/job/${job.id}`, "aria-label": `Open ${job.title}`}, "Open");
    this.element = el("article.job", {"aria-label": job.title}, el("div.job-text", {}, el("strong.name", {}, job.title), this.words, this.bar), el("div.job-buttons", {}, this.open, this.cancel, this.again, this.remove), this.trouble);
  }

  update(job) {
    const running = job.status === "running", active = running || job.status === "queued";
    const [from, to] = SHARES[job.stage] ?? [0, 0];
    this.bar.hidden = !active;
    this.bar.value = running ? from + (to - from) * (job.share ?? 0) : 0;
    const stage = running && STAGES[job.stage] ? `${STAGES[job.stage]}, ${Math.round(100 * job.share)} %` : WORDS[job.status];
    this.words.textContent = job.status === "failed" ? `Failed: ${job.error}` : job.status === "done" ? `Done, ${new Date(job.created * 1000).toLocaleString([], {dateStyle: "medium", timeStyle: "short"})}` : stage;
    this.element.dataset.status = job.status;
    this.open.hidden = job.status !== "done";
    this.cancel.hidden = !active;
    this.again.hidden = job.status !== "failed" && job.status !== "cancelled";
    this.remove.hidden = active;
  }
}

/** Files that were dropped, those inside folders too, by name. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) { found.push(await new Promise((resolve, reject) => entry.file(resolve, reject))); return; }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return;
      for (const one of some) await walk(one);
    }
  };
  for (const entry of entries) await walk(entry);
  return found.sort((a, b) => a.name.localeCompare(b.name, undefined, {numeric: true}));
}
