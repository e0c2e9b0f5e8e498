// Ticks the three steps off as the server sees them happen, without a reload.
const steps = document.querySelector("[data-connect]");
const names = ["key", "connected", "pulled"];
let step = Number(steps.dataset.connect);

// showKeys adds what the server draws itself on the next visit: a key that came in while the page was open.
const showKeys = (keys) => {
  const list = document.getElementById("keys");
  for (const key of keys) {
    if ([...list.querySelectorAll(".fingerprint")].some((f) => f.textContent === key.fingerprint)) continue;
    const row = document.createElement("div");
    row.className = "print";
    const art = document.createElement("pre");
    art.className = "randomart";
    art.setAttribute("role", "img");
    art.setAttribute("aria-label", `Randomart of the key ${key.fingerprint}`);
    art.textContent = key.art;
    const text = document.createElement("div");
    const name = document.createElement("p");
    name.className = "mono fingerprint";
    name.textContent = key.fingerprint;
    const note = document.createElement("small");
    note.textContent = key.note;
    text.append(name, note);
    row.append(art, text);
    list.append(row);
  }
};

const apply = (state) => {
  names.forEach((name, i) => {
    const item = document.getElementById(`step-${i + 1}`);
    item.classList.toggle("done", state[name]);
    item.classList.toggle("next", state.step === i + 1);
  });
  for (const said of document.querySelectorAll("[data-said]")) {
    if (said.textContent !== state[said.dataset.said]) said.textContent = state[said.dataset.said];
  }
  showKeys(state.keys);
  step = state.step;
  document.getElementById("all-done").hidden = step !== 4;
};

const ask = async () => {
  try {
    const answer = await fetch("/connect/state", { headers: { Accept: "application/json" } });
    if (answer.status === 401) { location.href = "/login?next=/connect"; return; }
    if (answer.ok) apply(await answer.json());
  } catch { /* the server is away for a moment: ask again */ }
  if (step !== 4) setTimeout(ask, document.hidden ? 10000 : 1500);
};
if (step !== 4) setTimeout(ask, 1500);
