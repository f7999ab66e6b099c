"""What a server or the network refused, in words a user can act on; never with the key in them."""

from __future__ import annotations

import re
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from gputui.chat.answering.overflow import ContextExceededError
from gputui.chat.answering.reported import error_of, redacted
from gputui.chat.answering.wire import decode
from gputui.chat.model import Endpoint
from gputui.errors import GputuiError
from gputui.text import clean_line

_HEAD = 64 << 10
"""Bytes of a page in which its title is looked for."""

_NO_SUCH_PATH = re.compile(r"(404 )?((page|file) )?not found\.?", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^>]{0,200}>(.{1,200}?)</title>", re.IGNORECASE | re.DOTALL)


def http_failure(endpoint: Endpoint, response: httpx.Response, body: bytes) -> GputuiError:
    """The error for a response that holds no answer."""
    status = response.status_code
    error = _reported(endpoint, response, body)
    if isinstance(error, ContextExceededError):
        return error.of(endpoint.name)
    said, hint = (_telling(error.message), error.hint) if error else ("", "")
    if 300 <= status < 400:
        target = _line(endpoint, response.headers.get("location", "?"), 200)
        message = f"the server redirects to {target}; redirects are not followed"
        hint = "Put the final address into the endpoint's url, if you trust it."
    elif _is_page(response, body):
        message = (
            f"answered with a web page{_title(endpoint, body)} instead of an answer (HTTP {status})"
        )
        hint = "A proxy or another program answers there: check the endpoint's url."
    elif status in (401, 403):
        message = f"the server refuses {'the' if endpoint.api_key else 'a request without a'} key"
        message += f" (HTTP {status})" + (f": {said}" if said else "")
        hint = "Check the variable that api_key_env names, under [[endpoints]]."
    else:
        message, hint = _by_status(status, said, hint, endpoint, response)
    return _failure(endpoint, message, hint)


def _by_status(
    status: int, said: str, hint: str, endpoint: Endpoint, response: httpx.Response
) -> tuple[str, str]:
    match status:
        case 200:
            return "answered with something that is no chat completion", "Check the endpoint's url."
        case 404:
            return (
                said or f"nothing is served at {endpoint.url}/chat/completions",
                hint or "The url of an OpenAI-compatible server ends in /v1 as a rule.",
            )
        case 429:
            return (
                f"too many requests{f': {said}' if said else ''}",
                _when_to_retry(endpoint, response) or "Wait, and retry this side.",
            )
        case 503 if "loading" in said.lower():
            return "the model is still loading", "Retry this side when it is ready."
        case _:
            hint = hint or _when_to_retry(endpoint, response) or _generic_hint(status)
            return said or f"the server answered HTTP {status}", hint


def _generic_hint(status: int) -> str:
    return "Look at the server's log." if status >= 500 else ""


def _when_to_retry(endpoint: Endpoint, response: httpx.Response) -> str:
    """What ``Retry-After`` says, in seconds or as a date (RFC 9110, 10.2.3); "" without it."""
    value = _line(endpoint, response.headers.get("retry-after", ""), 40)
    if value.isdecimal():
        return f"Retry after {value} s."
    try:
        wait = parsedate_to_datetime(value) - _answered_at(response)
    except (ValueError, TypeError, OverflowError):
        return f"Retry after {value}." if value else ""
    return f"Retry after {max(0, round(wait.total_seconds()))} s."


def _answered_at(response: httpx.Response) -> datetime:
    """By the server's own clock, where it says what that is: ours may be another."""
    try:
        return parsedate_to_datetime(response.headers.get("date", ""))
    except (ValueError, TypeError):
        return datetime.now(UTC)


def transport_failure(endpoint: Endpoint, error: httpx.HTTPError) -> GputuiError:
    """The error for a connection that failed, or broke in mid-answer."""
    parts = urlsplit(endpoint.url)
    where = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    cause = _root(error)
    if isinstance(cause, socket.gaierror):
        message, hint = f"the host {parts.hostname} is not known", "Check the endpoint's url."
    elif isinstance(cause, ssl.SSLError):
        reason = _line(endpoint, getattr(cause, "reason", None) or str(cause), 200)
        message = f"no secure connection to {where}: {reason}"
        hint = "Is it http instead of https? A private authority: set SSL_CERT_FILE."
    elif isinstance(error, httpx.ConnectTimeout):
        message, hint = f"{where} does not answer", "Is the host up, and no firewall in between?"
    elif isinstance(error, httpx.ConnectError):
        message, hint = f"nothing listens at {where}", "Start the server, then retry this side."
    elif isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        message = "the server closed the connection before the answer was complete"
        hint = "It may have crashed or been stopped: look at its log, and retry this side."
    else:
        message = (
            f"the connection failed: {_line(endpoint, str(error) or type(error).__name__, 200)}"
        )
        hint = "Retry this side."
    return _failure(endpoint, message, hint)


def reported_failure(endpoint: Endpoint, error: GputuiError) -> GputuiError:
    """The error that a server reports inside its stream."""
    if isinstance(error, ContextExceededError):
        return error.of(endpoint.name)
    return _failure(endpoint, error.message, error.hint)


def _root(error: BaseException) -> BaseException:
    """The first error of the chain that says more than "it failed"."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, socket.gaierror | ssl.SSLError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return error


def _reported(endpoint: Endpoint, response: httpx.Response, body: bytes) -> GputuiError | None:
    """The error in a body, in the server's own words; None where it has none."""
    try:
        parsed = decode(body)
    except ValueError:
        kind = response.headers.get("content-type", "")
        first = body[:_HEAD].decode(errors="replace").strip().partition("\n")[0]
        return GputuiError(_line(endpoint, first, 200)) if kind.startswith("text/plain") else None
    return error_of(parsed, key_of(endpoint)) if parsed else None


def _telling(said: str) -> str:
    """A server's words, "" where they say no more than that the path is wrong."""
    return "" if _NO_SUCH_PATH.fullmatch(said) else said


def _is_page(response: httpx.Response, body: bytes) -> bool:
    kind = response.headers.get("content-type", "")
    return "text/html" in kind or body.lstrip()[:15].lower().startswith((b"<!doctype", b"<html"))


def _title(endpoint: Endpoint, body: bytes) -> str:
    found = _TITLE.search(body[:_HEAD])
    return f' ("{_line(endpoint, found[1].decode(errors="replace"), 80)}")' if found else ""


def key_of(endpoint: Endpoint) -> str:
    """The key that is sent there; "" for none."""
    return endpoint.api_key.reveal() if endpoint.api_key else ""


def _line(endpoint: Endpoint, text: str, limit: int) -> str:
    """Words from there, cleaned and on one line, without the key: what is cut first leaves half of it."""
    return clean_line(redacted(text, key_of(endpoint)), limit)


def _failure(endpoint: Endpoint, message: str, hint: str) -> GputuiError:
    """A server that repeats the key does not get it onto the screen."""
    key = key_of(endpoint)
    return GputuiError(redacted(f"{endpoint.name}: {message}", key), redacted(hint, key))
