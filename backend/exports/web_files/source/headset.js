// SPDX-License-Identifier: MIT-0
/* In a headset (WebXR). Where there are media layers the headset itself draws the film, sharper and at less cost;
   elsewhere, and under a scene, the sky's mesh is drawn for both eyes. */

/** Whether there is a headset, or may be one. */
export async function headsetThere() {
  try {
    return Boolean(await navigator.xr?.isSessionSupported('immersive-vr'));
  } catch {
    return false; // an iframe that may not ask
  }
}

/** Go in, from within a tap. `yaw`, in radians, is how far to the right of the wearer's forward the film's centre is;
    `alone`: whether there is nothing but the sky. Heights count from the wearer's eyes. Returns the session. */
export async function enterHeadset({ renderer, video, sky, yaw, alone }) {
  const session = await navigator.xr.requestSession('immersive-vr', { optionalFeatures: ['layers'] });
  renderer.xr.setReferenceSpaceType('local');
  await renderer.xr.setSession(session);
  const layers = alone && !video.paused && session.enabledFeatures?.includes('layers');
  const layer = layers && mediaLayer(session, video, renderer.xr.getReferenceSpace(), yaw);
  if (layer) {
    session.updateRenderState({ layers: [layer, renderer.xr.getBaseLayer()] });
    sky.visible = false;
    session.addEventListener('end', () => { sky.visible = true; });
  }
  return session;
}

function mediaLayer(session, video, space, yaw) {
  if (!window.XRMediaBinding || !window.XRRigidTransform) return null;
  const transform = new XRRigidTransform({}, { x: 0, y: Math.sin(-yaw / 2), z: 0, w: Math.cos(yaw / 2) });
  try {
    return new XRMediaBinding(session).createEquirectLayer(video, { space, layout: 'mono', transform });
  } catch {
    return null; // some browsers have the name only
  }
}
