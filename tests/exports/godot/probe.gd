extends Node3D
# Shows what the plan asks for, one after the other, and saves what is seen. Each picture is one step of the engine.

var out := ""
var notes := {}


func _ready() -> void:
	var folder := OS.get_cmdline_user_args()[0]
	out = folder
	var plan: Array = JSON.parse_string(FileAccess.get_file_as_string(folder.path_join("plan.json")))
	for job in plan:
		await _show(job)
	FileAccess.open(folder.path_join("notes.json"), FileAccess.WRITE).store_string(JSON.stringify(notes))
	get_tree().quit()


func _show(job: Dictionary) -> void:
	var began := Time.get_ticks_usec()
	var scene: Node = load(job.scene).instantiate()
	var sky: Node = scene if scene is WorldEnvironment else scene.find_child("Sky", true, false)
	var wanted: Dictionary = job.get("set", {})
	for property in wanted:
		sky.set(property, wanted[property])
	if job.get("own_environment"):
		sky.environment = Environment.new()
	add_child(scene)
	var camera: Camera3D = null if job.get("own_camera") else _camera()
	var balls := _balls() if job.get("balls") else null
	await _steps(4)
	if job.get("away"):
		remove_child(scene)
		await _steps(2)
		add_child(scene)
	if job.get("panorama"):
		_show_by_godots_own(sky)
		await _steps(2)
	for view in job.get("views", []):
		camera.rotation_degrees = Vector3(view[1], -view[0], 0)
		await _steps(2)
		_save("%s_%d_%d" % [job.name, view[0], view[1]])
	if job.get("own_camera"):
		_save(job.name)
	for step in job.get("steps", 0):
		await _steps(1)
		_save("%s_%03d" % [job.name, step])
	notes[job.name] = {"yaw": sky.yaw, "ms": (Time.get_ticks_usec() - began) / 1000.0}
	for node in [camera, balls, scene]:
		if node:
			node.queue_free()
	await _steps(2)


func _steps(count: int) -> void:
	for i in count:
		await RenderingServer.frame_post_draw


func _save(picture: String) -> void:
	get_viewport().get_texture().get_image().save_png(out.path_join(picture + ".png"))


func _camera() -> Camera3D:
	var camera := Camera3D.new()
	camera.fov = 90
	add_child(camera)
	camera.make_current()
	return camera


# A white one to the left of the camera's middle, a mirror to the right.
func _balls() -> Node3D:
	var both := Node3D.new()
	for metallic in [0.0, 1.0]:
		var ball := MeshInstance3D.new()
		ball.mesh = SphereMesh.new()
		ball.mesh.material = StandardMaterial3D.new()
		ball.mesh.material.metallic = metallic
		ball.mesh.material.roughness = 1.0 - metallic
		ball.position = Vector3(metallic * 2 - 1, 0, -3)
		both.add_child(ball)
	add_child(both)
	return both


func _show_by_godots_own(sky: WorldEnvironment) -> void:
	var material := PanoramaSkyMaterial.new()
	var picture: Image = sky._player.get_video_texture().get_image()
	material.panorama = ImageTexture.create_from_image(picture)
	sky.environment.sky = Sky.new()
	sky.environment.sky.sky_material = material
