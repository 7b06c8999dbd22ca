import { title } from '../support/needs.ts';
import { ETCD_PROXIES, ETCD_VERSIONS, etcdBed } from './beds.ts';
import { describeKvSizes } from './kv-size-suite.ts';
import { describeKv } from './kv-suite.ts';

for (const way of [...ETCD_VERSIONS, ...ETCD_PROXIES]) {
  const name = title(`the store in ${way.title}`, way.need);
  describeKv(name, way.need.missing, () => etcdBed(way));
  describeKvSizes(name, way.need.missing, () => etcdBed(way));
}
