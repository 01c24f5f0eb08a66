DROP POLICY IF EXISTS removers ON ledger.segments;
DROP POLICY IF EXISTS removers ON ledger.detached_relations;
DROP POLICY IF EXISTS removers ON ledger.detached_statements;
DROP POLICY IF EXISTS removers ON ledger.documents;
DROP POLICY IF EXISTS removers ON ledger.links_due;
DROP POLICY IF EXISTS removers ON ledger.reaches;
DROP POLICY IF EXISTS removers ON ledger.refs;
DROP POLICY IF EXISTS removers ON ledger.relations;
DROP POLICY IF EXISTS removers ON ledger.statements;
DROP POLICY IF EXISTS removers ON ledger.statement_ids;
DROP POLICY IF EXISTS removers ON ledger.attachment_bringers;
DROP POLICY IF EXISTS removers ON ledger.attachment_pieces;
DROP POLICY IF EXISTS removers ON ledger.attachments;
DROP POLICY IF EXISTS removers ON ledger.activities;
DROP POLICY IF EXISTS removers ON ledger.agents;
REVOKE ALL ON ledger.segments, ledger.detached_relations, ledger.detached_statements, ledger.documents, ledger.links_due,
    ledger.reaches, ledger.refs, ledger.relations, ledger.statements, ledger.statement_ids, ledger.attachment_bringers,
    ledger.attachment_pieces, ledger.attachments, ledger.activities, ledger.agents, ledger.partitions
    FROM progress_eraser, progress_retention;
REVOKE ALL (erased, digest) ON ledger.statement_ids FROM progress_eraser, progress_retention;
REVOKE ALL (state, marked_at) ON ledger.segments FROM progress_retention;
REVOKE ALL ON FUNCTION ledger.moment(bigint), ledger.settled(bigint) FROM progress_eraser, progress_retention;
REVOKE USAGE ON SCHEMA ledger FROM progress_eraser, progress_retention;
