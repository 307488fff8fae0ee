#!/usr/bin/env python3
"""A loopback stand-in for a ClickHouse server: chDB behind the HTTP interface.

No modern ClickHouse server can be installed on the development machines, but
the engine itself can: the PyPI package ``chdb-core`` is ClickHouse compiled as
a library.  This file puts that engine behind the part of ClickHouse's HTTP
interface which clients use, so that code written against a real server (the
Rust crate ``clickhouse`` 0.15 in particular) runs unchanged in tests.

Start it
--------
    python3 -m venv VENV && VENV/bin/pip install --no-deps 'chdb-core>=26.9'
    VENV/bin/python clickhouse_http.py --data FOLDER --port 18123

(The wheel is 174 MiB, 560 MiB unpacked; pandas and pyarrow aren't needed.  The
smaller chdb-core-lite 26.5 wasn't tried with what the tests ask.)

It opens (or creates) FOLDER, listens on 127.0.0.1, and prints one line that
begins with the word ``ready`` once it answers, for example
``ready http://127.0.0.1:18123 ClickHouse 26.9.2.1``.  ``--port 0`` takes a free
port; read it from that line.  SIGTERM or SIGINT stops it cleanly; SIGKILL is a
fair crash test (the folder opens again afterwards), though not a power cut, as
the kernel still writes its cache.  Only one process may hold a folder at a time.  ``--exit-with-parent`` ends it with its test run.

What is real and what is not
----------------------------
Real, because the engine is ClickHouse: SQL, types, formats, MergeTree tables
(also Replacing/Summing/Aggregating), FINAL, materialized views, projections,
dictionaries, TTL, insert deduplication, query parameters, settings, errors.

Provided here: GET / and /ping; GET or POST /?query=...; the body appended to
the query; settings, ``database``, ``default_format``, ``param_NAME``, ``role``,
``session_id``, ``query_id`` as URL parameters; chunked and gzip request bodies;
multipart forms that hold the query and its parameters (what the crate sends from
0.15.3 on); ``decompress=1`` and ``compress=1`` (ClickHouse's LZ4 frames, checked, in
plain Python: about 10 MB/s); ``Accept-Encoding: lz4`` or ``gzip``; X-ClickHouse-*
request and response headers; ClickHouse's error text, its code in
X-ClickHouse-Exception-Code and a matching HTTP status; read-only GET.

Not provided:
  * the native TCP port 9000, TLS, clusters, replication, system.query_log;
  * ENGINE = Kafka and the other streaming engines: chDB cannot start them, and
    the failed CREATE leaves a folder that never opens again, so it is refused;
  * CREATE USER/ROLE/ROW POLICY/QUOTA: chDB has no writable access storage, and
    every query runs as ``default``.  But grants, row filters, profiles and quotas
    declared for ``default`` in an XML file are enforced: give it as --config-file,
    with a <user_directories> section that names the file itself.  --user and
    --password only check the client's credentials;
  * the database ``default`` is of chDB's engine Overlay, not Atomic, which refuses
    refreshable materialized views, for one: work in a database of your own;
  * streamed results: a reply is sent when the query has ended, as if
    wait_end_of_query=1, so an error in mid-stream cannot be reproduced;
  * zstd and brotli bodies, and external tables (multipart parts with a filename);
  * parallel queries: one lock serialises the engine.  Don't measure speed here.
"""

import argparse
import gzip
import json
import os
import re
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import uuid
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

# --------------------------------------------------------------------------
# SQL: just enough scanning to find where the data of an INSERT begins
# --------------------------------------------------------------------------

_TOKEN = re.compile(
    rb"""
      (?P<space>   \s+ )
    | (?P<comment> --[^\n]*(?:\n|\Z) | /\*.*?\*/ )
    | (?P<quoted>  '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*` )
    | (?P<word>    [A-Za-z_][A-Za-z0-9_]* )
    | (?P<open>    [(\[{] )
    | (?P<close>   [)\]}] )
    | (?P<other>   . )
    """,
    re.VERBOSE | re.DOTALL,
)

