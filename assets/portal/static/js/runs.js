// Shows how a run goes on while it does. When a run begins or ends, the page is loaded again, as the server draws it.
const box = document.getElementById("live-run");
const only = Number(box.dataset.run); // 0 = all runs
let pause = 1000;

const sizeOf = (bytes) => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let n = bytes;
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${n.toLocaleString("en", { maximumFractionDigits: i ? 1 : 0 })} ${units[i]}`;
};

const show = (run) => {
  const said = document.createElement("p");
  said.textContent = `Run ${run.run}: ${run.done || 0} of ${run.tables} ${run.tables === 1 ? "table is" : "tables are"} done.`;
  const list = document.createElement("ul");
  for (const t of run.reading || []) {
    const item = document.createElement("li");
    const name = document.createElement("code");
    name.textContent = t.table;
    item.append(name, ` ${sizeOf(t.bytes)}${t.size ? ` of ${sizeOf(t.size)}` : ""}, ${t.rows.toLocaleString("en")} rows `);
    if (t.size) {
      const bar = document.createElement("progress");
      bar.max = t.size;
      bar.value = Math.min(t.bytes, t.size);
      bar.setAttribute("aria-label", `How much of ${t.table} was read`);
      item.append(bar);
    }
    list.append(item);
  }
  box.replaceChildren(said, list);
  box.hidden = false;
};

const take = (run) => {
  if (only && run.run !== only) return;
  if (run.tables) show(run);
  else if (run.outcome !== "running" || !document.querySelector(`[data-going="${run.run}"]`)) location.reload();
};

// What happened while nobody listened, as between the load of the page and its connection, the list of runs knows.
const catchUp = async () => {
  const answer = await fetch("/api/v1/runs?limit=20", { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const { runs } = await answer.json();
  const run = only ? runs.find((r) => r.run === only) : runs[0];
  if (run && `${run.run} ${run.outcome}` !== box.dataset.state) location.reload();
};

const connect = () => {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "auth_ok") {
      pause = 1000;
      catchUp().catch(() => socket.close()); // and again with the next connection
    }
    if (message.type === "ping") socket.send('{"type":"pong"}');
    if (message.type === "run") take(message);
  });
  socket.addEventListener("close", () => { setTimeout(connect, pause); pause = Math.min(pause * 2, 30000); });
};
if ("live" in box.dataset) connect();
