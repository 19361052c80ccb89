#!/usr/bin/env python3
"""A proxy before a store's server that misbehaves by a seeded plan (standard library only).

    fault-proxy.py http|tcp PORT CONTROL_PORT TARGET_HOST TARGET_PORT [--host-of-target]

Everything on loopback. CONTROL_PORT speaks HTTP: POST a plan as JSON, GET what was done so far.

    {"seed": 7, "rate": 0.2, "faults": ["reset-after", "slow-down"], "match": "^PUT ", "limit": 100}

Without a plan, and for requests that "match" does not find, it only passes on. A plan sets all counts to zero.
With "inTurn" each kind of request meets each of the faults once, whatever the rate. In mode "tcp" a fault is a
connection's: it ends after some bytes ("reset", "close"), stays and carries nothing more ("stall") or little ("crawl"), or
is late ("delay").
"""
import http.client, http.server, json, random, re, socket, struct, sys, threading, time
import urllib.parse

mode, target = sys.argv[1], (sys.argv[4], int(sys.argv[5]))
keeps_host = "--host-of-target" not in sys.argv

# Faults that an HTTP client can tell from an answer: each must be answered by another attempt.
LOUD = {"reset-before", "reset-request", "reset-after", "reset-response", "close-response", "error-200", "slow-down",
        "error-500", "long-length", "short-length", "hang", "hang-length", "crawl", "crawl-request"}
# So long a stall lasts, in seconds, where the client does not end it.
FOREVER = 150
# "server" counts what the server itself did of that kind. Where a request or its answer leaves no room for a fault, another that is as loud takes its place.
ERROR = b"<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>Injected.</Message></Error>"


def is_list(path): return "list-type=2" in path or "delimiter=" in path


class Plan:
    def __init__(self, text):
        self.lock = threading.Lock()
        self.random = random.Random(text.get("seed", 0))
        self.rate, self.faults = text.get("rate", 0), text.get("faults", [])
        self.match, self.limit = re.compile(text.get("match", "")), text.get("limit", 1 << 60)
        self.in_turn, self.outlasted = text.get("inTurn", False), 0
        self.counts, self.requests, self.kinds = {}, 0, {}

    def choose(self, what):
        """The fault for a request, or none; and numbers that belong to it."""
        with self.lock:
            self.requests += 1
            kind = "LIST" if what.startswith("GET ") and is_list(what) else what.split(" ")[0]
            number = self.kinds.get(kind, 0)
            self.kinds[kind] = number + 1
            if self.in_turn: return (self.faults[number] if number < len(self.faults) else None), self.random.random()
            if self.limit <= 0 or not self.faults or not self.match.search(what): return None, 0
            if self.random.random() >= self.rate: return None, 0
            self.limit -= 1
            return self.random.choice(self.faults), self.random.random()

    def count(self, fault):
        with self.lock: self.counts[fault] = self.counts.get(fault, 0) + 1

    def said(self):
        with self.lock:
            return {"requests": self.requests, "kinds": self.kinds, "faults": self.counts, "outlasted": self.outlasted,
                    "loud": sum(n for kind, n in self.counts.items() if kind in LOUD or kind == "server")}


    def outlast(self):
        with self.lock: self.outlasted += 1


plan = Plan({})


