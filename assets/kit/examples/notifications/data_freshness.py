"""Tells when a table of yours is missing or was not synced for a day. Needs no module beyond Python's own."""
import datetime
import json

LIMIT = datetime.timedelta(days=1)

with open("server/metadata/manifest.json", encoding="utf-8") as f:
    tables = json.load(f)["tables"]

now = datetime.datetime.now(datetime.timezone.utc)
late = []
for t in tables:
    name = f"{t['folder']}.{t['name']}"
    if not t.get("files"):
        late.append(f"`{name}` has no data yet")
        continue
    synced = datetime.datetime.fromisoformat(t["synced_at"][:19] + "+00:00")
    if now - synced > LIMIT:
        hours = (now - synced).total_seconds() / 3600
        late.append(f"`{name}` was synced {hours:.0f} hours ago")

if not tables:
    late = ["There are no tables at all."]
print(json.dumps({
    "notify": bool(late),
    "title": "Data is late",
    "message": "\n".join(late[:20]) + (f"\nand {len(late) - 20} more" if len(late) > 20 else "") + "\nThe portal's catalog shows when each table was synced.",
    "cooldown": "6h",
}))
