
// The page is rebuilt while the run goes on: say how old it is, and fetch it again when idle.
const EVERY_MS = 15000;
const IDLE_MS = 20000;

const heading = document.querySelector("h1 bdi");
heading.replaceChildren(...breakable(heading.textContent));

const made = new Date(run.madeAt);
if (!Number.isNaN(made.getTime())) {
  byId("made").textContent = made.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

const counted = Object.keys(STATUSES)
  .map((status) => [status, run.rows.filter((row) => row.status === status).length])
  .filter(([, count]) => count);
byId("counts").append(
  ...counted.map(([status, count]) => make("span", { class: `status ${status}` }, `${count} ${status}`)),
);

byId("reload").addEventListener("click", (event) => {
  event.preventDefault();
  location.reload();
});

let touched = Date.now();
for (const name of ["keydown", "pointerdown", "pointermove", "input", "wheel", "scroll", "touchmove"]) {
  window.addEventListener(name, () => { touched = Date.now(); }, { passive: true, capture: true });
}

function isBusy() {
  if (player.playing || marks.atRisk || byId("query").value) return true;
  // who has gone into the rows by keyboard would be thrown out of them
  if (byId("main").contains(document.activeElement)) return true;
  if (document.querySelector("details[open]") || !getSelection().isCollapsed) return true;
  if (passing === null && FIELDS.some((id) => byId(id).value !== byId(id).dataset.first)) return true;
  return Date.now() - touched < IDLE_MS;
}

function lookForNews() {
  if (!byId("auto").checked || isBusy()) return false;
  location.reload();
  return true;
}

for (const id of FIELDS) byId(id).dataset.first = id === "query" ? "" : byId(id).options[0].value;

if (run.news) {
  byId("by-itself").hidden = false;
  byId("auto").checked = (passing?.get("news").auto ?? true) !== false;
  byId("auto").addEventListener("change", () => passing?.set("news", { auto: byId("auto").checked }));
  setInterval(lookForNews, EVERY_MS);
}
