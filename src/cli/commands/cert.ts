// dockgate cert: client certificates of identities, for clients that cannot send a header. The key is made here and stays here.
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { DURATION_RULE, parseDuration } from '../../admin/duration.ts';
import { shellWord } from '../../words/shell-word.ts';
import type { AdminClient } from '../client.ts';
import { replaceFile } from '../docker-context.ts';
import { CliError, print, printJson, shortTime, table, usageError } from '../output.ts';
import { examples, gatewayOf, optionsOf, segment } from './common.ts';
import { checkName } from './identity.ts';

export interface CertificateView {
  readonly serial: string;
  readonly identity: string;
  readonly state: 'valid' | 'expired' | 'revoked';
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly revokedAt: string | null;
  readonly issuedBy: string;
  readonly thumbprint: string;
}

/** What DOCKER_CERT_PATH wants, as texts. */
export interface IssuedCertificate extends CertificateView {
  readonly certificate: string;
  readonly ca: string;
  readonly key: string;
}

/** Makes a key here and has the gateway sign a certificate for it. */
export const issueCertificate = async (
  gateway: AdminClient,
  identity: string,
  ttl: string,
): Promise<IssuedCertificate> => {
  const { makeRequest } = await import('../../identity/client-certificates.ts');
  const { request, key } = await makeRequest(identity);
  const made = await gateway.call<Omit<IssuedCertificate, 'key'>>('POST', '/certificates', { identity, ttl, request });
  return { ...made, ca: gateway.ca ?? made.ca, key };
};

/** Writes `ca.pem`, `cert.pem` and `key.pem`; the key first, so that no certificate is ever without its own. */
export const writeCertificate = (folder: string, issued: IssuedCertificate): void => {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const [name, text, mode] of [
      ['key.pem', issued.key, 0o600],
      ['cert.pem', issued.certificate, 0o644],
      ['ca.pem', issued.ca, 0o644],
    ] as const) {
      replaceFile(join(folder, name), text, mode);
    }
  } catch (error) {
    throw new CliError(`${folder} cannot be written (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`);
  }
};

export const checkTtl = (ttl: string): string => {
  if (parseDuration(ttl) === undefined) throw usageError(`--ttl "${ttl}" is no span: ${DURATION_RULE}`);
  return ttl;
};

const issue = (): Command =>
  new Command('issue')
    .description('issue a client certificate and write ca.pem, cert.pem and key.pem, as DOCKER_CERT_PATH wants them')
    .argument('<name>', 'identity the certificate is for')
    .requiredOption('--out <dir>', 'folder to write them to')
    .option('--ttl <span>', 'how long it is valid: 15m, 24h, at most 90d', '24h')
    .option('--force', 'write over a key.pem that is there')
    .addHelpText(
      'after',
      examples(
        'dockgate cert issue ci --out ./ci-certs',
        'dockgate cert issue portainer --out /etc/portainer --ttl 30d',
      ),
    )
    .action(async (name: string, options: { out: string; ttl: string; force?: boolean }, command: Command) => {
      checkName(name);
      checkTtl(options.ttl);
      const folder = resolve(options.out);
      if (!options.force && existsSync(join(folder, 'key.pem'))) {
        throw usageError(`there already is a key.pem in ${options.out}; add --force to write over it`);
      }
      const issued = await issueCertificate(await gatewayOf(command), name, options.ttl);
      writeCertificate(folder, issued);
      const { certificate: _certificate, ca: _ca, key: _key, ...view } = issued;
      if (optionsOf(command).json) return printJson({ ...view, folder });
      return print(
        `certificate ${issued.serial} of ${name}, valid until ${shortTime(issued.expiresAt)}\n` +
          `export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=${shellWord(folder)}`,
      );
    });

const list = (): Command =>
  new Command('list')
    .alias('ls')
    .description('list issued client certificates')
    .option('--identity <name>', 'only those of one identity')
    .addHelpText('after', examples('dockgate cert list', 'dockgate cert list --identity ci --json'))
    .action(async (options: { identity?: string }, command: Command) => {
      const query = options.identity === undefined ? '' : `?identity=${segment(checkName(options.identity))}`;
      const { certificates } = await (await gatewayOf(command)).call<{ certificates: CertificateView[] }>(
        'GET',
        `/certificates${query}`,
      );
      if (optionsOf(command).json) return printJson(certificates);
      return print(
        table(
          ['SERIAL', 'IDENTITY', 'STATE', 'EXPIRES', 'ISSUED BY'],
          certificates.map((one) => [one.serial, one.identity, one.state, shortTime(one.expiresAt), one.issuedBy]),
        ),
      );
    });

const revoke = (): Command =>
  new Command('revoke')
    .description('end a certificate now, its live streams included; its next request is refused')
    .argument('[serial]', 'serial of the certificate, as cert list shows it')
    .option('--identity <name>', 'all certificates of an identity instead')
    .addHelpText(
      'after',
      examples('dockgate cert revoke 4f1d0a93c7e24b6f8a1be0d3c5f60718', 'dockgate cert revoke --identity ci'),
    )
    .action(async (serial: string | undefined, options: { identity?: string }, command: Command) => {
      if ((serial === undefined) === (options.identity === undefined)) {
        throw usageError('give the serial of a certificate, or --identity for all of an identity');
      }
      const gateway = await gatewayOf(command);
      const revoked =
        serial === undefined
          ? (
              await gateway.call<{ certificates: CertificateView[] }>(
                'DELETE',
                `/certificates?identity=${segment(checkName(options.identity ?? ''))}`,
              )
            ).certificates
          : [await gateway.call<CertificateView>('DELETE', `/certificates/${segment(serial)}`)];
      if (optionsOf(command).json) return printJson(revoked);
      if (revoked.length === 0) return print(`no certificate of ${options.identity} was valid`);
      return print(revoked.map((one) => `certificate ${one.serial} of ${one.identity} revoked`).join('\n'));
    });

export const certCommand = (): Command =>
  new Command('cert')
    .description('issue, list and revoke client certificates')
    .addCommand(issue())
    .addCommand(list())
    .addCommand(revoke())
    .addHelpText('after', examples('dockgate cert issue ci --out ./ci-certs', 'dockgate cert list'));
