// Keys, entries and revisions in etcd's messages. A server that breaks etcd's rules fails here, with one error.
import { isPrefixRange, type KvEntry } from '../model/kv.ts';
import type { Header, KeyValue } from './etcd-messages.ts';
import { LIMITS } from './limits.ts';
import { malformed } from './protobuf.ts';

/** The fields of a request for a range. The end of a prefix is the prefix with its last byte raised by one. */
export function rangeRequest(range: string): { readonly key: string; readonly range_end?: Buffer } {
  if (!isPrefixRange(range)) return { key: range };
  const end = Buffer.from(range);
  const last = end.length - 1;
  end.writeUInt8(end.readUInt8(last) + 1, last);
  return { key: range, range_end: end };
}

/** The entry. A large value is not even decoded. */
export function readEntry({ key, value, create_revision, mod_revision, lease }: KeyValue): KvEntry {
  if (mod_revision < 1) throw malformed();
  return {
    key: readKey(key),
    value: value.length > LIMITS.valueBytes ? undefined : value.toString(),
    revision: mod_revision,
    created: create_revision,
    session: lease === '0' ? undefined : lease,
  };
}

/** The key as text. Nobody asks for a long one again, so that its beginning is enough. */
export function readKey(key: Buffer): string {
  return key.length > LIMITS.keyBytes ? `${key.toString('utf8', 0, LIMITS.keyBytes)}…` : key.toString();
}

/** The revision of the cluster at an answer. */
export function revisionOf({ revision }: Header): number {
  if (revision < 1) throw malformed();
  return revision;
}
