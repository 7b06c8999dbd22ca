// Parses a line of a watch without the status of its object, which is most of the line and changes most often.
//
//     {"type":"MODIFIED","object":{"kind":…,"metadata":{…},"spec":{…} ,"status":{ … }}}
//     └──────────── parsed, with two brackets at its end ────────────┘
//
// A loop over the bytes would cost more than JSON.parse saves. So the status is searched by its name. JSON.parse is the
// proof that the place is that of the object's own member: elsewhere the brackets would not match. A line that has
// another form is not cut.

const START = Buffer.from('{"type":"');
const STATUS = Buffer.from(',"status":{');
/** Members that are read stand before the status. Another one behind it, or an escaped name, would count instead. */
const LATER = ['"metadata"', '"spec"', '"object"', '\\u006', '\\u007'].map((text) => Buffer.from(text));

/** The value without the status of its object; undefined: it has another form, and has to be parsed as a whole. */
export function parseWithoutStatus(line: Buffer): unknown {
  if (!line.subarray(0, START.length).equals(START)) return undefined;
  const at = line.indexOf(STATUS);
  if (at < 0) return undefined;
  const rest = line.subarray(at + STATUS.length);
  if (LATER.some((text) => rest.includes(text))) return undefined;
  try {
    return JSON.parse(`${line.toString('utf8', 0, at)}}}`);
  } catch {
    return undefined;
  }
}
