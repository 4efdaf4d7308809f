"""Scenarios of the sky in the World: how it plays, looks, lights, and what becomes of the Worlds around it."""

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import addon_utils
import bpy
import mathutils
from inside import MODULE, make_job, part, turn_until


def begin() -> bpy.types.Scene:
    """An empty scene with a World of the user's."""
    addon_utils.enable(MODULE, default_set=True)
    scene = bpy.context.scene
    for thing in list(scene.objects):
        bpy.data.objects.remove(thing)
    scene.world = bpy.data.worlds.new("Mine")
    return scene


def use(scene: bpy.types.Scene, engine: str, samples: int = 1, size: int = 8) -> None:
    """Tiny pictures of linear values, by a camera that sees 4 degrees."""
    data = bpy.data.cameras.new("Test")
    data.angle = math.radians(4.0)
    scene.camera = bpy.data.objects.new("Test", data)
    scene.collection.objects.link(scene.camera)
    render = scene.render
    if engine == "EEVEE":
        names = {item.identifier for item in render.bl_rna.properties["engine"].enum_items}
        known = names or {"BLENDER_EEVEE"}
        render.engine = "BLENDER_EEVEE_NEXT" if "BLENDER_EEVEE_NEXT" in known else "BLENDER_EEVEE"
        scene.eevee.taa_render_samples = samples
    else:
        render.engine, scene.cycles.samples = "CYCLES", samples
        scene.cycles.use_denoising = scene.cycles.use_adaptive_sampling = False
        scene.cycles.max_bounces = 0
    render.resolution_x = render.resolution_y = size
    render.resolution_percentage = 100
    render.image_settings.file_format, render.image_settings.color_depth = "OPEN_EXR", "32"


def aim(scene: bpy.types.Scene, yaw_deg: float, pitch_deg: float) -> None:
    yaw, pitch = math.radians(yaw_deg), math.radians(pitch_deg)
    ahead = (math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch))
    scene.camera.rotation_euler = mathutils.Vector(ahead).to_track_quat("-Z", "Y").to_euler()


