"""The small HTTP server of a service: /metrics for Prometheus, /health for everybody else."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mm_runtime.health_rules import assess
from mm_runtime.health_watch import Watch
from mm_runtime.metrics import make_registry
from mm_runtime.service import Service
from mm_runtime.settings import MetricsSettings

__all__ = ["MetricsEndpoint"]

log = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.25
_RETRY_S = 5.0
_MAX_REQUESTS = 8
_PORT_TAKEN = (
    "no /metrics and no /health: %s:%d: %s; it is tried again every %g s. Another run on this "
    "machine needs a metrics.base_port of its own"
)
_REQUEST_TIMEOUT_S = 5.0


class _Shown:
    """A service, as it is shown."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.watch = Watch(service)
        self.registry = make_registry(service, self.watch)


class MetricsEndpoint:
    """Serves the metrics and the health of one service at a time, from a daemon thread.

    Make it in the process that runs the service, after any fork. A port that is taken is
    tried again every few seconds: the service itself never waits for it.
    """

    def __init__(self, settings: MetricsSettings) -> None:
        self._settings = settings
        self._shown: _Shown | None = None

    def show(self, service: Service) -> None:
        """Serve `service` from now on, in the place of one that was shown before."""
        if not self._settings.enabled:
            return
        is_first = self._shown is None
        self._shown = _Shown(service)
        if is_first:
            address = (self._settings.host, self._settings.base_port + int(service.role))
            threading.Thread(
                target=self._serve, args=[address], name="metrics", daemon=True
            ).start()

    def shown(self) -> _Shown:
        """Return what is shown."""
        assert self._shown is not None  # the thread begins after the first
        return self._shown

    def _serve(self, address: tuple[str, int]) -> None:
        stopped = threading.Event()  # never set: a wait that looks now and then
        warned = False
        while True:
            try:
                server = _Server(address, self)
            except OSError as error:
                if not warned:
                    log.warning(_PORT_TAKEN, *address, error.strerror, _RETRY_S)
                warned = True
                stopped.wait(_RETRY_S)
                continue
            log.info("/metrics and /health on http://%s:%d", *server.server_address[:2])
            server.serve_forever(_LOOK_INTERVAL_S)


class _Server(ThreadingHTTPServer):
    """Answers a few requests at a time; more are turned away."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], endpoint: MetricsEndpoint) -> None:
        self.endpoint = endpoint
        self._slots = threading.BoundedSemaphore(_MAX_REQUESTS)
        super().__init__(address, _Handler)

    def service_actions(self) -> None:
        """Look at the service: called by `serve_forever` a few times a second."""
        self.endpoint.shown().watch.look()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if one is free."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and free the slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong; a client that went away is nothing to speak of."""
        log.debug("a request from %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_TIMEOUT_S
    server_version = "mmquant"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        shown = self.server.endpoint.shown()
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(shown.registry))
        elif path == "/health":
            health = assess(shown.service, shown.watch)
            body = json.dumps(health.as_dict()).encode()
            self._answer(200 if health.healthy else 503, "application/json", body)
        else:
            self._answer(404, "text/plain", b"there are /metrics and /health\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        log.debug(format, *arguments)
