/* A glTF scene under the sky, lit by it. */

import { AnimationMixer, PMREMGenerator, Scene, Vector3 } from 'three';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { directionOf } from './gyroscope.js';

const EYE_M = 1.6; // above the floor, where the scene has no camera
const LIGHT_EVERY_S = 0.5; // the sky's light is taken anew so often while the film plays

export class Stage {
  constructor(renderer, scene, sky) {
    this.scene = scene;
    this.sky = sky;
    this.filter = new PMREMGenerator(renderer);
    this.eye = new Vector3(0, EYE_M, 0);
    this.mixer = null;
    this.age = Infinity;
  }

  /** Load a file beside the page, or `inside`, an element of the page that holds it as base64. Returns the view of the
      scene's camera, as {yaw, pitch, fov} in degrees; empty where it has none. */
  async load(file, inside) {
    const loader = new GLTFLoader();
    const loaded = inside ? await loader.parseAsync(bytesOf(inside).buffer, '') : await loader.loadAsync(file);
    this.scene.add(loaded.scene);
    if (loaded.animations.length) {
      this.mixer = new AnimationMixer(loaded.scene);
      for (const clip of loaded.animations) this.mixer.clipAction(clip).play();
    }
    loaded.scene.updateMatrixWorld(true);
    const camera = loaded.cameras.find((one) => one.isPerspectiveCamera);
    if (!camera) return {};
    camera.getWorldPosition(this.eye);
    return { ...directionOf(camera.getWorldQuaternion(camera.quaternion.clone())), fov: camera.fov };
  }

  /** Let time pass. Returns whether anything changed. */
  step(seconds, film) {
    this.mixer?.update(seconds);
    this.age += seconds;
    const relight = this.sky.visible && this.age > LIGHT_EVERY_S && !(film.paused && this.litPaused);
    if (relight) {
      this.age = 0;
      this.litPaused = film.paused && film.ready;
      this.relight();
    }
    return relight || (this.mixer !== null && seconds > 0);
  }

  /** Take the light of the current frame for the scene's materials. */
  relight() {
    const alone = new Scene().add(this.sky);
    const light = this.sky.material.uniforms.light;
    light.value = true;
    const lit = this.filter.fromScene(alone, 0, 0.1, 10);
    light.value = false;
    this.scene.add(this.sky);
    this.scene.environment = lit.texture;
    this.lit?.dispose();
    this.lit = lit;
  }

  /** Put a headset's wearer where the scene's camera is. */
  stand(rig) {
    rig.position.copy(this.eye).setY(this.eye.y - EYE_M);
  }
}

function bytesOf(element) {
  const bytes = Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0));
  element.remove();
  return bytes;
}