# Engines which chDB compiles in but cannot run (they need server threads).
_REFUSED_ENGINES = re.compile(
    r"\bENGINE\s*=?\s*(Kafka|RabbitMQ|NATS|FileLog|S3Queue|AzureQueue)\b", re.IGNORECASE
)


def tokens(sql):
    """Yield (kind, text, start, end, depth) for every token of the bytes `sql`."""
    depth = position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        kind = match.lastgroup
        if kind == "close":
            depth = max(0, depth - 1)
        yield kind, match.group(), match.start(), match.end(), depth
        if kind == "open":
            depth += 1
        position = match.end()


class Statement:
    """What one request asks for.

    `sql` is the statement without inline data.  For an INSERT with data,
    `insert_format` is the input format and `data` the raw bytes.
    """

    def __init__(self, text):
        self.sql, self.insert_format, self.data, self.output_format = text, None, b"", None
        first = None  # first keyword
        previous = None  # previous word at depth 0
        ended_at = None  # position of a top-level ';'
        for kind, token, start, end, depth in tokens(text):
            if kind in ("space", "comment"):
                continue
            if ended_at is not None:
                raise ClickHouseError(62, "Syntax error (Multi-statements are not allowed)", "SYNTAX_ERROR")
            if depth == 0 and token == b";":
                ended_at = start
                continue
            if kind != "word" or depth != 0:
                if kind != "word":
                    previous = None
                continue
            word = token.upper()
            if first is None:
                first = word
            if first == b"INSERT":
                if word in (b"VALUES", b"SELECT", b"WITH", b"WATCH", b"INFILE"):
                    break  # the engine parses the rest itself; `;` there may be data
                if previous == b"FORMAT":
                    if word != b"VALUES":
                        self.insert_format = token.decode()
                        self.sql = text[: self._start_of_format(text, start)].rstrip()
                        self.data = re.sub(rb"\A[ \t]*;?[ \t]*\r?\n?", b"", text[end:], count=1)
                        return
                    break
            elif previous == b"FORMAT":
                self.output_format = token.decode()
            previous = word
        if ended_at is not None:
            self.sql = text[:ended_at]
        if first is None:
            raise ClickHouseError(62, "Syntax error: Empty query", "SYNTAX_ERROR")

    @staticmethod
    def _start_of_format(text, name_at):
        """The position of the keyword FORMAT that precedes the name at `name_at`."""
        return text[:name_at].upper().rindex(b"FORMAT")


