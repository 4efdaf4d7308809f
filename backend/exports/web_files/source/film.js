// SPDX-License-Identifier: MIT-0
/* The film: a muted video that loops, and the texture that has its current frame. */

import { VideoTexture } from 'three';

const LATE_MS = 500; // without word of a new frame, after which the texture is renewed all the same

/** A texture that takes a new frame when a picture is drawn and there is one: between the word of it and the picture,
    the video may have been given another file, or begun to look for another time. */
class FrameTexture extends VideoTexture {
  set needsUpdate(value) {
    this.stale = value;
  }

  take() {
    if (!this.stale || this.image.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.stale = false;
    super.needsUpdate = true;
  }
}

export class Film {
  /** `video`: the page's element. `fps`: frames a second. `fresh()` is called when there is a new frame to show. */
  constructor(video, fps, fresh) {
    this.video = video;
    this.fps = fps;
    this.fresh = fresh;
    this.texture = new FrameTexture(video);
    this.heard = 0;
    const hear = () => {
      this.heard = performance.now();
      fresh();
      video.requestVideoFrameCallback(hear);
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(hear);
    for (const event of ['loadeddata', 'seeked']) video.addEventListener(event, () => this.renew());
  }

  get ready() {
    return this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
  }

  get paused() {
    return this.video.paused;
  }

  /** Take the current frame, whatever the browser said. */
  renew() {
    this.texture.needsUpdate = true;
    this.fresh();
  }

  /** To be called before each picture: some browsers do not tell of frames, or not in a headset. */
  step() {
    if (!this.paused && this.ready && performance.now() - this.heard > LATE_MS) this.renew();
    this.texture.take();
  }

  /** Play; false where the browser wants a tap first. */
  async play() {
    try {
      await this.video.play();
      return true;
    } catch (error) {
      if (error.name === 'NotAllowedError' || error.name === 'AbortError') return false;
      throw error;
    }
  }

  pause() {
    this.video.pause();
  }

  /** Show the frame of a time in seconds, in its middle, where rounding does no harm; times go around. */
  seek(seconds) {
    const { duration } = this.video;
    const frame = Math.floor(((seconds % duration) + duration) % duration * this.fps + 1e-3);
    this.video.currentTime = (frame + 0.5) / this.fps;
  }
}

/** Give the video its film: one of the files beside the page, or `inside`, an element of the page that holds an mp4 as
    base64. Rejects where none can be played. */
export async function load(video, sources, inside) {
  if (inside) {
    const bytes = Uint8Array.from(atob(inside.textContent.trim()), (letter) => letter.charCodeAt(0));
    inside.remove();
    return held(video, new Blob([bytes], { type: 'video/mp4' }));
  }
  try {
    await streamed(video, sources);
    if (video.seekable.length && video.seekable.end(0) > 0) return undefined;
  } catch { /* then as a whole */ }
  // Simple web servers answer no requests for a part of a file. Some browsers play nothing then, others cannot seek.
  for (const [file] of sources) {
    try {
      return await held(video, await (await fetch(file)).blob());
    } catch { /* the next one, then */ }
  }
  throw new Error('no film can be played');
}

function streamed(video, sources) {
  for (const [src, type] of sources) video.append(Object.assign(document.createElement('source'), { src, type }));
  video.load();
  return new Promise((loaded, failed) => {
    video.addEventListener('loadedmetadata', loaded, { once: true });
    video.lastElementChild.addEventListener('error', failed);
  });
}

function held(video, blob) {
  video.replaceChildren();
  video.src = URL.createObjectURL(blob);
  return new Promise((loaded, failed) => {
    video.addEventListener('loadedmetadata', loaded, { once: true });
    video.addEventListener('error', failed, { once: true });
  });
}
