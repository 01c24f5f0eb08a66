DROP TABLE IF EXISTS ledger.attachment_pieces;
DROP TABLE IF EXISTS ledger.attachments;
DROP TABLE IF EXISTS ledger.documents;
