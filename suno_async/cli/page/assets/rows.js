
const STATUSES = {
  waiting: "waiting", running: "running", complete: "complete", failed: "failed",
  uncertain: "uncertain",
};

const near = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    near.unobserve(entry.target);
    drawWaves(shown.get(entry.target));
  }
}, { rootMargin: NEAR });

const shown = new Map(); // by its element

function rowOf(source) {
  const row = { source, lanes: lanesOf(source), at: 0, number: source.position };
  row.duration = longest(row.lanes);
  row.taken = source.stages.reduce((last, [, after]) => Math.max(last, after ?? 0), 0);
  row.text = searchable(source);
  row.node = make("li", { class: `row ${source.status}`, id: `row-${source.position}` });
  const heading = `title-${source.position}`;
  const article = make("article", { "aria-labelledby": heading },
    coverOf(row), headOf(source, heading), factsOf(row));
  if (source.reason) article.append(reasonOf(source));
  if (row.lanes.length) article.append(playerOf(row));
  article.append(detailsOf(row));
  row.node.append(article);
  row.node.classList.toggle("silent", !row.lanes.length);
  for (const lane of row.lanes) listen(row, lane);
  return row;
}

function searchable(source) {
  const tracks = source.tracks.flatMap((track) => [track.title, track.tags, track.model, track.file]);
  const parts = [
    source.title, source.tags, source.negativeTags, source.model, source.reason, source.status,
    source.taskId, source.stem?.source ?? "", ...tracks, ...source.extra.flat(),
  ];
  return plain(parts.join("\n"));
}

