"use strict";

// Everything in here was said by somebody else: it becomes text, and nothing but text.
const run = JSON.parse(document.getElementById("run").textContent);

function byId(id) {
  return document.getElementById(id);
}

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Text of somebody else's, which may run from right to left and must not turn what is beside it.
function foreign(text, name = "bdi", attributes = {}) {
  return make(name, { dir: "auto", ...attributes }, ...breakable(text));
}

// A browser takes seconds for a word of ten thousand letters, unless it is told where to break it.
function breakable(text) {
  if (!/\S{61}/u.test(text)) return [text];
  const parts = text.split(/(\S{60})(?=\S)/u);
  return parts.flatMap((part, number) => (number % 2 ? [part, make("wbr")] : [part]));
}

const DRAWN = "http://www.w3.org/2000/svg";

function draw(name, attributes, ...children) {
  const drawn = document.createElementNS(DRAWN, name);
  for (const [key, value] of Object.entries(attributes)) drawn.setAttribute(key, value);
  drawn.append(...children);
  return drawn;
}

function clock(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "-:--";
  const whole = Math.floor(seconds + 0.001);
  const rest = String(whole % 60).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function brief(seconds) {
  if (seconds === null) return "?";
  return seconds < 100 ? `${Math.round(seconds)} s` : clock(seconds);
}

// For a screen reader: the last thing said is read out.
function say(text) {
  byId("said").textContent = text;
}

function shorten(text, most = 80) {
  const marks = Array.from(text.slice(0, 4 * most));
  return marks.length > most ? `${marks.slice(0, most - 1).join("")}…` : marks.join("");
}
