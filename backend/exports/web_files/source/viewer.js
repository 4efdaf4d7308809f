// SPDX-License-Identifier: MIT-0
import { start } from './page.js';

start();
