"""A service that is not JavaScript takes part in a migration, by docs/contract.md alone: it follows the stages, acknowledges
them, reads where they say, and counts in the gates. Python's own library, `mysql` and `redis-cli` on PATH, nothing else.

From the environment: SOURCE and TARGET (mysql://user:password@host:port/schema), REDIS_URL (may be missing), CONTROL
(`switchback`), TENANT, QUERY (gives the same rows on both sides). Prints a line of JSON whenever what it obeys changes.
"""
import json, os, signal, socket, subprocess, sys, threading, time
from urllib.parse import unquote, urlparse

SOURCE, TARGET, TENANT, QUERY = (os.environ[name] for name in ("SOURCE", "TARGET", "TENANT", "QUERY"))
C = os.environ.get("CONTROL", "switchback")
NODE, LEASE, DIRTY_AFTER = f"{socket.gethostname()}-{os.getpid()}", 5, 1
OWN = f"X'{TENANT.encode().hex()}'"  # a tenant id is bytes; so no quoting can go wrong
UNKNOWN = ("source-only", 0, False)
known, version, reached, told = {}, 0, float("-inf"), threading.Event()

def ask(url, sql):
    at = urlparse(url)
    command = ["mysql", "--batch", "--skip-column-names", "--default-character-set=utf8mb4", "--connect-timeout=2",
               f"--host={at.hostname}", f"--port={at.port or 3306}", f"--user={unquote(at.username)}", at.path[1:]]
    env = {**os.environ, "MYSQL_PWD": unquote(at.password or "")}
    done = subprocess.run(command, input=sql, env=env, capture_output=True, text=True, timeout=4, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]

def poll():
    global version, reached
    began = time.monotonic()
    for tenant, stage, epoch, seen, dirty in ask(SOURCE, f"SELECT HEX(tenant), stage, epoch, version, dirty FROM {C}.stage WHERE version > {version} ORDER BY version"):
        known[bytes.fromhex(tenant).decode()] = (stage, int(epoch), dirty == "1")
        version = max(version, int(seen))  # only what was read here is acknowledged
    reached = began
    ask(SOURCE, f"INSERT INTO {C}.node (node, service, version, seen_at, lease_until) VALUES ('{NODE}', 'python-reader', {version}, NOW(6), NOW(6) + INTERVAL {LEASE} SECOND) ON DUPLICATE KEY UPDATE version = VALUES(version), seen_at = VALUES(seen_at), lease_until = VALUES(lease_until)")

def listen(url):
    heard = subprocess.Popen(["redis-cli", "-u", url, "SUBSCRIBE", f"switchback:{C}:stages"], stdout=subprocess.PIPE, text=True)
    for line in heard.stdout:
        try:
            hint = json.loads(line)
            stage, epoch, dirty = known.get(hint["tenant"], UNKNOWN)
            if hint["epoch"] > epoch:
                known[hint["tenant"]] = (hint["stage"], hint["epoch"], dirty)
                told.set()
        except (ValueError, TypeError, KeyError):
            pass  # not a hint

def side():
    stage, _, dirty = known.get(TENANT, UNKNOWN)
    if stage not in ("read-target", "write-hold") or dirty or time.monotonic() - reached > LEASE:
        return "source"
    return "source" if ask(SOURCE, f"SELECT 1 FROM {C}.journal WHERE tenant IN ({OWN}, '_unresolved', '_shared') AND created_at < NOW(6) - INTERVAL {DIRTY_AFTER} SECOND LIMIT 1") else "target"

def read():
    if side() == "target":
        try:
            return "target", ask(TARGET, QUERY)
        except (subprocess.SubprocessError, OSError):
            pass  # the source answers
    return "source", ask(SOURCE, QUERY)

def compare():
    before = ask(SOURCE, QUERY)
    differs = before != ask(TARGET, QUERY)
    if differs and (ask(SOURCE, f"SELECT 1 FROM {C}.journal WHERE tenant IN ({OWN}, '_unresolved', '_shared') LIMIT 1") or before != ask(SOURCE, QUERY)):
        return  # something is on its way: nothing was learnt
    ask(SOURCE, f"INSERT INTO {C}.shadow (tenant, read_name, node, samples, differing, first_at, last_at) VALUES ({OWN}, 'python', '{NODE}', 1, {int(differs)}, NOW(6), NOW(6)) ON DUPLICATE KEY UPDATE samples = samples + VALUES(samples), differing = differing + VALUES(differing), last_at = VALUES(last_at)")

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if os.environ.get("REDIS_URL"):
    threading.Thread(target=listen, args=(os.environ["REDIS_URL"],), daemon=True).start()
said = None
try:
    while True:
        try:
            poll()
            answered, rows = read()
            if known.get(TENANT, UNKNOWN)[0] == "shadow-read":
                compare()
            seen = {"stage": known.get(TENANT, UNKNOWN)[0], "epoch": known.get(TENANT, UNKNOWN)[1], "side": answered, "rows": len(rows)}
            if seen != said:
                print(json.dumps(seen), flush=True)
            said = seen
        except (subprocess.SubprocessError, OSError) as error:
            print(f"this look failed: {type(error).__name__}", file=sys.stderr)
        told.wait(1)
        told.clear()
finally:
    ask(SOURCE, f"DELETE FROM {C}.node WHERE node = '{NODE}'")
