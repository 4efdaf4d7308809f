"""Pictures, masks, cameras and earlier skies: read as they are meant, placed where they belong, refused by name."""

from __future__ import annotations

import logging
import math
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from backend import sphere
from backend.inputs import (
    camera_weights,
    check_inputs,
    known_picture,
    mask_weights,
    motion_weights,
    source_frames,
)
from backend.jobs import store
from backend.media.pictures import MAX_PIXELS, read_picture, size_in_header
from backend.media.video import VideoWriter
from backend.protocol import CameraKey, ErrorKind, GenerateRequest, SkyloopError
from backend.sampling import Image

SKY = GenerateRequest(prompt="x", width=512, height=256, frames=4)
ERP = sphere.erp_directions(64, 128)


def at(yaw_deg: float, pitch_deg: float) -> Tensor:
    """One direction as a grid (1, 1, 3)."""
    return sphere.direction(torch.tensor(math.radians(yaw_deg)), torch.tensor(math.radians(pitch_deg)))[None, None]


def write(path: Path, pixels: np.ndarray, orientation: int = 1, suffix: str = "") -> str:
    """Write RGB(A) or grey pixels as ``path``'s kind, with an EXIF orientation."""
    pixels = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    exif = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    blocks = [np.frombuffer(exif, np.uint8)] if orientation != 1 else []
    quality = [cv2.IMWRITE_JPEG_QUALITY, 100] if path.suffix == ".jpg" else []
    _, data = cv2.imencodeWithMetadata(path.suffix, np.ascontiguousarray(pixels), [0] * len(blocks), blocks, quality)
    path.write_bytes(data.tobytes())
    return str(path)


def quarters(height: int = 16, width: int = 24, channels: int = 3) -> np.ndarray:
    """Red, green over blue, white: no turn or flip of it looks like another."""
    image = np.zeros((height, width, channels), np.uint8)
    image[: height // 2, : width // 2, 0] = image[: height // 2, width // 2 :, 1] = 255
    image[height // 2 :, : width // 2, 2] = 255
    image[height // 2 :, width // 2 :] = 255
    return image


UPRIGHT = {  # EXIF 2.32, 4.6.5 A: what was done to the scene, undone
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a.swapaxes(0, 1), 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_photo_stands_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    rgb, alpha = read_picture(write(tmp_path / f"a{suffix}", quarters(), orientation))
    assert alpha is None
    assert np.abs(rgb.astype(int) - UPRIGHT[orientation](quarters())).mean() < 20  # JPEG and WebP blur the edges


@pytest.mark.parametrize("orientation", [1, 6, 7])
@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_what_is_transparent_turns_with_the_picture(tmp_path: Path, suffix: str, orientation: int) -> None:
    image = quarters(channels=4)
    image[..., 3] = 255
    image[:5, :7, 3] = 0
    _, alpha = read_picture(write(tmp_path / f"a{suffix}", image, orientation))
    assert alpha is not None
    assert alpha.dtype == np.float32
    assert np.array_equal(alpha, UPRIGHT[orientation](image[..., 3]) / 255)


def test_sixteen_bits_grey_and_linear_light_become_eight_bit_colour(tmp_path: Path) -> None:
    deep = (np.linspace(0, 65535, 32).round().astype(np.uint16))[None].repeat(8, 0)
    for pixels in (deep, np.stack([deep] * 3, axis=-1)):
        rgb, alpha = read_picture(write(tmp_path / "deep.png", pixels))
        assert alpha is None
        assert rgb.dtype == np.uint8
        assert np.array_equal(rgb, (deep / 257).round().astype(np.uint8)[..., None].repeat(3, -1))
    light = np.full((8, 16, 3), 0.2140, np.float32)  # the linear light of sRGB 0.5
    rgb, _ = read_picture(write(tmp_path / "light.hdr", light))
    assert abs(int(rgb[0, 0, 0]) - 128) <= 1


def test_sixteen_bit_alpha_is_read(tmp_path: Path) -> None:
    image = np.full((8, 16, 4), 65535, np.uint16)
    image[:, :4, 3] = 32768
    _, alpha = read_picture(write(tmp_path / "a.png", image))
    assert alpha is not None
    assert alpha[0, 0] == pytest.approx(0.5, abs=0.01)
    assert alpha[0, 15] == 1


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a picture"),
    "text": (b"hello world " * 20, "not a picture"),
    "bomb": (png(100_000, 100_000), "more than 128 megapixels"),
    "cut short": (cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()[:60], "only a part"),
    "a dot": (cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes(), "only 1x1 pixels"),
}


@pytest.mark.parametrize(("data", "named"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_what_is_no_picture_is_refused_by_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], data: bytes, named: str
) -> None:
    path = tmp_path / "picture 星.png"
    path.write_bytes(data)
    with pytest.raises(SkyloopError, match=named) as caught:
        read_picture(path)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert str(path) in caught.value.message
    assert capfd.readouterr().err == ""  # the libraries keep their own words to themselves


def test_a_picture_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(SkyloopError, match=r"is not there|is no file") as caught:
            read_picture(path)
        assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".png", []), (".jpg", []), (".bmp", []), (".gif", []), (".tiff", []), (".jp2", []), (".avif", []),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]), (".webp", [cv2.IMWRITE_WEBP_QUALITY, 50]),
    ],
)  # fmt: skip
def test_the_size_is_known_before_a_picture_is_decoded(suffix: str, options: list[int]) -> None:
    image = np.random.default_rng(1).integers(0, 255, (96, 160, 3), np.uint8)
    assert size_in_header(cv2.imencode(suffix, image, options)[1].tobytes()) == (160, 96)


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"II*\0", b"MM\0*", b"RIFF....WEBPVP8X", b"\x89PNG"])
)
def test_any_bytes_have_a_size_or_none(data: bytes, start: bytes) -> None:
    size_in_header(start + data)
    assert MAX_PIXELS == 128 * 10**6


