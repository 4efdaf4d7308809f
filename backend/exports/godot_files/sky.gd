# SPDX-License-Identifier: MIT-0
@tool
extends WorldEnvironment
## A looping sky, made with Skyloop. Ambient light and reflections follow it.
##
## Needs Godot 4.5 or newer. Only one WorldEnvironment may be in a scene: to keep the fog and glow of one that you have,
## drag its Environment onto this node's Environment, then remove it; the sky itself comes from here.

## Turns the sky to the right.
@export_range(-180, 180, 0.1, "degrees") var yaw := 0.0:
	set(value):
		yaw = value
		_send("yaw", deg_to_rad(yaw))
## How bright the sky looks.
@export_range(0, 8, 0.01, "or_greater") var energy := 1.0:
	set(value):
		energy = value
		_send("energy", energy)
## How bright the light is that the sky casts on the scene: ambient light and reflections.
@export_range(0, 8, 0.01, "or_greater") var light_energy := 1.0:
	set(value):
		light_energy = value
		_send("light_energy", light_energy)
## Colours the sky and the light that it casts.
@export_color_no_alpha var tint := Color.WHITE:
	set(value):
		tint = value
		var linear := tint.srgb_to_linear()
		_send("tint", Vector3(linear.r, linear.g, linear.b))

@export_group("Playback")
## Whether the sky moves. When it is off, it stays where it is.
@export var playing := true
## How fast the sky moves: 1 is as it was made, 0.5 half as fast.
@export_range(0, 4, 0.01, "or_greater") var speed := 1.0:
	set(value):
		speed = value
		if _player:
			_player.set("speed_scale", speed)
## The frame that it starts with, counted from 0.
@export_range(0, 1000, 1, "or_greater") var start_frame := 0:
	set(value):
		start_frame = value
		_rewind()
## Fades each frame into the next: smooth at every speed. Off, frames are shown as they are.
@export var smooth_frames := true:
	set(value):
		smooth_frames = value
		_send("smooth_frames", smooth_frames)
## Seconds from one update of ambient light and reflections to the next. 0 updates them with every picture, which costs
## most; 0.1 is enough for skies.
@export_range(0, 2, 0.01, "suffix:s") var light_every := 0.1
## Whether the sky moves in the editor too.
@export var play_in_editor := false

@export_storage var film: Resource # VideoStream or Texture2DArray
@export_storage var frames := 1
@export_storage var fps := 24.0
@export_storage var sky: Sky

const TINY := 0.001 # frames, more than arithmetic is wrong by

var _player: VideoStreamPlayer
var _page: ImageTexture
var _frame := 0.0
var _lit_frame := -1.0
var _since_lit := 0.0
var _settling := 0
var _refresh := false


func _ready() -> void:
	if film is VideoStream:
		_play_film()
	else:
		_open_flipbook()
	for setting in ["yaw", "energy", "light_energy", "tint", "speed", "start_frame", "smooth_frames"]:
		set(setting, get(setting)) # now there is something to send it to
	if environment and environment.sky != sky: # the user's own: it gets the sky, and its file stays as it is
		RenderingServer.environment_set_background(environment.get_rid(), RenderingServer.ENV_BG_SKY)
		RenderingServer.environment_set_sky(environment.get_rid(), sky.get_rid())
	if get_tree().current_scene == self: # played by itself: someone wants to look at it
		add_child(preload("look_around.gd").new())


func _process(delta: float) -> void:
	var moving := playing and (play_in_editor or not Engine.is_editor_hint())
	if _player:
		_step_film(delta, moving)
	elif moving:
		_turn_to(_frame + delta * fps * speed)
	_since_lit += delta
	if _since_lit >= light_every and _frame != _lit_frame:
		_since_lit = 0.0
		_lit_frame = _frame
		_refresh = not _refresh
		_send("refresh", float(_refresh))


# Left to itself, the player would be late where the loop closes: it is sent back before it comes to the end. (The film
# has one frame more than is shown.) Its own step comes after this one, and is none when it was sent somewhere.
func _step_film(delta: float, moving: bool) -> void:
	if not _player.is_playing(): # it stops when it is taken out of the scene, such as for another tab of the editor
		_player.play()
		_move_to(_frame)
	_player.paused = not moving and _settling == 0
	_settling = maxi(_settling - 1, 0)
	_frame = _player.stream_position * fps
	var next := _frame + delta * fps * speed
	if moving and next > frames - TINY:
		_move_to(next)


func _play_film() -> void:
	_player = VideoStreamPlayer.new()
	_player.stream = film
	_player.loop = true
	_player.volume_db = -80.0
	_player.visible = false
	add_child(_player, false, INTERNAL_MODE_BACK)
	_player.play()
	_send("film", _player.get_video_texture().get_rid())


func _open_flipbook() -> void:
	_page = ImageTexture.create_from_image(Image.create_empty(1, 1, false, Image.FORMAT_RF))
	_send("page", _page.get_rid())
	_send("film", film.get_rid())


func _rewind() -> void:
	if _player:
		_settling = 2 # a picture or two must pass until the film shows it, also while it does not move
		_player.paused = false
		_move_to(start_frame)
	elif _page:
		_turn_to(start_frame)


func _move_to(frame: float) -> void:
	_player.stream_position = (fposmod(frame, frames) + TINY) / fps


func _turn_to(frame: float) -> void:
	_frame = fposmod(frame, frames)
	var image := Image.create_empty(1, 1, false, Image.FORMAT_RF)
	image.set_pixel(0, 0, Color(_frame, 0, 0))
	_page.update(image)


# Past the material's properties, so that pictures of the film are never saved with the scene.
func _send(parameter: String, value: Variant) -> void:
	if _player or _page:
		RenderingServer.material_set_param(sky.sky_material.get_rid(), parameter, value)


func _validate_property(property: Dictionary) -> void:
	if property.name == "smooth_frames" and film is VideoStream:
		property.usage = PROPERTY_USAGE_NO_EDITOR
