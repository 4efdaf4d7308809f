// SPDX-License-Identifier: MIT-0
/* Where one looks: yaw (to the right), pitch (up) and the vertical field of view, in degrees; and what moves it.

   Everything moves a goal, and the view follows within a moment. Where less motion is wanted, it is there at once. */

const NARROWEST = 25, WIDEST = 110;
const FOLLOW_S = 0.12; // the time constant with which the view follows its goal
const KEY_DEG = 12; // that one press of an arrow turns, at a field of view of 75
const ZOOM_STEP = 1.15;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export class Look {
  constructor(start, calm) {
    this.now = { ...start };
    this.goal = { ...start };
    this.calm = calm;
    this.jumped = true;
  }

  /** Look somewhere at once: any of yaw, pitch, fov. */
  set(where) {
    Object.assign(this.goal, within({ ...this.goal, ...where }));
    Object.assign(this.now, this.goal);
    this.jumped = true;
  }

  /** Turn by degrees, now (`held`, as with a finger on the sky) or soon. */
  turn(yaw, pitch, held = false) {
    this.goal.yaw += yaw;
    this.goal.pitch = clamp(this.goal.pitch + pitch, -90, 90);
    if (!held) return;
    Object.assign(this.now, { yaw: this.goal.yaw, pitch: this.goal.pitch });
    this.jumped = true;
  }

  zoom(factor) {
    this.goal.fov = clamp(this.goal.fov * factor, NARROWEST, WIDEST);
  }

  /** Follow the goal for `seconds`. Returns whether the view moved. */
  step(seconds) {
    const share = this.calm ? 1 : 1 - Math.exp(-seconds / FOLLOW_S);
    let moved = this.jumped;
    this.jumped = false;
    for (const key of ['yaw', 'pitch', 'fov']) {
      const left = this.goal[key] - this.now[key];
      if (left === 0) continue;
      this.now[key] = Math.abs(left) < 0.01 ? this.goal[key] : this.now[key] + left * share;
      moved = true;
    }
    return moved;
  }
}

/** The view that an address asks for (#yaw=90&pitch=10&fov=60&t=1.5, or the same after a ?); only what is a number. */
export function asked(location) {
  const found = {};
  for (const part of [location.search, location.hash]) {
    for (const [key, text] of new URLSearchParams(part.slice(1))) {
      if (['yaw', 'pitch', 'fov', 't'].includes(key) && text.trim() && Number.isFinite(+text)) found[key] = +text;
    }
  }
  return within(found);
}

function within(view) {
  if ('pitch' in view) view.pitch = clamp(view.pitch, -90, 90);
  if ('fov' in view) view.fov = clamp(view.fov, NARROWEST, WIDEST);
  return view;
}

/** Let fingers, mouse, wheel and keys on `place` (an element) move `look`; `touched()` is called whenever they do. */
export function listen(place, look, touched) {
  listenToPointers(place, look, touched);
  place.addEventListener('wheel', (event) => {
    if (window !== window.top && !document.hasFocus()) return; // in another page that is being scrolled
    event.preventDefault();
    look.zoom(Math.exp(clamp(event.deltaY * (event.deltaMode ? 30 : 1), -200, 200) / 800));
    touched();
  }, { passive: false });
  window.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = KEY_DEG * look.goal.fov / 75;
    const does = {
      ArrowLeft: () => look.turn(-step, 0), ArrowRight: () => look.turn(step, 0),
      ArrowUp: () => look.turn(0, step), ArrowDown: () => look.turn(0, -step),
      '+': () => look.zoom(1 / ZOOM_STEP), '=': () => look.zoom(1 / ZOOM_STEP), '-': () => look.zoom(ZOOM_STEP),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
    touched();
  });
}

function listenToPointers(place, look, touched) {
  const down = new Map(); // pointers by id, each where it was last
  let speed = { yaw: 0, pitch: 0 }, time = 0;
  const middle = () => {
    const [a, b = a] = [...down.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
  };
  place.addEventListener('pointerdown', (event) => {
    if (event.button > 0) return;
    place.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    speed = { yaw: 0, pitch: 0 };
    look.turn(look.now.yaw - look.goal.yaw, look.now.pitch - look.goal.pitch); // what is held stands still
    touched();
  });
  place.addEventListener('pointermove', (event) => {
    if (!down.has(event.pointerId)) return;
    const before = middle();
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = middle();
    // Degrees that a pixel is in the middle of the view: what was under the finger stays there.
    const pixel = 2 * Math.tan(look.now.fov * Math.PI / 360) / place.clientHeight * 180 / Math.PI;
    const yaw = (before.x - after.x) * pixel / Math.max(Math.cos(look.now.pitch * Math.PI / 180), 0.25);
    const pitch = (after.y - before.y) * pixel;
    look.turn(yaw, pitch, true);
    if (before.apart > 0 && after.apart > 0) look.zoom(before.apart / after.apart);
    const seconds = Math.max((event.timeStamp - time) / 1000, 0.004);
    speed = { yaw: yaw / seconds, pitch: pitch / seconds };
    time = event.timeStamp;
    touched();
  });
  const up = (event) => {
    if (!down.delete(event.pointerId) || down.size || look.calm || event.timeStamp - time > 60) return;
    look.turn(clamp(speed.yaw, -400, 400) * FOLLOW_S, clamp(speed.pitch, -400, 400) * FOLLOW_S);
  };
  place.addEventListener('pointerup', up);
  place.addEventListener('pointercancel', up);
}
