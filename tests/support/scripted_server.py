"""A stand-in for llama-server that does what the real one cannot be made to do.

``make_server(folder, **script)`` writes a program that takes llama-server's flags and behaves as
scripted. Wire format and wordings are the real server's. The keys of a script:

devices        lines of --list-devices, such as "CUDA0: NVIDIA X (100 MiB, 90 MiB free)"
raw_vulkan     what GGML_VK_VISIBLE_DEVICES=0,1,… index, where that is not the list (names)
list_error     --list-devices fails with this text and exit code 127
dump           a file that gets {"argv", "environment", "cwd", "session", "fds"} as JSON at the start
log_starts     a file that gets a line at each start
load_seconds   how long the model loads (503 until then); 0
load_file      the model loads until this file exists
load_log       text printed at the start of the load
crash          exit at the end of the load: an exit code, negative for a signal
health         "hang": no answer on /health, "garbage": 200 with no JSON
hang_file      where this file exists nothing at all is answered, as with "hang"
hang_routes    ["/metrics"]: with hang_file, what alone is not answered then
crash_file     exit at the end of the load only while this file exists: "crash" then says how (1)
ignore_sigterm True: only SIGKILL ends it
bodies         {"/props": "text"}: what a route answers instead
slots          4; sleeping: False
comm           the name of its process, as the kernel shows it
reply          the words that are streamed; rate: tokens per second, 50; prompt_seconds: 0
hold_file      an answer stops after its first token until this file exists
die_after      exit with 1 after so many tokens of a stream; stall_after: stop streaming there
die_log        text printed before that; die_code: another exit code, negative for a signal
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

WORDS = (
    "The",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "and",
    "sleeps",
    ".",
)


def make_server(folder: Path, name: str = "llama-server", **script: Any) -> Path:
    """Write the program ``folder/name`` with this script; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    program, plan = folder / name, folder / f"{name}.script.json"
    plan.write_text(json.dumps(script))
    words = (sys.executable, str(Path(__file__).resolve()), str(plan))
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    return program


class Server:
    """The state that all requests share."""

    def __init__(self, script: dict[str, Any], options: argparse.Namespace) -> None:
        self.script = script
        self.options = options
        self.ready = threading.Event()
        self.lock = threading.Lock()
        self.busy: dict[int, int] = {}  # tokens decoded so far, by task
        self.tasks = 0
        self.totals = dict.fromkeys(
            ("prompt_tokens", "prompt_seconds", "tokens_predicted", "tokens_predicted_seconds"), 0.0
        )
        self.decodes = 0

    @property
    def slots(self) -> int:
        return int(self.script.get("slots", 4))

    def hangs(self, path: str) -> bool:
        file, routes = self.script.get("hang_file"), self.script.get("hang_routes")
        return bool(file) and Path(file).exists() and (routes is None or path in routes)

    def props(self) -> dict[str, Any]:
        return {
            "default_generation_settings": {"n_ctx": self.options.ctx_size},
            "total_slots": self.slots,
            "model_alias": self.options.alias,
            "model_path": self.options.model,
            "modalities": {"vision": self.options.mmproj is not None, "audio": False},
            "is_sleeping": self.script.get("sleeping", False),
            "build_info": "scripted",
        }

    def slots_body(self) -> list[dict[str, Any]]:
        running = list(self.busy.items())
        body: list[dict[str, Any]] = []
        for number in range(self.slots):
            task = running[number] if number < len(running) else None
            slot: dict[str, Any] = {"id": number, "n_ctx": 512, "is_processing": task is not None}
            if task:
                slot |= {"id_task": task[0], "next_token": [{"n_decoded": task[1]}]}
            body.append(slot)
        return body

    def metrics(self) -> str:
        values = {f"{name}_total": value for name, value in self.totals.items()}
        values |= {"requests_processing": len(self.busy), "requests_deferred": 0}
        values |= {"n_decode_total": self.decodes}
        return "".join(f"# HELP llamacpp:{k} x\nllamacpp:{k} {v:g}\n" for k, v in values.items())


