CREATE TABLE `certificate` (
	`serial` text PRIMARY KEY NOT NULL,
	`identity` text NOT NULL,
	`thumbprint` text NOT NULL,
	`issued_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`revoked_at` integer,
	`issued_by` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `certificate_identity` ON `certificate` (`identity`);--> statement-breakpoint
CREATE INDEX `certificate_revoked` ON `certificate` (`revoked_at`);--> statement-breakpoint
CREATE TABLE `socket` (
	`path` text PRIMARY KEY NOT NULL,
	`identity` text NOT NULL,
	`mode` integer NOT NULL,
	`group` text,
	`created_at` integer NOT NULL,
	`created_by` text NOT NULL
);
