import { fileBed } from './beds.ts';
import { describeKvSizes } from './kv-size-suite.ts';
import { describeKv } from './kv-suite.ts';

describeKv('the store in a folder', false, fileBed);
describeKvSizes('the store in a folder', false, fileBed);
