"""What a client sends: taken into memory part by part, as far and as long as the bounds go."""

import asyncio
from collections.abc import AsyncIterator

from starlette import requests

from spine_tf.web import bounds as bounds_module, byte_budget, refusal

# What no page of another origin can send without being asked first.
_TYPES = ("application/zip", "application/x-zip-compressed", "application/octet-stream")
_MIB = 2**20
_MOST_DRAINED = 2**26


async def receive(
    request: requests.Request, bounds: bounds_module.Bounds, lease: byte_budget.Lease
) -> bytes:
    """Returns the body of a request.

    Args:
        request: a POST.
        bounds: how much, and how long it may take.
        lease: that the bytes are counted in.

    Raises:
        refusal.Refusal: it is no zip by its type, too large, or comes too slowly.
    """
    sent_as = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent_as not in _TYPES:
        await drain(request, bounds)
        raise refusal.Refusal(
            415, f"the body is sent as {sent_as or 'nothing'!r}, expected a zip as {_TYPES[0]}"
        )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > bounds.num_upload_bytes:
        await drain(request, bounds)
        raise _too_large(bounds)
    parts, num_bytes = [], 0
    async for part in parts_of(request, bounds):
        num_bytes += len(part)
        if num_bytes > bounds.num_upload_bytes:
            raise _too_large(bounds)
        lease.take(len(part))
        parts.append(part)
    return b"".join(parts)


def _too_large(bounds: bounds_module.Bounds) -> refusal.Refusal:
    return refusal.Refusal(
        413,
        f"the zip file is larger than {bounds.num_upload_bytes / _MIB:.0f} MiB, the most that is "
        "taken: send the study alone, or start the server with a larger --max_upload_mb",
    )


async def parts_of(request: requests.Request, bounds: bounds_module.Bounds) -> AsyncIterator[bytes]:
    """Yields the body of a request as it comes.

    Raises:
        refusal.Refusal: it comes too slowly.
    """
    stream = request.stream()
    end = asyncio.get_running_loop().time() + bounds.upload_seconds
    while True:
        left = end - asyncio.get_running_loop().time()
        try:
            yield await asyncio.wait_for(anext(stream), min(left, bounds.silent_seconds))
        except StopAsyncIteration:
            return
        except TimeoutError as err:
            raise refusal.Refusal(
                408, "what was sent came too slowly, or not to its end: send it again"
            ) from err


async def drain(request: requests.Request, bounds: bounds_module.Bounds) -> None:
    """Reads what a client sends before it is refused, or it may never see the answer.

    One that waits to be told to go on is refused at once.

    Raises:
        refusal.Refusal: it comes too slowly.
    """
    if "expect" in request.headers:
        return
    num_bytes = 0
    async for part in parts_of(request, bounds):
        num_bytes += len(part)
        if num_bytes > _MOST_DRAINED:
            return
