"""Models are downloaded, checked and kept: whatever network, disk or a user's folder do, nothing broken loads."""

from __future__ import annotations

import errno
import importlib
import inspect
import io
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend import commands
from backend.models import store
from backend.models.catalogue import read
from backend.models.families import class_of
from backend.models.store import record
from backend.protocol import ErrorKind, Event, SkyloopError
from backend.runtime.lock import locked

from . import hub_server
from .hub_server import Hub, Repo, corrupt, cut, longer, stall, status, whole

pytest.importorskip("huggingface_hub")
catalogue = importlib.import_module("backend.models.catalogue")

ROOT = Path(__file__).parents[2]
CATALOGUE = """
[family.builtin]
denoiser = ""
vae = ""
denoisers = []
[family.wan]
denoiser = "WanTransformer3DModel"
vae = "AutoencoderKLWan"
parts = ["text_encoder", "tokenizer", "scheduler"]
multiple = 2
[family.wan22_a14b]
denoiser = "WanTransformer3DModel"
vae = "AutoencoderKLWan"
denoisers = ["transformer", "transformer_2"]
parts = ["text_encoder", "tokenizer", "scheduler"]
[family.ltx]
denoiser = "LTXVideoTransformer3DModel"
vae = "AutoencoderKLLTXVideo"
parts = ["text_encoder", "tokenizer", "scheduler"]
[[model]]
id = "tiny"
name = "Tiny"
family = "wan"
task = "text"
parameters_b = 0.1
size_mb = 1
takes = ["text"]
summary = "For tests."
needs = "Nothing."
licence = { name = "Odd Licence", limits = "Only on Sundays.", link = "https://example.org/licence" }
memory = { min_gb = 1, comfortable_gb = 2, host_gb = 1 }
window = { cells = 4, frames = 2, width_px = 32, height_px = 32, frames_px = 5, fps = 8 }
preset = { steps = 4, guidance = 1.0, solver = "euler" }
shape = { num_layers = 2 }
[[model.source]]
repo = "org/tiny"
files = ["model_index.json", "scheduler/*", "text_encoder/*", "tokenizer/*", "transformer/*", "vae/*"]
[[model]]
id = "tiny-fast"
extends = "tiny"
name = "Tiny, fast"
lora = [{ file = "loras/fast.safetensors" }]
[[model.source]]
repo = "org/fast"
files = ["fast.safetensors"]
into = "loras"
[[model]]
id = "tiny-asked"
extends = "tiny"
licence = { accept = true }
gated = true
[[model]]
id = "tiny-half"
like = "tiny"
[[model.source]]
repo = "org/half"
files = ["model_index.json", "scheduler/*", "text_encoder/*", "tokenizer/*", "transformer/*", "vae/*"]
variant = "fp16"
[[model]]
id = "tiny-single"
like = "tiny"
single = [{ file = "all.safetensors", parts = ["transformer", "vae"] }]
[[model.source]]
repo = "org/tiny"
files = ["model_index.json", "scheduler/*", "text_encoder/*", "tokenizer/*", "*/config.json"]
[[model.source]]
repo = "org/single"
files = ["all.safetensors"]
[[model]]
id = "other"
like = "tiny"
family = "ltx"
source = [{ repo = "org/other", files = ["*"] }]
"""


