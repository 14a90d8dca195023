// Elements without markup: whatever a file or a plan is called is set as text and can never become HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: el("p", {class: "soft", onclick: f}, "text", child, ...). null and false are left out. */
export function el(tag, given = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  if (classes.length) made.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked" || key === "disabled" || key === "hidden") made[key] = value;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== false && child !== undefined));
  return made;
}

/** 3:07 */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** -9.8, with a true minus; a dash for what is no number. */
export function figure(value, digits = 1) {
  return value === null || value === undefined || !Number.isFinite(value) ? "–" : minus(value.toFixed(digits));
}

/** The same with its sign, for changes. */
export function change(value, digits = 1) {
  const text = value.toFixed(digits);
  return Number(text) > 0 ? `+${text}` : minus(Number(text) === 0 ? (0).toFixed(digits) : text);
}

function minus(text) {
  return text.replace("-", "−");
}

/** 114 Hz, 2.83 kHz */
export function hertz(hz) {
  return hz < 1000 ? `${Math.round(hz)} Hz` : `${Number((hz / 1000).toPrecision(3))} kHz`;
}

let counted = 0;
/** An id that no other element has. */
export function fresh(prefix) {
  counted += 1;
  return `${prefix}-${counted}`;
}

/** Say something at the top, where a screen reader hears it as well. */
export function say(text) {
  document.getElementById("status").textContent = text;
}

/** A line about what went wrong. */
export function problem(error) {
  return el("p.problem", {role: "alert"}, error.message || String(error));
}

/** Calls that follow each other closely become one, `wait_ms` after the last. */
export function settled(wait_ms, call) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), wait_ms);
  };
}
