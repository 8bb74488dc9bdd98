"""Addresses to play the citizen with, by ``curl`` or from another program.

All are ``POST`` with a form, but for ``GET /simulator/sent``; `HELP` says with which
fields.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web

from gateway_whatsapp.simulator.ledger import SentMessage
from gateway_whatsapp.simulator.payloads import user_id_of

if TYPE_CHECKING:
    from gateway_whatsapp.simulator.simulator import CloudApiSimulator

HELP: Final = """\
To play the citizen (fields of a form; name and user_id may come with each):
  POST /simulator/text      from, body
  POST /simulator/image     from, file, [caption]
  POST /simulator/voice     from, file
  POST /simulator/location  from, latitude, longitude, [place], [address]
  POST /simulator/choose    from, option (id or title), [wamid]: answers a list or
                            buttons, the last ones sent to them if there is no wamid
  POST /simulator/read      from, [wamid]: reads a message, the last one by default
  GET  /simulator/sent      what the gateway has sent so far
Each answers with what the gateway's webhook answered.

  curl -d from=393290000000 -d body=Buongiorno http://HOST:PORT/simulator/text
  curl -F from=393290000000 -F file=@buca.jpg http://HOST:PORT/simulator/image
"""

_dumps = partial(json.dumps, default=str, ensure_ascii=False)
_Maker = Callable[["CloudApiSimulator", Any], dict[str, Any]]


def routes(simulator: CloudApiSimulator) -> Iterable[web.RouteDef]:
    """Return the routes that let ``simulator`` act."""

    def acting(make: _Maker) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def act(request: web.Request) -> web.Response:
            form = await request.post()
            try:
                payload = make(simulator, form)
            except ValueError as error:
                raise web.HTTPBadRequest(text=f"{error}\n") from None
            return await _send(simulator, payload)

        return act

    async def sent(request: web.Request) -> web.Response:
        del request
        found = [dataclasses.asdict(each) for each in simulator.sent]
        return web.json_response(found, dumps=_dumps)

    return (
        *(web.post(f"/simulator/{name}", acting(m)) for name, m in _MAKERS.items()),
        web.get("/simulator/sent", sent),
    )


def _text(simulator: CloudApiSimulator, form: Any) -> dict[str, Any]:
    return simulator.text(_field(form, "from"), _field(form, "body"), **_person(form))


def _image(simulator: CloudApiSimulator, form: Any) -> dict[str, Any]:
    media_id = _keep(simulator, form)
    caption = str(form.get("caption", ""))
    return simulator.image(_field(form, "from"), media_id, caption, **_person(form))


def _voice(simulator: CloudApiSimulator, form: Any) -> dict[str, Any]:
    media_id = _keep(simulator, form)
    return simulator.voice(_field(form, "from"), media_id, **_person(form))


def _location(simulator: CloudApiSimulator, form: Any) -> dict[str, Any]:
    return simulator.location(
        _field(form, "from"),
        _degrees(form, "latitude"),
        _degrees(form, "longitude"),
        place=str(form.get("place", "")),
        address=str(form.get("address", "")),
        **_person(form),
    )


def _choose(simulator: CloudApiSimulator, form: Any) -> dict[str, Any]:
    person, option = _field(form, "from"), _field(form, "option")
    asked = _sent_to(simulator, form, lambda sent: bool(sent.menu))
    by_title = {title: option_id for option_id, title in asked.menu}
    chosen = by_title.get(option, option)
    return simulator.choose(person, asked, chosen, **_person(form))


def _read(simulator: CloudApiSimulator, form: Any) -> dict[str, Any]:
    return simulator.status(_sent_to(simulator, form, lambda _: True), "read")


_MAKERS: dict[str, _Maker] = {
    "text": _text,
    "image": _image,
    "voice": _voice,
    "location": _location,
    "choose": _choose,
    "read": _read,
}


def _sent_to(
    simulator: CloudApiSimulator, form: Any, fits: Callable[[SentMessage], bool]
) -> SentMessage:
    """Return the message that is meant: by its id, or the last one that fits."""
    person, wamid = _field(form, "from"), str(form.get("wamid", ""))
    ids = {person, str(form.get("user_id", user_id_of(person)))}
    for sent in reversed(simulator.sent):
        if {sent.to, sent.number} & ids and wamid in {"", sent.wamid} and fits(sent):
            return sent
    raise ValueError("no such message was sent to them")


def _field(form: Any, key: str) -> str:
    value = form.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key}: missing")
    return value


def _degrees(form: Any, key: str) -> float:
    try:
        return float(_field(form, key))
    except ValueError:
        raise ValueError(f"{key}: degrees, as in 39.2238") from None


def _person(form: Any) -> dict[str, str]:
    return {key: str(form[key]) for key in ("name", "user_id") if key in form}


def _keep(simulator: CloudApiSimulator, form: Any) -> str:
    file = form.get("file")
    if not isinstance(file, web.FileField):
        raise ValueError("file: missing")  # noqa: TRY004 (told as a wrong form)
    return simulator.add_media(file.file.read(), file.content_type)


async def _send(simulator: CloudApiSimulator, payload: dict[str, Any]) -> web.Response:
    """Pass the gateway's answer on."""
    try:
        status, text = await simulator.webhook(payload)
    except (aiohttp.ClientError, ValueError) as error:
        text = f"the gateway does not answer at webhook_url: {error}\n"
        raise web.HTTPBadGateway(text=text) from None
    return web.Response(status=status or web.HTTPOk.status_code, text=text)
