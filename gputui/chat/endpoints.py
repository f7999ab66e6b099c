"""Names of the configuration into endpoints: instances and external servers alike."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from gputui.chat.model import Endpoint, Secret
from gputui.config import Config, EndpointConfig, InstanceConfig
from gputui.errors import ConfigError, GputuiError
from gputui.text import clean_line, nearest


def endpoint_of(config: Config, name: str) -> Endpoint:
    """The endpoint of the instance or ``[[endpoints]]`` table of that name.

    Raises GputuiError for a name that is not configured, ConfigError for a key that is missing.
    """
    for instance in config.instances:
        if instance.name == name:
            if instance.role != "chat":
                raise GputuiError(cannot_chat(name, instance.role), "Choose another.")
            return instance_endpoint(instance)
    for external in config.endpoints:
        if external.name == name:
            return _external_endpoint(external)
    names = [instance.name for instance in config.instances]
    names += [external.name for external in config.endpoints]
    raise GputuiError(
        f'"{clean_line(name, 80)}" is no instance and no endpoint', _hint(name, names)
    )


def cannot_chat(name: str, role: str) -> str:
    """Why an instance of that role answers no prompt."""
    what = {"embedding": "makes embeddings", "rerank": "reranks"}.get(role, role)
    return f"{name} {what}: it does not chat"


def found_endpoint(name: str, url: str, model: str, *, sees: bool | None = None) -> Endpoint:
    """The endpoint of a llama-server that was found on this host, at ``url``."""
    return Endpoint(name=name, url=f"{url}/v1", served_model=model, llama=True, sees=sees)


def running_endpoint(
    endpoint: Endpoint, url: str, model: str, *, owned: bool, sees: bool | None = None
) -> Endpoint:
    """The endpoint of an instance as it runs now, whatever its configuration says since.

    ``url``, ``model`` and ``sees`` are its status's. One that gputui started (``owned``) has its name as its
    alias, and no other server may answer for it; one started by hand has any alias.
    """
    return replace(
        endpoint,
        url=f"{url}/v1",
        served_model=model,
        expected_model=endpoint.name if owned else None,
        sees=sees,
    )


def instance_endpoint(instance: InstanceConfig) -> Endpoint:
    """The endpoint of a configured instance, whatever its role. Raises ConfigError for a key file that
    cannot be read."""
    return Endpoint(
        name=instance.name,
        url=f"{instance.url}/v1",
        served_model=clean_line(Path(instance.model).name.removesuffix(".gguf"), 120),
        api_key=_key_of_file(instance),
        llama=True,
    )


def _external_endpoint(external: EndpointConfig) -> Endpoint:
    where = f"[[endpoints]] {external.name}"
    try:
        parts = urlsplit(external.url)
        parts.port  # noqa: B018 - read to be checked
    except ValueError as error:
        raise ConfigError(f"{where}: {external.url} is no URL: {error}") from error
    if parts.username is not None:
        raise ConfigError(f"{where}: url holds a user name or password", "Use api_key_env instead.")
    key = None
    if external.api_key_env is not None:
        value = os.environ.get(external.api_key_env, "").strip()
        if not value:
            raise ConfigError(
                f"{where}: the variable {external.api_key_env} is not set",
                f"Set it before gputui is started: export {external.api_key_env}=…",
            )
        key = _secret(value, f"{where}: the variable {external.api_key_env}")
    return Endpoint(
        name=external.name, url=external.url.rstrip("/"), model=external.model, api_key=key
    )


def _key_of_file(instance: InstanceConfig) -> Secret | None:
    """The first key that an instance's own ``--api-key-file`` lists, None where it has none."""
    flag = "--api-key-file"
    for arg, following in zip(instance.args, (*instance.args[1:], ""), strict=False):
        path = following if arg == flag else arg.partition(f"{flag}=")[2]
        if not path:
            continue
        where = f"[[instances]] {instance.name}: {flag} {path}"
        try:
            lines = Path(path).expanduser().read_text(errors="replace").split()
        except OSError as error:
            raise ConfigError(f"{where}: {error.strerror}") from error
        return _secret(lines[0], where) if lines else None
    return None


def _secret(value: str, where: str) -> Secret:
    """A key that can go into a header; the error names where it is from, never the key."""
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ConfigError(f"{where} holds no key that can be sent: only printable ASCII can")
    return Secret(value)


def _hint(name: str, names: list[str]) -> str:
    if not names:
        return "Nothing is configured yet: gputui init writes a configuration to start from."
    near = nearest(name, names)
    return f'Did you mean "{near}"?' if near else f"Configured: {', '.join(names)}."
