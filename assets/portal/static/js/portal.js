// What every page has: copy buttons, tabs, lists that filter as you type, confirmation, and finding with Ctrl-K.
// Pages read well without any of it.

const say = document.createElement("div");
say.className = "sr";
say.setAttribute("role", "status");
document.body.append(say);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = button.dataset.copy ? document.getElementById(button.dataset.copy) : button.parentElement.querySelector("code");
  const text = "value" in source ? source.value : source.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    if (!document.execCommand("copy")) return;
  }
  button.classList.add("copied");
  say.textContent = "Copied";
  setTimeout(() => { button.classList.remove("copied"); say.textContent = ""; }, 1500);
});

// Tabs: sections that stand below each other become one set with a list of buttons.
for (const tabs of document.querySelectorAll("[data-tabs]")) {
  const panels = [...tabs.querySelectorAll(":scope > .tab")];
  const list = document.createElement("div");
  list.className = "tab-list";
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", tabs.dataset.tabs);
  const show = (n, focus) => panels.forEach((panel, i) => {
    panel.hidden = i !== n;
    const button = list.children[i];
    button.setAttribute("aria-selected", String(i === n));
    button.tabIndex = i === n ? 0 : -1;
    if (i === n && focus) button.focus();
  });
  panels.forEach((panel, i) => {
    const heading = panel.querySelector("h2, h3");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    button.setAttribute("role", "tab");
    panel.id ||= `tab-${Math.random().toString(36).slice(2)}`;
    button.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-label", `${tabs.dataset.tabs}: ${heading.textContent}`);
    heading.className = "sr";
    button.addEventListener("click", () => { show(i); if (panel.id.startsWith("tab-")) return; history.replaceState(null, "", `#${panel.id}`); });
    button.addEventListener("keydown", (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      const to = e.key === "Home" ? 0 : e.key === "End" ? panels.length - 1 : step ? (i + step + panels.length) % panels.length : -1;
      if (to >= 0) { e.preventDefault(); show(to, true); }
    });
    list.append(button);
  });
  tabs.prepend(list);
  const named = panels.findIndex((panel) => location.hash === `#${panel.id}`);
  const wanted = named >= 0 ? named : panels.findIndex((panel) => panel.hasAttribute("data-open"));
  const windows = panels.findIndex((panel) => panel.dataset.system === "windows");
  show(wanted >= 0 ? wanted : windows >= 0 && navigator.userAgent.includes("Windows") ? windows : 0);
}

// What scrolls sideways can be scrolled by keyboard.
const wide = new ResizeObserver((entries) => entries.forEach(({ target }) => {
  if (target.scrollWidth > target.clientWidth) {
    target.tabIndex = 0;
    target.setAttribute("role", "group");
    target.setAttribute("aria-label", "Table, scrolls sideways");
  } else {
    ["tabindex", "role", "aria-label"].forEach((name) => target.removeAttribute(name));
  }
}));
document.querySelectorAll(".table-wrap").forEach((wrap) => wide.observe(wrap));

// The address keeps how a list is looked at, so that it can be sent to somebody.
const keep = (name, value) => {
  const url = new URL(location.href);
  if (value) url.searchParams.set(name, value); else url.searchParams.delete(name);
  history.replaceState(null, "", url);
  for (const link of document.querySelectorAll(".pager a")) {
    const to = new URL(link.href);
    if (value) to.searchParams.set(name, value); else to.searchParams.delete(name);
    link.href = to;
  }
};

// Filter: an input with data-filter hides the rows of the table or list that it names, and the parts of it that have none left.
for (const input of document.querySelectorAll("[data-filter]")) {
  const rows = [...document.querySelectorAll(`#${input.dataset.filter} [data-row]`)];
  const none = document.getElementById(`${input.dataset.filter}-none`);
  const parts = [...document.querySelectorAll(`#${input.dataset.filter} :is(section, details)`)].filter((part) => part.querySelector("[data-row]"));
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      if (!row.hidden) shown++;
    }
    for (const part of parts) {
      part.hidden = !part.querySelector("[data-row]:not([hidden])");
      if (part.matches("details")) part.open = words.length > 0 && !part.hidden;
    }
    if (none) none.hidden = shown > 0;
    said = shown;
  };
  let said = 0, later = 0;
  input.addEventListener("input", () => {
    apply();
    keep(input.name, input.value);
    clearTimeout(later);
    later = setTimeout(() => { say.textContent = input.value ? `${said} shown` : ""; }, 500);
  });
  input.value ||= new URLSearchParams(location.search).get(input.name) ?? "";
  if (input.value) apply();
}

