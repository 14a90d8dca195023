// A finished album: every track before and after, and the masters to take away.

import {el, figure} from "./dom.js";

const COLUMNS = [["integrated_lufs", "LUFS"], ["range_lu", "LRA, LU"], ["true_peak_dbtp", "dBTP"], ["tilt_db_oct", "Tilt, dB/oct"]];

export class Album {
  constructor(job) {
    const {album} = job;
    const known = album.tracks.length ? COLUMNS.filter(([name]) => name in album.tracks[0].before) : [];
    const rows = album.tracks.map((track, n) => el("tr", {}, el("th", {scope: "row"}, track.name),
      known.map(([name]) => el("td", {}, `${figure(track.before[name])} → ${figure(track.after[name])}`)),
      el("td", {}, `${figure(track.distance_db.before)} → ${figure(track.distance_db.after)}`),
      el("td", {}, el("a.button.small", {href: `/api/jobs/${job.id}/masters/${n}`, download: "", "aria-label": `Download ${track.name}`}, "Download"))));
    const heads = ["Track", ...known.map(([, name]) => name), "From the centre, dB", ""].map((name) => (name ? el("th", {scope: "col"}, name) : el("td")));
    const failed = Object.entries(album.failed).map(([name, why]) => el("p.problem", {}, `${name}: ${why}`));
    const remarks = [...album.outliers, ...album.remarks, ...album.tracks.flatMap((track) => track.remarks.map((text) => `${track.name}: ${text}`))];
    this.element = el("div.session", {},
      el("p.crumbs", {}, el("a", {href: "#/"}, "← All masters")), el("h1", {}, `The album beside ${album.lead}`), failed,
      el("div.scroll.card", {tabindex: 0, role: "region", "aria-label": "Tracks"}, el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows))),
      remarks.map((text) => el("p", {}, text)));
  }

  update() {}
  key() { return false; }
  leave() {}
}
