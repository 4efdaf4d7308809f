# SPDX-License-Identifier: MIT-0
extends Camera3D
## Looks around: drag with the mouse, or use the arrow keys; the wheel zooms.

const DEGREES_PER_PIXEL := 0.2
const DEGREES_PER_SECOND := 60.0


func _ready() -> void:
	make_current()


func _process(delta: float) -> void:
	var arrows := Input.get_vector("ui_left", "ui_right", "ui_down", "ui_up")
	_turn(arrows * DEGREES_PER_SECOND * delta)


func _unhandled_input(event: InputEvent) -> void:
	if event is InputEventMouseMotion and event.button_mask & MOUSE_BUTTON_MASK_LEFT:
		_turn(Vector2(-event.relative.x, event.relative.y) * DEGREES_PER_PIXEL)
	elif event is InputEventMouseButton and event.pressed:
		match event.button_index:
			MOUSE_BUTTON_WHEEL_UP:
				fov = maxf(fov / 1.1, 20)
			MOUSE_BUTTON_WHEEL_DOWN:
				fov = minf(fov * 1.1, 110)


func _turn(degrees: Vector2) -> void:
	rotation_degrees.y -= degrees.x
	rotation_degrees.x = clampf(rotation_degrees.x + degrees.y, -89, 89)
