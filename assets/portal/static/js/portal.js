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
      if (step) show((i + step + panels.length) % panels.length, true);
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

// Filter: an input with data-filter hides the rows of the table or list that it names; the text stands in the address.
for (const input of document.querySelectorAll("[data-filter]")) {
  const rows = [...document.querySelectorAll(`#${input.dataset.filter} [data-row]`)];
  const none = document.getElementById(`${input.dataset.filter}-none`);
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      if (!row.hidden) shown++;
    }
    if (none) none.hidden = shown > 0;
    const url = new URL(location.href);
    if (input.value) url.searchParams.set(input.name, input.value); else url.searchParams.delete(input.name);
    history.replaceState(null, "", url);
  };
  input.addEventListener("input", apply);
  if (input.value) apply();
}

// Sort: a click on a column's head sorts the rows that are there; data-value is what counts when the text is not.
for (const table of document.querySelectorAll("table[data-sort]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent.trim() || head.hasAttribute("data-fixed")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim().toLowerCase();
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => key(a).localeCompare(key(b), undefined, { numeric: true }) * (down ? -1 : 1));
      body.append(...rows);
    });
  });
}

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
  const none = document.createElement("p");
  none.className = "find-none";
  none.textContent = "Nothing has that name.";
  none.hidden = true;
  dialog.append(input, list, none);
  document.body.append(dialog);
  let chosen = 0, latest = 0;
  const mark = () => [...list.querySelectorAll("a")].forEach((a, i) => {
    a.setAttribute("aria-selected", String(i === chosen));
    if (i === chosen) a.scrollIntoView({ block: "nearest" });
  });
  const search = async () => {
    const turn = ++latest;
    const answer = await fetch(`/find?q=${encodeURIComponent(input.value)}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || turn !== latest) return;
    const found = await answer.json();
    list.replaceChildren(...found.map((hit) => {
      const item = document.createElement("li");
      const a = document.createElement("a");
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
    if (e.key === "Enter" && hits[chosen]) location.href = hits[chosen].href;
  });
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
}
