"""A moto server in a process of its own: prints its port, ends when its stdin closes.

A process and not a thread: moto hooks itself into botocore at import, its work would share the
GIL with the tests, and a test that kills the endpoint needs something to kill. The stdin is a
leash: a test process that dies by SIGKILL leaves no server behind.
"""

import logging
import sys
import threading
from typing import Any
from urllib.parse import quote

from moto.core.responses import ActionResult
from moto.moto_server.utilities import RegexConverter
from moto.s3.responses import S3Response
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main() -> None:
    """Serve on the port given as first argument (0 or none: a free one)."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _let_keys_hold_newlines()
    _encode_start_after()
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


def _encode_start_after() -> None:
    """Encode the key that a listing started after, as S3 does and moto forgets to.

    Without it, control characters in that key make an answer that is not XML.
    """
    plain = S3Response.serialized

    def encoding(self: S3Response, action_result: ActionResult) -> Any:
        result = action_result.result
        if isinstance(result, dict) and {"EncodingType", "StartAfter"} <= result.keys():
            result["StartAfter"] = quote(result["StartAfter"])
        return plain(self, action_result)

    S3Response.serialized = encoding


if __name__ == "__main__":
    main()
