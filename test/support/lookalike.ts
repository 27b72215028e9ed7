// A server certificate that looks as if an authority had signed it: version 1 of X.509, the issuer's name is right (as a
// PrintableString, as authorities of our tests have it), the signature is by another key. Written by hand, as no library
// makes version 1. RFC 5280 section 4.1.
import { generateKeyPairSync, sign } from 'node:crypto';

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
};
const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts);
const COMMON_NAME = der(0x06, Buffer.from('550403', 'hex'));
const ECDSA_SHA256 = sequence(der(0x06, Buffer.from('2a8648ce3d040302', 'hex')));
const name = (commonName: string) =>
  sequence(der(0x31, sequence(COMMON_NAME, der(0x13, Buffer.from(commonName, 'latin1')))));
const time = (at: number) =>
  der(0x17, Buffer.from(`${new Date(at).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`));

/** @returns PEM certificate for `subject`, good for a day, and its key */
export function makeLookalike(issuer: string, subject: string): { cert: string; key: string } {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const now = Date.now();
  const toBeSigned = sequence(
    der(0x02, Buffer.from([0x11])),
    ECDSA_SHA256,
    name(issuer),
    sequence(time(now - 3_600_000), time(now + 86_400_000)),
    name(subject),
    keys.publicKey.export({ type: 'spki', format: 'der' }),
  );
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signature = sign('sha256', toBeSigned, stranger.privateKey);
  const whole = sequence(toBeSigned, ECDSA_SHA256, der(0x03, Buffer.from([0]), signature));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
