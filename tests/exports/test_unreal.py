"""Unreal, without Unreal: the editor script runs against the stub of its API, and its UV formula is evaluated."""

from __future__ import annotations

import ast
import json
import math
import runpy
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.exports import unreal as target
from backend.exports.orientation import wrapped
from backend.exports.request import ExportRequest
from backend.exports.run import export
from backend.media.reading import read_frames
from tests import calibration
from tests.exports.unreal_stub import Thing, Unreal

PLUGINS = frozenset({"MediaPlayerEditor", "EditorScriptingUtilities"})  # the first is on by default


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unreal") / "Night Sky!"
    folder.mkdir()
    return calibration.write(folder / "sky.mp4", frames=6, width=512)


def exported(film: Path, out: Path, facing: str = "forward", front_deg: float = 0, *, prerotate: bool = False) -> Path:
    request = ExportRequest(
        source=str(film), target="unreal", out=str(out), facing=facing, front_deg=front_deg, prerotate=prerotate
    )
    for _ in export(request):
        pass
    return out


class Project:
    """An Unreal project with assets and a level, as far as the script touches them."""

    def __init__(self, folder: Path, plugins: frozenset[str] = PLUGINS) -> None:
        self.assets = dict[str, Thing]()
        self.actors = list[Thing]()
        self.expressions = list[Thing]()
        self.wires = list[tuple[Thing, Any, str]]()
        self.unreal = Unreal(
            {
                "EditorAssetSubsystem.does_asset_exist": lambda _, path: path in self.assets,
                "EditorAssetSubsystem.load_asset": lambda _, path: self._load(path),
                "AssetToolsHelpers.get_asset_tools": lambda _: self.unreal.AssetTools(),
                "AssetTools.create_asset": self._create,
                "Paths.project_content_dir": lambda _: str(folder / "Content") + "/",
                "Paths.convert_relative_path_to_full": lambda _, path: path,
                "get_editor_subsystem": lambda kind: kind(),
                "EditorActorSubsystem.get_all_level_actors": lambda _: list(self.actors),
                "EditorActorSubsystem.spawn_actor_from_class": self._spawn,
                "Actor.get_actor_label": lambda actor: actor.label,
                "Actor.set_actor_label": lambda actor, label: setattr(actor, "label", label),
                "StaticMeshActor.static_mesh_component": lambda actor: actor.component,
                "SkyLight.light_component": lambda actor: actor.component,
                "MaterialEditingLibrary.delete_all_material_expressions": lambda *_: self._clear(),
                "MaterialEditingLibrary.create_material_expression": self._expression,
                "MaterialEditingLibrary.connect_material_expressions": self._connect,
                "MaterialEditingLibrary.connect_material_property": lambda _, a, out, to: self._connect(
                    _, a, out, to, ""
                ),
            },
            plugins,
        )

    def run(self, script: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """Execute the script as the editor does; returns what its message says."""
        monkeypatch.setitem(sys.modules, "unreal", self.unreal)
        runpy.run_path(str(script), run_name="__main__")
        said = [values for name, _, values in self.unreal.calls if name == "log"][-1]
        shown = [values[1].values for name, _, values in self.unreal.calls if name == "EditorDialog.show_message"]
        assert "EditorScriptingUtilities" not in self.unreal.plugins or shown[-1] == said
        return said[0]

    def _load(self, path: str) -> Thing:
        return self.unreal.StaticMesh() if path.startswith("/Engine/") else self.assets[path]

    def _create(self, _: Thing, name: str, folder: str, kind: type[Thing], factory: Thing) -> Thing:
        assert type(factory).__name__ == f"{kind.__name__}FactoryNew"
        assert f"{folder}/{name}" not in self.assets
        self.assets[f"{folder}/{name}"] = made = kind()
        return made

    def _spawn(self, _: Thing, kind: type[Thing], place: Thing) -> Thing:
        made: Any = kind()
        components = {"StaticMeshActor": "StaticMeshComponent", "SkyLight": "SkyLightComponent"}
        made.label, made.component = "", getattr(self.unreal, components[kind.__name__])()
        self.actors.append(made)
        return made

    def _clear(self) -> None:
        self.expressions, self.wires = [], []

    def _expression(self, _: type, material: Thing, kind: type[Thing], x: int, y: int) -> Thing:
        self.expressions.append(kind())
        return self.expressions[-1]

    def _connect(self, _: type, source: Thing, output: str, to: Any, name: str = "") -> bool:
        assert source in self.expressions and output == ""
        self.wires.append((source, to, name))
        return True


@pytest.fixture(scope="module")
def built(film: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Path, str]:
    folder = tmp_path_factory.mktemp("project")
    out = exported(film, folder / "export", "blender", 30.0)
    project = Project(folder)
    with pytest.MonkeyPatch.context() as patch:
        said = project.run(out / "import_skyloop.py", patch)
    return project, folder, said


def test_the_export_is_a_film_a_script_and_its_numbers(film: Path, tmp_path: Path) -> None:
    out = exported(film, tmp_path / "out")
    assert {path.name for path in out.iterdir()} == {
        "sky.mp4", "import_skyloop.py", "skyloop.json", "README.txt", "skyloop-export.json"
    }  # fmt: skip
    assert json.loads((out / "skyloop.json").read_text(encoding="utf-8")) == {"name": "night_sky", "yaw": 0}
    frames = list(read_frames(out / "sky.mp4"))
    assert [calibration.number_in(calibration.on_frame(frame)) for frame in frames] == list(range(6))
    assert max(calibration.color_errors(calibration.on_frame(frames[0])).values()) <= 3


def test_it_builds_what_plays_the_film(built: tuple[Project, Path, str]) -> None:
    project, folder, said = built
    film = folder / "Content/Movies/Skyloop/night_sky/sky.mp4"
    assert film.read_bytes() == (folder / "export/sky.mp4").read_bytes()
    home = "/Game/Skyloop/night_sky"
    assert project.assets.keys() == {f"{home}/Sky{kind}" for kind in ("Player", "Source", "Texture", "Material")}
    player, source = project.assets[f"{home}/SkyPlayer"], project.assets[f"{home}/SkySource"]
    assert player.properties == {"loop": True, "play_on_open": True, "affected_by_pie_handling": False}
    assert source.properties == {"precache_file": True}
    assert ("FileMediaSource.set_file_path", source, (film.as_posix(),)) in project.unreal.calls
    assert project.unreal.calls.index(("MediaPlayer.open_source", player, (source,))) > 0
    assert project.assets[f"{home}/SkyTexture"].properties["media_player"] is player
    assert "BeginPlay" in said and "SkySource" in said and home in said


def test_the_material_leads_from_the_direction_to_the_light(built: tuple[Project, Path, str]) -> None:
    project = built[0]
    assert project.assets["/Game/Skyloop/night_sky/SkyMaterial"].properties == {
        "shading_model": "MaterialShadingModel.MSM_UNLIT", "is_sky": True, "two_sided": True
    }  # fmt: skip
    wires = {(type(a).__name__, getattr(type(b), "__name__", "") if isinstance(b, Thing) else b, name)
             for a, b, name in project.wires}  # fmt: skip
    short = {tuple(str(part).removeprefix("MaterialExpression") for part in wire) for wire in wires}
    assert short == {
        ("CameraVectorWS", "Custom", "V"),
        ("ScalarParameter", "Custom", "Yaw"),
        ("Custom", "TextureSample", ""),
        ("TextureSample", "Multiply", "A"),
        ("ScalarParameter", "Multiply", "B"),
        ("Multiply", "MaterialProperty.MP_EMISSIVE_COLOR", ""),
    }
    (custom,) = [node for node in project.expressions if type(node).__name__.endswith("Custom")]
    assert [put.properties["input_name"] for put in custom.properties["inputs"]] == ["V", "Yaw"]


def test_a_dome_and_a_light_that_follows(built: tuple[Project, Path, str]) -> None:
    dome, light = built[0].actors
    assert (type(dome).__name__, type(light).__name__) == ("StaticMeshActor", "SkyLight")
    material = built[0].assets["/Game/Skyloop/night_sky/SkyMaterial"]
    assert ("PrimitiveComponent.set_material", dome.component, (0, material)) in built[0].unreal.calls  # type: ignore[attr-defined]
    assert light.component.properties["real_time_capture"] is True  # type: ignore[attr-defined]


def test_running_it_again_adds_nothing_twice(built: tuple[Project, Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    project, folder, _ = built
    before = (set(project.assets), len(project.actors), len(project.expressions), len(project.wires))
    project.run(folder / "export/import_skyloop.py", monkeypatch)
    assert (set(project.assets), len(project.actors), len(project.expressions), len(project.wires)) == before


def test_it_needs_no_plugin_that_is_off_by_default(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path, frozenset({"MediaPlayerEditor"}))
    said = project.run(exported(film, tmp_path / "out") / "import_skyloop.py", monkeypatch)
    assert "BeginPlay" in said and len(project.actors) == 2


def test_it_is_written_for_the_python_of_unreal_5_3() -> None:
    ast.parse((target.FILES / target.SCRIPT).read_text(encoding="utf-8"), feature_version=(3, 9))


def test_a_script_without_its_film_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "import_skyloop.py"
    script.write_bytes((target.FILES / script.name).read_bytes())
    project = Project(tmp_path)
    assert project.run(script, monkeypatch).startswith("sky.mp4 is not beside")
    assert not project.assets


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("precache_file", "precache_files"),
        ("MSM_UNLIT", "MSM_UNLITE"),
        ("MediaTextureFactoryNew", "MediaTextureFactory"),
        ("set_cast_shadow(False)", "set_cast_shadow()"),
        ("set_mobility", "set_mobilty"),
    ],
)
def test_the_stub_finds_what_is_not_in_unreal(
    built: tuple[Project, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str
) -> None:
    for path in (built[1] / "export").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    script = tmp_path / "import_skyloop.py"
    text = script.read_text(encoding="utf-8")
    assert right in text
    script.write_text(text.replace(right, wrong), encoding="utf-8")
    with pytest.raises((AttributeError, TypeError), match=wrong.split("(")[0]):
        Project(tmp_path).run(script, monkeypatch)


@pytest.mark.parametrize(
    ("wanted", "front_deg", "prerotate"),
    [("forward", 0.0, False), ("forward", 0.0, True), ("blender", 30.0, False), ("blender", -100.0, True)],
)
def test_the_material_shows_it_the_right_way_round(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, front_deg: float, prerotate: bool
) -> None:
    """By the code of the material's own node, line by line, and the Yaw that the script gives it. Unreal looks along
    +X, has +Y at its right, and imports glTF's -Z, which is Blender's +Y, as -Y."""
    out = exported(film, tmp_path / "out", wanted, front_deg, prerotate=prerotate)
    project = Project(tmp_path)
    project.run(out / "import_skyloop.py", monkeypatch)
    nodes = [node.properties for node in project.expressions]
    code = next(node["code"] for node in nodes if "code" in node)
    yaw_deg = next(node["default_value"] for node in nodes if node.get("parameter_name") == "Yaw")
    sample = calibration.on_frame(next(iter(read_frames(out / "sky.mp4"))))

    def seen(yaw: float, pitch: float) -> np.ndarray:
        level = math.cos(math.radians(pitch))
        looks = (
            level * math.cos(math.radians(yaw)),
            level * math.sin(math.radians(yaw)),
            math.sin(math.radians(pitch)),
        )
        u, v = evaluated(code, V=-np.array(looks), Yaw=yaw_deg)
        assert 0 <= u < 1
        return sample(u * 360 - 180, 90 - v * 180)

    turned = wrapped(-90 + front_deg) if wanted == "blender" else 0.0
    assert max(calibration.color_errors(seen, turned_deg=turned).values()) <= 4


def evaluated(code: str, **inputs: Any) -> tuple[float, float]:
    """What an HLSL snippet of declarations and a return gives."""

    class Float3(types.SimpleNamespace):
        def __neg__(self) -> Float3:
            return Float3(x=-self.x, y=-self.y, z=-self.z)

    known = {
        "normalize": lambda v: Float3(x=v[0], y=v[1], z=v[2]),
        "atan2": math.atan2,
        "acos": math.acos,
        "clamp": lambda value, low, high: min(max(value, low), high),
        "frac": lambda value: value - math.floor(value),
        "float2": lambda u, v: (u, v),
    }
    names: dict[str, Any] = known | inputs
    for line in code.splitlines():
        statement = line.strip().removesuffix(";")
        if statement.startswith("return "):
            return eval(statement.removeprefix("return "), names)  # noqa: S307  # our own file's
        kind, _, rest = statement.partition(" ")
        assert kind in ("float", "float3")
        exec(rest, names)  # noqa: S102  # our own file's
    raise AssertionError("it returns nothing")
