// One finished match: listen, look, adjust, take away.

import {api} from "./api.js";
import {pictures} from "./charts.js";
import {el, figure, problem, settled} from "./dom.js";
import {Player} from "./player.js";
import {Steps} from "./steps.js";
import {Downloads} from "./downloads.js";

const IDLE_MS = 5000;
const copy = (value) => JSON.parse(JSON.stringify(value));

export class Session {
  constructor(job, bounds, state) {
    this.job = job;
    this.id = job.id;
    this.view = job.view;
    this.root = job.of ?? job.id;
    this.plan = job.plan;
    this.hasReference = job.references.length > 0;
    this.rendered = JSON.stringify(job.plan.steps);
    this.past = [this.rendered];
    this.future = [];
    this.compared = null;
    this.state = state;
    this.steps_ = new Steps(this.plan, bounds, (done) => this._changed(done));
    this.player = new Player(this);
    this.downloads = new Downloads(this, state);
    this._idle = settled(IDLE_MS, () => this._draft());
    this._settle = settled(250, () => this._remember());
    this.element = this._page();
  }

  /** The plan's steps where they are not what was rendered; else null. */
  steps() {
    return JSON.stringify(this.plan.steps) === this.rendered ? null : this.plan.steps;
  }

  other() {
    return this.compared;
  }

  key(event) {
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key.toLowerCase() === "z") { (event.shiftKey ? this.redo : this.undo).call(this); return true; }
    if (control && event.key.toLowerCase() === "y") { this.redo(); return true; }
    return !control && !event.altKey && this.player.key(event);
  }

  leave() {
    this.player.listening?.stop();
    this.player.listening?.context.close();
    this.left = true;
  }

  undo() {
    this._remember();
    if (this.past.length < 2) return;
    this.future.push(this.past.pop());
    this._restore(this.past[this.past.length - 1]);
  }

  redo() {
    if (!this.future.length) return;
    this.past.push(this.future.pop());
    this._restore(this.past[this.past.length - 1]);
  }

  _changed(done) {
    this.player.refresh();
    if (done) this._settle();
  }

  /** Put the plan as it is among what can be undone. */
  _remember() {
    const now = JSON.stringify(this.plan.steps);
    if (now !== this.past[this.past.length - 1]) {
      this.past.push(now);
      this.future = [];
    }
    this._buttons();
    this._idle();
  }

  _restore(text) {
    this.plan.steps = JSON.parse(text);
    this.steps_.draw();
    this.player.refresh();
    this._buttons();
    this._idle();
  }

  _buttons() {
    this.undoButton.disabled = this.past.length < 2;
    this.redoButton.disabled = !this.future.length;
    this.resetButton.disabled = !this.steps();
    this.note.textContent = this.steps() ? "Changed: what you hear is rendered as you listen." : "";
    this.downloads.update();
  }

  /** Render a changed plan over the whole track in the background, once nobody turns anything any more. */
  async _draft() {
    if (this.left || !this.steps()) return;
    await this.render("Changed plan", true).catch((error) => this.trouble.replaceChildren(problem(error)));
  }

  /** The job that renders the plan as it is; the one that is there already where nothing has changed since. */
  async render(title, draft) {
    const text = JSON.stringify(this.plan.steps);
    if (this.pending?.text === text) {
      if (!draft) await api.keep(this.pending.id);
      return this.pending.id;
    }
    const made = await api.render(this.id, copy(this.plan.steps), title, draft);
    this.pending = {text, id: made.id};
    this.downloads.watch(made.id);
    return made.id;
  }

  /** The jobs of this track have moved on. */
  update(state) {
    this.state = state;
    this.downloads.update(state);
    const mine = state.jobs.filter((job) => job.status === "done" && job.id !== this.id && (job.of ?? job.id) === this.root);
    const names = mine.map((job) => job.id + job.title).join();
    if (names === this.versions) return;
    this.versions = names;
    const name = (job) => (job.of ? `${job.title}${job.draft ? " (in the background)" : ""}` : "The automatic plan");
    this.compareSelect.replaceChildren(el("option", {value: ""}, "nothing"), ...mine.map((job) => el("option", {value: job.id, selected: job.id === this.compared}, name(job))));
    this.compareField.hidden = !mine.length;
    if (this.compared && !mine.some((job) => job.id === this.compared)) { this.compared = null; this.player.compare(); }
    this.versionLinks.replaceChildren(...mine.map((job) => el("a", {href: `#/job/${job.id}`}, `Open: ${name(job)}`)));
  }

  _page() {
    const {view, job} = this;
    this.undoButton = el("button.small", {type: "button", disabled: true, onclick: () => this.undo()}, "Undo");
    this.redoButton = el("button.small", {type: "button", disabled: true, onclick: () => this.redo()}, "Redo");
    this.resetButton = el("button.small", {type: "button", disabled: true, onclick: () => { this._restore(this.rendered); this._remember(); }}, "Back to this plan");
    this.note = el("span.soft", {role: "status"});
    this.trouble = el("div");
    this.compareSelect = el("select", {onchange: () => { this.compared = this.compareSelect.value || null; this.player.compare(); }});
    this.compareField = el("label.inline", {hidden: true}, "Compare with ", this.compareSelect);
    this.versionLinks = el("div.links");
    const names = `${view.tracks.target.name} beside ${view.tracks.reference.name}`;
    return el("div.session", {},
      el("p.crumbs", {}, el("a", {href: "#/"}, "← All masters"), job.of ? el("a", {href: `#/job/${job.of}`}, "The automatic plan") : null),
      el("h1", {}, names), job.of ? el("p.soft", {}, job.title) : null,
      el("p.verdict", {}, view.verdict),
      view.warnings.map((warning) => el("p.warning", {}, el("strong", {}, "Note: "), warning)),
      el("h2", {}, "Listen"), this.player.element,
      el("div.bar", {}, el("h2", {}, "Adjust"), this.undoButton, this.redoButton, this.resetButton, this.compareField, this.note), this.trouble,
      this.steps_.eqCard, this.steps_.element, this.versionLinks,
      el("h2", {}, "Take it away"), this.downloads.element,
      el("h2", {}, "What was measured"), figures(view), el("div.pictures", {}, pictures(view)),
      view.remarks.length || view.remaining.length ? el("h2", {}, "What remains") : null,
      [...view.remarks, ...view.remaining].map((text) => el("p", {}, text)),
      el("p.soft", {}, `Made by ${view.made_by} in ${view.seconds.toFixed(1)} s.`),
    );
  }
}

/** Before, after, reference, and whether it is near enough. */
function figures(view) {
  const rows = view.figures.map((row) => {
    const off = row.after - row.reference;
    const said = row.within ? "✓ within" : `${off > 0 ? "+" : "−"}${Math.abs(off).toFixed(row.digits)}`;
    return el("tr", {}, el("th", {scope: "row"}, row.name), ...["before", "after", "reference"].map((k) => el("td", {}, figure(row[k], row.digits))),
      el("td.soft", {}, row.unit), el("td.soft", {}, row.tolerance ? `±${row.tolerance}` : "any"), el("td", {}, said));
  });
  const head = ["", "Before", "After", "Reference", "Unit", "Tolerance", "Verdict"].map((name) => (name ? el("th", {scope: "col"}, name) : el("td")));
  return el("div.scroll.card", {tabindex: 0, role: "region", "aria-label": "Figures"}, el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}

