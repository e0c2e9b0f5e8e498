"""Tells when a day's revenue is 20 % or more below the average of the seven days before it.

Looks at the newest day that is over. Needs the duckdb module, which the interpreter of the place has or has not.
"""
import json

import duckdb

DROP = 20  # percent

days = duckdb.sql("""
    SELECT CAST(CAST(created_at AS DATE) AS VARCHAR) AS day, CAST(sum(total_amount) AS DOUBLE) AS revenue
    FROM read_parquet('server/parquet/sales/orders.parquet')
    WHERE status NOT IN ('cancelled', 'returned') AND created_at < date_trunc('day', now()::TIMESTAMP)
    GROUP BY 1 ORDER BY 1 DESC LIMIT 8
""").fetchall()

if len(days) < 8:
    print(json.dumps({"notify": False}))
else:
    (day, revenue), before = days[0], [r for _, r in days[1:]]
    average = sum(before) / len(before)
    drop = 100 * (1 - revenue / average) if average else 0
    print(json.dumps({
        "notify": drop >= DROP,
        "title": "Revenue is down",
        "message": f"*{revenue:,.0f} EUR* on {day}, {drop:.0f} % below the average of the seven days before it ({average:,.0f} EUR).",
        "cooldown": "6h",
        "data": {"day": day, "revenue": revenue, "average": average},
    }))
