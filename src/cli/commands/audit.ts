// dockgate audit: who did what, what was decided, and how it ended. Each subcommand has a file of its own in audit/, named after
// it, that exports a factory; it gets one line below.
import { Command } from 'commander';
import { auditCheckpoint, auditPublicKey } from './audit/checkpoint.ts';
import { auditDenies, auditStats } from './audit/counts.ts';
import { auditExport } from './audit/export.ts';
import { auditFindSecret } from './audit/find-secret.ts';
import { auditImport } from './audit/import.ts';
import { auditLs } from './audit/ls.ts';
import { auditPlay } from './audit/play.ts';
import { auditProof, auditVerifyProof } from './audit/proof.ts';
import { auditSessions } from './audit/sessions.ts';
import { auditShow } from './audit/show.ts';
import { auditTail } from './audit/tail.ts';
import { auditTimeline } from './audit/timeline.ts';
import { auditTokens } from './audit/tokens.ts';
import { auditUnused } from './audit/unused.ts';
import { auditVerify } from './audit/verify.ts';
import { examples } from './common.ts';

/** In the order of the help: what people look for first. */
const READING: readonly (() => Command)[] = [
  auditLs,
  auditShow,
  auditTail,
  auditTimeline,
  auditDenies,
  auditSessions,
  auditPlay,
  auditTokens,
  auditUnused,
  auditStats,
  auditFindSecret,
];
/** Whether the log is whole. */
const PROVING: readonly (() => Command)[] = [
  auditVerify,
  auditCheckpoint,
  auditPublicKey,
  auditProof,
  auditVerifyProof,
];
/** What leaves the log and comes back. */
const KEEPING: readonly (() => Command)[] = [auditExport, auditImport];

export const auditCommand = (): Command =>
  [...READING, ...PROVING, ...KEEPING]
    .reduce(
      (command, subcommand) => command.addCommand(subcommand()),
      new Command('audit').description('read the audit log'),
    )
    .addHelpText('after', examples('dockgate audit ls --decision deny', 'dockgate audit tail'));
