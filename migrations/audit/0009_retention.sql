DROP TRIGGER audit_event_no_delete;
--> statement-breakpoint
CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON audit_event WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM audit_anchor) BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END;
