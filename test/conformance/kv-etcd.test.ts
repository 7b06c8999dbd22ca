import { allOf, needsProgram, title } from '../e2e/needs.ts';
import { etcdBed } from './beds.ts';
import { describeKv } from './kv-suite.ts';

const need = allOf(needsProgram('etcd'), needsProgram('etcdctl'));

describeKv(title('the store in etcd', need), need.missing, etcdBed);
