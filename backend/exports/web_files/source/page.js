// SPDX-License-Identifier: MIT-0
/* The page: what is on it, and what each control does. */

import { Group, NoToneMapping, PerspectiveCamera, Scene, SRGBColorSpace, Texture, WebGLRenderer } from 'three';
import { Film, load } from './film.js';
import { directionOf, Gyroscope } from './gyroscope.js';
import { enterHeadset, headsetThere } from './headset.js';
import { asked, listen, Look } from './look.js';
import { makeSky, show } from './sky.js';

const $ = (id) => document.getElementById(id);
const RADIANS = Math.PI / 180;
const QUIET_MS = 4000;
const ICONS = { Play: 'M8 5v14l11-7z', Pause: 'M8.5 5v14M15.5 5v14' };

/** Show what the page is about. `Stage`: the class that shows a scene under the sky, in the bundle that has it. */
export async function start(Stage) {
  const about = JSON.parse($('about').textContent);
  if (location.protocol === 'file:' && !$('clip')) {
    return tell('Please open sky.html', 'A browser does not let a page on your disk use the film beside it. '
      + '<a href="sky.html">sky.html</a> has the film inside and opens by double click. On a web server, this page works as it is.');
  }
  if (!$('view').getContext('webgl2', { alpha: true, antialias: Boolean(Stage), xrCompatible: Boolean(navigator.xr) })) {
    return tell('This browser cannot draw the sky', 'It needs WebGL 2, which is missing or switched off here. '
      + 'Use a current Chrome, Edge, Firefox or Safari, or switch on “hardware acceleration” in its settings.');
  }
  await new Viewer(about).start(Stage);
}

class Viewer {
  constructor(about) {
    this.about = about;
    this.asked = asked(location);
    this.calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.renderer = makeRenderer($('view'));
    this.camera = new PerspectiveCamera(75, 1, 0.05, 5000);
    this.rig = new Group().add(this.camera); // where a headset's wearer stands
    this.sky = makeSky(about.yaw * RADIANS);
    this.scene = new Scene().add(this.rig, this.sky);
    this.film = new Film($('film'), about.fps, () => { this.fresh = true; });
    const fov = innerWidth < innerHeight ? 95 : 75;
    this.look = new Look({ yaw: 0, pitch: 0, fov, ...this.asked }, this.calm);
    this.gyroscope = new Gyroscope(() => { this.fresh = true; });
    this.session = null;
    this.stage = null;
  }

  async start(Stage) {
    new ResizeObserver(() => this.fit()).observe($('view'));
    this.fit();
    this.renderer.setAnimationLoop((time) => this.frame(time));
    this.showControls();
    hint('Loading …');
    this.showPoster();
    if (Stage && this.about.scene) this.stage = await this.showScene(Stage);
    try {
      await load($('film'), this.about.sources, $('clip'));
    } catch {
      hint('');
      return tell('This browser cannot play the film', `It plays none of ${this.about.codecs}. A current Chrome, Edge, Firefox or Safari does.`, true);
    }
    if (Math.max($('film').videoWidth, $('film').videoHeight) > this.renderer.capabilities.maxTextureSize) {
      return tell('This device cannot show a film as large as this', 'Use another device, or export the sky smaller.', true);
    }
    $('film').addEventListener('error', () => tell('The film stopped', 'The browser could not go on playing it. Reload the page to try again.', true));
    if (this.asked.t !== undefined) this.film.seek(this.asked.t);
    $('begin').hidden = !this.calm && await this.film.play();
    hint(matchMedia('(pointer: coarse)').matches ? 'Drag to look around, pinch to zoom' : 'Drag or use the arrow keys to look around');
    this.touched();
  }

  /** One picture, if anything changed. */
  frame(time) {
    const seconds = Math.min(Math.max((time - (this.time ?? time)) / 1000, 0), 0.1);
    this.time = time;
    this.film.step();
    const moved = this.look.step(seconds);
    if (this.film.ready && this.sky.material.uniforms.picture.value !== this.film.texture) show(this.sky, this.film.texture);
    if (this.stage?.step(seconds, !this.film.paused)) this.fresh = true;
    if (!this.renderer.xr.isPresenting) {
      if (!moved && !this.fresh) return;
      this.aim();
    }
    this.fresh = false;
    this.renderer.render(this.scene, this.camera);
  }

  aim() {
    const { camera, look } = this;
    if (this.gyroscope.on && this.gyroscope.turn) camera.quaternion.copy(this.gyroscope.camera(look.now.yaw));
    else camera.rotation.set(look.now.pitch * RADIANS, -look.now.yaw * RADIANS, 0, 'YXZ');
    camera.position.copy(this.stage?.eye ?? camera.position.set(0, 0, 0));
    camera.fov = look.now.fov;
    camera.aspect = $('view').clientWidth / Math.max(1, $('view').clientHeight);
    camera.updateProjectionMatrix();
  }

  fit() {
    if (this.renderer.xr.isPresenting) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize($('view').clientWidth, $('view').clientHeight, false);
    this.fresh = true;
  }

  showPoster() {
    const image = new Image();
    image.onload = () => {
      if (this.film.ready) return;
      const texture = new Texture(image);
      texture.needsUpdate = true;
      show(this.sky, texture);
      this.fresh = true;
    };
    image.src = this.about.poster;
  }

