"""The root of every error that Netlodge raises on purpose.

Each family derives its own errors, which know their wire form (a status, an rcode, a reply code). What is not a
`NetlodgeError` is a defect in this program.
"""


class NetlodgeError(Exception):
    """Any failure that Netlodge foresees; `str(error)` is one sentence fit for the person who runs the lodge."""


class CutShortError(ConnectionResetError):
    """The stream ended while something long was being sent. `sent` is how many octets of it the kernel had taken."""

    def __init__(self, sent: int) -> None:
        super().__init__(f"the connection ended after {sent} octets")
        self.sent = sent
