// A codec translates one kind between its objects and the messages of rtnetlink. The tables in `codecs.ts` list all
// codecs. The members are methods, so that one table can hold codecs of all kinds.

import type { Entry, Link } from '../../model/host-state.ts';
import type { LinkBase } from '../../model/kinds/kind.ts';
import type { RtNetlinkSocket, rt } from './library.ts';

/** Names of links by their index. */
export type NameOf = ReadonlyMap<number, string>;

/** The names of our own links, and of all links. */
export interface LinkNames {
  readonly own: NameOf;
  readonly all: NameOf;
}

/** The properties of a link that have the same place in a message of every type. */
export interface LinkParts {
  readonly base: LinkBase;
  readonly attrs: rt.LinkMessage['attrs'];
  /** The properties of its type (IFLA_INFO_DATA); undefined: it has none. */
  readonly data: Buffer | undefined;
}

export interface LinkCodec<L extends Link> {
  /** The link from the parts of its message; undefined: properties are missing. */
  parse(parts: LinkParts, nameOf: NameOf): L | undefined;
  /** Makes the link and sets it up. `underlay` is the index of its underlay, 0 where it has none. */
  make(socket: RtNetlinkSocket, link: L, underlay: number): Promise<void>;
  /** Changes the properties of the live link that only its type has. Default: Linux changes none. */
  alter?(before: L): Promise<void>;
}

export interface EntryCodec<E extends Entry> {
  /** The word for several such entries, in errors. */
  readonly plural: string;
  /** The links on which such an entry can be ours. */
  readonly links: keyof LinkNames;
  /** RTM_ numbers of the requests. */
  readonly requests: { readonly add: number; readonly delete: number; readonly list: number };
  /**
   * The payload of the request that lists our entries: those on the link with this index, or all where an entry can be
   * on any link. A kernel before Linux 4.20 ignores the restrictions and lists those of others too.
   */
  list(linkIndex: number): Buffer;
  /** Whether the bytes of a message may describe an entry of ours on a link of `own`. Only such messages are parsed. */
  mayBeOurs(data: Buffer, own: NameOf): boolean;
  /** The entry that the message describes, whoever made it; undefined: another kind, or a form that we never make. */
  parse(message: rt.Message, nameOf: NameOf): E | undefined;
  /** Whether an entry that `parse` accepted is ours. */
  isOurs(message: rt.Message): boolean;
  /** The payload of the request that adds the entry, replaces the one in its place, or deletes it. */
  encode(entry: E, linkIndex: number): Buffer;
}
