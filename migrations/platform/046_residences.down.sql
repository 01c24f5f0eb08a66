DROP FUNCTION IF EXISTS platform.join_cells(bytea, bytea);
DROP FUNCTION IF EXISTS platform.closed_tenants();
DROP TABLE IF EXISTS platform.moves;
DROP TABLE IF EXISTS platform.residences;
