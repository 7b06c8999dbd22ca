import { allOf, needsProgram, title } from '../support/needs.ts';
import { etcdBed } from './beds.ts';
import { describeLeaseStore } from './lease-store-suite.ts';

const need = allOf(needsProgram('etcd'), needsProgram('etcdctl'));

describeLeaseStore(title('leases in etcd', need), need.missing, etcdBed);
