// SPDX-License-Identifier: MIT-0
/* Looking by turning the phone. */

import { Euler, Quaternion, Vector3 } from 'three';

const UP = new Vector3(0, 0, 1), ASIDE = new Vector3(0, 1, 0);
const OUT_OF_THE_SCREEN = new Quaternion(-Math.SQRT1_2, 0, 0, Math.SQRT1_2); // the camera looks out of the back, not of the top
const euler = new Euler(), screenTurn = new Quaternion();

/** The camera's turn for a device's angles and its screen's, all in degrees (W3C Device Orientation, alpha beta gamma). */
export function turnOf({ alpha, beta, gamma }, screenAngle) {
  const radians = (degrees) => degrees * Math.PI / 180;
  euler.set(radians(beta), radians(alpha), -radians(gamma), 'YXZ');
  return new Quaternion().setFromEuler(euler).multiply(OUT_OF_THE_SCREEN)
    .multiply(screenTurn.setFromAxisAngle(UP, -radians(screenAngle)));
}

/** Yaw and pitch in degrees of where a camera with that turn looks. */
export function directionOf(turn) {
  const ahead = new Vector3(0, 0, -1).applyQuaternion(turn);
  return { yaw: Math.atan2(ahead.x, -ahead.z) * 180 / Math.PI, pitch: Math.asin(Math.max(-1, Math.min(1, ahead.y))) * 180 / Math.PI };
}

export class Gyroscope {
  constructor(moved) {
    this.on = false;
    this.turn = null;
    this.hear = (event) => {
      if (event.alpha === null) return;
      this.turn = turnOf(event, screen.orientation?.angle ?? window.orientation ?? 0);
      moved();
    };
  }

  /** Whether this device may have one: iOS asks first, others tell at once. */
  static async there() {
    if (!window.DeviceOrientationEvent || !matchMedia('(pointer: coarse)').matches) return false;
    if (DeviceOrientationEvent.requestPermission) return true;
    return new Promise((found) => {
      const hear = (event) => { if (event.alpha !== null) { window.removeEventListener('deviceorientation', hear); found(true); } };
      window.addEventListener('deviceorientation', hear);
      setTimeout(() => { window.removeEventListener('deviceorientation', hear); found(false); }, 3000);
    });
  }

  /** Begin, from within a tap. Returns whether the user allowed it. */
  async start() {
    const allowed = await DeviceOrientationEvent.requestPermission?.().catch(() => 'denied') ?? 'granted';
    if (allowed !== 'granted') return false;
    this.turn = null;
    this.first = null;
    this.on = true;
    window.addEventListener('deviceorientation', this.hear);
    return true;
  }

  stop() {
    this.on = false;
    window.removeEventListener('deviceorientation', this.hear);
  }

  /** The camera's turn, given the view's yaw in degrees: what was ahead at first still is, and dragging adds to it. */
  camera(yaw) {
    this.first ??= directionOf(this.turn).yaw;
    return new Quaternion().setFromAxisAngle(ASIDE, (this.first - yaw) * Math.PI / 180).multiply(this.turn);
  }
}