  async showScene(Stage) {
    const stage = new Stage(this.renderer, this.scene, this.sky);
    try {
      const view = await stage.load(this.about.scene, $('glb'));
      this.look.set({ ...view, ...this.asked });
      return stage;
    } catch (error) {
      tell('The scene could not be shown', String(error.message ?? error).slice(0, 200).replaceAll('<', '&lt;'), true);
      return null;
    }
  }

  showControls() {
    const { look } = this;
    const touched = () => this.touched();
    listen($('view'), look, () => hint('')); // whoever has looked around knows how
    for (const event of ['pointermove', 'pointerdown', 'keydown', 'focusin']) addEventListener(event, touched);
    addEventListener('hashchange', () => { look.set(asked(location)); if ('t' in asked(location)) this.film.seek(asked(location).t); });
    addEventListener('keydown', (event) => this.key(event));
    on('begin', () => this.toggle());
    on('play', () => this.toggle());
    on('further', () => look.zoom(1.25));
    on('nearer', () => look.zoom(1 / 1.25));
    on('full', fullScreen);
    on('gyroscope', () => this.toggleGyroscope());
    on('headset', () => this.toggleHeadset());
    for (const event of ['play', 'pause']) $('film').addEventListener(event, () => this.showState());
    this.showState();
    $('full').hidden = !document.fullscreenEnabled;
    $('bar').hidden = false;
    headsetThere().then((there) => { $('headset').hidden = !there; });
    Gyroscope.there().then((there) => { $('gyroscope').hidden = !there; });
  }

  showState() {
    const does = this.film.paused ? 'Play' : 'Pause';
    $('play').setAttribute('aria-label', does);
    $('play').title = `${does} (Space)`;
    $('play').querySelector('path').setAttribute('d', ICONS[does]);
    if (!this.film.paused) $('begin').hidden = true;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key === ' ' && !event.target.closest('button, a')) {
      event.preventDefault();
      this.toggle();
    } else if (event.key === 'f' || event.key === 'F') fullScreen();
  }

  toggle() {
    return this.film.paused ? this.film.play() : this.film.pause();
  }

  async toggleGyroscope() {
    const { gyroscope, look } = this;
    if (gyroscope.on) {
      if (gyroscope.turn) look.set(directionOf(this.camera.quaternion));
      gyroscope.stop();
    } else if (!await gyroscope.start()) hint('The phone did not allow it: see the browser’s settings for motion.');
    $('gyroscope').setAttribute('aria-pressed', gyroscope.on);
    this.fresh = true;
  }

  async toggleHeadset() {
    if (this.session) return this.session.end();
    const { renderer, look, rig, sky, about } = this;
    this.film.play();
    try {
      const yaw = look.now.yaw * RADIANS;
      this.session = await enterHeadset({ renderer, sky, video: $('film'), yaw: about.yaw * RADIANS - yaw, alone: !this.stage });
      rig.rotation.y = -yaw;
      if (this.stage) rig.position.copy(this.stage.eye);
    } catch (error) {
      return hint(`The headset did not start: ${String(error.message).slice(0, 120)}`);
    }
    $('headset').setAttribute('aria-label', 'Leave VR');
    this.session.addEventListener('end', () => this.leftHeadset());
  }

  leftHeadset() {
    this.session = null;
    this.rig.rotation.y = 0;
    this.rig.position.set(0, 0, 0);
    $('headset').setAttribute('aria-label', 'Enter VR');
    this.fit();
  }

  /** The controls are there while someone does something, and fade soon after. */
  touched() {
    document.body.classList.remove('quiet');
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => { if (!this.film.paused) document.body.classList.add('quiet'); }, QUIET_MS);
  }
}

function makeRenderer(canvas) {
  const context = canvas.getContext('webgl2');
  const renderer = new WebGLRenderer({ canvas, context, alpha: true, antialias: context.getContextAttributes().antialias });
  renderer.outputColorSpace = SRGBColorSpace;
  renderer.toneMapping = NoToneMapping;
  renderer.setClearColor(0x000000, 0); // a headset's own film is seen through it
  renderer.xr.enabled = true;
  return renderer;
}

function on(id, does) {
  $(id).addEventListener('click', (event) => {
    if (event.detail) $(id).blur(); // by hand: keys mean the sky again, and the controls may fade
    does();
  });
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch(() => {});
}

function hint(text) {
  $('hint').textContent = text;
  $('hint').hidden = !text;
}

/** Say what is wrong, and what to do; `html` is ours. With `closable`, the sky behind can still be looked at, else its
    poster is shown flat. */
function tell(title, html, closable = false) {
  $('message').innerHTML = `<p><strong>${title}</strong></p><p>${html}</p>${closable ? '<button type="button">Close</button>' : ''}`;
  const poster = JSON.parse($('about').textContent).poster;
  if (!closable) $('message').style.background = `linear-gradient(#0b0d12b0, #0b0d12b0), url("${poster}") center / cover`;
  $('message').hidden = false;
  $('message').querySelector('button')?.addEventListener('click', () => { $('message').hidden = true; });
}