class Control(http.server.BaseHTTPRequestHandler):
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self): self.answer(plan.said())

    def do_POST(self):
        global plan
        before, plan = plan, Plan(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(before.said())

    def log_message(self, *words): pass


class Gone(Exception): pass


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    raise Gone()


class Answer:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    def head(self, length):
        lines = [f"HTTP/1.1 {self.status} {self.reason}"] + [f"{name}: {value}" for name, value in self.headers]
        if length is not None: lines.append(f"Content-Length: {length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Exchange:
    """One client's connection, one request after another."""
    # Lists as they were: for each address the bodies before the newest.
    lists, lock = {}, threading.Lock()

    def __init__(self, client):
        self.client, self.file, self.server = client, client.makefile("rb"), None

    def run(self):
        try:
            while self.one(): pass
        except (Gone, OSError, http.client.HTTPException): pass
        finally:
            if self.server: self.server.close()
            self.client.close()

    def one(self):
        line = self.file.readline()
        if not line: return False
        self.method, self.path = line.decode().split(" ")[:2]
        self.sent, self.is_slow = [], False
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, value = line.decode().rstrip("\r\n").split(":", 1)
            self.sent.append((name, value.strip()))
        length = int(next((value for name, value in self.sent if name.lower() == "content-length"), 0))
        self.fault, self.number = plan.choose(f"{self.method} {self.path}")
        if self.fault == "reset-request" and length == 0: self.fault = "reset-before"
        if self.fault == "crawl-request" and length < 2000: self.fault = "crawl"
        if self.fault == "reset-before": self.lose()
        if self.fault == "crawl-request": self.crawl_to_server(length)
        self.body = self.file.read(length)
        if len(self.body) < length: return False
        if self.fault == "reset-request": self.half()
        answer = self.refusal() or self.forward()
        # A server that was so late that the client gave up cost an attempt, too.
        if self.fault not in LOUD and self.is_given_up():
            plan.count("server")
            return False
        self.deliver(answer)
        return True

    def is_given_up(self):
        try: return self.client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError: return False

    def lose(self):
        plan.count(self.fault)
        reset(self.client)

    # -- to the server

    def forward(self):
        if self.fault in ("repeat", "repeat-first"):
            plan.count(self.fault)
            first, second = self.ask(), self.ask()
            return first if self.fault == "repeat-first" else second
        return self.ask()

    def headers(self):
        skipped = ["connection"] + ([] if keeps_host else ["host"])
        own = [] if keeps_host else [("Host", f"{target[0]}:{target[1]}")]
        return own + [(name, value) for name, value in self.sent if name.lower() not in skipped]

    def ask(self):
        for attempt in (0, 1):
            # The server may have closed a connection that was idle.
            is_new = self.server is None
            if is_new: self.server = http.client.HTTPConnection(*target, timeout=120)
            try:
                self.server.putrequest(self.method, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers(): self.server.putheader(name, value)
                self.server.endheaders(self.body or None)
                answer = self.server.getresponse()
                body = answer.read()
                break
            except (OSError, http.client.HTTPException):
                self.server.close()
                self.server = None
                if is_new:
                    plan.count("server")
                    raise
        # Under a fault that is loud itself it costs no attempt of its own.
        if (answer.status >= 500 or answer.status in (408, 429)) and self.fault not in LOUD: plan.count("server")
        if answer.will_close: self.server.close(); self.server = None
        drop = ("connection", "transfer-encoding", "content-length", "keep-alive")
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in drop]
        if self.method == "HEAD": headers += [("Content-Length", answer.getheader("Content-Length") or "0")]
        return Answer(answer.status, answer.reason, headers, body)

    def half(self):
        plan.count(self.fault)
        server = socket.create_connection(target)
        server.sendall(self.raw_head() + self.body[:int(len(self.body) * self.number)])
        try: reset(server)
        finally: reset(self.client)

    def crawl_to_server(self, length):
        """Takes the body byte by byte, and never its last: what was given up must not arrive after all."""
        plan.count(self.fault)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        end = time.monotonic() + FOREVER
        with socket.create_connection(target) as server:
            server.sendall(self.raw_head())
            for _ in range(length - 1):
                if time.monotonic() > end or (byte := self.file.read(1)) == b"": break
                server.sendall(byte)
                time.sleep(0.05)
        if time.monotonic() > end: plan.outlast()
        self.client.close()
        raise Gone()

    def raw_head(self):
        lines = [f"{self.method} {self.path} HTTP/1.1"] + [f"{name}: {value}" for name, value in self.headers()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def refusal(self):
        """An answer that the server never gave."""
        if self.fault == "error-200" and self.method == "HEAD": self.fault = "slow-down"
        found = {"error-200": (200, b"InternalError"), "slow-down": (503, b"SlowDown"),
                 "error-500": (500, b"InternalError")}.get(self.fault)
        if not found: return None
        plan.count(self.fault)
        return Answer(found[0], "Injected", [("Content-Type", "application/xml")], ERROR % found[1])

    # -- to the client

    def deliver(self, answer):
        if self.fault not in ("error-200", "slow-down", "error-500"): self.spoil(answer)
        is_bare = self.method == "HEAD" or answer.status in (204, 304)
        self.client.sendall(answer.head(None if is_bare else len(answer.body)))
        if is_bare: return
        step = max(1, len(answer.body) // 20) if self.is_slow else len(answer.body) + 1
        if self.is_slow: plan.count("drip")
        for start in range(0, len(answer.body), step):
            if start: time.sleep(0.02)
            self.client.sendall(answer.body[start:start + step])

    def spoil(self, answer):
        fault = self.fault
        is_good = 200 <= answer.status < 300
        if fault in ("reset-response", "close-response", "long-length", "short-length"):
            # What a server says besides of a deletion that succeeded nobody reads.
            is_short = not answer.body or not is_good or self.method in ("HEAD", "DELETE")
            if is_short: fault = self.fault = "reset-after"
        if fault == "hang-length" and (not answer.body or not is_good or self.method == "HEAD"): fault = "hang"
        if fault in ("hang", "hang-length", "crawl"): self.stall(fault, answer)
        if fault == "reset-after": self.lose()
        if fault in ("reset-response", "close-response", "long-length"):
            plan.count(fault)
            part = answer.body[:int(len(answer.body) * self.number)]
            more = 1000 if fault == "long-length" else 0
            self.client.sendall(answer.head(len(answer.body) + more) + (answer.body if more else part))
            if fault == "reset-response": reset(self.client)
            raise Gone()
        if fault == "short-length":
            plan.count(fault)
            answer.body = answer.body[:int(len(answer.body) * self.number)]
        if fault == "delay":
            plan.count(fault)
            time.sleep(self.number)
        self.is_slow = fault == "drip" and answer.body
        if self.method == "GET" and is_good and is_list(self.path): self.age(answer)
        elif fault == "corrupt" and self.method == "GET" and is_good and answer.body: self.corrupt(answer)

    def stall(self, fault, answer):
        plan.count(fault)
        if fault == "hang-length": self.client.sendall(answer.head(len(answer.body) + 1000) + answer.body)
        if fault == "crawl": self.crawl(answer)
        self.client.settimeout(FOREVER)
        try: self.client.recv(1)
        except TimeoutError: plan.outlast()
        raise Gone()

    def crawl(self, answer):
        """A long body just below the rate that a server must keep, anything else far below."""
        end = time.monotonic() + FOREVER
        bare = self.method == "HEAD" or answer.status in (204, 304)
        whole = answer.head(None if bare else len(answer.body)) + (b"" if bare else answer.body)
        step, start = 1, 0
        if len(answer.body) > 20_000: step, start = 500, len(whole) - len(answer.body)
        if start: self.client.sendall(whole[:start])
        # The last piece stays away: it would be a whole answer.
        for position in range(start, len(whole) - step, step):
            if time.monotonic() > end: break
            self.client.sendall(whole[position:position + step])
            time.sleep(0.25)

    def corrupt(self, answer):
        plan.count("corrupt")
        body = bytearray(answer.body)
        body[int(len(body) * self.number)] ^= 1 << int(self.number * 1000) % 8
        answer.body = bytes(body)

    def age(self, answer):
        """Answers a list from an earlier state, or without what is newest."""
        # A page belongs to its own run of pages: only whole lists are kept.
        if "token" in self.path: return
        now = answer.body
        with Exchange.lock:
            old = Exchange.lists.setdefault(self.path, [])
            if not old or old[-1] != now: old.append(now)
            del old[:-8]
        if self.fault == "stale-list" and len(old) > 1:
            plan.count("stale-list")
            answer.body = old[int((len(old) - 1) * self.number)]
        if self.fault == "new-missing": self.forget_newest(answer)

    def forget_newest(self, answer):
        if answer.body.startswith(b"{"):
            value = json.loads(answer.body)
            if not value.get("items"): return
            newest = max(value["items"], key=lambda item: item.get("timeCreated", ""))
            value["items"].remove(newest)
            answer.body = json.dumps(value).encode()
        else:
            found = re.findall(rb"<Contents>.*?</Contents>", answer.body, re.S)
            if not found: return
            newest = max(found, key=lambda item: re.search(rb"<LastModified>(.*?)</", item)[1])
            answer.body = answer.body.replace(newest, b"")
        plan.count("new-missing")


class Pipe:
    """One connection of which nothing is understood."""
    def __init__(self, client):
        self.client = client
        self.fault, number = plan.choose("CONNECT ")
        self.is_stalled = self.is_done = False
        self.left = None if self.fault in (None, "delay") else int(2000 + number ** 3 * 400_000)
        if self.fault == "delay":
            plan.count("delay")
            time.sleep(number)

    def run(self):
        try: self.server = socket.create_connection(target)
        except OSError: return self.client.close()
        threads = [threading.Thread(target=self.pump, args=pair, daemon=True)
                   for pair in ((self.client, self.server), (self.server, self.client))]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        self.is_done = True
        for end in (self.client, self.server): end.close()

    def pump(self, source, sink):
        try:
            while data := source.recv(16384):
                if self.is_stalled:
                    self.hold(data, sink)
                    continue
                if self.left is not None:
                    self.left -= len(data)
                    if self.left < 0 and self.fault in ("stall", "crawl"):
                        self.stall()
                        self.hold(data, sink)
                        continue
                    if self.left < 0: return self.cut(data, sink)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError: self.end()

    def stall(self):
        self.is_stalled, self.left = True, None
        plan.count(self.fault)
        timer = threading.Timer(FOREVER, self.outlast)
        timer.daemon = True
        timer.start()

    def outlast(self):
        if self.is_done: return
        plan.outlast()
        self.end()

    def hold(self, data, sink):
        """Lets little or nothing through, until one of the two ends it."""
        if self.fault == "stall": return
        for start in range(0, len(data), 200):
            sink.sendall(data[start:start + 200])
            time.sleep(0.25)

    def cut(self, data, sink):
        plan.count(self.fault)
        try: sink.sendall(data[:self.left])
        except OSError: pass
        if self.fault == "reset":
            for end in (self.client, self.server):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.end()

    def end(self):
        # Only this wakes the other direction's thread, too.
        for end in (self.client, self.server):
            try: end.shutdown(socket.SHUT_RDWR)
            except OSError: pass


def main():
    control = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3])), Control)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", int(sys.argv[2])), backlog=128)
    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handler = Exchange if mode == "http" else Pipe
        threading.Thread(target=lambda: handler(client).run(), daemon=True).start()


main()
