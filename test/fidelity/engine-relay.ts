// A wire between the gateway and the real engine that can be watched and cut: bytes pass unchanged.
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Bytes of each connection's requests kept for a look. */
const KEPT_BYTES = 64 * 1024;

export interface Wire {
  /** What the gateway sent, its beginning. */
  sent: string;
  closed: boolean;
  cut(): void;
}

export interface EngineRelay {
  readonly path: string;
  readonly wires: readonly Wire[];
  close(): void;
}

export async function startEngineRelay(engine: string): Promise<EngineRelay> {
  const folder = mkdtempSync(join(tmpdir(), 'relay-'));
  const path = join(folder, 'engine.sock');
  const wires: Wire[] = [];
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ path: engine, allowHalfOpen: true });
    const cut = () => {
      near.destroy();
      far.destroy();
    };
    const wire: Wire = { sent: '', closed: false, cut };
    wires.push(wire);
    near.on('data', (chunk: Buffer) => {
      if (wire.sent.length < KEPT_BYTES) wire.sent += chunk.toString('latin1');
    });
    near.on('close', () => {
      wire.closed = true;
      far.destroy();
    });
    far.on('close', () => near.destroy());
    near.on('error', cut);
    far.on('error', cut);
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    wires,
    close() {
      server.close();
      for (const wire of wires) wire.cut();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
