
// What the listener thinks of each track, by the track's file.
const MARKS = ["keep", "drop"];

const marks = {
  of: new Map(),
  kept: lasting !== null,

  load() {
    const known = lasting === null ? {} : lasting.get("marks");
    this.of = new Map(Object.entries(known).filter(([, mark]) => MARKS.includes(mark)));
  },

  toggle(file, mark) {
    // another tab may have marked others meanwhile
    if (this.kept) this.load();
    if (this.of.get(file) === mark) this.of.delete(file);
    else this.of.set(file, mark);
    this.kept = lasting !== null && lasting.set("marks", Object.fromEntries(this.of));
    if (!this.kept) {
      warn("This browser does not keep your marks: export them before you close the page.");
    }
    return this.of.get(file) ?? null;
  },

  // whether reloading the page would forget some
  get atRisk() {
    return !this.kept && this.of.size > 0;
  },
};

marks.load();

function warn(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = false;
}

const FORMULA = /^[\s\0\uFEFF]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]/;

const GAP = /[\s;\0\uFEFF]+/g;

// A spreadsheet takes for a formula what begins like one: an apostrophe makes it text.
function cell(value) {
  const text = String(value ?? "");
  // where semicolons part cells, text brings further cells and lines along
  const safe = (FORMULA.test(text) ? `'${text}` : text).replace(GAP, (gap, at, whole) =>
    /[;\t\r\n]/.test(gap) && FORMULA.test(whole.charAt(at + gap.length)) ? `${gap}'` : gap);
  return /[",;\t\r\n]|^'|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function marksTable() {
  const lines = [["row", "line", "task_id", "title", "track", "file", "mark"]];
  for (const row of run.rows) {
    for (const track of row.tracks) {
      lines.push([
        row.position, row.line, row.taskId, row.title, track.letter, track.file,
        marks.of.get(track.file),
      ]);
    }
  }
  return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

function exportMarks() {
  // the byte order mark tells spreadsheets that this is UTF-8
  const blob = new Blob(["\uFEFF", marksTable()], { type: "text/csv;charset=utf-8" });
  const link = make("a", { href: URL.createObjectURL(blob), download: "marks.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say("The marks are exported as marks.csv.");
}
