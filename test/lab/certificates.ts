// Certificates for tests of TLS, made by openssl.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './namespace.ts';

/**
 * Makes an authority, and a server certificate for 127.0.0.1 that it signs, in `folder`: `<name>-ca.pem`,
 * `<name>-server.pem` and `<name>-server.key`.
 */
export async function makeAuthority(folder: string, name: string): Promise<void> {
  const file = (end: string): string => join(folder, `${name}-${end}`);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await run([
    'openssl',
    'req',
    '-x509',
    '-days',
    '2',
    '-subj',
    `/CN=${name} authority`,
    ...newKey,
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.pem'),
  ]);
  await run([
    'openssl',
    'req',
    '-subj',
    `/CN=${name} server`,
    ...newKey,
    '-keyout',
    file('server.key'),
    '-out',
    file('server.csr'),
  ]);
  await writeFile(
    file('extensions'),
    'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n',
  );
  await run([
    'openssl',
    'x509',
    '-req',
    '-days',
    '2',
    '-in',
    file('server.csr'),
    '-out',
    file('server.pem'),
    '-CA',
    file('ca.pem'),
    '-CAkey',
    file('ca.key'),
    '-CAcreateserial',
    '-extfile',
    file('extensions'),
  ]);
}