// Sort: a click on a column's head sorts the rows that are there, in each table that has this column; data-value is what counts
// when the text is not.
const sorted = [...document.querySelectorAll("table[data-sort]")];
const sortBy = (name, down) => sorted.forEach((table) => {
  const heads = [...table.tHead.rows[0].cells];
  const column = heads.findIndex((head) => head.dataset.column === name);
  if (column < 0) return;
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim().toLowerCase();
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((a, b) => key(a).localeCompare(key(b), undefined, { numeric: true }) * (down ? -1 : 1)));
});
for (const table of sorted) {
  for (const head of table.tHead.rows[0].cells) {
    const name = head.textContent.trim().toLowerCase();
    if (!name || head.hasAttribute("data-fixed")) continue;
    head.dataset.column = name;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      sortBy(name, down);
      keep("sort", (down ? "-" : "") + name);
    });
  }
}
const order = new URLSearchParams(location.search).get("sort");
if (order) sortBy(order.replace(/^-/, ""), order.startsWith("-"));

// Relative times go on while a page stays open.
const short = (s) => s < 60 ? `${Math.floor(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 48 * 3600 ? `${Math.floor(s / 3600)} h`
  : s < 60 * 86400 ? `${Math.floor(s / 86400)} days` : `${Math.floor(s / 86400 / 30.44)} months`;
setInterval(() => {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const s = (Date.now() - Date.parse(time.dateTime)) / 1000;
    time.firstChild.data = Math.abs(s) < 10 ? "just now" : s < 0 ? `in ${short(-s)}` : `${short(s)} ago`;
  }
}, 30000);

// Escape closes the menu of a phone's bar, as it closes what is found.
document.addEventListener("keydown", (e) => {
  const menu = e.key === "Escape" && document.querySelector("details.more[open]");
  if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
});

// A chosen file goes into the text field that it is for, so that it can be looked at before it is sent.
for (const input of document.querySelectorAll("input[type=file][data-into]")) {
  input.addEventListener("change", async () => {
    const file = input.files[0];
    if (!file || file.size > 32768) return;
    document.getElementById(input.dataset.into).value = (await file.text()).trim();
    input.value = "";
  });
}

for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
  const button = select.form.querySelector("button[data-fallback]");
  if (button) button.hidden = true;
}

// Find: pages, tables and people, by name.
const opener = document.querySelector("[data-find]");
if (opener) {
  opener.hidden = false;
  const dialog = document.createElement("dialog");
  dialog.className = "find-box";
  dialog.setAttribute("aria-label", "Find");
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Find a table, a page, a person";
  input.setAttribute("aria-label", "Find");
  input.autocomplete = "off";
  const list = document.createElement("ul");
  list.className = "find-list";
  list.id = "found";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Found");
  for (const [name, value] of [["role", "combobox"], ["aria-controls", "found"], ["aria-autocomplete", "list"]]) input.setAttribute(name, value);
  const none = document.createElement("p");
  none.className = "find-none";
  none.textContent = "Nothing has that name.";
  none.setAttribute("role", "status");
  none.hidden = true;
  dialog.append(input, list, none);
  document.body.append(dialog);
  let chosen = 0, latest = 0;
  const mark = () => [...list.querySelectorAll("a")].forEach((a, i) => {
    a.setAttribute("aria-selected", String(i === chosen));
    if (i !== chosen) return;
    input.setAttribute("aria-activedescendant", a.id);
    a.scrollIntoView({ block: "nearest" });
  });
  const search = async () => {
    const turn = ++latest;
    const answer = await fetch(`/find?q=${encodeURIComponent(input.value)}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || turn !== latest) return;
    const found = await answer.json();
    list.replaceChildren(...found.map((hit, i) => {
      const item = document.createElement("li");
      item.setAttribute("role", "presentation");
      const a = document.createElement("a");
      a.id = `found-${i}`;
      a.setAttribute("role", "option");
      a.tabIndex = -1; // arrows choose, as the input keeps the focus
      a.href = hit.path;
      const name = document.createElement("span");
      name.textContent = hit.name;
      const kind = document.createElement("small");
      kind.textContent = hit.kind;
      a.append(name, kind);
      item.append(a);
      return item;
    }));
    none.hidden = found.length > 0;
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(found.length > 0));
    input.removeAttribute("aria-activedescendant");
    chosen = 0;
    mark();
  };
  const open = () => { dialog.showModal(); input.value = ""; search(); };
  opener.addEventListener("click", open);
  document.addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "k") { e.preventDefault(); if (!dialog.open) open(); }
  });
  input.addEventListener("input", search);
  input.addEventListener("keydown", (e) => {
    const hits = list.querySelectorAll("a");
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      chosen = Math.max(0, Math.min(hits.length - 1, chosen + (e.key === "ArrowDown" ? 1 : -1)));
      mark();
    }
    if (e.key === "Escape") { e.preventDefault(); dialog.close(); } // a search field would only be emptied
    if (e.key === "Enter" && hits[chosen]) location.href = hits[chosen].href;
  });
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
}
