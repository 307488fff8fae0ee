"""How long after a post is appended its open count is in ClickHouse, in a cluster of one of each role at 500 posts a second.

    tests/bench delay [SECONDS]

Writes posts into a followed file at an even pace, asks ClickHouse ten times a second for the newest event time that any count of
the world includes, and prints the quantiles of how far it lies behind. A post's event time is the instant at which its line is
written, so the reading of the file is part of the delay.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request

RATE = 500
program, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
os.chdir(folder)
config = ["--config", "cluster.toml"]
url, database = os.environ["CLICKHOUSE_URL"], os.environ["BENCH_DATABASE"]


def ask(query):
    request = urllib.request.Request(url, data=query.encode())
    if "CLICKHOUSE_USER" in os.environ:
        request.add_header("X-ClickHouse-User", os.environ["CLICKHOUSE_USER"])
        request.add_header("X-ClickHouse-Key", os.environ.get("CLICKHOUSE_PASSWORD", ""))
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode().strip()


def write(until):
    number = 0
    with open("posts.ndjson", "a", buffering=1) as file:
        began = time.time()
        while (now := time.time()) < until:
            due = int((now - began) * RATE)
            lines = []
            while number < due:
                text = "in bed #flu" if number % 5 == 0 else "a walk along the river"
                post = {"id": f"{number}", "author": f"a{number % 997}", "created_at": round(now, 6), "text": text, "region": "DE"}
                lines.append(json.dumps(post))
                number += 1
            if lines:
                file.write("\n".join(lines) + "\n")
            time.sleep(0.02)


open("posts.ndjson", "w").close()
subprocess.run([program, "migrate", *config], check=True)
roles = [subprocess.Popen([program, role, *config]) for role in ["ingest", "tally", "watch", "land"]]
try:
    writer = threading.Thread(target=write, args=(time.time() + 20 + seconds,))
    writer.start()
    delays = []
    begin, end = time.time() + 20, time.time() + 20 + seconds
    while time.time() < end:
        asked = time.time()
        newest = ask(f"SELECT max(newest_us) FROM {database}.counts WHERE region = '001' AND topic = 'influenza'")
        if time.time() >= begin:
            delays.append((asked, newest))
        time.sleep(max(0.0, 0.1 - (time.time() - asked)))
    writer.join()
finally:
    for role in roles:
        role.terminate()
    for role in roles:
        role.wait(60)
behind = sorted(asked - int(newest) / 1e6 for asked, newest in delays)
at = lambda share: behind[min(len(behind) - 1, int(share * len(behind)))]
print(
    f"appended to visible: median {at(0.5):.2f} s, 95 % {at(0.95):.2f} s, 99 % {at(0.99):.2f} s, worst {behind[-1]:.2f} s, "
    f"by {len(behind)} looks at {RATE} posts/s"
)
