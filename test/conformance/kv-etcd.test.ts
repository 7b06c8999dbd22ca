import { allOf, needsProgram, title } from '../support/needs.ts';
import { etcdBed } from './beds.ts';
import { describeKv } from './kv-suite.ts';

const need = allOf(needsProgram('etcd'), needsProgram('etcdctl'));

describeKv(title('the store in etcd', need), need.missing, etcdBed);
