// Cuts the answer to a list into its objects while it arrives, so that a page of 10 MB needs the memory of one object.
//
//     {"kind":"NodeList","metadata":{…},"items":[{…},{…}]}
//     └──────────── envelope ──────────────────┘ └item   └─ envelope
//
// A loop over the bytes looks for brackets and quotes alone; JSON.parse judges the rest. Start-up code is not compiled,
// so the loop costs ten times as much as JSON.parse. So an item is first searched in the form that the API server
// writes: it ends where the next one begins with its metadata. That it can be parsed proves that this is its end.
import { parseAnswer, Unreadable } from './api-error.ts';
import { LIMITS } from './limits.ts';

export interface ItemSplitter {
  /** Takes the next bytes, and calls `onItem` for objects that are complete with them. Fails as `Unreadable`. */
  push(chunk: Buffer): void;
  /**
   * All bytes are there: calls `onItem` for the last objects, and gives the text around all. Fails as `Unreadable`
   * where the end is missing.
   */
  end(): Buffer;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d, COMMA]);

/** The depth between the objects of the list. */
const BETWEEN = 2;

/** Between two objects, as the API server writes them. */
const SEPARATOR = Buffer.from('},{"metadata":{');
/** An object may hold a list of objects that look like its separators. */
const MOST_SEPARATORS = 4;

export function createItemSplitter(onItem: (object: unknown) => void): ItemSplitter {
  let depth = 0;
  let isText = false;
  let isEscaped = false;
  let isInItems = false;
  /** Bytes of former chunks: of the item, or of the envelope. */
  let item: Buffer[] = [];
  let itemBytes = 0;
  const envelope: Buffer[] = [];
  let envelopeBytes = 0;
  /** Bytes that are not looked at yet: an item is found faster once all of it is there. */
  let unread: Buffer[] = [];
  let unreadBytes = 0;

  const addToItem = (bytes: Buffer): void => {
    itemBytes += bytes.length;
    if (itemBytes > LIMITS.objectBytes)
      throw new Unreadable(`an object is larger than ${LIMITS.objectBytes} bytes`);
    item.push(bytes);
  };
  const addToEnvelope = (bytes: Buffer): void => {
    envelopeBytes += bytes.length;
    if (envelopeBytes > LIMITS.envelopeBytes) throw new Unreadable('the answer is not a list of objects');
    // A copy: the chunk would stay in memory with it.
    envelope.push(Buffer.from(bytes));
  };

  /** Takes in the unread bytes, but for the start of an item that may be found at once with the next ones. */
  const read = (isLast: boolean): void => {
    const chunk = unread.length === 1 ? (unread[0] as Buffer) : Buffer.concat(unread);
    [unread, unreadBytes] = [[], 0];
    /** Where the present part, item or envelope, begins in this chunk. */
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (isText) {
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) isText = false;
        continue;
      }
      if (isInItems && depth === BETWEEN) {
        if (byte === OPEN_OBJECT) {
          const found = findItem(chunk, at);
          if (found !== undefined) {
            onItem(found.object);
            at = found.end - 1;
            continue;
          }
          if (!isLast && chunk.length - at < LIMITS.batchBytes) {
            [unread, unreadBytes] = [[Buffer.from(chunk.subarray(at))], chunk.length - at];
            return;
          }
        } else if (byte !== CLOSE_LIST) {
          if (!SPACES.has(byte ?? 0)) throw new Unreadable('the answer lists something that is no object');
          continue;
        }
      }
      if (byte === QUOTE) isText = true;
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
        depth += 1;
        if (isInItems && depth === BETWEEN + 1) from = at;
        if (isInItems || depth !== BETWEEN || byte !== OPEN_LIST) continue;
        const head = Buffer.concat([...envelope, chunk.subarray(from, at)]);
        if (!/"items"\s*:\s*$/.test(head.toString('latin1'))) continue;
        addToEnvelope(chunk.subarray(from, at + 1));
        isInItems = true;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        depth -= 1;
        if (!isInItems) continue;
        if (depth === BETWEEN) {
          addToItem(chunk.subarray(from, at + 1));
          onItem(parseAnswer(item.length === 1 ? (item[0] as Buffer) : Buffer.concat(item)));
          [item, itemBytes] = [[], 0];
        } else if (depth < BETWEEN) {
          isInItems = false;
          from = at;
        }
      }
    }
    // The rest continues in the next chunk.
    if (!isInItems) addToEnvelope(chunk.subarray(from));
    else if (depth > BETWEEN) addToItem(Buffer.from(chunk.subarray(from)));
  };

  return {
    push(chunk) {
      unread.push(chunk);
      unreadBytes += chunk.length;
      if (unreadBytes >= LIMITS.batchBytes) read(false);
    },
    end() {
      read(true);
      if (depth !== 0 || isText || envelopeBytes === 0) throw new Unreadable('the answer has no end');
      return Buffer.concat(envelope);
    },
  };
}

/** The object that begins at `start`, and the place behind it; undefined: it is not found before a separator. */
function findItem(
  bytes: Buffer,
  start: number,
): { readonly object: unknown; readonly end: number } | undefined {
  let at = start;
  for (let attempt = 0; attempt < MOST_SEPARATORS; attempt++) {
    at = bytes.indexOf(SEPARATOR, at + 1);
    if (at < 0) return undefined;
    try {
      return { object: JSON.parse(bytes.toString('utf8', start, at + 1)), end: at + 1 };
    } catch {
      // The separator is one of a list in the object.
    }
  }
  return undefined;
}
