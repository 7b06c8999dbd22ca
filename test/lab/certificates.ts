// Certificates for tests of TLS, made by openssl.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './namespace.ts';

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/**
 * Makes an authority, and a server certificate for the addresses that it signs, in `folder`: `<name>-ca.pem`,
 * `<name>-server.pem` and `<name>-server.key`.
 */
export async function makeAuthority(
  folder: string,
  name: string,
  addresses: readonly string[] = ['127.0.0.1'],
): Promise<void> {
  const file = (end: string): string => join(folder, `${name}-${end}`);
  const subject = `/CN=${name} authority`;
  await openssl(
    ['req', '-x509', '-days', '2', '-subj', subject, ...NEW_KEY],
    ['-keyout', file('ca.key'), '-out', file('ca.pem')],
  );
  const list = addresses.map((address) => `IP:${address}`).join(',');
  const names = `subjectAltName=${list}\nextendedKeyUsage=serverAuth,clientAuth\n`;
  await sign(folder, name, 'server', `/CN=${name} server`, names);
}

/** Makes a client certificate of `user`, signed by an authority: `<name>-<user>.pem` and `<name>-<user>.key`. */
export async function makeClientCertificate(folder: string, name: string, user: string): Promise<void> {
  await sign(folder, name, user, `/CN=${user}`, 'extendedKeyUsage=clientAuth\n');
}

async function sign(
  folder: string,
  authority: string,
  name: string,
  subject: string,
  extensions: string,
): Promise<void> {
  const file = (end: string): string => join(folder, `${authority}-${end}`);
  await openssl(
    ['req', '-subj', subject, ...NEW_KEY],
    ['-keyout', file(`${name}.key`), '-out', file(`${name}.csr`)],
  );
  await writeFile(file(`${name}.extensions`), extensions);
  await openssl(
    ['x509', '-req', '-days', '2', '-in', file(`${name}.csr`), '-out', file(`${name}.pem`)],
    ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial'],
    ['-extfile', file(`${name}.extensions`)],
  );
}

async function openssl(...parts: readonly (readonly string[])[]): Promise<void> {
  await run(['openssl', ...parts.flat()]);
}
