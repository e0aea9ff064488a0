"""A moto server in a process of its own: prints its port, ends when its stdin closes.

A process and not a thread: moto hooks itself into botocore at import, its work would share the
GIL with the tests, and a test that kills the endpoint needs something to kill. The stdin is a
leash: a test process that dies by SIGKILL leaves no server behind.
"""

import logging
import sys
import threading
from typing import Any

from moto.moto_server.utilities import RegexConverter
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main() -> None:
    """Serve on the port given as first argument (0 or none: a free one)."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _let_keys_hold_newlines()
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", port, application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


def _let_keys_hold_newlines() -> None:
    """Let moto's routes match keys with a newline, which S3 has and ``.`` leaves out."""
    plain = RegexConverter.__init__

    def dotall(self: RegexConverter, url_map: Any, *items: Any) -> None:
        plain(self, url_map, *items)
        self.regex = self.regex.replace(".+", "(?s:.+)").replace(".*", "(?s:.*)")

    RegexConverter.__init__ = dotall


if __name__ == "__main__":
    main()
