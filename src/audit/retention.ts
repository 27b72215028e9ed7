// How long the audit is kept, as the settings say it.

/** Rows of these stay, and all rows behind the oldest of them. */
export interface AuditHold {
  /** `subject`: of this identity. `resource`: about this object, `container/web` or `container/<id>`. */
  readonly by: 'subject' | 'resource';
  readonly value: string;
}

export interface RetentionSetting {
  /** Rows older than this are due, in ms. */
  readonly ageMs?: number;
  /** Rows are due, oldest first, while the database uses more than this. */
  readonly bytes?: number;
  /** Folder that segments are written to before their rows are removed, absolute. */
  readonly archive: string;
  readonly holds: readonly AuditHold[];
  /** Rows stay until each sink has them. */
  readonly waitForSinks: boolean;
}
