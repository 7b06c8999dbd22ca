import { fileBed } from './beds.ts';
import { describeLeaseStore } from './lease-store-suite.ts';

describeLeaseStore('leases in a folder', false, fileBed, 100);
