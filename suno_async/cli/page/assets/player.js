
// Plays one row at a time: its stem and its tracks, of which one sounds, all at the same position.
const player = {
  row: null, // what rows.js made of a row
  lane: null, // the selected lane of it
  at: 0, // seconds

  get audio() {
    return this.lane?.audio ?? null;
  },

  get playing() {
    return this.audio !== null && !this.audio.paused && !this.audio.ended;
  },

  // Take up a row; its files are looked at only now.
  take(row) {
    if (this.row === row) return;
    this.leave();
    this.row = row;
    this.at = row.at;
    row.node.classList.add("taken");
    for (const lane of row.lanes) if (lane.address !== null) lane.audio = load(row, lane);
  },

  leave() {
    if (this.row === null) return;
    const row = this.row;
    this.pause();
    row.at = this.at;
    row.node.classList.remove("taken");
    this.row = null;
    this.lane = null;
    for (const lane of row.lanes) {
      if (lane.audio === null) continue;
      lane.audio.removeAttribute("src");
      lane.audio.load();
      lane.audio.remove();
      lane.audio = null;
      lane.ready = false;
    }
    showRow(row);
  },

  // Go to another lane, at the position of the one that sounds now.
  select(row, lane, play = this.row === row && this.playing) {
    this.take(row);
    const before = this.audio;
    if (this.lane !== lane) {
      this.note();
      this.lane = lane;
      if (before !== null) before.pause();
      seek(lane, this.at);
    }
    if (play) this.play();
    showRow(row);
  },

  play() {
    const { audio, lane } = this;
    if (audio === null) return;
    if (audio.ended && this.at >= audio.duration - 0.01) this.seek(0);
    audio.play().catch((error) => {
      // another lane was chosen before this one began
      if (error.name !== "AbortError" && this.lane === lane) fail(lane);
    });
  },

  pause() {
    this.note();
    this.audio?.pause();
  },

  toggle(row, lane) {
    if (this.row === row && this.lane === lane && this.playing) this.pause();
    else this.select(row, lane, true);
  },

  seek(seconds) {
    if (this.row === null) return;
    this.at = Math.min(Math.max(seconds, 0), this.row.duration ?? Infinity);
    seek(this.lane, this.at);
    showRow(this.row);
  },

  // Remember the position. A shorter lane that came to its end does not move the others.
  note() {
    const { audio } = this;
    if (audio === null || !this.lane.ready || audio.seeking || audio.ended) return;
    if (audio.paused && this.at > audio.duration) return;
    this.at = audio.currentTime;
  },
};

function load(row, lane) {
  const audio = make("audio", { preload: "metadata", "data-lane": lane.name });
  audio.addEventListener("loadedmetadata", () => {
    if (lane.audio !== audio) return;
    lane.ready = true;
    if (Number.isFinite(audio.duration)) learn(row, lane, audio.duration);
    if (lane === player.lane) seek(lane, player.at);
  });
  audio.addEventListener("error", () => lane.audio === audio && fail(lane));
  for (const name of ["play", "playing", "pause", "ended", "seeked", "timeupdate"]) {
    audio.addEventListener(name, () => {
      if (player.audio !== audio) return;
      player.note();
      showRow(row);
      if (name === "playing") follow();
    });
  }
  audio.src = lane.address;
  row.node.append(audio);
  return audio;
}

function seek(lane, seconds) {
  // before its length is known, `loadedmetadata` comes back to this
  if (!lane?.ready) return;
  const { audio } = lane;
  audio.currentTime = Number.isFinite(audio.duration) ? Math.min(seconds, audio.duration) : seconds;
}

function learn(row, lane, seconds) {
  lane.duration = seconds;
  row.duration = longest(row.lanes);
  lane.length.textContent = clock(seconds);
  showLengths(row);
  showRow(row);
}

function fail(lane) {
  lane.node.classList.add("broken");
  lane.length.textContent = "cannot play";
  say(`${lane.label} cannot be played.`);
}

let following = false;

// Move the position smoothly while something plays and can be seen.
function follow() {
  if (following) return;
  following = true;
  const step = () => {
    following = player.playing;
    if (!following) return;
    player.note();
    showPosition(player.row);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}
