ALTER TABLE `ledger_object` ADD `share` text;--> statement-breakpoint
ALTER TABLE `ledger_object` ADD `is_running` integer DEFAULT false NOT NULL;