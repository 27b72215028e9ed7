// Transcripts without an engine: events from bytes, what is masked, what reaches a reviewer's terminal, and the sealed file.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AuditEvent } from '../../src/audit/event.ts';
import { SessionEvents } from '../../src/audit/transcript/events.ts';
import { Playable } from '../../src/audit/transcript/playable.ts';
import type { TranscriptOf } from '../../src/audit/transcript/transcript.ts';
import { maskText } from '../../src/engine/mask.ts';
import { AuditLog } from '../../src/store/audit-log.ts';
import { encodeEvent } from '../../src/store/audit-row.ts';
import { openDatabase } from '../../src/store/database.ts';
import { verifyTranscripts } from '../../src/store/transcript-verify.ts';
import { TranscriptFolder, type TranscriptSetting } from '../../src/store/transcripts.ts';
import { fullEvent } from './events.ts';

const MIB = 1024 * 1024;
const SETTING: TranscriptSetting = { ageMs: 90 * 86_400_000, bytes: 40 * MIB, sessionBytes: MIB, holds: [] };
const hide = (text: string) => maskText(text, undefined);
const events = (tty: boolean | undefined, keepsInput = true) =>
  new SessionEvents({ tty, keepsInput, hide, seconds: () => 1 });
const read = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as unknown[]).slice(1).join(':'));
const bytes = (text: string) => Buffer.from(text);
const frame = (stream: number, text: string) => {
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([head, bytes(text)]);
};

describe('events of a session', () => {
  it('takes frames apart wherever they are cut, and knows them by their first bytes', () => {
    const all = Buffer.concat([frame(1, 'out'), frame(2, 'wrong'), frame(1, ''), frame(1, 'more')]);
    for (const tty of [undefined, false] as const) {
      for (let size = 1; size <= all.length; size++) {
        const session = events(tty);
        let text = '';
        for (let at = 0; at < all.length; at += size) text += session.output(all.subarray(at, at + size));
        const found = read(text + session.end());
        assert.equal(
          found
            .filter((e) => e.startsWith('o:'))
            .map((e) => e.slice(2))
            .join(''),
          'outmore',
        );
        assert.equal(
          found
            .filter((e) => e.startsWith('e:'))
            .map((e) => e.slice(2))
            .join(''),
          'wrong',
        );
      }
    }
  });

  it('keeps what looks like frames and is none', () => {
    const session = events(undefined);
    const text = session.output(Buffer.concat([frame(1, 'a'), bytes('\x07hidden?')])) + session.end();
    assert.ok(read(text).join('|').endsWith('o:a|o:\x07hidden?'));
  });

  it('cuts no character of two bytes', () => {
    const session = events(true);
    const [a, b] = [bytes('ä').subarray(0, 1), bytes('ä').subarray(1)];
    assert.deepEqual(read(session.output(a) + session.output(b)), ['o:ä']);
  });

  it('leaves out what was typed and not shown, and lists what was typed as the terminal showed it', () => {
    const session = events(true);
    let text = '';
    const type = (keys: string, echo: boolean) => {
      for (const key of keys) {
        text += session.input(bytes(key));
        if (echo) text += session.output(bytes(key === '\r' ? '\r\n' : key));
      }
    };
    text += session.output(bytes('\x1b]0;title\x07\x1b[1m$ \x1b[0m'));
    type('id\r', true);
    text += session.output(bytes('uid=0(root)\r\n$ '));
    // From the shell's history: the arrow is not shown, the line is.
    text += session.input(bytes('\x1b[A')) + session.output(bytes('cat /etc/shadow'));
    text += session.input(bytes('\r')) + session.output(bytes('\r\nroot::\r\n$ '));
    type('sudo -s\r', true);
    text += session.output(bytes('Password: '));
    type('hunter2-geheim', false);
    text += session.input(bytes('\r')) + session.output(bytes('\r\n# '));
    type('read -s x\r', true);
    text += session.output(bytes('? '));
    type('quiet-word\r', false);
    text += session.output(bytes('# '));
    type('mysql -u root --password s3cretword\r', true);
    text += session.end();
    assert.ok(!text.includes('hunter2') && !text.includes('geheim') && !text.includes('quiet'));
    assert.match(text, /"i","\*\*\*\\r"/);
    assert.deepEqual(session.typed.commands, [
      'id',
      'cat /etc/shadow',
      'sudo -s',
      'read -s x',
      'mysql -u root --password ***',
    ]);
  });

  it('lists nothing that was typed into a program of the whole screen', () => {
    const session = events(true);
    session.output(bytes('$ '));
    session.input(bytes('vi\r'));
    session.output(bytes('vi\r\n\x1b[?1049h'));
    session.input(bytes('ihello\r'));
    session.output(bytes('hello\r\n'));
    session.output(bytes('\x1b[?1049l$ '));
    assert.deepEqual(session.typed.commands, ['vi']);
  });

  it('keeps what is sent in where there is no terminal, without what reads like a secret, and not with record: output', () => {
    const session = events(false);
    assert.deepEqual(read(session.input(bytes('curl --token abcdef0123\n'))), ['i:curl --token ***\n']);
    assert.equal(events(false, false).input(bytes('x\n')), '');
  });
});

