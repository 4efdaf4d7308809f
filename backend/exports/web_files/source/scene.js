// SPDX-License-Identifier: MIT-0
/* A glTF scene under the sky, lit by it. */

import { AnimationMixer, Box3, PMREMGenerator, Scene, Vector3 } from 'three';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { directionOf } from './gyroscope.js';

const BACK = 0.8; // times the larger side of a scene without a camera: from there all of it is seen
const LIGHT_EVERY_S = 0.5; // the sky's light is taken anew so often while the film plays

export class Stage {
  constructor(renderer, scene, sky) {
    this.scene = scene;
    this.sky = sky;
    this.filter = new PMREMGenerator(renderer);
    this.eye = new Vector3();
    this.mixer = null;
    this.age = Infinity;
    this.litBy = null;
    this.takesLight = false;
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
    loaded.scene.traverse((one) => { this.takesLight ||= Boolean(one.material?.isMeshStandardMaterial); });
    loaded.scene.updateMatrixWorld(true);
    const camera = loaded.cameras.find((one) => one.isPerspectiveCamera);
    if (!camera) {
      const box = new Box3().setFromObject(loaded.scene), size = box.getSize(new Vector3());
      if (!box.isEmpty()) box.getCenter(this.eye).setZ(box.max.z + BACK * Math.max(size.x, size.y, 1));
      return {};
    }
    camera.getWorldPosition(this.eye);
    return { ...directionOf(camera.getWorldQuaternion(camera.quaternion.clone())), fov: camera.fov };
  }

  /** Let time pass; what moves does so while `playing`. Returns whether anything changed. */
  step(seconds, playing) {
    if (playing) this.mixer?.update(seconds);
    this.age += seconds;
    const picture = this.sky.material.uniforms.picture.value;
    const frame = picture && `${picture.uuid} ${picture.version}`;
    const relight = this.takesLight && this.sky.visible && this.age > LIGHT_EVERY_S && frame !== this.litBy;
    if (relight) {
      this.age = 0;
      this.litBy = frame;
      this.relight();
    }
    return relight || (playing && this.mixer !== null);
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
}

function bytesOf(element) {
  const bytes = Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0));
  element.remove();
  return bytes;
}
