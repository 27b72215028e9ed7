// dockgate audit proof and verify-proof: that one call is in the log as it is shown, to a reader without gateway or log.
import process from 'node:process';
import { Command } from 'commander';
import { readProofs, verifyProof } from '../../../audit/seal/checkpoint.ts';
import { COLUMNS } from '../../../store/audit-row.ts';
import { EXIT, print, printJson, usageError, visible } from '../../output.ts';
import { examples, gatewayOf, optionsOf, segment } from '../common.ts';
import { give } from './checkpoint.ts';
import { logFileOf, readKeys, readText } from './seals.ts';

export const auditProof = (): Command =>
  new Command('proof')
    .description('make a file that proves to others what the log says of a call')
    .argument('<id>', 'audit id')
    .option('--out <file>', 'write it to a file; usual: NAME.tlog-proof')
    .option('--file <file>', 'from an audit.db; no gateway is needed')
    .addHelpText(
      'after',
      `${examples('dockgate audit proof 0199f2c4-7d3a-7c11-9b5e-2f1f6f0f4a55 --out call.tlog-proof')}\n
It holds the rows of the call in full. Form: c2sp.org/tlog-proof, one for each row, with the row as its extra data`,
    )
    .action(async (id: string, { out, file }: { out?: string; file?: string }, command: Command) => {
      let proof: string;
      if (file === undefined)
        proof = (await (await gatewayOf(command)).call<{ proof: string }>('GET', `/audit/proof/${segment(id)}`)).proof;
      else {
        const { proofsOf } = await import('../../../store/audit-proof.ts');
        proof = proofsOf((await logFileOf(command, file)) ?? file, id);
      }
      if (optionsOf(command).json && out === undefined) return printJson({ proof });
      return give(proof, out);
    });

export const auditVerifyProof = (): Command =>
  new Command('verify-proof')
    .description('verify such a file and print what it proves; needs no gateway and no log')
    .argument('<file>', 'from dockgate audit proof')
    .requiredOption('--public-key <file>', 'public key of the log, had from its operators by another way')
    .addHelpText(
      'after',
      `${examples('dockgate audit verify-proof call.tlog-proof --public-key audit.pub')}\n
Exit codes: 0 it holds, 1 it does not, 2 wrong usage or a file that cannot be read`,
    )
    .action(async (file: string, { publicKey }: { publicKey: string }, command: Command) => {
      const keys = readKeys(publicKey);
      const proofs = readProofs(readText(file, 'the proof'));
      if (proofs === undefined)
        throw usageError(
          `${file} is no proof: its first line is not that of c2sp.org/tlog-proof, or a part is missing`,
        );
      const told = proofs.map((proof) => {
        const verdict = verifyProof(proof, keys);
        return verdict.holds
          ? {
              seq: proof.seq,
              holds: true,
              log: verdict.checkpoint.origin,
              size: verdict.checkpoint.size,
              row: rowOf(proof.line),
            }
          : { seq: proof.seq, holds: false, why: verdict.why };
      });
      process.exitCode = told.every(({ holds }) => holds) ? EXIT.ok : EXIT.failed;
      if (optionsOf(command).json) return printJson({ holds: process.exitCode === EXIT.ok, rows: told });
      return print(
        told
          .map((one) =>
            visible(
              one.holds
                ? `holds: row ${one.seq} of ${one.log}, within the ${one.size} rows that were signed: ${JSON.stringify(one.row)}`
                : `DOES NOT HOLD: row ${one.seq}: ${one.why}`,
            ),
          )
          .join('\n'),
      );
    });

/** Columns in the order of the canonical line. */
const NAMES = COLUMNS.map((name) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()));

function rowOf(line: string): unknown {
  try {
    const values: unknown = JSON.parse(line);
    if (!Array.isArray(values)) return line;
    const named = values.map((value, i) => [NAMES[i] ?? `column${i}`, value] as const);
    return Object.fromEntries(named.filter(([, value]) => value !== null));
  } catch {
    return line;
  }
}