describe('what reaches a reviewer', () => {
  const shown = (text: string, size = text.length) => {
    const playable = new Playable();
    let out = '';
    for (let at = 0; at < text.length; at += size) out += playable.filter(text.slice(at, at + size));
    return out;
  };

  it('lets text, colours and the cursor through', () => {
    const text = 'a\x1b[1;31mred\x1b[0m\r\n\x1b[2J\x1b[3;4H\x1b[?25l\x1b[?1049h\x1b7\x1b8\x1b(0q\x1b(B\tb';
    for (const size of [1, 2, 3, 7, 100]) assert.equal(shown(text, size), text);
  });

  it('leaves out what asks, names, copies, prints or changes keys, however it is cut and written', () => {
    const hostile = [
      ...['\x1b]52;c;cm0gLXJm\x07', '\x1b]0;title\x1b\\', '\x9d0;title\x9c', '\x1bP+q544e\x1b\\', '\x90q\x9c'],
      ...[
        '\x1b_apc\x1b\\',
        '\x1b^pm\x1b\\',
        '\x1bXsos\x1b\\',
        '\x1b[6n',
        '\x1b[c',
        '\x1b[>c',
        '\x1b[5i',
        '\x1b[21t',
        '\x9b6n',
      ],
      ...[
        '\x1b[?1000h',
        '\x1b[?2004h',
        '\x1b[4h',
        '\x1b[!p',
        '\x1bc',
        '\x1b#8',
        '\x1b[999999999b',
        '\x1b[>4;2m',
        '\x1b[99999A',
      ],
      ...['\x07', '\x05', '\x00', '\x7f', '\x84', '\u202e', '\u2066', '\u200b', '\u{e0041}', '\x1b[1 q', '\x1b[?1;25h'],
      ...['\x1bZ', '\x1b]8;;http://x\x07', '\x1b[200~', '\x1b[0"q', '\x1b\x1b[6n', '\x1b[\x1b[6n'],
    ];
    for (const one of hostile)
      for (const size of [1, 2, 100]) {
        const out = shown(`a${one}b`, size);
        assert.doesNotMatch(
          out.replace(/^a|b$/g, ''),
          // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
          /[\x00-\x1f\x7f-\x9f\u202e\u2066\u200b]/,
          JSON.stringify([one, out]),
        );
      }
  });

  it('never lets a string without an end through', () => {
    assert.equal(shown(`a\x1b]52;c;${'A'.repeat(100_000)}`, 1000), 'a');
  });
});

