
// What a browser keeps for this page; for files on disk it may refuse.
function keeper(kind) {
  const name = `suno-async ${run.key || location.pathname} `;
  try {
    const area = window[kind];
    area.setItem(`${name}?`, "");
    area.removeItem(`${name}?`);
    return {
      get: (what) => parsed(area.getItem(name + what)),
      set: (what, value) => {
        try {
          area.setItem(name + what, JSON.stringify(value));
          return true;
        } catch {
          return false;
        }
      },
      isFor: (event, what) => event.storageArea === area && event.key === name + what,
    };
  } catch {
    return null;
  }
}

function parsed(text) {
  try {
    const value = JSON.parse(text ?? "null");
    return value !== null && typeof value === "object" ? value : {};
  } catch {
    return {};
  }
}

const lasting = keeper("localStorage");
const passing = keeper("sessionStorage");
