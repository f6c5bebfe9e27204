"""Makes named Gradio endpoints of typed, documented functions."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from engines.base import StudioError
from tabs.ui.errors import as_gradio_error

Function = Callable[..., Any]
REQUEST = (gr.Request, gr.Request | None)


def publish(function: Function, name: str) -> None:
    """Declare ``function`` as the endpoint ``/name`` of the current ``gr.Blocks``.

    ``queue=False`` because Gradio's queue protects nothing here: work is queued in the Runner, and
    a call that waits must not delay others. MCP clients are then also served without a second,
    unauthenticated, request to this server.
    """
    gr.api(plain_errors(function), api_name=name, queue=False, concurrency_limit=None)


def plain_errors(function: Function) -> Function:
    """``function`` with its refusals as messages for the client, and its types resolved."""

    def around(call: Function, args: Any, kwargs: Any) -> Any:
        with as_gradio_error():
            return call(*args, **kwargs)

    async def around_async(call: Function, args: Any, kwargs: Any) -> Any:
        with as_gradio_error():
            return await call(*args, **kwargs)

    wrapped = _wrapped(function, around, around_async)
    hints = typing.get_type_hints(function)
    signature = inspect.signature(function)
    # Gradio reads the return annotation without resolving it
    wrapped.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(annotation=hints[p.name]) for p in signature.parameters.values()],
        return_annotation=hints["return"],
    )
    wrapped.__annotations__ = hints
    del wrapped.__wrapped__  # type: ignore[attr-defined]
    return wrapped


def checked(function: Function) -> Function:
    """``function`` with its arguments checked against its type hints.

    ``gr.api`` only describes types. Raises ``StudioError`` for the first wrong argument.
    """
    signature = inspect.signature(function)
    model = _model(function)

    def right(args: Any, kwargs: Any) -> dict[str, Any]:
        given = signature.bind(*args, **kwargs).arguments
        return given | _validated(
            model, {n: v for n, v in given.items() if n in model.model_fields}
        )

    def around(call: Function, args: Any, kwargs: Any) -> Any:
        return call(**right(args, kwargs))

    async def around_async(call: Function, args: Any, kwargs: Any) -> Any:
        return await call(**right(args, kwargs))

    return _wrapped(function, around, around_async)


def _wrapped(function: Function, around: Function, around_async: Function) -> Function:
    """``around`` each call of ``function``, or ``around_async`` when that is a coroutine."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await around_async(function, args, kwargs)

        return call_async

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return around(function, args, kwargs)

    return call


def _model(function: Function) -> type[BaseModel]:
    hints = typing.get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if hints[name] not in REQUEST
    }
    return create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)


def _validated(model: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    try:
        values = model(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise StudioError(f"{name}: {first['msg']}, not {first['input']!r}.", name) from None
    return {name: getattr(values, name) for name in given}
