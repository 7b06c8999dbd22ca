#!/usr/bin/env node
// The entry. It imports nothing else statically: modules that are loaded before `startSmall` cost memory.
import { startSmall } from './base/engine.ts';

startSmall();
void import('./process.ts');
