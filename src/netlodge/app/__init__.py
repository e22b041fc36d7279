"""The composition root: settings in, a running lodge out. Everything below is handed what it needs here; nobody imports this.

`lodge` is the supervisor's view, `rooms` what one worker runs, `web` the handlers of the sites, `worker` the process.
"""

from netlodge.app.lodge import run

__all__ = ["run"]
