// Which page is shown, and the server's state kept fresh.

import {Album} from "./album.js";
import {api} from "./api.js";
import {el, problem, say} from "./dom.js";
import {Home} from "./home.js";
import {Session} from "./session.js";

const BUSY_MS = 400, IDLE_MS = 2500;
const place = document.getElementById("main");
let page = null, controls = null, state = null, shown = null;

async function show() {
  const route = location.hash;
  const id = /^#\/job\/([0-9a-f]{16})$/.exec(route)?.[1];
  page?.leave();
  page = null;
  shown = route;
  place.replaceChildren(el("p.soft.loading", {}, "One moment…"));
  try {
    state = await api.state();
    let made;
    if (!id) made = new Home(state);
    else {
      controls ??= await api.controls();
      const job = await api.job(id);
      if (job.status !== "done") { location.hash = "#/"; return; }
      made = job.kind === "album" ? new Album(job) : new Session(job, controls, state);
    }
    if (shown !== route) { made.leave(); return; }
    page = made;
    place.replaceChildren(page.element);
    document.title = id ? `${document.querySelector("h1").textContent} – match` : "match";
    page.update(state);
    if (window.moved) { place.focus({preventScroll: true}); scrollTo(0, 0); }
    window.moved = true;
  } catch (error) {
    place.replaceChildren(problem(error), el("p", {}, el("a", {href: "#/"}, "To the start page")));
  }
}

async function keep() {
  try {
    state = await api.state();
    page?.update(state);
    const busy = state.jobs.filter((job) => job.status === "running" || job.status === "queued").length;
    say(busy ? `${busy} at work or waiting` : "");
    setTimeout(keep, busy ? BUSY_MS : IDLE_MS);
  } catch (error) {
    say(error.message);
    setTimeout(keep, IDLE_MS);
  }
}

document.addEventListener("keydown", (event) => {
  const focus = document.activeElement;
  const typing = focus.matches("textarea, select, input:not([type=radio]):not([type=range]):not([type=checkbox])");
  const acts = event.key === " " && focus.matches("button, summary, a, input[type=checkbox]") && !focus.matches(".handle");
  if (typing || acts || event.defaultPrevented) return;
  if (page?.key(event)) event.preventDefault();
});
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());  // no file opens itself
addEventListener("hashchange", show);
show().then(keep);