class Handler(http.server.BaseHTTPRequestHandler):
    server_state: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        state = self.server_state
        path = self.path.partition("?")[0]
        mode = state.script.get("health") if path == "/health" else None
        if mode == "hang" or state.hangs(path):
            time.sleep(3600)
        if not state.ready.is_set():
            self.loading()
        elif path in state.script.get("bodies", {}):
            self.send(200, state.script["bodies"][path].encode("utf-8", "surrogateescape"))
        elif path == "/health":
            self.send(200, b"<html>hello" if mode == "garbage" else b'{"status":"ok"}')
        elif path == "/props":
            self.send(200, json.dumps(state.props()).encode())
        elif path == "/slots":
            self.send(200, json.dumps(state.slots_body()).encode())
        elif path == "/metrics":
            self.send(200, state.metrics().encode(), "text/plain; version=0.0.4")
        elif path == "/v1/models":
            self.send(200, json.dumps({"data": [{"id": state.options.alias}]}).encode())
        else:
            self.fail(404, "File Not Found", "not_found_error")

    def do_POST(self) -> None:
        state = self.server_state
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if state.hangs(self.path):
            time.sleep(3600)
        if not state.ready.is_set():
            self.loading()
        elif self.path == "/v1/chat/completions":
            with state.lock:
                state.tasks += 1
                task = state.tasks
                state.busy[task] = 0
            try:
                self.chat(request, task)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                state.busy.pop(task, None)
        else:
            self.fail(404, "File Not Found", "not_found_error")

    def chat(self, request: dict[str, Any], task: int) -> None:
        state, script = self.server_state, self.server_state.script
        words = [f"{word} " for word in script.get("reply", WORDS)]
        words = words[: request.get("max_tokens") or len(words)]
        rate = float(script.get("rate", 50))
        prompt = sum(len(str(m.get("content", "")).split()) for m in request.get("messages", []))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        began = time.monotonic()
        time.sleep(float(script.get("prompt_seconds", 0)))
        prompt_ms = max(1.0, (time.monotonic() - began) * 1000)
        self.chunk({"role": "assistant", "content": None})
        started = time.monotonic()

        def timings(count: int) -> dict[str, float]:
            spent = max(1e-3, (time.monotonic() - started) * 1000)
            return {
                "cache_n": 0,
                "prompt_n": prompt,
                "prompt_ms": prompt_ms,
                "prompt_per_second": prompt / prompt_ms * 1000,
                "predicted_n": count,
                "predicted_ms": spent,
                "predicted_per_second": count / spent * 1000,
            }

        for count, word in enumerate(words, 1):
            time.sleep(max(0.0, started + count / rate - time.monotonic()))
            state.busy[task] = count
            state.decodes += 1
            extra = {"timings": timings(count)} if request.get("timings_per_token") else {}
            self.chunk({"content": word}, **extra)
            if script.get("die_after") == count:
                print(script.get("die_log", ""), flush=True)
                end(int(script.get("die_code", 1)))
            if script.get("stall_after") == count:
                time.sleep(3600)
            until_there(script.get("hold_file"))
        last = timings(len(words))
        self.chunk({}, finish="stop", timings=last)
        usage = {"prompt_tokens": prompt, "completion_tokens": len(words)}
        if (request.get("stream_options") or {}).get("include_usage"):
            self.event({"choices": [], "usage": usage, "object": "chat.completion.chunk"})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True
        with state.lock:
            state.totals["prompt_tokens"] += prompt
            state.totals["prompt_seconds"] += last["prompt_ms"] / 1000
            state.totals["tokens_predicted"] += len(words)
            state.totals["tokens_predicted_seconds"] += last["predicted_ms"] / 1000

    def chunk(self, delta: dict[str, Any], finish: str | None = None, **extra: Any) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.event(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "created": int(time.time()),
                "model": self.server_state.options.alias,
                "choices": [choice],
                **extra,
            }
        )

    def event(self, body: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")
        self.wfile.flush()

    def loading(self) -> None:
        self.fail(503, "Loading model", "unavailable_error")

    def fail(self, code: int, message: str, kind: str) -> None:
        error = {"message": message, "type": kind, "code": code}
        self.send(code, json.dumps({"error": error}).encode())

    def send(self, code: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def list_devices(script: dict[str, Any]) -> None:
    if "list_error" in script:
        sys.stderr.write(script["list_error"] + "\n")
        sys.exit(127)
    lines = list(script.get("devices", []))
    visible = os.environ.get("GGML_VK_VISIBLE_DEVICES")
    if visible is not None:
        raw = script.get("raw_vulkan") or [
            line.partition(": ")[2] for line in lines if line.startswith("Vulkan")
        ]
        chosen = [raw[int(index)] for index in visible.split(",") if index]
        lines = [line for line in lines if not line.startswith("Vulkan")]
        lines += [f"Vulkan{number}: {name}" for number, name in enumerate(chosen)]
    print("Available devices:")
    for line in lines or ["(none)"]:
        print(f"  {line}")


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("-m", "--model")
    parser.add_argument("-a", "--alias")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--metrics", action="store_true")
    parser.add_argument("--sse-ping-interval", type=int)
    parser.add_argument("-dev", "--device")
    parser.add_argument("-c", "--ctx-size", type=int, default=4096)
    parser.add_argument("-ngl", "--n-gpu-layers")
    parser.add_argument("-b", "--batch-size", type=int)
    parser.add_argument("-ub", "--ubatch-size", type=int)
    parser.add_argument("-t", "--threads", type=int)
    parser.add_argument("-np", "--parallel", type=int)
    parser.add_argument("-sm", "--split-mode")
    parser.add_argument("-ts", "--tensor-split")
    parser.add_argument("-fa", "--flash-attn")
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--rerank", action="store_true")
    parser.add_argument("-mm", "--mmproj")
    parser.add_argument("--sleep-idle-seconds", type=int)
    parser.add_argument("--list-devices", action="store_true")
    return parser


def main() -> None:
    script = json.loads(Path(sys.argv[1]).read_text())
    chosen, unknown = options().parse_known_args(sys.argv[2:])
    if unknown:
        sys.exit(f"error: invalid argument: {unknown[0]}")
    if chosen.list_devices:
        list_devices(script)
        return
    if "log_starts" in script:
        with Path(script["log_starts"]).open("a") as starts:
            starts.write(f"{os.getpid()}\n")
    if "comm" in script:
        Path("/proc/self/comm").write_text(script["comm"])
    if "dump" in script:
        dump(Path(script["dump"]))
    if script.get("ignore_sigterm"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if "load_log" in script:
        print(script["load_log"], flush=True)
    Handler.server_state = state = Server(script, chosen)
    try:
        server = http.server.ThreadingHTTPServer((chosen.host, chosen.port), Handler)
    except OSError:
        sys.exit(
            "0.00.011.640 E srv         start: couldn't bind HTTP server socket, "
            f"hostname: {chosen.host}, port: {chosen.port}"
        )
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    time.sleep(float(script.get("load_seconds", 0)))
    until_there(script.get("load_file"))
    if "crash_file" in script:
        if Path(script["crash_file"]).exists():
            end(int(script.get("crash", 1)))
    elif "crash" in script:
        end(int(script["crash"]))
    state.ready.set()
    threading.Event().wait()


def until_there(file: str | None) -> None:
    while file and not Path(file).exists():
        time.sleep(0.005)


def dump(file: Path) -> None:
    facts = {
        "argv": sys.argv[2:],
        "environment": dict(os.environ),
        "cwd": str(Path.cwd()),
        "session": os.getsid(0),
        "pid": os.getpid(),
        "fds": sorted(int(path.name) for path in Path("/proc/self/fd").iterdir()),
    }
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(facts))
    temporary.replace(file)


def end(code: int) -> None:
    sys.stdout.flush()
    if code < 0:
        os.kill(os.getpid(), -code)
        time.sleep(10)
    os._exit(code)


if __name__ == "__main__":
    main()
