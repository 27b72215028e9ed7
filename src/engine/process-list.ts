// The arguments of `ps` in `GET /containers/{id}/top`. The engine runs `ps` on the host and keeps the lines in whose column titled
// PID a process of the container stands: a column with another title, none, or columns that are shifted show the host's processes.

/** Options without an argument that keep PID where it is; words without a dash are read in the manner of BSD. */
const DASHED = /^-[AacdeFfHjLlmPTwy]+$/;
const BARE = /^[acefgjlmnrsSTuvwxX]+$/;
/** Options of both kinds that end in a list of columns, in the same word or the next. */
const COLUMNS = /^(?:-[AacdeHLmTw]*|[aceflmnrSTwx]*)o([a-z]+(?:,[a-z]+)*)?$/;
/** Columns without blanks, which may stand before the one titled PID. */
const PLAIN = new Set(['user', 'euser', 'ruser', 'uid', 'euid', 'ruid', 'group', 'gid', 'ppid', 'pgid', 'sid']);

/** The fault of arguments of `ps`, as the end of a sentence; undefined where they show no other processes. */
export function processListFault(args: string): string | undefined {
  const words = args.split(' ').filter((word) => word !== '');
  const columns: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (DASHED.test(word) || BARE.test(word)) continue;
    const found = COLUMNS.exec(word);
    const list = found === null ? undefined : (found[1] ?? words[++at]);
    if (list === undefined || !/^[a-z]+(,[a-z]+)*$/.test(list)) return ALLOWED;
    columns.push(...list.split(','));
  }
  if (columns.length === 0) return undefined;
  const before = columns.indexOf('pid');
  return before >= 0 && columns.slice(0, before).every((name) => PLAIN.has(name)) ? undefined : ALLOWED;
}

const ALLOWED =
  'could show processes of the host (allowed: options like -ef and aux, and -o with pid first or after user, uid or ppid: -o pid,comm)';