def tensors(seed: int, size: int = 40_000) -> bytes:
    """A safetensors file of one tensor."""
    data = bytes((i * 31 + seed) % 251 for i in range(size))
    header = json.dumps({"x": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


def config(name: str, **more: Any) -> bytes:
    return json.dumps({"_class_name": name} | more).encode()


def tiny(seed: int = 0) -> dict[str, bytes]:
    """The files of a model in diffusers' layout, two shards and all."""
    shards = [f"diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {"metadata": {}, "weight_map": {"a": shards[0], "b": shards[1]}}
    return {
        "model_index.json": config("WanPipeline"),
        "scheduler/scheduler_config.json": config("UniPCMultistepScheduler"),
        "text_encoder/config.json": b'{"architectures": ["UMT5EncoderModel"]}',
        "text_encoder/model.safetensors": tensors(seed + 1),
        "tokenizer/tokenizer.json": b"{}",
        "tokenizer/spiece.model": b"words",
        "transformer/config.json": config("WanTransformer3DModel", num_layers=2),
        "transformer/diffusion_pytorch_model.safetensors.index.json": json.dumps(index).encode(),
        f"transformer/{shards[0]}": tensors(seed + 2),
        f"transformer/{shards[1]}": tensors(seed + 3),
        "vae/config.json": config("AutoencoderKLWan"),
        "vae/diffusion_pytorch_model.safetensors": tensors(seed + 4),
    }


VAE = "vae/diffusion_pytorch_model.safetensors"
JUNK = {"README.md": b"# Tiny", "pytorch_model.bin": b"pickle", "vae/diffusion_pytorch_model.bin": b"pickle",
        "vae/diffusion_pytorch_model.fp16.safetensors": b"half"}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and a catalogue of tiny models."""
    monkeypatch.setenv("SKYLOOP_HOME", str(tmp_path / "home"))
    made = read(CATALOGUE)
    monkeypatch.setattr(catalogue, "entries", lambda: made)
    monkeypatch.setattr(sys.modules["backend.models.store.check"], "entries", lambda: made)
    monkeypatch.setattr(sys.modules["backend.models"], "entries", lambda: made)
    return tmp_path / "home"


@pytest.fixture
def hub(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    with hub_server.serving() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", found.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr("time.sleep", lambda _: None)
        monkeypatch.setattr(sys.modules["backend.models.store.fetch"], "_PIECE", 4096)
        monkeypatch.setattr(sys.modules["backend.models.store.getting"], "_AT_ONCE", 1)  # what goes wrong, in order
        found.repos = {"org/tiny": Repo(tiny() | JUNK), "org/fast": Repo({"fast.safetensors": tensors(9)})}
        yield found


def nothing(_event: Event) -> None: ...


def content(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != record.NAME
    }


def refused(call: Callable[[], object]) -> SkyloopError:
    with pytest.raises(SkyloopError) as caught:
        call()
    assert caught.value.message.endswith(".") and "\n" not in caught.value.line
    assert caught.value.hint
    return caught.value


def test_a_model_is_downloaded_whole_and_works_offline(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    assert store.installed("tiny") is None and store.condition("tiny") == "none"
    folder = store.download("tiny", events.append)
    assert content(folder) == tiny()
    assert store.installed("tiny") == folder == store.required("tiny")
    told = [event.data for event in events if event.data["name"] == "downloading"]
    assert told[-1]["done"] == told[-1]["total"] and {data["unit"] for data in told} == {"MB"}
    assert [data["done"] for data in told] == sorted(data["done"] for data in told)
    found = record.read(folder)
    assert found and {f.commit for f in found.files} == {hub_server.COMMIT}
    assert all(len(f.sha256) == 64 and f.size for f in found.files)
    asked = len(hub.asked)
    assert store.installed("tiny") and store.verify("tiny", nothing) == []
    store.download("tiny", nothing)  # there is nothing left to do
    assert len(hub.asked) == asked


@pytest.mark.parametrize(
    "troubles",
    [[cut], [cut, cut, cut], [stall], [corrupt], [status(500), status(503)], [status(429, Retry_After="0")],
     [cut, longer], [cut, whole], [cut, status(500), cut, status(429)], [cut, status(416)]],
    ids=["cut", "cut thrice", "stall", "corrupt", "500", "429", "longer", "no ranges", "everything", "416"],
)  # fmt: skip
def test_troubles_on_the_way_are_overcome(hub: Hub, troubles: list[hub_server.Trouble]) -> None:
    hub.troubles = [*troubles]
    assert content(store.download("tiny", nothing)) == tiny()
    assert not hub.troubles
    if troubles == [cut]:
        assert any(hub.ranges), "it went on, rather than begin again"


@pytest.mark.parametrize("seed", range(3))
def test_any_mixture_of_troubles_ends_well_or_is_told(hub: Hub, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    kinds = [cut, cut, corrupt, longer, whole, status(500), status(416), status(429), status(403), status(404), stall]
    monkeypatch.setattr(sys.modules["backend.models.store.getting"], "_AT_ONCE", dice.choice([1, 4]))
    for _ in range(5):
        hub.troubles = [dice.choice(kinds) for _ in range(dice.randrange(12))]
        try:
            folder = store.download("tiny", nothing)
        except SkyloopError as error:
            assert error.kind in (ErrorKind.INTERNAL, ErrorKind.BAD_REQUEST) and error.hint
            assert store.installed("tiny") is None
            here = content(store.folder("tiny"))
            assert all(data == tiny()[name] for name, data in here.items() if not name.endswith(".part"))
        else:
            assert content(folder) == tiny()
            store.remove("tiny")


def test_several_come_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["backend.models.store.getting"], "_AT_ONCE", 4)
    threads: set[int] = set()
    at_the_door = threading.Barrier(3)

    def meet(handler: hub_server.Handler, data: bytes, start: int) -> None:
        threads.add(threading.get_ident())
        at_the_door.wait(20)  # passes only when three requests are being answered
        handler.send_part(data, start)

    events: list[Event] = []
    hub.troubles = [meet, meet, meet]
    assert content(store.download("tiny", events.append)) == tiny()
    told = [event.data["done"] for event in events]
    assert len(threads) == 3 and told == sorted(told)
    store.remove("tiny")
    hub.troubles = [status(403), *[stall] * 3]
    assert "account" in refused(lambda: store.download("tiny", nothing)).message
    hub.troubles = []
    hub.stop.set()  # those that stalled
    assert content(store.download("tiny", nothing)) == tiny()


def test_a_listing_is_asked_for_again(hub: Hub) -> None:
    hub.listing_troubles = [500, 429]
    assert content(store.download("tiny", nothing)) == tiny()


@pytest.mark.parametrize("code", [500, 429])
def test_trouble_without_end_is_told_and_nothing_is_lost(hub: Hub, code: int) -> None:
    hub.troubles = [cut, *[status(code)] * 60]
    error = refused(lambda: store.download("tiny", nothing))
    assert error.kind is ErrorKind.INTERNAL and "again" in error.hint
    assert store.installed("tiny") is None and store.condition("tiny") == "partial"
    hub.troubles, hub.ranges = [], []
    assert content(store.download("tiny", nothing)) == tiny()
    assert hub.ranges[0], "the second run goes on where the first one stopped"


def test_a_file_that_always_arrives_damaged_is_never_kept(hub: Hub) -> None:
    hub.troubles = [corrupt] * 9
    error = refused(lambda: store.download("tiny", nothing))
    assert "damaged" in error.message and store.installed("tiny") is None
    assert not list(store.folder("tiny").rglob("*.safetensors"))


def test_a_file_that_never_ends_is_left(hub: Hub) -> None:
    hub.troubles = [longer] * 60
    error = refused(lambda: store.download("tiny", nothing))
    assert error.kind is ErrorKind.INTERNAL and "full size" in error.message
    assert len(hub.troubles) > 40, "it gave up"
    hub.troubles = []
    assert content(store.download("tiny", nothing)) == tiny()


def test_a_pause_that_the_hub_asks_for_is_shown(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now_s = 0.0

        def monotonic(self) -> float:
            return self.now_s

        def sleep(self, seconds: float) -> None:
            self.now_s += seconds

    monkeypatch.setattr(sys.modules["backend.models.store.meter"], "time", clock := Clock())
    hub.troubles = [status(429, Retry_After="20"), status(429, RateLimit='"resolvers";r=0;t=9'), status(503)]
    events: list[Event] = []
    store.download("tiny", events.append)
    waits = [event.data for event in events if event.data["name"] == "waiting for the hub"]
    assert [w["total"] for w in waits if w["done"] == 0] == [20, 9, 4]
    assert len(waits) == clock.now_s == 33 and {w["unit"] for w in waits} == {"second"}


def test_cancelling_keeps_what_has_come(hub: Hub) -> None:
    def cancel(event: Event) -> None:
        if event.data["name"] == "downloading" and any(store.folder("tiny").rglob("*.safetensors.part")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.download("tiny", cancel)
    assert store.installed("tiny") is None
    assert content(store.download("tiny", nothing)) == tiny()


def test_going_on_keeps_to_the_commit_that_it_began_with(hub: Hub) -> None:
    hub.troubles = [cut, *[status(500)] * 60]
    refused(lambda: store.download("tiny", nothing))
    hub.troubles = []
    old = hub.repos["org/tiny"]
    hub.repos["org/tiny"] = Repo(tiny(50), commit="d" * 40)
    error = refused(lambda: store.download("tiny", nothing))
    assert "org/tiny" in error.message  # that commit is gone: never a mixture of two
    hub.repos["org/tiny"] = old
    assert content(store.download("tiny", nothing)) == tiny()


def test_a_full_disk_is_told_before_and_during(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    getting = sys.modules["backend.models.store.getting"]
    usage = type("Usage", (), {"free": 5000})
    with monkeypatch.context() as patch:
        patch.setattr(getting.shutil, "disk_usage", lambda _: usage)
        error = refused(lambda: store.download("tiny", nothing))
        assert error.kind is ErrorKind.DISK_FULL and "missing" in error.message and "models move" in error.hint
        assert not hub.ranges

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["backend.models.store.fetch"], "_write", full)
        error = refused(lambda: store.download("tiny", nothing))
        assert error.kind is ErrorKind.DISK_FULL and "models move" in error.hint
    assert content(store.download("tiny", nothing)) == tiny()


def test_the_hugging_face_cache_and_other_models_are_used(hub: Hub, tmp_path: Path) -> None:
    blobs = tmp_path / "cache" / "models--org--tiny" / "blobs"
    blobs.mkdir(parents=True)
    import hashlib

    vae, bad = tiny()[VAE], tiny()["text_encoder/model.safetensors"]
    (blobs / hashlib.sha256(vae).hexdigest()).write_bytes(vae)
    (blobs / hashlib.sha256(bad).hexdigest()).write_bytes(bad[:-1] + b"?")  # damaged: must not be used
    folder = store.download("tiny", nothing)
    assert content(folder) == tiny()
    assert f"/org/tiny/resolve/{hub_server.COMMIT}/{VAE}" not in hub.asked
    assert (folder / VAE).samefile(blobs / hashlib.sha256(vae).hexdigest())
    hub.asked.clear()
    fast = store.download("tiny-fast", nothing)
    assert [a for a in hub.asked if "/resolve/" in a and a.endswith(".safetensors")] == [
        f"/org/fast/resolve/{hub_server.COMMIT}/fast.safetensors"
    ]
    assert content(fast) == tiny() | {"loras/fast.safetensors": tensors(9)}
    store.remove("tiny")
    assert store.installed("tiny-fast") == fast and store.verify("tiny-fast", nothing) == []


def test_a_variant_is_taken_and_loses_its_mark(hub: Hub) -> None:
    files = tiny()
    for name in [n for n in files if n.endswith(".safetensors") or n.endswith("index.json")]:
        if "transformer/" in name:
            del files[name]
        else:
            files[name.replace(".safetensors", ".fp16.safetensors")] = tensors(90)
    files["transformer/diffusion_pytorch_model.fp16.safetensors"] = tensors(91)
    hub.repos["org/half"] = Repo(files)
    folder = store.download("tiny-half", nothing)
    assert (folder / VAE).read_bytes() == tensors(90)
    assert not list(folder.rglob("*fp16*"))


def test_a_licence_is_accepted_once_before_the_first_byte(hub: Hub, home: Path) -> None:
    error = refused(lambda: store.download("tiny-asked", nothing))
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "Odd Licence" in error.message and "Sundays" in error.message and "--accept-licence" in error.hint
    assert not hub.asked
    entry = catalogue.entry("tiny-asked")
    store.accept(entry)
    assert store.accepted(entry)
    noted = json.loads((home / "models" / "licences.json").read_text())["tiny-asked"]
    assert noted["licence"] == "Odd Licence" and noted["accepted"].startswith("20")
    store.download("tiny-asked", nothing)


def test_a_gated_model_without_a_token_says_how_to_get_one(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos["org/tiny"].gated = True
    store.accept(catalogue.entry("tiny-asked"))
    error = refused(lambda: store.download("tiny-asked", nothing))
    assert error.kind is ErrorKind.BAD_REQUEST and "account" in error.message and "HF_TOKEN" in error.hint
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    store.download("tiny-asked", nothing)
    sent = {path.split("/")[1]: token for path, token in zip(hub.asked, hub.tokens, strict=True)}
    assert sent["org"] == "Bearer hf_secret" and not sent["cdn"], "the token goes to the hub and nowhere else"


@pytest.mark.parametrize(("code", "words"), [(401, "account"), (403, "account"), (404, "no longer")])
def test_what_nobody_may_have_or_nobody_has_is_told_at_once(hub: Hub, code: int, words: str) -> None:
    hub.troubles = [status(code)] * 5
    assert words in refused(lambda: store.download("tiny", nothing)).message
    assert len(hub.troubles) == 4, "asking again would not help"


def test_a_token_that_is_not_accepted_is_told(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_old")  # as hf auth login leaves it
    hub.troubles = [status(401)]
    assert "token" in refused(lambda: store.download("tiny", nothing)).message
    assert "Bearer hf_old" in hub.tokens


def test_no_network_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    error = refused(lambda: store.download("tiny", nothing))
    assert error.kind is ErrorKind.INTERNAL and "cannot be reached" in error.message and "proxy" in error.hint
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(lambda: store.download("tiny", nothing)).message


def test_a_repository_that_changed_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos["org/tiny"].files = {n: d for n, d in tiny().items() if not n.startswith("vae/")}
    error = refused(lambda: store.download("tiny", nothing))
    assert "vae/*" in error.message and "Update Skyloop" in error.hint
    pinned = replace(catalogue.entry("tiny").source[0], revision="e" * 40)
    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "entries", lambda: (replace(catalogue.read(CATALOGUE)[0], source=(pinned,)),))
        assert "commit" in refused(lambda: store.download("tiny", nothing)).message
    hub.repos["org/gone"] = hub.repos.pop("org/tiny")
    assert "not at" in refused(lambda: store.download("tiny", nothing)).message
    hub.repos["org/tiny"] = hub.repos.pop("org/gone")
    hub.repos["org/tiny"].files = tiny() | {"vae/../../../evil.json": b"{}", "vae//etc/evil.json": b"{}"}
    folder = store.download("tiny", nothing)
    assert content(folder).keys() == tiny().keys()


def test_damage_is_found_told_and_mended(hub: Hub) -> None:
    folder = store.download("tiny", nothing)
    data = tiny()[VAE]
    (folder / VAE).write_bytes(data[:-1] + b"?")
    assert store.verify("tiny", nothing) == [f"{VAE} has changed."]
    assert store.installed("tiny") is None and store.condition("tiny") == "damaged"
    assert "damaged" in refused(lambda: store.required("tiny")).message
    hub.asked.clear()
    store.download("tiny", nothing)
    assert content(folder) == tiny() and store.verify("tiny", nothing) == []
    assert [a for a in hub.asked if "/cdn/" in a] == [f"/cdn/org/tiny/{VAE}"], "only what was damaged came again"
    (folder / VAE).write_bytes(b"\xff" * len(data))
    assert "cannot be read" in refused(lambda: store.required("tiny")).message, "nor is one with a broken header loaded"
    (folder / VAE).write_bytes(data[:-1])
    assert store.installed("tiny") is None, "a file cut short is seen without reading it"
    (folder / VAE).unlink()
    store.download("tiny", nothing)
    assert store.installed("tiny") == folder


@pytest.mark.parametrize(
    "path", ["../../escaped.json", "/tmp/escaped.json", "vae/../../x.json", "C:/x.json", "a\\b.json"]
)
def test_a_record_that_leads_out_of_its_folder_is_none(hub: Hub, tmp_path: Path, path: str) -> None:
    folder = store.download("tiny", nothing)
    found = record.read(folder)
    assert found
    record.write(folder, replace(found, state="partial", files=(replace(found.files[0], path=path), *found.files[1:])))
    assert store.installed("tiny") is None and store.condition("tiny") == "none"
    assert content(store.download("tiny", nothing)) == tiny()
    assert not list(tmp_path.rglob("*escaped*"))


def test_removing(hub: Hub) -> None:
    folder = store.download("tiny", nothing)
    assert store.remove("tiny") >= sum(map(len, tiny().values()))
    assert not folder.exists() and store.condition("tiny") == "none"
    assert refused(lambda: store.remove("tiny")).kind is ErrorKind.MISSING_MODEL
    assert refused(lambda: store.remove("builtin")).kind is ErrorKind.BAD_REQUEST


def test_files_that_are_in_use_are_told_of(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_use(_path: Path) -> None:
        raise PermissionError(errno.EACCES, "The file is open elsewhere")

    store.download("tiny", nothing)
    shutil = sys.modules["backend.models.store.keeping"].shutil
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", in_use)
        error = refused(lambda: store.move(tmp_path / "disk", nothing))
        assert "open elsewhere" in error.message and str(tmp_path / "disk") in error.message
        assert store.installed("tiny") == tmp_path / "disk" / "tiny"
        assert "Close" in refused(lambda: store.remove("tiny")).hint
    assert store.installed("tiny") is None
    store.remove("tiny")
    assert not store.folder("tiny").exists()


def test_moving_there_and_back(hub: Hub, home: Path, tmp_path: Path) -> None:
    store.download("tiny", nothing)
    store.download("tiny-fast", nothing)
    store.accept(catalogue.entry("tiny-asked"))
    other = tmp_path / "other"
    (other).mkdir()
    (other / "photo.jpg").write_bytes(b"mine")
    (home / "models" / "texts").mkdir()
    (home / "models" / "texts" / "aurora.safetensors").write_bytes(b"encoded")
    folder = store.move(other, nothing)
    assert folder == other / "Skyloop models"
    assert store.installed("tiny") == folder / "tiny" and store.verify("tiny-fast", nothing) == []
    assert (folder / "tiny" / VAE).samefile(folder / "tiny-fast" / VAE), "what they share is there once"
    assert store.accepted(catalogue.entry("tiny-asked"))
    assert (folder / "texts" / "aurora.safetensors").read_bytes() == b"encoded"
    assert {p.name for p in (home / "models").iterdir()} == {"moved.json", "models.lock"}
    assert "already" in refused(lambda: store.move(folder, nothing)).message
    assert "inside" in refused(lambda: store.move(folder / "tiny" / "x", nothing)).message
    folder.rename(tmp_path / "unplugged")
    assert store.installed("tiny") is None
    error = refused(lambda: store.download("tiny", nothing))
    assert error.kind is ErrorKind.MISSING_MODEL and "Connect" in error.hint
    (tmp_path / "unplugged").rename(folder)
    assert store.move(home / "models", nothing) == home / "models"
    assert store.installed("tiny") == home / "models" / "tiny"
    assert content(home / "models" / "tiny") == tiny()


def test_moving_to_another_disk_can_be_cancelled_and_gone_on_with(
    hub: Hub, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = sys.modules["backend.models.store.keeping"]

    def no_links(*_a: object, **_k: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    store.download("tiny", nothing)
    monkeypatch.setattr(keeping.os, "link", no_links)
    seen: list[str] = []

    def cancel(event: Event) -> None:
        seen.append(event.data["name"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.move(tmp_path / "disk", cancel)
    assert seen == ["copying"]
    assert store.installed("tiny") == home / "models" / "tiny"
    assert store.move(tmp_path / "disk", nothing) == tmp_path / "disk"
    assert store.installed("tiny") == tmp_path / "disk" / "tiny"
    assert content(tmp_path / "disk" / "tiny") == tiny()


def test_a_model_whose_weights_are_one_file(hub: Hub) -> None:
    hub.repos["org/single"] = Repo({"all.safetensors": b"x" * 5000})
    error = refused(lambda: store.download("tiny-single", nothing))  # whole, and no model: what the hub has is wrong
    assert error.kind is ErrorKind.MISSING_MODEL and "all.safetensors" in error.message
    assert store.installed("tiny-single") is None
    store.remove("tiny-single")
    hub.repos["org/single"] = Repo({"all.safetensors": tensors(6)})
    folder = store.download("tiny-single", nothing)
    whole = folder / "all.safetensors"
    assert store.single_files("tiny-single") == {"transformer": whole, "vae": whole}
    assert {p.suffix for p in (folder / "vae").iterdir()} == {".json"}
    store.check_folder(folder, catalogue.entry("tiny-single"), without=store.single_files("tiny-single"))


SCRIPT = """
import importlib, os, sys
catalogue = importlib.import_module("backend.models.catalogue")
catalogue.FILE = type(catalogue.FILE)(sys.argv[1])
from backend import commands
commands.models.enter_runtime = lambda _: None
sys.exit(commands.main(["models", "download", "tiny"]))
"""


def test_ctrl_c_ends_it_at_once_and_the_next_run_goes_on(hub: Hub, home: Path, tmp_path: Path) -> None:
    (tmp_path / "catalogue.toml").write_text(CATALOGUE)
    environ = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "SKYLOOP_PROGRESS": "lines"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "catalogue.toml")]
    hub.troubles = [stall]
    big = tiny() | {VAE: tensors(4, 3 << 20)}
    hub.repos["org/tiny"] = Repo(dict(sorted(big.items(), key=lambda item: item[0] != VAE)))
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    part = store.folder("tiny") / f"{VAE}.part"
    while not part.exists() or part.stat().st_size < 1 << 20:
        assert process.poll() is None, process.stderr.read()
        hub.stop.wait(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 130 and said.endswith("skyloop: Cancelled.\n") and "Traceback" not in said
    assert said.startswith("skyloop: Downloading: 3 MB\n")
    hub.ranges.clear()
    again = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert again.returncode == 0, again.stderr
    assert any(asked.startswith("bytes=1") for asked in hub.ranges), "it went on behind the first megabyte"
    assert content(store.folder("tiny")) == big


def test_a_mirror_behind_a_proxy(hub: Hub, home: Path, tmp_path: Path) -> None:
    (tmp_path / "catalogue.toml").write_text(CATALOGUE)
    ours = {"HF_ENDPOINT": "http://mirror.invalid", "HTTP_PROXY": hub.url, "NO_PROXY": "", "HF_HOME": str(tmp_path)}
    environ = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()} | ours
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "catalogue.toml")]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert content(store.folder("tiny")) == tiny() and "/api/models/org/tiny" in hub.asked


def test_the_real_catalogue_fits_diffusers() -> None:
    import diffusers

    for entry in read(catalogue.FILE.read_text(encoding="utf-8")):
        if entry.family != "builtin":
            network = getattr(diffusers, entry.architecture.denoiser)
            assert entry.shape.keys() <= inspect.signature(network).parameters.keys(), entry.id
            assert getattr(diffusers, entry.architecture.vae), entry.id
            form, classes = entry.architecture, class_of(entry.family).CLASSES
            assert classes.keys() <= {*form.denoisers, "vae", *form.parts}, entry.id
            assert all(classes[part] == f"diffusers:{form.denoiser}" for part in form.denoisers), entry.id


# --- the user's own --------------------------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path: Path, home: Path) -> Path:
    """A folder of the user's with a whole model."""
    folder = tmp_path / "mine"
    for name, data in tiny().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_of_the_users_is_used_where_it_lies(mine: Path, home: Path) -> None:
    store.add("tiny", mine, nothing)
    assert store.installed("tiny") == mine and store.verify("tiny", nothing) == []
    (mine / VAE).write_bytes(tensors(77))
    assert store.verify("tiny", nothing) == [f"{VAE} has changed."]
    assert store.installed("tiny") is None
    store.add("tiny", mine, nothing)  # which is what it should be now
    assert store.installed("tiny") == mine
    store.remove("tiny")
    assert (mine / VAE).is_file(), "what is the user's is not removed"


def edit(path: str, **more: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / path).write_bytes(
        json.dumps(json.loads((folder / path).read_text()) | more).encode()
    )


SHARD = "transformer/diffusion_pytorch_model-00002-of-00002.safetensors"
INDEX = "transformer/diffusion_pytorch_model.safetensors.index.json"
BAD_FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickles only": (lambda f: (f / VAE).rename(f / "vae" / "diffusion_pytorch_model.bin"), "pickle"),
    "another family": (edit("transformer/config.json", _class_name="LTXVideoTransformer3DModel"), "Add it as other"),
    "another size": (edit("transformer/config.json", num_layers=9), "num_layers 9"),
    "another autoencoder": (edit("vae/config.json", _class_name="AutoencoderKL"), "AutoencoderKL"),
    "no text encoder": (lambda f: (f / "text_encoder").rename(f / "encoder"), "no folder text_encoder"),
    "a missing shard": (lambda f: (f / SHARD).unlink(), "lacks 1 of 2"),
    "an index of what is not there": (edit(INDEX, weight_map={"a": "elsewhere.safetensors"}), "elsewhere.safetensors"),
    "an index that leads out": (edit(INDEX, weight_map={"a": "../../x.safetensors"}), "no safetensors file beside it"),
    "an index of a pickle": (edit(INDEX, weight_map={"a": "model.bin"}), "no safetensors file beside it"),
    "shards without an index": (lambda f: (f / INDEX).unlink(), "no index"),
    "a file cut short": (lambda f: os.truncate(f / VAE, 20_000), "cannot be read"),
    "no weights": (lambda f: (f / VAE).unlink(), "no weights"),
    "only a variant": (lambda f: (f / VAE).rename(f / "vae" / "diffusion_pytorch_model.fp16.safetensors"), "fp16"),
    "no config": (lambda f: (f / "vae" / "config.json").unlink(), "is missing"),
    "a config that is none": (lambda f: (f / "vae" / "config.json").write_bytes(b"{"), "cannot be read"),
}


@pytest.mark.parametrize(("spoil", "words"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_a_folder_that_cannot_be_loaded_is_refused(mine: Path, spoil: Callable[[Path], object], words: str) -> None:
    store.check_folder(mine, catalogue.entry("tiny"))
    spoil(mine)
    error = refused(lambda: store.add("tiny", mine, nothing))
    assert error.kind is ErrorKind.BAD_REQUEST and words in error.line
    assert refused(lambda: store.check_folder(mine, catalogue.entry("tiny"))).kind is ErrorKind.MISSING_MODEL
    assert store.condition("tiny") == "none"


def test_a_single_file_stands_for_the_denoiser(hub: Hub, tmp_path: Path) -> None:
    mine = tmp_path / "wan-q4.gguf"
    mine.write_bytes(b"GGUF" + bytes(100))
    store.add("tiny", mine, nothing)
    assert store.condition("tiny") == "partial"
    folder = store.download("tiny", nothing)
    assert store.installed("tiny") == folder
    assert store.single_files("tiny") == {"transformer": mine}
    assert content(folder).keys() == {n for n in tiny() if n != INDEX and not n.startswith("transformer/diff")}
    mine.unlink()
    assert store.installed("tiny") is None
    assert "gone" in refused(lambda: store.download("tiny", nothing)).message


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("model.ckpt", b"x", "pickle"),
        ("model.zip", b"x", "no .safetensors or .gguf"),
        ("model.gguf", b"GGML1234", "no .safetensors or .gguf"),
        ("model.safetensors", b"x" * 100, "cannot be read"),
        ("model.safetensors", tensors(1)[:-5], "cannot be read"),
    ],
)
def test_a_file_that_is_no_model_is_refused(home: Path, tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    error = refused(lambda: store.add("tiny", tmp_path / name, nothing))
    assert error.kind is ErrorKind.BAD_REQUEST and words in error.message
    assert refused(lambda: store.add("tiny", tmp_path / "absent", nothing)).kind is ErrorKind.BAD_REQUEST


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def cli(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setattr(sys.modules["backend.commands.models"], "enter_runtime", lambda _argv: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # as in a child of Blender

    def run(*arguments: str) -> tuple[int, str, str]:
        code = commands.main(["models", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_commands(cli: Callable[..., tuple[int, str, str]], mine: Path, tmp_path: Path, hub: Hub) -> None:
    listed = {m["id"]: m for m in json.loads(cli("list", "--json")[1])}
    assert listed["tiny"]["condition"] == "none" and not listed["tiny"]["ready"]
    code, out, err = cli("download", "tiny", "--json")
    assert code == 0 and json.loads(out) == {"id": "tiny", "folder": str(store.folder("tiny"))}
    assert "skyloop: Downloading: 1 MB\n" in err
    assert "ready" in cli("list")[1]
    assert cli("verify", "tiny")[:2] == (0, "Tiny is whole.\n")
    (store.folder("tiny") / VAE).unlink()
    code, out, err = cli("verify", "tiny")
    mend = "Mend it with: python3 -m backend models download tiny."
    assert code == 2 and err.splitlines()[-1] == f"skyloop: Tiny is damaged: {VAE} is missing. {mend}"
    assert cli("download", "tiny")[0] == 0
    assert cli("move", str(tmp_path / "disk"))[0] == 0
    assert cli("remove", "tiny")[0] == 0
    code, out, _ = cli("add", "tiny", str(mine), "--json")
    assert (code, json.loads(out)["condition"]) == (0, "ready")
    code, _, err = cli("download", "tinny")
    assert code == 2 and "Did you mean tiny?" in err
    code, _, err = cli("download", "tiny-asked")
    assert code == 2 and "--accept-licence" in err and err.count("\n") == 1
    assert cli("download", "tiny-asked", "--accept-licence")[0] == 0
    hub.repos["org/fast"].files = {"fast.safetensors": tensors(8)}
    hub.troubles = [status(500)] * 60
    assert cli("download", "tiny-fast")[0] == 1


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("Yes\n", 0), ("\n", 2), ("", 2)])
def test_at_a_terminal_the_licence_is_asked_about(
    cli: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    found, _, err = cli("download", "tiny-asked")
    assert found == code and "Only on Sundays.\nhttps://example.org/licence\nAccept it? [y/N] " in err
    assert store.accepted(catalogue.entry("tiny-asked")) == (code == 0)


def test_who_comes_second_is_told(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "models").mkdir(parents=True)
    monkeypatch.setattr(sys.modules["backend.models.store.getting"], "_PATIENCE_S", 0.1)
    with locked(home / "models" / "models.lock", waiting=lambda _: None):
        error = refused(lambda: store.download("tiny", nothing))
    assert "Another Skyloop" in error.message and not hub.ranges
    store.download("tiny", nothing)


def test_a_home_that_is_no_folder_is_told(hub: Hub, home: Path) -> None:
    home.write_bytes(b"mine")
    assert store.installed("tiny") is None and store.condition("tiny") == "none"
    for call in (lambda: store.download("tiny", nothing), lambda: store.accept(catalogue.entry("tiny-asked"))):
        assert refused(call).kind is ErrorKind.BAD_REQUEST
