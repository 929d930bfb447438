-- Whether the node of a run lives: the beat changes as long as it does. And how far the run has looked for documents whose
-- event the log lacks.
ALTER TABLE incarnations ADD COLUMN beat INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incarnations ADD COLUMN swept_until INTEGER NOT NULL DEFAULT 0;
UPDATE incarnations SET swept_until = opened_at;
