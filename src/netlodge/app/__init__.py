"""The composition root: settings in, a running lodge out. Everything below is handed what it needs here; only `cli` imports this.

`lodge` is the supervisor's view, `rooms` what one worker runs, `web` the handlers of the sites, `worker` the process.
"""
