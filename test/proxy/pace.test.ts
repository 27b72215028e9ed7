// Turns of large answers: bounded bytes in one turn of the event loop, identity by identity, small answers at once.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Flow, Pace } from '../../src/proxy/pace.ts';

const KIB = 1024;
const PIECE = 128 * KIB;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** An answer that is carried piece by piece whenever it may be read. */
class Answer {
  carried = 0;
  reading = true;
  drain: (() => void) | undefined;
  readonly flow: Flow;
  constructor(pace: Pace, holder: string) {
    const caller = {
      onDrain: (resume: () => void) => {
        this.drain = resume;
      },
    };
    this.flow = new Flow(pace, holder, caller, {
      pause: () => {
        this.reading = false;
      },
      resume: () => {
        this.reading = true;
      },
    });
  }
  /** What one turn of the event loop reads. */
  read(bytes = PIECE, takesMore = true): void {
    if (!this.reading) return;
    this.carried += bytes;
    this.flow.carried(bytes, takesMore);
  }
}
const total = (answers: readonly Answer[]): number => answers.reduce((sum, one) => sum + one.carried, 0);

describe('Pace', () => {
  it('Pace carries a bounded number of bytes of many large answers in one turn', async () => {
    const pace = new Pace();
    const answers = Array.from({ length: 64 }, () => new Answer(pace, 'greedy'));
    for (let i = 0; i < 3; i++) {
      for (const one of answers) one.read();
      await turn();
    }
    for (let i = 0; i < 20; i++) {
      const before = total(answers);
      for (const one of answers) one.read();
      // Those that went on and those whose turn came.
      assert.ok(total(answers) - before <= 2048 * KIB, `${total(answers) - before} bytes in one turn`);
      await turn();
    }
    const least = Math.min(...answers.map(({ carried }) => carried));
    assert.ok(least >= 4 * PIECE, 'each of them gets on');
  });
  it('never holds up a small answer', async () => {
    const pace = new Pace();
    const large = Array.from({ length: 64 }, () => new Answer(pace, 'greedy'));
    for (let i = 0; i < 5; i++) {
      for (const one of large) one.read();
      const small = new Answer(pace, 'good');
      small.read();
      small.read();
      assert.equal(small.reading, true);
      await turn();
    }
  });
  it('Pace gives one identity as many turns with one large answer as another with sixty-four', async () => {
    const pace = new Pace();
    const greedy = Array.from({ length: 64 }, () => new Answer(pace, 'greedy'));
    const good = new Answer(pace, 'good');
    for (let i = 0; i < 40; i++) {
      for (const one of [...greedy, good]) one.read();
      await turn();
    }
    assert.ok(good.carried >= 30 * PIECE, `${good.carried / PIECE} pieces in 40 turns`);
  });
  it('Pace lets one large answer alone go on in each turn', async () => {
    const pace = new Pace();
    const one = new Answer(pace, 'ci');
    for (let i = 0; i < 100; i++) {
      for (let k = 0; k < 32; k++) one.read();
      await turn();
      await turn();
    }
    assert.ok(one.carried >= 100 * 1024 * KIB);
  });
  it('Pace reads on only when the caller takes more and it is its turn', async () => {
    const pace = new Pace();
    const one = new Answer(pace, 'ci');
    for (let k = 0; k < 20; k++) one.read(PIECE, one.carried < 7 * PIECE);
    assert.equal(one.reading, false);
    await turn();
    await turn();
    assert.equal(one.reading, false, 'the caller is full');
    one.drain?.();
    assert.equal(one.reading, true);
  });
});
