"""The page on this machine alone, made anew whenever it is asked for, while runs go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.report.write import TIME, report

LOOPBACK = "127.0.0.1"
# After so many seconds a browser asks again.
REFRESH = 5


def watch(folders: Sequence[Path], command: str, tell: Callable[[str], None]) -> None:
    """Serve the page on loopback until Ctrl-C.

    Args:
        folders: as of `versatune_plugin.report.write.write_report`.
        command: what serves it.
        tell: is given the address.

    Raises:
        ArtifactError: as of `versatune_plugin.report.write.write_report`, at the start.
    """

    def page() -> str:
        return report(folders, command, datetime.now(UTC).strftime(TIME))

    page()
    with ThreadingHTTPServer((LOOPBACK, 0), _handler(page)) as server:
        tell(f"http://{LOOPBACK}:{server.server_port}/")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def _handler(page: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            port = self.connection.getsockname()[1]
            # A site elsewhere whose name leads to loopback must not read it.
            if self.headers.get("Host") not in (f"{LOOPBACK}:{port}", f"localhost:{port}"):
                self.send_error(403)
            elif self.path != "/":
                self.send_error(404)
            else:
                self._answer()

        def _answer(self) -> None:
            try:
                status, kind, body = 200, "text/html", page()
            except VersaTuneError as error:
                # A record that is just being replaced is there again in a moment.
                status, kind, body = 503, "text/plain", str(error)
            data = body.encode()
            self.send_response(status)
            for name, value in (
                ("Content-Type", f"{kind}; charset=utf-8"),
                ("Content-Length", str(len(data))),
                ("Cache-Control", "no-store"),
                ("Refresh", str(REFRESH)),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    return Handler
