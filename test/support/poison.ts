// Characters that must not leave the program: they break the line, control a terminal, hide, or change the order of
// text.

const POINTS = [
  ...range(0x00, 0x1f),
  ...range(0x7f, 0x9f),
  0x00ad,
  0x034f,
  0x061c,
  0x115f,
  0x180e,
  ...range(0x200b, 0x200f),
  ...range(0x2028, 0x202e),
  ...range(0x2060, 0x206f),
  0x2800,
  0x3164,
  0xd800,
  0xdfff,
  0xfe0f,
  0xfeff,
  0xffa0,
  0xfffb,
  0xe0041,
  0xe0100,
];

/** Each of them once. Line feeds and tabs are among them. */
export const POISON: readonly string[] = POINTS.map((point) => String.fromCodePoint(point));

/** A text in the middle of which all of them stand, some of them in well-known attacks. */
export const POISONED = `a${POISON.join('.')}\u001b]0;owned\u0007\u009b2J\u202elive\u2066x\u2069z`;

/** The characters of `text` that must not leave the program. Line feeds, and tabs as in JSON, may. */
export function poisonIn(text: string): readonly string[] {
  return POISON.filter(
    (character) => character !== '\n' && character !== '\t' && text.includes(character),
  ).map((character) => `U+${character.codePointAt(0)?.toString(16)}`);
}

function range(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