# --- pictures in directions


def still(tmp_path: Path, image: np.ndarray, name: str = "still.png", **fields: Any) -> GenerateRequest:
    return replace(SKY, image=write(tmp_path / name, image), **fields)


def smooth_sky(height: int = 256) -> np.ndarray:
    """A panorama whose colours are the direction itself, so that any turn of it is known."""
    d = sphere.erp_directions(height, 2 * height)
    return ((d + 1) * 127.5).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("rows", [16, 100, 256, 700])
def test_a_panorama_is_read_where_it_belongs_at_any_scale(tmp_path: Path, rows: int) -> None:
    directions = sphere.erp_directions(rows, 2 * rows)
    rgb, weight = known_picture(still(tmp_path, smooth_sky()), directions)
    assert torch.equal(weight, torch.ones(rows, 2 * rows))
    error = (rgb.permute(1, 2, 0) - (directions + 1) / 2).abs()
    assert float(error.max()) < 0.01 + 1.5 / rows


def test_a_panorama_turns_by_its_yaw_and_pitch(tmp_path: Path) -> None:
    request = still(tmp_path, smooth_sky(), image_yaw_deg=40.0, image_pitch_deg=20.0)
    rgb, _ = known_picture(request, at(40, 20))
    assert torch.allclose(rgb[:, 0, 0], torch.tensor([0.5, 1.0, 0.5]), atol=0.02)  # the picture's own middle
    rgb, _ = known_picture(request, at(-140, 70))
    assert torch.allclose(rgb[:, 0, 0], torch.tensor([0.5, 0.5, 1.0]), atol=0.02)  # its zenith, beyond the pole


