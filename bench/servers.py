"""How each server is started for the benchmark: the same files, the same core, its log on where it has one.

A starter returns the rows of the table that one process tree serves: nginx, say, has a door for each way of setting it up.
What cannot be started (not installed, not built, a mistake) is left out of the tables, and its reason is printed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pwd
import shutil
import string
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import ProcessTree, StartError, find, free_port, pinned

HERE = Path(__file__).parent
ROOT = HERE.parent
NETLODGE = str(Path(sys.executable).with_name("netlodge"))

FLOOR = "C loop"
NGINX = "nginx"
NGINX_KEPT = "nginx, open files kept"
NGINX_BUFFERED = "nginx, files kept, log buffered"
NGINX_CACHE = "nginx proxy_cache"
NGINX_GZIP = "nginx gzip"
NGINX_GZIP_STATIC = "nginx gzip_static"
VARNISH = "Varnish hit"
SQUID = "Squid hit"
UVICORN = "uvicorn, bare ASGI"
GRANIAN = "Granian, bare ASGI"
HYPERCORN = "hypercorn, bare ASGI"
LODGE = "Netlodge"
LODGE_PARSING = "Netlodge, recall off"
LODGE_FIXED = "Netlodge, no file"
LODGE_APP = "Netlodge, bare ASGI"
NGINX_LOGIN = "nginx auth_basic"
LODGE_OPEN = "Netlodge, no login asked"
LODGE_LOGIN = "Netlodge, login"
NGINX_TLS = "nginx, TLS"
NGINX_CACHE_TLS = "nginx proxy_cache, TLS"
LODGE_TLS = "Netlodge, TLS"
LODGE_FIXED_TLS = "Netlodge, no file, TLS"
GRANIAN_TLS = "Granian, TLS, bare ASGI"
HYPERCORN_TLS = "hypercorn, TLS, bare ASGI"

ACCOUNT = ("bench", "correct horse")
"""Whom `login.lua` logs in."""


@dataclass(frozen=True, slots=True)
class Server:
    """One row: where to ask, and whose account to read."""

    name: str
    port: int
    tree: ProcessTree
    scheme: str = "http"


@dataclass(slots=True)
class Setting:
    """What all servers of one line-up share."""

    place: Path
    """A folder of their own for logs, caches and configurations."""
    site: Path
    """The files to serve."""
    core: str
    """The cores that they may run on, as taskset reads it."""
    workers: int
    servers: list[Server] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    """Why a row is missing."""

    def port_of(self, name: str) -> int:
        for server in self.servers:
            if server.name == name:
                return server.port
        raise StartError(f"needs {name}, which is not there")

    def start(self, command: list[str], name: str, port: int) -> ProcessTree:
        """Start `command` on the setting's cores, wait for `port`, and return its tree. Raises `StartError`."""
        tree = ProcessTree(pinned(command, self.core), self.place / f"{name}.log", {"PYTHONPATH": str(ROOT)})
        try:
            tree.wait_for_port(port)
        except StartError:
            tree.end()
            raise
        return tree


def program(name: str) -> str:
    path = find(name)
    if path is None:
        raise StartError("not installed")
    return path


def fill_in(template: str, **values: object) -> str:
    return string.Template((HERE / template).read_text()).substitute(values)


def start_floor(setting: Setting) -> list[Server]:
    compiler = find("cc") or program("gcc")
    built = HERE / "build" / "floor"
    source = HERE / "floor.c"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        built.parent.mkdir(exist_ok=True)
        subprocess.run([compiler, "-O2", "-Wall", "-o", str(built), str(source)], check=True)
    port = free_port()
    return [Server(FLOOR, port, setting.start([str(built), str(port), str(setting.workers)], "floor", port))]


def start_nginx(setting: Setting) -> list[Server]:
    ports = {name: free_port() for name in (NGINX, NGINX_KEPT, NGINX_BUFFERED, NGINX_CACHE)}
    configuration = setting.place / "nginx.conf"
    configuration.write_text(
        fill_in(
            "nginx.conf.in",
            user="user root;" if os.geteuid() == 0 else "",
            workers=setting.workers,
            place=setting.place,
            site=setting.site,
            static_port=ports[NGINX],
            kept_port=ports[NGINX_KEPT],
            buffered_port=ports[NGINX_BUFFERED],
            cached_port=ports[NGINX_CACHE],
        )
    )
    command = [program("nginx"), "-e", str(setting.place / "nginx.error.log"), "-c", str(configuration)]
    tree = setting.start(command, "nginx", ports[NGINX])
    return [Server(name, port, tree) for name, port in ports.items()]


