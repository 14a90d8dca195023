// The master, the plan and the report as files.

import {api} from "./api.js";
import {el, problem, say} from "./dom.js";

const CONTAINERS = {wav: "WAV", flac: "FLAC", aiff: "AIFF"};
const DEPTHS = {16: "16 bit", 24: "24 bit", 32: "32 bit float"};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Downloads {
  constructor(session, state) {
    this.session = session;
    this.containers = state.containers;
    this.format = el("select", {onchange: () => this._depths()}, Object.keys(this.containers).map((name) => el("option", {value: name}, CONTAINERS[name])));
    this.depth = el("select");
    this._depths();
    this.place = el("select", {onchange: () => this._placed()}, el("option", {value: ""}, "any place"), state.destinations.map((one) => el("option", {value: one.name}, one.title)));
    this.master = el("button.primary", {type: "button", onclick: () => this._take((id) => this._export(id))}, "Download the master");
    this.plan = el("button", {type: "button", onclick: () => this._take((id) => link(`/api/jobs/${id}/plan`))}, "The plan (JSON)");
    this.report = el("button", {type: "button", onclick: () => this._take((id) => link(`/api/jobs/${id}/report?download`))}, "The report (HTML)");
    this.show = el("a.button", {href: `/api/jobs/${session.id}/report`, target: "_blank", rel: "noopener"}, "Open the report");
    this.bar = el("progress", {max: 1, value: 0, hidden: true, "aria-label": "Rendering the whole track"});
    this.note = el("p.soft", {role: "status"});
    this.trouble = el("div");
    this.element = el("section.card.downloads", {"aria-label": "Download"},
      el("div.fields", {}, el("label.field", {}, el("span", {}, "For"), this.place), el("label.field", {}, el("span", {}, "Format"), this.format), el("label.field", {}, el("span", {}, "Bit depth"), this.depth), this.master, this.plan, this.report, this.show),
      this.bar, this.note, this.trouble);
  }

  _depths() {
    const before = Number(this.depth.value) || 24;
    this.depth.replaceChildren(...this.containers[this.format.value].map((bits) => el("option", {value: bits, selected: bits === before}, DEPTHS[bits])));
  }

  /** A destination says itself what its file is like. */
  _placed() {
    this.format.disabled = this.depth.disabled = Boolean(this.place.value);
  }

  /** A render in the background to show the progress of. */
  watch(id) {
    this.watched = id;
    this.bar.hidden = false;
  }

  update(state = this.session.state) {
    this.master.textContent = this.session.steps() ? "Download the changed master" : "Download the master";
    this.show.hidden = Boolean(this.session.steps());
    const job = state.jobs.find((one) => one.id === this.watched);
    const active = job && (job.status === "running" || job.status === "queued");
    this.bar.hidden = !active;
    if (active) {
      this.bar.value = job.stage === "render" ? job.share : 0;
      this.note.textContent = "The changed plan is being rendered over the whole track in the background.";
    } else if (job?.status === "done" && this.session.pending?.id === job.id) {
      this.note.textContent = "The changed plan is rendered over the whole track.";
    } else if (job?.status === "failed") {
      this.note.textContent = `The changed plan could not be rendered: ${job.error}`;
    } else if (!this.working) this.note.textContent = this.told ?? "";
  }

  /** Do something with the finished job of the plan as it is, which is rendered first where it was changed. */
  async _take(what) {
    if (this.working) return;
    this.working = true;
    this.told = "";
    this.trouble.replaceChildren();
    try {
      let id = this.session.id;
      if (this.session.steps()) {
        id = await this.session.render("Changed plan", false);
        this.note.textContent = "Rendering the whole track…";
        for (;;) {
          const job = (await api.state()).jobs.find((one) => one.id === id);
          if (!job || job.status === "failed" || job.status === "cancelled") throw new Error(job?.error || "The render was stopped.");
          if (job.status === "done") break;
          await pause(250);
        }
      }
      await what(id);
    } catch (error) {
      this.trouble.replaceChildren(problem(error));
    } finally {
      this.working = false;
    }
  }

  async _export(id) {
    const destination = this.place.value;
    this.note.textContent = destination ? "Making the file, and listening behind the codecs of the place…" : "Writing the file…";
    const made = await api.export(id, destination ? {destination} : {container: this.format.value, bit_depth: Number(this.depth.value)});
    link(`/api/jobs/${id}/exports/${encodeURIComponent(made.name)}`);
    this.told = [`${made.name}, ${(made.size_bytes / 1e6).toFixed(1)} MB`, ...made.said].join(". ");
    this.note.textContent = this.told;
    say("");
  }
}

/** Let the browser save what an address gives. */
function link(href) {
  const anchor = el("a", {href, download: ""});
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
}
