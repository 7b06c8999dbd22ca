#!/usr/bin/env node
// The entry. It imports nothing else statically: modules that are loaded before `startSmall` cost memory.
import { startSmall } from './base/engine.ts';

// Node opens a debugger for every user of the machine on this signal, until there is a listener.
process.on('SIGUSR1', () => undefined);
startSmall();
void import('./process.ts');
