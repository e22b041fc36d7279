"""The root of every error that Netlodge raises on purpose.

Each family derives its own errors, which know their wire form (a status, an rcode, a reply code). What is not a
`NetlodgeError` is a defect in this program.
"""


class NetlodgeError(Exception):
    """Any failure that Netlodge foresees; `str(error)` is one sentence fit for the person who runs the lodge."""
