"""driver.py: runs scenarios of calls on the b10_transfer that PYTHONPATH has, one JSON line of stdin and stdout each.

A scenario is {"env": {name: value or null}, "calls": [[function, argument, …], …]}: its settings hold for it alone. The
answer is one item a call: {"returned": …} or {"raised": the exception's name}. An import that fails answers every call.
"""

from __future__ import annotations

import contextlib
import enum
import inspect
import io
import json
import logging
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Dict, List, Optional

try:
    import b10_transfer

    import_failure: Optional[str] = None
except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
    import_failure = type(error).__name__


def shape_of(value: Any) -> Any:
    """What a caller can rely on: names of statuses, and the types in a dict, but not its figures."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, dict):
        return {key: shape_of(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape_of(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    return type(value).__name__


def surface() -> Dict[str, str]:
    """The public names, and how each is called."""
    found: Dict[str, str] = {}
    for name in sorted(b10_transfer.__all__):
        item = getattr(b10_transfer, name)
        if inspect.isclass(item):
            bases = [base.__name__ for base in item.__mro__[1:-1]]
            members = {each.name: each.value for each in item} if issubclass(item, enum.Enum) else {}
            found[name] = f"class of {bases} {members}"
        elif callable(item):
            found[name] = f"({', '.join(inspect.signature(item).parameters)})"
        else:
            found[name] = type(item).__name__
    return found


class Ready(BaseHTTPRequestHandler):
    """A server that is ready."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def ready_server(port: int) -> Any:
    server = HTTPServer(("127.0.0.1", port), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def logger_facts() -> Dict[str, Any]:
    logger = b10_transfer.get_b10_logger("contract")
    return {
        "is_logger": isinstance(logger, logging.Logger),
        "name": logger.name,
        "level": logger.level,
        "handlers": len(logger.handlers),
        "propagates": logger.propagate,
        "again": b10_transfer.get_b10_logger("contract") is logger,
    }


def call(name: str, *arguments: Any) -> Any:
    if name == "surface":
        return surface()
    if name == "logger":
        return logger_facts()
    if name == "save_vllm_with_server":
        with ready_server(int(arguments[0])):
            return b10_transfer.save_vllm_compile_cache()
    return shape_of(getattr(b10_transfer, name)(*arguments))


def answer(one: List[Any]) -> Dict[str, Any]:
    if import_failure is not None:
        return {"import_raised": import_failure}
    try:
        return {"returned": call(*one)}
    except SystemExit as error:
        return {"exited": error.code}
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
        return {"raised": type(error).__name__}


@contextlib.contextmanager
def environment(settings: Dict[str, Optional[str]]) -> Any:
    before = dict(os.environ)
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> None:
    # What is logged goes to stderr; a stray print must not look like an answer.
    answers = sys.stdout
    sys.stdout = io.StringIO()
    for line in sys.stdin:
        scenario = json.loads(line)
        with environment(scenario["env"]):
            found: List[Dict[str, Any]] = [answer(one) for one in scenario["calls"]]
        print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
