-- For wrk: every request with the credentials of servers.ACCOUNT.
wrk.headers["Authorization"] = "Basic YmVuY2g6Y29ycmVjdCBob3JzZQ=="