def start_nginx_gzip(setting: Setting) -> list[Server]:
    ports = {name: free_port() for name in (NGINX_GZIP, NGINX_GZIP_STATIC)}
    configuration = setting.place / "nginx-gzip.conf"
    configuration.write_text(
        fill_in(
            "nginx-gzip.conf.in",
            user="user root;" if os.geteuid() == 0 else "",
            workers=setting.workers,
            place=setting.place,
            site=setting.site,
            gzip_port=ports[NGINX_GZIP],
            static_port=ports[NGINX_GZIP_STATIC],
        )
    )
    command = [program("nginx"), "-e", str(setting.place / "nginx-gzip.error.log"), "-c", str(configuration)]
    tree = setting.start(command, "nginx-gzip", ports[NGINX_GZIP])
    return [Server(name, port, tree) for name, port in ports.items()]


def start_varnish(setting: Setting) -> list[Server]:
    port = free_port()
    command = [program("varnishd"), "-F", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{setting.port_of(NGINX)}"]
    command += ["-n", str(setting.place / "varnish"), "-s", "malloc,256m", "-t", "86400"]
    command += ["-p", "timeout_idle=600", "-p", "thread_pool_max=5000"]
    if os.geteuid() == 0:
        command += ["-j", "none"]
    return [Server(VARNISH, port, setting.start(command, "varnish", port))]


def start_squid(setting: Setting) -> list[Server]:
    port = free_port()
    place = setting.place / "squid"
    place.mkdir()
    if os.geteuid() == 0:
        # Squid refuses to stay root.
        owner = pwd.getpwnam("proxy")
        os.chown(place, owner.pw_uid, owner.pw_gid)
    configuration = place / "squid.conf"
    configuration.write_text(fill_in("squid.conf.in", port=port, origin_port=setting.port_of(NGINX), place=place))
    command = [program("squid"), "-N", "-f", str(configuration)]
    return [Server(SQUID, port, setting.start(command, "squid", port))]


def start_uvicorn(setting: Setting) -> list[Server]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--workers", str(setting.workers)]
    command += ["--no-access-log", "--log-level", "error", "--timeout-keep-alive", "600", "--backlog", "8192"]
    command += ["--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "bench.application:application"]
    return [Server(UVICORN, port, setting.start(command, "uvicorn", port))]


def start_granian(setting: Setting, name: str = GRANIAN, *options: str) -> list[Server]:
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asginl", "--port", str(port)]
    command += ["--workers", str(setting.workers), "--loop", "uvloop", "--no-ws", "--no-access-log"]
    command += ["--log-level", "error", "--backlog", "8192", "--backpressure", "32768"]
    command += [*(options or ("--http", "1")), "bench.application:application"]
    return [Server(name, port, setting.start(command, "granian", port))]


def start_granian_tls(setting: Setting) -> list[Server]:
    pem = str(self_signed(setting, "granian"))
    (server,) = start_granian(setting, GRANIAN_TLS, "--http", "auto", "--ssl-certificate", pem, "--ssl-keyfile", pem)
    return [Server(server.name, server.port, server.tree, "https")]


def start_hypercorn(setting: Setting, name: str = HYPERCORN, *options: str) -> list[Server]:
    port = free_port()
    command = [sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{port}", "--workers", str(setting.workers)]
    command += ["--worker-class", "uvloop", "--keep-alive", "600", "--backlog", "8192", "--log-level", "error"]
    command += [*options, "bench.application:application"]
    return [Server(name, port, setting.start(command, "hypercorn", port))]


def start_hypercorn_tls(setting: Setting) -> list[Server]:
    pem = str(self_signed(setting, "hypercorn"))
    (server,) = start_hypercorn(setting, HYPERCORN_TLS, "--certfile", pem, "--keyfile", pem)
    return [Server(server.name, server.port, server.tree, "https")]


def data_of(setting: Setting, name: str) -> Path:
    return setting.place / "-".join(["lodge", *name.replace(",", "").split()[1:]])


def start_lodge(setting: Setting, name: str = LODGE, *overrides: str) -> list[Server]:
    port = free_port()
    data = data_of(setting, name)
    settings = {
        "data": str(data),
        "workers": setting.workers,
        "web.listen": [f"127.0.0.1:{port}"],
        "web.listen_tls": [],
        # As the others are set: what rests is kept until the benchmark lets go.
        "limits.idle_timeout": "10 min",
    }
    command = [NETLODGE, "up", "--only", "web"]
    if name == LODGE_APP:
        command += ["--app", "bench.application:application"]
    elif not name.startswith(LODGE_FIXED):
        command += ["--files", str(setting.site)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    for override in overrides:
        command += ["--set", override]
    return [Server(name, port, setting.start(command, data.name, port))]


def start_lodge_parsing(setting: Setting) -> list[Server]:
    return start_lodge(setting, LODGE_PARSING, "recall.enabled=false")


def start_lodge_fixed(setting: Setting, name: str = LODGE_FIXED, *overrides: str) -> list[Server]:
    """The same octets, of which the settings are the source: remembered, and no file to look at before each answer."""
    body = "a" * 1024
    site = f'web.site=[{{ routes = [{{ path = "/", respond = "{body}" }}] }}]'
    return start_lodge(setting, name, site, *overrides)


def start_lodge_app(setting: Setting) -> list[Server]:
    """The application that uvicorn and the others run; its answers may not be remembered. Logged and counted, as everything is."""
    return start_lodge(setting, LODGE_APP)


def start_nginx_login(setting: Setting) -> list[Server]:
    """With the quickest kind of kept password that it knows and that is not in clear."""
    port = free_port()
    name, password = ACCOUNT
    salt = os.urandom(8)
    digest = hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest()
    accounts = setting.place / "nginx-login.accounts"
    accounts.write_text(f"{name}:{{SSHA}}{base64.b64encode(digest + salt).decode()}\n")
    accounts.chmod(0o644)
    configuration = setting.place / "nginx-login.conf"
    configuration.write_text(
        fill_in(
            "nginx-login.conf.in",
            user="user root;" if os.geteuid() == 0 else "",
            workers=setting.workers,
            place=setting.place,
            site=setting.site,
            port=port,
        )
    )
    command = [program("nginx"), "-e", str(setting.place / "nginx-login.error.log"), "-c", str(configuration)]
    return [Server(NGINX_LOGIN, port, setting.start(command, "nginx-login", port))]


def start_lodge_login(setting: Setting) -> list[Server]:
    """The files behind a login, and the same files asked with the same credentials where nobody asks for any."""
    name, password = ACCOUNT
    site = f'[{{ access.login = true, routes = [{{ path = "/", files = "{setting.site}" }}] }}]'
    subprocess.run(
        [NETLODGE, "user", "add", name, "--stdin", "--data", str(data_of(setting, LODGE_LOGIN))],
        input=password.encode(),
        check=True,
        capture_output=True,
        cwd=setting.place,
    )
    return [*start_lodge(setting, LODGE_OPEN), *start_lodge(setting, LODGE_LOGIN, f"web.site={site}")]


def self_signed(setting: Setting, name: str) -> Path:
    """A PEM file with a key of the kind that the lodge makes, and a certificate of its own."""
    path = setting.place / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-keyout", str(path), "-out", "-"]
    made = subprocess.run(command, check=True, capture_output=True)
    with path.open("ab") as file:
        file.write(made.stdout)
    return path


def start_nginx_tls(setting: Setting) -> list[Server]:
    ports = {name: free_port() for name in (NGINX_TLS, NGINX_CACHE_TLS)}
    certificate = self_signed(setting, "nginx-tls")
    configuration = setting.place / "nginx-tls.conf"
    configuration.write_text(
        fill_in(
            "nginx-tls.conf.in",
            user="user root;" if os.geteuid() == 0 else "",
            workers=setting.workers,
            place=setting.place,
            site=setting.site,
            certificate=certificate,
            static_port=ports[NGINX_TLS],
            cached_port=ports[NGINX_CACHE_TLS],
            origin_port=free_port(),
        )
    )
    command = [program("nginx"), "-e", str(setting.place / "nginx-tls.error.log"), "-c", str(configuration)]
    tree = setting.start(command, "nginx-tls", ports[NGINX_TLS])
    return [Server(name, port, tree, "https") for name, port in ports.items()]


def start_lodge_tls(setting: Setting) -> list[Server]:
    """The files and the fixed answer again, asked by TLS."""
    servers = []
    for name, start in ((LODGE_TLS, start_lodge), (LODGE_FIXED_TLS, start_lodge_fixed)):
        port = free_port()
        (server,) = start(setting, name, f"web.listen_tls=127.0.0.1:{port}")
        servers.append(Server(name, port, server.tree, "https"))
    return servers


STARTERS: dict[str, Callable[[Setting], list[Server]]] = {
    # In this order: Varnish and Squid fetch from nginx.
    "floor": start_floor,
    "nginx": start_nginx,
    "nginx-gzip": start_nginx_gzip,
    "varnish": start_varnish,
    "squid": start_squid,
    "uvicorn": start_uvicorn,
    "granian": start_granian,
    "hypercorn": start_hypercorn,
    "lodge": start_lodge,
    "lodge-fixed": start_lodge_fixed,
    "lodge-parsing": start_lodge_parsing,
    "lodge-app": start_lodge_app,
    "nginx-login": start_nginx_login,
    "lodge-login": start_lodge_login,
    "nginx-tls": start_nginx_tls,
    "granian-tls": start_granian_tls,
    "hypercorn-tls": start_hypercorn_tls,
    "lodge-tls": start_lodge_tls,
}


def start_line_up(setting: Setting, starters: tuple[str, ...]) -> None:
    """Start the named servers into `setting.servers`; one that fails goes to `setting.absent`."""
    setting.place.mkdir(parents=True, exist_ok=True)
    for name in starters:
        try:
            setting.servers += STARTERS[name](setting)
        except (StartError, OSError, subprocess.CalledProcessError, KeyError) as error:
            setting.absent[name] = str(error)


def end_line_up(setting: Setting) -> None:
    """End every tree of the line-up, and remove what it wrote."""
    for tree in {id(server.tree): server.tree for server in reversed(setting.servers)}.values():
        tree.end()
    setting.servers.clear()
    shutil.rmtree(setting.place, ignore_errors=True)
