// SPDX-License-Identifier: MIT-0
import { start } from './page.js';
import { Stage } from './scene.js';

start(Stage);
