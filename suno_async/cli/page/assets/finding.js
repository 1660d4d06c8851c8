
// Search, choose and sort: rows are hidden and moved, never made again.
const ORDER = ["failed", "uncertain", "running", "waiting", "complete"];
const letters = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

const ORDERS = {
  position: () => 0,
  title: (a, b) => letters.compare(shorten(a.source.title, 200), shorten(b.source.title, 200)),
  status: (a, b) => ORDER.indexOf(a.source.status) - ORDER.indexOf(b.source.status),
  duration: (a, b) => (b.duration ?? -1) - (a.duration ?? -1),
  taken: (a, b) => b.taken - a.taken,
  model: (a, b) => letters.compare(shorten(a.source.model, 200), shorten(b.source.model, 200)),
};

const hasMark = (row, mark) =>
  row.source.tracks.some((track) => (marks.of.get(track.file) ?? null) === mark);

const CHOICES = {
  all: () => true,
  complete: (row) => row.source.status === "complete",
  troubled: (row) => ["failed", "uncertain"].includes(row.source.status),
  going: (row) => ["waiting", "running"].includes(row.source.status),
  keep: (row) => hasMark(row, "keep"),
  drop: (row) => hasMark(row, "drop"),
  unmarked: (row) => hasMark(row, null),
};

function find() {
  const words = plain(byId("query").value).split(/\s+/).filter(Boolean);
  const chosen = CHOICES[byId("show").value];
  let count = 0;
  for (const row of rows) {
    const fits = chosen(row) && words.every((word) => row.text.includes(word));
    row.node.hidden = !fits;
    count += fits;
  }
  byId("found").textContent = count === rows.length ? `${count} rows` : `${count} of ${rows.length} rows`;
  remember();
}

function sort() {
  const order = ORDERS[byId("sort").value];
  rows.sort((a, b) => order(a, b) || a.number - b.number);
  byId("rows").append(...rows.map((row) => row.node));
  remember();
}

const FIELDS = ["query", "show", "sort"];

function remember() {
  passing?.set("view", Object.fromEntries(FIELDS.map((id) => [id, byId(id).value])));
}

// A browser may have filled the fields by itself, when the page was reloaded.
function recall() {
  const view = passing === null ? {} : passing.get("view");
  for (const id of FIELDS) {
    if (typeof view[id] !== "string") continue;
    const field = byId(id);
    if (!field.options || Array.from(field.options).some((option) => option.value === view[id])) {
      field.value = view[id];
    }
  }
}

recall();
sort();
find();
byId("query").addEventListener("input", find);
byId("show").addEventListener("change", find);
byId("sort").addEventListener("change", sort);
byId("export").addEventListener("click", exportMarks);
byId("tools").addEventListener("submit", (event) => event.preventDefault());
