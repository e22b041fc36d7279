"""Tells the service manager how the lodge does: sd_notify(3), for a systemd unit with `Type=notify` (or `notify-reload`)."""

from __future__ import annotations

import contextlib
import socket
import time


class Notifier:
    """Speaks to the socket that the service manager named in NOTIFY_SOCKET; silent if the name is empty."""

    def __init__(self, address: str = "") -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self) -> None:
        self._tell("READY=1")

    def reloading(self) -> None:
        # systemd.service(5), Type=notify-reload: the clock's reading tells this reload from earlier ones.
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if self._address:
            # A service manager that does not listen is no reason to fail.
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.sendto(message.encode(), self._address)
