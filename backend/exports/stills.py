"""Pictures that viewers know as a panorama: a poster, or every frame, as JPEG or PNG in sRGB with Google's XMP."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from .film import Film
from .numbered import at_rate, chosen, named, put, spread
from .request import ExportRequest
from .run import Steps, Written

JPEG_QUALITY = 95
SUFFIX = {"jpeg": "jpg", "png": "png"}
_PNG_HEADER_END = 33  # signature and IHDR: what comes before the pixels goes here
_JPEG_HEADER_END = 20  # SOI and the JFIF segment, which has to be first
_PERCEPTUAL = b"\0"  # of PNG's chunk "sRGB"


def check(film: Film, request: ExportRequest) -> None:
    """Raises ``SkyloopError``: bad_request for a frame that is not there, disk_full."""
    chosen(film, request, SUFFIX[request.text("format")])


def write(film: Film, request: ExportRequest, yaw_deg: float, folder: Path) -> Steps:
    """``poster.jpg`` for one frame, or ``sky_0000.jpg`` and so on for all."""
    kind = SUFFIX[request.text("format")]
    numbers = chosen(film, request, kind)
    heading_deg = film.roll_px / film.width * 360
    xmp = panorama_xmp(film.width, film.height, heading_deg)
    single = len(numbers) == 1
    first = f"poster.{kind}" if single else named("sky", 0, kind)

    def take(number: int, frame: np.ndarray) -> None:
        put(folder / (first if single else named("sky", number, kind)), picture(frame, kind, xmp))

    yield from spread(film, numbers, take)
    use = [
        f"Upload {first} to Google Photos, Facebook or any 360 photo viewer: it opens as a panorama to look around in.",
        "In an ordinary picture viewer it is flat: the whole sky, twice as wide as high, with ahead in the middle.",
    ]
    if not single:
        use.append(at_rate(film, named("sky", numbers[-1], kind), first))
    use.append("Editors may drop the panorama's label on saving: export again, or keep metadata when you save.")
    return Written(tuple(use), first)


def picture(frame: np.ndarray, kind: str, xmp: bytes) -> bytes:
    """A file of (h, w, 3) uint8 RGB, marked as sRGB, with an XMP packet; ``kind`` is ``jpg`` or ``png``."""
    pixels = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    if kind == "png":
        data = cv2.imencode(".png", pixels)[1].tobytes()
        # XMP specification, part 3: uncompressed, no language, no translated keyword.
        text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
        return _with(data, _PNG_HEADER_END, _chunk(b"sRGB", _PERCEPTUAL) + _chunk(b"iTXt", text))
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, *sampling])[1].tobytes()
    segments = _segment(b"Exif\0\0" + _exif(frame.shape[1], frame.shape[0])) + _segment(
        b"http://ns.adobe.com/xap/1.0/\0" + xmp
    )
    return _with(data, _JPEG_HEADER_END, segments)


def panorama_xmp(width: int, height: int, heading_deg: float = 0.0) -> bytes:
    """The packet that makes a picture of the whole sphere a panorama. Its middle counts as north; a viewer begins at
    ``heading_deg`` to the right of it. (Google, "Photo Sphere XMP Metadata".)"""
    facts = {
        "ProjectionType": "equirectangular",
        "UsePanoramaViewer": "True",
        "CroppedAreaImageWidthPixels": width,
        "CroppedAreaImageHeightPixels": height,
        "FullPanoWidthPixels": width,
        "FullPanoHeightPixels": height,
        "CroppedAreaLeftPixels": 0,
        "CroppedAreaTopPixels": 0,
        "PoseHeadingDegrees": 0,
        "PosePitchDegrees": 0,
        "PoseRollDegrees": 0,
        "InitialViewHeadingDegrees": round(heading_deg) % 360,
    }
    told = " ".join(f'GPano:{name}="{value}"' for name, value in facts.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        f'xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" {told}/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def _with(data: bytes, at: int, more: bytes) -> bytes:
    return data[:at] + more + data[at:]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _segment(data: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def _exif(width: int, height: int) -> bytes:
    """That the colour space is sRGB, and what Exif demands beside it (Exif 2.32, tables 4, 7 and 17)."""
    start = 8
    inner_at = start + len(_directory({0x0213: 1, 0x8769: 0}))
    outer = _directory({0x0213: 1, 0x8769: inner_at})  # where the samples of colour are; where the other one is
    inner = {0x9000: b"0232", 0x9101: b"\1\2\3\0", 0xA000: b"0100", 0xA001: 1, 0xA002: width, 0xA003: height}
    return b"II*\0" + struct.pack("<I", start) + outer + _directory(inner)


def _directory(entries: dict[int, int | bytes]) -> bytes:
    """A directory of a TIFF: values of four bytes at most, as numbers or undefined."""
    short = {0x0213, 0xA001}
    made = struct.pack("<H", len(entries))
    for tag, value in entries.items():
        if isinstance(value, bytes):
            made += struct.pack("<HHI4s", tag, 7, 4, value)
        else:
            made += struct.pack("<HHII", tag, 3 if tag in short else 4, 1, value)
    return made + struct.pack("<I", 0)
