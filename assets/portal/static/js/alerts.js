// Shows alerts as they come. After a break the server replays what was missed behind the last one shown.
const list = document.getElementById("alerts");
let last = Number(list.dataset.last);
let pause = 1000;

const tagOf = (alert) => alert.state === "recovered" ? ["good", "recovered"] : [{ critical: "bad", warning: "warn" }[alert.severity] || "accent", alert.severity];

const show = (alert) => {
  if (alert.seq <= last) return;
  last = alert.seq;
  const item = document.createElement("li");
  item.className = `alert alert-${alert.state} alert-${alert.severity}`;
  const [kind, word] = tagOf(alert);
  const tag = document.createElement("span");
  tag.className = `tag tag-${kind}`;
  tag.textContent = word;
  const body = document.createElement("div");
  const title = document.createElement("strong");
  title.textContent = alert.title;
  const fresh = document.createElement("span");
  fresh.className = "tag tag-accent";
  fresh.textContent = "new";
  body.append(title, " ", fresh);
  if (alert.message) {
    const said = document.createElement("p");
    said.className = "said";
    said.textContent = alert.message;
    body.append(said);
  }
  if (alert.image_url) {
    const image = document.createElement("img");
    image.src = alert.image_url;
    image.alt = "Picture of this alert";
    body.append(image);
  }
  const note = document.createElement("small");
  note.textContent = "just now";
  note.title = alert.timestamp;
  if (alert.link && alert.link.startsWith("/")) {
    const link = document.createElement("a");
    link.href = alert.link;
    link.textContent = "look at it";
    note.append(" · ", link);
  }
  body.append(note);
  item.append(tag, body);
  list.prepend(item);
  document.getElementById("alerts-none")?.remove();
};

const connect = () => {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws?last_id=${last}`);
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "auth_ok") pause = 1000;
    if (message.type === "ping") socket.send('{"type":"pong"}');
    if (message.type === "notification") show(message);
  });
  socket.addEventListener("close", () => { setTimeout(connect, pause); pause = Math.min(pause * 2, 30000); });
};
if ("live" in list.dataset) connect();
