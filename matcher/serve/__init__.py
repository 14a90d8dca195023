"""The local page: a small web server on this machine's own address, its queue of work, and what the browser loads."""
