"""Taking in a file: streamed to the disk, of bounded size, and only if it can be heard."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

from dsp.errors import FileError, MatchError
from matcher.io import need_stereo, open_audio
from matcher.serve.store import Sound, Store, clean_name

LARGEST_BYTES = 2 * 1024**3


class TooLargeError(FileError):
    """More than is taken."""


async def take_in(
    store: Store, given_name: str, chunks: AsyncIterator[bytes], *, largest_bytes: int, announced_bytes: int = 0
) -> Sound:
    """Store a sound under an id of its own. announced_bytes: what the sender says there will be.

    Raises SettingsError for the name, TooLargeError, FileError and AudioError for what is no sound; then nothing stays.
    """
    name = clean_name(given_name)
    if announced_bytes > largest_bytes:
        raise _too_large(name, announced_bytes, largest_bytes)
    free = shutil.disk_usage(store.folder).free
    if announced_bytes > free:
        raise FileError(f"{name}: {announced_bytes / 1e6:.0f} MB do not fit on the disk, {free / 1e6:.0f} MB are free")
    identity, folder = store.new_sound()
    try:
        path, size = folder / name, 0
        with path.open("xb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > largest_bytes:
                    raise _too_large(name, size, largest_bytes)
                file.write(chunk)
        with open_audio(path) as audio:
            need_stereo(audio, "the page")
            sound = Sound(
                id=identity,
                name=name,
                size_bytes=size,
                duration_s=audio.duration_s,
                sample_rate_hz=audio.sample_rate_hz,
                channels=audio.channels,
            )
        store.add_sound(sound)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, MatchError):
            raise type(error)(_named(str(error), str(folder), name)) from error
        raise FileError(f"{name}: cannot be stored ({error.strerror})") from error
    except MatchError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise type(error)(_named(str(error), str(folder), name)) from error
    except BaseException:  # the browser has gone, the server ends
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return sound


def _named(said: str, folder: str, name: str) -> str:
    """The message with the file's own name for the place it was stored in."""
    return said.replace(f"{folder}/{name}", name)


def _too_large(name: str, size: int, largest_bytes: int) -> TooLargeError:
    return TooLargeError(f"{name}: {size / 1e6:.0f} MB are more than the {largest_bytes / 1e6:.0f} MB that are taken")
