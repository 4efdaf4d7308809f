"""Scenarios of steering: regions, the photo, the camera, masks."""

import math
from pathlib import Path
from typing import Any

import addon_utils
import bpy
from inside import MODULE, part
from mathutils import Euler, Vector


def _request(scene: bpy.types.Scene) -> Any:
    return part("blender_addon.create.request").request_of(scene, device="cpu")


def _camera(location: tuple[float, float, float] = (0, 0, 0), **angles_deg: float) -> bpy.types.Object:
    """An active camera that looks to a yaw and pitch, rolled clockwise."""
    camera = bpy.data.objects.new("Cam", bpy.data.cameras.new("Cam"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    _aim(camera, **angles_deg)
    camera.location = location
    bpy.context.view_layer.update()
    return camera


def _aim(camera: bpy.types.Object, yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> None:
    yaw, pitch, roll = (math.radians(a) for a in (yaw_deg, pitch_deg, roll_deg))
    turn = Euler((math.pi / 2 + pitch, 0, -yaw)).to_matrix() @ Euler((0, 0, -roll)).to_matrix()
    camera.rotation_euler = turn.to_euler("XYZ", camera.rotation_euler)


def _regions() -> list[list[Any]]:
    bpy.context.view_layer.update()
    found = part("blender_addon.direct.request").conditions(bpy.context.scene).get("regions", ())
    return [[r.yaw_deg, r.pitch_deg, r.radius_deg, r.prompt] for r in found]


def placed(args: dict[str, Any]) -> Any:
    """Regions at known places, as a request says them when the sky's front is elsewhere."""
    addon_utils.enable(MODULE, default_set=True)
    scene, found = bpy.context.scene, {}
    for name, location in args["places"].items():
        _camera()
        bpy.ops.skyloop.region_add(prompt=name, radius_deg=20)
        bpy.context.object.location = location
    bpy.ops.skyloop.region_add_band(prompt="stars", from_deg=50, to_deg=90)
    bpy.ops.skyloop.region_add_band(prompt="mist", from_deg=-10, to_deg=10)
    for front in args["fronts"]:
        scene.skyloop.front_deg = front
        found[str(front)] = _regions()
    seen_from = bpy.data.objects.new("Eye", None)
    scene.collection.objects.link(seen_from)
    seen_from.location = (0, -5, 0)
    scene.skyloop.front_deg, scene.skyloop.direct.centre = 0.0, seen_from
    found["seen_from"] = _regions()
    scene.skyloop.prompt = "sky"
    found["problems"] = _request(scene).problems()
    return found


def looked(args: dict[str, Any]) -> Any:
    """Where a new region goes for each way the camera looks."""
    addon_utils.enable(MODULE, default_set=True)
    found = []
    for yaw, pitch, roll in args["looks"]:
        _camera((3, 4, 5), yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
        bpy.ops.skyloop.region_add(prompt="here")
        found.append(_regions()[-1][:2])
    return found


def handled(args: dict[str, Any]) -> Any:
    """What users do to regions: copy, order, rename, switch off, remove, undo, redo."""
    addon_utils.enable(MODULE, default_set=True)
    _camera()
    bpy.ops.ed.undo_push(message="start")

    def names() -> list[str]:
        return [r[3] for r in _regions()]

    found: dict[str, Any] = {}
    for prompt in ("a", "b", "c"):
        bpy.ops.skyloop.region_add("EXEC_DEFAULT", True, prompt=prompt)
    found["added"] = names()
    bpy.ops.ed.undo()
    found["undone"] = names()
    bpy.ops.ed.redo()
    found["redone"] = names()
    scene = bpy.context.scene
    regions = part("blender_addon.direct.regions")
    by_prompt = {thing.skyloop.prompt: thing for thing in regions.of_scene(scene)}
    bpy.ops.skyloop.region_move(region=by_prompt["c"].name, direction="UP")
    found["moved"] = names()
    bpy.ops.skyloop.region_select(region=by_prompt["b"].name)
    found["active"] = bpy.context.object.skyloop.prompt
    bpy.ops.object.duplicate()
    bpy.context.object.skyloop.prompt = "copy of b"
    bpy.context.object.name = "Anything"
    found["copied"] = names()
    bpy.context.object.skyloop.enabled = False
    found["off"] = names()
    scene.skyloop.direct.region_index = scene.objects.find(by_prompt["a"].name)
    found["index"] = bpy.context.object.skyloop.prompt
    bpy.ops.skyloop.region_drag(yaw_deg=90, pitch_deg=30)
    bpy.ops.skyloop.region_resize(radius_deg=12)
    found["dragged"] = _regions()[0]
    bpy.ops.skyloop.region_remove()
    found["removed"] = names()
    found["next"] = bpy.context.object.skyloop.prompt
    bpy.data.objects.remove(by_prompt["b"])
    found["deleted by hand"] = names()
    return found


def wrong(args: dict[str, Any]) -> Any:
    """What can be wrong with regions, the camera and the photo, and what is said."""
    from layout import drawn

    addon_utils.enable(MODULE, default_set=True)
    scene = bpy.context.scene
    for thing in [t for t in scene.objects if t.type == "CAMERA"]:
        bpy.data.objects.remove(thing)
    steering = part("blender_addon.direct.request")
    found: dict[str, Any] = {}

    def refusal(name: str, **arguments: Any) -> str:
        try:
            getattr(bpy.ops.skyloop, name)(**arguments)
        except RuntimeError as error:
            return str(error).strip()
        return ""

    scene.skyloop.direct.only_camera = True
    found["no camera"] = [steering.problems(scene), refusal("region_add"), refusal("photo_at_camera")]
    camera = _camera()
    camera.data.type = "PANO"
    found["panoramic"] = steering.problems(scene)
    camera.data.type = "PERSP"
    scene.skyloop.direct.only_camera = False
    bpy.ops.skyloop.region_add()
    found["empty"] = steering.problems(scene)
    found["panel"] = drawn(bpy.types.SKYLOOP_PT_directions, bpy.context)
    bpy.context.object.location = (0, 0, 0)
    bpy.context.view_layer.update()
    found["centre"] = [steering.problems(scene), _regions()]
    bpy.context.object.skyloop.enabled = False
    found["off"] = steering.problems(scene)
    found["thin"] = refusal("region_add_band", from_deg=10, to_deg=11)
    scene.skyloop.direct.photo = str(Path(args["root"]) / "no such.png")
    found["no photo"] = scene.skyloop.direct.photo_problem
    text = Path(args["root"]) / "text.png"
    text.write_text("hello", encoding="utf-8")
    scene.skyloop.direct.photo = str(text)
    found["no picture"] = scene.skyloop.direct.photo_problem
    scene.skyloop.direct.photo = args["picture"]
    found["a picture"] = [scene.skyloop.direct.photo_problem, scene.skyloop.direct.photo_kind]
    _aim(camera, roll_deg=10)
    bpy.context.view_layer.update()
    found["rolled"] = refusal("photo_at_camera")
    bpy.context.view_layer.objects.active = None
    found["none active"] = refusal("region_remove")
    return found


def photo(args: dict[str, Any]) -> Any:
    """A photo at the camera: its direction and field of view in the request, for each front."""
    addon_utils.enable(MODULE, default_set=True)
    scene = bpy.context.scene
    camera = _camera(yaw_deg=70, pitch_deg=12)
    camera.data.angle = math.radians(50)
    scene.render.resolution_x, scene.render.resolution_y = 1000, 500
    image = bpy.data.images.load(args["picture"])
    camera.data.background_images.new().image = image
    assert bpy.ops.skyloop.photo_at_camera() == {"FINISHED"}
    conditions = part("blender_addon.direct.request").conditions
    found = {"0": conditions(scene)}
    scene.skyloop.front_deg = 100
    found["100"] = conditions(scene)
    scene.skyloop.direct.photo_kind = "SKY"
    found["sky"] = conditions(scene)
    return found


def shot(args: dict[str, Any]) -> Any:
    """The keys of a shot, and for some of its frames the sky's directions of the picture's corners and middle by
    Blender's own projection."""
    from bpy_extras import object_utils

    addon_utils.enable(MODULE, default_set=True)
    scene, camera = bpy.context.scene, _camera((5, 6, 7))
    scene.frame_start, scene.frame_end = args["range"]
    scene.skyloop.frames, scene.skyloop.loop = 16, args.get("loop", True)
    for owner, values in ((scene.render, args.get("render", {})), (camera.data, args.get("camera", {}))):
        for name, value in values.items():
            setattr(owner, name, value)
    scene.skyloop.front_deg = args["front_deg"]
    for frame, angles in args["keys"]:
        _aim(camera, *angles)
        camera.keyframe_insert("rotation_euler", frame=frame)
    if "parent_turn_deg" in args:  # nothing of it is linked to the scene
        camera.parent = bpy.data.objects.new("Mount", None)
        camera.parent.rotation_euler.z = -math.radians(args["parent_turn_deg"])
    scene.frame_set(args["range"][0] + 1)
    camera.location.x = 55.5  # changed, but not keyed
    camera.keyframe_insert("location", frame=1)
    camera.location.x = 66.6
    before = [camera.location.x, scene.frame_current, len(bpy.data.scenes)]
    scene.skyloop.prompt, scene.skyloop.direct.only_camera = "sky", True
    fields = part("blender_addon.direct.request").prepare(scene, Path(args["root"]))
    after = [camera.location.x, scene.frame_current, len(bpy.data.scenes)]
    keys = [vars(key) for key in fields["camera"]]
    corners = []
    for frame in args["look_at"]:
        scene.frame_set(frame)
        turn, seen = camera.matrix_world.copy(), []
        for x, y in ((0.5, 0.5), (0, 0), (1, 0), (0, 1), (1, 1)):
            frame_points = [turn @ p for p in camera.data.view_frame(scene=scene)]
            right, low = frame_points[1] - frame_points[2], frame_points[3] - frame_points[2]
            at = frame_points[2] + x * right + y * low
            projected = object_utils.world_to_camera_view(scene, camera, at)
            assert abs(projected.x - x) < 1e-4 and abs(projected.y - y) < 1e-4, (projected, x, y)
            seen.append([x, y, *(at - turn.translation).normalized()])
        corners.append({"frame": frame, "seen": seen})
    import dataclasses

    request = dataclasses.replace(_request(scene), **fields)
    return {
        "keys": keys,
        "corners": corners,
        "before": before,
        "after": after,
        "problems": request.problems(),
        "share": scene.skyloop.direct.camera_share,
    }


def _seen_at(sphere: bpy.types.Object, yaw_deg: float, pitch_deg: float) -> tuple[float, float]:
    """The mask's coordinates (u, v) that somebody in the sphere's middle sees in a direction of the world."""
    from mathutils import geometry

    ahead = Vector(part("blender_addon.core.directions").direction(yaw_deg, pitch_deg))
    local = sphere.matrix_world.to_3x3().inverted() @ ahead
    hit, at, normal, index = sphere.ray_cast((0, 0, 0), local)
    assert hit and normal.dot(local) < 0, "its faces look inward, so that they can be painted"
    mesh = sphere.data
    loops = list(mesh.polygons[index].loop_indices)
    for a, b in zip(loops[1:], loops[2:], strict=False):
        corners = [mesh.vertices[mesh.loops[i].vertex_index].co for i in (loops[0], a, b)]
        flat = [Vector((*mesh.uv_layers.active.data[i].uv, 0)) for i in (loops[0], a, b)]
        found = geometry.barycentric_transform(at, *corners, *flat)
        if all(min(c[k] for c in flat) - 1e-4 <= found[k] <= max(c[k] for c in flat) + 1e-4 for k in (0, 1)):
            return found.x, found.y
    raise AssertionError("no corner is near")


def _paint(image: bpy.types.Image, u: float, v: float, radius: float = 0.03) -> None:
    """A square of white, as a brush leaves it."""
    width, height = image.size
    pixels = list(image.pixels)
    for y in range(int((v - radius) * height), int((v + radius) * height)):
        for x in range(int((u - radius / 2) * width), int((u + radius / 2) * width)):
            start = (y * width + x % width) * image.channels
            pixels[start : start + 3] = (1.0, 1.0, 1.0)
    image.pixels = pixels
    image.update()


def _jobs(root: Path) -> list[dict[str, Any]]:
    import json

    found = sorted(root.glob("*/request.json"), key=lambda f: f.stat().st_mtime_ns)
    return [json.loads(f.read_text(encoding="utf-8")) for f in found]


def painted(args: dict[str, Any]) -> Any:
    """Masks painted at known directions of the world, and what is asked of the backend for them."""
    from inside import make_job, turn_until, use_fake

    addon_utils.enable(MODULE, default_set=True)
    session = use_fake(args["film"], "ok")
    root = Path(args["root"])
    bpy.context.preferences.addons[MODULE].preferences.output_folder = str(root)
    scene = bpy.context.scene
    scene.skyloop.front_deg = args["front_deg"]
    source = Path(args["source"]) if args.get("source") else make_job(args["film"], root)
    bpy.ops.skyloop.apply_world(job=str(source))
    bpy.ops.skyloop.paint_mask(kind="EDIT")
    sphere = part("blender_addon.direct.painting").sphere_of(scene)
    bpy.context.view_layer.update()
    at = _seen_at(sphere, *args["direction"])
    _paint(scene.skyloop.direct.edit_mask, *at, radius=args.get("radius", 0.03))
    bpy.ops.skyloop.paint_done()
    scene.skyloop.auto_apply = False
    assert bpy.ops.skyloop.reroll_painted() == {"FINISHED"}
    scene.skyloop.direct.edit_prompt = args.get("prompt", "full moon")
    assert bpy.ops.skyloop.edit_painted() == {"FINISHED"}
    _camera(yaw_deg=args["direction"][0], pitch_deg=args["direction"][1])
    assert bpy.ops.skyloop.reroll_view(radius_deg=20) == {"FINISHED"}
    turn_until(session, lambda: len(session.queue.waiting) >= 0 and not session.busy)
    session.close()
    return {"uv": at, "source": str(source), "requests": _jobs(root)[-3:]}


def plays_alike(args: dict[str, Any]) -> Any:
    """What is seen overhead in the World, and on the sphere that is painted on; ``runs`` are [speed, backwards]."""
    import inside_sky

    scene, found = inside_sky.begin(), []
    inside_sky.use(scene, "CYCLES")
    scene.view_settings.view_transform = "Standard"
    sky, painting = inside_sky.apply(args, scene), part("blender_addon.direct.painting")
    for speed, reverse in args["runs"]:
        sky.skyloop.speed, sky.skyloop.reverse, sky.skyloop.frame_offset = speed, reverse, 3
        bpy.ops.skyloop.paint_mask(kind="EDIT")
        painting.sphere_of(scene).hide_render = False
        colours = []
        for place in ((0.0, 0.0, 0.0), painting.PLACE):
            scene.camera.location = place
            colours.append([inside_sky.seen(scene, args["answer"], 0.0, 80.0, frame) for frame in args["frames"]])
        found.append(colours)
        bpy.ops.skyloop.paint_done()
    return found


def paint_and_leave(args: dict[str, Any]) -> Any:
    """Into painting from another mode and out again, kept and discarded, saved, undone."""
    from inside import make_job, use_fake

    addon_utils.enable(MODULE, default_set=True)
    session = use_fake(args["film"], "ok")
    scene, root, found = bpy.context.scene, Path(args["root"]), {}
    cube, other = scene.objects["Cube"], scene.objects["Light"]
    other.select_set(True)
    bpy.context.view_layer.objects.active = cube
    bpy.ops.object.mode_set(mode="EDIT")
    names = [{d.name for d in data} for data in (bpy.data.objects, bpy.data.meshes, bpy.data.materials)]

    def refusal(name: str, **arguments: Any) -> str:
        try:
            getattr(bpy.ops.skyloop, name)(**arguments)
        except RuntimeError as error:
            return str(error).strip()
        return ""

    def now() -> dict[str, Any]:
        scene = bpy.context.scene
        mask = scene.skyloop.direct.edit_mask
        return {
            "object": bpy.context.object.name,
            "mode": bpy.context.mode,
            "selected": sorted(t.name for t in bpy.context.selected_objects),
            "left": [
                sorted({d.name for d in data} - before)
                for data, before in zip((bpy.data.objects, bpy.data.meshes, bpy.data.materials), names, strict=True)
            ],
            "painting": scene.skyloop.direct.painting,
            "painted": bool(mask) and max(list(mask.pixels)[0::4]) > 0.5,
            "kept": "skyloop_painting" in bpy.context.window_manager,
        }

    found["no sky"] = refusal("paint_mask", kind="EDIT")
    found["before"] = now()
    bpy.ops.skyloop.apply_world(job=str(make_job(args["film"], root)))
    bpy.ops.skyloop.paint_mask(kind="EDIT")
    found["painting"] = now()
    found["twice"] = refusal("paint_mask", kind="EDIT")
    bpy.ops.skyloop.paint_done()
    found["nothing painted"] = refusal("reroll_painted")
    bpy.ops.skyloop.paint_mask(kind="EDIT")
    _paint(scene.skyloop.direct.edit_mask, 0.5, 0.5)
    bpy.ops.skyloop.paint_discard()
    found["discarded"] = now()
    bpy.ops.skyloop.paint_mask(kind="EDIT")
    _paint(scene.skyloop.direct.edit_mask, 0.5, 0.5)
    bpy.ops.skyloop.paint_done()
    found["done"] = now()
    _paint(scene.skyloop.direct.edit_mask, 0.2, 0.5)  # in the Image Editor, and saved without a thought
    bpy.ops.wm.save_as_mainfile(filepath=str(root / "painted.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(root / "painted.blend"))
    mask = bpy.context.scene.skyloop.direct.edit_mask
    pixels, (width, height) = mask.pixels[:], mask.size
    found["saved"] = [pixels[4 * (height // 2 * width + round(u * width))] for u in (0.2, 0.5, 0.8)]
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.ed.undo_push(message="start")
    bpy.ops.skyloop.paint_mask("EXEC_DEFAULT", True, kind="MOTION")
    bpy.ops.ed.undo()
    found["undone"] = now()
    bpy.ops.ed.redo()
    found["redone"] = now()
    bpy.ops.skyloop.paint_done("EXEC_DEFAULT", True)
    found["done again"] = now()
    import shutil

    shutil.rmtree(bpy.context.scene.world.skyloop.job)
    found["source gone"] = refusal("reroll_painted")
    bpy.ops.skyloop.restore_world()
    found["no sky any more"] = refusal("reroll_painted")
    session.close()
    return found


def motion(args: dict[str, Any]) -> Any:
    """How much moves where, in what is asked for."""
    addon_utils.enable(MODULE, default_set=True)
    scene, root = bpy.context.scene, Path(args["root"])
    steering, masks = part("blender_addon.direct.request"), part("blender_addon.direct.masks")
    direct, found = scene.skyloop.direct, {}
    direct.motion = 0.5
    found["half"] = [steering.conditions(scene), steering.prepare(scene, root)]
    masks.ensure(scene, "MOTION")
    try:
        steering.prepare(scene, root)
    except part("backend.protocol").SkyloopError as error:
        found["empty"] = error.line
    _paint(direct.motion_mask, 0.25, 0.75, 0.1)
    found["moves"] = steering.prepare(scene, root)
    direct.motion_painted = "STILL"
    found["still"] = steering.prepare(scene, root)
    direct.motion = 0.0
    found["none"] = steering.prepare(scene, root)
    bpy.ops.skyloop.mask_remove(kind="MOTION")
    found["left"] = [image.name for image in bpy.data.images]
    return found


def compare(args: dict[str, Any]) -> Any:
    """What of a sky is rendered in directions of the world: for each job the colours."""
    addon_utils.enable(MODULE, default_set=True)
    scene = bpy.context.scene
    camera = _camera()
    camera.data.angle = math.radians(6.0)
    for thing in [t for t in scene.objects if t != camera]:
        bpy.data.objects.remove(thing)
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 4, False
    scene.render.resolution_x = scene.render.resolution_y = 8
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform, scene.render.dither_intensity = "Standard", 0.0
    scene.skyloop.front_deg = args["front_deg"]
    found = []
    for number, job in enumerate(args["jobs"]):
        bpy.ops.skyloop.apply_world(job=job)
        colours = []
        for yaw, pitch in args["directions"]:
            _aim(camera, yaw, pitch)
            scene.render.filepath = str(Path(args["answer"]).with_name(f"part{number}.png"))
            bpy.ops.render.render(write_still=True)
            image = bpy.data.images.load(scene.render.filepath)
            image.colorspace_settings.name = "Non-Color"
            pixels = list(image.pixels)
            colours.append([255 * sum(pixels[c::4]) / 64 for c in range(3)])
            bpy.data.images.remove(image)
        found.append(colours)
    return found


def elsewhere(args: dict[str, Any]) -> Any:
    """Regions in two scenes, of a linked file, keyed, parented and constrained."""
    addon_utils.enable(MODULE, default_set=True)
    _camera()
    root, scene = Path(args["root"]), bpy.context.scene
    steering, regions = part("blender_addon.direct.request"), part("blender_addon.direct.regions")
    bpy.ops.skyloop.region_add(prompt="from the library")
    bpy.ops.wm.save_as_mainfile(filepath=str(root / "library.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    scene, found = bpy.context.scene, {}
    with bpy.data.libraries.load(str(root / "library.blend"), link=True) as (there, here):
        here.objects = [name for name in there.objects if name.startswith("Sky Region")]
    linked = here.objects[0]
    scene.collection.objects.link(linked)
    _camera()
    bpy.ops.skyloop.region_add(prompt="keyed")
    keyed = bpy.context.object
    for frame, x in ((1, 0.0), (11, 50.0)):
        keyed.location.x = x
        keyed.keyframe_insert("location", frame=frame)
    scene.frame_set(11)
    found["linked and keyed"] = _regions()
    errors = []
    for name in ("region_remove", "region_drag"):
        try:
            getattr(bpy.ops.skyloop, name)(region=linked.name)
        except RuntimeError as error:
            errors.append(str(error).strip())
    found["errors"] = errors
    target = bpy.data.objects.new("Target", None)
    scene.collection.objects.link(target)
    target.location = (-30, 0, 0)
    keyed.constraints.new("COPY_LOCATION").target = target
    found["constrained"] = _regions()[-1]
    other = bpy.data.scenes.new("Other")
    found["other scene"] = steering.conditions(other)
    with bpy.context.temp_override(scene=other, view_layer=other.view_layers[0]):
        other.camera = scene.camera
        bpy.ops.skyloop.region_add(prompt="of the other")
    found["other's own"] = [r.prompt for r in steering.conditions(other)["regions"]]
    found["still"] = [r[3] for r in _regions()]
    found["names"] = [thing.name for thing in regions.of_scene(other)]
    return found


def switched_off(args: dict[str, Any]) -> Any:
    """What is left of us in Blender's handlers when the add-on is disabled, also in the middle of painting."""
    from inside import make_job

    addon_utils.enable(MODULE, default_set=True)
    handlers = bpy.app.handlers

    def ours() -> list[str]:
        lists = (handlers.save_pre, handlers.undo_post, handlers.redo_post)
        found = [f.__name__ for each in lists for f in each if f.__module__.startswith("bl_ext")]
        header = getattr(bpy.types.VIEW3D_HT_header.draw, "_draw_funcs", [])
        return found + [f.__name__ for f in header if f.__module__.startswith("bl_ext")]

    overlay = part("blender_addon.direct.overlay")
    found = {"on": ours(), "drawn": len(overlay._handles)}
    bpy.ops.skyloop.apply_world(job=str(make_job(args["film"], Path(args["root"]))))
    bpy.ops.skyloop.paint_mask(kind="EDIT")
    addon_utils.disable(MODULE)
    found |= {"off": ours(), "left drawn": len(overlay._handles)}
    addon_utils.enable(MODULE)
    found["done"] = list(bpy.ops.skyloop.paint_done())
    found["mode"] = bpy.context.mode
    return found


def panels(args: dict[str, Any]) -> Any:
    """What the panels say when there is a region, a photo, a mask and a camera."""
    from inside import make_job, use_fake
    from layout import drawn

    addon_utils.enable(MODULE, default_set=True)
    use_fake(args["film"], "ok")
    scene = bpy.context.scene

    def now() -> dict[str, str]:
        names = ("directions", "picture", "motion", "part", "camera")
        return {name: drawn(getattr(bpy.types, f"SKYLOOP_PT_{name}"), bpy.context) for name in names}

    found = {"empty": now()}
    _camera(yaw_deg=30, pitch_deg=10)
    bpy.ops.skyloop.region_add(prompt="a storm")
    scene.skyloop.direct.photo = args["picture"]
    scene.skyloop.direct.only_camera = True
    bpy.ops.skyloop.apply_world(job=str(make_job(args["film"], Path(args["root"]))))
    found["unmeasured"] = now()
    bpy.ops.skyloop.camera_measure()
    bpy.ops.skyloop.paint_mask(kind="EDIT")
    found["painting"] = now()
    bpy.ops.skyloop.paint_done()
    scene.skyloop.direct.photo_kind = "PHOTO"
    found["full"] = now()
    scene.frame_end = 77
    found["stale"] = now()
    return found


def cuts(args: dict[str, Any]) -> Any:
    """Two cameras, the second from a marker at frame 10 on; Blender's own choice of each frame beside."""
    addon_utils.enable(MODULE, default_set=True)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 20
    first, second = _camera(yaw_deg=0), _camera(yaw_deg=120)
    first.name, second.name = "CutA", "CutB"
    scene.timeline_markers.new("a", frame=3).camera = first
    scene.timeline_markers.new("b", frame=10).camera = second
    scene.timeline_markers.new("note", frame=15)
    scene.skyloop.direct.only_camera = True
    steering = part("blender_addon.direct.request")
    keys = steering.prepare(scene, Path(args["root"]))["camera"]
    yaw: dict[int, float] = {}
    for before, after in zip(keys, keys[1:], strict=False):
        for frame in range(before.frame, after.frame + 1):
            share = (frame - before.frame) / (after.frame - before.frame)
            yaw[frame] = (1 - share) * before.yaw_deg + share * after.yaw_deg
    blenders = []
    for frame in range(1, 21):
        scene.frame_set(frame)
        blenders.append(scene.camera.name)
    ours = [part("blender_addon.direct.camera").camera_at(scene, frame).name for frame in range(1, 21)]
    second.data.type = "PANO"
    return {"ours": ours, "blenders": blenders, "yaw": yaw, "problem": steering.problems(scene)}
