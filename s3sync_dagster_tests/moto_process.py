"""A moto server in a process of its own: prints its port, ends when its stdin closes.

A process and not a thread: moto hooks itself into botocore at import, its work would share the
GIL with the tests, and a test that kills the endpoint needs something to kill. The stdin is a
leash: a test process that dies by SIGKILL leaves no server behind.
"""

import logging
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main() -> None:
    """Serve on the port given as first argument (0 or none: a free one)."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", port, application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
