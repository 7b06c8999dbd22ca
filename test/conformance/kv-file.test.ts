import { fileBed } from './beds.ts';
import { describeKv } from './kv-suite.ts';

describeKv('the store in a folder', false, fileBed);
