-- For wrk: a client that takes gzip.
wrk.headers["Accept-Encoding"] = "gzip"
