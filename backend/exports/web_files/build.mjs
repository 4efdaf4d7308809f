// SPDX-License-Identifier: MIT-0
/* Makes viewer.js and viewer_scene.js from source/. BUILD.md says how to run it. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { build } from 'esbuild';

const digest = createHash('sha256');
for (const file of readdirSync('source').sort()) digest.update(readFileSync(`source/${file}`));
const banner = `/* Skyloop's viewer (MIT-0) and three.js (MIT): see licenses.txt. Source ${digest.digest('hex')} */`;
for (const name of ['viewer', 'viewer_scene']) {
  await build({
    entryPoints: [`source/${name}.js`], outfile: `${name}.js`, bundle: true, minify: true, format: 'iife', target: 'es2021',
    charset: 'utf8', legalComments: 'none', banner: { js: banner },
  });
}
