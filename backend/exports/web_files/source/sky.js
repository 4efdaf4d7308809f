// SPDX-License-Identifier: MIT-0
/* The sky: a box around the eye, whose every pixel looks up its direction in the equirectangular picture.

   A direction, not a mesh's own coordinates, is looked up: so the poles are exact, and there is no seam. */

import {
  BackSide, BoxGeometry, GLSL3, LinearFilter, LinearMipmapLinearFilter, Mesh, NoColorSpace, RepeatWrapping, ShaderMaterial,
} from 'three';

const VERTEX = /* glsl */ `
  out vec3 direction;
  void main() {
    direction = mat3(modelMatrix) * position;
    gl_Position = projectionMatrix * vec4(mat3(viewMatrix) * direction, 1.0);
    gl_Position.z = 0.999999 * gl_Position.w;  // behind everything, however far
  }`;

/* The level of detail comes from the angle between neighbouring pixels. That of the looked-up coordinates would be wrong
   on the seam, where they jump, and at the poles, where all of them meet. */
const FRAGMENT = /* glsl */ `
  precision highp float;
  in vec3 direction;
  out vec4 color;
  uniform sampler2D picture;
  uniform float yaw;
  uniform bool light;
  const float TURN = 6.283185307179586;
  void main() {
    vec3 d = normalize(direction);
    vec2 at = vec2(0.5 + (atan(d.x, -d.z) - yaw) / TURN, 0.5 + asin(clamp(d.y, -1.0, 1.0)) * 2.0 / TURN);
    float angle = max(length(dFdx(d)), length(dFdy(d)));
    float texels = angle / TURN * float(textureSize(picture, 0).x);
    vec3 seen = textureLod(picture, at, max(0.0, log2(max(texels, 1e-6)))).rgb;
    if (light) seen = mix(seen / 12.92, pow((seen + 0.055) / 1.055, vec3(2.4)), step(0.04045, seen));
    color = vec4(seen, 1.0);
  }`;

/** Make the sky's mesh. Its picture's centre is shown `yaw` radians to the right of forward, which is -Z. The bytes of
    the picture go to the screen as they are (sRGB); with `light`, linear light is drawn instead. */
export function makeSky(yaw) {
  const material = new ShaderMaterial({
    glslVersion: GLSL3,
    vertexShader: VERTEX,
    fragmentShader: FRAGMENT,
    uniforms: { picture: { value: null }, yaw: { value: yaw }, light: { value: false } },
    side: BackSide,
    depthWrite: false,
    toneMapped: false,
  });
  const mesh = new Mesh(new BoxGeometry(2, 2, 2), material);
  mesh.frustumCulled = false;
  mesh.renderOrder = -1;
  mesh.visible = false;
  return mesh;
}

/** Show a texture: of the video, or of the poster until there is one. */
export function show(sky, texture) {
  texture.colorSpace = NoColorSpace;
  texture.wrapS = RepeatWrapping;
  texture.magFilter = LinearFilter;
  texture.minFilter = LinearMipmapLinearFilter;
  texture.generateMipmaps = true;
  sky.material.uniforms.picture.value = texture;
  sky.visible = true;
}