describe('the folder of transcripts', () => {
  let folder: string;
  const key = randomBytes(32);
  const removed: string[] = [];
  const mended: string[] = [];
  const open = (
    setting: Partial<TranscriptSetting> = {},
    more: { now?: () => number; key?: Uint8Array; folder?: string } = {},
  ) =>
    new TranscriptFolder({
      folder: more.folder ?? folder,
      key: more.key ?? key,
      setting: { ...SETTING, ...setting },
      hide,
      now: more.now ?? (() => Date.now()),
      onRemoved: (ids) => removed.push(...ids),
      onMended: (id) => mended.push(id),
      onFault: () => {},
    });
  let number = 0;
  const session = (more: Partial<TranscriptOf> = {}): TranscriptOf => ({
    auditId: `00000000-0000-7000-8000-${String(++number).padStart(12, '0')}`,
    subject: 'ann',
    session: ['e'.repeat(64)],
    container: ['web'],
    at: Date.now(),
    keeps: 'all',
    tty: true,
    ...more,
  });
  const castOf = async (from: TranscriptFolder, auditId: string) => {
    const lines: unknown[] = [];
    for await (const text of await from.cast(auditId))
      for (const line of text.split('\n')) if (line) lines.push(JSON.parse(line));
    return lines as [Record<string, unknown>, ...unknown[][]];
  };
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'dg-transcripts-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('seals what it keeps, gives it back as an asciicast, and names its digest', async () => {
    const transcripts = open();
    const of = session();
    const recording = await transcripts.begin(of);
    transcripts.resized(['e'.repeat(64)], 120, 40);
    await recording.see('out', bytes('plain words'));
    await recording.see('in', bytes('l'));
    const facts = await recording.end();
    assert.match(facts?.sha256 ?? '', /^[0-9a-f]{64}$/);
    const file = readFileSync(join(folder, `${of.auditId}.transcript`));
    assert.equal(file.length, facts?.bytes);
    assert.ok(!file.includes('plain words'));
    const [head, ...lines] = await castOf(transcripts, of.auditId);
    assert.deepEqual({ ...head, timestamp: 0 }, { version: 2, width: 120, height: 40, timestamp: 0 });
    assert.deepEqual(
      lines.map((line) => line.slice(1)),
      [
        ['r', '120x40'],
        ['o', 'plain words'],
        ['i', '***'],
      ],
    );
    await transcripts.close();
  });

  it('the folder of transcripts keeps nothing of a session without a byte', async () => {
    const transcripts = open();
    const before = readdirSync(folder).length;
    const recording = await transcripts.begin(session());
    assert.equal(await recording.end(), undefined);
    assert.equal(readdirSync(folder).length, before);
    await transcripts.close();
  });

  it('the folder of transcripts reads a transcript up to the last piece that was written, and brings it to its end at the next start', async () => {
    const first = open();
    const of = session();
    const recording = await first.begin(of);
    await recording.see('out', bytes('one'));
    await recording.see('out', bytes('two'));
    // As a kill leaves it: no end, and half a piece behind.
    const path = join(folder, `${of.auditId}.transcript`);
    const left = readFileSync(path);
    await first.close();
    writeFileSync(path, left);
    appendFileSync(path, Buffer.from([0, 0, 0, 90, 1, 2, 3]));
    const second = open();
    const [, ...lines] = await castOf(second, of.auditId);
    assert.deepEqual(
      lines.map((line) => line[2]),
      ['one', 'two', 'the gateway ended before the session did'],
    );
    assert.deepEqual(mended, [of.auditId]);
    await second.close();
    const third = open();
    await castOf(third, of.auditId);
    assert.equal(mended.length, 1, 'once');
    await third.close();
  });

  it('the folder of transcripts finds a transcript that was altered, cut, exchanged or sealed with another key', async () => {
    const transcripts = open();
    const [one, other] = [session(), session()];
    for (const which of [one, other]) {
      const recording = await transcripts.begin(which);
      await recording.see('out', bytes('first'));
      await recording.see('out', bytes('second'));
      await recording.end();
    }
    const path = join(folder, `${one.auditId}.transcript`);
    const whole = readFileSync(path);
    const tries: readonly (readonly [string, Buffer])[] = [
      ['a byte', Buffer.from(whole.map((byte, i) => (i === whole.length - 30 ? byte ^ 1 : byte)))],
      ['the head', Buffer.from(whole.toString('latin1').replace('"ann"', '"bob"'), 'latin1')],
      ['another one', readFileSync(join(folder, `${other.auditId}.transcript`)).subarray(0)],
    ];
    for (const [what, content] of tries) {
      writeFileSync(path, content);
      const read = castOf(transcripts, one.auditId);
      if (what !== 'another one') await assert.rejects(read, { code: 'store-corrupt' }, what);
      else await read.catch(() => undefined);
    }
    writeFileSync(path, whole);
    await assert.rejects(castOf(open({}, { key: randomBytes(32) }), one.auditId), { code: 'store-corrupt' });
    await transcripts.close();
  });

  it('the folder of transcripts ends a session that grows too large, and one identity leaves room for the others', async () => {
    const small = mkdtempSync(join(tmpdir(), 'dg-transcripts-'));
    const transcripts = open({ bytes: 400_000, sessionBytes: 60_000 }, { folder: small });
    const noise = () => randomBytes(24_000).toString('hex');
    for (let i = 0; i < 2; i++) {
      const recording = await transcripts.begin(session({ subject: 'greedy' }));
      await recording.see('out', bytes(noise()));
      await assert.rejects(recording.see('out', bytes(noise())), { code: 'transcript-unwritable' });
      assert.ok((await recording.end())?.sha256, 'what was kept is brought to its end');
    }
    const third = await transcripts.begin(session({ subject: 'greedy' }));
    await assert.rejects(third.see('out', bytes(noise())), /a quarter of audit.transcripts.size/);
    await third.end();
    const other = await transcripts.begin(session({ subject: 'bob' }));
    await other.see('out', bytes('x'));
    await other.end();
    await transcripts.close();
    rmSync(small, { recursive: true });
  });

  it('the folder of transcripts removes what is too old, but for what is held', async () => {
    const transcripts = open();
    const [old, held] = [session({ subject: 'old', at: 1 }), session({ subject: 'mallory', at: 1 })];
    for (const which of [old, held]) {
      const recording = await transcripts.begin(which);
      await recording.see('out', bytes('x'));
      await recording.end();
    }
    await transcripts.close();
    const later = open({ holds: [{ by: 'subject', value: 'mallory' }] });
    await castOf(later, held.auditId);
    assert.deepEqual(removed, [old.auditId]);
    await assert.rejects(castOf(later, old.auditId), { code: 'not-found' });
    await later.close();
  });

  it('the folder of transcripts refuses a session where nothing can be written', async () => {
    const transcripts = open({}, { folder: join(folder, 'gone') });
    await transcripts.begin(session()).then((one) => one.end());
    rmSync(join(folder, 'gone'), { recursive: true });
    await assert.rejects(transcripts.begin(session()), { code: 'transcript-unwritable' });
    await transcripts.close();
  });

  it('the folder of transcripts is compared with the log by audit verify', async () => {
    const data = mkdtempSync(join(tmpdir(), 'dg-transcripts-'));
    const transcripts = open({}, { folder: join(data, 'transcripts') });
    const [kept, gone, old, torn] = [session(), session(), session(), session()];
    const file = join(data, 'audit.db');
    openDatabase(file, 'audit').sqlite.close();
    const log = new AuditLog(file);
    const row = (more: Partial<AuditEvent>) => log.write([encodeEvent(fullEvent({ stage: 'complete', ...more }))]);
    for (const which of [kept, gone, old, torn]) {
      const recording = await transcripts.begin(which);
      await recording.see('out', bytes('x'));
      const facts = await recording.end();
      const detail = { transcript: { sha256: facts?.sha256, bytes: facts?.bytes } };
      if (which === torn)
        row({ stage: 'gateway', action: 'transcript.mend', detail: { ...detail, transcriptOf: torn.auditId } });
      else row({ auditId: which.auditId, action: 'container.attach', detail });
    }
    row({ stage: 'gateway', action: 'transcript.remove', detail: { why: 'age', transcripts: [old.auditId] } });
    log.close();
    await transcripts.close();
    const path = (of: TranscriptOf) => join(data, 'transcripts', `${of.auditId}.transcript`);
    rmSync(path(old));
    const found = async () => (await verifyTranscripts(data, file, true)).faults.map(({ kind, seq }) => [kind, seq]);
    assert.deepEqual(await found(), []);
    rmSync(path(gone));
    appendFileSync(path(torn), 'x');
    assert.deepEqual(await found(), [
      ['deleted', 2],
      ['edited', 4],
    ]);
    rmSync(join(data, 'transcripts'), { recursive: true });
    assert.equal((await found()).length, 3);
    assert.equal((await verifyTranscripts(data, file, false)).notLookedAt, 3);
    rmSync(data, { recursive: true });
  });
});
