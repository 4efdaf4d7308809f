import { start } from './page.js';
import { Stage } from './scene.js';

start(Stage);