def mean(scene: bpy.types.Scene, answer: str, frame: int = 1) -> list[float]:
    """The linear mean colour of what the camera sees."""
    scene.frame_set(frame)
    scene.render.filepath = str(Path(answer).with_name("shot.exr"))
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath, check_existing=False)
    image.colorspace_settings.name = "Non-Color"
    values = list(image.pixels)
    bpy.data.images.remove(image)
    return [sum(values[channel::4]) / (len(values) // 4) for channel in range(3)]


def seen(scene: bpy.types.Scene, answer: str, yaw_deg: float, pitch_deg: float, frame: int = 1) -> list[float]:
    aim(scene, yaw_deg, pitch_deg)
    return mean(scene, answer, frame)


def apply(args: dict[str, Any], scene: bpy.types.Scene) -> bpy.types.World:
    bpy.ops.skyloop.apply_world(job=str(make_job(args["film"], Path(args["root"]))))
    return scene.world


def still(args: dict[str, Any], scene: bpy.types.Scene, front_deg: float = 0.0) -> bpy.types.World:
    """A sky of the picture ``args["still"]``."""
    world, film = part("blender_addon.sky.world"), part("blender_addon.sky.film")
    sky = world.build("Still", film.Film(Path(args["still"])), front_deg=front_deg)
    world.show(scene, sky)
    return sky


def put(sky: bpy.types.World, **sliders: float) -> None:
    nodes = part("blender_addon.sky.nodes")
    for name, value in sliders.items():
        nodes.slider(sky, name.replace("_", " ")).default_value = value


def plays(args: dict[str, Any]) -> Any:
    """What is seen overhead at some frames, at some speeds: ``runs`` are [speed, backwards, offset]."""
    scene = begin()
    use(scene, args["engine"])
    sky = apply(args, scene)
    found = []
    for speed, reverse, offset in args["runs"]:
        sky.skyloop.speed, sky.skyloop.reverse, sky.skyloop.frame_offset = speed, reverse, offset
        tree = part("blender_addon.sky.nodes").film_node(sky).id_data
        drivers = tree.animation_data.drivers if tree.animation_data else []
        bpy.ops.skyloop.match_timeline(fps=True, frame_range=True, repeats=args.get("repeats", 1))
        found.append(
            {
                "colours": [seen(scene, args["answer"], 0.0, 89.0, frame) for frame in args["frames"]],
                "python": any(not fcurve.driver.is_simple_expression for fcurve in drivers),
                "range": [scene.frame_start, scene.frame_end, scene.render.fps],
            }
        )
    return found


def looks(args: dict[str, Any]) -> Any:
    """Colours at ``shots`` of [yaw, pitch], with the sliders of ``sliders``, one set after the other."""
    scene = begin()
    use(scene, args["engine"], samples=args.get("samples", 1))
    sky = still(args, scene, args.get("front_deg", 0.0)) if "still" in args else apply(args, scene)
    found = []
    for sliders in args["sliders"]:
        put(sky, **sliders)
        found.append([seen(scene, args["answer"], *shot) for shot in args["shots"]])
    return found


def turns(args: dict[str, Any]) -> Any:
    """What each turn of the timer does with a finished sky; with an undo after the first; with a film that is none."""
    scene = begin()
    session, world = part("blender_addon.session").current(), part("blender_addon.sky.world")
    mine, found = scene.world.name, {}
    bpy.ops.ed.undo_push(message="start")
    for name in ("plain", "undone", "broken"):
        folder = make_job(args["film"], Path(args["root"]))
        if name == "broken":
            (folder / "sky.mp4").write_bytes(b"not a movie")
        bpy.context.scene.world = bpy.data.worlds[mine]
        for _ in range(2):  # to the first of which undo goes back
            bpy.ops.ed.undo_push(message=name)
        turn_until(session, lambda: not session.errands.busy and not session.setup.looking)
        session.targets[folder] = bpy.context.scene.session_uid
        session.finished.append(folder)
        found[name] = said = []
        for turn in range(4):
            if not session.finished:
                break
            if (name, turn) == ("undone", 1):
                bpy.ops.ed.undo()
            else:
                session.step()
            sky = bpy.context.scene.world
            image = world.sky_image(sky) if world.is_sky(sky) else None
            groups = [group.users for group in bpy.data.node_groups if not group.users or sky.name != mine]
            said.append([sky.name != mine, groups.count(0), bool(image and image.has_data)])
    return found


def white_ground(scene: bpy.types.Scene) -> bpy.types.Object:
    """A level, white, diffuse plane below the camera, which looks straight down."""
    mesh = bpy.data.meshes.new("Ground")
    mesh.from_pydata([(-99, -99, -5), (99, -99, -5), (99, 99, -5), (-99, 99, -5)], [], [(0, 1, 2, 3)])
    ground = bpy.data.objects.new("Ground", mesh)
    material = bpy.data.materials.new("White")
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    assert tree
    tree.nodes.clear()
    diffuse, output = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeOutputMaterial")
    diffuse.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    tree.links.new(diffuse.outputs[0], output.inputs["Surface"])
    mesh.materials.append(material)
    scene.collection.objects.link(ground)
    return ground


def lights(args: dict[str, Any]) -> Any:
    """What white ground gets: of the picture, three times the lighting, the bright sun, the lamp in its place."""
    scene = begin()
    use(scene, args["engine"], samples=args["samples"])
    white_ground(scene)
    sky, answer = still(args, scene), args["answer"]
    nodes = part("blender_addon.sky.nodes")

    def ground() -> list[float]:
        return seen(scene, answer, 0.0, -90.0)

    found = {"plain": ground()}
    put(sky, Lighting=3.0)
    found["thrice"] = ground()
    found["still_seen"] = seen(scene, answer, 180.0, 40.0)
    put(sky, Lighting=1.0)
    bpy.ops.skyloop.find_sun()
    found["sun"] = [math.degrees(nodes.value(sky, name)) for name in ("Sun Yaw", "Sun Pitch")]
    found["bright"] = ground()
    bpy.ops.skyloop.add_sun_lamp()
    found["lamp"] = ground()
    lamp = sky.skyloop.sun
    lamp.hide_render = True
    found["without_lamp"] = ground()
    return found


def sun_lamp(args: dict[str, Any]) -> Any:
    """A lamp that follows a sun which wanders over the loop, turns with the sky, is one, and goes with one press."""
    scene = begin()
    sky = apply(args, scene)
    folder = Path(sky.skyloop.job)
    film = part("blender_addon.sky.film").load(part("blender_addon.sky.film").Film(Path(args["still"])))
    part("blender_addon.sky.nodes").film_node(sky).image = film
    suns = [
        {"yaw_deg": y, "pitch_deg": p, "irradiance": e, "size_deg": 1, "color": [1, 1, 1]} for y, p, e in args["suns"]
    ]
    (folder / "light.json").write_text(json.dumps({"version": 1, "frames": [{"sun": sun} for sun in suns]}))
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.skyloop.add_sun_lamp("EXEC_DEFAULT", True)
    lamp = scene.world.skyloop.sun

    def towards(frame: int) -> list[float]:
        """Where the light comes from, yaw and pitch in Blender's world, and how strong it is."""
        scene.frame_set(frame)
        evaluated = lamp.evaluated_get(bpy.context.evaluated_depsgraph_get())
        to = evaluated.matrix_world.to_3x3() @ mathutils.Vector((0.0, 0.0, 1.0))
        yaw, pitch = math.atan2(to.x, to.y), math.asin(max(-1.0, min(1.0, to.z)))
        return [math.degrees(yaw), math.degrees(pitch), evaluated.data.energy]

    found: dict[str, Any] = {"moves": [towards(frame) for frame in args["frames"]]}
    scene.skyloop.front_deg = 30.0
    found["turned"] = towards(1)
    driver = lamp.animation_data.drivers[0].driver
    found["python"] = not driver.is_simple_expression
    scene.skyloop.front_deg = 0.0
    scene.world.skyloop.speed = "0.5"
    found["stale"] = scene.world.skyloop.sun_made_for != part("blender_addon.sky.lamp").made_for(scene.world)
    bpy.ops.skyloop.add_sun_lamp("EXEC_DEFAULT", True)
    found["slow"] = [towards(frame) for frame in args["slow_frames"]]
    found["lamps"] = sum(o.type == "LIGHT" for o in scene.objects)
    found["softened"] = part("blender_addon.sky.nodes").value(scene.world, "Lamp")
    bpy.ops.skyloop.remove_sun_lamp("EXEC_DEFAULT", True)
    sky = scene.world
    found["after"] = [
        len(scene.objects),
        [d.name for d in bpy.data.lights if "Sun" in d.name],
        part("blender_addon.sky.nodes").value(sky, "Lamp"),
    ]
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    found["undone"] = [len(scene.objects), part("blender_addon.sky.nodes").value(scene.world, "Lamp")]
    return found


def brightness(args: dict[str, Any]) -> Any:
    """How bright a picture is said to be, and what the two buttons make of it."""
    scene = begin()
    sky = still(args, scene)
    bpy.ops.skyloop.check_brightness()
    share = sky.skyloop.brightness
    bpy.ops.skyloop.match_brightness(by="EXPOSURE")
    exposure = scene.view_settings.exposure
    scene.view_settings.exposure = 0.0
    bpy.ops.skyloop.match_brightness(by="LIGHTING")
    film = apply(args | {"root": str(Path(args["still"]).parent)}, scene)
    overhead = part("blender_addon.sky.light").picture_of(film).pixels[-4]
    return {"overhead": overhead, "share": share, "exposure": exposure, "after": sky.skyloop.brightness}


def linear_picture(args: dict[str, Any]) -> Any:
    """An EXR keeps its values, also those beyond white."""
    scene = begin()
    use(scene, "CYCLES")
    sky = still(args, scene)
    bpy.ops.skyloop.check_brightness()
    return {"seen": seen(scene, args["answer"], 30.0, 20.0), "share": sky.skyloop.brightness}


def chains(args: dict[str, Any]) -> Any:
    """Sky over sky over the user's own, in two scenes that share it; then deleted, and linked from a library."""
    scene = begin()
    mine = scene.world
    other = bpy.data.scenes.new("Other")
    other.world = mine
    found: dict[str, Any] = {}
    for _ in range(3):
        apply(args, scene)
    with bpy.context.temp_override(scene=other):
        bpy.ops.skyloop.apply_world(job=str(make_job(args["film"], Path(args["root"]))))
    mine.name = "Mine, renamed"
    bpy.ops.skyloop.restore_world()
    found["first"] = [scene.world.name, mine.use_fake_user]  # the other scene's sky still needs it kept
    with bpy.context.temp_override(scene=other):
        bpy.ops.skyloop.restore_world()
    found["second"] = [other.world.name, mine.use_fake_user]
    apply(args, scene)
    bpy.data.worlds.remove(mine)
    found["deleted"] = [bpy.ops.skyloop.restore_world.poll(), list(bpy.ops.skyloop.restore_world())]
    found["then"] = scene.world.name if scene.world else ""
    library = Path(args["root"]) / "library.blend"
    bpy.data.libraries.write(str(library), {bpy.data.worlds.new("Theirs")})
    with bpy.data.libraries.load(str(library), link=True) as (_, chosen):
        chosen.worlds = ["Theirs"]
    scene.world = chosen.worlds[0]
    apply(args, scene)
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(args["root"]) / "chain.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(Path(args["root"]) / "chain.blend"))
    bpy.ops.skyloop.restore_world()
    found["linked"] = [bpy.context.scene.world.name, part("blender_addon.places").is_linked(bpy.context.scene.world)]
    return found


def upgrades(args: dict[str, Any]) -> Any:
    """A group of an older version, with less in it: made anew when the file is opened, what was set stays."""
    scene = begin()
    sky = apply(args, scene)
    put(sky, Strength=2.0, Front=1.0)
    sky.skyloop.frame_offset, sky.skyloop.speed = 3, "0.5"
    nodes = part("blender_addon.sky.nodes")
    group = nodes.node_of(sky).node_tree
    group[nodes.VERSION_KEY] = 0
    face = group.interface
    face.remove(next(item for item in face.items_tree if item.name == "Saturation"))
    group.nodes.remove(next(n for n in group.nodes if n.bl_idname == "ShaderNodeBackground"))
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(args["root"]) / "old.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(Path(args["root"]) / "old.blend"))
    scene = bpy.context.scene
    sky = scene.world
    group = nodes.node_of(sky).node_tree
    use(scene, "CYCLES")
    colour = seen(scene, args["answer"], 0.0, 89.0, 5)
    kept = [nodes.value(sky, name) for name in ("Strength", "Front", "Saturation")]
    return {"version": group[nodes.VERSION_KEY], "kept": kept, "colour": colour}


def missing_film(args: dict[str, Any]) -> Any:
    """The film's folder moves away: noticed on opening, offered, found under a root of ours, or chosen by hand."""
    from layout import drawn

    scene = begin()
    root = Path(args["root"])
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.output_folder = str(root / "moved")
    bpy.ops.skyloop.apply_world(job=str(make_job(args["film"], root / "jobs")))
    bpy.ops.wm.save_as_mainfile(filepath=str(root / "scene.blend"))
    panel = bpy.types.SKYLOOP_PT_world
    found: dict[str, Any] = {"before": [scene.world.skyloop.missing, drawn(panel, bpy.context)]}
    (root / "jobs").rename(root / "elsewhere")
    bpy.ops.wm.open_mainfile(filepath=str(root / "scene.blend"))
    found["gone"] = [bpy.context.scene.world.skyloop.missing, drawn(panel, bpy.context)]
    try:
        bpy.ops.skyloop.find_film()
        found["not_found"] = ""
    except RuntimeError as error:
        found["not_found"] = str(error)
    (root / "elsewhere").rename(root / "moved")
    bpy.ops.skyloop.find_film()
    sky = bpy.context.scene.world
    film = part("blender_addon.sky.film").place(part("blender_addon.sky.world").sky_image(sky))
    found["found"] = [sky.skyloop.missing, film.parent.parent.name, film.is_file()]
    found["job"] = Path(sky.skyloop.job).parent.name
    (root / "bad.mp4").write_bytes(b"not a movie")
    try:
        bpy.ops.skyloop.choose_film(filepath=str(root / "bad.mp4"))
    except RuntimeError as error:
        found["bad"] = str(error)
    found["kept"] = part("blender_addon.sky.world").sky_image(sky).filepath
    shutil.copyfile(Path(args["film"]) / "sky.mp4", root / "copy.mp4")
    bpy.ops.skyloop.choose_film(filepath=str(root / "copy.mp4"))
    use(bpy.context.scene, "CYCLES")
    found["chosen"] = [seen(bpy.context.scene, args["answer"], 0.0, 89.0, frame) for frame in (3, 19)]
    return found


def pictures(args: dict[str, Any]) -> Any:
    """The film as numbered pictures, which a command writes; then as a movie again."""
    scene = begin()
    use(scene, "CYCLES")
    sky = apply(args, scene)
    work = part("blender_addon.sky.work")
    found: dict[str, Any] = {}
    commands: list[list[str]] = []

    def command(*words: str) -> list[str]:
        commands.append(list(words))
        return [sys.executable, args["tool"], args["pictures"], *words]

    work.command = command
    bpy.ops.skyloop.write_sequence(file_format="png")
    image = part("blender_addon.sky.world").sky_image(sky)
    found["command"] = [word for word in commands[0] if word.startswith("-") or word in ("frames", "png")]
    found["source"] = image.source
    found["frames"] = [seen(scene, args["answer"], 0.0, 89.0, frame) for frame in args["shots"]]
    sky.skyloop.speed = "2"
    found["double"] = [seen(scene, args["answer"], 0.0, 89.0, frame) for frame in args["shots"]]
    sky.skyloop.speed = "1"
    try:
        bpy.ops.skyloop.write_sequence(file_format="exr")
    except RuntimeError as error:
        found["refused"] = str(error)
    found["still_shown"] = part("blender_addon.sky.world").sky_image(sky).source
    bpy.ops.skyloop.show_movie()
    found["movie"] = [
        part("blender_addon.sky.world").sky_image(sky).source,
        seen(scene, args["answer"], 0.0, 89.0, args["shots"][0]),
        [i.source for i in bpy.data.images if i.name.startswith("frame")],
    ]
    return found


def asset(args: dict[str, Any]) -> Any:
    """Into an asset library twice, with a catalogue of somebody else's there; then used in another file."""
    scene = begin()
    sky = apply(args, scene)
    put(sky, Strength=1.5)
    libraries = bpy.context.preferences.filepaths.asset_libraries
    for known in list(libraries):
        libraries.remove(known)
    can = [bpy.ops.skyloop.save_asset.poll()]
    root = Path(args["library"])
    libraries.new(name="Mine", directory=str(root))
    can.append(bpy.ops.skyloop.save_asset.poll())

    def now() -> list[int]:
        data = bpy.data
        return [len(data.worlds), len(data.images), len(data.node_groups), len(data.actions)]

    before = now()
    for _ in range(2):
        bpy.ops.skyloop.save_asset(target="Mine")
    untouched = before == now() and scene.world == sky and sky.asset_data is None
    (root / "elsewhere").mkdir()
    bpy.ops.wm.read_homefile(use_empty=True)
    addon_utils.enable(MODULE, default_set=True)
    files = sorted(root.rglob("*.blend"))
    with bpy.data.libraries.load(str(files[0]), assets_only=True) as (there, chosen):
        chosen.worlds = there.worlds
    world = chosen.worlds[0]
    data = world.asset_data
    found = {
        "can": can,
        "untouched": untouched,
        "files": [str(file.relative_to(root).as_posix()) for file in sorted(root.rglob("*")) if file.is_file()],
        "catalogue": data.catalog_id,
        "tags": sorted(tag.name for tag in data.tags),
        "author": data.author,
        "preview": list(world.preview.image_size) if world.preview else [],
        "previous": world.skyloop.previous is not None,
        "worlds": [w.name for w in bpy.data.worlds],
    }
    scene = bpy.context.scene
    scene.world = world
    use(scene, "CYCLES")
    found["colour"] = seen(scene, args["answer"], 0.0, 89.0, 5)
    return found
