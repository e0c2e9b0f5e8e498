"""Tells when no order has come in for a day. Prints the JSON that a notification script prints."""
import datetime
import json

import duckdb

last = duckdb.sql("SELECT max(created_at) FROM read_parquet('server/parquet/sales/orders.parquet')").fetchone()[0]
age = datetime.datetime.now() - last
print(json.dumps({
    "notify": age > datetime.timedelta(days=1),
    "title": "No new orders",
    "message": f"The newest order is of {last:%Y-%m-%d %H:%M}.",
    "cooldown": "6h",
}))
