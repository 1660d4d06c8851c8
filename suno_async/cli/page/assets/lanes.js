
// A lane is one thing to listen to: the stem, or a track. It has a button, a waveform, a length.
const HEIGHT = 100;
const NEAR = "400px";

function lanesOf(row) {
  const lanes = [];
  if (row.stem !== null) lanes.push(laneOf("Stem", "Stem", row.stem));
  for (const track of row.tracks) {
    lanes.push(laneOf(track.letter, `Track ${shorten(track.letter, 8)}`, track));
  }
  return lanes;
}

function laneOf(name, text, source) {
  const lane = {
    name, source, label: text,
    address: source.address,
    duration: source.duration,
    audio: null,
    ready: false,
    wave: null,
    length: make("span", { class: "length" }, clock(source.duration)),
    buttons: new Map(),
  };
  lane.button = make(
    "button",
    { type: "button", class: "play", "aria-pressed": "false", "aria-label": `Play ${text}` },
    icon(), make("span", {}, text),
  );
  lane.area = make("div", { class: "wave", "aria-hidden": "true" });
  lane.node = make("div", { class: "lane", "data-lane": name }, lane.button, lane.area, lane.length);
  if (source.letter) lane.node.append(markButtons(lane));
  if (lane.address === null) withoutFile(lane, source);
  return lane;
}

function withoutFile(lane, source) {
  lane.node.classList.add("absent");
  lane.button.disabled = true;
  if (!source.link) {
    lane.length.textContent = "no file";
    return;
  }
  lane.area.removeAttribute("aria-hidden");
  lane.length.textContent = "";
  lane.area.append(
    make("a", { href: source.link, rel: "noreferrer noopener", target: "_blank" },
      "listen on the web"),
    " ", foreign(shorten(source.host, 60), "bdi", { class: "host" }),
  );
}

function icon() {
  return draw("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" },
    draw("path", { class: "go", d: "M4 2.5v11l9-5.5z" }),
    draw("path", { class: "stop", d: "M4 3h3v10H4zM9 3h3v10H9z" }));
}

const SIGNS = { keep: "M3 8.5l3.5 3.5L13 4.5", drop: "M4 4l8 8M12 4l-8 8" };

function markButtons(lane) {
  const group = make("div", { class: "marks", role: "group", "aria-label": `Mark ${lane.label}` });
  for (const mark of MARKS) {
    const text = mark === "keep" ? "Keep" : "Drop";
    const button = make(
      "button",
      {
        type: "button", class: mark, "data-mark": mark, "aria-pressed": "false",
        "aria-label": `${text} ${lane.label}`,
      },
      draw("svg", { viewBox: "0 0 16 16", class: "sign", "aria-hidden": "true" },
        draw("path", { d: SIGNS[mark] })),
      make("span", {}, text),
    );
    button.addEventListener("click", () => markTrack(lane, mark));
    lane.buttons.set(mark, button);
    group.append(button);
  }
  return group;
}

function markTrack(lane, mark) {
  const now = marks.toggle(lane.source.file, mark);
  showMarks(lane);
  say(now === null ? `${lane.label}: no mark` : `${lane.label}: ${now}`);
}

function showMarks(lane) {
  const mark = marks.of.get(lane.source.file) ?? null;
  for (const [name, button] of lane.buttons) {
    button.setAttribute("aria-pressed", String(name === mark));
  }
  if (mark === null) delete lane.node.dataset.marked;
  else lane.node.dataset.marked = mark;
}

function longest(lanes) {
  const known = lanes.map((lane) => lane.duration).filter((seconds) => seconds !== null);
  return known.length ? Math.max(...known) : null;
}

// Waveforms are drawn when they come near; louder rows do not make this one look quiet.
function drawWaves(row) {
  const peaks = row.lanes.map((lane) => decodePeaks(lane.source.peaks));
  const loudest = Math.max(1, ...peaks.map((own) => Math.max(0, ...own)));
  row.lanes.forEach((lane, number) => {
    if (lane.address === null) return;
    lane.wave = make("div", { class: "shape" });
    const path = outline(peaks[number], loudest);
    lane.node.classList.toggle("plain", path === null);
    if (path === null) lane.wave.append(make("i", { class: "all" }), make("i", { class: "played" }));
    else lane.wave.append(shape(path, peaks[number], "all"), shape(path, peaks[number], "played"));
    lane.area.prepend(lane.wave);
  });
  showLengths(row);
  showPosition(row);
}

function decodePeaks(text) {
  return Array.from(atob(text), (mark) => mark.charCodeAt(0));
}

function outline(peaks, loudest) {
  if (!peaks.length) return null;
  const bars = peaks.map((peak, at) => {
    const height = Math.max((peak / loudest) * (HEIGHT - 4), 2);
    return `M${at + 0.15} ${(HEIGHT - height) / 2}h.7v${height}h-.7z`;
  });
  return bars.join("");
}

function shape(path, peaks, name) {
  return draw("svg",
    { class: name, viewBox: `0 0 ${peaks.length} ${HEIGHT}`, preserveAspectRatio: "none" },
    draw("path", { d: path }));
}

// All lanes of a row have one scale of time, so that the same moment is in the same place.
function showLengths(row) {
  for (const lane of row.lanes) {
    if (lane.wave === null) continue;
    const share = row.duration && lane.duration !== null ? lane.duration / row.duration : 1;
    lane.wave.style.width = `${100 * share}%`;
  }
}
