// The program's logger: pino, one JSON object a line on standard output, behind the shape the rooms know.
import { pino } from 'pino';
import type { LogLevel } from '../config/types.ts';
import type { Logger } from '../log.ts';

export interface AdjustableLogger extends Logger {
  setLevel(level: LogLevel): void;
}

/** Written synchronously: the lines before a crash are the ones that are needed. */
export function createLogger(level: LogLevel): AdjustableLogger {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 1, sync: true }),
  );
  return {
    debug: (data, message) => logger.debug(data, message),
    info: (data, message) => logger.info(data, message),
    warn: (data, message) => logger.warn(data, message),
    error: (data, message) => logger.error(data, message),
    setLevel(next) {
      logger.level = next;
    },
  };
}