def literal(value):
    """`value` as a ClickHouse string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(value):
    return "`" + value.replace("\\", "\\\\").replace("`", "\\`") + "`"


# --------------------------------------------------------------------------
# Errors
# --------------------------------------------------------------------------

# As in ClickHouse's HTTP handler, shortened to the codes that clients meet.
_STATUS = {
    401: {194},
    403: {192, 193, 497, 512, 516},
    404: {46, 47, 50, 56, 60, 81, 115},
    400: {6, 7, 25, 26, 27, 28, 33, 36, 37, 38, 41, 43, 53, 62, 72, 117, 158, 164, 386, 456, 457},
    408: {159},
    413: {307},
        501: {48},
}


class ClickHouseError(Exception):
    def __init__(self, code, message, name="", version=""):
        super().__init__(message)
        self.code, self.message, self.name, self.version = code, message, name, version

    @classmethod
    def from_engine(cls, error):
        """Turn a chDB exception into code and text as the server would send them."""
        text = str(error)
        match = re.search(r"Code: (\d+)\. DB::Exception: (.*)", text, re.DOTALL)
        if not match:
            return cls(1001, text, "STD_EXCEPTION")
        body = re.sub(r"\s*\(version [^)]*\)\s*\Z", "", match.group(2))
        return cls(int(match.group(1)), body)

    @property
    def status(self):
        return next((status for status, codes in _STATUS.items() if self.code in codes), 500)

    def text(self, version):
        name = f" ({self.name})" if self.name else ""
        return f"Code: {self.code}. DB::Exception: {self.message}{name} (version {version} (chDB))\n"


# --------------------------------------------------------------------------
# ClickHouse's compressed frames: checksum, method, sizes, data
# --------------------------------------------------------------------------

_M = (1 << 64) - 1
_K0, _K1 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273
_K2, _K3 = 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
_u64 = struct.Struct("<Q").unpack_from
_u32 = struct.Struct("<I").unpack_from


def _rotate(value, bits):
    return ((value >> bits) | (value << (64 - bits))) & _M if bits else value


def _mix(value):
    return value ^ (value >> 47)


def _hash16(low, high):
    mul = 0x9DDFEA08EB382D69
    a = _mix(((low ^ high) * mul) & _M)
    return (_mix(((high ^ a) * mul) & _M) * mul) & _M


def _hash_short(s, at, size):
    if size > 8:
        a, b = _u64(s, at)[0], _u64(s, at + size - 8)[0]
        return _hash16(a, _rotate((b + size) & _M, size)) ^ b
    if size >= 4:
        return _hash16((size + (_u32(s, at)[0] << 3)) & _M, _u32(s, at + size - 4)[0])
    if size > 0:
        y = s[at] + (s[at + (size >> 1)] << 8)
        z = size + (s[at + size - 1] << 2)
        return (_mix((y * _K2 ^ z * _K3) & _M) * _K2) & _M
    return _K2


def _weak32(s, at, a, b):
    w, x, y, z = struct.unpack_from("<4Q", s, at)
    a = (a + w) & _M
    b = _rotate((b + a + z) & _M, 21)
    c = a
    a = (a + x + y) & _M
    return (a + z) & _M, (b + _rotate(a, 44) + c) & _M


def _murmur(s, at, size, a, b):
    left = size - 16
    if left <= 0:
        a = (_mix((a * _K1) & _M) * _K1) & _M
        c = (b * _K1 + _hash_short(s, at, size)) & _M
        d = _mix((a + (_u64(s, at)[0] if size >= 8 else c)) & _M)
    else:
        c = _hash16((_u64(s, at + size - 8)[0] + _K1) & _M, a)
        d = _hash16((b + size) & _M, (c + _u64(s, at + size - 16)[0]) & _M)
        a = (a + d) & _M
        while left > 0:
            a = ((a ^ (_mix((_u64(s, at)[0] * _K1) & _M) * _K1)) * _K1) & _M
            b ^= a
            c = ((c ^ (_mix((_u64(s, at + 8)[0] * _K1) & _M) * _K1)) * _K1) & _M
            d ^= c
            at += 16
            left -= 16
    a, b = _hash16(a, c), _hash16(d, b)
    return a ^ b, _hash16(b, a)


def cityhash128(s):
    """CityHash128 of Google's CityHash 1.0.2, the version that ClickHouse froze."""
    size, at = len(s), 0
    if size >= 16:
        x, y = _u64(s, 0)[0] ^ _K3, _u64(s, 8)[0]
        at, size = 16, size - 16
    elif size >= 8:
        x, y = _u64(s, 0)[0] ^ ((size * _K0) & _M), _u64(s, size - 8)[0] ^ _K1
        at, size = 0, 0
    else:
        x, y = _K0, _K1
    if size < 128:
        return _murmur(s, at, size, x, y)
    z = (size * _K1) & _M
    v0 = (_rotate(y ^ _K1, 49) * _K1 + _u64(s, at)[0]) & _M
    v1 = (_rotate(v0, 42) * _K1 + _u64(s, at + 8)[0]) & _M
    w0 = (_rotate((y + z) & _M, 35) * _K1 + x) & _M
    w1 = (_rotate((x + _u64(s, at + 88)[0]) & _M, 53) * _K1) & _M
    while size >= 128:
        for _ in range(2):
            x = (_rotate((x + y + v0 + _u64(s, at + 16)[0]) & _M, 37) * _K1) & _M ^ w1
            y = (_rotate((y + v1 + _u64(s, at + 48)[0]) & _M, 42) * _K1) & _M ^ v0
            z = _rotate(z ^ w0, 33)
            v0, v1 = _weak32(s, at, (v1 * _K1) & _M, (x + w0) & _M)
            w0, w1 = _weak32(s, at + 32, (z + w1) & _M, y)
            x, z = z, x
            at += 64
        size -= 128
    y = (y + _rotate(w0, 37) * _K0 + z) & _M
    x = (x + _rotate((v0 + z) & _M, 49) * _K0) & _M
    done = 0
    while done < size:
        done += 32
        y = (_rotate((y - x) & _M, 42) * _K0 + v1) & _M
        w0 = (w0 + _u64(s, at + size - done + 16)[0]) & _M
        x = (_rotate(x, 49) * _K0 + w0) & _M
        w0 = (w0 + v0) & _M
        v0, v1 = _weak32(s, at + size - done, v0, v1)
    x, y = _hash16(x, v0), _hash16(y, w0)
    return (_hash16((x + v1) & _M, w1) + y) & _M, _hash16((x + w1) & _M, (y + v1) & _M)


