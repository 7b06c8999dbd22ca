// The messages of etcd's v3 API that the agent uses, with the names and numbers of etcd's rpc.proto and kv.proto. Keys
// and values are bytes there; ours are text, except those that others may have written.
import type { MessageOf, Shape, WishOf } from './protobuf.ts';

const HEADER = { cluster_id: [1, 'id'], revision: [3, 'number'] } as const satisfies Shape;

const KEY_VALUE = {
  key: [1, 'bytes'],
  create_revision: [2, 'number'],
  mod_revision: [3, 'number'],
  value: [5, 'bytes'],
  lease: [6, 'id'],
} as const satisfies Shape;

const RANGE_REQUEST = {
  key: [1, 'bytes'],
  range_end: [2, 'bytes'],
  limit: [3, 'number'],
  revision: [4, 'number'],
  count_only: [9, 'flag'],
} as const satisfies Shape;

const RANGE_RESPONSE = {
  header: [1, HEADER],
  kvs: [2, KEY_VALUE, 'many'],
  more: [3, 'flag'],
} as const satisfies Shape;

const PUT_REQUEST = { key: [1, 'text'], value: [2, 'text'], lease: [3, 'id'] } as const satisfies Shape;

const REQUEST_OP = {
  request_range: [1, RANGE_REQUEST],
  request_put: [2, PUT_REQUEST],
  request_delete_range: [3, { key: [1, 'text'] }],
} as const satisfies Shape;

const COMPARE = {
  result: [1, 'number'],
  target: [2, 'number'],
  key: [3, 'text'],
  create_revision: [5, 'number'],
  mod_revision: [6, 'number'],
} as const satisfies Shape;

const WATCH_CREATE_REQUEST = {
  key: [1, 'bytes'],
  range_end: [2, 'bytes'],
  start_revision: [3, 'number'],
  progress_notify: [4, 'flag'],
} as const satisfies Shape;

/** Values of `Compare.result`, `Compare.target` and `Event.type`. */
export const EQUAL = 0;
export const CREATE_REVISION = 1;
export const MOD_REVISION = 2;
export const DELETE = 1;

/** The calls, by service and method. */
export const METHODS = {
  'KV/Range': { request: RANGE_REQUEST, response: RANGE_RESPONSE },
  'KV/Txn': {
    request: {
      compare: [1, COMPARE, 'many'],
      success: [2, REQUEST_OP, 'many'],
      failure: [3, REQUEST_OP, 'many'],
    },
    response: {
      header: [1, HEADER],
      succeeded: [2, 'flag'],
      responses: [3, { response_range: [1, RANGE_RESPONSE] }, 'many'],
    },
  },
  'Lease/LeaseGrant': { request: { TTL: [1, 'number'] }, response: { ID: [2, 'id'], error: [4, 'text'] } },
  'Lease/LeaseRevoke': { request: { ID: [1, 'id'] }, response: {} },
  'Lease/LeaseKeepAlive': { request: { ID: [1, 'id'] }, response: { ID: [2, 'id'], TTL: [3, 'number'] } },
  'Watch/Watch': {
    request: { create_request: [1, WATCH_CREATE_REQUEST] },
    response: {
      header: [1, HEADER],
      watch_id: [2, 'id'],
      created: [3, 'flag'],
      canceled: [4, 'flag'],
      compact_revision: [5, 'number'],
      cancel_reason: [6, 'text'],
      events: [11, { type: [1, 'number'], kv: [2, KEY_VALUE] }, 'many'],
    },
  },
  'Auth/Authenticate': {
    request: { name: [1, 'text'], password: [2, 'text'] },
    response: { token: [2, 'text'] },
  },
  'Maintenance/Status': { request: {}, response: {} },
} as const satisfies Readonly<Record<string, { readonly request: Shape; readonly response: Shape }>>;

export type EtcdMethod = keyof typeof METHODS;
export type Request<M extends EtcdMethod> = WishOf<(typeof METHODS)[M]['request']>;
export type Response<M extends EtcdMethod> = MessageOf<(typeof METHODS)[M]['response']>;
export type Compare = WishOf<typeof COMPARE>;
export type Header = MessageOf<typeof HEADER>;
export type KeyValue = MessageOf<typeof KEY_VALUE>;
