"""The boxes that tell players an mp4 is a panorama: Spherical Video V2 (``st3d``, ``sv3d``) and V1 (``uuid`` with XML).

Source: docs/spherical-video-v2-rfc.md and docs/spherical-video-rfc.md of github.com/google/spatial-media, and ISO/IEC
14496-12 for the boxes around them. Both are written, because some players know only one. The index of the file is read
as a tree of boxes, and written anew; the pictures are only copied.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from ..protocol import bad_request
from .files import open_input, replacing
from .reading import MAX_BYTES, MAX_INDEX_BYTES

_V1_ID = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
_V1_XML = (
    b'<?xml version="1.0"?><rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    b' xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">'
    b"<GSpherical:Spherical>true</GSpherical:Spherical><GSpherical:Stitched>true</GSpherical:Stitched>"
    b"<GSpherical:StitchingSoftware>Skyloop</GSpherical:StitchingSoftware>"
    b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType></rdf:SphericalVideo>"
)
_CONFIGURED = {
    b"avc1": b"avcC",
    b"avc3": b"avcC",
    b"hvc1": b"hvcC",
    b"hev1": b"hvcC",
    b"av01": b"av1C",
    b"vp09": b"vpcC",
}
_ENTRY_BYTES = 78  # of a picture's sample entry, before the boxes in it
# Which boxes are looked into, by where they are, and how many bytes come before the boxes inside.
INSIDE: dict[bytes, dict[bytes, int]] = {
    b"": {b"moov": 0},
    b"moov": {b"trak": 0},
    b"trak": {b"mdia": 0},
    b"mdia": {b"minf": 0},
    b"minf": {b"stbl": 0},
    b"stbl": {b"stsd": 8},
    b"stsd": dict.fromkeys(_CONFIGURED, _ENTRY_BYTES),
}
_TABLE = (b"trak", b"mdia", b"minf", b"stbl")
_OFFSETS = {b"stco": "I", b"co64": "Q"}  # where the pictures are in the file
_CHUNK = 1 << 20
_HINT = "Use another copy, or export it anew."


@dataclass(frozen=True)
class Box:
    """``head`` is what comes before the boxes inside, and everything where none are looked into; ``tail`` is the few
    bytes after them that some writers end a sample entry with."""

    kind: bytes
    head: bytes = b""
    boxes: tuple[Box, ...] = ()
    tail: bytes = b""


def parse(data: bytes) -> tuple[Box, ...]:
    """The boxes of an mp4 without its pictures. Raises ``ValueError`` where lengths do not fit into each other."""
    boxes, tail = _boxes(data, b"")
    if tail:
        raise ValueError("it ends within a box")
    return boxes


def serialise(boxes: Sequence[Box]) -> bytes:
    """The bytes of boxes: what :func:`parse` reads, with the short form of every length."""
    made = []
    for box in boxes:
        body = b"".join((box.head, serialise(box.boxes), box.tail))
        made += [struct.pack(">I4s", 8 + len(body), box.kind), body]
    return b"".join(made)


def write_panorama(source: Path, target: Path) -> Generator[int, None, None]:
    """Copy an mp4 to ``target`` as one that players know as a mono equirectangular panorama; yields the bytes done.

    What it said of that before is replaced, so doing it twice is doing it once. Closed early, nothing is left. Raises
    ``SkyloopError``: bad_request for a file that is no whole mp4 with a video, or is in fragments; disk_full, internal.
    """
    with open_input(source, MAX_BYTES) as file, replacing(target) as beside, beside.open("wb") as out:
        try:
            parts = _parts(file)
            index = _index(file, parts)
        except (ValueError, struct.error) as error:
            raise bad_request(f"{source} cannot be made a panorama: {error}.", _HINT) from error
        done = 0
        for part in parts:
            for piece in [index] if part.kind == b"moov" else _pieces(file, part):
                out.write(piece)
                done += len(piece)
                yield done


def panorama_index(index: bytes, start: int, size: int) -> bytes:
    """The index (``moov``) of a file of ``size`` bytes, in which it lies at ``start``, with the boxes of a panorama.

    As it is longer, what comes after it moves, and it says so. Raises ``ValueError`` or ``struct.error`` where it is
    damaged or has no video.
    """
    (moov,) = parse(index)
    made = _panorama(moov)
    if size + len(serialise([made])) >> 32:
        made = _under(made, _TABLE, _widened)
    after, grown = start + len(index), len(serialise([made])) - len(index)
    return serialise([_under(made, _TABLE, lambda table: _moved(table, after, grown))])


@dataclass(frozen=True)
class _Part:
    """One of the outermost boxes: where it is in the file, with its header."""

    kind: bytes
    start: int
    header: int
    end: int


def _parts(file: BinaryIO) -> list[_Part]:
    parts, at, size = list[_Part](), 0, file.seek(0, os.SEEK_END)
    while at < size:
        file.seek(at)
        header, length, kind = _header(file.read(16), size - at)
        if kind == b"moof":
            raise ValueError("it is in fragments")
        parts.append(_Part(kind, at, header, at + length))
        at += length
    kinds = [part.kind for part in parts]
    if kinds.count(b"moov") != 1 or b"mdat" not in kinds:
        raise ValueError("it is no mp4 with one index and pictures")
    return parts


def _header(head: bytes, left: int) -> tuple[int, int, bytes]:
    """The bytes of a box's header, those of all of the box, and its kind."""
    if len(head) < 8:
        raise ValueError("it ends within a box")
    length, kind = struct.unpack_from(">I4s", head)
    header = 8
    if length == 1 and len(head) >= 16:
        header, length = 16, struct.unpack_from(">Q", head, 8)[0]
    elif length == 0:
        length = left
    if not header <= length <= left:
        raise ValueError("it is cut short or damaged")
    return header, length, kind


