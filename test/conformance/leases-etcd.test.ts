import { allOf, needsProgram, title } from '../e2e/needs.ts';
import { etcdBed } from './beds.ts';
import { describeLeaseStore } from './lease-store-suite.ts';

const need = allOf(needsProgram('etcd'), needsProgram('etcdctl'));

describeLeaseStore(title('leases in etcd', need), need.missing, etcdBed);
