// What the stand-in calls itself, and how it says no.

/** Name the stand-in gives itself wherever the API has room for one. */
export const STANDIN_NAME = 'dockgate-standin';

/** An answer other than success, with the Engine's status and wording. */
export class EngineFault extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}