def _index(file: BinaryIO, parts: list[_Part]) -> bytes:
    old = next(part for part in parts if part.kind == b"moov")
    if old.end - old.start > MAX_INDEX_BYTES:
        raise ValueError("its index is too large")
    file.seek(old.start)
    return panorama_index(file.read(old.end - old.start), old.start, parts[-1].end)


def _pieces(file: BinaryIO, part: _Part) -> Iterator[bytes]:
    file.seek(part.start)
    left = part.end - part.start
    while left and (piece := file.read(min(_CHUNK, left))):
        left -= len(piece)
        yield piece


def _boxes(data: bytes, inside: bytes) -> tuple[tuple[Box, ...], bytes]:
    found, at = list[Box](), 0
    while len(data) - at >= 8:
        header, length, kind = _header(data[at : at + 16], len(data) - at)
        body = data[at + header : at + length]
        first = INSIDE.get(inside, {}).get(kind)
        if first is None:
            found.append(Box(kind, body))
        else:
            if len(body) < first:
                raise ValueError(f"its {kind.decode('latin-1')} is too short")
            boxes, tail = _boxes(body[first:], kind)
            found.append(Box(kind, body[:first], boxes, tail))
        at += length
    return tuple(found), data[at:]


def _panorama(moov: Box) -> Box:
    """The index with the boxes in its first video track, and none in others."""
    first = next((trak for trak in moov.boxes if trak.kind == b"trak" and _is_video(trak)), None)
    if first is None:
        raise ValueError("it has no video")
    entries = _under(first, (b"mdia", b"minf", b"stbl", b"stsd"), _with_v2)
    others = tuple(box for box in entries.boxes if not (box.kind == b"uuid" and box.head.startswith(_V1_ID)))
    made = replace(entries, boxes=(*others, Box(b"uuid", _V1_ID + _V1_XML)))
    return replace(moov, boxes=tuple(made if trak is first else trak for trak in moov.boxes))


def _is_video(trak: Box) -> bool:
    media = [box for mdia in trak.boxes if mdia.kind == b"mdia" for box in mdia.boxes]
    return any(box.kind == b"hdlr" and box.head[8:12] == b"vide" for box in media)


def _with_v2(stsd: Box) -> Box:
    """Every sample entry with the boxes right after what configures its decoder, where the RFC has them."""
    made = []
    for entry in stsd.boxes:
        others = [box for box in entry.boxes if box.kind not in (b"st3d", b"sv3d")]
        after = next((n for n, box in enumerate(others, 1) if box.kind == _CONFIGURED.get(entry.kind)), 0)
        if not after:
            raise ValueError(f"its video is {entry.kind.decode('latin-1')}, not H.264, HEVC, AV1 or VP9")
        made.append(replace(entry, boxes=(*others[:after], *_v2(), *others[after:])))
    return replace(stsd, boxes=tuple(made))


def _v2() -> tuple[Box, Box]:
    """Mono; the whole sphere, unturned: yaw, pitch and roll of 0, and nothing cropped at the four sides."""
    full = bytes(4)  # version and flags
    projection = serialise([Box(b"prhd", full + bytes(12)), Box(b"equi", full + bytes(16))])
    sphere = serialise([Box(b"svhd", full + b"Skyloop\0"), Box(b"proj", projection)])
    return Box(b"st3d", full + bytes(1)), Box(b"sv3d", sphere)


def _under(box: Box, path: tuple[bytes, ...], change: Callable[[Box], Box]) -> Box:
    """A tree with all boxes changed that are at the end of the path."""
    if not path:
        return change(box)
    boxes = (_under(inner, path[1:], change) if inner.kind == path[0] else inner for inner in box.boxes)
    return replace(box, boxes=tuple(boxes))


def _widened(table: Box) -> Box:
    """Offsets of 64 bits, for files of 4 GB and more."""
    return replace(
        table, boxes=tuple(_offsets_box(b"co64", _offsets(b)) if b.kind == b"stco" else b for b in table.boxes)
    )


def _moved(table: Box, after: int, by: int) -> Box:
    """Offsets from ``after`` on are ``by`` larger."""

    def moved(box: Box) -> Box:
        if box.kind not in _OFFSETS:
            return box
        return _offsets_box(box.kind, [at + by if at >= after else at for at in _offsets(box)])

    return replace(table, boxes=tuple(moved(box) for box in table.boxes))


def _offsets(box: Box) -> Sequence[int]:
    return struct.unpack_from(f">{struct.unpack_from('>I', box.head, 4)[0]}{_OFFSETS[box.kind]}", box.head, 8)


def _offsets_box(kind: bytes, offsets: Sequence[int]) -> Box:
    return Box(kind, struct.pack(f">II{len(offsets)}{_OFFSETS[kind]}", 0, len(offsets), *offsets))
