import { title } from '../support/needs.ts';
import { ETCD_PROXIES, ETCD_VERSIONS, etcdBed } from './beds.ts';
import { describeLeaseStore } from './lease-store-suite.ts';

for (const way of [...ETCD_VERSIONS, ...ETCD_PROXIES])
  describeLeaseStore(
    title(`leases in ${way.title}`, way.need),
    way.need.missing,
    () => etcdBed(way),
    way.program === 'etcd' ? 5_000 : 500,
  );
