#!/usr/bin/env node
// The entry. Nothing else is imported here: what is loaded before the engine is told to start small costs memory.
import { startSmall } from './base/engine.ts';

startSmall();
await import('./process.ts');