def lz4_block_decode(block, size):
    """Decode one LZ4 block whose decoded length is `size`."""
    out, at, end = bytearray(), 0, len(block)
    while at < end:
        token = block[at]
        at += 1
        run = token >> 4
        if run == 15:
            while True:
                run += block[at]
                at += 1
                if block[at - 1] != 255:
                    break
        out += block[at : at + run]
        at += run
        if at >= end:
            break
        back = block[at] | block[at + 1] << 8
        at += 2
        run = (token & 15) + 4
        if token & 15 == 15:
            while True:
                run += block[at]
                at += 1
                if block[at - 1] != 255:
                    break
        if not 0 < back <= len(out):
            raise ValueError("bad offset")
        if back >= run:
            start = len(out) - back
            out += out[start : start + run]
        else:  # the copy overlaps itself: a repeated pattern
            pattern = bytes(out[-back:])
            out += (pattern * (run // back + 1))[:run]
    if len(out) != size:
        raise ValueError("bad length")
    return bytes(out)


def lz4_block_encode(data):
    """`data` as a valid LZ4 block that holds only literals (no size is saved)."""
    if len(data) < 15:
        return bytes([len(data) << 4]) + data
    full, rest = divmod(len(data) - 15, 255)
    return b"\xf0" + b"\xff" * full + bytes([rest]) + data


def frames_decode(body):
    """Undo `decompress=1`: a sequence of compressed frames."""
    out, at = [], 0
    while at < len(body):
        try:
            low, high, method, packed, size = struct.unpack_from("<QQBII", body, at)
            frame = body[at + 16 : at + 16 + packed]
            if packed < 9 or len(frame) != packed:
                raise ValueError("short frame")
            if cityhash128(frame) != (low, high):
                raise ValueError("checksum doesn't match")
            if method == 0x82:
                out.append(lz4_block_decode(frame[9:], size))
            elif method == 0x02:
                out.append(frame[9:])
            else:
                raise ClickHouseError(89, f"Unknown compression method 0x{method:02x} in this stand-in")
        except (struct.error, ValueError, IndexError) as error:
            raise ClickHouseError(271, f"Cannot decompress: {error}", "CANNOT_DECOMPRESS") from error
        at += 16 + packed
    return b"".join(out)


def frames_encode(data, step=1 << 20):
    """What `compress=1` asks for."""
    out = []
    for at in range(0, len(data), step):
        part = data[at : at + step]
        block = lz4_block_encode(part)
        frame = struct.pack("<BII", 0x82, len(block) + 9, len(part)) + block
        out.append(struct.pack("<QQ", *cityhash128(frame)) + frame)
    return b"".join(out)


def lz4_frame(data, step=4 << 20):
    """`data` as an LZ4 frame of stored blocks, for `Content-Encoding: lz4`.

    The header says: version 1, independent blocks of up to 4 MiB, no checksums;
    its last byte is the header's own checksum, which is the same every time.
    """
    out = [b"\x04\x22\x4d\x18\x60\x70\x73"]
    for at in range(0, len(data), step):
        part = data[at : at + step]
        out += struct.pack("<I", len(part) | 1 << 31), part
    return b"".join(out) + b"\0\0\0\0"


# --------------------------------------------------------------------------
# The engine
# --------------------------------------------------------------------------


class Outcome:
    def __init__(self, body=b"", format="", summary=None):
        self.body, self.format, self.summary = body, format, summary or {}


class Engine:
    """chDB behind one lock.

    Every request gets its own connection, and so its own settings, parameters
    and current database; requests with a session_id share one.
    """

    def __init__(self, data, config_file=None):
        import chdb.state.sqlitelike as chdb  # late: --help must not need it

        self._open, self._path = chdb.connect, os.path.abspath(data)
        os.makedirs(self._path, exist_ok=True)
        start = self._path + (f"?config-file={os.path.abspath(config_file)}" if config_file else "")
        self._lock = threading.Lock()
        self._root = self._open(start)  # keeps the engine alive between requests
        self._sessions = {}  # session id -> [connection, expiry]
        self.version = self._scalar("SELECT version()")
        self.timezone = self._scalar("SELECT timezone()")

    def _scalar(self, sql):
        return self._root.query(sql, "TabSeparatedRaw").bytes().decode().strip()

    def run(self, text, *, database=None, format=None, settings=(), params=(), roles=(),
            read_only=False, session=None, session_timeout=60, session_check=False):
        """Run one request and return its Outcome; raise ClickHouseError."""
        statement = Statement(text)
        if _REFUSED_ENGINES.search(statement.sql.decode("utf-8", "replace")):
            raise ClickHouseError(48, "This table engine can't run in chDB", "NOT_IMPLEMENTED")
        with self._lock:
            connection = self._connection(session, session_timeout, session_check)
            try:
                if database:
                    connection.query("USE " + identifier(database))
                for name, value in settings:
                    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
                        raise ClickHouseError(115, f"Unknown setting '{name}'", "UNKNOWN_SETTING")
                    connection.query(f"SET {name} = {literal(value)}")
                for name, value in params:
                    connection.query(f"SET param_{name} = {literal(value)}")
                if roles:
                    connection.query("SET ROLE " + ", ".join(map(identifier, roles)))
                if read_only:
                    connection.query("SET readonly = 2")
                return self._execute(connection, statement, format)
            except ClickHouseError:
                raise
            except UnicodeDecodeError as error:
                raise ClickHouseError(62, "Syntax error: the query isn't UTF-8", "SYNTAX_ERROR") from error
            except Exception as error:  # chDB raises ChdbError or RuntimeError
                raise ClickHouseError.from_engine(error) from error
            finally:
                if session is None:
                    connection.close()

    def _execute(self, connection, statement, format):
        began = time.monotonic_ns()
        if statement.insert_format:
            if not statement.data:
                return Outcome(summary=self._summary(began))
            # From a file: chDB's streaming insert says that it has written rows which the storage refused (a full disk, for one).
            with tempfile.NamedTemporaryFile(prefix="clickhouse-insert-") as file:
                file.write(statement.data)
                file.flush()
                done = connection.query(
                    f"{statement.sql.decode()} FROM INFILE {literal(file.name)} FORMAT {statement.insert_format}")
            written = (done.rows_written(), done.bytes_written()) if done is not None else (0, 0)
            return Outcome(summary=self._summary(began, written=written))
        format = statement.output_format or format or "TabSeparated"
        result = connection.query(statement.sql.decode(), format)
        if result is None:
            return Outcome(format=format, summary=self._summary(began))
        body = result.bytes()
        return Outcome(body, format, self._summary(
            began, read=(result.storage_rows_read(), result.storage_bytes_read()),
            written=(result.rows_written(), result.bytes_written()),
            result=(result.rows_read(), len(body))))

    @staticmethod
    def _summary(began, read=(0, 0), written=(0, 0), result=(0, 0)):
        counts = {
            "read_rows": read[0], "read_bytes": read[1],
            "written_rows": written[0], "written_bytes": written[1], "total_rows_to_read": read[0],
            "result_rows": result[0] or written[0], "result_bytes": result[1],
            "elapsed_ns": time.monotonic_ns() - began,
        }
        return {name: str(int(value)) for name, value in counts.items()}

    def _connection(self, session, timeout, check):
        now = time.monotonic()
        for name in [name for name, (_, expiry) in self._sessions.items() if expiry < now]:
            self._sessions.pop(name)[0].close()
        if session is None:
            return self._open(self._path)
        if session not in self._sessions:
            if check:
                raise ClickHouseError(372, f"Session {session} not found", "SESSION_NOT_FOUND")
            self._sessions[session] = [self._open(self._path), 0]
        self._sessions[session][1] = now + timeout
        return self._sessions[session][0]

    def close(self):
        with self._lock:
            for connection, _ in self._sessions.values():
                connection.close()
            self._sessions.clear()
            self._root.close()


# --------------------------------------------------------------------------
# HTTP
# --------------------------------------------------------------------------

# URL parameters which belong to the interface; every other one is a setting.
_RESERVED = {
    "query", "database", "default_format", "session_id", "session_timeout", "session_check",
    "close_session", "query_id", "compress", "decompress", "enable_http_compression", "user",
    "password", "role", "wait_end_of_query", "buffer_size", "quota_key", "stacktrace",
    "client_protocol_version", "http_zlib_compression_level",
}


def form_fields(body, content_type):
    """The (name, value) pairs of a multipart/form-data body."""
    match = re.search(r'boundary="?([^";]+)"?', content_type)
    if not match:
        raise ClickHouseError(36, "A multipart body needs a boundary", "BAD_ARGUMENTS")
    pairs = []
    parts = (b"\r\n" + body).split(b"\r\n--" + match.group(1).encode())
    for part in parts[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name is None or b"filename=" in head:
            raise ClickHouseError(48, "External tables aren't supported here", "NOT_IMPLEMENTED")
        pairs.append((name.group(1).decode(), value.decode()))
    return pairs


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive and chunked bodies
    server_version = "clickhouse_http"
    timeout = 300

    def log_message(self, *args):
        if self.server.options.verbose:
            super().log_message(*args)

    def do_GET(self):
        self._handle()

    do_POST = do_HEAD = do_GET

    def do_OPTIONS(self):
        self._reply(204, b"")

    def _handle(self):
        try:
            body = self._read_body()
        except (ConnectionError, EOFError, ValueError, socket.timeout):
            self.close_connection = True  # the client gave up: nothing is executed
            return
        except ClickHouseError as error:
            self.close_connection = True  # part of the body may be unread
            self._reply_error(error, "")
            return
        url = urlsplit(self.path)
        if url.path in ("/ping", "/replicas_status"):
            return self._reply(200, b"Ok.\n")
        if url.path != "/":
            return self._reply(404, f"There is no handle {self.path}\n".encode())
        pairs = parse_qsl(url.query, keep_blank_values=True)
        try:
            content_type = self.headers.get("Content-Type", "")
            if content_type.lower().startswith("multipart/form-data"):
                pairs += form_fields(body, content_type)
                body = b""
        except ClickHouseError as error:
            return self._reply_error(error, "")
        one = dict(pairs)
        query_id = one.get("query_id") or self.headers.get("X-ClickHouse-Query-Id") or str(uuid.uuid4())
        try:
            self._authenticate(one)
            if one.get("decompress") == "1":
                body = frames_decode(body)
            text = one.get("query", "").rstrip().encode()
            text = text + b"\n" + body if text and body else text or body
            if not text.strip():
                if self.command in ("GET", "HEAD"):
                    return self._reply(200, b"Ok.\n")
                raise ClickHouseError(62, "Syntax error: Empty query", "SYNTAX_ERROR")
            outcome = self.server.engine.run(
                text,
                database=one.get("database") or self.headers.get("X-ClickHouse-Database"),
                format=one.get("default_format") or self.headers.get("X-ClickHouse-Format"),
                settings=[p for p in pairs if p[0] not in _RESERVED and not p[0].startswith("param_")],
                params=[(name[6:], value) for name, value in pairs if name.startswith("param_")],
                roles=[value for name, value in pairs if name == "role"],
                read_only=self.command in ("GET", "HEAD"),
                session=one.get("session_id"),
                session_timeout=int(one.get("session_timeout") or 60),
                session_check=one.get("session_check") == "1",
            )
        except ClickHouseError as error:
            return self._reply_error(error, query_id, one.get("compress") == "1")
        except ValueError as error:
            return self._reply_error(ClickHouseError(36, str(error), "BAD_ARGUMENTS"), query_id)
        reply, headers = outcome.body, {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Format": outcome.format,
            "X-ClickHouse-Timezone": self.server.engine.timezone,
            "X-ClickHouse-Summary": json.dumps(outcome.summary, separators=(",", ":")),
        }
        if one.get("compress") == "1":
            reply = frames_encode(reply)
        elif one.get("enable_http_compression", "1") == "1":  # on by default since 25.10
            accepted = self.headers.get("Accept-Encoding", "")
            if "lz4" in accepted:
                reply, headers["Content-Encoding"] = lz4_frame(reply), "lz4"
            elif "gzip" in accepted:
                reply, headers["Content-Encoding"] = gzip.compress(reply, 1), "gzip"
        self._reply(200, reply, headers)

    def _authenticate(self, one):
        options = self.server.options
        if options.user is None:
            return
        user = one.get("user") or self.headers.get("X-ClickHouse-User") or "default"
        password = one.get("password") or self.headers.get("X-ClickHouse-Key") or ""
        if (user, password) != (options.user, options.password):
            raise ClickHouseError(
                516, f"{user}: Authentication failed: password is incorrect, "
                "or there is no user with such name.", "AUTHENTICATION_FAILED")

    def _read_body(self):
        """The whole request body.  A body cut short is an error, never data."""
        limit = self.server.options.max_body
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            parts, total = [], 0
            while True:
                line = self.rfile.readline(1024)
                if not line.endswith(b"\n"):
                    raise EOFError
                size = int(line.split(b";")[0], 16)
                total += size
                if total > limit:
                    raise ClickHouseError(307, "The body is larger than --max-body", "TOO_MANY_BYTES")
                if size == 0:
                    while self.rfile.readline(1024).strip():  # trailers
                        pass
                    break
                parts.append(self._exactly(size))
                self._exactly(2)
            body = b"".join(parts)
        else:
            size = int(self.headers.get("Content-Length") or 0)
            if size > limit:
                raise ClickHouseError(307, "The body is larger than --max-body", "TOO_MANY_BYTES")
            body = self._exactly(size)
        encoding = self.headers.get("Content-Encoding", "identity").lower()
        if encoding in ("gzip", "deflate"):
            return zlib.decompress(body, 47)  # 47: recognise gzip and zlib headers
        if encoding != "identity":
            raise ClickHouseError(48, f"Content-Encoding {encoding} isn't supported here", "NOT_IMPLEMENTED")
        return body

    def _exactly(self, size):
        data = self.rfile.read(size)
        if len(data) != size:
            raise EOFError
        return data

    def _reply_error(self, error, query_id, compress=False):
        body = error.text(self.server.engine.version).encode()
        self._reply(error.status, frames_encode(body) if compress else body, {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Exception-Code": str(error.code),
        })

    def _reply(self, status, body, headers=None):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Server-Display-Name", "chdb")
        for name, value in (headers or {}).items():
            if value:
                self.send_header(name, re.sub(r"[\r\n]", " ", value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, engine, options):
        self.engine, self.options = engine, options
        super().__init__(("127.0.0.1", options.port), Handler)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, socket.timeout)):
            super().handle_error(request, client_address)


def watch_parent(stop):
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder that holds the database; without it a temporary one, removed at the end")
    parser.add_argument("--port", type=int, default=8123, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--user", help="if given, clients must name this user")
    parser.add_argument("--password", default="", help="and this password")
    parser.add_argument("--config-file", help="a ClickHouse XML file for the engine (users, profiles, limits)")
    parser.add_argument("--max-body", type=int, default=256 << 20, help="largest request body in bytes")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when the parent process ends")
    parser.add_argument("--verbose", action="store_true", help="log requests to standard error")
    options = parser.parse_args()

    temporary = None if options.data else tempfile.TemporaryDirectory(prefix="clickhouse-")
    engine = Engine(options.data or temporary.name, options.config_file)
    server = Server(engine, options)

    def stop(*_):
        # shutdown() waits for serve_forever(), so it can't run on this thread.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if options.exit_with_parent:
        threading.Thread(target=watch_parent, args=(stop,), daemon=True).start()
    print(f"ready http://127.0.0.1:{server.server_port} ClickHouse {engine.version}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    engine.close()
    if temporary:
        temporary.cleanup()


if __name__ == "__main__":
    main()
