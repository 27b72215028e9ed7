CREATE TABLE `audit_anchor` (
	`seq` integer PRIMARY KEY NOT NULL,
	`at` integer NOT NULL,
	`note` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `audit_checkpoint` (
	`seq` integer PRIMARY KEY NOT NULL,
	`at` integer NOT NULL,
	`key_id` text NOT NULL,
	`note` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `audit_tile` (
	`id` integer PRIMARY KEY NOT NULL,
	`hashes` blob NOT NULL
);