function plain(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

function coverOf(row) {
  row.cover = make("div", { class: "cover", "aria-hidden": "true" });
  const address = row.source.tracks.map((track) => track.cover).find((cover) => cover !== null);
  showCover(row, address ?? null);
  return row.cover;
}

function showCover(row, address) {
  if (row.coverAddress === address) return;
  row.coverAddress = address;
  row.cover.replaceChildren();
  row.node.classList.toggle("uncovered", address === null);
  if (address === null) return;
  const image = make("img", { alt: "", loading: "lazy", decoding: "async", src: address });
  image.addEventListener("error", () => image.remove());
  row.cover.append(image);
}

function headOf(source, heading) {
  return make("div", { class: "head" },
    make("h2", { id: heading },
      make("span", { class: "number" }, `${source.position} `), foreign(source.title)),
    make("span", { class: `status ${source.status}` }, STATUSES[source.status]));
}

function factsOf(row) {
  const { source } = row;
  const facts = make("p", { class: "facts" });
  const duration = longest(row.lanes.filter((lane) => lane.source.letter));
  if (duration !== null) facts.append(make("span", { class: "duration" }, clock(duration)));
  if (source.model) facts.append(foreign(shorten(source.model, 40), "bdi", { class: "model" }));
  if (source.line !== null) facts.append(make("span", {}, `line ${source.line}`));
  if (source.stages.length) {
    const stages = make("span", { class: "stages" });
    source.stages.forEach(([stage, after], number) => {
      stages.append(number ? " → " : "", foreign(shorten(stage, 40)), ` ${brief(after)}`);
    });
    facts.append(stages);
  }
  return make("div", { class: "about" },
    source.tags ? foreign(source.tags, "p", { class: "tags" }) : null, facts);
}

function reasonOf(source) {
  const long = source.reason.length > 300;
  return foreign(source.reason, "p", {
    class: "reason", tabindex: long ? "0" : null, role: long ? "group" : null,
    "aria-label": long ? "Reason" : null,
  });
}

function playerOf(row) {
  const lanes = row.lanes.map((lane) => lane.node);
  const attributes = { class: "player", role: "group", "aria-label": "Player" };
  if (defaultLane(row) === null) return make("div", attributes, ...lanes);
  row.slider = make("input", {
    type: "range", min: "0", max: String(row.duration ?? 0), step: "any", value: "0",
    "aria-label": "Position", "aria-valuetext": spoken(0, row), class: "position",
  });
  row.time = make("span", { class: "time" }, clock(0));
  row.slider.addEventListener("input", () => {
    const lane = player.row === row ? player.lane : defaultLane(row);
    if (lane === null) return;
    const at = Number(row.slider.value);
    player.select(row, lane);
    player.seek(at);
  });
  return make("div", attributes, ...lanes,
    make("div", { class: "lane seek" }, row.time, row.slider));
}

function spoken(at, row) {
  return row.duration === null ? clock(at) : `${clock(at)} of ${clock(row.duration)}`;
}

// What plays when nothing was chosen: the first track, or else the stem.
function defaultLane(row) {
  const playable = row.lanes.filter((lane) => lane.address !== null);
  return playable.find((lane) => lane.source.letter) ?? playable[0] ?? null;
}

function listen(row, lane) {
  showMarks(lane);
  if (lane.address === null) return;
  lane.button.addEventListener("click", () => player.toggle(row, lane));
  lane.area.addEventListener("click", (event) => {
    const box = lane.area.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * (row.duration ?? 0);
    player.select(row, lane, true);
    player.seek(at);
  });
}

function detailsOf(row) {
  const list = make("dl", {});
  const node = make("details", {}, make("summary", {}, "Details"), list);
  // most are never opened
  node.addEventListener("toggle", () => {
    if (node.open && !list.childElementCount) fillDetails(list, row.source);
  });
  return node;
}

function fillDetails(list, source) {
  const add = (name, ...values) => {
    if (!values.some((value) => value !== "" && value !== null)) return;
    list.append(make("div", {}, foreign(name, "dt"), make("dd", {}, ...values)));
  };
  const addText = (name, text) => text && add(name, foreign(text));
  addText("Title", source.title);
  addText("Tags", source.tags);
  addText("Negative tags", source.negativeTags);
  addText("Model", source.model);
  addText("Task", source.taskId);
  addText("Stem", source.stem?.source);
  for (const [stage, after] of source.stages) addText(`Stage: ${shorten(stage, 40)}`, `after ${brief(after)}`);
  for (const track of source.tracks) {
    const name = `Track ${shorten(track.letter, 8)}`;
    if (track.address === null) addText(name, track.file);
    else add(name, make("a", { href: track.address }, foreign(track.file)));
    addText(`${name}: title`, track.title);
    addText(`${name}: tags`, track.tags);
    addText(`${name}: model`, track.model);
  }
  for (const [name, value] of source.extra) addText(shorten(name, 200), value);
}

// Show what a row's player does.
function showRow(row) {
  const own = player.row === row;
  for (const lane of row.lanes) {
    const selected = own && player.lane === lane;
    const sounds = selected && player.playing;
    lane.node.classList.toggle("selected", selected);
    lane.button.setAttribute("aria-pressed", String(sounds));
    if (selected && lane.source.cover) showCover(row, lane.source.cover);
  }
  showPosition(row);
}

function showPosition(row) {
  if (!row?.slider) return;
  const at = player.row === row ? player.at : row.at;
  const whole = row.duration ?? 0;
  if (Number(row.slider.max) !== whole) row.slider.max = String(whole);
  row.slider.value = String(at);
  const text = clock(at);
  if (row.time.textContent !== text) {
    row.time.textContent = text;
    row.slider.setAttribute("aria-valuetext", spoken(at, row));
  }
  for (const lane of row.lanes) {
    const share = lane.duration ? Math.min(at / lane.duration, 1) : 0;
    lane.wave?.style.setProperty("--played", `${100 * share}%`);
  }
}

const rows = run.rows.map(rowOf);
for (const row of rows) {
  shown.set(row.node, row);
  if (row.lanes.length) near.observe(row.node);
}
byId("rows").append(...rows.map((row) => row.node));

window.addEventListener("storage", (event) => {
  if (!lasting?.isFor(event, "marks")) return;
  marks.load();
  for (const row of rows) row.lanes.forEach(showMarks);
});