def test_shrinking_averages_instead_of_picking(tmp_path: Path) -> None:
    stripes = np.zeros((512, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    rgb, _ = known_picture(still(tmp_path, stripes), sphere.erp_directions(32, 64))
    assert float((rgb - 0.5).abs().max()) < 0.02


@given(st.integers(0, 63), st.integers(1, 64))
@settings(deadline=None, max_examples=30)
def test_a_block_of_rows_is_read_as_in_the_whole(first: int, count: int) -> None:
    rows = slice(first, first + count)
    image = Image(np.random.default_rng(5).integers(0, 255, (64, 128, 3), np.uint8))
    torch.testing.assert_close(image.at(ERP[rows], wrap=True), image.at(ERP, wrap=True)[:, rows], atol=1e-4, rtol=0)


def test_transparent_parts_are_unknown_and_lend_no_colour(tmp_path: Path) -> None:
    image = np.zeros((256, 512, 4), np.uint8)
    image[..., :3] = (0, 255, 0)
    image[:, :256] = (200, 100, 50, 255)  # the left half is opaque, the green right half is transparent
    rgb, weight = known_picture(still(tmp_path, image), ERP)
    assert torch.equal(weight[:, 70:120], torch.zeros(64, 50))
    assert torch.equal(weight[:, 8:60], torch.ones(64, 52))
    known = weight > 0.01
    colours = rgb[:, known] * 255
    assert torch.allclose(colours, torch.tensor([[200.0], [100.0], [50.0]]).expand_as(colours), atol=1.5)


@settings(deadline=None, max_examples=30)
@given(
    st.floats(-180, 180),
    st.floats(-90, 90),
    st.floats(20, 120),
    st.tuples(st.floats(-0.8, 0.8), st.floats(-0.8, 0.8)),
)
def test_a_photo_is_seen_again_by_the_camera_that_took_it(
    tmp_path_factory: pytest.TempPathFactory, yaw: float, pitch: float, fov: float, place: tuple[float, float]
) -> None:
    ramp = np.zeros((90, 160, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, 160).round()[None]
    ramp[..., 1] = np.linspace(0, 255, 90).round()[:, None]
    request = still(
        tmp_path_factory.mktemp("photo"), ramp, image_yaw_deg=yaw, image_pitch_deg=pitch, image_fov_deg=fov
    )  # fmt: skip
    y, p, f = (torch.tensor([math.radians(a)]) for a in (yaw, pitch, fov))
    view = sphere.view_directions(y, p, f, 90, 160)[0]
    row, column = (round((1 + k) / 2 * (n - 1)) for k, n in zip(place, (90, 160), strict=True))
    rgb, weight = known_picture(request, view)
    assert float(weight[row, column]) == pytest.approx(1, abs=1e-3)
    assert rgb[:2, row, column] * 255 == pytest.approx(ramp[row, column, :2].astype(float), abs=3)
    assert float(weight[0].max()) < 0.2  # feathered at the edge
    behind, nothing = known_picture(request, -view)
    assert torch.equal(nothing, torch.zeros(90, 160))
    assert bool(behind.isfinite().all())


def test_a_flat_still_fills_the_panorama(tmp_path: Path) -> None:
    request = still(tmp_path, quarters(100, 300), flat=True, width=640, height=256)
    rgb, weight = known_picture(request, sphere.grid(8, 20))
    assert torch.equal(weight, torch.ones(8, 20))
    expected = torch.from_numpy(quarters(8, 20)).permute(2, 0, 1) / 255
    inner = [0, 1, 2, 5, 6, 7]
    assert torch.allclose(rgb[:, inner][..., :8], expected[:, inner][..., :8], atol=0.02)


# --- masks


def painted(tmp_path: Path, mask: np.ndarray, name: str = "mask.png", **fields: Any) -> GenerateRequest:
    return replace(SKY, mask=write(tmp_path / name, mask), source=str(tmp_path), **fields)


def cap(height: int, yaw_deg: float, pitch_deg: float, radius_deg: float) -> np.ndarray:
    """A mask that is white within a distance of a direction."""
    inside = sphere.erp_directions(height, 2 * height) @ at(yaw_deg, pitch_deg)[0, 0]
    return ((inside > math.cos(math.radians(radius_deg))).numpy() * 255).astype(np.uint8)


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (180, 30), (70, -80), (0, 90)])
@pytest.mark.parametrize("height", [100, 256, 1200])
def test_a_painted_mask_is_soft_at_its_edge_and_exact_elsewhere(
    tmp_path: Path, yaw: float, pitch: float, height: int
) -> None:
    fine = sphere.erp_directions(256, 512)
    weights = mask_weights(painted(tmp_path, cap(height, yaw, pitch, 30)), fine)
    away = torch.rad2deg(torch.acos((fine @ at(yaw, pitch)[0, 0]).clamp(-1, 1)))
    assert torch.equal(weights[away < 25], torch.ones(int((away < 25).sum())))
    assert torch.equal(weights[away > 35], torch.zeros(int((away > 35).sum())))
    edge = weights[(away - 30).abs() < 0.5]
    assert 0.1 < float(edge.mean()) < 0.9


def test_all_white_is_everything_and_a_transparent_layer_is_what_is_painted(tmp_path: Path) -> None:
    assert torch.equal(mask_weights(painted(tmp_path, np.full((64, 128), 255, np.uint8)), ERP), torch.ones(64, 128))
    layer = np.full((256, 512, 4), 255, np.uint8)
    layer[..., 3] = cap(256, 0, 0, 30)
    layer[layer[..., 3] == 0] = (255, 255, 255, 0)
    weights = [float(mask_weights(painted(tmp_path, layer), d)) for d in (at(0, 0), at(180, 0))]
    assert weights == [1, 0]


def test_a_mask_by_direction_is_that_cap() -> None:
    request = replace(SKY, source="/x", mask_at=(30.0, 10.0, 20.0))
    weights = [float(mask_weights(request, d)) for d in (at(30, 10), at(30, 30), at(30, 40))]
    assert weights == pytest.approx([1, 0.5, 0], abs=1e-3)


def test_a_flat_mask_is_where_it_was_painted(tmp_path: Path) -> None:
    mask = np.zeros((256, 640), np.uint8)
    mask[:, :320] = 255
    weights = mask_weights(painted(tmp_path, mask, flat=True, width=640), sphere.grid(8, 20))
    assert torch.equal(weights[:, :9], torch.ones(8, 9))
    assert torch.equal(weights[:, 11:], torch.zeros(8, 9))


def test_motion_is_still_where_black_and_whole_where_nothing_is_said(tmp_path: Path) -> None:
    assert torch.equal(motion_weights(SKY, ERP), torch.ones(64, 128))
    request = replace(SKY, motion_mask=write(tmp_path / "m.png", cap(256, 0, 60, 40)))
    weights = [float(motion_weights(request, d)) for d in (at(0, 60), at(0, -40))]
    assert weights == [1, 0]
    layer = np.zeros((256, 512, 4), np.uint8)
    layer[..., 3] = cap(256, 0, -60, 40)  # black paint on the mountains, nothing on the sky
    request = replace(SKY, motion_mask=write(tmp_path / "m.png", layer))
    weights = [float(motion_weights(request, d)) for d in (at(0, 60), at(0, -60))]
    assert weights == [1, 0]


# --- checks before the work


def refused(request: GenerateRequest) -> str:
    assert request.problems() == []
    with pytest.raises(SkyloopError) as caught:
        check_inputs(request)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert "\n" not in caught.value.line
    return caught.value.line


def test_a_mask_of_another_size_is_taken_with_a_note(sky: GenerateRequest, caplog: pytest.LogCaptureFixture) -> None:
    folder = Path(sky.source)
    with caplog.at_level(logging.INFO):
        check_inputs(replace(sky, mask=write(folder / "m.png", cap(100, 0, 0, 30)), mask_at=None))
        assert "is 200x100: resampled to 512x256" in caplog.text
        caplog.clear()
        check_inputs(replace(sky, mask=write(folder / "m.png", cap(256, 0, 0, 30)), mask_at=None))
        assert caplog.text == ""


@pytest.mark.parametrize(
    ("mask", "named"),
    [
        (np.zeros((256, 512), np.uint8), "black all over"),
        (cap(256, 0, 0, 1), "too small to make anew"),
        (np.full((256, 256), 255, np.uint8), "is 256x256: the mask of a 360° sky is twice as wide as high"),
    ],
    ids=["black", "a dot", "square"],
)
def test_a_mask_that_cannot_be_meant_is_refused(sky: GenerateRequest, mask: np.ndarray, named: str) -> None:
    path = write(Path(sky.source) / "mask.png", mask)
    line = refused(replace(sky, mask=path, mask_at=None))
    assert named in line
    assert path in line


def test_pictures_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    photo = still(tmp_path, quarters(100, 160))
    assert "is 160x100: a panorama of the whole sky is twice as wide" in refused(photo)
    check_inputs(replace(photo, image_fov_deg=60.0))
    check_inputs(replace(photo, flat=True))
    assert "transparent all over" in refused(still(tmp_path, np.zeros((64, 128, 4), np.uint8), "clear.png"))
    for name in ("image", "motion_mask"):
        missing = str(tmp_path / "nowhere.png")
        assert f"{missing} is not there" in refused(replace(SKY, **{name: missing}))
    assert "is 160x100: the motion mask" in refused(replace(SKY, motion_mask=photo.image))


# --- an earlier sky


@pytest.fixture
def sky(tmp_path: Path) -> GenerateRequest:
    """A request that changes a part of a sky that is there."""
    store.create(tmp_path, SKY)
    with VideoWriter(tmp_path / "sky.mp4", SKY.width, SKY.height, SKY.fps) as video:
        for i in range(SKY.frames):
            video.write(np.full((SKY.height, SKY.width, 3), 40 * i, np.uint8))
    return replace(SKY, source=str(tmp_path), mask_at=(0.0, 0.0, 30.0), prompt="another")


def test_the_source_is_read_frame_by_frame(sky: GenerateRequest) -> None:
    check_inputs(sky)
    for source in (sky.source, str(Path(sky.source) / "sky.mp4")):
        means = [float(frame.mean()) for frame in source_frames(replace(sky, source=source))]
        assert means == pytest.approx([0, 40, 80, 120], abs=2)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"width": 1024, "height": 512}, "has size 512x256, the request 1024x512"),
        ({"frames": 16}, "has frames 4, the request 16"),
        ({"fps": 12.0}, "has fps 8, the request 12"),
        ({"loop": False}, "has loop True, the request False"),
    ],
)
def test_a_source_of_another_shape_is_refused(sky: GenerateRequest, change: dict[str, Any], named: str) -> None:
    assert named in refused(replace(sky, **change))
    with pytest.raises(SkyloopError, match="the request"):
        source_frames(replace(sky, **change))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"width": 256, "height": 128}, "is 512x256, larger than the request's 256x128"),
        ({"width": 1024, "height": 640, "flat": True}, "of another shape than the request's 1024x640"),
        ({"frames": 16}, "has frames 4, the request 16"),
        ({"fps": 12.0}, "has fps 8, the request 12"),
        ({"loop": False}, "has loop True, the request False"),
    ],
)
def test_a_whole_source_of_another_shape_is_refused(sky: GenerateRequest, change: dict[str, Any], named: str) -> None:
    whole = replace(sky, mask_at=None, strength=0.5)
    assert named in refused(replace(whole, **change))


