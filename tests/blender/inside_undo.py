"""Every button that changes the file, pressed, taken back and brought again."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import addon_utils
import bpy
from inside import MODULE, make_job, part, turn_until, use_fake

# They follow the mouse, or read the clipboard: there is neither without a window.
NEED_WINDOW = {"region_drag", "region_resize", "paste_seed"}


def operators() -> Iterator[tuple[str, bool]]:
    """The name of each of our operators, and whether it says that it can be undone."""
    for name in dir(bpy.ops.skyloop):
        yield name, "UNDO" in getattr(bpy.types, f"SKYLOOP_OT_{name}").bl_options


def snapshot() -> dict[str, Any]:
    """All in the file that Skyloop could change."""
    found: dict[str, Any] = {}
    for scene in bpy.data.scenes:
        render, sight = scene.render, scene.view_settings
        found[f"scene {scene.name}"] = {
            "skyloop": _group(scene.skyloop),
            "world": scene.world and scene.world.name,
            "time": (scene.frame_start, scene.frame_end, render.fps, round(render.fps_base, 5)),
            "camera": scene.camera and scene.camera.name,
            "exposure": round(sight.exposure, 5),
            "objects": sorted(o.name for o in scene.objects),
        }
    for world in bpy.data.worlds:
        asset = world.asset_data.description if world.asset_data else None
        found[f"world {world.name}"] = [_group(world.skyloop), _tree(world.node_tree), world.use_fake_user, asset]
    for thing in bpy.data.objects:
        data = getattr(thing.data, "energy", None)
        found[f"object {thing.name}"] = [_group(thing.skyloop), _plain(thing.matrix_world), thing.hide_viewport, data]
    for image in bpy.data.images:
        if image.type not in ("RENDER_RESULT", "COMPOSITING"):
            found[f"image {image.name}"] = [image.filepath, image.source, tuple(image.size)]
    found["actions"] = sorted(action.name for action in bpy.data.actions)
    return found


def _group(group: Any) -> dict[str, Any]:
    names = [p.identifier for p in group.bl_rna.properties if p.identifier not in ("rna_type", "name")]
    return {name: _plain(getattr(group, name)) for name in names}


def _tree(tree: Any) -> Any:
    if tree is None:
        return None
    nodes = {}
    for node in tree.nodes:
        values = {s.identifier: _plain(s.default_value) for s in node.inputs if hasattr(s, "default_value")}
        user = getattr(node, "image_user", None)
        shown = user and [user.frame_start, user.frame_offset, user.frame_duration, user.use_cyclic]
        inner = getattr(node, "node_tree", None)
        nodes[node.name] = [values, shown, inner and inner.name]
    links = sorted((link.from_node.name, link.to_node.name, link.to_socket.identifier) for link in tree.links)
    return nodes, links


def _plain(value: Any) -> Any:
    if isinstance(value, bpy.types.PropertyGroup):
        return _group(value)
    if isinstance(value, bpy.types.ID):
        return value.name
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, str | int | bool) or value is None:
        return value
    if hasattr(value, "__iter__"):
        return [_plain(v) for v in value]
    return str(value)


Scenario = Callable[[], dict[str, Any]]


class Scenarios:
    """For each operator a method of its name: prepares what it needs, and returns what it is called with."""

    def __init__(self, args: dict[str, Any]) -> None:
        self.film, self.root, self.scene = args["film"], Path(args["root"]), bpy.context.scene
        self.job = make_job(self.film, self.root, "sunset over the sea", seed=3)

    def of(self, name: str) -> Scenario | None:
        return getattr(self, name, None)

    def _applied(self) -> dict[str, Any]:
        bpy.ops.skyloop.apply_world(job=str(self.job))
        return {}

    def _camera(self) -> dict[str, Any]:
        made = bpy.data.objects.new("Eye", bpy.data.cameras.new("Eye"))
        made.rotation_euler = (1.4, 0.0, 0.7)
        self.scene.collection.objects.link(made)
        self.scene.camera = made
        bpy.context.view_layer.update()
        return {}

    # --- the World

    def apply_world(self) -> dict[str, Any]:
        return {"job": str(self.job)}

    def recall(self) -> dict[str, Any]:
        return {"job": str(self.job)}

    restore_world = match_timeline = _applied
    front_from_camera = _camera

    def _sunny(self) -> dict[str, Any]:
        """A sky whose poster and measurements know of a sun."""
        width, height = 256, 128
        pixels = [0.3, 0.4, 0.6, 1.0] * (width * height)
        for row in range(90, 98):
            pixels[4 * (row * width + 60) : 4 * (row * width + 68)] = [1.0] * 32
        poster = bpy.data.images.new("poster", width, height)
        poster.pixels = pixels
        poster.filepath_raw, poster.file_format = str(self.job / "poster.png"), "PNG"
        poster.save()
        bpy.data.images.remove(poster)
        sun = {"yaw_deg": -90, "pitch_deg": 42, "irradiance": 2.0, "size_deg": 3, "color": [1, 1, 1]}
        (self.job / "light.json").write_text(json.dumps({"version": 1, "frames": [{"sun": sun}] * 16}))
        return self._applied()

    add_sun_lamp = check_brightness = find_sun = _sunny

    def remove_sun_lamp(self) -> dict[str, Any]:
        self._sunny()
        bpy.ops.skyloop.add_sun_lamp()
        return {}

    def match_brightness(self) -> dict[str, Any]:
        self._sunny()
        bpy.ops.skyloop.check_brightness()
        return {"by": "LIGHTING"}

    def choose_film(self) -> dict[str, Any]:
        self._applied()
        return {"filepath": str(make_job(self.film, self.root, "another", seed=4) / "sky.mp4")}

    def find_film(self) -> dict[str, Any]:
        self._applied()
        part("blender_addon.sky.world").sky_image(self.scene.world).filepath = str(self.root / "gone" / "sky.mp4")
        return {}

    def _pictures(self) -> dict[str, Any]:
        self._applied()
        folder = self.job / "frames"
        folder.mkdir()
        for number in range(1, 17):
            (folder / f"sky_{number:04d}.png").write_bytes((Path(self.film) / "poster.png").read_bytes())
        return {"folder": str(folder)}

    show_sequence = _pictures

    def show_movie(self) -> dict[str, Any]:
        bpy.ops.skyloop.show_sequence(**self._pictures())
        return {}

    # --- the request

    def use_prompt(self) -> dict[str, Any]:
        return {"prompt": "stars"}

    def choose_model(self) -> dict[str, Any]:
        return {"model": "another"}

    def choose_photo(self) -> dict[str, Any]:
        return {"filepath": str(self.job / "poster.png")}

    def add_lora(self) -> dict[str, Any]:
        return {"directory": str(self.root), "files": [{"name": "clouds.safetensors"}]}

    def _lora(self) -> dict[str, Any]:
        bpy.ops.skyloop.add_lora(**self.add_lora())
        return {}

    remove_lora = leave_out_loras = _lora

    def apply_preset(self) -> dict[str, Any]:
        return {"name": "Final"}

    def new_seed(self) -> dict[str, Any]:
        return {}

    def fix(self) -> dict[str, Any]:
        self.scene.skyloop.prompt, self.scene.skyloop.quality, self.scene.skyloop.custom_width = "sky", "CUSTOM", 1001
        return {"check": "size"}

    def start_from_prompt(self) -> dict[str, Any]:
        self.scene.skyloop.explore.source = str(self.job)
        return {}

    # --- candidates

    def _candidate(self) -> dict[str, Any]:
        folder = make_job(self.film, part("blender_addon.places").candidates_root(), "stars", seed=5)
        session = part("blender_addon.session").current()
        session.scan_history()
        turn_until(session, lambda: session._scan is None)
        return {"job": str(folder)}

    choose_candidate = show_candidate = keep_candidate = _candidate

    # --- directions

    def _looking(self) -> dict[str, Any]:
        self._camera()
        return {"prompt": "storm"}

    region_add = region_add_band = _looking

    def _regions(self, **given: Any) -> dict[str, Any]:
        self._camera()
        for prompt in ("one", "two"):
            bpy.ops.skyloop.region_add(prompt=prompt)
        return given

    region_remove = _regions

    def region_move(self) -> dict[str, Any]:
        return self._regions(direction="UP")

    def region_select(self) -> dict[str, Any]:
        self._regions()
        other = next(o for o in self.scene.objects if o.skyloop.is_region and o != bpy.context.object)
        return {"region": other.name}

    def region_point(self) -> dict[str, Any]:
        self._regions()
        self.scene.camera.rotation_euler = (1.2, 0.0, 2.0)
        return {}

    def photo_at_camera(self) -> dict[str, Any]:
        self._camera()
        self.scene.skyloop.direct.photo = str(Path(self.film) / "poster.png")
        return {}

    def _painting(self) -> dict[str, Any]:
        self._applied()
        bpy.ops.skyloop.paint_mask(kind="EDIT")
        return {}

    paint_done = paint_discard = _painting

    def paint_mask(self) -> dict[str, Any]:
        self._applied()
        return {"kind": "EDIT"}

    def mask_remove(self) -> dict[str, Any]:
        self._painting()
        bpy.ops.skyloop.paint_done()
        return {"kind": "EDIT"}


def there_and_back(args: dict[str, Any]) -> Any:
    """What each operator did, and whether undo and redo give exactly what was before and after."""
    addon_utils.enable(MODULE, default_set=True)
    root = Path(args["root"])
    bpy.context.preferences.addons[MODULE].preferences.output_folder = str(root)
    found: dict[str, Any] = {}
    for name in sorted(n for n, undo in operators() if undo and n not in NEED_WINDOW):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        addon_utils.enable(MODULE, default_set=True)
        bpy.context.preferences.addons[MODULE].preferences.output_folder = str(root)
        bpy.context.scene.world = bpy.data.worlds.new("Mine")
        use_fake(args["film"], "ok")
        prepare = Scenarios(args).of(name)
        if prepare is None:
            found[name] = "no scenario"
            continue
        given = prepare()
        bpy.context.view_layer.update()
        bpy.ops.ed.undo_push(message="before")
        before = snapshot()
        getattr(bpy.ops.skyloop, name)("EXEC_DEFAULT", True, **given)
        bpy.context.view_layer.update()
        after = snapshot()
        bpy.ops.ed.undo()
        back = snapshot()
        bpy.ops.ed.redo()
        again = snapshot()
        found[name] = {
            "changed": _differences(before, after),
            "undo": _differences(before, back),
            "redo": _differences(after, again),
        }
        part("blender_addon.session").current().close()
    return found


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [f"{k}: {one.get(k)} | {other.get(k)}" for k in sorted({*one, *other}) if one.get(k) != other.get(k)]
