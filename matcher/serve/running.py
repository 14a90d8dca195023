"""From the command to a server that listens: address, token, browser, and an orderly end."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import platformdirs
import uvicorn

from dsp.errors import FileError, SettingsError
from matcher.serve.app import make_app
from matcher.serve.queue import Queue
from matcher.serve.store import Store, alone
from matcher.serve.uploads import LARGEST_BYTES

SHORTEST_TOKEN = 16


def default_folder() -> Path:
    """Where the page keeps its state."""
    return Path(platformdirs.user_state_dir("match"))


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    folder: Path | None = None,
    workers: int | None = None,
    largest_bytes: int = LARGEST_BYTES,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page until it is interrupted. port: 0 takes a free one. Raises SettingsError, FileError."""
    if not is_loopback(host) and token is None:
        raise SettingsError(f"host: {host!r} can be reached from other machines, which needs a --token of your own")
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise SettingsError(f"token: {len(token)} characters; at least {SHORTEST_TOKEN} of ASCII are needed")
    token = token or secrets.token_urlsafe(24)
    store = Store(folder or default_folder())
    with alone(store.folder), _listening(host, port) as listening:
        port = listening.getsockname()[1]
        queue = Queue(store, workers or max(1, (os.cpu_count() or 1) // 2))
        hosts = allowed_hosts(host, port)
        app = make_app(store, queue, token=token, hosts=hosts, largest_bytes=largest_bytes)
        address = f"http://{_written(host)}:{port}/?token={token}"
        if not is_loopback(host):
            say("warning: the page is open to the network, without encryption; whoever sees the token can use it")
        say(f"The page: {address}")
        say(f"What it keeps: {store.folder}   (Ctrl-C ends it)")
        if browser:
            threading.Timer(0.5, webbrowser.open, (address,)).start()
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
        )
        uvicorn.Server(config).run(sockets=[listening])


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own and no other's."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed_hosts(host: str, port: int) -> list[str]:
    """What the Host header may say."""
    names = {"127.0.0.1", "localhost", "[::1]", _written(host)}
    if host in ("0.0.0.0", "::"):  # every address of this machine
        names |= {socket.gethostname(), *socket.gethostbyname_ex(socket.gethostname())[2]}
    return sorted(f"{name}:{port}" for name in names)


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(64)
    except OSError as error:
        listening.close()
        raise FileError(f"{host}:{port}: cannot be listened at ({error.strerror}); choose another --port") from error
    return listening