def test_a_sky_is_made_of_a_source_as_large_or_smaller(sky: GenerateRequest) -> None:
    for width in (512, 528, 1024, 8192):
        request = replace(sky, mask_at=None, strength=0.5, width=width, height=width // 2)
        check_inputs(request)
        assert next(source_frames(request)).shape == (256, 512, 3)


def test_a_source_that_is_not_there_is_refused(sky: GenerateRequest, tmp_path: Path) -> None:
    assert "is not there" in refused(replace(sky, source=str(tmp_path / "gone")))
    (tmp_path / "empty").mkdir()
    assert "has no sky.mp4 in it" in refused(replace(sky, source=str(tmp_path / "empty")))
    (tmp_path / "empty" / "sky.mp4").write_text("no video")
    assert "cannot be read as a video" in refused(replace(sky, source=str(tmp_path / "empty")))


def test_a_video_alone_is_a_source_too(sky: GenerateRequest) -> None:
    (Path(sky.source) / "request.json").unlink()
    check_inputs(replace(sky, loop=False))  # nothing says whether it loops


# --- the camera


def seen(keys: list[CameraKey], frames: range = range(4), **fields: Any) -> Tensor:
    return camera_weights(replace(SKY, camera=tuple(keys), **fields), frames, ERP)


def test_without_a_camera_all_is_seen() -> None:
    assert torch.equal(camera_weights(SKY, range(4), ERP), torch.ones(64, 128))


@settings(deadline=None, max_examples=30)
@given(
    st.floats(-180, 180), st.floats(-90, 90), st.floats(10, 120), st.floats(0.5, 2.5), st.floats(-180, 180)
)  # fmt: skip
def test_every_pixel_of_the_view_is_seen_and_little_more(
    yaw: float, pitch: float, fov: float, aspect: float, roll: float
) -> None:
    request = replace(SKY, camera=(CameraKey(0, yaw, pitch, fov, aspect, roll),))
    u, v = sphere.grid(9, 15)
    t, r = math.tan(math.radians(fov) / 2), math.radians(roll)
    x, z = u * t, -v * t / aspect
    turned = torch.stack([x * math.cos(r) + z * math.sin(r), torch.ones_like(x), z * math.cos(r) - x * math.sin(r)], -1)
    y, p = (torch.tensor([math.radians(a)]) for a in (yaw, pitch))
    view = sphere.tilt((turned / turned.norm(dim=-1, keepdim=True))[None], y, p)[0]
    assert camera_weights(request, range(4), view).min() == 1
    axis = at(yaw, pitch)[0, 0]
    corner = math.degrees(math.atan(t * math.hypot(1, 1 / aspect)))
    away = torch.rad2deg(torch.acos((ERP @ axis).clamp(-1, 1)))
    weights = camera_weights(request, range(4), ERP)
    assert weights[away > min(179.0, 1.5 * corner + 1)].sum() == 0


def test_a_pan_sees_what_lies_between_its_keys_the_shorter_way() -> None:
    keys = [CameraKey(0, 170, 0, 40), CameraKey(30, -120, 0, 40)]  # over the back
    weights = seen(keys)
    horizon = weights[32]
    yaw = (torch.arange(128) + 0.5) / 128 * 360 - 180
    behind = (yaw > 150) | (yaw < -100)
    assert torch.equal(horizon[behind], torch.ones(int(behind.sum())))
    front = (yaw > -90) & (yaw < 140)
    assert torch.equal(horizon[front], torch.zeros(int(front.sum())))
    area = torch.cos(torch.asin(ERP[..., 2]))
    assert 0.05 < float((weights * area).sum() / area.sum()) < 0.3


def test_a_part_of_the_frames_is_seen_by_a_part_of_the_shot() -> None:
    keys = [CameraKey(0, 0, 0, 40), CameraKey(3, 90, 0, 40)]
    assert seen(keys, range(0, 1))[32, 64] == 1
    assert seen(keys, range(3, 4))[32, 64] == 0
    assert seen(keys, range(3, 4))[32, 96] == 1


def test_a_shot_longer_than_the_sky_sees_its_frames_again_or_rests_on_the_last() -> None:
    keys = [CameraKey(0, 0, 0, 40), CameraKey(3, 0, 0, 40), CameraKey(4, 180, 0, 40), CameraKey(400, 180, 0, 40)]
    assert seen(keys, range(0, 1), loop=True)[32, 0] == 1
    assert seen(keys, range(0, 1), loop=False)[32, 0] == 0
    assert seen(keys, range(3, 4), loop=False)[32, 0] == 1
