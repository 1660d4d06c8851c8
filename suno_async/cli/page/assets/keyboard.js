
// Keys, for those who want them: they can be switched off.
const STEP_S = 5;

function rowAtHand() {
  const node = document.activeElement?.closest("li.row");
  const own = node ? shown.get(node) : null;
  if (own?.lanes.length) return own;
  return player.row ?? rows.find((row) => !row.node.hidden && defaultLane(row) !== null) ?? null;
}

function chooseLane(number) {
  const row = rowAtHand();
  const wanted = row?.source.stem ? number : number - 1;
  const lane = row?.lanes[wanted - 1];
  if (!lane || lane.address === null) return;
  player.select(row, lane);
  // the space bar acts on what has the focus
  if (document.activeElement?.closest(".lane .play")) lane.button.focus();
  say(`${lane.label}, ${clock(player.at)}`);
}

function playOrPause() {
  const row = rowAtHand();
  const lane = player.row === row ? player.lane : row && defaultLane(row);
  if (lane) player.toggle(row, lane);
}

function markSelected(mark) {
  const lane = player.lane;
  if (lane?.buttons.size) markTrack(lane, mark);
}

function goToRow(step) {
  const visible = rows.filter((row) => !row.node.hidden && defaultLane(row) !== null);
  const here = visible.indexOf(rowAtHand());
  const focused = document.activeElement?.closest("li.row");
  const next = visible[focused || player.row ? Math.max(here + step, 0) : 0];
  next?.lanes.find((lane) => lane === defaultLane(next)).button.focus();
}

function move(seconds) {
  if (player.row === null) return false;
  player.note();
  player.seek(player.at + seconds);
  return true;
}

const KEYS = {
  1: () => chooseLane(1),
  2: () => chooseLane(2),
  3: () => chooseLane(3),
  k: () => markSelected("keep"),
  d: () => markSelected("drop"),
  n: () => goToRow(1),
  p: () => goToRow(-1),
  "/": () => byId("query").focus(),
};

// What a key does by itself where it is pressed comes first.
function isTaken(event) {
  const { target, key } = event;
  if (!(target instanceof Element)) return false;
  if (target.matches("select, textarea, input:not([type=range], [type=checkbox])")) return true;
  if (key === " ") return target.matches("button, summary, a, input[type=checkbox]");
  if (key.startsWith("Arrow")) return target.matches("input[type=range]");
  return false;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (!byId("shortcuts").checked || isTaken(event)) return;
  let done = true;
  if (event.key === " ") playOrPause();
  else if (event.key === "ArrowLeft") done = move(-STEP_S);
  else if (event.key === "ArrowRight") done = move(STEP_S);
  else if (Object.hasOwn(KEYS, event.key.toLowerCase())) KEYS[event.key.toLowerCase()]();
  else done = false;
  if (done) event.preventDefault();
});

byId("shortcuts").checked = (lasting?.get("keys").on ?? true) !== false;
byId("shortcuts").addEventListener("change", () => {
  lasting?.set("keys", { on: byId("shortcuts").checked });
});
