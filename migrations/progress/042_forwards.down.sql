DROP TABLE IF EXISTS progress.forward_refusals;
DROP TABLE IF EXISTS progress.forwards;
