DROP FUNCTION IF EXISTS platform.begin_epoch();
DROP FUNCTION IF EXISTS platform.this_installation();
DROP FUNCTION IF EXISTS platform.whereabouts();
DROP TABLE IF EXISTS platform.installation;
