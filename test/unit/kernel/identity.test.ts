import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { readIdentity } from '../../../agent/kernel/identity.ts';

const MAC = '02:00:00:00:00:01';
const MACHINE = '/etc/machine-id';
const DBUS = '/var/lib/dbus/machine-id';
const PRODUCT = '/sys/class/dmi/id/product_uuid';

/** The machine's digest where only these files can be read. */
async function idOf(files: Readonly<Record<string, string>>): Promise<string> {
  const read = async (file: string): Promise<string> => {
    const text = files[file];
    if (text === undefined) throw new Error(`ENOENT ${file}`);
    return text;
  };
  return (await readIdentity(MAC, read)).id;
}

describe('the identity of a machine', () => {
  it('clones of one image differ by the id that their hypervisor gives them', async () => {
    const image = { [MACHINE]: '0123\n' };
    const first = await idOf({ ...image, [PRODUCT]: 'AAAA-1\n' });
    expect(await idOf({ ...image, [PRODUCT]: 'AAAA-2\n' })).not.toBe(first);
    expect(await idOf({ ...image, [PRODUCT]: 'aaaa-1\n' })).toBe(first);
    expect(await idOf({ [MACHINE]: '4567\n', [PRODUCT]: 'AAAA-1\n' })).not.toBe(first);
  });

  it('a machine without a product id has the digest of its machine id, of systemd or else of D-Bus', async () => {
    const own = await idOf({ [MACHINE]: '0123\n' });
    expect(own).toMatch(/^[0-9a-f]{16}$/);
    expect(await idOf({ [MACHINE]: '0123\n', [DBUS]: '4567\n' })).toBe(own);
    expect(await idOf({ [MACHINE]: 'uninitialized\n', [DBUS]: '0123\n' })).toBe(own);
    expect(await idOf({ [MACHINE]: '', [DBUS]: '4567' })).not.toBe(own);
  });

  it('a machine without any id is not known by its name, which may change', async () => {
    const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);
    expect(await idOf({})).toBe(digestOf('twill node\n'));
    expect(await idOf({})).not.toBe(digestOf(`twill node\n${hostname()}`));
  });

  it('a MAC of zeros, as of the loopback, is none', async () => {
    const read = async (): Promise<string> => '';
    expect((await readIdentity('00:00:00:00:00:00', read)).mac).toBeUndefined();
    expect(await readIdentity(MAC, read)).toMatchObject({ mac: MAC, name: hostname() });
  });
});
