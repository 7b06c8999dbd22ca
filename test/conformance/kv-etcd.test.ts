import { title } from '../support/needs.ts';
import { ETCD_PROXIES, ETCD_VERSIONS, etcdBed } from './beds.ts';
import { describeKv } from './kv-suite.ts';

for (const way of [...ETCD_VERSIONS, ...ETCD_PROXIES])
  describeKv(title(`the store in ${way.title}`, way.need), way.need.missing, () => etcdBed(way));
